//! How many there are of what.

use crate::{Result, Store};
use sea_orm::{ConnectionTrait, Statement};
use std::collections::BTreeMap;

impl Store {
    /// How many rows of a table have each value of a text column. Both names are the program's own, never a caller's.
    pub async fn count_by(&self, table: &'static str, column: &'static str) -> Result<BTreeMap<String, i64>> {
        let sql = format!("SELECT {column} AS name, COUNT(*) AS count FROM {table} GROUP BY {column}");
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let rows = self.reader().query_all_raw(statement).await?;
        rows.iter().map(|row| Ok((row.try_get("", "name")?, row.try_get("", "count")?))).collect()
    }

    /// How many rows a table has. The name is the program's own, never a caller's.
    pub async fn count(&self, table: &'static str) -> Result<i64> {
        let sql = format!("SELECT COUNT(*) AS count FROM {table}");
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let row = self.reader().query_one_raw(statement).await?;
        Ok(row.map(|row| row.try_get("", "count")).transpose()?.unwrap_or_default())
    }

    /// How many facts of each kind the ledger holds.
    pub async fn fact_counts(&self) -> Result<BTreeMap<String, i64>> {
        self.count_by("ledger_entry", "kind").await
    }
}
