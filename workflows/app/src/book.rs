//! Records known by keys, as one transaction sees them: finds the record a row means, and holds what changed.
//!
//! Everything that rows of one command may mean is loaded in a few queries; the rows then meet each other here, so that
//! the second row of a file finds the record that the first one made.

use crate::written::{Outcome, RowResult, Rows, Written};
use crate::{AppError, Env, Result};
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap, HashSet};
use tandem_domain::account::{self, Account};
use tandem_domain::contact::{self, Contact};
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::identity::{Identity, Vocabulary};
use tandem_store::Tx;
use tandem_store::identity::{Identified, Many};
use uuid::Uuid;

type Made<T, E> = std::result::Result<T, E>;

/// What a [`Book`] asks of a kind of record: the rules of its domain module.
pub trait Record: Identified {
    /// Its id.
    type Id: Copy + Eq + From<Uuid> + Into<Uuid> + Send + Sync;
    /// What is given to make or change one.
    type Patch: Clone + Send + Sync;
    /// What is looked for.
    type Sought;
    /// Why one is refused.
    type Refusal: Into<AppError>;

    /// Its id.
    fn id(&self) -> Self::Id;
    /// Reads the keys in a patch.
    fn seek(patch: &Self::Patch, words: &Vocabulary) -> Made<Self::Sought, Self::Refusal>;
    /// The keys looked for.
    fn keys(sought: &Self::Sought) -> &[Identity];
    /// What else is looked for where no key leads to a record: a name, or a phone number.
    fn hint(sought: &Self::Sought) -> Option<&String>;
    /// The record's own hint.
    fn own_hint(&self) -> Option<&String>;
    /// The records with one of these hints.
    fn by_hint(tx: &Tx, hints: &[String]) -> impl Future<Output = tandem_store::Result<Vec<Self>>> + Send;
    /// Which record is meant.
    fn matching(
        sought: &Self::Sought,
        owners: &[(Identity, Self::Id)],
        alike: &[Self],
    ) -> Made<Option<Self::Id>, Self::Refusal>;
    /// The refusal to make a second record.
    fn duplicate(sought: &Self::Sought, existing: Self::Id, owners: &[(Identity, Self::Id)]) -> Self::Refusal;
    /// The refusal to give a record another one's key.
    fn taken(existing: Self::Id, key: Identity) -> Self::Refusal;
    /// Makes one.
    fn create(
        id: Self::Id,
        patch: Self::Patch,
        words: &Vocabulary,
        now: DateTime<Utc>,
    ) -> Made<Decision<Self>, Self::Refusal>;
    /// Changes one as somebody says.
    fn change(
        &self,
        patch: Self::Patch,
        words: &Vocabulary,
        now: DateTime<Utc>,
    ) -> Made<Option<Decision<Self>>, Self::Refusal>;
    /// Brings data from another source into one.
    fn merge(
        &self,
        patch: Self::Patch,
        words: &Vocabulary,
        now: DateTime<Utc>,
    ) -> Made<Option<Decision<Self>>, Self::Refusal>;
}

macro_rules! record {
    ($record:ty, $id:ty, $module:ident, $patch:ty, hint = $hint:ident, own = $own:expr, by_hint = $by_hint:ident, taken = $taken:expr) => {
        impl Record for $record {
            type Id = $id;
            type Patch = $patch;
            type Sought = $module::Sought;
            type Refusal = $module::Refusal;

            fn id(&self) -> $id {
                self.id
            }
            fn seek(patch: &$patch, words: &Vocabulary) -> Made<$module::Sought, $module::Refusal> {
                $module::seek(patch, words)
            }
            fn keys(sought: &$module::Sought) -> &[Identity] {
                &sought.identities
            }
            fn hint(sought: &$module::Sought) -> Option<&String> {
                sought.$hint.as_ref()
            }
            fn own_hint(&self) -> Option<&String> {
                let own: fn(&$record) -> Option<&String> = $own;
                own(self)
            }
            async fn by_hint(tx: &Tx, hints: &[String]) -> tandem_store::Result<Vec<Self>> {
                tx.$by_hint(hints).await
            }
            fn matching(
                sought: &$module::Sought,
                owners: &[(Identity, $id)],
                alike: &[Self],
            ) -> Made<Option<$id>, $module::Refusal> {
                $module::matching(sought, owners, alike)
            }
            fn duplicate(sought: &$module::Sought, existing: $id, owners: &[(Identity, $id)]) -> $module::Refusal {
                sought.duplicate(existing, owners)
            }
            fn taken(existing: $id, key: Identity) -> $module::Refusal {
                let taken: fn($id, Identity) -> $module::Refusal = $taken;
                taken(existing, key)
            }
            fn create(
                id: $id,
                patch: $patch,
                words: &Vocabulary,
                now: DateTime<Utc>,
            ) -> Made<Decision<Self>, $module::Refusal> {
                $module::create(id, patch, words, now)
            }
            fn change(
                &self,
                patch: $patch,
                words: &Vocabulary,
                now: DateTime<Utc>,
            ) -> Made<Option<Decision<Self>>, $module::Refusal> {
                $module::change(self, patch, words, now)
            }
            fn merge(
                &self,
                patch: $patch,
                words: &Vocabulary,
                now: DateTime<Utc>,
            ) -> Made<Option<Decision<Self>>, $module::Refusal> {
                $module::merge(self, patch, words, now)
            }
        }
    };
}
record!(
    Account,
    AccountId,
    account,
    account::AccountPatch,
    hint = name_key,
    own = |account| Some(&account.name_key),
    by_hint = accounts_named,
    taken = |existing, identity| account::Refusal::Duplicate { existing, identity }
);
record!(
    Contact,
    ContactId,
    contact,
    contact::ContactPatch,
    hint = phone,
    own = |contact| contact.phone.as_ref(),
    by_hint = contacts_by_phone,
    taken = |existing, identity| contact::Refusal::Duplicate { existing, kind: identity.kind }
);

