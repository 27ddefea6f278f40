//! The demo: a month of the whole loop on a virtual clock, through the same commands, jobs and SMTP as in production.
//!
//! The month is played hour by hour. What the people do depends on the state they find and on lots that depend on
//! names alone (the module `lots`), so a month that is interrupted, even by a kill, goes on from the database and comes to the
//! same end. The demo's clock is kept in a checkpoint.

mod lists;
mod lots;
mod market;
mod marketing;
mod office;
mod people;
mod report;
mod sales;
mod sdr;

pub use report::Report;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use market::Market;
use people::People;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use tandem_app::Tracking;
use tandem_app::email::port::Mailbox;
use tandem_app::email::{Links, Mail};
use tandem_app::outbound::{Hooks, NoSender};
use tandem_app::{App, Env, NoTraces, SeededChance, SeededIds, VirtualClock};
use tandem_connectors::sink::{Sink, SinkOptions};
use tandem_connectors::smtp::{SmtpMailer, SmtpSettings, TlsMode};
use tandem_domain::access::Role;
use tandem_domain::target_list::ChangeReason;
use tandem_jobs::{Runner, Settings as RunnerSettings};
use tandem_store::Store;

const CHECKPOINT: &str = "demo.month";
const HOURS: i64 = 30 * 24;
/// Its leases are given back at every start, so it must be nobody else's.
const NODE: &str = "demo";

/// How far the month has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Progress {
    /// When it began, in milliseconds since 1970.
    start_ms: i64,
    /// How many hours are over.
    hours: i64,
    /// How many parts of the hour at hand are over.
    #[serde(default)]
    parts: usize,
    /// How often it was started: ids of one start never meet those of another.
    starts: u32,
}

/// The parts of an hour, in their order. A part that is over is not repeated, since it would find what a later one did an
/// hour too early: a lead that a manager gave back would be verified again in the same hour.
#[derive(Debug, Clone, Copy)]
enum Part {
    Lists,
    Leads,
    Sdrs,
    Sales,
    Returns,
    Evening,
}

impl Part {
    const ALL: [Self; 6] = [Self::Lists, Self::Leads, Self::Sdrs, Self::Sales, Self::Returns, Self::Evening];
}

/// A month being played.
struct Play {
    app: App,
    clock: Arc<VirtualClock>,
    runner: Runner,
    people: People,
    market: Market,
    start: DateTime<Utc>,
    sink: Arc<Sink>,
}

/// A month that was played, ready to be looked at.
pub struct Played {
    /// What it came to.
    pub report: Report,
    /// The mail server of the demo, which must live as long as anything is sent to it.
    pub sink: Arc<Sink>,
    /// The mailer of the month, for the server that goes on with it.
    pub mail: Arc<Mail>,
    /// One user for each role that a token is printed for.
    pub cast: Vec<(Role, tandem_domain::access::User)>,
}

/// What the demo needs to begin.
pub struct Stage {
    /// The database, migrated.
    pub store: Store,
    /// When a month that has not begun begins.
    pub start: DateTime<Utc>,
    /// What links in e-mails begin with.
    pub base_url: String,
    /// Signs links.
    pub link_secret: String,
    /// Where the demo's mail server appends what it receives, a line of JSON a message.
    pub mail_log: PathBuf,
    /// Told after each hour: hours over, hours in all.
    pub progress: Box<dyn Fn(i64, i64) + Send + Sync>,
}

