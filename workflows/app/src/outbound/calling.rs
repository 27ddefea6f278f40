//! The three beats of a call that a step makes.
//!
//! Locks are taken in one order: the call, the enrolment, the contact, the lead.

use crate::sequence::{LetGo, Subject, let_go};
use crate::{App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use tandem_domain::decision::Decision;
use tandem_domain::expression::{self, Expression};
use tandem_domain::id::OutboundCallId;
use tandem_domain::outbound::call::{self, Gate, MAX_ANSWER, Outcome, Refusal, Verdict};
use tandem_domain::outbound::channel::{self, OutboundChannel};
use tandem_domain::outbound::{Attempt, CallState, OutboundCall};
use tandem_domain::sequence::calling::{Keep, PlannedCall, Request};
use tandem_domain::sequence::enrollment::{self, Answered};
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::steps::Failure;
use tandem_domain::sequence::{Enrollment, SequenceVersion};
use tandem_store::{StoreError, Tx};
use tracing::Instrument;

/// A call, and its enrolment (with the lead and the tasks that it let go) where that goes on or ended with it.
pub type Moved = (OutboundCall, Option<LetGo>);

/// Plans the call of a step, as a part of the enrolment's decision.
pub(crate) async fn plan_call(
    tx: &Tx,
    planned: &PlannedCall,
    id: OutboundCallId,
    now: DateTime<Utc>,
) -> Result<Decision<OutboundCall>> {
    let key = &planned.channel;
    let found = tx.outbound_channel_with_key(key).await?;
    let channel = found.ok_or_else(|| channel::Refusal::Unknown { key: key.clone() })?;
    if channel.provider.is_chat() != matches!(planned.request, Request::Message { .. }) {
        return Err(channel::Refusal::OtherKind { key: key.clone(), provider: channel.provider }.into());
    }
    Ok(call::plan(id, &channel, planned, now))
}

async fn load(tx: &Tx, id: OutboundCallId) -> Result<OutboundCall> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "OutboundCall", id: id.into() })
}

/// The enrolment that planned a call, locked, while it waits for it.
async fn run_of(tx: &Tx, call: &OutboundCall) -> Result<Option<Enrollment>> {
    let Some(id) = call.enrollment else { return Ok(None) };
    let run: Option<Enrollment> = tx.get(id).await?;
    Ok(run.filter(|run| run.state.is_live() && run.awaits == Some(call.visit)))
}

/// What is kept of a success: the answer, or what the step makes of it.
fn kept(keep: &Keep, answer: Value, status: Option<u16>, data: Value) -> Result<Value, Verdict> {
    let Some(mapping) = &keep.mapping else {
        return match expression::holds_nul(&answer) {
            true => {
                let message =
                    "the answer holds the character NUL (U+0000), which cannot be stored; let `answer` leave it out";
                Err(Verdict::Never { code: "CALL_ANSWER_NUL", message: message.to_owned() })
            }
            false => Ok(answer),
        };
    };
    let mut data = data;
    data["answer"] = answer;
    data["status"] = json!(status);
    let value = Expression::parse(mapping).and_then(|mapping| mapping.evaluate(&data)).map_err(|refusal| {
        let (code, message) = (refusal.code(), refusal.to_string());
        match refusal {
            // It says nothing about the answer. The other side knows the call by its id, and answers again.
            expression::Refusal::NoThread => Verdict::Later { code, message, after: None },
            _ => Verdict::Never { code, message },
        }
    })?;
    if value.to_string().len() > MAX_ANSWER {
        let message = format!("what is kept of the answer is larger than {MAX_ANSWER} bytes");
        return Err(Verdict::Never { code: "CALL_ANSWER_TOO_LARGE", message });
    }
    Ok(value)
}

