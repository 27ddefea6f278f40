//! What starts a sequence by itself: the triggers in its header.
//!
//! ```yaml
//! triggers:
//!   - { kind: list, list: key-accounts, when: contact.title != null }
//!   - { kind: event, event: [FORM], when: "event.name == 'Pricing'", vars: { form: event.name } }
//!   - { kind: date, field: account.custom.renewal_on, offset: -30d, at: "09:00" }
//! ```
//!
//! A kind is a struct of its settings in [`kinds`]. Which entries of the ledger mean whom is decided in [`matching`]; when a
//! date falls due, in [`kinds::Date`]. Nothing is enrolled here: whoever is meant goes through
//! [`super::enrollment::enroll`] like everybody else.

pub mod cron_fields;
pub mod event;
pub mod kinds;
pub mod matching;
mod reign;
mod skip;

pub use event::Event;
pub use matching::{Meant, Who, completed, is_news, meant};
pub use reign::{Reign, reigns};
pub use skip::{Refusal as PassedOver, Skip};

use super::definition::is_name;
use super::environment::for_triggers;
use super::interactions;
use super::validate::{Check, Rule};
use crate::expression::typing::Shape;
use crate::expression::{Expression, Refusal};
use crate::ledger::{canonical, sha256_hex};
use kinds::{Cron, Date, Field, Grading, List, OnEvent, Return, Segment};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most triggers of one sequence.
pub const MAX_TRIGGERS: usize = 20;
/// The most values that a trigger sets.
const MAX_VARS: usize = 50;
/// How many starts may follow from one another, each by a trigger that the one before set off.
pub const LONGEST_CHAIN: u32 = 8;

/// One trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// CEL: only those for whom it holds are meant. A segment is this condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Values for the run (`enrollment.vars`), each computed in CEL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
    /// What starts a run, with its settings.
    #[serde(flatten)]
    pub kind: TriggerKind,
}

/// What set a trigger off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Cause {
    /// Entries of the ledger behind one place and up to another.
    Entries {
        /// Behind this place.
        from: i64,
        /// Up to this place.
        to: i64,
    },
    /// Its schedule: everybody is looked at.
    Tick {},
    /// The sequence began or went on to listen: who is inside a segment is noted, and starts only where the trigger says so.
    Baseline {
        /// When it did, in milliseconds. Of who was changed since, an entry tells.
        before: i64,
        /// Whether it went on after a pause: then nobody starts.
        resumed: bool,
    },
    /// Dates are looked ahead for: which moments of a stretch of time fall due for whom.
    Dates {
        /// From this moment on, in milliseconds.
        since: i64,
        /// Before this moment, in milliseconds.
        until: i64,
    },
    /// A moment that was noted for a date has come.
    Due {},
}

/// Makes the list of kinds: the enum of their settings, and its ways into each of them.
macro_rules! kinds {
    ($($(#[$meta:meta])* $variant:ident($settings:ident) = $name:literal),+ $(,)?) => {
        /// What starts a run, with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum TriggerKind { $($(#[$meta])* $variant($settings)),+ }

        /// The names of the kinds, as written in a definition.
        pub const NAMES: &[&str] = &[$($name),+];

        /// The schema of the settings of each kind, by its name.
        pub(crate) fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
            vec![$(($name, $settings::json_schema(generator))),+]
        }

        impl TriggerKind {
            /// The name of the kind, as written in a definition.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name),+ }
            }

            /// Reads the settings of the kind `name`; none if there is no such kind, else they or the inner path and
            /// the message of what is wrong with them.
            pub(crate) fn decode(name: &str, settings: Value) -> Option<Result<Self, (String, String)>> {
                $(if name == $name {
                    let decoded = serde_path_to_error::deserialize::<_, $settings>(settings);
                    return Some(decoded.map(Self::$variant).map_err(|e| (e.path().to_string(), e.inner().to_string())));
                })+
                None
            }
        }
    };
}

kinds! {
    /// An account becomes active on a target list: its contacts are meant.
    List(List) = "list",
    /// The condition begins to hold for a contact.
    Segment(Segment) = "segment",
    /// A person does something.
    Event(OnEvent) = "event",
    /// A field of a contact, an account or a lead changes.
    Field(Field) = "field",
    /// The grade of a lead changes.
    Grade(Grading) = "grade",
    /// Sales gives an opportunity back.
    Return(Return) = "return",
    /// A moment before, on or after a date in a field.
    Date(Date) = "date",
    /// A time of day, week or month: whoever satisfies the condition then is meant.
    Cron(Cron) = "cron",
}

