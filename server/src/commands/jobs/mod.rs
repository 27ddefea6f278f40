//! `tandem jobs`: what operators see of jobs, queues, schedules and nodes, and what they do to them.

mod show;

use super::Outcome;
use crate::config::Settings;
use crate::wiring;
use clap::ArgGroup;
use tandem_app::{App, Call, JobQueueSave, JobScheduleSwitch, JobsCancel, JobsRedrive, JobsRunNow};
use tandem_domain::edit::Edit;
use tandem_store::Page;
use tandem_store::jobs::{self, ArchiveFilter, JobFilter, JobState, Now};

/// What to look at, or what to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// The jobs that wait or run
    List(List),
    /// The jobs that were given up, with the reason; --id N shows everything of one
    Dead(Dead),
    /// Every queue: whether it is paused, its limits and what it holds
    Queues(Print),
    /// Let a queue start nothing more; what runs comes to its end
    Pause(Queue),
    /// Let a paused queue go on
    Resume(Queue),
    /// Set or lift limits of a queue; what is not named stays
    Limit(Limit),
    /// Call jobs off, running ones too; they are kept as cancelled and can be brought back
    Cancel(Cancel),
    /// Let jobs that wait be started at once
    RunNow(RunNow),
    /// Bring jobs that were given up or called off back, with all their attempts before them
    Redrive(Redrive),
    /// Every schedule
    Schedules(Print),
    /// The processes that run jobs, as they last reported
    Nodes(Print),
    /// Let a schedule stand still
    PauseSchedule(Schedule),
    /// Let a schedule go on at its next tick; what it missed is not made up for
    ResumeSchedule(Schedule),
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Print {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A state by its name at the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum State {
    /// Due, and nobody has it
    Due,
    /// Leased to a node
    Running,
    /// Not yet due, or put off after an attempt
    Waiting,
}

#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// Only of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,

    /// Only of this kind, for example deliver_email
    #[arg(long)]
    kind: Option<String>,

    /// Only the job with this number; may be given more than once
    #[arg(long = "id", value_name = "NUMBER")]
    ids: Vec<i64>,

    /// Only in this state
    #[arg(long, value_enum)]
    state: Option<State>,

    /// Only those of which an attempt failed
    #[arg(long)]
    failed: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct WhichArchived {
    /// Only of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,

    /// Only of this kind, for example deliver_email
    #[arg(long)]
    kind: Option<String>,

    /// Only the job with this number, however it ended; may be given more than once
    #[arg(long = "id", value_name = "NUMBER")]
    ids: Vec<i64>,

    /// Only those whose reason contains this text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Those that were called off, instead of those that were given up
    #[arg(long)]
    cancelled: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
pub(super) struct Dead {
    #[command(flatten)]
    which: WhichArchived,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
pub(super) struct Queue {
    /// The queue
    #[arg(value_name = "QUEUE")]
    name: String,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
#[command(
    group(ArgGroup::new("limits").required(true).multiple(true)
        .args(["max_running", "max_running_per_key", "per_minute", "per_minute_per_key"])),
    after_help = "Limits hold over all nodes together.\n\nExample:\n  tandem jobs limit mail --per-minute 600 --max-running none"
)]
pub(super) struct Limit {
    /// The queue
    #[arg(value_name = "QUEUE")]
    name: String,

    /// Jobs at once, or `none`
    #[arg(long, value_name = "N", value_parser = edit)]
    max_running: Option<Edit<i32>>,

    /// Jobs at once under one limit key, or `none`
    #[arg(long, value_name = "N", value_parser = edit)]
    max_running_per_key: Option<Edit<i32>>,

    /// Starts a minute, or `none`
    #[arg(long, value_name = "N", value_parser = edit)]
    per_minute: Option<Edit<i32>>,

    /// Starts a minute under one limit key, or `none`
    #[arg(long, value_name = "N", value_parser = edit)]
    per_minute_per_key: Option<Edit<i32>>,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("some").required(true).multiple(true)
    .args(["queue", "kind", "ids", "state", "failed", "all"])))]
