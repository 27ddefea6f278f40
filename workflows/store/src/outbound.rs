//! Outbound webhooks, what is on its way to them, and how far the ledger was relayed.

pub mod webhook {
    //! The webhook's row.
    use crate::stored::stored;
    use tandem_domain::outbound::OutboundWebhook;
    stored!(OutboundWebhook, "OutboundWebhook", "outbound_webhook", |webhook| {
        key: String = webhook.key.clone(),
        standing: String = webhook.disabled.map_or("ACTIVE", |why| why.as_str()).to_owned(),
    });
}

pub mod delivery {
    //! The delivery's row.
    use crate::stored::stored;
    use tandem_domain::outbound::OutboundDelivery;
    stored!(OutboundDelivery, "OutboundDelivery", "outbound_delivery", |delivery| {
        webhook_id: Uuid = delivery.webhook.into(),
        seq: i64 = delivery.seq,
        subject_id: Uuid = delivery.subject,
        state: String = delivery.state.to_string(),
        created_at: i64 = crate::ms(delivery.created_at),
    }, save_parts = super::save_payload);
}

mod payload {
    //! What is sent.
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbound_payload")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub delivery_id: Uuid,
        #[sea_orm(column_type = "Text")]
        pub body: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use crate::jobs::{self, NewJob};
use crate::page::{Page, PageOf};
use crate::{Result, Store, Tx, bulk, ms};
use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set, Statement,
};
use std::collections::BTreeSet;
use tandem_domain::decision::Planned;
use tandem_domain::id::{OutboundDeliveryId, OutboundWebhookId};
use tandem_domain::ledger::Stamp;
use tandem_domain::outbound::{Disabled, OutboundDelivery, OutboundWebhook, State};
use uuid::Uuid;

/// How far the ledger was relayed is kept under this name.
const CURSOR: &str = "outbound.relayed";
/// How many rows one statement reads or writes.
const CHUNK: usize = 500;

fn payload_of(delivery: &OutboundDelivery) -> Option<payload::ActiveModel> {
    let body = delivery.body.clone()?;
    Some(payload::ActiveModel { delivery_id: Set(delivery.id.into()), body: Set(body) })
}

/// A delivery that is stored for the first time brings what is sent.
async fn save_payload(delivery: &OutboundDelivery, tx: &Tx) -> Result<()> {
    if let Some(row) = payload_of(delivery) {
        payload::Entity::insert(row).exec_without_returning(tx.connection().await?).await?;
    }
    Ok(())
}

/// What a look at the ledger gave.
#[derive(Debug, Clone)]
pub struct Relayed {
    /// How far everybody had come when the look began; none where nothing was ever relayed.
    pub from: Option<i64>,
    /// How far they have come now.
    pub to: i64,
    /// Deliveries to webhooks that keep the order, in that order.
    pub ordered: Vec<OutboundDelivery>,
    /// The other deliveries.
    pub free: Vec<OutboundDelivery>,
}

/// Which deliveries to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct OutboundDeliveryFilter {
    /// In one of these states; empty means any.
    pub states: Vec<State>,
    /// To this webhook.
    pub webhook: Option<OutboundWebhookId>,
}

impl Tx {
    /// The webhook with this key, to be changed.
    pub async fn outbound_webhook_with_key(&self, key: &str) -> Result<Option<OutboundWebhook>> {
        let query = webhook::row::Entity::find().filter(webhook::row::Column::Key.eq(key));
        Ok(self.select(query).await?.pop())
    }

    /// How many tests a webhook was sent.
    pub async fn outbound_tests(&self, webhook: OutboundWebhookId) -> Result<i64> {
        use delivery::row::{Column, Entity};
        let query = Entity::find().filter(Column::WebhookId.eq(Uuid::from(webhook))).filter(Column::Seq.lt(0));
        let lowest = query.order_by_asc(Column::Seq).limit(1).one(self.connection().await?).await?;
        Ok(lowest.map_or(0, |row| -row.seq))
    }

