//! What arrives at inbound webhooks: it is stored first, and then handled by a job.

use super::actions::{Acting, Stop};
use super::definition::check_actor;
use crate::written::{Outcome, Written};
use crate::{Actor, App, AppError, Call, Command, Env, Result};
use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::{Map, Value};
use tandem_domain::access::{Role, User};
use tandem_domain::decision::Decision;
use tandem_domain::id::{InboundDeliveryId, InboundWebhookId};
use tandem_domain::inbound::{
    Arrival, Done, End, Event, Fault, Headers, InboundDelivery, InboundWebhook, Plan, Raw, Step, Verdict, action,
    delivery,
};
use tandem_store::{StoreError, Tx};

/// Stores a delivery that was verified, once for each key.
#[derive(Debug, Clone, Serialize)]
pub struct InboundDeliveryReceive {
    /// The webhook.
    pub webhook: InboundWebhookId,
    /// What a repetition is known by; none where every delivery is a new one.
    pub key: Option<String>,
    /// Why the webhook's own expression told no id, where it has one.
    pub id_fault: Option<Fault>,
    /// What the check gave.
    pub verdict: Verdict,
    /// As it came.
    pub raw: Raw,
}

impl Command for InboundDeliveryReceive {
    const NAME: &'static str = "inboundDeliveryReceive";
    type Output = Written<InboundDelivery>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Written<InboundDelivery>>> {
        let now = call.now(env);
        if let Some(key) = &self.key
            && let Some(record) = tx.inbound_delivery_with_key(self.webhook, key).await?
        {
            return Ok(Decision::unchanged(Written { outcome: Outcome::Unchanged, record }));
        }
        let webhook = webhook(tx, self.webhook).await?;
        let id: InboundDeliveryId = env.id(now);
        let key = self.key.clone().unwrap_or_else(|| id.to_string());
        let id_fault = self.id_fault.clone();
        let arrival = Arrival { id, key, id_fault, verdict: self.verdict.clone(), raw: self.raw.clone() };
        Ok(Written::created(delivery::receive(&webhook, arrival, now)))
    }
}

async fn webhook(tx: &Tx, id: InboundWebhookId) -> Result<InboundWebhook> {
    tx.peek(id).await?.ok_or(AppError::NotFound { what: "InboundWebhook", id: id.into() })
}

async fn load(tx: &Tx, id: InboundDeliveryId) -> Result<InboundDelivery> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "InboundDelivery", id: id.into() })
}

/// Records how the handling of a delivery ended. Tandem's own.
#[derive(Debug, Clone, Serialize)]
pub struct InboundDeliverySettle {
    /// The delivery.
    pub delivery: InboundDeliveryId,
    /// The round that ended.
    pub round: u32,
    /// The revision of the webhook that it was handled under.
    pub under: u32,
    /// How.
    #[serde(skip)]
    pub end: End,
}

impl Command for InboundDeliverySettle {
    const NAME: &'static str = "inboundDeliverySettle";
    type Output = InboundDelivery;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<InboundDelivery>> {
        let delivery = load(tx, self.delivery).await?;
        if delivery.round != self.round {
            return Err(tandem_domain::inbound::Refusal::Settled { state: delivery.state }.into());
        }
        let webhook = webhook(tx, delivery.webhook).await?;
        Ok(delivery::settle(delivery, (&webhook.key, self.under), self.end.clone(), call.now(env))?)
    }
}

/// Handles a delivery once more, under the webhook as it is now.
#[derive(Debug, Clone, Serialize)]
pub struct InboundDeliveryReplay {
    /// The delivery.
    pub delivery: InboundDeliveryId,
}

impl Command for InboundDeliveryReplay {
    const NAME: &'static str = "inboundDeliveryReplay";
    type Output = InboundDelivery;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<InboundDelivery>> {
        let delivery = load(tx, self.delivery).await?;
        Ok(delivery::replay(delivery, call.now(env)))
    }
}

/// What a webhook would do with a payload.
#[derive(Debug, Clone)]
pub struct Tried {
    /// What each action was given; empty where nothing passed the filter.
    pub steps: Vec<Step>,
    /// How it would end.
    pub end: End,
    /// Why the webhook's own expression would tell no id of it, so that repetitions would not be known by it.
    pub id_fault: Option<Fault>,
}

/// What expressions read of a delivery.
fn event(
    key: &str,
    received_at: chrono::DateTime<chrono::Utc>,
    headers: Headers,
    payload: Map<String, Value>,
) -> Event {
    let received_at = received_at.to_rfc3339_opts(SecondsFormat::Millis, true);
    Event { id: key.to_owned(), received_at, headers, payload }
}

/// Works out what a webhook does with an event, aside from the threads that answer requests and keep leases: expressions over
/// a large payload take their time. A lack of threads is no verdict, and leaves the delivery to another attempt.
async fn plan(webhook: &InboundWebhook, event: Event) -> Result<std::result::Result<Plan, Fault>> {
    let (filter, actions) = (webhook.filter.clone(), webhook.actions.clone());
    let planned = tokio::task::spawn_blocking(move || action::plan(filter.as_ref(), &actions, &event)).await;
    match planned {
        Ok(Err(fault)) if fault.is_passing() => Err(StoreError::Conflict.into()),
        Ok(planned) => Ok(planned),
        Err(_panicked) => Ok(Err(Fault::new("filter", "EXPRESSION_FAILED", "the evaluation broke off"))),
    }
}

