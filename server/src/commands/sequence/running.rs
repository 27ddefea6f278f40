//! `tandem sequence preview`, and what `apply` does with those who run on older versions.

use super::{open, print_applied, read, refused, report};
use crate::commands::Outcome;
use crate::config::Settings;
use std::path::PathBuf;
use tandem_app::{Actor, App, AppError, Call};
use tandem_domain::sequence::migration::preview::{Fate, Preview, StepPreview};
use tandem_domain::sequence::migration::{MapEntry, MigrationState, Policy, Running};

/// What becomes of those who run on older versions.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Over {
    /// What becomes of those who run on older versions: stay, migrate (to the new version) or finish (they end)
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    running: Option<Policy>,

    /// Where those go on who stand before a step that the new version does not have, or elsewhere than before the step of the
    /// same id: FROM=TO, or FROM= where they end. May be given several times
    #[arg(long = "map", value_name = "FROM=TO", value_parser = entry)]
    map: Vec<MapEntry>,
}

impl Over {
    /// What is asked for; none where nobody asks for anything.
    pub(super) fn running(&self) -> Option<Running> {
        let policy = self.running.or_else(|| (!self.map.is_empty()).then_some(Policy::Migrate))?;
        Some(Running { policy, map: self.map.clone() })
    }
}

/// Options of `tandem sequence preview`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Options {
    /// The YAML file; `-` for standard input
    #[arg(value_name = "FILE.yaml")]
    file: PathBuf,

    #[command(flatten)]
    over: Over,
}

/// Prints who stands where and what would become of them; nothing is stored. Exit code 1 where `apply` with the same options
/// would be refused.
pub(in crate::commands) async fn preview(settings: &Settings, options: &Options) -> anyhow::Result<Outcome> {
    let source = read(&options.file)?;
    let app = match open(settings, &options.file, &source).await? {
        Ok(app) => app,
        Err(outcome) => return Ok(outcome),
    };
    // Nobody is moved unless it is asked for; what a move would come to is worth knowing all the same.
    let asked = options.over.running();
    let running = asked.clone().unwrap_or(Running { policy: Policy::Migrate, map: Vec::new() });
    match app.sequence_preview(&Actor::system(), &source, &running).await {
        Ok(Ok(shown)) => {
            if asked.is_none() && shown.count > 0 {
                println!("`apply` leaves them on their versions; with `--running migrate`:");
            }
            let outcome = print(&shown);
            Ok(if asked.is_none() { Outcome::Done } else { outcome })
        }
        Ok(Err(problems)) => Ok(report(&options.file, &problems)),
        Err(error) => refused(&app, &options.file, &source, error).await,
    }
}

fn print(preview: &Preview) -> Outcome {
    println!("{} live run(s) on versions before {}", preview.count, preview.number);
    for version in &preview.versions {
        println!("version {}: {}", version.number, version.count);
        version.steps.iter().for_each(print_step);
    }
    for problem in &preview.problems {
        let of = if problem.field() == Some("map") { "map: " } else { "" };
        println!("{of}{problem} [{}]", problem.code());
    }
    let refused = |step: &StepPreview| matches!(step.fate, Fate::Refused(_));
    let mut steps = preview.versions.iter().flat_map(|version| &version.steps);
    if preview.problems.is_empty() && !steps.any(refused) { Outcome::Done } else { Outcome::Failed }
}

fn print_step(step: &StepPreview) {
    let states = step.states.iter().map(|((state, reason), count)| match reason {
        Some(reason) => format!("{count} {state}({reason})"),
        None => format!("{count} {state}"),
    });
    println!("  before {:<20} {:>7}  {}", step.step, step.count, states.collect::<Vec<_>>().join(", "));
    match &step.fate {
        Fate::Stays => println!("    stay"),
        Fate::Ends => println!("    end"),
        Fate::Refused(refusal) => println!("    cannot be moved: {refusal} [{}]", refusal.code()),
        Fate::Moves { to, may_repeat, may_skip, passed } => {
            println!("    go on before {to}");
            if !may_repeat.is_empty() {
                println!("    who had one of these before stays: {}", may_repeat.join(", "));
            }
            if !may_skip.is_empty() {
                println!("    who has not had one of these stays: {}", may_skip.join(", "));
            }
            if !passed.is_empty() {
                println!("    new, and behind them: {}", passed.join(", "));
            }
        }
    }
}

/// Publishes over what runs; where there is nothing to publish, only moves or ends those who run.
pub(super) async fn replace(app: &App, call: &Call, source: String, running: Running) -> Result<(), AppError> {
    let (applied, migration) = app.sequence_replace(call, source, running).await?;
    print_applied(&applied, "");
    match migration {
        Some(paused) if paused.state == MigrationState::Paused => {
            println!("the migration to version {} is {}; resume it to move on", paused.number, paused.state);
        }
        Some(begun) => {
            println!("{} live run(s) on older versions: {}; the job works in parts", begun.total, begun.policy)
        }
        None => println!("nobody is moved or ended"),
    }
    Ok(())
}

fn policy(text: &str) -> Result<Policy, String> {
    text.to_uppercase().parse().map_err(|_| format!("`{text}` is not one of stay, migrate, finish"))
}

fn entry(text: &str) -> Result<MapEntry, String> {
    let (from, to) = text.split_once('=').ok_or_else(|| format!("`{text}` is not FROM=TO, or FROM= to end"))?;
    let to = Some(to.trim().to_owned()).filter(|to| !to.is_empty());
    Ok(MapEntry { version: None, from: from.trim().to_owned(), to, repeat: false, skip: false })
}
