//! Senders of events, their events, and the visitors that those are about.

pub mod source {
    //! The source's row.
    use crate::stored::stored;
    use tandem_domain::ingest::EventSource;
    stored!(EventSource, "EventSource", "event_source", |source| {
        key: String = source.key.clone(),
        current_hash: String = source.write_keys.first().map(|held| held.hash.clone()).unwrap_or_default(),
        previous_hash: Option<String> = source.write_keys.get(1).map(|held| held.hash.clone()),
    });
}

pub mod visitor {
    //! The visitor's row.
    use crate::stored::stored;
    use tandem_domain::ingest::Visitor;
    stored!(Visitor, "Visitor", "visitor", |visitor| {
        contact_id: Option<Uuid> = visitor.contact.map(Into::into),
    });
}

pub(crate) mod event {
    //! The event's row: its columns are all there is of it.
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "ingested_event")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub source_id: Uuid,
        pub batch_id: Uuid,
        pub message_id: String,
        pub kind: Option<String>,
        pub state: String,
        pub fault_code: Option<String>,
        pub fault: Option<String>,
        pub occurred_at: i64,
        pub received_at: i64,
        pub payload: String,
        pub row_version: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod key {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "visitor_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub visitor_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use crate::page::{Page, PageOf};
use crate::{Result, Save, Store, StoreError, Stored, Tx, bulk, ms};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, Statement};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use tandem_domain::id::{EventBatchId, EventSourceId, IngestedEventId, VisitorId};
use tandem_domain::ingest::crowd::Changes;
use tandem_domain::ingest::{EventSource, Fault, IngestedEvent, State, Visitor};
use tandem_domain::interaction::Interaction;
use uuid::Uuid;

/// How many rows one statement reads or writes.
const CHUNK: usize = 500;
/// How often visitors are looked for before that is left to another attempt.
const LOOKS: usize = 5;

fn moment(at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at).unwrap_or_default()
}

impl Stored for IngestedEvent {
    type Row = event::Entity;
    type ActiveRow = event::ActiveModel;
    const KIND: &'static str = "IngestedEvent";

    fn key(&self) -> Uuid {
        self.id.into()
    }

    fn row(&self, version: i32) -> Result<event::ActiveModel> {
        Ok(event::ActiveModel {
            id: Set(self.id.into()),
            source_id: Set(self.source.into()),
            batch_id: Set(self.batch.into()),
            message_id: Set(self.message_id.clone()),
            kind: Set(self.kind.map(|kind| kind.to_string())),
            state: Set(self.state.to_string()),
            fault_code: Set(self.fault.as_ref().map(|fault| fault.code.clone())),
            fault: Set(self.fault.as_ref().map(|fault| fault.message.clone())),
            occurred_at: Set(ms(self.occurred_at)),
            received_at: Set(ms(self.received_at)),
            payload: Set(self.payload.clone()),
            row_version: Set(version),
        })
    }

    fn parts(row: event::Model) -> Result<(Self, i32)> {
        let unknown = |error: tandem_domain::code::UnknownCode| StoreError::Decode {
            kind: Self::KIND,
            source: serde::de::Error::custom(error),
        };
        let event = Self {
            id: row.id.into(),
            source: row.source_id.into(),
            batch: row.batch_id.into(),
            message_id: row.message_id,
            kind: row.kind.map(|kind| kind.parse()).transpose().map_err(unknown)?,
            state: row.state.parse().map_err(unknown)?,
            fault: row.fault_code.map(|code| Fault::new(code, row.fault.unwrap_or_default())),
            occurred_at: moment(row.occurred_at),
            received_at: moment(row.received_at),
            payload: row.payload,
        };
        Ok((event, row.row_version))
    }

    fn id_column() -> event::Column {
        event::Column::Id
    }

    fn version_column() -> event::Column {
        event::Column::RowVersion
    }
}

/// Events that came, to be stored in few statements. One that is there already is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived(pub Vec<IngestedEvent>);

impl Save for Arrived {
    async fn save(&self, tx: &Tx) -> Result<()> {
        for events in self.0.chunks(CHUNK) {
            let rows = events.iter().map(|event| event.row(0)).collect::<Result<Vec<_>>>()?;
            let known =
                OnConflict::columns([event::Column::SourceId, event::Column::MessageId]).do_nothing().to_owned();
            tx.connection().await?.execute_raw(bulk::insert(tx.backend(), &rows, Some(known))?).await?;
        }
        Ok(())
    }
}

