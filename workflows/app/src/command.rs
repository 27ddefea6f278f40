//! How every command runs.

use crate::{Actor, AppError, Env, Result};
use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use tandem_domain::decision::Decision;
use tandem_domain::ledger::{Stamp, sha256_hex};
use tandem_store::jobs::Lease;
use tandem_store::{Save, Store, StoreError, Tx};

/// How often a command that lost a race is tried before the caller is told.
const TRIES: usize = 5;

/// A change somebody asks for.
///
/// It serialises to its input: that is what an idempotency key is compared by.
pub trait Command: Serialize + Send + Sync {
    /// Its name: the mutation's, and the key of the who-may table.
    const NAME: &'static str;
    /// What it changes and gives back.
    type Output: Save + Serialize + DeserializeOwned + Send;

    /// Loads what it needs and decides. It may run again after a lost race, so it keeps nothing.
    fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> impl Future<Output = Result<Decision<Self::Output>>> + Send;
}

/// The circumstances of a command: who, in answer to what, under which lease, and when.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who acts.
    pub actor: Actor,
    /// The request that led here.
    pub request_id: String,
    /// The caller's key for a request that may be repeated.
    pub idempotency_key: Option<String>,
    /// The job that is finished with this command.
    pub job: Option<Lease>,
    /// When it happened, for a past that is being recorded; else now.
    pub happened_at: Option<DateTime<Utc>>,
    /// Not before this moment: a job runs when the database's clock says so, and this node's may be behind.
    not_before: Option<DateTime<Utc>>,
    /// The clock as it was read for this attempt, so that decision, stamp and ledger tell one time.
    read_at: Option<DateTime<Utc>>,
}

impl Call {
    /// A call of an actor.
    pub fn new(actor: Actor, request_id: impl Into<String>) -> Self {
        Self {
            actor,
            request_id: request_id.into(),
            idempotency_key: None,
            job: None,
            happened_at: None,
            not_before: None,
            read_at: None,
        }
    }

    /// A call of Tandem itself.
    pub fn system(request_id: impl Into<String>) -> Self {
        Self::new(Actor::system(), request_id)
    }

    /// The same with an idempotency key.
    pub fn with_key(mut self, key: Option<String>) -> Self {
        self.idempotency_key = key;
        self
    }

    /// The same under the lease of a job that fell due at `due`, which the command's commit finishes.
    pub fn for_job(mut self, job: Lease, due: DateTime<Utc>) -> Self {
        self.job = Some(job);
        self.not_before = Some(due);
        self
    }

    /// The same by another actor.
    pub fn by(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The same as the answer to another request.
    pub fn in_answer_to(&self, request_id: String) -> Self {
        Self { request_id, ..self.clone() }
    }

    /// The same for work beside the job, which stays as it is.
    pub fn without_job(&self) -> Self {
        Self { job: None, ..self.clone() }
    }

    /// The same at a moment of the past.
    pub fn at(mut self, happened_at: DateTime<Utc>) -> Self {
        self.happened_at = Some(happened_at);
        self
    }

    /// When the job that is finished with this fell due.
    pub const fn due(&self) -> Option<DateTime<Utc>> {
        self.not_before
    }

    /// When it happens.
    pub fn now(&self, env: &Env) -> DateTime<Utc> {
        self.happened_at.unwrap_or_else(|| self.clock(env))
    }

    fn clock(&self, env: &Env) -> DateTime<Utc> {
        let now = self.read_at.unwrap_or_else(|| env.now());
        self.not_before.map_or(now, |due| now.max(due))
    }

    /// The same with the clock read now, once and for all.
    fn timed(&self, env: &Env) -> Self {
        Self { read_at: Some(env.now()), ..self.clone() }
    }

    fn stamp(&self, env: &Env) -> Stamp {
        Stamp {
            actor: self.actor.id(),
            role: self.actor.role_code().to_owned(),
            side: self.actor.side.map(|side| side.as_str().to_owned()),
            at: self.now(env),
            recorded_at: self.clock(env),
            request_id: self.request_id.clone(),
            idempotency_key: self.idempotency_key.clone(),
            trace: env.traces.current(),
        }
    }
}

/// Tandem's commands over a store and an environment. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database; everybody may read.
    pub store: Store,
    /// The ports.
    pub env: Env,
}

impl App {
    /// Over a store and an environment.
    pub const fn new(store: Store, env: Env) -> Self {
        Self { store, env }
    }

