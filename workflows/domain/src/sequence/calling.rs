//! What the steps that reach out have in common: the two ways that follow, how long is tried, and the call that they plan.

use super::definition::{NAME, Step};
use super::enrollment::Enrollment;
use super::span::Span;
use super::steps::Run;
use super::validate::{Check, Rule};
use crate::codes;
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId};
use crate::inbound::is_key;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long a call is tried where the step says nothing.
const USUAL: TimeDelta = TimeDelta::days(1);
/// The longest that a step may say, in days.
const MOST_DAYS: i64 = 7;

codes! {
    /// How a webhook is called.
    #[derive(schemars::JsonSchema)]
    pub enum Method("method") {
        /// With a body; the usual.
        Post = "POST",
        /// Without a body.
        Get = "GET",
        /// With a body.
        Put = "PUT",
        /// With a body.
        Patch = "PATCH",
    }
}

/// Where the run goes once it is known how a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "OnCall")]
pub struct On {
    /// The step after a success; without it, the following one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME))]
    pub success: Option<String>,
    /// The step after a failure; without it, the run ends as FAILED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME))]
    pub failure: Option<String>,
}

impl On {
    /// Whether it says nothing, so that it is left out.
    pub(crate) const fn is_empty(&self) -> bool {
        self.success.is_none() && self.failure.is_none()
    }

    /// The steps that it names, each with the field that names it.
    pub(crate) fn targets(&self) -> Vec<(&'static str, &str)> {
        let named = [("on.success", &self.success), ("on.failure", &self.failure)];
        named.into_iter().filter_map(|(field, step)| Some((field, step.as_deref()?))).collect()
    }
}

/// Which part of an answer is kept, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The name in `enrollment.vars`.
    pub name: String,
    /// What is kept, in CEL over the usual variables, `answer` and `status`; none for the whole answer.
    pub mapping: Option<String>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// A message to a chat.
    Message {
        /// One line above it.
        title: Option<String>,
        /// Plain text.
        text: String,
        /// An address to go to.
        link: Option<String>,
    },
    /// A call of an API.
    Http {
        /// How.
        method: Method,
        /// What is added to the address.
        query: Vec<(String, String)>,
        /// Name in small letters, and value.
        headers: Vec<(String, String)>,
        /// JSON; none where the method has no body.
        body: Option<String>,
        /// How long one try may take, in seconds.
        timeout_seconds: u32,
        /// What is kept of the answer.
        keep: Option<Keep>,
    },
}

/// A call that a step asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCall {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
    /// Whom it is about.
    pub contact: ContactId,
    /// The lead it is about.
    pub lead: Option<LeadId>,
    /// The account it is about.
    pub account: Option<AccountId>,
    /// The key of the channel.
    pub channel: String,
    /// What is sent.
    pub request: Request,
    /// After this moment it is not tried again.
    pub give_up_at: DateTime<Utc>,
}

impl PlannedCall {
    /// The call of the step that runs.
    pub(super) fn of(run: &Run<'_>, channel: &str, request: Request, retry_for: Option<Span>) -> Self {
        let (enrollment, step): (&Enrollment, &Step) = (run.enrollment, run.step);
        Self {
            enrollment: enrollment.id,
            step: step.id.clone(),
            visit: enrollment.visit,
            contact: enrollment.contact,
            lead: enrollment.lead,
            account: enrollment.account,
            channel: channel.to_owned(),
            request,
            give_up_at: run.now + retry_for.map_or(USUAL, Span::delta),
        }
    }
}

/// Checks what all of these steps have.
pub(super) fn check(check: &mut Check<'_, '_>, channel: &str, retry_for: Option<Span>) {
    if !is_key(channel) {
        let message = "this is not the key of a channel; use 1 to 64 lower-case letters, digits and inner hyphens";
        check.problem("channel", Rule::NameInvalid, message);
    }
    if retry_for.is_some_and(|span| span.delta() > TimeDelta::days(MOST_DAYS)) {
        check.problem("retry_for", Rule::Shape, format!("a call is tried for {MOST_DAYS}d at most; give less"));
    }
}
