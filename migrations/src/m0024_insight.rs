//! What is asked about runs: the steps they took, when they began and ended, which e-mail somebody opened, and experiments.

use crate::columns::{aggregate, big, boolean, create, index, integer, partial_index, text, text_null, uuid};
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let sqlite = manager.get_database_backend() != DbBackend::Postgres;
        let id = if sqlite { "blob" } else { "uuid" };
        let whole = if sqlite { "integer" } else { "bigint" };
        for (table, column, kind) in [
            ("enrollment", "step", "text"),
            ("enrollment", "started_at", whole),
            ("enrollment", "ended_at", whole),
            ("interaction", "email_id", id),
        ] {
            if !manager.has_column(table, column).await? {
                connection.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}")).await?;
            }
        }
        // The steps that the ledger says were taken, and the starts: what a report counts, in a form that it can join.
        let taken = Table::create()
            .table(Alias::new("enrollment_step"))
            .col(big("seq"))
            .col(integer("place"))
            .col(uuid("enrollment_id"))
            .col(text("step"))
            .col(text("kind"))
            .col(integer("visit"))
            .col(text_null("variant"))
            .col(text_null("skipped"))
            .col(big("at"))
            .primary_key(Index::create().col(Alias::new("seq")).col(Alias::new("place")))
            .to_owned();
        let experiment = aggregate("experiment", [uuid("sequence_id"), text("step"), text("state"), boolean("open")]);
        create(
            manager,
            [taken, experiment],
            [
                index("enrollment_step", &["enrollment_id", "seq"]),
                index("enrollment", &["sequence_id", "started_at"]),
                index("experiment", &["sequence_id", "id"]),
            ],
        )
        .await?;
        partial_index(manager, true, "experiment", &["sequence_id", "step"], "open").await?;
        partial_index(manager, false, "interaction", &["email_id"], "email_id IS NOT NULL").await?;
        let asked = "kind IN ('EMAIL_REPLY', 'MEETING')";
        partial_index(manager, false, "interaction", &["contact_id", "occurred_at"], asked).await?;
        for fill in if sqlite { FILL_SQLITE } else { FILL_POSTGRES } {
            connection.execute_unprepared(fill).await?;
        }
        name_emails(connection, sqlite).await
    }
}

/// What the rows and the ledger say of before.
const FILL_SQLITE: [&str; 3] = [
    "UPDATE enrollment SET step = json_extract(body, '$.step'), \
     started_at = CAST(ROUND((julianday(json_extract(body, '$.started_at')) - 2440587.5) * 86400000) AS INTEGER), \
     ended_at = CAST(ROUND((julianday(json_extract(body, '$.ended_at')) - 2440587.5) * 86400000) AS INTEGER)",
    "INSERT INTO enrollment_step (seq, place, enrollment_id, step, kind, visit, variant, skipped, at) \
     SELECT seq, 0, subject_id, '', 'start', 0, NULL, NULL, at FROM ledger_entry WHERE kind = 'enrollment.started'",
    "INSERT INTO enrollment_step (seq, place, enrollment_id, step, kind, visit, variant, skipped, at) \
     SELECT entry.seq, one.key + 1, entry.subject_id, json_extract(one.value, '$.step'), json_extract(one.value, '$.kind'), \
     json_extract(one.value, '$.visit'), NULL, NULL, entry.at FROM ledger_entry AS entry, json_each(entry.detail, '$.taken') AS one \
     WHERE entry.kind IN ('enrollment.advanced', 'enrollment.ended')",
];
const FILL_POSTGRES: [&str; 3] = [
    "UPDATE enrollment SET step = body ->> 'step', \
     started_at = CAST(ROUND(EXTRACT(EPOCH FROM CAST(body ->> 'started_at' AS timestamptz)) * 1000) AS bigint), \
     ended_at = CAST(ROUND(EXTRACT(EPOCH FROM CAST(body ->> 'ended_at' AS timestamptz)) * 1000) AS bigint)",
    "INSERT INTO enrollment_step (seq, place, enrollment_id, step, kind, visit, variant, skipped, at) \
     SELECT seq, 0, subject_id, '', 'start', 0, NULL, NULL, at FROM ledger_entry WHERE kind = 'enrollment.started'",
    "INSERT INTO enrollment_step (seq, place, enrollment_id, step, kind, visit, variant, skipped, at) \
     SELECT entry.seq, CAST(one.place AS integer), entry.subject_id, one.taken ->> 'step', one.taken ->> 'kind', \
     CAST(one.taken ->> 'visit' AS integer), NULL, NULL, entry.at FROM ledger_entry AS entry \
     CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(CAST(entry.detail AS jsonb) -> 'taken') WHEN 'array' \
     THEN CAST(entry.detail AS jsonb) -> 'taken' ELSE '[]' END) WITH ORDINALITY AS one(taken, place) \
     WHERE entry.kind IN ('enrollment.advanced', 'enrollment.ended')",
];

/// How many rows are read at once.
const AT_ONCE: usize = 500;

/// Writes beside each interaction with an e-mail which one it was: so far its properties said so, as a global id.
async fn name_emails(connection: &SchemaManagerConnection<'_>, sqlite: bool) -> Result<(), DbErr> {
    let (id, email) = match sqlite {
        true => ("lower(hex(id))", "json_extract(body, '$.properties.email')"),
        false => ("replace(CAST(id AS text), '-', '')", "body -> 'properties' ->> 'email'"),
    };
    let literal = |hex: &str| if sqlite { format!("X'{hex}'") } else { format!("'{hex}'") };
    let mut last = "0".repeat(32);
    loop {
        let sql = format!(
            "SELECT {id} AS own, {email} AS named FROM interaction WHERE id > {} \
             AND kind IN ('EMAIL_OPEN', 'EMAIL_CLICK', 'EMAIL_REPLY') ORDER BY id LIMIT {AT_ONCE}",
            literal(&last)
        );
        let rows = connection.query_all_raw(Statement::from_string(connection.get_database_backend(), sql)).await?;
        for row in &rows {
            last = row.try_get("", "own")?;
            if let Some(email) = email_in(row)? {
                let sql =
                    format!("UPDATE interaction SET email_id = {} WHERE id = {}", literal(&email), literal(&last));
                connection.execute_unprepared(&sql).await?;
            }
        }
        if rows.len() < AT_ONCE {
            return Ok(());
        }
    }
}

/// The e-mail in the second column, in hexadecimal.
fn email_in(row: &QueryResult) -> Result<Option<String>, DbErr> {
    let global: Option<String> = row.try_get("", "named")?;
    let plain = global.and_then(|global| decoded(&global));
    let id = plain.as_deref().and_then(|plain| plain.strip_prefix("Email:"));
    let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(id.filter(is_id).map(str::to_owned))
}

/// A text in base64 for addresses, without padding (RFC 4648, section 5); none where it is something else.
fn decoded(text: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut held, mut bytes) = (0_u32, 0_u32, Vec::new());
    for letter in text.bytes().take(100) {
        let (value, _) = (0_u32..).zip(ALPHABET).find(|(_, known)| **known == letter)?;
        bits = bits << 6 | value;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_le_bytes()[0]);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::decoded;

    #[test]
    fn a_global_id_is_read_and_an_address_is_none() {
        assert_eq!(decoded("RW1haWw6MDE5").as_deref(), Some("Email:019"));
        assert_eq!(decoded("RW1haWw6MDE5MQ").as_deref(), Some("Email:0191"));
        assert_eq!(decoded("sam@example.com"), None);
    }
}
