//! What triggers remember, whom they passed over, which runs hear of what, and how far the ledger was told to sequences.

mod memory {
    //! What a trigger remembers of a person: that the person is inside its segment, or a date that it has started the person
    //! for, or is about to.
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "trigger_memory")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sequence_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub trigger_key: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub contact_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub value: String,
        pub due_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod skip_row {
    //! The row of whom a trigger passed over.
    use crate::stored::stored;
    use tandem_domain::sequence::trigger::Skip;
    stored!(Skip, "TriggerSkip", "trigger_skip", |skip| {
        sequence_id: Uuid = skip.sequence.into(),
        trigger_key: String = skip.trigger.clone(),
        contact_id: Uuid = skip.contact.into(),
        code: String = skip.code.clone(),
        at: i64 = crate::ms(skip.at),
    });
}

use crate::jobs::{self, NewJob, Schedule};
use crate::page::{Page, PageOf};
use crate::{Result, Save, Store, Stored, Tx, bulk, ms};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, Statement, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tandem_domain::id::{AccountId, ContactId, SequenceId};
use tandem_domain::lead::Lead;
use tandem_domain::sequence::trigger::Skip;
use tandem_domain::sequence::{Sequence, SequenceState, SequenceVersion};
use uuid::Uuid;

/// How far sequences were told of the ledger is kept under this name.
const CURSOR: &str = "sequences.heard";
/// How many values one statement binds in a list.
const CHUNK: usize = 500;

/// What a look of a trigger at some people came to: what it remembers from now on, whom it passed over, and which moments it
/// will look again at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TriggerNotes {
    /// The sequence.
    pub sequence: SequenceId,
    /// The key of the trigger.
    pub trigger: String,
    /// What is remembered of whom, and when that falls due.
    pub remember: Vec<(ContactId, String, Option<DateTime<Utc>>)>,
    /// What is not true any more.
    pub forget: Vec<(ContactId, String)>,
    /// Whom it passed over.
    pub skips: Vec<Skip>,
    /// Jobs with keys of their own, for moments that were noted.
    #[serde(skip)]
    pub jobs: Vec<NewJob>,
    /// Until when dates were looked ahead for, where a look is over.
    pub looked_until: Option<i64>,
}

impl TriggerNotes {
    /// Nothing yet.
    pub fn new(sequence: SequenceId, trigger: String) -> Self {
        let (remember, forget, skips, jobs) = <(Vec<_>, Vec<_>, Vec<_>, Vec<_>)>::default();
        Self { sequence, trigger, remember, forget, skips, jobs, looked_until: None }
    }

    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.remember.is_empty() && self.forget.is_empty() && self.skips.is_empty() && self.looked_until.is_none()
    }
}

fn looked_until(sequence: SequenceId, trigger: &str) -> String {
    format!("trigger.looked:{sequence}:{trigger}")
}