/// The records that the rows of one command may mean, and what was done to them so far.
pub struct Book<R: Record> {
    words: Vocabulary,
    records: HashMap<Uuid, R>,
    owners: HashMap<Identity, Uuid>,
    /// Keys whose owner, if any, is in `owners`.
    looked_up: HashSet<Identity>,
    by_hint: HashMap<String, BTreeSet<Uuid>>,
    changed: Vec<Uuid>,
    facts: Vec<Fact>,
}

impl<R: Record> Book<R> {
    /// Loads what the patches may mean, and the records with these ids. With `lock`, PostgreSQL locks what it loads by
    /// key or id.
    pub async fn load(tx: &Tx, words: Vocabulary, patches: &[&R::Patch], ids: &[R::Id], lock: bool) -> Result<Self> {
        let mut keys: Vec<Identity> = Vec::new();
        let mut hints: BTreeSet<String> = BTreeSet::new();
        // A patch that cannot be read is refused when its turn comes.
        for sought in patches.iter().filter_map(|patch| R::seek(patch, &words).ok()) {
            keys.extend_from_slice(R::keys(&sought));
            hints.extend(R::hint(&sought).cloned());
        }
        let hints: Vec<String> = hints.into_iter().collect();
        // No unique index stands behind a name or a phone number: two transactions that look for the same one take turns,
        // or both would find nobody and make a record each.
        tx.take_turns(R::KIND, &hints).await?;
        let alike = R::by_hint(tx, &hints).await?;
        let owners = tx.identity_owners(&keys).await?;
        let wanted = owners.iter().map(|(_, owner)| *owner).chain(ids.iter().map(|id| (*id).into()));
        let by_key: Vec<R> = if lock { tx.get_many(wanted).await? } else { tx.peek_many(wanted).await? };
        let mut book = Self {
            words,
            records: HashMap::new(),
            owners: HashMap::new(),
            looked_up: keys.into_iter().collect(),
            by_hint: HashMap::new(),
            changed: Vec::new(),
            facts: Vec::new(),
        };
        // What was locked is newer than what was read before it.
        for record in alike.into_iter().chain(by_key) {
            book.put(record);
        }
        Ok(book)
    }

    fn put(&mut self, record: R) {
        let id = record.key();
        if let Some(before) = self.records.get(&id) {
            for key in before.identities() {
                self.owners.remove(&key);
            }
            if let Some(others) = before.own_hint().and_then(|hint| self.by_hint.get_mut(hint)) {
                others.remove(&id);
            }
        }
        for key in record.identities() {
            self.looked_up.insert(key.clone());
            self.owners.insert(key, id);
        }
        if let Some(hint) = record.own_hint() {
            self.by_hint.entry(hint.clone()).or_default().insert(id);
        }
        self.records.insert(id, record);
    }

    /// The words that rows are read by.
    pub const fn words(&self) -> &Vocabulary {
        &self.words
    }

    /// The record with this id, where it was loaded or made.
    pub fn get(&self, id: R::Id) -> Option<&R> {
        self.records.get(&id.into())
    }

    fn owners_of(&self, sought: &R::Sought) -> Vec<(Identity, R::Id)> {
        let owner = |key: &Identity| Some((key.clone(), R::Id::from(*self.owners.get(key)?)));
        R::keys(sought).iter().filter_map(owner).collect()
    }

