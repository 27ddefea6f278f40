//! Keys that belong to one record, tags, and writing many records at once.

use crate::{Result, Save, Store, StoreError, Stored, Tx};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::identity::Identity;
use uuid::Uuid;

mod key {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "identity_key")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub value: String,
        pub owner_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod tag {
    //! The tags of every kind of record.
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "record_tag")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub owner_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tag: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How many rows one statement reads or writes: SQLite binds at most 32,766 values to one.
const CHUNK: usize = 500;

/// A record that is known by keys and carries tags.
pub trait Identified: Stored {
    /// Its keys; no other record may have one of them.
    fn identities(&self) -> Vec<Identity>;
    /// Its tags.
    fn tags(&self) -> &BTreeSet<String>;
}

impl Identified for Account {
    fn identities(&self) -> Vec<Identity> {
        self.identities()
    }

    fn tags(&self) -> &BTreeSet<String> {
        &self.tags
    }
}

impl Identified for Contact {
    fn identities(&self) -> Vec<Identity> {
        self.identities()
    }

    fn tags(&self) -> &BTreeSet<String> {
        &self.tags
    }
}

/// What a record is known by, and its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBy {
    owner: Uuid,
    identities: Vec<Identity>,
    tags: BTreeSet<String>,
}

impl KnownBy {
    /// What this record says.
    pub fn of<T: Identified>(record: &T) -> Self {
        Self { owner: record.key(), identities: record.identities(), tags: record.tags().clone() }
    }
}

/// Many records, written in few statements.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Many<T>(pub Vec<T>);

impl<T: Identified> Save for Many<T> {
    async fn save(&self, tx: &Tx) -> Result<()> {
        tx.write_many(&self.0).await?;
        tx.write_known_by(self.0.iter().map(KnownBy::of).collect()).await
    }
}

impl Store {
    /// Who has this key.
    pub async fn identity_owner(&self, kind: &str, value: &str) -> Result<Option<Uuid>> {
        let row = key::Entity::find_by_id((kind.to_owned(), value.to_owned())).one(self.reader()).await?;
        Ok(row.map(|row| row.owner_id))
    }
}

impl Tx {
    /// Who has these keys; a key that nobody has is left out.
    pub async fn identity_owners(&self, keys: &[Identity]) -> Result<Vec<(Identity, Uuid)>> {
        let mut by_kind: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for key in keys {
            by_kind.entry(&key.kind).or_default().insert(&key.value);
        }
        let mut owners = Vec::new();
        for (kind, values) in by_kind {
            let values: Vec<&str> = values.into_iter().collect();
            for values in values.chunks(CHUNK) {
                let found = key::Entity::find()
                    .filter(key::Column::Kind.eq(kind))
                    .filter(key::Column::Value.is_in(values.iter().copied()))
                    .order_by_asc(key::Column::Value)
                    .all(self.connection().await?)
                    .await?;
                owners.extend(found.into_iter().map(|row| (Identity::new(row.kind, row.value), row.owner_id)));
            }
        }
        Ok(owners)
    }

    /// Loads aggregates to change them; unknown ids are left out. Rows are locked in the order of their ids, so that
    /// two commands over the same rows do not deadlock.
    pub async fn get_many<T: Stored>(&self, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<T>> {
        let ids: BTreeSet<Uuid> = ids.into_iter().collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let query = T::Row::find().filter(T::id_column().is_in(ids.iter().copied())).order_by_asc(T::id_column());
            found.extend(self.select(query).await?);
        }
        Ok(found)
    }

    /// Loads aggregates that the decision only reads; unknown ids are left out.
    pub async fn peek_many<T: Stored>(&self, ids: impl IntoIterator<Item = Uuid>) -> Result<Vec<T>> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            found.extend(self.read(T::Row::find().filter(T::id_column().is_in(ids.iter().copied()))).await?);
        }
        Ok(found)
    }

    /// Makes the stored keys and tags of the records what the records say.
    ///
    /// A key that somebody else took is a conflict: the command runs again, sees the owner, and refuses or merges. On
    /// PostgreSQL the insert waits for a transaction that is about to take the same key, so two never both succeed.
    ///
    /// The rows of the records are written by then; what else is behind stays so.
    pub(crate) async fn write_known_by(&self, records: Vec<KnownBy>) -> Result<()> {
        let owners: Vec<Uuid> = records.iter().map(|record| record.owner).collect();
        let mut keys: HashMap<Identity, Uuid> = HashMap::new();
        let mut tags: BTreeSet<(Uuid, String)> = BTreeSet::new();
        for KnownBy { owner, identities, tags: carried } in records {
            for key in identities {
                if keys.insert(key, owner).is_some_and(|other| other != owner) {
                    return Err(StoreError::Conflict);
                }
            }
            tags.extend(carried.into_iter().map(|tag| (owner, tag)));
        }
        for owners in owners.chunks(CHUNK) {
            let owners = owners.iter().copied();
            let known = key::Entity::find().filter(key::Column::OwnerId.is_in(owners.clone()));
            let mut gone = Condition::any();
            for row in known.all(self.inner()).await? {
                let key = Identity::new(row.kind, row.value);
                if keys.get(&key) == Some(&row.owner_id) {
                    keys.remove(&key);
                } else {
                    gone = gone.add(sea_orm::sea_query::all![
                        key::Column::Kind.eq(key.kind),
                        key::Column::Value.eq(key.value)
                    ]);
                }
            }
            if !gone.is_empty() {
                key::Entity::delete_many().filter(gone).exec(self.inner()).await?;
            }
            let known = tag::Entity::find().filter(tag::Column::OwnerId.is_in(owners));
            let mut gone = Condition::any();
            for row in known.all(self.inner()).await? {
                let tag = (row.owner_id, row.tag);
                if !tags.remove(&tag) {
                    gone =
                        gone.add(sea_orm::sea_query::all![tag::Column::OwnerId.eq(tag.0), tag::Column::Tag.eq(tag.1)]);
                }
            }
            if !gone.is_empty() {
                tag::Entity::delete_many().filter(gone).exec(self.inner()).await?;
            }
        }
        // In one order for everybody, so that two imports of the same file wait for each other and do not deadlock.
        let mut keys: Vec<(Identity, Uuid)> = keys.into_iter().collect();
        keys.sort();
        for keys in keys.chunks(CHUNK) {
            let rows = keys.iter().map(|(key, owner)| key::ActiveModel {
                kind: Set(key.kind.clone()),
                value: Set(key.value.clone()),
                owner_id: Set(*owner),
            });
            let written = key::Entity::insert_many(rows)
                .on_conflict(OnConflict::columns([key::Column::Kind, key::Column::Value]).do_nothing().to_owned())
                .exec_without_returning(self.inner())
                .await?;
            if usize::try_from(written).ok() != Some(keys.len()) {
                return Err(StoreError::Conflict);
            }
        }
        let tags: Vec<(Uuid, String)> = tags.into_iter().collect();
        for tags in tags.chunks(CHUNK) {
            let rows =
                tags.iter().map(|(owner, tag)| tag::ActiveModel { owner_id: Set(*owner), tag: Set(tag.clone()) });
            tag::Entity::insert_many(rows).exec_without_returning(self.inner()).await?;
        }
        Ok(())
    }
}
