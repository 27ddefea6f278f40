//! `tandem sequence`: checks, publishes or tries out a sequence that is written in YAML.

pub(super) mod diff;
pub(super) mod library;
mod premises;
pub(super) mod running;
pub(super) mod simulating;
pub(super) mod steering;

use super::{Outcome, print, template};
use crate::config::Settings;
use crate::wiring::{self, Migrate};
use anyhow::Context;
use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use tandem_app::sequence::{Applied, sequence_advice, sequence_schema_text, sequence_simulate, sequence_validate};
use tandem_app::{Actor, App, AppError, Call};
use tandem_domain::calendar;
use tandem_domain::email_template::Library;
use tandem_domain::email_template::library::Reference;
use tandem_domain::sequence::{Problem, Rule};

/// What to do with a sequence.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Check a file against every rule, without a database; exit code 1, and every problem with its line, otherwise
    Validate {
        /// The YAML file; `-` for standard input
        #[arg(value_name = "FILE.yaml")]
        file: PathBuf,

        /// The folder of the templates that its steps may name by their keys. None: those names are not looked at
        #[arg(long, value_name = "DIR")]
        templates: Option<PathBuf>,
    },
    /// Publish a file as the next version of its sequence; what runs stays on its version unless --running says otherwise.
    /// Applying it again publishes nothing, and moves those whom --running concerns and who are not moved yet
    Apply {
        /// The YAML file; `-` for standard input
        #[arg(value_name = "FILE.yaml")]
        file: PathBuf,

        #[command(flatten)]
        over: running::Over,
    },
    /// Print who runs on older versions, step by step, and what would become of them if a file were published
    Preview(running::Options),
    /// Print, day by day, what the sequence would do to a sample person, by the rules that production uses; with --contacts, what
    /// it would do to the people of the database. Nothing is sent or stored. Without --contacts there is no database: working
    /// calendars are those that ship with Tandem, which is said at the head
    Simulate(Simulate),
    /// Print what a file changes against a published version: header fields, steps and the ways between them
    Diff(diff::Diff),
    /// List the shipped programmes with what each needs, or print the file of one, to be adapted and applied
    Library(library::Library),
    /// Every sequence: its state, its newest version, and how many runs of it are alive
    List(steering::List),
    /// Let a sequence stand still: nobody comes into it, its runs pause as they fall due, and nothing of it goes out
    Pause(steering::Pause),
    /// Let a paused sequence go on, and say what becomes of what fell due meanwhile
    Resume(steering::Resume),
    /// End a sequence for good, and whoever runs through it
    Archive(steering::Archive),
    /// Print the JSON Schema of sequences, with which editors complete and underline what is written
    Schema,
}

/// Options of `tandem sequence simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Simulate {
    /// The YAML file; `-` for standard input
    #[arg(value_name = "FILE.yaml")]
    file: PathBuf,

    /// The person's time zone, for example Asia/Shanghai. Days are calendar days in it
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = premises::zone)]
    zone: Tz,

    /// The beginning, in that zone: 2026-03-02T09:00, or a day, which begins at nine. Of an hour that a clock change repeats, the
    /// earlier one; in one that it leaves out, nothing begins. None: now
    #[arg(long, value_name = "MOMENT", value_parser = premises::moment)]
    start: Option<NaiveDateTime>,

    /// A JSON file that takes the place of the sample, field by field: `contact`, `account`, `lead` (null for none), `sender`,
    /// `interactions`, `lists`; `enrollment.vars`; and `answers`, what calls keep, by step: {"answers": {"score": {"points": 70}}}.
    /// With --contacts, `answers` alone
    #[arg(long, value_name = "FILE.json")]
    data: Option<PathBuf>,

    /// The folder of the templates that its steps may name by their keys; with --contacts, they are the stored ones
    #[arg(long, value_name = "DIR", conflicts_with = "contacts")]
    templates: Option<PathBuf>,

    /// Print one JSON object a line, with the effects in full; with --contacts, one object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    pub(super) over: simulating::Over,
}

/// Publishes.
pub(super) async fn apply(settings: &Settings, file: &Path, over: &running::Over) -> anyhow::Result<Outcome> {
    let source = read(file)?;
    let app = match open(settings, file, &source).await? {
        Ok(app) => app,
        Err(outcome) => return Ok(outcome),
    };
    let call = Call::system(wiring::request_ids(&app.env)());
    let done = match over.running() {
        Some(running) => running::replace(&app, &call, source.clone(), running).await,
        None => {
            app.sequence_apply(&call, source.clone()).await.map(|applied| print_applied(&applied, ": nothing changed"))
        }
    };
    match done {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => refused(&app, file, &source, error).await,
    }
}

/// Prints what publishing came to, with more words where nothing was.
fn print_applied(applied: &Applied, unchanged: &str) {
    let (Applied::Published(version) | Applied::Unchanged(version)) = applied;
    let (number, key) = (version.number, &version.definition.header.key);
    match applied {
        Applied::Published(_) => println!("published version {number} of {key}"),
        Applied::Unchanged(_) => println!("version {number} of {key} says the same{unchanged}"),
    }
}

/// Prints why a definition is not published: each name that is not there with its line.
async fn refused(app: &App, file: &Path, source: &str, error: AppError) -> anyhow::Result<Outcome> {
    if !matches!(error, AppError::Refused { .. }) {
        return Err(error.into());
    }
    if error.code().parse::<Rule>().is_ok() {
        let problems = app.sequence_problems(&Actor::system(), source).await?;
        if !problems.is_empty() {
            return Ok(report(file, &problems));
        }
    }
    println!("{}: {error} [{}]", file.display(), error.code());
    Ok(Outcome::Failed)
}

