//! Rows that a transaction holds in memory, so that many commands in one transaction cost few statements: what they are
//! known to need is read ahead, and what was read ahead and locked is written behind.
//!
//! A row that is held and locked is what this transaction would read: its own writes go through here, and before anything
//! else is read from the database, what is behind is written. A row that is held unlocked is as it was when it was read.

use crate::identity::KnownBy;
use crate::{Result, StoreError, Stored, Tx, bulk};
use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Iterable, Statement};
use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use tandem_domain::calendar::Calendars;
use tandem_domain::contact_policy::ContactPolicy;
use tandem_domain::experiment::Experiment;
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sending_mailbox::SendingMailbox;
use tandem_domain::sequence::interactions::Tally;
use tandem_domain::suppression::Suppression;
use uuid::Uuid;

/// The versions of the rows that a transaction has seen.
pub(crate) type Versions = HashMap<(&'static str, Uuid), i32>;

/// What a transaction holds.
#[derive(Default)]
pub(crate) struct Ahead {
    shelves: HashMap<&'static str, Box<dyn Shelf>>,
    suppressions: HashMap<String, Vec<Suppression>>,
    experiments: HashMap<Uuid, Vec<Experiment>>,
    pub(crate) once: Once,
    pub(crate) counted: Counts,
    pub(crate) conditions: Conditions,
}

/// Definitions of which there are few: read whole, at most once a transaction.
#[derive(Default)]
pub(crate) struct Once {
    pub(crate) calendars: Option<Arc<Calendars>>,
    pub(crate) mailboxes: Option<Arc<Vec<SendingMailbox>>>,
    /// The policy, or that there is none.
    pub(crate) policy: Option<Option<Arc<ContactPolicy>>>,
}

/// The moments that count for caps, newest first, of people and of accounts: as far as they were read ahead.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) people: HashMap<Uuid, Vec<DateTime<Utc>>>,
    pub(crate) accounts: HashMap<Uuid, Vec<DateTime<Utc>>>,
}

/// What conditions read beside rows, as far as it was read ahead.
#[derive(Default)]
pub(crate) struct Conditions {
    /// The kinds that were counted.
    pub(crate) kinds: BTreeSet<InteractionKind>,
    /// What people did of them; of each who was asked about.
    pub(crate) tallies: HashMap<ContactId, Vec<Tally>>,
    /// The keys of the lists of companies; of each that was asked about.
    pub(crate) lists: HashMap<AccountId, Vec<String>>,
}

struct Held<T> {
    value: T,
    locked: bool,
    /// Changed, and still to be written.
    behind: bool,
    /// What it is known by has changed too, or its tags.
    known_anew: bool,
}

/// How many rows one statement writes at most.
const CHUNK: usize = 200;

/// Rows that are still to be written, as one statement, and then what they are known by and their tags.
pub(crate) struct Behind {
    kind: &'static str,
    rows: usize,
    statement: Statement,
    known_by: Vec<KnownBy>,
}

/// The rows of one kind.
trait Shelf: Any + Send {
    fn take_behind(&mut self, versions: &mut Versions, backend: DbBackend) -> Result<Vec<Behind>>;
}

impl<T: Stored> Shelf for HashMap<Uuid, Held<T>> {
    fn take_behind(&mut self, versions: &mut Versions, backend: DbBackend) -> Result<Vec<Behind>> {
        let mut rows = Vec::new();
        for (id, held) in self.iter_mut().filter(|(_, held)| held.behind) {
            let version = versions.entry((T::KIND, *id)).and_modify(|version| *version = version.wrapping_add(1));
            let known_by = if held.known_anew { held.value.known_by() } else { None };
            rows.push((held.value.row(*version.or_default())?, known_by));
            (held.behind, held.known_anew) = (false, false);
        }
        let version = T::version_column();
        let is_next = Expr::col((T::Row::default(), version)).eq(Expr::col((Alias::new("excluded"), version)).sub(1));
        // The rows are there and locked, so each meets itself; what is not the version that was read stays as it is.
        let update = OnConflict::column(T::id_column())
            .update_columns(<T::Row as EntityTrait>::Column::iter().filter(|column| !is_same(*column, T::id_column())))
            .action_and_where(is_next)
            .to_owned();
        let mut behind = Vec::new();
        while !rows.is_empty() {
            let (rows, known_by): (Vec<_>, Vec<_>) = rows.drain(..rows.len().min(CHUNK)).unzip();
            let statement = bulk::insert(backend, &rows, Some(update.clone()))?;
            let known_by = known_by.into_iter().flatten().collect();
            behind.push(Behind { kind: T::KIND, rows: rows.len(), statement, known_by });
        }
        Ok(behind)
    }
}

fn is_same<C: sea_orm::Iden>(one: C, other: C) -> bool {
    one.unquoted() == other.unquoted()
}

impl Ahead {
    fn shelf<T: Stored>(&mut self) -> Option<&mut HashMap<Uuid, Held<T>>> {
        let shelf: &mut dyn Any = self.shelves.get_mut(T::KIND)?.as_mut();
        shelf.downcast_mut()
    }

    fn put<T: Stored>(&mut self, value: T, locked: bool) {
        self.shelves.entry(T::KIND).or_insert_with(|| Box::new(HashMap::<Uuid, Held<T>>::new()));
        if let Some(shelf) = self.shelf::<T>() {
            shelf.insert(value.key(), Held { value, locked, behind: false, known_anew: false });
        }
    }