    /// Runs a command: who may, the answer given before, the decision, the commit.
    pub async fn run<C: Command>(&self, call: &Call, command: C) -> Result<C::Output> {
        call.actor.may(C::NAME)?;
        let input_hash = input_hash(call, &command)?;
        let mut tries = 1;
        loop {
            match self.attempt(call, &command, &input_hash).await {
                Err(AppError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                Err(refusal) if refusal.is_refusal() && call.idempotency_key.is_some() => {
                    // The same request may have run beside this one, and have made what this one was refused for.
                    return self.answered::<C>(call, &input_hash).await?.ok_or(refusal);
                }
                done => return done,
            }
        }
    }

    async fn attempt<C: Command>(&self, call: &Call, command: &C, input_hash: &str) -> Result<C::Output> {
        let tx = self.store.begin(call.job).await?;
        let call = &call.timed(&self.env);
        let stamp = call.stamp(&self.env);
        if let Some(output) = answer::<C>(&tx, &stamp, input_hash).await? {
            return Ok(output);
        }
        let decision = Box::pin(command.decide(&tx, call, &self.env)).await?;
        Ok(tx.commit(&stamp, Some((C::NAME, input_hash)), decision).await?)
    }

    async fn answered<C: Command>(&self, call: &Call, input_hash: &str) -> Result<Option<C::Output>> {
        let tx = self.store.begin(None).await?;
        answer::<C>(&tx, &call.stamp(&self.env), input_hash).await
    }
}

/// What tells two inputs under one idempotency key apart; empty where there is no key. Unlike the ledger's canonical
/// form, it keeps every digit of a number.
fn input_hash<C: Command>(call: &Call, command: &C) -> Result<String> {
    if call.idempotency_key.is_none() {
        return Ok(String::new());
    }
    let input = serde_json::to_vec(command).map_err(|source| StoreError::Decode { kind: "command", source })?;
    Ok(sha256_hex(&[&input]))
}

/// The answer given before to the same request, if any.
async fn answer<C: Command>(tx: &Tx, stamp: &Stamp, input_hash: &str) -> Result<Option<C::Output>> {
    let Some(answer) = tx.recall(stamp).await? else { return Ok(None) };
    if answer.command != C::NAME || answer.input_hash != input_hash {
        return Err(AppError::IdempotencyConflict);
    }
    let output = serde_json::from_str(&answer.output)
        .map_err(|source| StoreError::Decode { kind: "idempotency answer", source })?;
    Ok(Some(output))
}

/// Several commands in one transaction, for work in bulk: all of them land, or none.
pub struct Batch<'a> {
    app: &'a App,
    inner: tandem_store::Batch,
    broken: bool,
}

impl App {
    /// Opens a batch.
    pub async fn batch(&self) -> Result<Batch<'_>> {
        Ok(Batch { app: self, inner: self.store.begin(None).await?.batch(), broken: false })
    }
}

impl Batch<'_> {
    /// Runs a command within the batch, which sees what earlier ones wrote. A command that is refused leaves nothing
    /// behind and the batch goes on; after a failure to write it is [broken](Self::is_broken). Nothing is tried again.
    pub async fn run<C: Command>(&mut self, call: &Call, command: &C) -> Result<C::Output> {
        call.actor.may(C::NAME)?;
        let input_hash = input_hash(call, command)?;
        let env = &self.app.env;
        let call = &call.timed(env);
        let stamp = call.stamp(env);
        let answered = answer::<C>(self.inner.tx(), &stamp, &input_hash).await;
        if let Some(output) = self.note(answered)? {
            return Ok(output);
        }
        // In a box: a decision may hold others, and the room of all of them would be on the stack.
        let decided = Box::pin(command.decide(self.inner.tx(), call, env)).await;
        let decision = self.note(decided)?;
        let written = self.inner.put(&stamp, Some((C::NAME, &input_hash)), decision).await;
        self.broken |= written.is_err();
        Ok(written?)
    }

    /// The commit shall finish this job too. If its lease was lost, nothing of the batch happens.
    pub fn finish_job(&mut self, lease: Lease) {
        self.inner.finish_job(lease);
    }

    /// A statement that failed spoils the transaction; a refusal was decided before anything was written.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.broken |= matches!(result, Err(AppError::Store(_)));
        result
    }

    /// Whether a write failed, so that the batch can only be dropped.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// The ports and rules.
    pub(crate) const fn env(&self) -> &Env {
        &self.app.env
    }

    /// The transaction, for reads between commands.
    pub const fn tx(&self) -> &Tx {
        self.inner.tx()
    }

    /// Undoes everything that was run, at once.
    pub async fn undo(self) -> Result<()> {
        Ok(self.inner.undo().await?)
    }

    /// Commits everything that was run. Dropping the batch instead undoes it.
    pub async fn commit(self) -> Result<()> {
        Ok(self.inner.commit().await?)
    }
}