impl Save for TriggerNotes {
    async fn save(&self, tx: &Tx) -> Result<()> {
        let connection = tx.connection().await?;
        let backend = connection.get_database_backend();
        let kept: BTreeMap<(ContactId, &str), Option<DateTime<Utc>>> =
            self.remember.iter().map(|(contact, value, due)| ((*contact, value.as_str()), *due)).collect();
        let rows = kept.into_iter().map(|((contact, value), due)| memory::ActiveModel {
            sequence_id: Set(self.sequence.into()),
            trigger_key: Set(self.trigger.clone()),
            contact_id: Set(contact.into()),
            value: Set(value.to_owned()),
            due_at: Set(due.map(ms)),
        });
        use memory::Column::{ContactId as Contact, DueAt, SequenceId as Sequence, TriggerKey, Value as Kept};
        for rows in rows.collect::<Vec<_>>().chunks(CHUNK) {
            let replace = OnConflict::columns([Sequence, TriggerKey, Contact, Kept]).update_column(DueAt).to_owned();
            connection.execute_raw(bulk::insert(backend, rows, Some(replace))?).await?;
        }
        for pairs in self.forget.chunks(CHUNK) {
            let marks = (0..pairs.len()).map(|at| format!("(${}, ${})", 2 * at + 3, 2 * at + 4));
            let sql = format!(
                "DELETE FROM trigger_memory WHERE sequence_id = $1 AND trigger_key = $2 AND (contact_id, value) IN (VALUES {})",
                marks.collect::<Vec<_>>().join(", ")
            );
            let of: [Value; 2] = [Uuid::from(self.sequence).into(), self.trigger.as_str().into()];
            let pairs = pairs.iter().flat_map(|(contact, value)| [Uuid::from(*contact).into(), value.as_str().into()]);
            let statement = Statement::from_sql_and_values(backend, sql, of.into_iter().chain(pairs));
            connection.execute_raw(statement).await?;
        }
        // One statement meets no row twice.
        let last: BTreeMap<ContactId, &Skip> = self.skips.iter().map(|skip| (skip.contact, skip)).collect();
        let rows = last.into_values().map(|skip| skip.row(0)).collect::<Result<Vec<_>>>()?;
        for rows in rows.chunks(CHUNK) {
            use skip_row::row::Column;
            let replace = OnConflict::columns([Column::SequenceId, Column::TriggerKey, Column::ContactId])
                .update_columns([Column::Id, Column::Code, Column::At, Column::Body])
                .to_owned();
            connection.execute_raw(bulk::insert(backend, rows, Some(replace))?).await?;
        }
        if let Some(until) = self.looked_until {
            let sql = "INSERT INTO checkpoint (name, body) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = $2";
            let values = [looked_until(self.sequence, &self.trigger).into(), until.to_string().into()];
            connection.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        }
        jobs::add(connection, &self.jobs).await?;
        Ok(())
    }
}

/// What a look at the ledger led to.
#[derive(Debug, Clone)]
pub struct Told {
    /// How far everybody had come when the look began.
    pub from: i64,
    /// How far they have come now.
    pub to: i64,
    /// What must follow.
    pub jobs: Vec<NewJob>,
    /// By the beginning of their names, the schedules that there shall be, and no others of that beginning.
    pub schedules: Vec<(String, Vec<Schedule>)>,
}

/// By what a run is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunOf {
    /// By its person.
    Contact,
    /// By its lead.
    Lead,
    /// By its company.
    Account,
}

impl RunOf {
    const fn column(self) -> &'static str {
        match self {
            Self::Contact => "contact_id",
            Self::Lead => "lead_id",
            Self::Account => "account_id",
        }
    }
}

/// Which persons that triggers passed over to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct TriggerSkipFilter {
    /// By triggers of this sequence.
    pub sequence: Option<SequenceId>,
    /// By this trigger.
    pub trigger: Option<String>,
    /// This person.
    pub contact: Option<ContactId>,
    /// With this code.
    pub code: Option<String>,
}

