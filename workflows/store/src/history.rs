//! What an import of history asks: which lead is meant, and what is on record already.

use crate::{Result, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Statement};
use tandem_domain::id::LeadId;
use tandem_domain::lead::Lead;
use uuid::Uuid;

impl Tx {
    /// Up to three leads that bear this id where they came from: from `source` (in its normal form), or from anywhere.
    pub async fn leads_called(&self, external_id: &str, source: Option<&str>) -> Result<Vec<Lead>> {
        use crate::lead::row::{Column, Entity};
        let mut query = Entity::find().filter(Column::ExternalId.eq(external_id));
        if let Some(source) = source {
            query = query.filter(Column::Source.eq(source));
        }
        self.select(query.limit(3)).await
    }

    /// Whether the ledger has an entry of this kind about a lead at this moment.
    pub async fn is_on_record(&self, lead: LeadId, kind: &str, at: DateTime<Utc>) -> Result<bool> {
        let connection = self.connection();
        let statement = Statement::from_sql_and_values(
            connection.get_database_backend(),
            "SELECT 1 AS found FROM ledger_entry WHERE lead_id = $1 AND kind = $2 AND at = $3 LIMIT 1",
            [Uuid::from(lead).into(), kind.into(), ms(at).into()],
        );
        Ok(connection.query_one_raw(statement).await?.is_some())
    }
}
