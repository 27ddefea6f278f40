//! The counting of a simulation.

use super::outcome::{CapHold, DayCount, Hold, Holds, MailboxLoad, Mark, QueueLoad, StepCount, Totals, What};
use super::population::Plan;
use crate::id::SendingMailboxId;
use crate::sequence::definition::Definition;
use crate::sequence::steps::send_email::POOL_WITHOUT_MAILBOX;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// What holds an e-mail up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Cap(String),
    Window,
    Mailbox,
    Pool,
    Consent,
}

impl Reason {
    /// Its name beside an e-mail that waits.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Cap(_) => "CAP",
            Self::Window => "WINDOW",
            Self::Mailbox => "MAILBOX",
            Self::Pool => POOL_WITHOUT_MAILBOX,
            Self::Consent => "CONSENT_UNKNOWN",
        }
    }

    fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Cap(rule) => Cow::Owned(rule.clone()),
            other => Cow::Borrowed(other.word()),
        }
    }
}

#[derive(Debug, Default)]
struct Held {
    people: HashSet<usize>,
    times: u64,
    for_so_long: TimeDelta,
}

impl Held {
    fn hold(&self) -> Hold {
        Hold { people: self.people.len() as u64, times: self.times, minutes: self.for_so_long.num_minutes() }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Tally {
    zone: chrono_tz::Tz,
    steps: Vec<(Arc<str>, StepCount)>,
    unknown: Arc<str>,
    pub(super) totals: Totals,
    days: BTreeMap<NaiveDate, DayCount>,
    /// The day that was counted last, and its end: most things happen on the same day as the one before.
    today: Option<(DateTime<Utc>, DateTime<Utc>, NaiveDate)>,
    mailboxes: BTreeMap<(Option<SendingMailboxId>, NaiveDate), u32>,
    /// Tasks, and leads that were handed over.
    queues: BTreeMap<(Option<String>, NaiveDate), (u64, u64)>,
    held: BTreeMap<Reason, Held>,
    pub(super) not_taken: BTreeMap<String, u64>,
    pub(super) ends: BTreeMap<String, u64>,
    pub(super) running: BTreeMap<String, u64>,
    marks: Vec<Vec<Mark>>,
}

impl Tally {
    pub(super) fn new(definition: &Definition, plan: &Plan, people: usize) -> Self {
        let count = |step: &crate::sequence::definition::Step| StepCount {
            step: step.id.clone(),
            kind: step.kind.name(),
            entered: 0,
            done: 0,
            waiting: 0,
            left: 0,
        };
        Self {
            zone: plan.zone,
            steps: definition.steps.iter().map(|step| (Arc::from(step.id.as_str()), count(step))).collect(),
            unknown: Arc::from(""),
            totals: Totals::default(),
            days: BTreeMap::new(),
            today: None,
            mailboxes: BTreeMap::new(),
            queues: BTreeMap::new(),
            held: BTreeMap::new(),
            not_taken: BTreeMap::new(),
            ends: BTreeMap::new(),
            running: BTreeMap::new(),
            marks: vec![Vec::new(); people],
        }
    }

    fn date(&mut self, at: DateTime<Utc>) -> NaiveDate {
        if let Some((from, to, date)) = self.today
            && from <= at
            && at < to
        {
            return date;
        }
        let local = at.with_timezone(&self.zone);
        let date = local.date_naive();
        // Zones change by whole quarters of an hour: within one, the date stays the same.
        let quarter = at.timestamp().rem_euclid(900);
        let from = at - TimeDelta::seconds(quarter) - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
        self.today = Some((from, from + TimeDelta::minutes(15), date));
        date
    }

    fn day(&mut self, at: DateTime<Utc>) -> &mut DayCount {
        let date = self.date(at);
        self.days.entry(date).or_insert_with(|| DayCount { date, ..DayCount::default() })
    }

    fn place(&self, step: &str) -> Option<usize> {
        self.steps.iter().position(|(id, _)| **id == *step)
    }

    fn step(&mut self, step: &str) -> Option<&mut StepCount> {
        let place = self.place(step)?;
        self.steps.get_mut(place).map(|(_, count)| count)
    }

    fn mark(&mut self, person: usize, at: DateTime<Utc>, what: What, step: &str, detail: impl Into<Cow<'static, str>>) {
        let step = self.place(step).map_or_else(|| self.unknown.clone(), |place| self.steps[place].0.clone());
        if let Some(marks) = self.marks.get_mut(person) {
            marks.push(Mark { at, what, step, detail: detail.into() });
        }
    }

    pub(super) fn began(&mut self, person: usize, step: &str, at: DateTime<Utc>) {
        self.totals.began += 1;
        self.day(at).began += 1;
        self.mark(person, at, What::Began, step, "");
    }

    pub(super) fn refused(&mut self, person: usize, code: &str, at: DateTime<Utc>) {
        self.totals.not_taken += 1;
        *self.not_taken.entry(code.to_owned()).or_default() += 1;
        self.mark(person, at, What::NotTaken, "", code.to_owned());
    }

    /// An e-mail went out from a mailbox, on a date there.
    pub(super) fn email(
        &mut self,
        person: usize,
        step: &str,
        mailbox: Option<(SendingMailboxId, NaiveDate)>,
        at: DateTime<Utc>,
    ) {
        self.totals.emails += 1;
        self.day(at).emails += 1;
        let (mailbox, date) = match mailbox {
            Some((id, date)) => (Some(id), date),
            None => (None, self.date(at)),
        };
        *self.mailboxes.entry((mailbox, date)).or_default() += 1;
        self.mark(person, at, What::Email, step, "");
    }

    pub(super) fn task(&mut self, person: usize, step: &str, team: Option<&str>, at: DateTime<Utc>) {
        self.totals.tasks += 1;
        self.day(at).tasks += 1;
        let date = self.date(at);
        self.queues.entry((team.map(str::to_owned), date)).or_default().0 += 1;
        self.mark(person, at, What::Task, step, team.map_or_else(String::new, str::to_owned));
    }

    /// A lead was handed to the SDRs.
    pub(super) fn handed(&mut self, team: Option<&str>, at: DateTime<Utc>) {
        let date = self.date(at);
        self.queues.entry((team.map(str::to_owned), date)).or_default().1 += 1;
    }

    pub(super) fn effect(&mut self, person: usize, step: &str, name: &'static str, at: DateTime<Utc>) {
        self.totals.effects += 1;
        self.mark(person, at, What::Effect, step, name);
    }

    /// An e-mail was held up, from one moment to another.
    pub(super) fn held(
        &mut self,
        person: usize,
        step: &str,
        reason: Reason,
        (at, until): (DateTime<Utc>, DateTime<Utc>),
    ) {
        self.mark(person, at, What::Held, step, reason.name());
        let held = self.held.entry(reason).or_default();
        held.people.insert(person);
        held.times += 1;
        held.for_so_long += (until - at).max(TimeDelta::zero());
    }

    /// The wait that was told of took longer, or was told of before its end was known.
    pub(super) fn held_longer(&mut self, reason: Reason, from: DateTime<Utc>, until: DateTime<Utc>) {
        let held = self.held.entry(reason).or_default();
        held.for_so_long += (until - from).max(TimeDelta::zero());
    }

    pub(super) fn done(&mut self, step: &str) {
        if let Some(count) = self.step(step) {
            count.done += 1;
        }
    }

    /// A run ended; `before` is the step before which it did, where it had not taken it.
    pub(super) fn ended(&mut self, person: usize, step: &str, state: String, not_taken: bool, at: DateTime<Utc>) {
        self.totals.ended += 1;
        self.day(at).ended += 1;
        if not_taken && let Some(count) = self.step(step) {
            count.left += 1;
        }
        self.mark(person, at, What::Ended, step, state.clone());
        *self.ends.entry(state).or_default() += 1;
    }

    pub(super) fn stands(&mut self, step: &str, state: String) {
        self.totals.running += 1;
        if let Some(count) = self.step(step) {
            count.waiting += 1;
        }
        *self.running.entry(state).or_default() += 1;
    }

    pub(super) fn marks(&mut self, person: usize) -> Vec<Mark> {
        self.marks.get_mut(person).map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn days(&self) -> Vec<DayCount> {
        self.days.values().cloned().collect()
    }

    /// Per mailbox and day; `known` gives an address, what the mailbox had sent on a day before, and its cap on it.
    pub(super) fn mailboxes(
        &self,
        known: impl Fn(Option<SendingMailboxId>, NaiveDate) -> (String, u32, Option<u32>),
    ) -> Vec<MailboxLoad> {
        let load = |(&(mailbox, date), &emails): (&(Option<SendingMailboxId>, NaiveDate), &u32)| {
            let (address, before, cap) = known(mailbox, date);
            MailboxLoad { mailbox, address, date, emails, before, cap }
        };
        let mut loads: Vec<MailboxLoad> = self.mailboxes.iter().map(load).collect();
        loads.sort_by(|one, other| {
            (&one.address, one.mailbox, one.date).cmp(&(&other.address, other.mailbox, other.date))
        });
        loads
    }

    /// Per queue every day from its first task to the last day on which one came in or is left, but not beyond `end`.
    pub(super) fn queues(&self, capacities: &BTreeMap<String, u32>, end: NaiveDate) -> Vec<QueueLoad> {
        let mut loads: Vec<QueueLoad> = Vec::new();
        let mut by_queue: BTreeMap<&Option<String>, BTreeMap<NaiveDate, (u64, u64)>> = BTreeMap::new();
        for ((team, date), count) in &self.queues {
            by_queue.entry(team).or_default().insert(*date, *count);
        }
        for (team, days) in by_queue {
            let capacity = capacities.get(team.as_deref().unwrap_or_default()).copied();
            let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else { continue };
            let mut left = 0_u64;
            for date in first.iter_days().take_while(|date| *date <= end) {
                let (tasks, leads) = days.get(&date).copied().unwrap_or_default();
                if date > *last && left == 0 {
                    break;
                }
                let most = capacity.map(u64::from);
                left = most.map_or(0, |most| (left + tasks).saturating_sub(most));
                let over = most.is_some_and(|most| tasks > most);
                loads.push(QueueLoad { team: team.clone(), date, tasks, leads, capacity, over, left });
            }
        }
        loads
    }

    pub(super) fn holds(&self) -> Holds {
        let hold = |reason: &Reason| self.held.get(reason).map(Held::hold).unwrap_or_default();
        let caps = self.held.iter().filter_map(|(reason, held)| match reason {
            Reason::Cap(rule) => Some(CapHold { rule: rule.clone(), hold: held.hold() }),
            _ => None,
        });
        Holds {
            caps: caps.collect(),
            window: hold(&Reason::Window),
            mailbox: hold(&Reason::Mailbox),
            pool: hold(&Reason::Pool),
            consent: hold(&Reason::Consent),
        }
    }

    pub(super) fn steps(&self) -> Vec<StepCount> {
        let whole = |count: &StepCount| StepCount { entered: count.done + count.waiting + count.left, ..count.clone() };
        self.steps.iter().map(|(_, count)| whole(count)).collect()
    }
}