pub(super) struct Cancel {
    #[command(flatten)]
    which: Which,

    /// Every job; needed where no other condition is given
    #[arg(long)]
    all: bool,

    /// Why: it is kept with the jobs and in the ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// How many at most, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("some").required(true).multiple(true)
    .args(["queue", "kind", "ids", "state", "failed", "all"])))]
pub(super) struct RunNow {
    #[command(flatten)]
    which: Which,

    /// Every job that waits; needed where no other condition is given
    #[arg(long)]
    all: bool,

    /// How many at most, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("some").required(true).multiple(true)
    .args(["queue", "kind", "ids", "reason", "all"])))]
pub(super) struct Redrive {
    #[command(flatten)]
    which: WhichArchived,

    /// Every job that was given up (with --cancelled: called off); needed where no other condition is given
    #[arg(long)]
    all: bool,

    /// How many at most, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,

    #[command(flatten)]
    print: Print,
}

#[derive(Debug, clap::Args)]
pub(super) struct Schedule {
    /// The schedule
    #[arg(value_name = "SCHEDULE")]
    name: String,

    #[command(flatten)]
    print: Print,
}

fn ids(ids: &[i64]) -> Option<Vec<i64>> {
    (!ids.is_empty()).then(|| ids.to_vec())
}

impl Which {
    fn filter(&self) -> JobFilter {
        let state = self.state.map(|state| match state {
            State::Due => JobState::Due,
            State::Running => JobState::Running,
            State::Waiting => JobState::Waiting,
        });
        let (queue, kind) = (self.queue.clone(), self.kind.clone());
        JobFilter { ids: ids(&self.ids), queue, kind, state, failed: self.failed }
    }
}

impl WhichArchived {
    fn filter(&self) -> ArchiveFilter {
        // Whoever names a job means that job.
        let outcome = match (self.cancelled, self.ids.is_empty()) {
            (true, _) => Some(jobs::Outcome::Cancelled),
            (false, true) => Some(jobs::Outcome::Dead),
            (false, false) => None,
        };
        let (queue, kind, reason) = (self.queue.clone(), self.kind.clone(), self.reason.clone());
        ArchiveFilter { ids: ids(&self.ids), queue, kind, outcome, reason }
    }
}

/// A limit, or `none`.
fn edit(text: &str) -> Result<Edit<i32>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Edit::Clear);
    }
    text.parse().map(Edit::Set).map_err(|_| format!("`{text}` is neither a whole number nor `none`"))
}