impl App {
    /// Does what a webhook does with a delivery, in one transaction with the record of it and the end of the job. Whether
    /// there was anything to do.
    pub async fn handle_inbound(&self, call: &Call, id: InboundDeliveryId, round: u32) -> Result<bool> {
        let Some(delivery) = self.store.find::<InboundDelivery>(id).await? else { return Ok(false) };
        if !delivery.awaits(round) {
            return Ok(false);
        }
        let missing = || AppError::NotFound { what: "InboundWebhook", id: delivery.webhook.into() };
        let webhook: InboundWebhook = self.store.find(delivery.webhook).await?.ok_or_else(missing)?;
        let under = webhook.revision;
        let end = match self.planned(&webhook, &delivery).await? {
            Ok(Plan::Filtered) => End::Filtered,
            Err(fault) => End::Failed(fault),
            Ok(Plan::Steps(steps)) => {
                let mut batch = self.batch().await?;
                match self.act(&mut batch, call, &webhook, (&delivery.key, delivery.received_at), &steps).await {
                    Err(Stop::Broken(error)) => return Err(error),
                    // Dropping the batch undoes the actions that went well.
                    Err(Stop::Fault(fault)) => End::Failed(fault),
                    Ok(done) => {
                        let settle = InboundDeliverySettle { delivery: id, round, under, end: End::Done(done) };
                        batch.run(&call.without_job(), &settle).await?;
                        if let Some(lease) = call.job {
                            batch.finish_job(lease);
                        }
                        batch.commit().await?;
                        return Ok(true);
                    }
                }
            }
        };
        self.run(call, InboundDeliverySettle { delivery: id, round, under, end }).await?;
        Ok(true)
    }

    /// Shows what a webhook would do with a payload, down to the refusals of the commands, and does none of it.
    pub async fn try_inbound(
        &self,
        call: &Call,
        webhook: &InboundWebhook,
        headers: Headers,
        payload: Map<String, Value>,
    ) -> Result<Tried> {
        let now = call.now(&self.env);
        let event = event("tried", now, headers, payload);
        let key = event.id.clone();
        let id_fault = {
            let (webhook, event) = (webhook.clone(), event.clone());
            let told = tokio::task::spawn_blocking(move || webhook.id_of(&event)).await;
            told.ok().and_then(std::result::Result::err)
        };
        let steps = match plan(webhook, event).await? {
            Ok(Plan::Steps(steps)) => steps,
            Ok(Plan::Filtered) => return Ok(Tried { steps: Vec::new(), end: End::Filtered, id_fault }),
            Err(fault) => return Ok(Tried { steps: Vec::new(), end: End::Failed(fault), id_fault }),
        };
        let mut batch = self.batch().await?;
        let end = match self.act(&mut batch, call, webhook, (&key, now), &steps).await {
            Ok(done) => End::Done(done),
            Err(Stop::Fault(fault)) => End::Failed(fault),
            Err(Stop::Broken(error)) => return Err(error),
        };
        batch.undo().await?;
        Ok(Tried { steps, end, id_fault })
    }

    async fn planned(
        &self,
        webhook: &InboundWebhook,
        delivery: &InboundDelivery,
    ) -> Result<std::result::Result<Plan, Fault>> {
        let gone = |sentence: &str| Ok(Err(Fault::new("payload", "INBOUND_PAYLOAD_GONE", sentence)));
        let Some(raw) = self.store.inbound_raw(delivery.id).await? else {
            return gone("what came with this delivery is not kept any more");
        };
        let Ok(payload) = serde_json::from_str(&raw.body) else { return gone("what came is not a JSON object") };
        let event = event(&delivery.key, delivery.received_at, raw.headers, payload);
        plan(webhook, event).await
    }

    async fn act(
        &self,
        batch: &mut crate::Batch<'_>,
        call: &Call,
        webhook: &InboundWebhook,
        (key, received_at): (&str, chrono::DateTime<chrono::Utc>),
        steps: &[Step],
    ) -> std::result::Result<Vec<Done>, Stop> {
        let user = batch.tx().peek::<User>(webhook.acts_as).await;
        let user = batch.note(user.map_err(AppError::from))?;
        check_actor(user.as_ref()).map_err(|problem| {
            let sentence = format!("this webhook acts as user {}: {problem}", webhook.acts_as);
            Fault::new("actsAs", "INBOUND_ACTOR_UNFIT", sentence)
        })?;
        // Whatever side the user stands on, a machine turns no key of a list.
        let call = call.by(Actor::user(webhook.acts_as, Role::Integration, None)).without_job();
        Acting::new(batch, call, webhook, (key.to_owned(), received_at)).all(steps).await
    }
}