/// What some events made of visitors, and what those did.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Applied {
    /// What changed of the visitors.
    #[serde(skip)]
    pub changes: Changes,
    /// What they did.
    pub interactions: Vec<Interaction>,
    /// What became of the events.
    pub settled: Vec<(IngestedEventId, State, Option<Fault>)>,
}

impl Save for Applied {
    async fn save(&self, tx: &Tx) -> Result<()> {
        tx.save_crowd(&self.changes).await?;
        tx.write_many(&self.interactions).await?;
        tx.settle_events(&self.settled).await
    }
}

impl Tx {
    /// The source with this key, to be changed.
    pub async fn event_source_with_key(&self, key: &str) -> Result<Option<EventSource>> {
        let query = source::row::Entity::find().filter(source::row::Column::Key.eq(key));
        Ok(self.select(query).await?.pop())
    }

    /// The events of a batch that are still to be applied, in the order in which they came.
    pub async fn events_waiting(&self, batch: EventBatchId, limit: u64) -> Result<Vec<IngestedEvent>> {
        use event::{Column, Entity};
        let query = Entity::find()
            .filter(Column::BatchId.eq(Uuid::from(batch)))
            .filter(Column::State.eq(State::Received.as_str()))
            .order_by_asc(Column::Id)
            .limit(limit);
        self.select(query).await
    }

    /// The visitors that have one of these keys, locked with all their keys until the end of the transaction.
    pub async fn crowd(&self, keys: &BTreeSet<String>) -> Result<Vec<(String, Visitor)>> {
        let keys: Vec<String> = keys.iter().cloned().collect();
        // Two sources may hear of the same visitor for the first time at once.
        self.take_turns("Visitor", &keys).await?;
        // A visitor may be made another one's by a transaction that came by another key, between the look at the keys and
        // the lock: then the keys lead elsewhere.
        for _ in 0..LOOKS {
            let mut holders: HashMap<String, Uuid> = HashMap::new();
            for keys in keys.chunks(CHUNK) {
                let found =
                    key::Entity::find().filter(key::Column::Key.is_in(keys)).all(self.connection().await?).await?;
                holders.extend(found.into_iter().map(|row| (row.key, row.visitor_id)));
            }
            let visitors = self.get_many::<Visitor>(holders.values().copied()).await?;
            let visitors: HashMap<Uuid, Visitor> =
                visitors.into_iter().map(|visitor| (visitor.id.into(), visitor)).collect();
            if holders.values().all(|id| visitors.contains_key(id)) {
                let held = holders.into_iter().filter_map(|(key, id)| Some((key, visitors.get(&id)?.clone())));
                return Ok(held.collect());
            }
        }
        Err(StoreError::Conflict)
    }

    async fn save_crowd(&self, changes: &Changes) -> Result<()> {
        let Changes { visitors, keys, merged, identified } = changes;
        self.write_many(visitors).await?;
        let keys: Vec<_> = keys
            .iter()
            .map(|(key, visitor)| key::ActiveModel { key: Set(key.clone()), visitor_id: Set((*visitor).into()) })
            .collect();
        for keys in keys.chunks(CHUNK) {
            let taken = OnConflict::column(key::Column::Key).update_column(key::Column::VisitorId).to_owned();
            self.connection().await?.execute_raw(bulk::insert(self.backend(), keys, Some(taken))?).await?;
        }
        for (from, to) in merged {
            self.move_visitor((*from).into(), (*to).into()).await?;
        }
        for visitor in visitors.iter().filter(|visitor| identified.contains(&visitor.id)) {
            self.name_past(visitor).await?;
        }
        Ok(())
    }

    /// What one visitor did, another one did.
    async fn move_visitor(&self, from: Uuid, to: Uuid) -> Result<()> {
        use crate::interaction::row::{Column, Entity};
        let connection = self.connection().await?;
        // Keys that no event of these named lead to the other one too.
        key::Entity::update_many()
            .col_expr(key::Column::VisitorId, Expr::value(to))
            .filter(key::Column::VisitorId.eq(from))
            .exec(connection)
            .await?;
        Entity::update_many()
            .col_expr(Column::VisitorId, Expr::value(to))
            .filter(Column::VisitorId.eq(from))
            .exec(connection)
            .await?;
        visitor::row::Entity::delete_by_id(from).exec(connection).await?;
        Ok(())
    }

