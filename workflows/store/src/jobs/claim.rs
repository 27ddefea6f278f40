//! Leasing jobs to a node: the one place that decides which job goes next.

use super::{LONGEST_LEASE_MS, Lease, Limits, Value, moment, statement};
use crate::{Result, Store, StoreError, ms};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult};
use std::collections::{BTreeSet, HashMap};

/// Whose clock says what is due and until when a lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// The database's, which all nodes share: a node whose own clock is wrong neither takes a living node's jobs nor
    /// runs its own early.
    Database,
    /// This moment: time that is played.
    At(DateTime<Utc>),
}

impl Now {
    /// The moment in milliseconds as SQL. It is the same throughout a statement, so that an index is searched by it.
    pub(super) fn sql(self, backend: DbBackend) -> String {
        match (self, backend) {
            (Self::At(now), _) => ms(now).to_string(),
            (Self::Database, DbBackend::Postgres) => {
                "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)".to_owned()
            }
            (Self::Database, _) => "CAST(unixepoch('subsec') * 1000 AS integer)".to_owned(),
        }
    }
}

/// A job that was leased.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The lease.
    pub lease: Lease,
    /// Its queue.
    pub queue: String,
    /// The job's kind, as stored.
    pub kind: String,
    /// The job, as JSON.
    pub payload: String,
    /// When it fell due.
    pub due_at: DateTime<Utc>,
    /// When it was leased, by the clock that says what is due.
    pub started_at: DateTime<Utc>,
    /// Which of `max_attempts` this is, from 1.
    pub attempt: i32,
    /// How often it may be tried.
    pub max_attempts: i32,
    /// What orders it among others.
    pub ordering_key: Option<String>,
    /// The request that led to it.
    pub request_id: String,
    /// The W3C trace context it continues.
    pub trace: Option<String>,
}

impl Claimed {
    fn columns(now: &str) -> String {
        format!(
            "id, queue, kind, payload, due_at, {now} AS started_at, fence, attempt, max_attempts, ordering_key, \
             request_id, trace"
        )
    }

    fn read(row: &QueryResult) -> Result<Self> {
        Ok(Self {
            lease: Lease { job: row.try_get("", "id")?, fence: row.try_get("", "fence")? },
            queue: row.try_get("", "queue")?,
            kind: row.try_get("", "kind")?,
            payload: row.try_get("", "payload")?,
            due_at: moment(row.try_get("", "due_at")?),
            started_at: moment(row.try_get("", "started_at")?),
            attempt: row.try_get("", "attempt")?,
            max_attempts: row.try_get("", "max_attempts")?,
            ordering_key: row.try_get("", "ordering_key")?,
            request_id: row.try_get("", "request_id")?,
            trace: row.try_get("", "trace")?,
        })
    }
}

/// Who claims, how much and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) node: &'a str,
    pub(super) now: Now,
    pub(super) lease_ms: i64,
    pub(super) limit: i64,
}

/// How much earlier than its due moment a lane counts, in milliseconds; see `Priority`.
const LANES: [(i32, i64); 3] = [(0, -300_000), (1, 0), (2, 300_000)];

/// A job whose key nobody holds: started jobs go on, others wait for it to be their turn.
const FREE: &str = "(ordering_key IS NULL OR fence > 0 OR NOT EXISTS (SELECT 1 FROM job o \
     WHERE o.ordering_key = job.ordering_key AND o.id <> job.id \
     AND (o.fence > 0 OR o.due_at < job.due_at OR (o.due_at = job.due_at AND o.id < job.id))))";

/// The ids of the next jobs of queue `$1`, at most `$2`, as a sub-select: each lane's oldest, merged by rank.
fn next_ids(backend: DbBackend, now: Now, also: &str) -> String {
    let now = now.sql(backend);
    // Another node's choice is skipped, not waited for.
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
    let lanes = LANES.map(|(lane, offset)| {
        format!(
            "SELECT id, rank FROM (SELECT id, visible_at + {offset} AS rank FROM job WHERE queue = $1 AND lane = {lane} \
             AND visible_at <= {now} AND NOT dead AND {FREE}{also} ORDER BY visible_at, id LIMIT $2{lock}) AS lane{lane}"
        )
    });
    format!("SELECT id FROM ({}) AS lanes ORDER BY rank, id LIMIT $2", lanes.join(" UNION ALL "))
}