/// Runs the command.
pub(super) async fn run(settings: &Settings, command: Command) -> anyhow::Result<Outcome> {
    let app = wiring::app(settings, wiring::open_existing(settings).await?).await?;
    // Whoever can run this command has the database anyway; the record says that Tandem's operator did it.
    let call = Call::system(format!("cli-{}", app.env.id::<uuid::Uuid>(app.env.now())));
    let store = &app.store;
    match command {
        Command::List(List { which, limit, print }) => {
            let page = store.job_page(&which.filter(), Now::Database, &Page::first(limit)).await?;
            show::jobs(page, !which.ids.is_empty(), print.json)
        }
        Command::Dead(Dead { which, limit, print }) => {
            let page = store.archived_jobs(&which.filter(), &Page::first(limit)).await?;
            show::archived(page, !which.ids.is_empty(), print.json)
        }
        Command::Queues(print) => {
            show::queues(&store.queues().await?, &store.job_depths(Now::Database).await?, print.json)
        }
        Command::Schedules(print) => show::schedules(&store.schedules().await?, print.json),
        Command::Nodes(print) => show::nodes(&store.nodes(Now::Database).await?, print.json),
        Command::Pause(Queue { name, print }) => {
            save(&app, &call, JobQueueSave { name, paused: Some(true), ..JobQueueSave::default() }, print).await
        }
        Command::Resume(Queue { name, print }) => {
            save(&app, &call, JobQueueSave { name, paused: Some(false), ..JobQueueSave::default() }, print).await
        }
        Command::Limit(limit) => {
            let command = JobQueueSave {
                name: limit.name,
                paused: None,
                max_running: limit.max_running.unwrap_or_default(),
                max_running_per_key: limit.max_running_per_key.unwrap_or_default(),
                per_minute: limit.per_minute.unwrap_or_default(),
                per_minute_per_key: limit.per_minute_per_key.unwrap_or_default(),
            };
            save(&app, &call, command, limit.print).await
        }
        Command::Cancel(Cancel { which, all: _, reason, limit, print }) => {
            let changed = app.run(&call, JobsCancel { filter: which.filter(), reason, limit }).await?;
            show::changed("called off", changed.jobs, limit, print.json)
        }
        Command::RunNow(RunNow { which, all: _, limit, print }) => {
            let changed = app.run(&call, JobsRunNow { filter: which.filter(), limit }).await?;
            show::changed("brought forward", changed.jobs, limit, print.json)
        }
        Command::Redrive(Redrive { which, all: _, limit, print }) => {
            let changed = app.run(&call, JobsRedrive { filter: which.filter(), limit }).await?;
            // No lease of before may be good for them.
            show::changed("brought back under new numbers", changed.jobs, limit, print.json)
        }
        Command::PauseSchedule(schedule) => switch(&app, &call, schedule, true).await,
        Command::ResumeSchedule(schedule) => switch(&app, &call, schedule, false).await,
    }
}

async fn save(app: &App, call: &Call, command: JobQueueSave, print: Print) -> anyhow::Result<Outcome> {
    let queue = app.run(call, command).await?;
    show::queues(&[queue], &app.store.job_depths(Now::Database).await?, print.json)
}

async fn switch(app: &App, call: &Call, schedule: Schedule, paused: bool) -> anyhow::Result<Outcome> {
    let Schedule { name, print } = schedule;
    app.run(call, JobScheduleSwitch { name: name.clone(), paused }).await?;
    let mut schedules = app.store.schedules().await?;
    schedules.retain(|schedule| schedule.name == name);
    show::schedules(&schedules, print.json)
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;
    use clap::Parser;

    fn parses(line: &str) -> bool {
        Cli::try_parse_from(line.split(' ')).is_ok()
    }

    #[test]
    fn what_changes_many_jobs_needs_a_condition_or_all() {
        for command in ["cancel --reason x", "redrive", "run-now"] {
            assert!(!parses(&format!("tandem jobs {command}")), "{command}");
            for which in ["--all", "--queue mail", "--kind prune", "--id 7 --id 8"] {
                assert!(parses(&format!("tandem jobs {command} {which}")), "{command} {which}");
            }
        }
        assert!(parses("tandem jobs cancel --reason x --state waiting"));
        assert!(parses("tandem jobs redrive --reason down"));
        assert!(!parses("tandem jobs redrive --cancelled"), "all that were called off is a lot too");
        assert!(!parses("tandem jobs cancel --all"), "a reason is needed");
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(edit("60"), Ok(Edit::Set(60)));
        assert_eq!(edit("none"), Ok(Edit::Clear));
        assert!(edit("many").is_err());
        assert!(!parses("tandem jobs limit mail"));
        assert!(parses("tandem jobs limit mail --per-minute 600 --max-running none"));
    }

    #[test]
    fn the_dead_are_those_given_up_unless_a_job_is_named() {
        let which = WhichArchived { queue: None, kind: None, ids: Vec::new(), reason: None, cancelled: false };
        assert_eq!(which.filter().outcome, Some(jobs::Outcome::Dead));
        assert_eq!(WhichArchived { ids: vec![7], ..which.clone() }.filter().outcome, None);
        assert_eq!(WhichArchived { cancelled: true, ..which }.filter().outcome, Some(jobs::Outcome::Cancelled));
    }
}
