//! One call that a step makes of another system, and its three beats: begin, the request, settle.
//!
//! ```text
//! PLANNED -> SENDING -> SUCCEEDED
//!    |  ^       |  \--> FAILED      the other side says no for good, or said "later" for too long
//!    |  \-------/                   "later", or no answer: tried again
//!    \--------> CANCELLED           the run does not wait for it any more
//! ```
//!
//! A call found in SENDING by a later run of its job was begun by a process that died or lost its lease: it is made again under
//! the same id ([`OutboundCall::message`]), by which the other side can tell. A chat cannot: it may show a message twice, and
//! never none.

mod answer;

pub(crate) use answer::with_query;
pub use answer::{Answer, Body, MAX_ANSWER, Outgoing, Verdict, judge};

use super::channel::{ChannelState, OutboundChannel};
use super::delivery::Attempt;
use super::{chat, retry};
use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{AccountId, ContactId, EnrollmentId, LeadId, OutboundCallId, OutboundChannelId};
use crate::sequence::calling::{PlannedCall, Request};
use crate::sequence::steps::Failure;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many tries are kept of a call.
const KEPT: usize = 20;
/// The waits after the first, the second ... failure, in seconds; after those, as long as after the last.
const WAITS: [u32; 7] = [10, 60, 300, 900, 1_800, 3_600, 7_200];
/// When it is looked again whether a paused channel goes on.
const HELD: TimeDelta = TimeDelta::minutes(15);

codes! {
    /// Where a call stands.
    pub enum CallState("call state") {
        /// To be made, perhaps not for the first time.
        Planned = "PLANNED",
        /// Handed to the network; the outcome is not recorded yet.
        Sending = "SENDING",
        /// The other side took it.
        Succeeded = "SUCCEEDED",
        /// It is not tried any more.
        Failed = "FAILED",
        /// The run that planned it does not wait for it any more.
        Cancelled = "CANCELLED",
    }
}

/// One call that a step makes of another system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboundCall {
    /// Its id.
    pub id: OutboundCallId,
    /// Where to.
    pub channel: OutboundChannelId,
    /// The channel's key.
    pub channel_key: String,
    /// The enrolment that planned it; none for a test. (enrollment, step, visit) is unique.
    pub enrollment: Option<EnrollmentId>,
    /// The step's name within its sequence.
    pub step: String,
    /// The enrolment's visit counter when it was planned.
    pub visit: u32,
    /// The person it is about.
    pub contact: Option<ContactId>,
    /// The lead it is about.
    pub lead: Option<LeadId>,
    /// The account it is about.
    pub account: Option<AccountId>,
    /// What is sent.
    pub request: Request,
    /// Where it stands.
    pub state: CallState,
    /// How often it was planned: a job that was planned for another round does nothing.
    pub round: u32,
    /// How often it was begun. It is also the fence of [`settle`].
    pub attempts: u32,
    /// How often it failed.
    pub failures: u32,
    /// Whether it waits because its channel is paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The last tries, at most 20, the latest last.
    pub tries: Vec<Attempt>,
    /// Why it failed or was cancelled.
    pub failure: Option<Failure>,
    /// After this moment it is not tried again.
    pub give_up_at: DateTime<Utc>,
    /// When it is tried next; none where it is not.
    pub next_at: Option<DateTime<Utc>>,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// When the last try began.
    pub begun_at: Option<DateTime<Utc>>,
    /// When it came to its end.
    pub settled_at: Option<DateTime<Utc>>,
}

/// Why a beat of a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It came to its end.
    #[error("this call is {state}; nothing is left to do")]
    Settled {
        /// Its state.
        state: CallState,
    },
    /// The job or the outcome belongs to an earlier try.
    #[error("this belongs to an earlier try of the call; nothing is left to do")]
    Stale,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settled { .. } => "CALL_SETTLED",
            Self::Stale => "CALL_STALE",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        None
    }
}

/// Whether the run that planned a call still waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It does, paused or not; or no run planned it.
    Open,
    /// It ended, or went on without it.
    Shut,
}

/// Plans the call that a step asks for: it is written down and falls due at once.
pub fn plan(
    id: OutboundCallId,
    channel: &OutboundChannel,
    planned: &PlannedCall,
    now: DateTime<Utc>,
) -> Decision<OutboundCall> {
    let PlannedCall { enrollment, step, visit, contact, lead, account, request, give_up_at, .. } = planned.clone();
    let origin = (Some(enrollment), step, visit);
    new(id, channel, origin, (Some(contact), lead, account), request, (now, give_up_at))
}

