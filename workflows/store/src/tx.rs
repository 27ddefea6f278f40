//! The write transaction and its one end: `commit`.

use crate::ahead::{Ahead, Versions};
use crate::connect::Bells;
use crate::idempotency::Answer;
use crate::jobs::Lease;
use crate::{Result, Save, StoreError, Stored, bulk, idempotency, jobs, ledger};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryFilter,
    QuerySelect, Select, Statement, Value,
};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tandem_domain::decision::{Decision, Fact, Planned};
use tandem_domain::ledger::Stamp;
use uuid::Uuid;

/// A write transaction. Dropped without a commit, it leaves no trace.
///
/// It remembers the version of every row it loaded: a row that somebody changed in between is not overwritten.
pub struct Tx {
    inner: DatabaseTransaction,
    seen: Mutex<Versions>,
    pub(crate) ahead: Mutex<Ahead>,
    job: Option<Lease>,
    keeps_job: AtomicBool,
    rings: AtomicBool,
    bells: Bells,
}

impl Tx {
    pub(crate) fn new(inner: DatabaseTransaction, job: Option<Lease>, bells: Bells) -> Self {
        Self {
            inner,
            seen: Mutex::default(),
            ahead: Mutex::default(),
            job,
            keeps_job: AtomicBool::default(),
            rings: AtomicBool::default(),
            bells,
        }
    }

    /// The connection, for what sees everything that this transaction has written.
    pub(crate) async fn connection(&self) -> Result<&DatabaseTransaction> {
        self.write_what_is_behind().await?;
        Ok(&self.inner)
    }

    /// The connection as it is.
    pub(crate) const fn inner(&self) -> &DatabaseTransaction {
        &self.inner
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.backend() == DbBackend::Postgres
    }

    /// Loads an aggregate to change it: PostgreSQL locks its row until the end of the transaction.
    pub async fn get<T: Stored>(&self, id: impl Into<Uuid>) -> Result<Option<T>> {
        let id = id.into();
        let held = self.ahead().find(id, true);
        match held {
            Some(held) => Ok(Some(held)),
            None => Ok(self.select(T::Row::find().filter(T::id_column().eq(id))).await?.pop()),
        }
    }

    /// Loads what a query selects to change it, in the query's order, locking the rows on PostgreSQL.
    pub(crate) async fn select<T: Stored>(&self, query: Select<T::Row>) -> Result<Vec<T>> {
        let query = if self.is_postgres() { query.lock_exclusive() } else { query };
        let rows = query.all(self.connection().await?).await?;
        rows.into_iter().map(|row| self.keep(row)).collect()
    }

    /// Loads what a query selects without locking it, e.g. definitions that the decision only reads.
    pub(crate) async fn read<T: Stored>(&self, query: Select<T::Row>) -> Result<Vec<T>> {
        let rows = query.all(self.connection().await?).await?;
        rows.into_iter().map(|row| self.keep(row)).collect()
    }

    /// Loads an aggregate that the decision only reads.
    pub async fn peek<T: Stored>(&self, id: impl Into<Uuid>) -> Result<Option<T>> {
        let id = id.into();
        let held = self.ahead().find(id, false);
        match held {
            Some(held) => Ok(Some(held)),
            None => Ok(self.read(T::Row::find().filter(T::id_column().eq(id))).await?.pop()),
        }
    }

    /// Makes transactions that name the same things go one after the other, until their ends: for what no row and no
    /// index stands for yet. Things of one `kind` share 256 turns, so that no number of names fills the lock table.
    pub async fn take_turns(&self, kind: &str, names: &[String]) -> Result<()> {
        // Taken in one order by everybody, so that no two wait for each other.
        let sql = "SELECT pg_advisory_xact_lock(hashtext($2), turn) FROM (SELECT DISTINCT abs(hashtext(name) % 256) AS turn \
                   FROM jsonb_array_elements_text($1::jsonb) AS name ORDER BY turn) AS turns";
        self.lock_names(sql, kind, names, [kind.into()]).await
    }

    /// Takes advisory locks on PostgreSQL by a statement whose `$1` is the JSON array of `kind:name`.
    pub(crate) async fn lock_names(
        &self,
        sql: &str,
        kind: &str,
        names: &[String],
        more: impl IntoIterator<Item = Value>,
    ) -> Result<()> {
        // SQLite has one writer.
        if names.is_empty() || !self.is_postgres() {
            return Ok(());
        }
        let names: Vec<String> = names.iter().map(|name| format!("{kind}:{name}")).collect();
        let names = serde_json::to_string(&names).map_err(|source| StoreError::Decode { kind: "names", source })?;
        let statement =
            Statement::from_sql_and_values(DbBackend::Postgres, sql, std::iter::once(names.into()).chain(more));
        self.inner.query_all_raw(statement).await?;
        Ok(())
    }

