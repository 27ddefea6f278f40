//! Named checkpoints: how far a long undertaking has come, and what an installation made for itself at its first start
//! (the key of its links, where none is configured). They belong to no decision.

use crate::{Result, Store};
use sea_orm::{ConnectionTrait, Statement};

impl Store {
    /// What was saved under a name.
    pub async fn checkpoint(&self, name: &str) -> Result<Option<String>> {
        let statement = Statement::from_sql_and_values(
            self.reader().get_database_backend(),
            "SELECT body FROM checkpoint WHERE name = $1",
            [name.into()],
        );
        let row = self.reader().query_one_raw(statement).await?;
        Ok(row.map(|row| row.try_get("", "body")).transpose()?)
    }

    /// Saves under a name, replacing what was there.
    pub async fn save_checkpoint(&self, name: &str, body: &str) -> Result<()> {
        let statement = Statement::from_sql_and_values(
            self.writer().get_database_backend(),
            "INSERT INTO checkpoint (name, body) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = $2",
            [name.into(), body.into()],
        );
        self.writer().execute_raw(statement).await?;
        Ok(())
    }

    /// Saves under a name unless something is there already, and gives what is there: of several processes that make
    /// something at once, all get the same.
    pub async fn keep_first_checkpoint(&self, name: &str, body: &str) -> Result<String> {
        let statement = Statement::from_sql_and_values(
            self.writer().get_database_backend(),
            "INSERT INTO checkpoint (name, body) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            [name.into(), body.into()],
        );
        self.writer().execute_raw(statement).await?;
        Ok(self.checkpoint(name).await?.unwrap_or_else(|| body.to_owned()))
    }
}
