//! Many rows in one statement.

use crate::Result;
use sea_orm::sea_query::{Expr, ExprTrait, Func, Iden, OnConflict, Query};
use sea_orm::{ActiveModelTrait, DbBackend, DbErr, EntityName, EntityTrait, Iterable, QueryTrait, Statement};
use serde_json::{Map, Value};

/// What the rows are called within the statement.
const ROWS: &str = "new";

/// Inserts rows of one table; `conflict` says what becomes of one that is there already.
///
/// PostgreSQL reads and plans a statement by its parameters: with twenty for each of hundreds of rows that costs more than
/// writing them, and every number of rows is another statement. So it gets one parameter, which the table's own row type
/// takes apart. SQLite reads its parameters where they are.
pub(crate) fn insert<R>(backend: DbBackend, rows: &[R], conflict: Option<OnConflict>) -> Result<Statement>
where
    R: ActiveModelTrait,
{
    if backend != DbBackend::Postgres {
        let mut insert = <R::Entity as EntityTrait>::insert_many(rows.iter().cloned());
        if let Some(conflict) = conflict {
            insert = insert.on_conflict(conflict);
        }
        return Ok(insert.build(backend));
    }
    let table = <R::Entity as Default>::default();
    let columns = || <R::Entity as EntityTrait>::Column::iter();
    let row_type = Expr::cust(format!("NULL::\"{}\"", table.table_name()));
    let taken_apart = Func::cust("json_populate_recordset").arg(row_type).arg(Expr::val(json(rows)).cast_as("json"));
    let mut select = Query::select();
    select.from_function(taken_apart, ROWS);
    for column in columns() {
        select.column((ROWS, column));
    }
    let mut insert = Query::insert();
    insert
        .into_table(table.table_ref())
        .columns(columns())
        .select_from(select)
        .map_err(|error| DbErr::Custom(error.to_string()))?;
    if let Some(conflict) = conflict {
        insert.on_conflict(conflict);
    }
    Ok(backend.build(&insert))
}

/// The rows as JSON: what is not set is left out, and so is null.
fn json<R: ActiveModelTrait>(rows: &[R]) -> String {
    let row = |row: &R| -> Map<String, Value> {
        let value = |column: <R::Entity as EntityTrait>::Column| {
            let value = row.get(column).into_value()?;
            Some((column.unquoted().to_owned(), sea_orm::sea_query::sea_value_to_json_value(&value)))
        };
        <R::Entity as EntityTrait>::Column::iter().filter_map(value).collect()
    };
    Value::Array(rows.iter().map(|one| Value::Object(row(one))).collect()).to_string()
}