fn claim_sql(backend: DbBackend, now: Now, ids: &str) -> String {
    // PostgreSQL: through an array, so that the plan reads only these rows of the index and locks only those.
    let chosen = match backend {
        DbBackend::Postgres => format!("= ANY(ARRAY({ids}))"),
        _ => format!("IN ({ids})"),
    };
    let now = now.sql(backend);
    format!(
        "UPDATE job SET fence = fence + 1, attempt = attempt + 1, visible_at = {now} + $3, leased_by = $4 \
         WHERE id {chosen} RETURNING {}",
        Claimed::columns(&now)
    )
}

impl Store {
    /// Leases up to `limit` jobs of a queue that are due to `node`; those that go first come first. None while the queue
    /// is paused, or where its limits allow no more at the moment.
    pub async fn claim_jobs(
        &self,
        queue: &str,
        node: &str,
        now: Now,
        lease: TimeDelta,
        limit: u64,
    ) -> Result<Vec<Claimed>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ask = Ask { node, now, lease_ms: lease.num_milliseconds().clamp(1, LONGEST_LEASE_MS), limit };
        let mut claimed = match self.claim_freely(queue, ask).await {
            // Two nodes chose two jobs of one key at the same moment. One of them has it; the other finds it held.
            Err(StoreError::Duplicate { .. }) => Vec::new(),
            done => done?,
        };
        if claimed.is_empty() {
            claimed = self.claim_within_limits(queue, ask).await?;
        }
        claimed.sort_by_key(|job| (job.due_at, job.lease.job));
        Ok(claimed)
    }

    /// One statement for a queue without limits.
    async fn claim_freely(&self, queue: &str, ask: Ask<'_>) -> Result<Vec<Claimed>> {
        let backend = self.writer().get_database_backend();
        let free = " AND EXISTS (SELECT 1 FROM job_queue q WHERE q.name = $1 AND NOT q.paused AND q.max_running IS NULL \
                    AND q.max_running_per_key IS NULL AND q.per_minute IS NULL AND q.per_minute_per_key IS NULL)";
        let sql = claim_sql(backend, ask.now, &next_ids(backend, ask.now, free));
        let values = [queue.into(), ask.limit.into(), ask.lease_ms.into(), ask.node.into()];
        let rows = self.writer().query_all_raw(statement(backend, sql, values)).await;
        let rows = rows.map_err(|error| StoreError::writing(error, "Job"))?;
        rows.iter().map(Claimed::read).collect()
    }

    /// For a queue with limits, nodes take turns: what is running is counted and what may start is chosen under the lock
    /// of the queue's row, so that the limits hold over all of them.
    async fn claim_within_limits(&self, queue: &str, ask: Ask<'_>) -> Result<Vec<Claimed>> {
        let Some(limits) = self.queue_limits(queue).await? else { return Ok(Vec::new()) };
        let tx = self.begin(None).await?;
        let claimed = claim_under_lock(tx.connection().await?, queue, ask, limits).await;
        // Ended here and not when it is dropped, which would keep the queue's row locked for a moment longer.
        match claimed {
            Ok(claimed) => tx.end_with_jobs(false).await.map(|()| claimed),
            // Two nodes chose two jobs of one key, as above; nothing was claimed.
            Err(StoreError::Duplicate { .. }) => tx.undo().await.map(|()| Vec::new()),
            Err(error) => Err(error),
        }
    }
}

