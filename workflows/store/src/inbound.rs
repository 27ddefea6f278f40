//! Inbound webhooks, their deliveries, and what came with each.

pub mod webhook {
    //! The webhook's row.
    use crate::stored::stored;
    use tandem_domain::inbound::InboundWebhook;
    stored!(InboundWebhook, "InboundWebhook", "inbound_webhook", |webhook| { key: String = webhook.key.clone() });
}

pub mod delivery {
    //! The delivery's row.
    use crate::stored::stored;
    use tandem_domain::inbound::InboundDelivery;
    stored!(InboundDelivery, "InboundDelivery", "inbound_delivery", |delivery| {
        webhook_id: Uuid = delivery.webhook.into(),
        delivery_key: String = delivery.key.clone(),
        state: String = delivery.state.to_string(),
        received_at: i64 = crate::ms(delivery.received_at),
    }, save_parts = super::save_payload);
}

mod payload {
    //! What came, as it came.
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "inbound_payload")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub delivery_id: Uuid,
        #[sea_orm(column_type = "Text")]
        pub headers: String,
        #[sea_orm(column_type = "Text")]
        pub body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use crate::page::{Page, PageOf};
use crate::{Result, Store, StoreError, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Set, Statement};
use tandem_domain::id::{InboundDeliveryId, InboundWebhookId};
use tandem_domain::inbound::{InboundDelivery, InboundWebhook, Raw, State};
use uuid::Uuid;

/// A delivery that is stored for the first time brings what came with it.
async fn save_payload(delivery: &InboundDelivery, tx: &Tx) -> Result<()> {
    let Some(raw) = &delivery.raw else { return Ok(()) };
    let headers =
        serde_json::to_string(&raw.headers).map_err(|source| StoreError::Decode { kind: "InboundDelivery", source })?;
    let row = payload::ActiveModel {
        delivery_id: Set(delivery.id.into()),
        headers: Set(headers),
        body: Set(raw.body.clone()),
    };
    payload::Entity::insert(row).exec_without_returning(tx.connection().await?).await?;
    Ok(())
}

/// Which deliveries to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct InboundDeliveryFilter {
    /// In one of these states; empty means any.
    pub states: Vec<State>,
    /// To this webhook.
    pub webhook: Option<InboundWebhookId>,
}

impl Tx {
    /// The webhook with this key, to be changed.
    pub async fn inbound_webhook_with_key(&self, key: &str) -> Result<Option<InboundWebhook>> {
        let query = webhook::row::Entity::find().filter(webhook::row::Column::Key.eq(key));
        Ok(self.select(query).await?.pop())
    }

    /// The delivery to a webhook that is known by this key.
    pub async fn inbound_delivery_with_key(
        &self,
        webhook: InboundWebhookId,
        key: &str,
    ) -> Result<Option<InboundDelivery>> {
        use delivery::row::{Column, Entity};
        let query = Entity::find().filter(Column::WebhookId.eq(Uuid::from(webhook)));
        Ok(self.read(query.filter(Column::DeliveryKey.eq(key))).await?.pop())
    }
}

impl Store {
    /// The webhook with this key.
    pub async fn inbound_webhook_by_key(&self, key: &str) -> Result<Option<InboundWebhook>> {
        let query = webhook::row::Entity::find().filter(webhook::row::Column::Key.eq(key));
        Ok(self.all(query).await?.pop())
    }

    /// A page of inbound webhooks.
    pub async fn inbound_webhook_page(&self, page: &Page<Uuid>) -> Result<PageOf<InboundWebhook>> {
        self.page(webhook::row::Entity::find(), page).await
    }

    /// A page of deliveries.
    pub async fn inbound_delivery_page(
        &self,
        filter: &InboundDeliveryFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<InboundDelivery>> {
        use delivery::row::{Column, Entity};
        let mut query = Entity::find();
        if let Some(webhook) = filter.webhook {
            query = query.filter(Column::WebhookId.eq(Uuid::from(webhook)));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// What came with a delivery; none once it was pruned.
    pub async fn inbound_raw(&self, delivery: InboundDeliveryId) -> Result<Option<Raw>> {
        Ok(self.inbound_raws([delivery]).await?.pop().map(|(_, raw)| raw))
    }

    /// What came with each of these deliveries, as far as it was not pruned.
    pub async fn inbound_raws(
        &self,
        deliveries: impl IntoIterator<Item = InboundDeliveryId>,
    ) -> Result<Vec<(InboundDeliveryId, Raw)>> {
        let wanted = payload::Column::DeliveryId.is_in(deliveries.into_iter().map(Uuid::from));
        let rows = payload::Entity::find().filter(wanted).all(self.reader()).await?;
        let read = |row: payload::Model| {
            let headers = serde_json::from_str(&row.headers)
                .map_err(|source| StoreError::Decode { kind: "InboundDelivery", source })?;
            Ok((row.delivery_id.into(), Raw { headers, body: row.body }))
        };
        rows.into_iter().map(read).collect()
    }

    /// Forgets deliveries that came before a moment and were handled, with what came with them, at most `limit`. Gives
    /// how many.
    pub async fn prune_inbound(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM inbound_delivery WHERE state <> 'RECEIVED' AND id IN (SELECT id FROM inbound_delivery \
             WHERE received_at < $1 AND state <> 'RECEIVED' ORDER BY received_at LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        let done = self.writer().execute_raw(Statement::from_sql_and_values(backend, sql, [ms(before).into()])).await?;
        Ok(done.rows_affected())
    }
}
