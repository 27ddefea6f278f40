//! What a simulation gives: totals and tables, and the plans of those who are followed.

use super::sample::Line;
use crate::codes;
use crate::id::{ContactId, LeadId, SendingMailboxId};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

codes! {
    /// What happened to somebody.
    pub enum What("simulated happening") {
        /// The run began.
        Began = "BEGAN",
        /// The person was not taken into the sequence.
        NotTaken = "NOT_TAKEN",
        /// An e-mail went out.
        Email = "EMAIL",
        /// A task was made.
        Task = "TASK",
        /// Another effect.
        Effect = "EFFECT",
        /// An e-mail was held up, by caps, hours, its mailbox or a consent that is not known.
        Held = "HELD",
        /// The run ended.
        Ended = "ENDED",
    }
}

/// One thing that happened to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
    /// The step; where the run began, its first.
    #[serde(serialize_with = "as_text")]
    pub step: Arc<str>,
    /// More about it: the kind of the effect, what held it up, the code of the refusal, or the end.
    pub detail: Cow<'static, str>,
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// All that happened to somebody.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonPlan {
    /// The person.
    pub contact: ContactId,
    /// The lead, where leads run through the sequence.
    pub lead: Option<LeadId>,
    /// The name, where it is known.
    pub name: Option<String>,
    /// The person's time zone.
    pub zone: Tz,
    /// What happened, in order.
    pub marks: Vec<Mark>,
    /// The same with every wait, as lines to read; empty for those who are not followed.
    pub lines: Vec<Line>,
    /// Where the run stands at the end: its state with the reason; none where there is no run.
    pub state: Option<String>,
}

/// How much of each there was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Runs that began.
    pub began: u64,
    /// E-mails that went out.
    pub emails: u64,
    /// Tasks that were made.
    pub tasks: u64,
    /// Other effects.
    pub effects: u64,
    /// Runs that ended.
    pub ended: u64,
    /// Runs that were live at the end.
    pub running: u64,
    /// People who were not taken into the sequence.
    pub not_taken: u64,
}

/// One day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DayCount {
    /// The date.
    pub date: NaiveDate,
    /// Runs that began.
    pub began: u64,
    /// E-mails that went out.
    pub emails: u64,
    /// Tasks that were made.
    pub tasks: u64,
    /// Runs that ended.
    pub ended: u64,
}

/// One day of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MailboxLoad {
    /// The mailbox; none for the sender of e-mails that name no pool.
    pub mailbox: Option<SendingMailboxId>,
    /// Its address.
    pub address: String,
    /// The date in its zone.
    pub date: NaiveDate,
    /// E-mails that went out.
    pub emails: u32,
    /// What it had sent on that day when the simulation began.
    pub before: u32,
    /// How many it may send on that day; none where nothing limits it.
    pub cap: Option<u32>,
}

/// One day of a queue of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueLoad {
    /// The team; none for the queue of everybody.
    pub team: Option<String>,
    /// The date.
    pub date: NaiveDate,
    /// Tasks that came in.
    pub tasks: u64,
    /// Leads that were handed to the SDRs; they are no tasks, and count neither for `over` nor for `left`.
    pub leads: u64,
    /// How many tasks a day it can take; none where that is not known.
    pub capacity: Option<u32>,
    /// Whether more tasks came in than it can take on a day.
    pub over: bool,
    /// How many tasks are left at the end of the day, where every day as many are done as it can take.
    pub left: u64,
}

/// How much one thing held up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Whom.
    pub people: u64,
    /// How often.
    pub times: u64,
    /// For how long together, in whole minutes.
    pub minutes: i64,
}

/// What one cap held up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapHold {
    /// The rule, e.g. `contact_policy@3: 1 in 1d a person`.
    pub rule: String,
    /// How much.
    #[serde(flatten)]
    pub hold: Hold,
}

/// What held e-mails up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Holds {
    /// Each cap.
    pub caps: Vec<CapHold>,
    /// The hours of the sequence.
    pub window: Hold,
    /// The pace of mailboxes: from when an e-mail was due until its mailbox had room.
    pub mailbox: Hold,
    /// That a pool had no active mailbox.
    pub pool: Hold,
    /// That a consent or an address was not known.
    pub consent: Hold,
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepCount {
    /// The step.
    pub step: String,
    /// Its kind.
    pub kind: &'static str,
    /// How often a run came to it: the sum of the following three.
    pub entered: u64,
    /// How often it was taken.
    pub done: u64,
    /// How many runs stand before it at the end.
    pub waiting: u64,
    /// How many runs ended before it.
    pub left: u64,
}

/// The result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Simulation {
    /// The sequence and the version, e.g. `welcome@3`.
    pub rule: String,
    /// The beginning.
    pub start: DateTime<Utc>,
    /// The end.
    pub end: DateTime<Utc>,
    /// What the lots were drawn from.
    pub seed: u64,
    /// How many people it is about.
    pub people: u64,
    /// When it was cut off since too much happened; none where it came to its end.
    pub cut_at: Option<DateTime<Utc>>,
    /// How much of each there was.
    pub totals: Totals,
    /// Day by day; days on which nothing happened are left out.
    pub days: Vec<DayCount>,
    /// Per mailbox and day.
    pub mailboxes: Vec<MailboxLoad>,
    /// Per queue and day: every day from its first task or lead on.
    pub queues: Vec<QueueLoad>,
    /// What held e-mails up.
    pub holds: Holds,
    /// Who was not taken into the sequence, by the code of the refusal.
    pub not_taken: BTreeMap<String, u64>,
    /// How runs ended, by state and reason.
    pub ends: BTreeMap<String, u64>,
    /// Where runs stand at the end, by state and reason; those that something holds up by that, e.g. `WAITING(CONSENT_UNKNOWN)`.
    pub running: BTreeMap<String, u64>,
    /// Step by step, in the order of the definition.
    pub steps: Vec<StepCount>,
    /// The plans, in the order of the ids.
    #[serde(skip)]
    pub plans: Vec<PersonPlan>,
}

impl Simulation {
    /// The plans of those who are followed.
    pub fn followed(&self) -> impl Iterator<Item = &PersonPlan> {
        self.plans.iter().filter(|plan| !plan.lines.is_empty())
    }
}