    /// The row, if it is held; if it is to be changed, only one that is locked.
    pub(crate) fn find<T: Stored>(&mut self, id: Uuid, to_change: bool) -> Option<T> {
        let held = self.shelf::<T>()?.get(&id)?;
        (held.locked || !to_change).then(|| held.value.clone())
    }

    /// Takes a row that is to be written, if it is held and locked.
    pub(crate) fn write_behind<T: Stored>(&mut self, value: &T) -> bool {
        match self.shelf::<T>().and_then(|shelf| shelf.get_mut(&value.key())) {
            Some(held) if held.locked => {
                held.known_anew |= held.value.known_by() != value.known_by();
                held.value.clone_from(value);
                held.behind = true;
                true
            }
            _ => false,
        }
    }

    /// A row was read or written without this: what is held is what it is now.
    pub(crate) fn refresh<T: Stored>(&mut self, value: &T) {
        if let Some(held) = self.shelf::<T>().and_then(|shelf| shelf.get_mut(&value.key())) {
            held.value.clone_from(value);
        }
    }

    /// The suppressions under which an address could be covered, if they were read ahead.
    pub(crate) fn suppressions_of(&self, address: &str) -> Option<Vec<Suppression>> {
        self.suppressions.get(address).cloned()
    }

    /// The experiments of a sequence, if they were read ahead.
    pub(crate) fn experiments_of(&self, sequence: Uuid) -> Option<Vec<Experiment>> {
        self.experiments.get(&sequence).cloned()
    }

    pub(crate) fn put_experiments(&mut self, sequence: Uuid, experiments: Vec<Experiment>) {
        self.experiments.insert(sequence, experiments);
    }

    pub(crate) fn put_suppressions(&mut self, address: String, covering: Vec<Suppression>) {
        self.suppressions.insert(address, covering);
    }

    /// An e-mail was written: what counts for its person and account is asked of the database again.
    pub(crate) fn forget_counted(&mut self, contact: Uuid, account: Option<Uuid>) {
        self.counted.people.remove(&contact);
        if let Some(account) = account {
            self.counted.accounts.remove(&account);
        }
    }

    /// A suppression is about to change: whether an address is covered is asked of the database again.
    pub(crate) fn forget_suppressions(&mut self) {
        self.suppressions.clear();
    }

    /// Whether the row is held; if it is to be changed, only one that is locked counts.
    fn holds<T: Stored>(&mut self, id: Uuid, to_change: bool) -> bool {
        let held = self.shelf::<T>().and_then(|shelf| shelf.get(&id));
        held.is_some_and(|held| held.locked || !to_change)
    }

    /// What is still to be written, of one kind or of all, which the caller writes.
    fn take_behind(&mut self, kind: Option<&str>, versions: &mut Versions, backend: DbBackend) -> Result<Vec<Behind>> {
        let mut behind = Vec::new();
        for (_, shelf) in self.shelves.iter_mut().filter(|(held, _)| kind.is_none_or(|kind| kind == **held)) {
            behind.extend(shelf.take_behind(versions, backend)?);
        }
        Ok(behind)
    }
}

impl Tx {
    pub(crate) fn ahead(&self) -> std::sync::MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads rows that commands of this transaction are going to change, and locks them, in the order of their ids.
    /// Unknown ids are left out. Writing them waits for the end, or for the next read that is not of a held row.
    pub async fn get_ahead<T: Stored>(&self, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<T>> {
        let found = self.get_many::<T>(self.missing::<T>(ids, true)).await?;
        let mut ahead = self.ahead();
        found.iter().for_each(|value| ahead.put(value.clone(), true));
        Ok(found)
    }

    /// Reads rows that commands of this transaction are going to look at. Unknown ids are left out.
    pub async fn peek_ahead<T: Stored>(&self, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<T>> {
        let found = self.peek_many::<T>(self.missing::<T>(ids, false)).await?;
        let mut ahead = self.ahead();
        found.iter().for_each(|value| ahead.put(value.clone(), false));
        Ok(found)
    }

    fn missing<T: Stored>(&self, ids: impl IntoIterator<Item = Uuid>, to_change: bool) -> BTreeSet<Uuid> {
        let mut ahead = self.ahead();
        ids.into_iter().filter(|id| !ahead.holds::<T>(*id, to_change)).collect()
    }

    /// Writes what is still to be written.
    pub(crate) async fn write_what_is_behind(&self) -> Result<()> {
        self.write_behind_of(None).await
    }

    /// Writes what is still to be written of a kind, or of all.
    pub(crate) async fn write_behind_of(&self, kind: Option<&str>) -> Result<()> {
        let behind = {
            let mut ahead = self.ahead();
            ahead.take_behind(kind, &mut self.versions(), self.backend())?
        };
        let mut known = Vec::new();
        for Behind { kind, rows, statement, known_by } in behind {
            let written = self.inner().execute_raw(statement).await;
            let written = written.map_err(|error| StoreError::writing(error, kind))?.rows_affected();
            if usize::try_from(written).ok() != Some(rows) {
                return Err(StoreError::Conflict);
            }
            known.extend(known_by);
        }
        // In a box: few writes come here, and the room of it would be part of every write.
        if known.is_empty() { Ok(()) } else { Box::pin(self.write_known_by(known)).await }
    }
}