/// Plans a message to see whether a channel takes it. It is tried for an hour.
pub fn test(
    id: OutboundCallId,
    channel: &OutboundChannel,
    request: Request,
    now: DateTime<Utc>,
) -> Decision<OutboundCall> {
    let origin = (None, "test".to_owned(), 0);
    new(id, channel, origin, (None, None, None), request, (now, now + TimeDelta::hours(1)))
}

fn new(
    id: OutboundCallId,
    channel: &OutboundChannel,
    (enrollment, step, visit): (Option<EnrollmentId>, String, u32),
    (contact, lead, account): (Option<ContactId>, Option<LeadId>, Option<AccountId>),
    request: Request,
    (now, give_up_at): (DateTime<Utc>, DateTime<Utc>),
) -> Decision<OutboundCall> {
    let call = OutboundCall {
        id,
        channel: channel.id,
        channel_key: channel.key.clone(),
        enrollment,
        step,
        visit,
        contact,
        lead,
        account,
        request,
        state: CallState::Planned,
        round: 1,
        attempts: 0,
        failures: 0,
        held: false,
        tries: Vec::new(),
        failure: None,
        give_up_at,
        next_at: Some(now),
        planned_at: now,
        begun_at: None,
        settled_at: None,
    };
    let fact = call.fact("outbound_call.planned");
    call.timed(Decision::new((), fact))
}

impl OutboundCall {
    /// The id by which the other side knows a call that it was sent before: the same however often it is sent.
    pub fn message(&self) -> String {
        format!("call_{}", Uuid::from(self.id).simple())
    }

