//! Answers to repeated requests: the same key with the same input gives the same answer for 24 hours.

use crate::{Result, Store, StoreError, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Statement};
use serde::Serialize;
use tandem_domain::ledger::Stamp;
use uuid::Uuid;

/// How long an answer is kept, in milliseconds.
pub const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// An answer given before.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The command it answered.
    pub command: String,
    /// The SHA-256 of that command's canonical input.
    pub input_hash: String,
    /// The answer, as JSON.
    pub output: String,
}

fn actor(stamp: &Stamp) -> Uuid {
    stamp.actor.unwrap_or_default()
}

pub(crate) async fn recall(connection: &impl ConnectionTrait, stamp: &Stamp) -> Result<Option<Answer>> {
    let Some(key) = &stamp.idempotency_key else { return Ok(None) };
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        "SELECT command, input_hash, output FROM idempotency WHERE actor_id = $1 AND key = $2 AND at > $3",
        [actor(stamp).into(), key.as_str().into(), (ms(stamp.recorded_at) - KEPT_MS).into()],
    );
    let Some(row) = connection.query_one_raw(statement).await? else { return Ok(None) };
    Ok(Some(Answer {
        command: row.try_get("", "command")?,
        input_hash: row.try_get("", "input_hash")?,
        output: row.try_get("", "output")?,
    }))
}

/// Remembers an answer. Two requests with one key at the same moment meet at the primary key: the second conflicts,
/// is tried again, and finds the answer of the first.
pub(crate) async fn remember(
    connection: &impl ConnectionTrait,
    stamp: &Stamp,
    command: &str,
    input_hash: &str,
    output: &impl Serialize,
) -> Result<()> {
    let Some(key) = &stamp.idempotency_key else { return Ok(()) };
    let output =
        serde_json::to_string(output).map_err(|source| StoreError::Decode { kind: "idempotency answer", source })?;
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        "INSERT INTO idempotency (actor_id, key, command, input_hash, output, at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (actor_id, key) DO UPDATE SET command = $3, input_hash = $4, output = $5, at = $6 \
         WHERE idempotency.at <= $7",
        [
            actor(stamp).into(),
            key.as_str().into(),
            command.into(),
            input_hash.into(),
            output.into(),
            ms(stamp.recorded_at).into(),
            (ms(stamp.recorded_at) - KEPT_MS).into(),
        ],
    );
    let written = connection.execute_raw(statement).await?.rows_affected();
    if written == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

impl Store {
    /// Forgets answers that are too old to be given again, at most `limit`. Gives how many.
    pub async fn prune_answers(&self, now: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM idempotency WHERE (actor_id, key) IN (SELECT actor_id, key FROM idempotency WHERE at <= $1 \
             ORDER BY at LIMIT {limit})"
        );
        let values = [(ms(now) - KEPT_MS).into()];
        let statement = Statement::from_sql_and_values(self.writer().get_database_backend(), sql, values);
        Ok(self.writer().execute_raw(statement).await?.rows_affected())
    }
}