/// Lets the enrolment go on that waits for a call which came to its end.
async fn followed(
    tx: &Tx,
    call: &OutboundCall,
    run: Option<(Enrollment, Subject)>,
    value: Option<(String, Value)>,
    env: &Env,
    now: DateTime<Utc>,
) -> Result<Option<Decision<LetGo>>> {
    let Some((run, subject)) = run else { return Ok(None) };
    let how = match (call.state, &call.failure) {
        (CallState::Succeeded, _) => Answered::Success(value),
        (CallState::Failed, Some(failure)) => Answered::Failure(failure.clone()),
        (CallState::Failed, None) => Answered::Failure(Failure::new("CALL_REFUSED", "the call failed")),
        // Nobody waits for it, or it is not at its end.
        (CallState::Planned | CallState::Sending | CallState::Cancelled, _) => return Ok(None),
    };
    let missing = || AppError::NotFound { what: "SequenceVersion", id: run.version.into() };
    let version: SequenceVersion = tx.peek(run.version).await?.ok_or_else(missing)?;
    match enrollment::answered(run, &version.definition, call.visit, how, now) {
        Some(decision) => Ok(Some(let_go(tx, decision, subject.lead, env, now).await?)),
        None => Ok(None),
    }
}

fn join(call: Decision<OutboundCall>, run: Option<Decision<LetGo>>) -> Decision<Moved> {
    match run {
        Some(run) => call.and(run).map(|(call, run)| (call, Some(run))),
        None => call.map(|call| (call, None)),
    }
}

async fn with_subject(tx: &Tx, run: Option<Enrollment>) -> Result<Option<(Enrollment, Subject)>> {
    match run {
        Some(run) => {
            let subject = Subject::load(tx, run.contact, run.lead).await?;
            Ok(Some((run, subject)))
        }
        None => Ok(None),
    }
}

/// The first beat: records the try, unless the run does not wait for it any more. Look at the state of what it gives back:
/// SENDING means that the caller must send and settle, and that its job goes on; after everything else the job is finished.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundCallBegin {
    /// The call.
    pub call: OutboundCallId,
    /// The round that the job was planned for.
    pub round: u32,
}

impl Command for OutboundCallBegin {
    const NAME: &'static str = "outboundCallBegin";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Moved>> {
        let now = call.now(env);
        let before = load(tx, self.call).await?;
        let run = run_of(tx, &before).await?;
        let gate = if before.enrollment.is_some() && run.is_none() { Gate::Shut } else { Gate::Open };
        let missing = || AppError::NotFound { what: "OutboundChannel", id: before.channel.into() };
        let channel: OutboundChannel = tx.peek(before.channel).await?.ok_or_else(missing)?;
        let begun = call::begin(before, self.round, gate, channel.state, now)?;
        if begun.next.state == CallState::Sending {
            tx.keep_job();
            return Ok(join(begun, None));
        }
        let run = with_subject(tx, run).await?;
        let followed = followed(tx, &begun.next, run, None, env, now).await?;
        Ok(join(begun, followed))
    }
}

/// The third beat: records how a try ended, and lets the enrolment go on.
#[derive(Debug, Clone, Serialize)]
pub struct OutboundCallSettle {
    /// The call.
    pub call: OutboundCallId,
    /// The number of the try.
    pub attempt: u32,
    /// How it ended.
    #[serde(skip)]
    pub outcome: Outcome,
}

impl Command for OutboundCallSettle {
    const NAME: &'static str = "outboundCallSettle";
    type Output = Moved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Moved>> {
        let now = call.now(env);
        let before = load(tx, self.call).await?;
        if !matches!(before.state, CallState::Planned | CallState::Sending) {
            return Err(Refusal::Settled { state: before.state }.into());
        }
        let run = run_of(tx, &before).await?;
        let mut run = with_subject(tx, run).await?;
        let mut outcome = self.outcome.clone();
        let mut value = None;
        if let (Verdict::Taken(answer), Request::Http { keep: Some(keep), .. }, Some((run, subject))) =
            (&outcome.verdict, &before.request, &mut run)
        {
            let reads = keep.mapping.as_deref().map(Reads::of_expression).unwrap_or_default();
            subject.see(tx, &reads, now).await?;
            let data = subject.data(env, Some(run), now);
            match kept(keep, answer.clone(), outcome.attempt.status, data) {
                Ok(kept) => value = Some((keep.name.clone(), kept)),
                Err(verdict) => outcome.verdict = verdict,
            }
        }
        let settled = call::settle(before, self.attempt, outcome, env.chance.fraction(), now)?;
        let followed = followed(tx, &settled.next, run, value, env, now).await?;
        Ok(join(settled, followed))
    }
}