    /// Makes those who deal with events about the same thing for the same webhook go one after the other.
    pub async fn take_outbound_turns(&self, about: &[(OutboundWebhookId, Uuid)]) -> Result<()> {
        let names: Vec<String> = about.iter().map(|(webhook, subject)| format!("{webhook} {subject}")).collect();
        self.take_turns("OutboundDelivery", &names).await
    }

    /// The next delivery about the same thing that waits for this one.
    pub async fn outbound_next(&self, before: &OutboundDelivery) -> Result<Option<OutboundDelivery>> {
        use delivery::row::{Column, Entity};
        let query = Entity::find()
            .filter(Column::WebhookId.eq(Uuid::from(before.webhook)))
            .filter(Column::SubjectId.eq(before.subject))
            .filter(Column::State.eq(State::Pending.as_str()))
            .filter(Column::Id.ne(Uuid::from(before.id)))
            .order_by_asc(Column::Seq)
            .limit(1);
        Ok(self.read(query).await?.pop())
    }

    /// Deliveries to a webhook that came about in a time and failed, the oldest first.
    pub async fn outbound_failed(
        &self,
        webhook: OutboundWebhookId,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        after: Option<OutboundDeliveryId>,
        limit: u64,
    ) -> Result<Vec<OutboundDelivery>> {
        use delivery::row::{Column, Entity};
        let query = Entity::find()
            .filter(Column::WebhookId.eq(Uuid::from(webhook)))
            .filter(Column::State.eq(State::Failed.as_str()))
            .filter(Column::CreatedAt.between(ms(since), ms(until)))
            .order_by_asc(Column::Id)
            .limit(limit);
        // What failed again meanwhile lies behind, and is not tried for ever.
        let query = match after {
            Some(after) => query.filter(Column::Id.gt(Uuid::from(after))),
            None => query,
        };
        self.select(query).await
    }

    /// Of deliveries in their order, those for which nothing that came before about the same thing is still on its way.
    async fn may_go(&self, ordered: &[OutboundDelivery]) -> Result<Vec<OutboundDelivery>> {
        use delivery::row::{Column, Entity};
        let about: BTreeSet<(Uuid, Uuid)> =
            ordered.iter().map(|delivery| (delivery.webhook.into(), delivery.subject)).collect();
        self.take_outbound_turns(
            &about.iter().map(|(webhook, subject)| ((*webhook).into(), *subject)).collect::<Vec<_>>(),
        )
        .await?;
        let webhooks: BTreeSet<Uuid> = about.iter().map(|(webhook, _)| *webhook).collect();
        let subjects: Vec<Uuid> = about.iter().map(|(_, subject)| *subject).collect();
        let mut held: BTreeSet<(Uuid, Uuid)> = BTreeSet::new();
        for subjects in subjects.chunks(CHUNK) {
            let query = Entity::find()
                .filter(Column::WebhookId.is_in(webhooks.iter().copied()))
                .filter(Column::SubjectId.is_in(subjects.iter().copied()))
                .filter(Column::State.eq(State::Pending.as_str()));
            let rows = query.all(self.connection().await?).await?;
            held.extend(rows.into_iter().map(|row| (row.webhook_id, row.subject_id)));
        }
        let free = ordered.iter().filter(|delivery| held.insert((delivery.webhook.into(), delivery.subject)));
        Ok(free.cloned().collect())
    }
}

impl Store {
    /// The webhooks for which events are kept.
    pub async fn outbound_listeners(&self) -> Result<Vec<OutboundWebhook>> {
        let query = webhook::row::Entity::find().filter(webhook::row::Column::Standing.ne(Disabled::Manual.as_str()));
        self.all(query).await
    }

    /// How far the ledger was relayed; none where it never was.
    pub async fn outbound_cursor(&self) -> Result<Option<i64>> {
        Ok(self.checkpoint(CURSOR).await?.and_then(|text| text.parse().ok()))
    }

