//! Suppressions, and the locks that make "nothing is begun after a suppression landed" true under concurrency.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Statement};
use tandem_domain::suppression::{Suppression, SuppressionKind, lookups};
use uuid::Uuid;

stored!(Suppression, "Suppression", "suppression", |suppression| {
    kind: String = suppression.kind.to_string(),
    value: String = suppression.value.clone(),
    live: bool = suppression.is_live(),
});

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
        let mut names = lookups(address);
        names.sort_unstable();
        for (kind, value) in &names {
            self.lock_name(*kind, value, "pg_advisory_xact_lock_shared").await?;
        }
        self.read(row::Entity::find().filter(any_of(&names))).await
    }

    /// The record of a normalised value, to be suppressed or lifted. It waits for whoever is just beginning an e-mail
    /// on the strength of its absence.
    pub async fn suppression_to_change(&self, kind: SuppressionKind, value: &str) -> Result<Option<Suppression>> {
        self.lock_name(kind, value, "pg_advisory_xact_lock").await?;
        Ok(self.select(row::Entity::find().filter(any_of(&[(kind, value.to_owned())]))).await?.pop())
    }

    async fn lock_name(&self, kind: SuppressionKind, value: &str, function: &str) -> Result<()> {
        if self.is_postgres() {
            let name = format!("suppression:{kind}:{value}");
            let sql = format!("SELECT {function}(hashtextextended($1, 0))");
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()]);
            self.connection().execute_raw(statement).await?;
        }
        Ok(())
    }
}

impl Store {
    /// The live suppressions that cover `address`.
    pub async fn live_suppressions_of(&self, address: &str) -> Result<Vec<Suppression>> {
        let query = row::Entity::find().filter(any_of(&lookups(address))).filter(row::Column::Live.eq(true));
        self.all(query).await
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
