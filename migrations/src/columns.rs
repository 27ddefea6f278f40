//! The few column forms that every table is made of.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

/// A table that holds aggregates: its id, the columns given, the whole as JSON, and the version that guards writes.
///
/// The JSON `body` is the truth; a column beside it is there to be searched, joined or constrained.
pub fn aggregate(name: &'static str, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(Alias::new(name)).col(uuid("id").primary_key());
    for column in columns {
        table.col(column);
    }
    table.col(ColumnDef::new(Alias::new("body")).json_binary().not_null()).col(integer("row_version"));
    table.to_owned()
}

/// A UUID that must be there.
pub fn uuid(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).uuid().not_null().to_owned()
}

/// A UUID that may be absent.
pub fn uuid_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).uuid().null().to_owned()
}

/// A text that must be there.
pub fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).text().not_null().to_owned()
}

/// A text that may be absent.
pub fn text_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).text().null().to_owned()
}

/// A 32-bit number that must be there.
pub fn integer(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).integer().not_null().to_owned()
}

/// A 64-bit number that must be there. Moments are milliseconds since 1970, because text and native timestamps
/// compare differently on the two databases.
pub fn big(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().not_null().to_owned()
}

/// A 64-bit number that may be absent.
pub fn big_null(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).big_integer().null().to_owned()
}

/// A yes or no that must be there.
pub fn boolean(name: &'static str) -> ColumnDef {
    ColumnDef::new(Alias::new(name)).boolean().not_null().to_owned()
}

/// An index named `<table>_<columns>` over the columns, in order.
pub fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{table}_{}", columns.join("_"))).table(Alias::new(table));
    for column in columns {
        index.col(Alias::new(*column));
    }
    index.to_owned()
}

/// A unique index named `<table>_<columns>`.
pub fn unique(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    index(table, columns).unique().to_owned()
}

/// A partial index, which sea-query cannot say portably: `condition` is SQL that both databases read alike.
pub async fn partial_index(
    manager: &SchemaManager<'_>,
    unique: bool,
    table: &str,
    columns: &[&str],
    condition: &str,
) -> Result<(), DbErr> {
    let kind = if unique { "UNIQUE INDEX" } else { "INDEX" };
    let (name, list) = (columns.join("_"), columns.join(", "));
    let sql = format!("CREATE {kind} {table}_{name}_open ON {table} ({list}) WHERE {condition}");
    manager.get_connection().execute_unprepared(&sql).await.map(drop)
}

/// Makes a table append-only: update and delete (and truncate, on PostgreSQL) fail with a sentence.
pub async fn append_only(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    match manager.get_database_backend() {
        DbBackend::Postgres => {
            connection
                .execute_unprepared(&format!(
                    "CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ \
                     BEGIN RAISE EXCEPTION '{table} is append-only'; END $$; \
                     CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} \
                     FOR EACH ROW EXECUTE FUNCTION {table}_append_only(); \
                     CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} \
                     FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only();"
                ))
                .await?;
        }
        _ => {
            for verb in ["UPDATE", "DELETE"] {
                connection
                    .execute_unprepared(&format!(
                        "CREATE TRIGGER {table}_no_{} BEFORE {verb} ON {table} \
                         BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;",
                        verb.to_lowercase()
                    ))
                    .await?;
            }
        }
    }
    Ok(())
}

/// Creates tables and then indices, in order.
pub async fn create(
    manager: &SchemaManager<'_>,
    tables: impl IntoIterator<Item = TableCreateStatement>,
    indices: impl IntoIterator<Item = IndexCreateStatement>,
) -> Result<(), DbErr> {
    for table in tables {
        manager.create_table(table).await?;
    }
    for index in indices {
        manager.create_index(index).await?;
    }
    Ok(())
}
