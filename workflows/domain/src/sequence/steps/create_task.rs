//! `create_task`: something for a person to do. The sequence goes on at once, or, with `wait: true`, once it is known what
//! came of it.

use super::{Effect, Failure, Kind, Next, Run};
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId};
use crate::sequence::definition::NAME;
use crate::sequence::enrollment::TaskEnd;
use crate::sequence::names::{Named, Thing};
use crate::sequence::span::{MAX_DAYS, Span};
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use crate::work_item::{MOST_NOTES, TaskChannel};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long after a task was due a run still waits for it, where the step does not say.
pub const PATIENCE: TimeDelta = TimeDelta::days(14);

/// Something for a person to do. The run goes on at once, or, with `wait: true`, once it is known what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to do: a template of one line.
    pub title: String,
    /// How long the person has.
    pub due_in: Span,
    /// 0 (least urgent) to 100.
    #[serde(default = "usual")]
    #[schemars(range(max = 100))]
    pub priority: u8,
    /// By which way it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The name of the team whose queue it goes to; without it, everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// More words about it: a template of at most 2,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Whether the run waits until the task is done or called off, or the time is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub wait: bool,
    /// How long it waits at most; without it, 14 days longer than the person has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Where it goes on, by what came of the task.
    #[serde(default, skip_serializing_if = "On::is_empty")]
    pub on: On,
}

const fn usual() -> u8 {
    50
}

/// By which way a task is done, as written in a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// By phone.
    Call,
    /// In a social network.
    Social,
    /// By letter or parcel.
    Letter,
    /// In any other way.
    Other,
}

impl From<Channel> for TaskChannel {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Call => Self::Call,
            Channel::Social => Self::Social,
            Channel::Letter => Self::Letter,
            Channel::Other => Self::Other,
        }
    }
}

macro_rules! on {
    ($($(#[$meta:meta])* $field:ident = $end:ident),+ $(,)?) => {
        /// The steps at which a run goes on, by how its task came to its end. An end without a step of its own goes on as
        /// any step does.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = "OnTask")]
        pub struct On { $(
            $(#[$meta])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(regex(pattern = NAME))]
            pub $field: Option<String>,
        )+ }

        impl On {
            /// The step for an end, where it has one of its own.
            pub fn of(&self, end: TaskEnd) -> Option<&str> {
                match end { $(TaskEnd::$end => self.$field.as_deref()),+ }
            }

            fn targets(&self) -> Vec<(&'static str, &str)> {
                let all = [$((concat!("on.", stringify!($field)), self.$field.as_deref())),+];
                all.into_iter().filter_map(|(field, target)| Some((field, target?))).collect()
            }
        }
    };
}

on! {
    /// It is done.
    done = Done,
    /// The person was not reached.
    no_answer = NoAnswer,
    /// The person asks for another time.
    call_back = CallBack,
    /// The person is interested.
    interested = Interested,
    /// The person is not interested.
    not_interested = NotInterested,
    /// A meeting was agreed.
    meeting_booked = MeetingBooked,
    /// The number, the address or the person is wrong.
    bad_data = BadData,
    /// Somebody found that it need not be done.
    cancelled = Cancelled,
    /// The run did not wait any longer.
    timed_out = TimedOut,
}

impl On {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A task that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
    /// Whom it concerns.
    pub contact: ContactId,
    /// The lead it concerns.
    pub lead: Option<LeadId>,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// What to do: one line.
    pub title: String,
    /// By when.
    pub due_at: DateTime<Utc>,
    /// 0 (least urgent) to 100.
    pub priority: u8,
    /// By which way it is done.
    pub channel: Option<TaskChannel>,
    /// The name of the team whose queue it goes to; none for everybody's.
    pub team: Option<String>,
    /// More words about it.
    pub notes: Option<String>,
    /// The wait that follows; none where the run goes on at once.
    pub wait: Option<TaskWait>,
}

/// How a run waits for its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskWait {
    /// Until when at most.
    pub until: DateTime<Utc>,
    /// The step at which it goes on then; none for the following one.
    pub timed_out: Option<String>,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        check.template("title", &self.title, Form::Line, &[], 200);
        if self.priority > 100 {
            check.problem("priority", Rule::Shape, "a priority is 0 (least urgent) to 100; write one of these");
        }
        if let Some(notes) = &self.notes {
            check.template("notes", notes, Form::Text, &[], MOST_NOTES);
        }
        if self.wait {
            return;
        }
        if self.timeout.is_some() {
            check.problem("timeout", Rule::Shape, "only a step that waits has an end of its wait; write `wait: true`");
        }
        if !self.on.is_empty() {
            check.problem("on", Rule::Shape, "only a step that waits knows what came of its task; write `wait: true`");
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let enrollment = run.enrollment;
        let due_at = run.now + self.due_in.delta();
        let notes = self.notes.as_ref().map(|notes| run.render(notes, Form::Text)).transpose()?;
        let patience = self
            .timeout
            .map_or_else(|| (self.due_in.delta() + PATIENCE).min(TimeDelta::days(MAX_DAYS)), |timeout| timeout.delta());
        let wait = self.wait.then(|| TaskWait { until: run.now + patience, timed_out: self.on.timed_out.clone() });
        let task = PlannedTask {
            enrollment: enrollment.id,
            step: run.step.id.clone(),
            visit: enrollment.visit,
            contact: enrollment.contact,
            lead: enrollment.lead,
            account: enrollment.account,
            title: run.render(&self.title, Form::Line)?.chars().take(200).collect(),
            due_at,
            priority: self.priority,
            channel: self.channel.map(TaskChannel::from),
            team: self.team.clone(),
            notes: notes.map(|notes| notes.chars().take(MOST_NOTES).collect()),
            wait,
        };
        Ok(Next::Act(Box::new(Effect::CreateTask(task))))
    }

    fn targets(&self) -> Vec<(&'static str, &str)> {
        self.on.targets()
    }

    fn waits(&self) -> bool {
        self.wait
    }

    fn names(&self) -> Vec<Named<'_>> {
        let team = self.team.as_deref();
        team.map(|key| Named { field: "team", thing: Thing::Team, key }).into_iter().collect()
    }
}
