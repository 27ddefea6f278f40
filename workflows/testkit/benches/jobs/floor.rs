//! The floor: a bare claim-and-update loop.

use crate::{BATCH, analyze, rate};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use std::time::Instant;

/// Rows of a table that has nothing but what the loop needs.
pub async fn floor(connection: &DatabaseConnection, jobs: usize, waiting: usize) -> f64 {
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    for sql in [
        "DROP TABLE IF EXISTS bare",
        "CREATE TABLE bare (id BIGINT PRIMARY KEY, run_at BIGINT NOT NULL, payload TEXT NOT NULL)",
        "CREATE INDEX bare_run_at ON bare (run_at, id)",
    ] {
        connection.execute_unprepared(sql).await.unwrap();
    }
    let series = if postgres {
        |from: usize, to: usize, at: i64| {
            format!("INSERT INTO bare SELECT n, {at}, '{{}}' FROM generate_series({from}, {to}) AS n")
        }
    } else {
        |from: usize, to: usize, at: i64| {
            format!(
                "WITH RECURSIVE s(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n < {to}) \
                 INSERT INTO bare SELECT n, {at}, '{{}}' FROM s"
            )
        }
    };
    connection.execute_unprepared(&series(1, jobs, 0)).await.unwrap();
    connection.execute_unprepared(&series(jobs + 1, jobs + waiting, 9_000_000_000_000)).await.unwrap();
    analyze(connection, "bare").await;
    let claim = if postgres {
        format!(
            "UPDATE bare SET run_at = 8000000000000 WHERE id = ANY(ARRAY(SELECT id FROM bare WHERE run_at <= 1 \
             ORDER BY run_at, id LIMIT {BATCH} FOR UPDATE SKIP LOCKED)) RETURNING id, payload"
        )
    } else {
        format!(
            "UPDATE bare SET run_at = 8000000000000 WHERE id IN (SELECT id FROM bare WHERE run_at <= 1 ORDER BY run_at, id \
             LIMIT {BATCH}) RETURNING id, payload"
        )
    };
    let start = Instant::now();
    let mut claimed = 0;
    while claimed < jobs {
        let statement = sea_orm::Statement::from_string(connection.get_database_backend(), claim.as_str());
        claimed += connection.query_all_raw(statement).await.unwrap().len();
    }
    rate(claimed, start.elapsed())
}
