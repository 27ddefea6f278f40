//! Suppressions, and the locks that make "nothing is begun after a suppression landed" true under concurrency.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::suppression::{Suppression, SuppressionKind, lookups};
use uuid::Uuid;

stored!(Suppression, "Suppression", "suppression", |suppression| {
    kind: String = suppression.kind.to_string(),
    value: String = suppression.value.clone(),
    live: bool = suppression.is_live(),
}, save_parts = changed);

/// Whoever asks again about an address asks the database.
async fn changed(_: &Suppression, tx: &Tx) -> Result<()> {
    tx.ahead().forget_suppressions();
    Ok(())
}

/// How many names one statement asks for at most.
const CHUNK: usize = 100;

fn any_of(lookups: &[(SuppressionKind, String)]) -> Condition {
    use row::Column;
    lookups.iter().fold(Condition::any(), |any, (kind, value)| {
        any.add(Condition::all().add(Column::Kind.eq(kind.as_str())).add(Column::Value.eq(value.as_str())))
    })
}

impl Tx {
    /// Every suppression under which `address` could be covered, live or not.
    ///
    /// Until this transaction ends no suppression of the address or its domains can land beside it: PostgreSQL holds
    /// a shared lock on each of those names (SQLite has one writer). So what is begun on the strength of this answer
    /// is begun before the suppression, or not at all.
    pub async fn suppressions_of(&self, address: &str) -> Result<Vec<Suppression>> {
        let held = self.ahead().suppressions_of(address);
        match held {
            Some(held) => Ok(held),
            None => self.suppressions_of_any(&lookups(address)).await,
        }
    }

    /// Reads what [`Tx::suppressions_of`] is going to be asked for.
    pub async fn suppressions_ahead(&self, addresses: impl IntoIterator<Item = &str>) -> Result<()> {
        let wanted: BTreeMap<&str, Vec<_>> = addresses.into_iter().map(|address| (address, lookups(address))).collect();
        let found = self.suppressions_of_any(&wanted.values().flatten().cloned().collect::<Vec<_>>()).await?;
        let mut ahead = self.ahead();
        for (address, names) in wanted {
            let covers =
                |one: &&Suppression| names.iter().any(|(kind, value)| *kind == one.kind && *value == one.value);
            ahead.put_suppressions(address.to_owned(), found.iter().filter(covers).cloned().collect());
        }
        Ok(())
    }

    async fn suppressions_of_any(&self, names: &[(SuppressionKind, String)]) -> Result<Vec<Suppression>> {
        let names: BTreeSet<(SuppressionKind, String)> = names.iter().cloned().collect();
        let names: Vec<(SuppressionKind, String)> = names.into_iter().collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.lock("pg_advisory_xact_lock_shared", &names).await?;
        let mut found = Vec::new();
        for names in names.chunks(CHUNK) {
            found.extend(self.read(row::Entity::find().filter(any_of(names))).await?);
        }
        Ok(found)
    }

    /// The record of a normalised value, to be suppressed or lifted. It waits for whoever is just beginning an e-mail
    /// on the strength of its absence.
    pub async fn suppression_to_change(&self, kind: SuppressionKind, value: &str) -> Result<Option<Suppression>> {
        let name = [(kind, value.to_owned())];
        self.lock("pg_advisory_xact_lock", &name).await?;
        Ok(self.select(row::Entity::find().filter(any_of(&name))).await?.pop())
    }

    /// Locks names, in one order for everybody.
    async fn lock(&self, function: &str, names: &[(SuppressionKind, String)]) -> Result<()> {
        let names: Vec<String> = names.iter().map(|(kind, value)| format!("{kind}:{value}")).collect();
        let sql = format!(
            "SELECT {function}(hashtextextended(name, 0)) FROM (SELECT DISTINCT name \
             FROM jsonb_array_elements_text($1::jsonb) AS name ORDER BY name) AS names"
        );
        self.lock_names(&sql, "suppression", &names, []).await
    }
}

impl Store {
    /// The live suppressions that cover `address`.
    pub async fn live_suppressions_of(&self, address: &str) -> Result<Vec<Suppression>> {
        let query = row::Entity::find().filter(any_of(&lookups(address))).filter(row::Column::Live.eq(true));
        self.all(query).await
    }

    /// Every suppression under which one of these addresses could be covered, live or not, as it is seen without a lock.
    pub async fn suppressions_covering(&self, addresses: impl IntoIterator<Item = &str>) -> Result<Vec<Suppression>> {
        let names: BTreeSet<(SuppressionKind, String)> = addresses.into_iter().flat_map(lookups).collect();
        let names: Vec<(SuppressionKind, String)> = names.into_iter().collect();
        let mut found = Vec::new();
        for names in names.chunks(CHUNK) {
            found.extend(self.all(row::Entity::find().filter(any_of(names))).await?);
        }
        Ok(found)
    }

    /// A page of suppressions: the live ones, the lifted ones, or all.
    pub async fn suppression_page(&self, live: Option<bool>, page: &Page<Uuid>) -> Result<PageOf<Suppression>> {
        let mut query = row::Entity::find();
        if let Some(live) = live {
            query = query.filter(row::Column::Live.eq(live));
        }
        self.page(query, page).await
    }
}
