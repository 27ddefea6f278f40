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
/// takes apart. SQLite reads its parameters where they are. A column that is not set is null, whatever its default.
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
    let taken_apart = Func::cust("json_populate_recordset").arg(row_type).arg(Expr::val(json(rows)?).cast_as("json"));
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

/// The rows as JSON.
fn json<R: ActiveModelTrait>(rows: &[R]) -> Result<String> {
    let row = |row: &R| -> Result<Value> {
        let mut object = Map::new();
        for column in <R::Entity as EntityTrait>::Column::iter() {
            if let Some(value) = row.get(column).into_value() {
                object.insert(column.unquoted().to_owned(), plain(value)?);
            }
        }
        Ok(Value::Object(object))
    };
    Ok(Value::Array(rows.iter().map(row).collect::<Result<_>>()?).to_string())
}

/// A value in the form that PostgreSQL reads out of JSON. Only of these kinds of column is that form sure.
fn plain(value: sea_orm::Value) -> Result<Value> {
    use sea_orm::Value as Column;
    Ok(match value {
        Column::Bool(value) => value.into(),
        Column::Int(value) => value.into(),
        Column::BigInt(value) => value.into(),
        Column::String(value) => value.into(),
        Column::Uuid(value) => value.map(|value| value.to_string()).into(),
        Column::Json(value) => value.map_or(Value::Null, |value| *value),
        other => return Err(DbErr::Custom(format!("{other:?} has no sure form in JSON")).into()),
    })
}
