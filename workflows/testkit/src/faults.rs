//! Faults on purpose: a write that the database refuses, at a place that the test names. The transaction that makes it fails as a
//! whole, as it does when a disk is full or a connection breaks; what is mended is tried again.

use crate::World;

/// What the database refuses to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The entry of the ledger at this place: the last that a transaction writes before its commit.
    Entry(i64),
    /// A new row of this table.
    Insert(&'static str),
    /// A change of a row of this table.
    Update(&'static str),
    /// The end of a row of this table.
    Delete(&'static str),
}

impl Fault {
    fn parts(self) -> (&'static str, &'static str, String) {
        match self {
            Self::Entry(place) => ("INSERT", "ledger_entry", format!("WHEN (NEW.seq = {place})")),
            Self::Insert(table) => ("INSERT", table, String::new()),
            Self::Update(table) => ("UPDATE", table, String::new()),
            Self::Delete(table) => ("DELETE", table, String::new()),
        }
    }
}

impl World {
    /// From now on the database refuses this, until it is mended.
    pub async fn break_at(&self, fault: Fault) {
        let (verb, table, when) = fault.parts();
        let sql = if self.url.starts_with("postgres") {
            format!(
                "CREATE OR REPLACE FUNCTION broken_on_purpose() RETURNS trigger LANGUAGE plpgsql AS $$ \
                 BEGIN RAISE EXCEPTION 'broken on purpose'; END $$; \
                 CREATE TRIGGER broken_on_purpose BEFORE {verb} ON {table} FOR EACH ROW {when} \
                 EXECUTE FUNCTION broken_on_purpose();"
            )
        } else {
            format!(
                "CREATE TRIGGER broken_on_purpose BEFORE {verb} ON {table} FOR EACH ROW {when} \
                 BEGIN SELECT RAISE(ABORT, 'broken on purpose'); END;"
            )
        };
        self.tamper(&sql).await.unwrap();
    }

    /// Ends a fault.
    pub async fn mend(&self, fault: Fault) {
        let (_, table, _) = fault.parts();
        let on = if self.url.starts_with("postgres") { format!(" ON {table}") } else { String::new() };
        self.tamper(&format!("DROP TRIGGER broken_on_purpose{on}")).await.unwrap();
    }
}
