//! `tandem sequence simulate --contacts`: over the people of the configured database.

mod print;

use super::{Simulate, read, reference};
use crate::commands::Outcome;
use crate::config::Settings;
use crate::wiring::{self, Migrate};
use anyhow::Context;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use std::collections::BTreeSet;
use tandem_app::sequence::{SimulationAsk, SimulationRefusal as Refusal, Who};
use tandem_domain::email_template::library::Reference;
use tandem_domain::sequence::simulation::{Assumed, Assumptions, Entering, Follow, MOST_DAYS, Rate, answers_alone};

/// The most people where nobody says otherwise.
const MOST: u64 = 20_000;

/// The part of the options that is about real people.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Over {
    /// Simulate over the people of the database: `all`, `list:KEY` (at the companies of a target list), `sequence:KEY` (who run
    /// through it now), or a condition in CEL such as "'vip' in contact.tags"
    #[arg(long, value_name = "WHO")]
    contacts: Option<String>,

    /// How many days
    #[arg(long, value_name = "N", default_value_t = 90, requires = "contacts",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_DAYS)))]
    days: u32,

    /// What lots are drawn from: the same number gives the same result
    #[arg(long, value_name = "N", default_value_t = 1, requires = "contacts")]
    seed: u64,

    /// The most people; more are left out, which is said
    #[arg(long, value_name = "N", default_value_t = MOST, requires = "contacts",
        value_parser = clap::value_parser!(u64).range(1..))]
    most: u64,

    /// When people begin: `at-once`, `over:DAYS` (evenly), or `triggered` (when --history sets a trigger off)
    #[arg(long, value_name = "WHEN", default_value = "at-once", value_parser = entering, requires = "contacts")]
    enter: Entering,

    /// Days (UTC) of the recorded past that people live through again from the beginning on: 2026-01-01..2026-04-01
    #[arg(long, value_name = "FROM..TO", value_parser = history, requires = "contacts")]
    history: Option<(DateTime<Utc>, DateTime<Utc>)>,

    /// Compare with a published version of a sequence: KEY for the newest, or KEY@NUMBER
    #[arg(long, value_name = "KEY[@N]", value_parser = reference, requires = "contacts")]
    against: Option<Reference>,

    /// What people are assumed to do: open, click, reply, bounce and unsubscribe (of e-mails), task.END such as task.done (what
    /// is left of all tasks is not done; together at most 1) and event.KIND such as event.download (of what is waited for). May be given several times,
    /// each thing once
    #[arg(long, value_name = "WHAT=RATE", value_parser = assumption, requires = "contacts")]
    assume: Vec<(Assumed, Rate)>,

    /// How many tasks each SDR does on a day, to mark days on which more come in
    #[arg(long, value_name = "N", requires = "contacts")]
    tasks_a_day: Option<u32>,

    /// Print the plans of the first N people in full
    #[arg(long, value_name = "N", default_value_t = 3, requires = "contacts")]
    follow: usize,
}

impl Over {
    /// Whether real people are asked for.
    pub(in crate::commands) const fn is_asked(&self) -> bool {
        self.contacts.is_some()
    }
}

/// Tries out over real people; nothing is stored or sent.
pub(in crate::commands) async fn run(settings: &Settings, options: &Simulate) -> anyhow::Result<Outcome> {
    let over = &options.over;
    let assumptions = Assumptions::of(over.assume.iter().copied()).context("--assume")?;
    let data = options.data()?;
    let answers = match data.as_ref().map(answers_alone).transpose() {
        Ok(answers) => answers.flatten().cloned(),
        Err(faults) => return options.refuse(Refusal::data("data", &faults).into()),
    };
    let ask = SimulationAsk {
        source: read(&options.file)?,
        against: over.against.clone().map(|Reference { key, number }| (key, number)),
        who: who(over.contacts.as_deref().unwrap_or("all")),
        most: over.most,
        start: options.start.map(|local| super::premises::begins(local, options.zone)).transpose()?,
        days: over.days,
        seed: over.seed,
        zone: options.zone,
        entering: over.enter,
        assumptions,
        answers,
        publisher: None,
        history: over.history,
        tasks_a_day: over.tasks_a_day,
        follow: Follow { people: BTreeSet::new(), first: over.follow },
        most_beats: None,
    };
    let app = wiring::app(settings, wiring::open(settings, Migrate::WhereSafe).await?).await?;
    let simulated = match app.sequence_simulate_contacts(&ask).await {
        Ok(Ok(simulated)) => simulated,
        Ok(Err(problems)) => return Ok(options.report(&problems)),
        Err(error) => return options.refuse(error),
    };
    if options.json {
        println!("{}", serde_json::to_string(&print::as_json(&simulated))?);
    } else {
        print::tables(&options.file, &simulated, options.zone);
    }
    Ok(Outcome::Done)
}

fn who(text: &str) -> Who {
    if let Some(key) = text.strip_prefix("list:") {
        return Who::OnList(key.to_owned());
    }
    if let Some(key) = text.strip_prefix("sequence:") {
        return Who::InSequence(key.to_owned());
    }
    if text == "all" { Who::Everybody } else { Who::Where(text.to_owned()) }
}

fn entering(text: &str) -> Result<Entering, String> {
    let days = |days: &str| days.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days));
    match text {
        "at-once" => Ok(Entering::AtOnce),
        "triggered" => Ok(Entering::Triggered),
        _ => text
            .strip_prefix("over:")
            .and_then(days)
            .map(Entering::Over)
            .ok_or_else(|| format!("`{text}` is not at-once, over:DAYS with 1 to {MOST_DAYS} days, or triggered")),
    }
}

fn history(text: &str) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    text.split_once("..")
        .and_then(|(from, to)| Some((day(from)?, day(to)?)))
        .map(|(from, to)| {
            let begins = |date: NaiveDate| Utc.from_utc_datetime(&date.and_time(NaiveTime::MIN));
            (begins(from), begins(to))
        })
        .ok_or_else(|| format!("`{text}` is not a stretch of days such as 2026-01-01..2026-04-01"))
}

fn assumption(text: &str) -> Result<(Assumed, Rate), String> {
    let (what, rate) = text.split_once('=').ok_or_else(|| format!("`{text}` has no rate; write reply=0.03"))?;
    let assumed = what.parse().map_err(|error: tandem_domain::code::UnknownCode| error.to_string())?;
    let rate = rate.parse().map_err(|error: tandem_domain::sequence::simulation::RateUnreadable| error.to_string())?;
    Ok((assumed, rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_domain::interaction::InteractionKind;

    #[test]
    fn what_is_assumed_is_read() {
        assert_eq!(assumption("event.download=1"), Ok((Assumed::Event(InteractionKind::Download), Rate::ALL)));
        for wrong in ["reply", "reply=3", "task.gone=1", "sleep=0.1"] {
            assert!(assumption(wrong).is_err(), "{wrong}");
        }
        assert_eq!(entering("over:30"), Ok(Entering::Over(30)));
        assert!(entering("over:0").is_err() && entering("soon").is_err());
        assert!(history("2026-01-01..2026-02-01").is_ok() && history("2026-01-01").is_err());
        assert_eq!(reference("welcome@2"), Ok(Reference { key: "welcome".to_owned(), number: Some(2) }));
        assert!(reference("welcome@0").is_err() && reference("welcome@two").is_err() && reference("@2").is_err());
        assert_eq!(who("list:tier_one"), Who::OnList("tier_one".to_owned()));
    }
}