async fn claim_under_lock(
    connection: &impl ConnectionTrait,
    queue: &str,
    ask: Ask<'_>,
    limits: Limits,
) -> Result<Vec<Claimed>> {
    let backend = connection.get_database_backend();
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
    let now_sql = ask.now.sql(backend);
    let sql = format!("SELECT paced_to, {now_sql} AS now FROM job_queue WHERE name = $1 AND NOT paused{lock}");
    let Some(row) = connection.query_one_raw(statement(backend, sql, [queue.into()])).await? else {
        return Ok(Vec::new());
    };
    let now: i64 = row.try_get("", "now")?;
    let mut pace = Pace { per_minute: limits.per_minute, paced_to: row.try_get("", "paced_to")? };
    let running = running(connection, queue, now).await?;
    let mut room = limits.max_running.map_or(i64::MAX, |most| i64::from(most) - running.values().sum::<i64>());
    room = room.min(ask.limit).min(pace.allowed(now));
    let mut keys = Keys::load(connection, queue, &limits, running, now).await?;
    let mut chosen: Vec<i64> = Vec::new();
    while room > 0 {
        let found = candidates(connection, queue, ask.now, room, &keys.full(), &chosen).await?;
        if found.is_empty() {
            break;
        }
        for (id, key) in found {
            if keys.start(key.as_deref(), now) {
                chosen.push(id);
                room -= 1;
                pace.start(now);
            }
        }
    }
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let ids = chosen.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "UPDATE job SET fence = fence + 1, attempt = attempt + 1, visible_at = {now_sql} + $1, leased_by = $2 \
             WHERE id IN ({ids}) RETURNING {}",
        Claimed::columns(&now_sql)
    );
    let rows = connection.query_all_raw(statement(backend, sql, [ask.lease_ms.into(), ask.node.into()])).await;
    let rows = rows.map_err(|error| StoreError::writing(error, "Job"))?;
    let claimed = rows.iter().map(Claimed::read).collect::<Result<Vec<_>>>()?;
    if limits.per_minute.is_some() {
        let sql = "UPDATE job_queue SET paced_to = $2 WHERE name = $1";
        connection.execute_raw(statement(backend, sql, [queue.into(), pace.paced_to.into()])).await?;
    }
    keys.save(connection, queue).await?;
    Ok(claimed)
}

/// How many jobs of a queue are running, by limit key.
async fn running(connection: &impl ConnectionTrait, queue: &str, now: i64) -> Result<HashMap<Option<String>, i64>> {
    let sql = "SELECT limit_key, COUNT(*) AS jobs FROM job WHERE queue = $1 AND lane IN (0, 1, 2) AND visible_at > $2 \
               AND visible_at <= $3 AND leased_by IS NOT NULL GROUP BY limit_key";
    let values = [queue.into(), now.into(), (now + LONGEST_LEASE_MS).into()];
    let rows = connection.query_all_raw(statement(connection.get_database_backend(), sql, values)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "limit_key")?, row.try_get("", "jobs")?))).collect()
}

/// The next jobs of a queue whose keys are not full, locked.
async fn candidates(
    connection: &impl ConnectionTrait,
    queue: &str,
    now: Now,
    limit: i64,
    full: &[String],
    chosen: &[i64],
) -> Result<Vec<(i64, Option<String>)>> {
    let backend = connection.get_database_backend();
    let (open, taken) = match backend {
        DbBackend::Postgres => (
            "SELECT value FROM jsonb_array_elements_text($3::jsonb) AS value",
            "SELECT CAST(value AS bigint) FROM jsonb_array_elements_text($4::jsonb) AS value",
        ),
        _ => ("SELECT value FROM json_each($3)", "SELECT value FROM json_each($4)"),
    };
    let also = format!(" AND (limit_key IS NULL OR limit_key NOT IN ({open})) AND id NOT IN ({taken})");
    let ids = next_ids(backend, now, &also);
    let sql = format!("SELECT id, limit_key FROM job WHERE id IN ({ids})");
    let values = [queue.into(), limit.into(), json(full)?.into(), json(chosen)?.into()];
    let rows = connection.query_all_raw(statement(backend, sql, values)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "id")?, row.try_get("", "limit_key")?))).collect()
}

fn json(list: impl serde::Serialize) -> Result<String> {
    serde_json::to_string(&list).map_err(|source| StoreError::Decode { kind: "list", source })
}

