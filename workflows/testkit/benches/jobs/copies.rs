//! Copies of one run: of its contact, its enrolment and its job, under ids of their own.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::Value;

/// How many rows one statement copies.
const AT_ONCE: usize = 50_000;
/// The beginnings of the ids of copied contacts and enrolments; twelve digits follow.
const CONTACT: &str = "cccccccc-0000-7000-8000-";
const ENROLLMENT: &str = "eeeeeeee-0000-7000-8000-";

/// Where copies are made.
pub struct Copies<'a> {
    connection: &'a DatabaseConnection,
    contact: String,
    enrollment: String,
    due_at: String,
    job: i64,
    tables: Vec<(&'static str, Vec<String>)>,
    made: usize,
}

impl<'a> Copies<'a> {
    /// Of the one run that the database has.
    pub async fn of_the_only_run(connection: &'a DatabaseConnection) -> Self {
        let body = text(connection, "SELECT CAST(body AS TEXT) AS t FROM enrollment").await.remove(0);
        let body: Value = serde_json::from_str(&body).unwrap();
        let of = |key: &str| body[key].as_str().unwrap().to_owned();
        let mut tables = Vec::new();
        for table in ["contact", "enrollment", "job"] {
            let sql = match connection.get_database_backend() {
                DbBackend::Postgres => format!(
                    "SELECT column_name::text AS t FROM information_schema.columns WHERE table_name = '{table}' \
                     AND table_schema = current_schema()"
                ),
                _ => format!("SELECT name AS t FROM pragma_table_info('{table}')"),
            };
            let mut columns = text(connection, &sql).await;
            // The database counts jobs itself.
            columns.retain(|column| (table, column.as_str()) != ("job", "id"));
            tables.push((table, columns));
        }
        let (contact, enrollment, due_at) = (of("contact"), of("id"), of("due_at"));
        let sql = format!("SELECT CAST(id AS TEXT) AS t FROM job WHERE payload LIKE '%{enrollment}%'");
        let job = text(connection, &sql).await.remove(0).parse().unwrap();
        Self { connection, contact, enrollment, due_at, job, tables, made: 0 }
    }

    /// Adds so many whose wait is over at `due`, the last of them `spread` later.
    pub async fn add(&mut self, count: usize, due: DateTime<Utc>, spread: TimeDelta) {
        let (first, end) = (self.made + 1, self.made + count);
        for from in (first..=end).step_by(AT_ONCE) {
            let to = end.min(from + AT_ONCE - 1);
            for (table, columns) in &self.tables {
                let row = columns.iter().map(|column| self.value(table, column, (first, count), due, spread));
                let row = row.collect::<Vec<_>>().join(", ");
                let names = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
                let of_the_run = self.of_the_run(table);
                let sql = if self.is_postgres() {
                    format!(
                        "INSERT INTO {table} ({names}) SELECT {row} FROM generate_series({from}::bigint, {to}) AS s(n), {table} AS t \
                         WHERE {of_the_run}"
                    )
                } else {
                    format!(
                        "INSERT INTO {table} ({names}) WITH RECURSIVE s(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s \
                         WHERE n < {to}) SELECT {row} FROM {table} AS t, s WHERE {of_the_run}"
                    )
                };
                self.connection.execute_unprepared(&sql).await.unwrap();
            }
        }
        self.made = end;
    }

    fn is_postgres(&self) -> bool {
        self.connection.get_database_backend() == DbBackend::Postgres
    }

    fn of_the_run(&self, table: &str) -> String {
        match table {
            "job" => format!("t.id = {}", self.job),
            "contact" => format!("t.id = {}", self.id(&format!("'{}'", self.contact))),
            _ => format!("t.id = {}", self.id(&format!("'{}'", self.enrollment))),
        }
    }

    /// An id as the database stores it, from an expression that gives it as a text.
    fn id(&self, text: &str) -> String {
        if self.is_postgres() { format!("CAST({text} AS uuid)") } else { format!("unhex(replace({text}, '-', ''))") }
    }

    fn value(
        &self,
        table: &str,
        column: &str,
        (first, count): (usize, usize),
        due: DateTime<Utc>,
        spread: TimeDelta,
    ) -> String {
        let digits = if self.is_postgres() { "lpad(to_hex(n), 12, '0')" } else { "printf('%012x', n)" };
        let (contact, enrollment) = (format!("'{CONTACT}' || {digits}"), format!("'{ENROLLMENT}' || {digits}"));
        let copied = |column: &str| {
            // The moment in the body is the first: nobody's step is refused for being early.
            let due = due.to_rfc3339_opts(SecondsFormat::Millis, true);
            format!(
                "replace(replace(replace(replace({column}, '{}', {contact}), '{}', {enrollment}), '{}', '{due}'), 'template@', \
                 'p' || n || '@')",
                self.contact, self.enrollment, self.due_at
            )
        };
        match (table, column) {
            ("contact", "id") | ("enrollment", "contact_id" | "subject_id") => self.id(&contact),
            ("enrollment", "id") => self.id(&enrollment),
            (_, "body") if self.is_postgres() => format!("CAST({} AS jsonb)", copied("CAST(t.body AS TEXT)")),
            (_, "body") => copied("t.body"),
            ("job", "payload" | "unique_key" | "ordering_key") => copied(&format!("t.{column}")),
            (_, "due_at" | "visible_at") => {
                let (due, spread) = (due.timestamp_millis(), spread.num_milliseconds());
                format!("{due} + ((n - {first}) * {spread}) / {count}")
            }
            _ => format!("t.\"{column}\""),
        }
    }
}

async fn text(connection: &DatabaseConnection, sql: &str) -> Vec<String> {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get("", "t").unwrap()).collect()
}
