//! `tandem sequence list`, `pause`, `resume` and `archive`: what there is, and what an operator does to it.

use crate::commands::Outcome;
use crate::commands::print::{list, or_dash, plain, put, short, time};
use crate::config::Settings;
use crate::wiring;
use chrono::{DateTime, Utc};
use serde_json::json;
use tandem_app::sequence::{SequenceArchive, SequenceCatchUp, SequencePause, SequencePauseUntil, SequenceResume};
use tandem_app::{App, AppError, Call};
use tandem_domain::id::SequenceId;
use tandem_domain::sequence::backlog::{Backlog, Wish};
use tandem_domain::sequence::{Sequence, SequenceState};
use tandem_store::Page;

/// Options of `tandem sequence list`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct List {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Options of `tandem sequence pause`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Pause {
    /// The sequence
    key: String,

    /// When it goes on by itself, for example 2026-03-02T09:00:00Z. None: when somebody resumes it
    #[arg(long, value_name = "MOMENT")]
    until: Option<DateTime<Utc>>,
}

/// Options of `tandem sequence resume`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Resume {
    /// The sequence
    key: String,

    /// What becomes of what fell due meanwhile: send (all of it now), skip, latest (of the e-mails each missed, the newest) or
    /// spread (over some days). None: up to 100 runs go on at once, more over a day
    #[arg(long, value_name = "CHOICE", value_parser = backlog)]
    backlog: Option<Backlog>,

    /// Over how many days; for latest and spread, which it means where no choice is named
    #[arg(long, value_name = "N")]
    days: Option<u32>,
}

/// Options of `tandem sequence archive`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Archive {
    /// The sequence
    key: String,
}

fn backlog(text: &str) -> Result<Backlog, String> {
    text.to_uppercase().parse().map_err(|_| format!("`{text}` is not one of send, skip, latest, spread"))
}

async fn opened(settings: &Settings) -> anyhow::Result<(App, Call)> {
    let app = wiring::app(settings, wiring::open_existing(settings).await?).await?;
    let call = Call::system(wiring::request_ids(&app.env)());
    Ok((app, call))
}

/// Prints every sequence, its state, and how many runs of it are alive or wait for the end of its pause.
pub(in crate::commands) async fn show(settings: &Settings, options: &List) -> anyhow::Result<Outcome> {
    let (app, _) = opened(settings).await?;
    let page = app.store.sequence_page(&[], &Page::first(options.limit)).await?;
    let ids = || page.items.iter().map(|sequence| sequence.id);
    let counts = app.store.enrollment_counts_of(ids()).await?;
    let backlogs = app.store.count_paused_with_each(ids()).await?;
    let live = |sequence: &Sequence| -> i64 {
        let states = counts.get(&sequence.id).into_iter().flatten();
        states.filter(|(state, _)| state.is_live()).map(|(_, count)| *count).sum()
    };
    let waiting = |sequence: &Sequence| backlogs.get(&sequence.id).copied().unwrap_or(0);
    let fields = |sequence: &Sequence| {
        json!({
            "key": sequence.key, "name": sequence.name, "state": sequence.state, "version": sequence.latest_number,
            "pausedUntil": sequence.paused_until.map(time), "liveRuns": live(sequence), "backlog": waiting(sequence),
        })
    };
    let row = |sequence: &Sequence| {
        [
            plain(&sequence.key),
            sequence.state.to_string(),
            sequence.latest_number.to_string(),
            live(sequence).to_string(),
            waiting(sequence).to_string(),
            or_dash(sequence.paused_until.map(time)),
            short(&sequence.name),
        ]
    };
    let head = ["KEY", "STATE", "VERSION", "LIVE", "BACKLOG", "PAUSED UNTIL", "NAME"];
    list(page, false, options.json, "no sequences", fields, head, row)
}

/// Lets a sequence stand still.
pub(in crate::commands) async fn pause(settings: &Settings, options: &Pause) -> anyhow::Result<Outcome> {
    let (app, call) = opened(settings).await?;
    let Some(sequence) = known(&app, &options.key).await? else { return unknown(&options.key) };
    let done = match options.until {
        Some(until) => app.run(&call, SequencePauseUntil { sequence, until }).await,
        None => app.run(&call, SequencePause { sequence }).await,
    };
    said(done)
}

/// Lets a paused sequence go on.
pub(in crate::commands) async fn resume(settings: &Settings, options: &Resume) -> anyhow::Result<Outcome> {
    let (app, call) = opened(settings).await?;
    let Some(sequence) = known(&app, &options.key).await? else { return unknown(&options.key) };
    let backlog = options.backlog.or_else(|| options.days.map(|_| Backlog::Spread));
    let done = match backlog {
        Some(backlog) => {
            let wish = Wish { backlog, days: options.days };
            app.run(&call, SequenceCatchUp { sequence, wish }).await
        }
        None => app.run(&call, SequenceResume { sequence }).await,
    };
    said(done)
}

/// Ends a sequence for good.
pub(in crate::commands) async fn archive(settings: &Settings, options: &Archive) -> anyhow::Result<Outcome> {
    let (app, call) = opened(settings).await?;
    let Some(sequence) = known(&app, &options.key).await? else { return unknown(&options.key) };
    said(app.run(&call, SequenceArchive { sequence }).await)
}

async fn known(app: &App, key: &str) -> anyhow::Result<Option<SequenceId>> {
    Ok(app.store.sequence_by_key(key).await?.map(|sequence| sequence.id))
}

fn unknown(key: &str) -> anyhow::Result<Outcome> {
    println!("there is no sequence `{}`; `tandem sequence list` names those there are", plain(key));
    Ok(Outcome::Failed)
}

/// Says what it is now, or why it stays what it was.
fn said(done: Result<Sequence, AppError>) -> anyhow::Result<Outcome> {
    match done {
        Ok(sequence) => {
            let until = sequence.paused_until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
            let resumed = sequence.resumption.as_ref().filter(|_| sequence.state == SequenceState::Active);
            let runs = resumed.map(|resumed| {
                let over = resumed.days.map(|days| format!(" over {days} day(s)")).unwrap_or_default();
                format!("; {} run(s) that fell due: {}{over}", resumed.runs, resumed.backlog)
            });
            put(&format!("{} is {}{until}{}", plain(&sequence.key), sequence.state, runs.unwrap_or_default()))
        }
        Err(error @ AppError::Refused { .. }) => {
            println!("{error} [{}]", error.code());
            Ok(Outcome::Failed)
        }
        Err(error) => Err(error.into()),
    }
}
