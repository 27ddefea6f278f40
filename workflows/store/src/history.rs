//! What an import of history asks: which lead is meant, and what is on record already.

use crate::{Result, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};
use tandem_domain::id::LeadId;
use tandem_domain::lead::Lead;
use uuid::Uuid;

impl Tx {
    /// The leads that bear one of these ids (at most a thousand) where they came from, wherever that is.
    pub async fn leads_called(&self, external_ids: &[&str]) -> Result<Vec<Lead>> {
        use crate::lead::row::{Column, Entity};
        if external_ids.is_empty() {
            return Ok(Vec::new());
        }
        self.read(Entity::find().filter(Column::ExternalId.is_in(external_ids.iter().copied()))).await
    }

    /// Whether the ledger has an entry of this kind about a lead at this moment.
    pub async fn is_on_record(&self, lead: LeadId, kind: &str, at: DateTime<Utc>) -> Result<bool> {
        let connection = self.connection().await?;
        let statement = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT 1 AS found FROM ledger_entry WHERE lead_id = $1 AND kind = $2 AND at = $3 LIMIT 1",
            [Uuid::from(lead).into(), kind.into(), ms(at).into()],
        );
        Ok(connection.query_one_raw(statement).await?.is_some())
    }
}
