//! The steps that runs took, as the ledger tells them: one row a step, and one for the start.
//!
//! The rows are written with the entries that they are read from, in the same statement order and the same transaction, so that
//! they say neither more nor less. They can be made anew from the ledger at any time.

use crate::{Result, bulk};
use sea_orm::{ActiveValue::Set, ConnectionTrait};
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::story::steps_taken;

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "enrollment_step")]
    pub struct Model {
        /// The entry of the ledger.
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        /// The place among the steps of the entry, from 1; 0 for the start.
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: i32,
        pub enrollment_id: Uuid,
        /// Empty for the start.
        pub step: String,
        /// The step's kind; `start` for the start.
        pub kind: String,
        pub visit: i32,
        pub variant: Option<String>,
        pub skipped: Option<String>,
        pub at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The rows of an entry: none for most.
pub(crate) fn of(entry: &Entry) -> Vec<row::ActiveModel> {
    let row = |place: i32, step: String, kind: String, visit: u32, variant, skipped| row::ActiveModel {
        seq: Set(entry.seq),
        place: Set(place),
        enrollment_id: Set(entry.subject_id),
        step: Set(step),
        kind: Set(kind),
        visit: Set(i32::try_from(visit).unwrap_or(i32::MAX)),
        variant: Set(variant),
        skipped: Set(skipped),
        at: Set(entry.at),
    };
    match entry.kind.as_str() {
        "enrollment.started" => vec![row(0, String::new(), "start".to_owned(), 0, None, None)],
        "enrollment.advanced" | "enrollment.ended" => {
            let steps = (1..).zip(steps_taken(&entry.detail));
            steps.map(|(place, one)| row(place, one.step, one.kind, one.visit, one.variant, one.skipped)).collect()
        }
        _ => Vec::new(),
    }
}

/// Writes them.
pub(crate) async fn add(connection: &impl ConnectionTrait, rows: &[row::ActiveModel]) -> Result<()> {
    for rows in rows.chunks(500) {
        connection.execute_raw(bulk::insert(connection.get_database_backend(), rows, None)?).await?;
    }
    Ok(())
}