    /// Remembers the version of a row that was read, and gives the aggregate in it.
    pub(crate) fn keep<T: Stored>(&self, row: <T::Row as EntityTrait>::Model) -> Result<T> {
        let (value, version) = T::parts(row)?;
        self.versions().insert((T::KIND, value.key()), version);
        self.ahead().refresh(&value);
        Ok(value)
    }

    pub(crate) fn versions(&self) -> std::sync::MutexGuard<'_, Versions> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one aggregate: an insert if this transaction has not seen it, else an update of the version seen.
    pub(crate) async fn write<T: Stored>(&self, value: &T) -> Result<()> {
        if !self.write_row(value).await? {
            return Ok(());
        }
        match value.known_by() {
            Some(known_by) => {
                // What is still to be written may be about to free a key.
                self.write_behind_of(Some(T::KIND)).await?;
                Box::pin(self.write_known_by(vec![known_by])).await
            }
            None => Ok(()),
        }
    }

    /// Writes its row alone; whether that was done now, and not left for later.
    async fn write_row<T: Stored>(&self, value: &T) -> Result<bool> {
        if self.ahead().write_behind(value) {
            return Ok(false);
        }
        let id = (T::KIND, value.key());
        let seen = self.versions().get(&id).copied();
        let next = seen.map_or(0, |version| version.wrapping_add(1));
        let row = value.row(next)?;
        match seen {
            None => {
                // A row of the same table that is still to be written may be about to free a unique value.
                self.write_behind_of(Some(T::KIND)).await?;
                T::Row::insert(row)
                    .exec_without_returning(&self.inner)
                    .await
                    .map_err(|error| StoreError::writing(error, T::KIND))?;
            }
            Some(version) => {
                let mut row = row;
                row.not_set(T::id_column());
                let written = T::Row::update_many()
                    .set(row)
                    .filter(T::id_column().eq(value.key()))
                    .filter(T::version_column().eq(version))
                    .exec(&self.inner)
                    .await
                    .map_err(|error| StoreError::writing(error, T::KIND))?;
                if written.rows_affected != 1 {
                    return Err(StoreError::Conflict);
                }
            }
        }
        self.versions().insert(id, next);
        self.ahead().refresh(value);
        Ok(true)
    }

    /// The commit shall look at the lease and not spend it: for the first beat of an effect, whose job ends with the
    /// last one.
    pub fn keep_job(&self) {
        self.keeps_job.store(true, Ordering::SeqCst);
    }

    /// Workers shall look again after the commit, also where it adds no job.
    pub(crate) fn ring_at_commit(&self) {
        self.rings.store(true, Ordering::SeqCst);
    }

    /// Writes many aggregates: those this transaction has not seen in few statements, the others one by one.
    pub(crate) async fn write_many<T: Stored>(&self, values: &[T]) -> Result<()> {
        let (seen, new): (Vec<&T>, Vec<&T>) = values.iter().partition(|value| self.was_seen(*value));
        for value in seen {
            self.write_row(value).await?;
        }
        self.write_behind_of(Some(T::KIND)).await?;
        for values in new.chunks(200) {
            let rows = values.iter().map(|value| value.row(0)).collect::<Result<Vec<_>>>()?;
            let written = self.inner.execute_raw(bulk::insert(self.backend(), &rows, None)?).await;
            written.map_err(|error| StoreError::writing(error, T::KIND))?;
            self.versions().extend(values.iter().map(|value| ((T::KIND, value.key()), 0)));
        }
        Ok(())
    }

    /// Whether this transaction loaded or wrote the aggregate before.
    pub(crate) fn was_seen<T: Stored>(&self, value: &T) -> bool {
        self.versions().contains_key(&(T::KIND, value.key()))
    }

    /// The answer that was given to this idempotency key in the last 24 hours, if any.
    pub async fn recall(&self, stamp: &Stamp) -> Result<Option<Answer>> {
        idempotency::recall(&self.inner, stamp).await
    }