    /// The record that a patch means, if there is one.
    pub fn find(&self, patch: &R::Patch) -> Result<Option<&R>> {
        let sought = R::seek(patch, &self.words).map_err(Into::into)?;
        self.meant(&sought)
    }

    fn meant(&self, sought: &R::Sought) -> Result<Option<&R>> {
        let alike = R::hint(sought).and_then(|hint| self.by_hint.get(hint)).into_iter().flatten();
        let alike: Vec<R> = alike.filter_map(|id| self.records.get(id).cloned()).collect();
        let meant = R::matching(sought, &self.owners_of(sought), &alike).map_err(Into::into)?;
        Ok(meant.and_then(|id| self.get(id)))
    }

    /// Makes a record; refused where there is one already.
    pub async fn create(&mut self, tx: &Tx, env: &Env, patch: R::Patch, now: DateTime<Utc>) -> Result<Written<R>> {
        let sought = R::seek(&patch, &self.words).map_err(Into::into)?;
        if let Some(existing) = self.meant(&sought)? {
            return Err(R::duplicate(&sought, existing.id(), &self.owners_of(&sought)).into());
        }
        let decision = R::create(env.id(now), patch, &self.words, now).map_err(Into::into)?;
        self.accept(tx, Written::created(decision)).await
    }

    /// Merges a patch into the record it means, or makes one.
    pub async fn upsert(&mut self, tx: &Tx, env: &Env, patch: R::Patch, now: DateTime<Utc>) -> Result<Written<R>> {
        let written = match self.find(&patch)? {
            Some(before) => {
                let decision = before.merge(patch, &self.words, now).map_err(Into::into)?;
                Written::changed(before.clone(), decision)
            }
            None => Written::created(R::create(env.id(now), patch, &self.words, now).map_err(Into::into)?),
        };
        self.accept(tx, written).await
    }

    /// Changes the record with this id, which was loaded.
    pub async fn change(&mut self, tx: &Tx, id: R::Id, patch: R::Patch, now: DateTime<Utc>) -> Result<Written<R>> {
        let before = self.get(id).ok_or(AppError::NotFound { what: R::KIND, id: id.into() })?;
        let decision = before.change(patch, &self.words, now).map_err(Into::into)?;
        let written = Written::changed(before.clone(), decision);
        self.accept(tx, written).await
    }

    /// Takes what was decided, unless one of the record's keys is another's.
    async fn accept(&mut self, tx: &Tx, decision: Decision<Written<R>>) -> Result<Written<R>> {
        let Decision { next, facts, .. } = decision;
        if next.outcome == Outcome::Unchanged {
            return Ok(next);
        }
        // Keys that no patch named come about when, say, a registry number gets its country.
        let keys = next.record.identities();
        let new: Vec<Identity> = keys.iter().filter(|key| !self.looked_up.contains(key)).cloned().collect();
        if !new.is_empty() {
            self.owners.extend(tx.identity_owners(&new).await?);
            self.looked_up.extend(new);
        }
        let id = next.record.key();
        if let Some((key, owner)) =
            keys.iter().find_map(|key| Some((key, *self.owners.get(key)?)).filter(|(_, owner)| *owner != id))
        {
            return Err(R::taken(owner.into(), key.clone()).into());
        }
        self.put(next.record.clone());
        if !self.changed.contains(&id) {
            self.changed.push(id);
        }
        self.facts.extend(facts);
        Ok(next)
    }

    /// What changed, and why, to be committed.
    pub fn close(mut self) -> Decision<Many<R>> {
        let changed = self.changed.iter().filter_map(|id| self.records.remove(id)).collect();
        Decision { next: Many(changed), facts: self.facts, jobs: Vec::new() }
    }

    /// The same, with what became of each row.
    pub fn close_with(self, rows: Vec<RowResult>) -> Decision<Rows<R>> {
        self.close().map(|changed| Rows { rows, changed })
    }

    /// The same, for a command that wrote one record.
    pub fn close_one(self, written: Written<R>) -> Decision<Written<R>> {
        self.close().map(|_| written)
    }
}

/// Refuses tags that are none, by the name of the input field that has them.
pub(crate) fn check_tags(field: &str, tags: &[String]) -> Result<()> {
    let checked = tandem_domain::normalise::tags(tags);
    checked.map(drop).map_err(|refusal| AppError::refused(refusal.code(), refusal.to_string(), Some(field)))
}

/// What became of one row.
pub fn row<R: Record>(written: Result<Written<R>>) -> Result<RowResult> {
    match written {
        Ok(Written { outcome, record }) => Ok(RowResult::Written { outcome, id: record.key() }),
        Err(error) => RowResult::from_refusal(error),
    }
}