impl Trigger {
    /// The name of the trigger within its sequence, e.g. `event_3f9a1c0b7e`: of its kind, its settings and its condition. So
    /// it stays the same over versions that leave the trigger as it is, and what it remembers goes on.
    pub fn key(&self) -> String {
        let mut hash = sha256_hex(&[canonical(&(&self.kind, &self.when)).as_bytes()]);
        hash.truncate(10);
        format!("{}_{hash}", self.kind.name())
    }

    /// What its condition and its values may read beside the variables of a sequence.
    pub fn variables(&self) -> Vec<(&'static str, Shape)> {
        match &self.kind {
            TriggerKind::Event(_) => vec![("event", event::shape())],
            TriggerKind::Field(_) | TriggerKind::Grade(_) => vec![("change", matching::change_shape())],
            TriggerKind::Return(_) => vec![("handoff", matching::handoff_shape())],
            TriggerKind::List(_) => vec![("list", matching::list_shape())],
            TriggerKind::Segment(_) | TriggerKind::Date(_) | TriggerKind::Cron(_) => Vec::new(),
        }
    }

    /// Reports everything that is wrong with it.
    pub(crate) fn check(&self, check: &mut Check<'_, '_>) {
        let shape = for_triggers(self.variables());
        match &self.when {
            Some(when) => check.condition_in("when", when, &shape),
            None if matches!(self.kind, TriggerKind::Segment(_)) => {
                check.problem("", Rule::Shape, "a segment is a condition; write it as `when`");
            }
            None => {}
        }
        if self.vars.len() > MAX_VARS {
            check.problem("vars", Rule::TooLarge, format!("a trigger sets at most {MAX_VARS} values; set fewer"));
        }
        for (name, expression) in &self.vars {
            let path = format!("vars.{name}");
            if !is_name(name) {
                let message =
                    "a value's name is 1 to 60 lower-case letters, digits and `_`, a letter first; write it so";
                check.problem(&path, Rule::NameInvalid, message);
            }
            check.expression_in(&path, expression, &shape);
        }
        match &self.kind {
            TriggerKind::List(list) => list.check(check),
            TriggerKind::Event(event) => event.check(check),
            TriggerKind::Field(field) => field.check(check),
            TriggerKind::Return(back) => back.check(check),
            TriggerKind::Date(date) => date.check(check),
            TriggerKind::Cron(cron) => cron.check(check),
            TriggerKind::Segment(_) | TriggerKind::Grade(_) => {}
        }
    }

    /// Whether its condition reads a variable, as far as the text says so: a name in a text counts too.
    pub fn reads(&self, variable: &str) -> bool {
        self.when.as_ref().is_some_and(|when| when.contains(variable))
    }

    /// Whether time alone makes its condition hold, or not hold any more.
    fn fades(&self) -> bool {
        self.reads("now") || self.when.as_deref().is_some_and(interactions::fades)
    }

    /// Whether its condition holds for these data. Without one it does.
    pub fn holds(&self, data: &Value) -> Result<bool, Refusal> {
        match &self.when {
            Some(when) => Expression::parse(when)?.holds(data),
            None => Ok(true),
        }
    }

    /// The values that the run gets. One that has no value for these data is refused by name.
    pub fn values(&self, data: &Value) -> Result<Map<String, Value>, Refusal> {
        let value = |(name, source): (&String, &String)| Ok((name.clone(), Expression::parse(source)?.evaluate(data)?));
        self.vars.iter().map(value).collect()
    }

    /// The schedule that it needs: five cron fields and the zone they are meant in. A condition on time is looked at every
    /// hour and dates are looked ahead for every day, each trigger at a minute of its own.
    pub fn schedule(&self) -> Option<(String, String)> {
        let minute = self.key().bytes().fold(0_u32, |sum, byte| (sum * 31 + u32::from(byte)) % 60);
        match &self.kind {
            TriggerKind::Cron(cron) => Some((cron.cron.clone(), cron.zone.name().to_owned())),
            TriggerKind::Segment(_) if self.fades() => Some((format!("{minute} * * * *"), "UTC".to_owned())),
            TriggerKind::Date(_) => Some((format!("{minute} 1 * * *"), "UTC".to_owned())),
            _ => None,
        }
    }
}

/// How many starts by triggers led to what was done in answer to this request.
pub fn chain_of(request_id: &str) -> u32 {
    let told = request_id.strip_prefix("trigger:").and_then(|rest| rest.split(':').next());
    told.and_then(|depth| depth.parse().ok()).unwrap_or(0)
}

/// The request under which a start by a trigger runs, and everything that follows from it: one further in the chain of the
/// request that set it off, and the entry of the ledger where there was one.
pub fn next_in_chain(request_id: &str, seq: Option<i64>) -> String {
    let depth = chain_of(request_id).saturating_add(1);
    match seq {
        Some(seq) => format!("trigger:{depth}:ledger-{seq}"),
        None => format!("trigger:{depth}:{}", request_id.rsplit("trigger:").next().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
