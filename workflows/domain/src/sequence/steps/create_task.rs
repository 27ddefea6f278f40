//! `create_task`: something for a person to do; the sequence goes on without waiting for it.

use super::{Effect, Failure, Kind, Next, Run};
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId};
use crate::sequence::span::Span;
use crate::sequence::template::Form;
use crate::sequence::validate::{Check, Rule};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to do: a template of one line.
    pub title: String,
    /// How long the person has.
    pub due_in: Span,
    /// 0 (least urgent) to 100.
    #[serde(default = "usual")]
    pub priority: u8,
}

const fn usual() -> u8 {
    50
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
}

impl Kind for Config {
    fn check(&self, check: &mut Check<'_, '_>) {
        check.template("title", &self.title, Form::Line, &[], 200);
        if self.priority > 100 {
            check.problem("priority", Rule::Shape, "a priority is 0 (least urgent) to 100");
        }
    }

    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        let enrollment = run.enrollment;
        let task = PlannedTask {
            enrollment: enrollment.id,
            step: run.step.id.clone(),
            visit: enrollment.visit,
            contact: enrollment.contact,
            lead: enrollment.lead,
            account: enrollment.account,
            title: run.render(&self.title, Form::Line)?.chars().take(200).collect(),
            due_at: run.now + self.due_in.delta(),
            priority: self.priority,
        };
        Ok(Next::Act(Box::new(Effect::CreateTask(task))))
    }
}
