//! `tandem import`: files of accounts, contacts, leads and recorded histories.

use super::Outcome;
use crate::config::Settings;
use crate::wiring;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tandem_app::Call;
use tandem_app::import::{Job, Mapping, Progress, Step, Summary};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Companies
    Accounts,
    /// People
    Contacts,
    /// Leads with their people
    Leads,
    /// Timed events of a funnel that ran elsewhere: lines of JSON, or CSV through a mapping
    History,
}

/// Options of `tandem import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Good rows are stored, bad rows go to FILE.rejects.csv with line, column, code and sentence. \
                        Running it again changes nothing; a corrected reject file can be imported as it is.\n\
                        Exit codes: 0 imported (also where rows were rejected), 1 failed.")]
pub(super) struct Args {
    /// What the file holds
    #[arg(value_enum)]
    kind: Kind,

    /// The file; UTF-8, with or without a byte-order mark
    file: PathBuf,

    /// The mapping: which column feeds which field (YAML). Without one the columns bear the names of fields
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// Check everything and store nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    json: bool,
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn advanced(&self, step: Step) {
        self.0.set_position(step.bytes);
        let rejected = if step.rejected == 0 { String::new() } else { format!(", {} rejected", step.rejected) };
        self.0.set_message(format!("{} rows{rejected}", step.rows));
    }
}

fn bar(file: &Path) -> anyhow::Result<Bar> {
    let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {msg} {eta}")?;
    // Drawn on a terminal's standard error only.
    let bar = ProgressBar::new(bytes).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(Bar(bar))
}

/// Runs the command.
pub(super) async fn run(mut settings: Settings, args: Args) -> anyhow::Result<Outcome> {
    let mapping = match &args.map {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Some(Mapping::parse(&text).with_context(|| format!("{}", path.display()))?)
        }
    };
    let job = Job { mapping, ..Job::new(&args.file) }.dry(args.dry_run);
    // What a loss of power undoes, running the import again brings back.
    settings.database.sync_every_commit = false;
    let app = wiring::app(&settings, wiring::open_existing(&settings).await?).await?;
    let call = Call::system(format!("import-{}", app.env.id::<uuid::Uuid>(app.env.now())));
    let bar = bar(&args.file)?;
    let done = match args.kind {
        Kind::Accounts => app.import_accounts(&call, &job, &bar).await,
        Kind::Contacts => app.import_contacts(&call, &job, &bar).await,
        Kind::Leads => app.import_leads(&call, &job, &bar).await,
        Kind::History => app.import_history(&call, &job, &bar).await,
    };
    bar.0.finish_and_clear();
    let summary = match done {
        Ok(summary) => summary,
        Err(error) => anyhow::bail!("{}: {error} [{}]", args.file.display(), error.code()),
    };
    if args.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print(&summary);
    }
    Ok(Outcome::Done)
}

fn print(summary: &Summary) {
    let Summary { kind, rows, created, changed, unchanged, rejected, .. } = summary;
    let dry = if summary.dry_run { "dry run, nothing stored: " } else { "" };
    println!("{dry}{kind}: {rows} rows, {created} new, {changed} changed, {unchanged} unchanged, {rejected} rejected");
    if let Some(path) = &summary.rejects {
        println!("the rejected rows and why: {}", path.display());
    }
    if !summary.unused_columns.is_empty() {
        println!("columns that nothing reads: {}", summary.unused_columns.join(", "));
    }
}