    /// What is sent over its channel; none where the channel is for another kind of request.
    pub fn outgoing(&self, channel: &OutboundChannel, now: DateTime<Utc>) -> Option<Outgoing> {
        let (method, query, headers, body, timeout_seconds) = match &self.request {
            Request::Message { title, text, link } => {
                let message = chat::Message { title: title.as_deref(), text, link: link.as_deref() };
                return chat::outgoing(channel, &message, now);
            }
            Request::Http { method, query, headers, body, timeout_seconds, .. } => {
                (*method, query, headers, body, *timeout_seconds)
            }
        };
        if channel.provider.is_chat() {
            return None;
        }
        let query: Vec<(&str, &str)> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut all: Vec<(String, String)> = Vec::new();
        if body.is_some() {
            all.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        all.push(("accept".to_owned(), "application/json".to_owned()));
        all.push(("idempotency-key".to_owned(), self.message()));
        all.extend(channel.signed(&self.message(), body.as_deref().unwrap_or_default(), now));
        // What the step writes does not replace what the channel authorises itself with.
        let own: Vec<(String, String)> =
            channel.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let written = headers.iter().filter(|(name, _)| own.iter().all(|(owned, _)| owned != name));
        all.retain(|(name, _)| own.iter().chain(headers).all(|(given, _)| given != name));
        all.extend(written.cloned());
        all.extend(own);
        Some(Outgoing {
            method: method.as_str(),
            url: with_query(channel.url(), &query),
            headers: all,
            body: body.clone(),
            timeout_seconds: Some(timeout_seconds),
        })
    }

    /// What the limits on one channel count its jobs under.
    pub fn limit_key(&self) -> String {
        self.channel.to_string()
    }

    fn fact(&self, kind: &'static str) -> Fact {
        Fact::ledger(kind, self.id)
            .lead(self.lead)
            .account(self.account)
            .with("enrollment", self.enrollment)
            .with("contact", self.contact)
            .with("channel", &self.channel_key)
            .with("step", &self.step)
            .with("attempt", self.attempts)
    }

    /// Plans its next try, where it has one.
    fn timed(self, decision: Decision<()>) -> Decision<Self> {
        let (job, key, next_at) = (Job::MakeCall { call: self.id, round: self.round }, self.limit_key(), self.next_at);
        let decision = decision.map(|()| self);
        match next_at {
            Some(at) => decision.plan_under(key, job, at),
            None => decision,
        }
    }

    fn end(
        mut self,
        state: CallState,
        kind: &'static str,
        failure: Option<Failure>,
        now: DateTime<Utc>,
    ) -> Decision<Self> {
        let mut fact = self.fact(kind).moved(self.state, state);
        if let Some(failure) = &failure {
            fact = fact.because(&failure.code).with("message", &failure.message);
        }
        (self.state, self.failure, self.next_at, self.settled_at) = (state, failure, None, Some(now));
        Decision::new(self, fact)
    }
}

/// The first beat: records the try, under the job of `round`. SENDING means that the caller must send and settle.
pub fn begin(
    mut call: OutboundCall,
    round: u32,
    gate: Gate,
    channel: ChannelState,
    now: DateTime<Utc>,
) -> Result<Decision<OutboundCall>, Refusal> {
    if !matches!(call.state, CallState::Planned | CallState::Sending) {
        return Err(Refusal::Settled { state: call.state });
    }
    if call.round != round {
        return Err(Refusal::Stale);
    }
    if gate == Gate::Shut {
        let failure = Failure::new("CALL_NOT_AWAITED", "the run that planned it does not wait for it any more");
        return Ok(call.end(CallState::Cancelled, "outbound_call.cancelled", Some(failure), now));
    }
    if channel == ChannelState::Paused {
        return Ok(hold(call, now));
    }
    let again = call.state == CallState::Sending;
    call.attempts = call.attempts.saturating_add(1);
    let fact = call.fact("outbound_call.begun").moved(call.state, CallState::Sending).with("again", again);
    (call.state, call.begun_at, call.next_at, call.held) = (CallState::Sending, Some(now), None, false);
    Ok(Decision::new(call, fact))
}

/// Waits for a channel that is paused. It is told once: what looks again and finds nothing new only gets its next due time.
fn hold(mut call: OutboundCall, now: DateTime<Utc>) -> Decision<OutboundCall> {
    if now >= call.give_up_at {
        let failure = Failure::new("CHANNEL_PAUSED", "the channel stayed PAUSED for longer than the step waits");
        return call.end(CallState::Failed, "outbound_call.failed", Some(failure), now);
    }
    // However short the step waits: it is looked once more at the end of that.
    let at = (now + HELD).min(call.give_up_at);
    let told = std::mem::replace(&mut call.held, true);
    let fact = call.fact("outbound_call.held").moved(call.state, CallState::Planned).with("until", at);
    call.state = CallState::Planned;
    call.round = call.round.saturating_add(1);
    call.next_at = Some(at);
    call.timed(if told { Decision::unchanged(()) } else { Decision::new((), fact) })
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What is kept of it.
    pub attempt: Attempt,
    /// What it means.
    pub verdict: Verdict,
}

/// The third beat: records how the try of that number ended, and what follows: nothing, or another try. `draw` is from 0 up to 1.
///
/// A success counts whoever brings it, also a process that lost its lease meanwhile: the other side took the call. What failed
/// counts only where it was the last try.
pub fn settle(
    mut call: OutboundCall,
    number: u32,
    outcome: Outcome,
    draw: f64,
    now: DateTime<Utc>,
) -> Result<Decision<OutboundCall>, Refusal> {
    if !matches!(call.state, CallState::Planned | CallState::Sending) {
        return Err(Refusal::Settled { state: call.state });
    }
    let Outcome { attempt, verdict } = outcome;
    let last = call.state == CallState::Sending && number == call.attempts;
    let late = matches!(verdict, Verdict::Taken(_)) && (1..=call.attempts).contains(&number);
    if !last && !late {
        return Err(Refusal::Stale);
    }
    call.tries.push(attempt);
    let kept = call.tries.len().saturating_sub(KEPT);
    call.tries.drain(..kept);
    let (code, message, after) = match verdict {
        Verdict::Taken(_) => return Ok(call.end(CallState::Succeeded, "outbound_call.succeeded", None, now)),
        Verdict::Never { code, message } => {
            call.failures = call.failures.saturating_add(1);
            return Ok(call.end(CallState::Failed, "outbound_call.failed", Some(Failure::new(code, message)), now));
        }
        Verdict::Later { code, message, after } => (code, message, after),
    };
    call.failures = call.failures.saturating_add(1);
    let waits = WAITS.map(|seconds| TimeDelta::seconds(seconds.into()));
    let round = call.failures.min(u32::try_from(WAITS.len()).unwrap_or(u32::MAX));
    let next = retry::next(&waits, round, draw, after, now).filter(|at| *at <= call.give_up_at);
    let Some(at) = next else {
        return Ok(call.end(CallState::Failed, "outbound_call.failed", Some(Failure::new(code, message)), now));
    };
    let fact = call
        .fact("outbound_call.deferred")
        .moved(call.state, CallState::Planned)
        .because(code)
        .with("message", message)
        .with("next_at", at);
    (call.state, call.next_at) = (CallState::Planned, Some(at));
    call.round = call.round.saturating_add(1);
    Ok(call.timed(Decision::new((), fact)))
}

#[cfg(test)]
mod laws;