/// An even pace with a second's worth of burst: the generic cell rate algorithm (ITU-T I.371, virtual scheduling).
struct Pace {
    per_minute: Option<i32>,
    paced_to: i64,
}

impl Pace {
    fn interval(per_minute: i32) -> i64 {
        (60_000 / i64::from(per_minute.max(1))).max(1)
    }

    /// How many may start at `now`.
    fn allowed(&self, now: i64) -> i64 {
        let Some(per_minute) = self.per_minute else { return i64::MAX };
        let interval = Self::interval(per_minute);
        let burst = (i64::from(per_minute) / 60).max(1);
        let ahead = (self.paced_to - now).max(0);
        ((burst * interval - ahead) / interval).max(0)
    }

    fn start(&mut self, now: i64) {
        if let Some(per_minute) = self.per_minute {
            self.paced_to = self.paced_to.max(now) + Self::interval(per_minute);
        }
    }
}

/// What runs and may start by limit key.
struct Keys {
    limits: Limits,
    running: HashMap<Option<String>, i64>,
    paces: HashMap<String, Pace>,
    full: BTreeSet<String>,
    started: BTreeSet<String>,
}

impl Keys {
    async fn load(
        connection: &impl ConnectionTrait,
        queue: &str,
        limits: &Limits,
        running: HashMap<Option<String>, i64>,
        now: i64,
    ) -> Result<Self> {
        let mut keys = Self {
            limits: limits.clone(),
            running,
            paces: HashMap::new(),
            full: BTreeSet::new(),
            started: BTreeSet::new(),
        };
        if limits.per_minute_per_key.is_some() {
            let sql = "SELECT limit_key, paced_to FROM job_pace WHERE queue = $1 AND paced_to > $2";
            let values = [queue.into(), now.into()];
            let rows = connection.query_all_raw(statement(connection.get_database_backend(), sql, values)).await?;
            for row in rows {
                let key: String = row.try_get("", "limit_key")?;
                let pace = Pace { per_minute: limits.per_minute_per_key, paced_to: row.try_get("", "paced_to")? };
                keys.paces.insert(key, pace);
            }
        }
        let known: Vec<String> = keys.paces.keys().cloned().chain(keys.running.keys().flatten().cloned()).collect();
        for key in known {
            if !keys.has_room(&key, now) {
                keys.full.insert(key);
            }
        }
        Ok(keys)
    }

    fn full(&self) -> Vec<String> {
        self.full.iter().cloned().collect()
    }

    fn has_room(&self, key: &str, now: i64) -> bool {
        let running = self.running.get(&Some(key.to_owned())).copied().unwrap_or(0);
        self.limits.max_running_per_key.is_none_or(|most| running < i64::from(most))
            && self.paces.get(key).is_none_or(|pace| pace.allowed(now) > 0)
    }

    /// Counts a start under the key, if it has room.
    fn start(&mut self, key: Option<&str>, now: i64) -> bool {
        let Some(key) = key else { return true };
        if self.full.contains(key) || !self.has_room(key, now) {
            self.full.insert(key.to_owned());
            return false;
        }
        *self.running.entry(Some(key.to_owned())).or_default() += 1;
        if self.limits.per_minute_per_key.is_some() {
            let fresh = Pace { per_minute: self.limits.per_minute_per_key, paced_to: 0 };
            self.paces.entry(key.to_owned()).or_insert(fresh).start(now);
            self.started.insert(key.to_owned());
        }
        if !self.has_room(key, now) {
            self.full.insert(key.to_owned());
        }
        true
    }

    async fn save(&self, connection: &impl ConnectionTrait, queue: &str) -> Result<()> {
        for key in &self.started {
            let Some(pace) = self.paces.get(key) else { continue };
            let sql = "INSERT INTO job_pace (queue, limit_key, paced_to) VALUES ($1, $2, $3) \
                       ON CONFLICT (queue, limit_key) DO UPDATE SET paced_to = $3";
            let values: [Value; 3] = [queue.into(), key.as_str().into(), pace.paced_to.into()];
            connection.execute_raw(statement(connection.get_database_backend(), sql, values)).await?;
        }
        Ok(())
    }
}
