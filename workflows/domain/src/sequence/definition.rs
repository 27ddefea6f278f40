//! The model of a sequence definition: what [`crate::sequence::validate::read`] makes of the YAML that people write.
//!
//! ```yaml
//! key: welcome
//! name: Welcome after a check-in
//! subject: contact
//! goal: lead != null && lead.stage == 'ACCEPTED'
//! steps:
//!   - id: hello
//!     kind: send_email
//!     template: { subject: "Welcome, {{ contact.first_name }}", text: "..." }
//!   - id: pause
//!     kind: wait
//!     duration: 3d
//!   - id: done
//!     kind: end
//! ```

use super::enrollment::TaskEnd;
use super::span::Span;
use super::steps::StepKind;
use super::steps::send_email::TemplateUse;
use super::trigger::{MAX_TRIGGERS, Trigger};
use super::window::SendWindow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What runs through a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A person.
    Contact,
    /// One candidacy of a person: while it runs, the sequence owns the lead.
    Lead,
}

/// When the same subject may run through the sequence again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reentry {
    /// A CEL expression that gives a text: at most one live enrolment per subject and key. Without it there is one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How long after the end of one run (of the same key) the next may start. Without it, at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
}

/// Which answers end a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopOnReply {
    /// Whatever the person writes to the mailbox that answers come to.
    #[default]
    Any,
    /// An answer to an e-mail of this run.
    Sequence,
    /// None: for what is sent whether or not somebody answers.
    Never,
}

/// Everything before the steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The stable name of the sequence: lower-case letters, digits and `_`, 1 to 60.
    #[schemars(regex(pattern = NAME))]
    pub key: String,
    /// The name to show.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// What runs through it.
    pub subject: SubjectKind,
    /// CEL: only subjects for which it holds may be enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// CEL: as soon as it holds, the enrolment finishes with GOAL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// CEL: as soon as it holds, the enrolment exits with RULE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// When the same subject may run through it again.
    #[serde(default)]
    pub reentry: Reentry,
    /// The hours in which its e-mails may go out, where the person lives. Without it, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_window: Option<SendWindow>,
    /// Texts that its e-mails share, by name: `{% include "signature" %}`. A definition that was read has them in place.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    pub snippets: BTreeMap<String, String>,
    /// Which answers of the person end it with REPLIED. By default any.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schemars(extend("default" = "any"))]
    pub stop_on_reply: StopOnReply,
    /// Whether a meeting with the person ends it with MEETING_BOOKED. By default it does.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schemars(extend("default" = true))]
    pub stop_on_meeting: bool,
    /// Whether an opportunity that is opened at the company ends it with OPPORTUNITY_OPENED. By default it does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub stop_on_opportunity: bool,
    /// What starts it by itself; without any, people and webhooks do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_TRIGGERS))]
    pub triggers: Vec<Trigger>,
    /// The key of the working calendar that its waits in business time count on and its send window closes by, where
    /// they name none of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// A person runs through at most one sequence of this group at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME))]
    pub exclusive: Option<String>,
    /// Which of two sequences of a group has a person: the one of higher priority, else the one that came first. 0 to 100.
    #[serde(default = "usual_priority", skip_serializing_if = "is_usual_priority")]
    #[schemars(range(max = 100), extend("default" = USUAL_PRIORITY))]
    pub priority: u8,
}

const fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

/// The priority of a sequence that names none.
pub const USUAL_PRIORITY: u8 = 50;

const fn usual_priority() -> u8 {
    USUAL_PRIORITY
}

const fn is_usual_priority(priority: &u8) -> bool {
    *priority == USUAL_PRIORITY
}

impl Header {
    /// The key of the calendar that the send window closes by.
    pub fn window_calendar(&self) -> Option<&str> {
        let window = self.send_window.as_ref()?;
        window.calendar.as_deref().or(self.calendar.as_deref())
    }
}