impl App {
    /// Tries a call once, under the job of `round`. Whether there was anything to do.
    ///
    /// A crash between the first beat and the last leaves the call SENDING: the next run of the job makes it again, under the
    /// same id.
    pub async fn make_call(&self, call: &Call, id: OutboundCallId, round: u32) -> Result<bool> {
        let (begun, _) = match self.run(call, OutboundCallBegin { call: id, round }).await {
            Ok(begun) => begun,
            Err(AppError::Refused { .. } | AppError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        if begun.state != CallState::Sending {
            return Ok(true);
        }
        let missing = || AppError::NotFound { what: "OutboundChannel", id: begun.channel.into() };
        let channel: OutboundChannel = self.store.find(begun.channel).await?.ok_or_else(missing)?;
        let outcome = self.ask(&begun, &channel).await;
        let settle = OutboundCallSettle { call: id, attempt: begun.attempts, outcome };
        match self.run(call, settle.clone()).await {
            Ok(_) => Ok(true),
            // The lease ran out while the other side took its time. What happened is known here, so it is recorded; the job
            // is no longer ours to finish.
            Err(lost @ AppError::Store(StoreError::LeaseLost { .. })) => {
                match self.run(&call.without_job(), settle).await {
                    Ok(_) | Err(AppError::Refused { .. }) => Err(lost),
                    Err(error) => Err(error),
                }
            }
            Err(AppError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The second beat: the request, outside of any transaction.
    async fn ask(&self, call: &OutboundCall, channel: &OutboundChannel) -> Outcome {
        let at = self.env.now();
        let attempt = |status: Option<u16>, code: Option<&str>, message: String, took_ms: u32| Attempt {
            at,
            took_ms,
            status,
            code: code.map(str::to_owned),
            message,
        };
        let Some(outgoing) = call.outgoing(channel, at) else {
            let refusal = channel::Refusal::OtherKind { key: channel.key.clone(), provider: channel.provider };
            let (code, message) = (refusal.code(), refusal.to_string());
            let verdict = Verdict::Never { code, message: message.clone() };
            return Outcome { attempt: attempt(None, Some(code), message, 0), verdict };
        };
        let span = tracing::info_span!(
            "make call",
            otel.kind = "client",
            outcome = tracing::field::Empty,
            call = %call.id,
            attempt = call.attempts
        );
        let asked = self.env.hooks.sender.ask(outgoing).instrument(span.clone()).await;
        let took_ms = u32::try_from((self.env.now() - at).num_milliseconds()).unwrap_or_default();
        let (attempt, verdict) = match asked {
            Ok(answer) => {
                let verdict = call::judge(call, channel.provider, &answer);
                let code = match &verdict {
                    Verdict::Taken(_) => None,
                    Verdict::Later { code, .. } | Verdict::Never { code, .. } => Some(*code),
                };
                (attempt(Some(answer.status), code, answer.excerpt, took_ms), verdict)
            }
            Err(unsent) => {
                let attempt = attempt(None, Some(unsent.code), unsent.message.clone(), took_ms);
                (attempt, Verdict::unsent(unsent.code, unsent.message))
            }
        };
        span.record("outcome", attempt.code.as_deref().unwrap_or("taken"));
        Outcome { attempt, verdict }
    }
}