    /// Writes what a look at the ledger gave, and how far that came. Says no where another node was first; then nothing is
    /// written.
    pub async fn relay(&self, relayed: Relayed, plan: impl Fn(&OutboundDelivery) -> Planned) -> Result<bool> {
        let Relayed { from, to, ordered, free } = relayed;
        let tx = self.begin(None).await?;
        let backend = tx.backend();
        let moved = match from {
            None => {
                let sql = "INSERT INTO checkpoint (name, body) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
                let values = [CURSOR.into(), to.to_string().into()];
                tx.inner().execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?
            }
            Some(from) => {
                let sql = "UPDATE checkpoint SET body = $2 WHERE name = $1 AND body = $3";
                let values = [CURSOR.into(), to.to_string().into(), from.to_string().into()];
                tx.inner().execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?
            }
        };
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
        let mut go: Vec<OutboundDelivery> = tx.may_go(&ordered).await?;
        go.extend(free.iter().cloned());
        for deliveries in ordered.iter().chain(&free).collect::<Vec<_>>().chunks(CHUNK) {
            let deliveries: Vec<OutboundDelivery> = deliveries.iter().map(|delivery| (*delivery).clone()).collect();
            tx.write_many(&deliveries).await?;
            let bodies: Vec<payload::ActiveModel> = deliveries.iter().filter_map(payload_of).collect();
            tx.inner().execute_raw(bulk::insert(backend, &bodies, None)?).await?;
        }
        let stamp = Stamp {
            actor: None,
            role: "SYSTEM".to_owned(),
            side: None,
            at: DateTime::UNIX_EPOCH,
            recorded_at: DateTime::UNIX_EPOCH,
            request_id: format!("ledger-{to}"),
            idempotency_key: None,
            trace: None,
        };
        let pending = go.iter().filter(|delivery| delivery.state == State::Pending);
        let planned =
            pending.map(|delivery| jobs::planned(&stamp, &plan(delivery))).collect::<Result<Vec<NewJob>>>()?;
        jobs::add(tx.inner(), &planned).await?;
        tx.end_with_jobs(!planned.is_empty()).await?;
        Ok(true)
    }

    /// The webhook with this key.
    pub async fn outbound_webhook_by_key(&self, key: &str) -> Result<Option<OutboundWebhook>> {
        let query = webhook::row::Entity::find().filter(webhook::row::Column::Key.eq(key));
        Ok(self.all(query).await?.pop())
    }

    /// A page of outbound webhooks.
    pub async fn outbound_webhook_page(&self, page: &Page<Uuid>) -> Result<PageOf<OutboundWebhook>> {
        self.page(webhook::row::Entity::find(), page).await
    }

    /// A page of deliveries.
    pub async fn outbound_delivery_page(
        &self,
        filter: &OutboundDeliveryFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<OutboundDelivery>> {
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

    /// What is sent with a delivery; none once it was pruned.
    pub async fn outbound_body(&self, delivery: OutboundDeliveryId) -> Result<Option<String>> {
        let found = payload::Entity::find_by_id(Uuid::from(delivery)).one(self.reader()).await?;
        Ok(found.map(|row| row.body))
    }

    /// What is sent with each of these deliveries, as far as it was not pruned.
    pub async fn outbound_bodies(
        &self,
        deliveries: impl IntoIterator<Item = OutboundDeliveryId>,
    ) -> Result<Vec<(OutboundDeliveryId, String)>> {
        let wanted = payload::Column::DeliveryId.is_in(deliveries.into_iter().map(Uuid::from));
        let rows = payload::Entity::find().filter(wanted).all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| (row.delivery_id.into(), row.body)).collect())
    }

    /// How many deliveries to a webhook are still on their way.
    pub async fn outbound_pending(&self, webhook: OutboundWebhookId) -> Result<u64> {
        use delivery::row::{Column, Entity};
        let query = Entity::find()
            .filter(Column::WebhookId.eq(Uuid::from(webhook)))
            .filter(Column::State.eq(State::Pending.as_str()));
        Ok(query.count(self.reader()).await?)
    }

    /// Forgets deliveries that came about before a moment and are done with, at most `limit`. Gives how many.
    pub async fn prune_outbound(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM outbound_delivery WHERE state <> 'PENDING' AND id IN (SELECT id FROM outbound_delivery \
             WHERE created_at < $1 AND state <> 'PENDING' ORDER BY created_at LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        let done = self.writer().execute_raw(Statement::from_sql_and_values(backend, sql, [ms(before).into()])).await?;
        Ok(done.rows_affected())
    }
}