    /// What a visitor did before it was known who it is, that person did.
    async fn name_past(&self, visitor: &Visitor) -> Result<()> {
        use crate::interaction::row::{Column, Entity};
        Entity::update_many()
            .col_expr(Column::ContactId, Expr::value(visitor.contact.map(Uuid::from)))
            .col_expr(Column::AccountId, Expr::value(visitor.account.map(Uuid::from)))
            .filter(Column::VisitorId.eq(Uuid::from(visitor.id)))
            .filter(Column::ContactId.is_null().or(Column::ContactId.ne(visitor.contact.map(Uuid::from))))
            .exec(self.connection().await?)
            .await?;
        Ok(())
    }

    async fn settle_events(&self, settled: &[(IngestedEventId, State, Option<Fault>)]) -> Result<()> {
        use event::{Column, Entity};
        // Most have ended well, and alike.
        let mut alike: HashMap<(State, Option<&Fault>), Vec<Uuid>> = HashMap::new();
        for (id, state, fault) in settled {
            alike.entry((*state, fault.as_ref())).or_default().push((*id).into());
        }
        for ((state, fault), ids) in alike {
            for ids in ids.chunks(CHUNK) {
                Entity::update_many()
                    .col_expr(Column::State, Expr::value(state.as_str()))
                    .col_expr(Column::FaultCode, Expr::value(fault.map(|fault| fault.code.clone())))
                    .col_expr(Column::Fault, Expr::value(fault.map(|fault| fault.message.clone())))
                    .filter(Column::Id.is_in(ids.iter().copied()))
                    .exec(self.connection().await?)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Which events to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct IngestedEventFilter {
    /// From this source.
    pub source: Option<EventSourceId>,
    /// In one of these states; empty means any.
    pub states: Vec<State>,
}

impl Store {
    /// The source that may send under the write key with this hash, whatever its other rules say.
    pub async fn event_source_by_hash(&self, hash: &str) -> Result<Option<EventSource>> {
        use source::row::{Column, Entity};
        let either = Column::CurrentHash.eq(hash).or(Column::PreviousHash.eq(hash));
        Ok(self.all(Entity::find().filter(either)).await?.pop())
    }

    /// The source with this key.
    pub async fn event_source_by_key(&self, key: &str) -> Result<Option<EventSource>> {
        let query = source::row::Entity::find().filter(source::row::Column::Key.eq(key));
        Ok(self.all(query).await?.pop())
    }

    /// A page of sources.
    pub async fn event_source_page(&self, page: &Page<Uuid>) -> Result<PageOf<EventSource>> {
        self.page(source::row::Entity::find(), page).await
    }

    /// A page of events, in the order in which they came.
    pub async fn ingested_event_page(
        &self,
        filter: &IngestedEventFilter,
        page: &Page<Uuid>,
    ) -> Result<PageOf<IngestedEvent>> {
        use event::{Column, Entity};
        let mut query = Entity::find();
        if let Some(source) = filter.source {
            query = query.filter(Column::SourceId.eq(Uuid::from(source)));
        }
        if !filter.states.is_empty() {
            query = query.filter(Column::State.is_in(filter.states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// The visitor that has this key.
    pub async fn visitor_with_key(&self, key: &str) -> Result<Option<Visitor>> {
        let found = key::Entity::find_by_id(key.to_owned()).one(self.reader()).await?;
        match found {
            Some(row) => self.find::<Visitor>(VisitorId::from(row.visitor_id)).await,
            None => Ok(None),
        }
    }

    /// Forgets events that came before a moment and are done with, at most `limit`. Gives how many. What was done stays.
    pub async fn prune_events(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM ingested_event WHERE state <> 'RECEIVED' AND id IN (SELECT id FROM ingested_event \
             WHERE received_at < $1 AND state <> 'RECEIVED' ORDER BY received_at LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        let done = self.writer().execute_raw(Statement::from_sql_and_values(backend, sql, [ms(before).into()])).await?;
        Ok(done.rows_affected())
    }
}