impl Store {
    /// How far sequences were told of the ledger.
    pub async fn sequences_heard(&self) -> Result<i64> {
        Ok(self.checkpoint(CURSOR).await?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Writes what a look at the ledger led to, and how far that came. Says no where another node was first; then nothing is
    /// written.
    pub async fn tell_sequences(&self, told: Told) -> Result<bool> {
        let Told { from, to, jobs, schedules } = told;
        let tx = self.begin(None).await?;
        let (connection, backend) = (tx.inner(), tx.backend());
        let sql = "UPDATE checkpoint SET body = $2 WHERE name = $1 AND body = $3";
        let values = [CURSOR.into(), to.to_string().into(), from.to_string().into()];
        let moved = connection.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
        if moved.rows_affected() != 1 {
            return Ok(false);
        }
        for (prefix, schedules) in &schedules {
            let names: Vec<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
            jobs::keep_only(connection, prefix, &names).await?;
            for schedule in schedules {
                jobs::keep(connection, schedule).await?;
            }
        }
        let added = jobs::add(connection, &jobs).await?;
        tx.end_with_jobs(added > 0).await?;
        Ok(true)
    }

    /// Whether any sequence was ever published.
    pub async fn has_sequences(&self) -> Result<bool> {
        use crate::sequence::sequence_row::row::{Column, Entity};
        let found = Entity::find().filter(Column::State.ne(SequenceState::Draft.as_str())).limit(1).one(self.reader());
        Ok(found.await?.is_some())
    }

    /// The newest version of every active sequence whose newest version has triggers, with the sequence.
    pub async fn triggering_sequences(&self) -> Result<Vec<(Sequence, SequenceVersion)>> {
        use crate::sequence::version_row::row::Entity;
        let sql = "SELECT v.* FROM sequence_version v JOIN sequence s ON s.id = v.sequence_id WHERE s.state = 'ACTIVE' \
                   AND v.triggers > 0 AND v.number = (SELECT MAX(n.number) FROM sequence_version n WHERE n.sequence_id = s.id) \
                   ORDER BY v.id";
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let rows = Entity::find().from_raw_sql(statement).all(self.reader()).await?;
        let versions = rows.into_iter().map(|row| SequenceVersion::parts(row).map(|(version, _)| version));
        let versions: Vec<SequenceVersion> = versions.collect::<Result<_>>()?;
        let sequences: Vec<Sequence> = self.find_many(versions.iter().map(|version| version.sequence.into())).await?;
        let mut by_id: BTreeMap<SequenceId, Sequence> = sequences.into_iter().map(|one| (one.id, one)).collect();
        Ok(versions.into_iter().filter_map(|version| Some((by_id.remove(&version.sequence)?, version))).collect())
    }

    /// What the live runs of all versions hear of: a sum of the parts of `hears`.
    pub async fn heard_by_runs(&self) -> Result<i32> {
        let sql = "SELECT DISTINCT v.hears FROM sequence_version v WHERE v.hears <> 0 \
                   AND EXISTS (SELECT 1 FROM enrollment e WHERE e.version_id = v.id AND e.live)";
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let mut heard = 0;
        for row in self.reader().query_all_raw(statement).await? {
            heard |= row.try_get::<i32>("", "hears")?;
        }
        Ok(heard)
    }

    /// Up to `limit` live runs behind one, in the order of their ids, of versions that hear of one of the parts of `hears`; and
    /// whose they are.
    pub async fn hearing_runs(
        &self,
        by: RunOf,
        ids: &[Uuid],
        hears: i32,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<(Uuid, ContactId)>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let marks = (2..ids.len() + 2).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT e.id, e.contact_id FROM enrollment e JOIN sequence_version v ON v.id = e.version_id WHERE e.live \
                 AND e.{} IN ({marks}) AND (v.hears & {hears}) <> 0 AND e.id > $1 ORDER BY e.id LIMIT {limit}",
                by.column()
            );
            let values =
                std::iter::once(Value::from(after.unwrap_or_default())).chain(ids.iter().map(|id| (*id).into()));
            let statement = Statement::from_sql_and_values(self.reader().get_database_backend(), sql, values);
            for row in self.reader().query_all_raw(statement).await? {
                found.push((row.try_get("", "id")?, row.try_get::<Uuid>("", "contact_id")?.into()));
            }
        }
        found.sort_unstable();
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// The newest open lead of each of these people.
    pub async fn newest_open_leads(&self, contacts: &[ContactId]) -> Result<BTreeMap<ContactId, Lead>> {
        use crate::lead::row::{Column, Entity};
        let mut newest = BTreeMap::new();
        for contacts in contacts.chunks(CHUNK) {
            let query = Entity::find()
                .filter(Column::ContactId.is_in(contacts.iter().map(|contact| Uuid::from(*contact))))
                .filter(Column::DueAt.is_not_null())
                .order_by_asc(Column::Id);
            newest.extend(self.all::<Lead>(query).await?.into_iter().map(|lead| (lead.contact, lead)));
        }
        Ok(newest)
    }

    /// Of these people, what a trigger remembers: values, and when they fall due.
    pub async fn trigger_memory(
        &self,
        (sequence, trigger): (SequenceId, &str),
        contacts: &[ContactId],
    ) -> Result<BTreeMap<ContactId, Vec<String>>> {
        use memory::{Column, Entity};
        let mut found: BTreeMap<ContactId, Vec<String>> = BTreeMap::new();
        for contacts in contacts.chunks(CHUNK) {
            let query = Entity::find()
                .filter(Column::SequenceId.eq(Uuid::from(sequence)))
                .filter(Column::TriggerKey.eq(trigger))
                .filter(Column::ContactId.is_in(contacts.iter().map(|contact| Uuid::from(*contact))));
            for row in query.all(self.reader()).await? {
                found.entry(row.contact_id.into()).or_default().push(row.value);
            }
        }
        Ok(found)
    }

    /// Up to `limit` people and values that fell due for a trigger by `now`, the longest due first.
    pub async fn trigger_due(
        &self,
        (sequence, trigger): (SequenceId, &str),
        now: DateTime<Utc>,
        limit: u64,
    ) -> Result<Vec<(ContactId, String)>> {
        use memory::{Column, Entity};
        let query = Entity::find()
            .filter(Column::SequenceId.eq(Uuid::from(sequence)))
            .filter(Column::TriggerKey.eq(trigger))
            .filter(Column::DueAt.lte(ms(now)))
            .order_by_asc(Column::DueAt)
            .order_by_asc(Column::ContactId)
            .limit(limit);
        let rows = query.all(self.reader()).await?;
        Ok(rows.into_iter().map(|row| (row.contact_id.into(), row.value)).collect())
    }

    /// Until when a trigger has looked ahead for dates, in milliseconds; none where it never has.
    pub async fn trigger_looked_until(&self, sequence: SequenceId, trigger: &str) -> Result<Option<i64>> {
        Ok(self.checkpoint(&looked_until(sequence, trigger)).await?.and_then(|text| text.parse().ok()))
    }

    /// A page of whom triggers passed over, in the order in which that happened last.
    pub async fn trigger_skip_page(&self, filter: &TriggerSkipFilter, page: &Page<Uuid>) -> Result<PageOf<Skip>> {
        use skip_row::row::{Column, Entity};
        let mut query = Entity::find();
        if let Some(sequence) = filter.sequence {
            query = query.filter(Column::SequenceId.eq(Uuid::from(sequence)));
        }
        if let Some(trigger) = &filter.trigger {
            query = query.filter(Column::TriggerKey.eq(trigger));
        }
        if let Some(contact) = filter.contact {
            query = query.filter(Column::ContactId.eq(Uuid::from(contact)));
        }
        if let Some(code) = &filter.code {
            query = query.filter(Column::Code.eq(code));
        }
        self.page(query, page).await
    }

    /// Forgets who was passed over before a moment, at most `limit`. Gives how many.
    pub async fn prune_trigger_skips(&self, before: DateTime<Utc>, limit: u64) -> Result<u64> {
        let sql = format!(
            "DELETE FROM trigger_skip WHERE id IN (SELECT id FROM trigger_skip WHERE at < $1 ORDER BY at LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        let done = self.writer().execute_raw(Statement::from_sql_and_values(backend, sql, [ms(before).into()])).await?;
        Ok(done.rows_affected())
    }

    /// Forgets what the triggers of archived sequences remembered, at most `limit` things. Gives how many.
    pub async fn prune_trigger_memory(&self, limit: u64) -> Result<u64> {
        let key = "sequence_id, trigger_key, contact_id, value";
        let of_archived = "sequence_id IN (SELECT id FROM sequence WHERE state = 'ARCHIVED')";
        let sql = format!(
            "DELETE FROM trigger_memory WHERE ({key}) IN (SELECT {key} FROM trigger_memory WHERE {of_archived} LIMIT {limit})"
        );
        let backend = self.writer().get_database_backend();
        Ok(self.writer().execute_raw(Statement::from_string(backend, sql)).await?.rows_affected())
    }

    /// The people at a company, or all people, behind one in the order of their ids.
    pub async fn contacts_behind(
        &self,
        account: Option<AccountId>,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<tandem_domain::contact::Contact>> {
        let filter = crate::account::ContactFilter { account, ..Default::default() };
        let page = Page { after, ..Page::first(limit) };
        Ok(self.contact_page(&filter, &page).await?.items)
    }
}