    /// Spends the transaction: rows, ledger, jobs and the remembered answer land together or not at all, and a leased
    /// job is finished with them. A lost lease rolls everything back.
    pub async fn commit<T: Save + Serialize>(
        self,
        stamp: &Stamp,
        command: Option<(&str, &str)>,
        decision: Decision<T>,
    ) -> Result<T> {
        let Decision { next, facts, jobs } = decision;
        next.save(&self).await?;
        self.write_what_is_behind().await?;
        if let Some((name, input_hash)) = command {
            idempotency::remember(&self.inner, stamp, name, input_hash, &next).await?;
        }
        let planned = jobs.iter().map(|job| jobs::planned(stamp, job)).collect::<Result<Vec<_>>>()?;
        jobs::add(&self.inner, &planned).await?;
        match &self.job {
            Some(lease) if self.keeps_job.load(Ordering::SeqCst) => jobs::check(&self.inner, lease).await?,
            Some(lease) => jobs::finish(&self.inner, std::slice::from_ref(lease)).await?,
            None => {}
        }
        // Last, because the head of the chain is one row that every writer waits for.
        ledger::append(&self.inner, self.is_postgres(), facts.iter().map(|fact| (stamp, fact))).await?;
        self.inner.commit().await?;
        if !jobs.is_empty() || self.rings.load(Ordering::SeqCst) {
            self.bells.jobs.ring();
        }
        if !facts.is_empty() {
            self.bells.ledger.ring();
        }
        Ok(next)
    }

    /// Turns this into a transaction that takes several decisions.
    pub fn batch(self) -> Batch {
        Batch { tx: self, facts: Vec::new(), jobs: Vec::new(), leases: Vec::new() }
    }

    /// Undoes everything at once, where a drop would undo it soon.
    pub(crate) async fn undo(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }

    /// Ends a transaction of the job table itself, announcing what it added.
    pub(crate) async fn end_with_jobs(self, added: bool) -> Result<()> {
        self.write_what_is_behind().await?;
        self.inner.commit().await?;
        if added {
            self.bells.jobs.ring();
        }
        Ok(())
    }
}

/// A transaction that takes several decisions, each under its own stamp: all of them land together, or none.
///
/// A later decision sees what the earlier ones wrote. Jobs and ledger wait for the end:
/// the head of the chain is one row, and other writers are not kept waiting for it longer than need be.
pub struct Batch {
    tx: Tx,
    facts: Vec<(Stamp, Fact)>,
    jobs: Vec<(Stamp, Planned)>,
    leases: Vec<Lease>,
}

impl Batch {
    /// What the next decision loads from.
    pub const fn tx(&self) -> &Tx {
        &self.tx
    }

    /// Takes a decision. After an error the batch is of no more use: drop it.
    pub async fn put<T: Save + Serialize>(
        &mut self,
        stamp: &Stamp,
        command: Option<(&str, &str)>,
        decision: Decision<T>,
    ) -> Result<T> {
        let Decision { next, facts, jobs } = decision;
        next.save(&self.tx).await?;
        if let Some((name, input_hash)) = command {
            idempotency::remember(&self.tx.inner, stamp, name, input_hash, &next).await?;
        }
        self.facts.extend(facts.into_iter().map(|fact| (stamp.clone(), fact)));
        self.jobs.extend(jobs.into_iter().map(|job| (stamp.clone(), job)));
        Ok(next)
    }

    /// The commit shall finish this job too. If its lease was lost, nothing of the batch happens.
    pub fn finish_job(&mut self, lease: Lease) {
        self.leases.push(lease);
    }

    /// Undoes everything that was put, at once.
    pub async fn undo(self) -> Result<()> {
        self.tx.undo().await
    }

    /// Commits everything that was put.
    pub async fn commit(self) -> Result<()> {
        let Self { tx, facts, jobs, leases } = self;
        tx.write_what_is_behind().await?;
        let planned = jobs.iter().map(|(stamp, job)| jobs::planned(stamp, job)).collect::<Result<Vec<_>>>()?;
        jobs::add(&tx.inner, &planned).await?;
        jobs::finish(&tx.inner, &leases).await?;
        ledger::append(&tx.inner, tx.is_postgres(), facts.iter().map(|(stamp, fact)| (stamp, fact))).await?;
        tx.inner.commit().await?;
        if !jobs.is_empty() {
            tx.bells.jobs.ring();
        }
        if !facts.is_empty() {
            tx.bells.ledger.ring();
        }
        Ok(())
    }
}
