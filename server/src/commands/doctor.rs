//! `tandem doctor`: one line for each thing that must work, and a hint for each that does not.

use super::Outcome;
use crate::config::{ConfigError, Settings};
use crate::wiring;
use chrono::TimeDelta;
use std::time::Duration;
use tandem_domain::email::EmailState;
use tandem_store::jobs::Now;
use tandem_store::{Store, StoreError};

/// The most that the clocks of this machine and of the database may differ.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);
/// A queue whose oldest job is overdue by more than this is not being worked.
const QUEUE_LAG: TimeDelta = TimeDelta::minutes(5);
/// How long to wait for the mail server.
const MAIL_PATIENCE: Duration = Duration::from_secs(10);

/// What one check found.
enum Found {
    Good(String),
    Bad { what: String, hint: String },
    Skipped(&'static str),
}

fn bad(what: impl ToString, hint: impl Into<String>) -> Found {
    Found::Bad { what: what.to_string(), hint: hint.into() }
}

/// Runs every check, also behind one that failed.
pub(super) async fn run(loaded: Result<Settings, ConfigError>) -> anyhow::Result<Outcome> {
    let mut good = true;
    let mut report = |name: &str, found: Found| match found {
        Found::Good(what) => println!("ok    {name:<11} {what}"),
        Found::Skipped(why) => println!("-     {name:<11} not checked: {why}"),
        Found::Bad { what, hint } => {
            good = false;
            println!("FAIL  {name:<11} {what}\n      {:<11} hint: {hint}", "");
        }
    };
    let settings = match loaded {
        Ok(settings) => settings,
        Err(error) => {
            report("config", bad(error, "config/default.toml explains every key"));
            return Ok(Outcome::Failed);
        }
    };
    report("config", Found::Good(format!("links begin with {}", settings.server.base_url())));
    let store = database(&settings).await;
    match &store {
        Ok(store) => {
            report("database", Found::Good(if store.is_sqlite() { "SQLite" } else { "PostgreSQL" }.to_owned()));
            report("migrations", migrations(store).await);
            report("clock", clock(store).await);
            report("queue", queue(store).await);
        }
        Err(error) => {
            report("database", bad(error, "check database.url, and that the server runs and lets this user in"));
            for name in ["migrations", "clock", "queue"] {
                report(name, Found::Skipped("there is no database"));
            }
        }
    }
    report("smtp", smtp(&settings).await);
    report("imap", imap(&settings).await);
    Ok(if good { Outcome::Done } else { Outcome::Failed })
}

async fn database(settings: &Settings) -> anyhow::Result<Store> {
    // Looking must not leave an empty database behind.
    if let Some(path) = settings.database.url.reveal().strip_prefix("sqlite://") {
        let path = path.split('?').next().unwrap_or(path);
        if !std::path::Path::new(path).exists() {
            anyhow::bail!("{path} does not exist; `tandem serve` or `tandem migrate` makes it");
        }
    }
    let store = wiring::connect(settings).await?;
    store.ping().await?;
    Ok(store)
}

async fn migrations(store: &Store) -> Found {
    match store.migrations().await {
        Err(error) => bad(error, "may this user read and create tables?"),
        Ok(all) => {
            let missing: Vec<&str> =
                all.iter().filter(|(_, applied)| !applied).map(|(name, _)| name.as_str()).collect();
            match missing.first() {
                None => Found::Good(format!("{} applied", all.len())),
                Some(first) => {
                    bad(format!("{} missing, the first is {first}", missing.len()), "run `tandem migrate up`")
                }
            }
        }
    }
}

async fn clock(store: &Store) -> Found {
    let here = wiring::now();
    match store.database_time().await {
        Err(error) => bad(error, "the database could not tell the time"),
        Ok(there) => {
            let skew = (here - there).abs();
            let what = format!("{} ms away from the database's", skew.num_milliseconds());
            if skew <= CLOCK_SKEW { Found::Good(what) } else { bad(what, "synchronise both machines (NTP)") }
        }
    }
}

async fn queue(store: &Store) -> Found {
    let look = async {
        let unknown = store.email_counts(&[EmailState::Unknown]).await?.values().sum::<i64>();
        let paused = store.queues().await?.into_iter().filter(|queue| queue.paused).map(|queue| queue.name);
        let latest =
            store.ready_queues(Now::Database).await?.into_iter().next().filter(|ready| ready.wait < TimeDelta::zero());
        let at_work = store.nodes(Now::Database).await?.iter().any(|node| !node.lost());
        let dead = store.dead_jobs().await?;
        Ok::<_, StoreError>((latest, at_work, dead, unknown, paused.collect::<Vec<_>>()))
    };
    let (latest, at_work, dead, unknown, paused) = match look.await {
        Ok(found) => found,
        Err(error) => return bad(error, "run `tandem migrate up`"),
    };
    let what = match &latest {
        Some(ready) => {
            format!("{dead} given up; the oldest due of `{}` is {} s late", ready.queue, -ready.wait.num_seconds())
        }
        None => format!("{dead} given up; the oldest due is 0 s late"),
    };
    if let Some(late) = latest.filter(|ready| -ready.wait > QUEUE_LAG) {
        if at_work {
            let hint = format!(
                "workers are at work and do not keep up with this queue: `tandem jobs list --queue {}` shows what waits",
                late.queue
            );
            return bad(what, hint);
        }
        bad(what, "no worker runs: `tandem serve` has workers unless jobs.workers is false; else `tandem worker`")
    } else if dead > 0 {
        bad(
            what,
            "they failed too often and wait for a person: `tandem jobs dead` says why; when that is mended, \
             `tandem jobs redrive --all` brings them back",
        )
    } else if let Some(first) = paused.first() {
        bad(
            format!("paused: {}", paused.join(", ")),
            format!("nothing of it starts; `tandem jobs resume {first}` when it may go on"),
        )
    } else if unknown > 0 {
        bad(
            format!("{unknown} e-mails of unknown fate"),
            "they were on their way when a worker died or a line broke, and wait for a person: `tandem emails list`",
        )
    } else {
        Found::Good(what)
    }
}

async fn smtp(settings: &Settings) -> Found {
    if settings.smtp.host.is_empty() {
        return Found::Skipped("smtp.host is empty, so e-mails wait");
    }
    let mailer = match wiring::mailer(settings) {
        Ok(mailer) => mailer,
        Err(error) => return bad(error, "config/default.toml explains every key of [smtp]"),
    };
    match tokio::time::timeout(MAIL_PATIENCE, mailer.check()).await {
        Ok(Ok(what)) if settings.smtp.from_name.is_empty() => {
            Found::Good(format!("{what}; smtp.from_name is empty, so `sender.name` in e-mails is smtp.from"))
        }
        Ok(Ok(what)) => Found::Good(what),
        Ok(Err(error)) => bad(error, "check smtp.host, smtp.port, smtp.tls and the login, and the firewall"),
        Err(_) => bad(
            format!("{}:{} does not answer", settings.smtp.host, settings.smtp.port),
            "check smtp.host and smtp.port, and the firewall",
        ),
    }
}

async fn imap(settings: &Settings) -> Found {
    let inbox = match wiring::inbox(settings) {
        Ok(None) if !settings.smtp.unsubscribe_mailbox.is_empty() => {
            return Found::Skipped(
                "imap.host is empty; does a webhook bring what comes to smtp.unsubscribe_mailbox? Every e-mail promises it",
            );
        }
        Ok(None) => return Found::Skipped("imap.host is empty, so nobody looks for answers"),
        Ok(Some(inbox)) => inbox,
        Err(error) => return bad(error, "config/default.toml explains every key of [imap]"),
    };
    match tokio::time::timeout(MAIL_PATIENCE, inbox.check()).await {
        Ok(Ok(what)) => Found::Good(what),
        Ok(Err(error)) => bad(
            error,
            "check imap.host, imap.port, imap.tls, imap.ca_file, the login and imap.folder, and the firewall",
        ),
        Err(_) => bad(
            format!("{}:{} does not answer", settings.imap.host, settings.imap.port),
            "check imap.host and imap.port, and the firewall",
        ),
    }
}
