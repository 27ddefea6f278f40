//! Commands on the senders of events.

use crate::inbound::check_actor;
use crate::{App, AppError, Call, Command, Env, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use tandem_domain::access::User;
use tandem_domain::decision::Decision;
use tandem_domain::id::EventSourceId;
use tandem_domain::ingest::{EventSource, SourceDraft, source};
use tandem_store::Tx;

/// What every write key begins with, so that a scanner finds one that leaked from a server.
pub const WRITE_KEY_PREFIX: &str = "tdw_";

/// Saves a source under its key. Run it through [`App::save_event_source`], which makes the write key of a new one.
#[derive(Debug, Clone, Serialize)]
pub struct EventSourceSave {
    /// The definition.
    pub draft: SourceDraft,
    /// The write key of a new one. Not part of the input that an idempotency key is compared by: it differs every time.
    #[serde(skip)]
    write_key: String,
}

impl Command for EventSourceSave {
    const NAME: &'static str = "eventSourceSave";
    type Output = EventSource;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<EventSource>> {
        let now = call.now(env);
        let before = tx.event_source_with_key(&self.draft.key).await?;
        check_actor(tx.peek::<User>(self.draft.acts_as).await?.as_ref()).map_err(|problem| {
            let message = format!("{problem}; name an active user with the role INTEGRATION");
            AppError::refused("SOURCE_ACTOR_UNFIT", message, Some("actsAs"))
        })?;
        Ok(source::save(before.as_ref(), env.id(now), self.draft.clone(), &self.write_key, now)?)
    }
}

/// Gives a source a new write key. Run it through [`App::rotate_event_source_key`], which makes it.
#[derive(Debug, Clone, Serialize)]
pub struct EventSourceRotateKey {
    /// The source.
    pub source: EventSourceId,
    /// How long the earlier write key stays valid beside it, in hours: 0 to 2,160.
    pub overlap_hours: u32,
    /// Whether a write key from a rotation before, which is still within its time, ends now. Without it the rotation is refused then.
    pub end_previous: bool,
    #[serde(skip)]
    write_key: String,
}

impl Command for EventSourceRotateKey {
    const NAME: &'static str = "eventSourceRotateKey";
    type Output = EventSource;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<EventSource>> {
        let missing = || AppError::NotFound { what: "EventSource", id: self.source.into() };
        let source: EventSource = tx.get(self.source).await?.ok_or_else(missing)?;
        Ok(source::rotate(source, &self.write_key, (self.overlap_hours, self.end_previous), call.now(env))?)
    }
}

impl App {
    /// Saves a source under its key. The write key comes with one that is new, and with no repetition of the request: only
    /// its hash is kept.
    pub async fn save_event_source(&self, call: &Call, draft: SourceDraft) -> Result<(EventSource, Option<String>)> {
        let write_key = self.write_key();
        let saved = self.run(call, EventSourceSave { draft, write_key: write_key.clone() }).await?;
        Ok(shown(saved, write_key))
    }

    /// Gives a source a new write key, which comes with it. The earlier one stays valid for `overlap_hours`; `end_previous` ends
    /// one from a rotation before, which is refused otherwise while it is within its time.
    pub async fn rotate_event_source_key(
        &self,
        call: &Call,
        source: EventSourceId,
        (overlap_hours, end_previous): (u32, bool),
    ) -> Result<(EventSource, Option<String>)> {
        let write_key = self.write_key();
        let rotate = EventSourceRotateKey { source, overlap_hours, end_previous, write_key: write_key.clone() };
        Ok(shown(self.run(call, rotate).await?, write_key))
    }

    fn write_key(&self) -> String {
        let mut bytes = [0; 24];
        self.env.chance.fill(&mut bytes);
        format!("{WRITE_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The write key belongs to what was just written, unless that is the answer to an earlier request.
fn shown(source: EventSource, write_key: String) -> (EventSource, Option<String>) {
    let is_its = source.write_keys.first().is_some_and(|held| held.hash == source::hash(&write_key));
    (source, is_its.then_some(write_key))
}