/// Left out where it says nothing, so that the definitions of before have the same hash.
fn is_default(stop: &StopOnReply) -> bool {
    *stop == StopOnReply::default()
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name within the sequence: lower-case letters, digits and `_`, 1 to 60.
    pub id: String,
    /// The step that follows; without it, the next one in the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What it does.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// A whole definition. One that came through [`crate::sequence::validate::read`] keeps all its rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Everything before the steps.
    #[serde(flatten)]
    pub header: Header,
    /// The steps; an enrolment begins with the first.
    pub steps: Vec<Step>,
}

impl Definition {
    /// The trigger of that key.
    pub fn trigger(&self, key: &str) -> Option<&Trigger> {
        self.header.triggers.iter().find(|trigger| trigger.key() == key)
    }

    /// The step of that id, with its position.
    pub fn step(&self, id: &str) -> Option<(usize, &Step)> {
        self.steps.iter().enumerate().find(|(_, step)| step.id == id)
    }

    /// The keys of the working calendars that it names.
    pub fn calendars(&self) -> BTreeSet<&str> {
        let of_steps = self.steps.iter().filter_map(|step| step.kind.calendar());
        let of_window = self.header.send_window.iter().filter_map(|window| window.calendar.as_deref());
        of_steps.chain(of_window).chain(self.header.calendar.as_deref()).collect()
    }

    /// The keys of the pools of mailboxes that it names.
    pub fn mailbox_pools(&self) -> BTreeSet<&str> {
        self.steps.iter().filter_map(|step| step.kind.mailbox_pool()).collect()
    }

    /// The versions of stored templates that its e-mails are taken from, each with the step, in the order of the steps.
    pub fn templates_by_step(&self) -> impl Iterator<Item = (&str, &TemplateUse)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::SendEmail(email) => Some((step.id.as_str(), email.uses.as_ref()?)),
            _ => None,
        })
    }

    /// The versions of stored templates that its e-mails are taken from.
    pub fn templates(&self) -> BTreeSet<&TemplateUse> {
        self.templates_by_step().map(|(_, uses)| uses).collect()
    }

    /// The id of the step that follows the one at `position` where it does not jump; none at the end of the list.
    pub fn following(&self, position: usize) -> Option<&str> {
        let step = self.steps.get(position)?;
        step.next.as_deref().or_else(|| self.steps.get(position + 1).map(|next| next.id.as_str()))
    }

    /// The ids of the steps that may come right after the one at `position`, each once: first those that its settings name.
    pub fn ways(&self, position: usize) -> Vec<&str> {
        let Some(step) = self.steps.get(position) else { return Vec::new() };
        let named = step.kind.targets().into_iter().map(|(_, id)| id);
        let mut ways: Vec<&str> = Vec::new();
        for id in named.chain(step.kind.goes_on().then(|| self.following(position)).flatten()) {
            if !ways.contains(&id) {
                ways.push(id);
            }
        }
        ways
    }

    /// The id of the step at which a run goes on once the call of the step at `position` was taken: the one that its settings
    /// name for a success, else the one that follows. Of a step that calls nobody, the one that follows.
    pub fn after_call(&self, position: usize) -> Option<&str> {
        let on = self.steps.get(position)?.kind.on();
        on.and_then(|on| on.success.as_deref()).or_else(|| self.following(position))
    }

    /// The id of the step at which a run goes on that waited in the step at `position` for something that did not come in time.
    /// Of a step that waits for nothing, the one that follows.
    pub fn after_timeout(&self, position: usize) -> Option<&str> {
        let own = match &self.steps.get(position)?.kind {
            StepKind::WaitFor(wait) => wait.on_timeout.as_deref(),
            _ => None,
        };
        own.or_else(|| self.following(position))
    }

    /// The id of the step at which a run goes on whose task, made by the step `id`, came to its end; none where the
    /// definition has no such step.
    pub fn after_task(&self, id: &str, end: TaskEnd) -> Option<&str> {
        let (position, step) = self.step(id)?;
        let own = match &step.kind {
            StepKind::CreateTask(task) => task.on.of(end),
            _ => None,
        };
        own.or_else(|| self.following(position))
    }
}

/// The form of a name, for editors: what [`is_name`] looks at.
pub(crate) const NAME: &str = "^[a-z][a-z0-9_]{0,59}$";

/// Whether a text may be the key of a sequence or the id of a step.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=60).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
