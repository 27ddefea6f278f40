//! `tag`: tags are added to the contact, the lead or the account, and others taken away.

use super::{Effect, Failure, Kind, Next, Origin, Record, Run};
use crate::normalise;
use crate::sequence::validate::{Check, Rule};
use serde::{Deserialize, Serialize};

/// The most tags that one step adds or takes away.
pub const MOST: usize = 20;

/// Tags are added to the contact, the lead or the account, and others taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose tags; the contact's where it is not said.
    #[serde(default, skip_serializing_if = "Record::is_contact")]
    #[schemars(extend("default" = "contact"))]
    pub of: Record,
    /// The tags to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST))]
    pub add: Vec<String>,
    /// The tags to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MOST))]
    pub remove: Vec<String>,
}

/// A change of tags that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTags {
    /// Which step of which run asks for it.
    pub origin: Origin,
    /// Whose tags.
    pub of: Record,
    /// The tags to add, as written.
    pub add: Vec<String>,
    /// The tags to take away, as written.
    pub remove: Vec<String>,
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        if self.add.is_empty() && self.remove.is_empty() {
            check.problem("", Rule::Shape, "a step of kind tag adds tags or takes some away; write `add: [vip]`");
        }
        for (field, tags) in [("add", &self.add), ("remove", &self.remove)] {
            if tags.len() > MOST {
                check.problem(field, Rule::TooLarge, format!("at most {MOST} tags; make it several steps"));
            }
            for (at, tag) in tags.iter().enumerate() {
                if let Err(refusal) = normalise::tag(tag) {
                    check.problem(&format!("{field}[{at}]"), Rule::Shape, refusal.to_string());
                }
            }
        }
        let both = self.add.iter().enumerate().find(|(_, tag)| {
            let tag = normalise::tag(tag).ok();
            tag.is_some() && self.remove.iter().any(|other| normalise::tag(other).ok() == tag)
        });
        if let Some((at, tag)) = both {
            let message = format!("`{tag}` is added and taken away; keep one of the two");
            check.problem(&format!("add[{at}]"), Rule::Shape, message);
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let tags =
            PlannedTags { origin: run.origin(), of: self.of, add: self.add.clone(), remove: self.remove.clone() };
        Ok(Next::Act(Box::new(Effect::Tag(tags))))
    }
}