/// The application over the database, for a definition that holds there; what is wrong with it is printed.
async fn open(settings: &Settings, file: &Path, source: &str) -> anyhow::Result<Result<App, Outcome>> {
    // What can be said without a database is said without one.
    if let Err(problems) = sequence_validate(source, &Library::unseen()) {
        return Ok(Err(report(file, &problems)));
    }
    let app = wiring::app(settings, wiring::open(settings, Migrate::WhereSafe).await?).await?;
    let library = app.library(source).await?;
    if sequence_validate(source, &library).is_ok() {
        return Ok(Ok(app));
    }
    Ok(Err(report(file, &app.sequence_problems(&Actor::system(), source).await?)))
}

/// Checks; it needs neither configuration nor database.
pub(super) fn validate(file: &Path, templates: Option<&Path>) -> anyhow::Result<Outcome> {
    let source = read(file)?;
    let library = templates.map_or_else(|| Ok(Library::unseen()), template::folder)?;
    match sequence_validate(&source, &library) {
        Ok(definition) => {
            for advice in sequence_advice(&source, &library) {
                println!("{}: advice: {advice}", file.display());
            }
            for (step, uses) in definition.templates_by_step().filter(|_| templates.is_none()) {
                println!(
                    "{}: the template `{}` of the step `{step}` was not looked at; name its folder with --templates",
                    file.display(),
                    uses.template
                );
            }
            println!("{}: {} holds, {} steps", file.display(), definition.header.key, definition.steps.len());
            Ok(Outcome::Done)
        }
        Err(problems) => Ok(report(file, &problems)),
    }
}

/// Prints the schema for editors; it needs neither configuration nor database.
pub(super) fn schema() -> anyhow::Result<Outcome> {
    print::put(&sequence_schema_text())
}

/// Tries out; it needs neither configuration nor database, and knows the shipped working calendars.
pub(super) fn simulate(options: &Simulate) -> anyhow::Result<Outcome> {
    let source = read(&options.file)?;
    let data = options.data()?;
    let start: DateTime<Utc> = match options.start {
        Some(local) => premises::begins(local, options.zone)?,
        None => wiring::now(),
    };
    let library = options.templates.as_deref().map_or_else(|| Ok(Library::closed()), template::folder)?;
    let calendars = calendar::shipped();
    let lines = match sequence_simulate(&source, &library, data.as_ref(), options.zone, start, &calendars) {
        Ok(Ok(lines)) => lines,
        Ok(Err(problems)) => return Ok(options.report(&problems)),
        Err(refused) => return options.refuse(refused),
    };
    if let Ok(definition) = sequence_validate(&source, &library) {
        for premise in premises::of_calendars(&definition, &calendars) {
            options.note(&premise);
        }
    }
    let mut day = 0;
    for line in lines {
        if options.json {
            println!("{}", serde_json::to_string(&line)?);
            continue;
        }
        let at = line.at.with_timezone(&options.zone);
        if line.day != day {
            day = line.day;
            println!("day {day}, {}", at.format("%A %Y-%m-%d"));
        }
        println!("  {}  {:<20} {}", at.format("%H:%M"), line.step, line.what);
    }
    Ok(Outcome::Done)
}

impl Simulate {
    /// The JSON that is given.
    fn data(&self) -> anyhow::Result<Option<Value>> {
        let Some(path) = &self.data else { return Ok(None) };
        let data =
            serde_json::from_str(&read(path)?).with_context(|| format!("{} is not valid JSON", path.display()))?;
        Ok(Some(data))
    }

    /// Says why nothing is simulated: where standard output is for a program, not there.
    fn refuse(&self, error: AppError) -> anyhow::Result<Outcome> {
        if !matches!(error, AppError::Refused { .. }) {
            return Err(error.into());
        }
        let line = format!("{error} [{}]", error.code());
        if self.json {
            eprintln!("{line}")
        } else {
            println!("{line}")
        }
        Ok(Outcome::Failed)
    }

    /// Says what is to be known beside the result: where standard output is for a program, not there.
    fn note(&self, text: &str) {
        if self.json {
            eprintln!("{}: {text}", self.file.display());
        } else {
            println!("{}: {text}", self.file.display());
        }
    }

    /// Says what is wrong with the file: where standard output is for a program, not there.
    fn report(&self, problems: &[Problem]) -> Outcome {
        if !self.json {
            return report(&self.file, problems);
        }
        listed(&self.file, problems).for_each(|line| eprintln!("{line}"));
        Outcome::Failed
    }
}

pub(super) fn report(file: &Path, problems: &[Problem]) -> Outcome {
    listed(file, problems).for_each(|line| println!("{line}"));
    Outcome::Failed
}

fn listed(file: &Path, problems: &[Problem]) -> impl Iterator<Item = String> {
    let lines = problems.iter().map(move |problem| format!("{}: {problem}", file.display()));
    lines.chain(std::iter::once(format!("{} problem(s)", problems.len())))
}

/// Reads `KEY` or `KEY@N`.
pub(super) fn reference(text: &str) -> Result<Reference, String> {
    Reference::parse(text)
        .ok_or_else(|| format!("`{text}` is not of the form welcome, or welcome@3 for one of its versions"))
}

pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