/// Plays the month, or what is left of it.
pub async fn play(stage: Stage) -> Result<Played> {
    let Stage { store, start, base_url, link_secret, mail_log, progress: tell } = stage;
    let mut progress = match store.checkpoint(CHECKPOINT).await? {
        Some(saved) => serde_json::from_str(&saved).context("the demo's checkpoint cannot be read")?,
        None => Progress { start_ms: start.timestamp_millis(), hours: 0, parts: 0, starts: 0 },
    };
    progress.starts += 1;
    save(&store, &progress).await?;
    let start = DateTime::from_timestamp_millis(progress.start_ms).context("the demo's checkpoint cannot be read")?;

    let options = SinkOptions { file: Some(mail_log), ..SinkOptions::default() };
    let sink = Arc::new(Sink::start(options).await.context("starting the demo's mail server")?);
    let smtp = SmtpSettings {
        host: sink.address().ip().to_string(),
        port: Some(sink.address().port()),
        tls: TlsMode::None,
        ..SmtpSettings::default()
    };
    let mail = Arc::new(Mail {
        mailer: Arc::new(SmtpMailer::new(smtp)?),
        links: Links::new(&base_url, link_secret.as_bytes())?,
        from: Mailbox::named("Tandem demo", "hello@tandem.example"),
        reply_to: None,
        tracking: Tracking::default(),
        inbox: None,
        unsubscribe_mailbox: None,
    });
    let clock = Arc::new(VirtualClock::new(progress.start_ms));
    let env = Env {
        clock: clock.clone(),
        ids: Arc::new(SeededIds::part(1, progress.starts)),
        chance: Arc::new(SeededChance::new(1)),
        traces: Arc::new(NoTraces),
        mail: mail.clone(),
        // What is played is no news for anybody outside.
        hooks: Arc::new(Hooks::usual(Arc::new(NoSender))),
        queue: Arc::new(tandem_app::QueueRules::shipped()?),
    };
    let app = App::new(store.clone(), env);
    let runner = Runner::new(app.clone(), NODE, RunnerSettings::default());
    let market = Market::open()?;
    // What a killed month had in hand comes first again.
    store.release_node(NODE).await?;

    clock.set(start + TimeDelta::hours(progress.hours));
    let people = People::gather(&app).await?;
    let play = Play { app, clock, runner, people, market, start, sink: sink.clone() };
    play.set_up().await?;
    if progress.hours == 0 {
        play.stock().await?;
    }
    while progress.hours < HOURS {
        play.clock.set(start + TimeDelta::hours(progress.hours));
        for (number, part) in Part::ALL.iter().enumerate().skip(progress.parts) {
            let hour = progress.hours;
            play.part(*part, hour).await.with_context(|| format!("{part:?} in hour {hour} of the month"))?;
            progress.parts = number + 1;
            save(&store, &progress).await?;
        }
        progress.hours += 1;
        progress.parts = 0;
        save(&store, &progress).await?;
        tell(progress.hours, HOURS);
    }
    let report = Report::of(&play, start, start + TimeDelta::hours(HOURS)).await?;
    let People { marketing, sdrs, reps, admin, .. } = play.people;
    let first = |users: Vec<_>| users.into_iter().next();
    let cast = [
        (Role::Marketing, first(marketing)),
        (Role::Sdr, first(sdrs)),
        (Role::Sales, first(reps)),
        (Role::Admin, Some(admin)),
    ];
    let cast = cast.into_iter().filter_map(|(role, user)| Some((role, user?))).collect();
    Ok(Played { report, sink, mail, cast })
}

async fn save(store: &Store, progress: &Progress) -> Result<()> {
    Ok(store.save_checkpoint(CHECKPOINT, &serde_json::to_string(progress)?).await?)
}

impl Play {
    /// Runs every job that is due.
    async fn settle(&self) -> Result<()> {
        self.runner.run_due().await?;
        Ok(())
    }

    fn messages_received(&self) -> usize {
        self.sink.count()
    }

    /// Lets a part of an hour happen. It may be repeated from any point of it: what was done already is found done, and
    /// what follows from it waits for a later part or hour.
    async fn part(&self, part: Part, hour: i64) -> Result<()> {
        self.settle().await?;
        match part {
            Part::Lists => self.lists(hour).await,
            Part::Leads => self.take_leads().await,
            // The last day's leads and the last hours' offers are left for whoever looks around afterwards.
            Part::Sdrs if hour < HOURS - 24 && self.is_open().await? => self.sdrs_work().await,
            Part::Sales if hour < HOURS - 6 && self.is_open().await? => self.sales_works().await,
            Part::Returns if hour < HOURS - 6 && self.is_open().await? => self.returns_reviewed().await,
            Part::Sdrs | Part::Sales | Part::Returns => Ok(()),
            Part::Evening => self.unsubscribe_some().await,
        }
    }

    async fn lists(&self, hour: i64) -> Result<()> {
        let marketer = self.people.marketing.first().context("there are marketers")?;
        let rep = self.people.reps.first().context("there are reps")?;
        match (hour.div_euclid(24), self.app.env.now().hour()) {
            (0, 15) => self.propose(marketer, 0.0..0.62, ChangeReason::IcpFit).await?,
            (1, 15) => self.decide(&self.people.manager).await?,
            (2, 15) => self.launch().await?,
            (9, 16) => self.suspend_one().await?,
            (12, 15) => self.propose(rep, 0.62..0.66, ChangeReason::SalesNominated).await?,
            (13, 15) => self.decide(marketer).await?,
            _ => {}
        }
        self.settle().await
    }
}
