//! The numbers of a sequence: how far its runs got, what became of its e-mails, and what the people came to.
//!
//! Everything is counted from rows and from the ledger when it is asked for; nothing is counted along the way, so that no repetition
//! and no crash can make a number wrong. A run is once in each column of a row, however often it went that way; the four columns
//! of e-mails count e-mails.

use crate::{Result, Store, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, QueryResult, Statement, Value};
use std::collections::BTreeMap;
use tandem_domain::id::{SequenceId, SequenceVersionId};
use tandem_domain::sequence::report::{CREDITED_AFTER, Outcome, ReportGroup, TOUCHES};
use uuid::Uuid;

/// Which runs to count, and what the rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportAsk {
    /// Of this sequence.
    pub sequence: SequenceId,
    /// Of this version alone.
    pub version: Option<SequenceVersionId>,
    /// Begun at or after this moment.
    pub from: Option<DateTime<Utc>>,
    /// Begun before this moment.
    pub to: Option<DateTime<Utc>>,
    /// What the rows are.
    pub group: ReportGroup,
}

/// What a row is about. Numbers sort as numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportKey {
    /// The number of a version.
    Version(i64),
    /// The id of a step.
    Step(String),
    /// The id of a step that splits, and the key of a variant.
    Variant(String, String),
    /// Weeks since that of Monday, 29 December 1969.
    Week(i64),
}

/// The numbers of one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportCounts {
    /// Runs that began; for a step, those that came to it; for a variant, those that got it.
    pub entered: i64,
    /// Of these, runs that are not over; for a step, those whose next step it is.
    pub waiting: i64,
    /// Runs that finished; for a step, those that took it with its effect.
    pub done: i64,
    /// Runs in which a step was passed without its effect, by the code of the reason.
    pub skipped: BTreeMap<String, i64>,
    /// Runs that are over, by state and reason; for a step, those that ended at it.
    pub ended: BTreeMap<(String, String), i64>,
    /// E-mails that were handed to a mail server, whatever it said.
    pub sent: i64,
    /// Of these, e-mails that did not come back.
    pub delivered: i64,
    /// E-mails that a person opened.
    pub opened: i64,
    /// E-mails of which a person followed a link.
    pub clicked: i64,
    /// Runs that are credited with an outcome.
    pub outcomes: BTreeMap<Outcome, i64>,
}

/// The parts of the statements that differ by database and group.
struct Parts {
    runs: String,
    members: &'static str,
    automated: &'static str,
    obstacle: &'static str,
    group: ReportGroup,
    values: Vec<Value>,
}

impl Parts {
    fn new(ask: &ReportAsk, sqlite: bool) -> Self {
        let version = if ask.version.is_some() { " AND version_id = $4" } else { "" };
        let runs = format!(
            "runs AS (SELECT id, contact_id, lead_id, version_id, state, COALESCE(reason, '') AS reason, live, \
             COALESCE(step, '') AS step, started_at, ended_at FROM enrollment \
             WHERE sequence_id = $1 AND started_at >= $2 AND started_at < $3{version})"
        );
        // Which run is in which row, and from when on: key, a second key, and a moment.
        let members = match ask.group {
            ReportGroup::Version => {
                "members AS (SELECT runs.id AS run, CAST(sequence_version.number AS bigint) AS number, '' AS one, '' AS two, \
                 runs.started_at AS since FROM runs JOIN sequence_version ON sequence_version.id = runs.version_id)"
            }
            // The first of January 1970 was a Thursday.
            ReportGroup::CohortWeek => {
                "members AS (SELECT id AS run, (started_at / 86400000 + 3) / 7 AS number, '' AS one, '' AS two, \
                 started_at AS since FROM runs)"
            }
            ReportGroup::Variant => {
                "members AS (SELECT runs.id AS run, CAST(0 AS bigint) AS number, taken.step AS one, taken.variant AS two, \
                 MIN(taken.at) AS since FROM runs JOIN enrollment_step AS taken ON taken.enrollment_id = runs.id \
                 WHERE taken.variant IS NOT NULL GROUP BY runs.id, taken.step, taken.variant)"
            }
            // A run has come to a step that it took, and to the one that is its next.
            ReportGroup::Step => {
                "members AS (SELECT runs.id AS run, CAST(0 AS bigint) AS number, taken.step AS one, '' AS two, \
                 CAST(0 AS bigint) AS since FROM runs JOIN enrollment_step AS taken ON taken.enrollment_id = runs.id \
                 WHERE taken.kind <> 'start' UNION SELECT id, CAST(0 AS bigint), step, '', CAST(0 AS bigint) FROM runs)"
            }
        };
        let mut values: Vec<Value> = vec![
            Uuid::from(ask.sequence).into(),
            ask.from.map_or(i64::MIN, ms).into(),
            ask.to.map_or(i64::MAX, ms).into(),
        ];
        values.extend(ask.version.map(|version| Value::from(Uuid::from(version))));
        let (automated, obstacle) = match sqlite {
            true => ("json_extract(interaction.body, '$.automated')", "json_extract(email.body, '$.obstacle')"),
            false => ("(interaction.body ->> 'automated')", "(email.body ->> 'obstacle')"),
        };
        Self { runs, members, automated, obstacle, group: ask.group, values }
    }

    fn is_step(&self) -> bool {
        self.group == ReportGroup::Step
    }

    /// How many runs, and how they are.
    fn states(&self) -> String {
        let at_step = if self.is_step() { " AND runs.step = members.one" } else { "" };
        let done = match self.is_step() {
            // Taken, and not left out: neither by the step itself nor on the e-mail's way. A run takes a `wait_for` as it begins to
            // wait there, and once more as it goes on: it is past it once it took another step after it, or stands elsewhere.
            true => {
                "EXISTS (SELECT 1 FROM enrollment_step AS taken LEFT JOIN email ON email.enrollment_id = taken.enrollment_id \
                 AND email.step = taken.step AND email.visit = taken.visit WHERE taken.enrollment_id = runs.id \
                 AND taken.step = members.one AND taken.kind <> 'start' AND taken.skipped IS NULL \
                 AND (email.state IS NULL OR email.state <> 'REFUSED') \
                 AND (taken.kind <> 'wait_for' OR runs.step <> taken.step OR EXISTS (SELECT 1 FROM enrollment_step AS later \
                 WHERE later.enrollment_id = taken.enrollment_id AND later.step <> taken.step \
                 AND (later.seq > taken.seq OR (later.seq = taken.seq AND later.place > taken.place)))))"
            }
            false => "runs.state = 'FINISHED'",
        };
        format!(
            "WITH {}, {} SELECT number, one, two, COUNT(*) AS entered, \
             COALESCE(SUM(CASE WHEN runs.live{at_step} THEN 1 ELSE 0 END), 0) AS waiting, \
             COALESCE(SUM(CASE WHEN {done} THEN 1 ELSE 0 END), 0) AS done \
             FROM members JOIN runs ON runs.id = members.run GROUP BY number, one, two",
            self.runs, self.members
        )
    }

    fn ends(&self) -> String {
        let at_step = if self.is_step() { " AND runs.step = members.one" } else { "" };
        format!(
            "WITH {}, {} SELECT number, one, two, runs.state, runs.reason, COUNT(*) AS times \
             FROM members JOIN runs ON runs.id = members.run WHERE NOT runs.live{at_step} \
             GROUP BY number, one, two, runs.state, runs.reason",
            self.runs, self.members
        )
    }

    /// Steps that were passed without their effect: what the step itself says, and e-mails that were not sent.
    fn skips(&self) -> String {
        let same_step = if self.is_step() { " AND skips.step = members.one" } else { "" };
        format!(
            "WITH {}, {}, skips AS (SELECT taken.enrollment_id AS run, taken.step, taken.skipped AS why, taken.at \
             FROM runs JOIN enrollment_step AS taken ON taken.enrollment_id = runs.id WHERE taken.skipped IS NOT NULL \
             UNION ALL SELECT email.enrollment_id, email.step, COALESCE({}, 'REFUSED'), email.planned_at \
             FROM runs JOIN email ON email.enrollment_id = runs.id WHERE email.state = 'REFUSED') \
             SELECT number, one, two, why, COUNT(DISTINCT members.run) AS times FROM members \
             JOIN skips ON skips.run = members.run AND skips.at >= members.since{same_step} GROUP BY number, one, two, why",
            self.runs, self.members, self.obstacle
        )
    }

    fn emails(&self) -> String {
        let same_step = if self.is_step() { " AND email.step = members.one" } else { "" };
        let some = |kind: &str| format!("MAX(CASE WHEN interaction.kind = '{kind}' THEN 1 ELSE 0 END)");
        let sum = |what: &str| format!("COALESCE(SUM({what}), 0)");
        format!(
            "WITH {}, {}, read AS (SELECT interaction.email_id, {} AS opened, {} AS clicked \
             FROM runs JOIN email ON email.enrollment_id = runs.id JOIN interaction ON interaction.email_id = email.id \
             WHERE interaction.email_id IS NOT NULL AND {} IS NULL GROUP BY interaction.email_id) \
             SELECT number, one, two, {} AS sent, {} AS delivered, {} AS opened, {} AS clicked FROM members \
             JOIN email ON email.enrollment_id = members.run AND email.planned_at >= members.since{same_step} \
             LEFT JOIN read ON read.email_id = email.id GROUP BY number, one, two",
            self.runs,
            self.members,
            some("EMAIL_OPEN"),
            some("EMAIL_CLICK"),
            self.automated,
            sum("CASE WHEN email.state IN ('SENT', 'BOUNCED') THEN 1 ELSE 0 END"),
            sum("CASE WHEN email.state = 'SENT' THEN 1 ELSE 0 END"),
            sum("read.opened"),
            sum("read.clicked"),
        )
    }

    /// What people and leads came to, each credited to one run.
    ///
    /// An answer to an e-mail of a run is that run's. Everything else goes to the run of the person (and of no other lead) that
    /// touched the person last before it, while the run went on or within the days after its end. A run that ended because
    /// of an answer or a meeting is credited with it.
    fn outcomes(&self) -> String {
        let after = CREDITED_AFTER.num_milliseconds();
        let touches = TOUCHES.map(|kind| format!("'{kind}'")).join(", ");
        let touched = format!("taken.kind IN ('start', {touches})");
        let automated = self.automated;
        let (same_step, joined) = match self.is_step() {
            true => (" AND credited.step = members.one AND credited.step <> ''", ""),
            false => ("", " AND credited.at >= members.since"),
        };
        format!(
            "WITH {}, {}, happened AS (SELECT CASE entry.kind WHEN 'lead.qualified' THEN 'QUALIFIED' \
             WHEN 'lead.dispatched' THEN 'DISPATCHED' ELSE 'WON' END AS what, lead.contact_id, lead.id AS lead_id, entry.at \
             FROM lead JOIN ledger_entry AS entry ON entry.lead_id = lead.id \
             WHERE lead.contact_id IN (SELECT contact_id FROM runs) \
             AND entry.kind IN ('lead.qualified', 'lead.dispatched', 'lead.won') \
             UNION ALL SELECT CASE interaction.kind WHEN 'MEETING' THEN 'MET' ELSE 'REPLIED' END, interaction.contact_id, NULL, \
             interaction.occurred_at FROM interaction WHERE interaction.contact_id IN (SELECT contact_id FROM runs) \
             AND interaction.kind IN ('EMAIL_REPLY', 'MEETING') AND {automated} IS NULL \
             AND NOT EXISTS (SELECT 1 FROM email WHERE email.id = interaction.email_id AND email.enrollment_id IS NOT NULL)), \
             ranked AS (SELECT happened.what, happened.at, run.id AS run, taken.step, ROW_NUMBER() OVER (\
             PARTITION BY happened.what, happened.contact_id, happened.lead_id, happened.at \
             ORDER BY taken.at DESC, taken.seq DESC, taken.place DESC) AS nth FROM happened \
             JOIN enrollment AS run ON run.contact_id = happened.contact_id \
             AND (run.lead_id IS NULL OR happened.lead_id IS NULL OR run.lead_id = happened.lead_id) \
             AND run.started_at <= happened.at AND (run.ended_at IS NULL OR happened.at <= run.ended_at + {after}) \
             JOIN enrollment_step AS taken ON taken.enrollment_id = run.id AND taken.at <= happened.at AND {touched}), \
             credited AS (SELECT what, run, step, at FROM ranked WHERE nth = 1 \
             UNION ALL SELECT 'REPLIED', runs.id, email.step, interaction.occurred_at FROM runs \
             JOIN email ON email.enrollment_id = runs.id JOIN interaction ON interaction.email_id = email.id \
             WHERE interaction.email_id IS NOT NULL AND interaction.kind = 'EMAIL_REPLY' AND {automated} IS NULL \
             AND (runs.ended_at IS NULL OR interaction.occurred_at <= runs.ended_at + {after}) \
             UNION ALL SELECT CASE runs.reason WHEN 'REPLIED' THEN 'REPLIED' ELSE 'MET' END, runs.id, \
             COALESCE((SELECT taken.step FROM enrollment_step AS taken WHERE taken.enrollment_id = runs.id \
             AND taken.at <= runs.ended_at AND {touched} ORDER BY taken.at DESC, taken.seq DESC, taken.place DESC LIMIT 1), ''), \
             runs.ended_at FROM runs WHERE runs.state = 'FINISHED' AND runs.reason IN ('REPLIED', 'MEETING_BOOKED')) \
             SELECT number, one, two, what, COUNT(DISTINCT members.run) AS times FROM members \
             JOIN credited ON credited.run = members.run{same_step}{joined} GROUP BY number, one, two, what",
            self.runs, self.members
        )
    }
}

impl Store {
    /// The numbers of the runs asked for, in rows by what was asked for: five statements, however many runs there are. Rows come
    /// in the order of their keys.
    pub async fn sequence_report(&self, ask: &ReportAsk) -> Result<BTreeMap<ReportKey, ReportCounts>> {
        let parts = Parts::new(ask, self.is_sqlite());
        let mut rows: BTreeMap<ReportKey, ReportCounts> = BTreeMap::new();
        for row in self.asked(parts.states(), &parts).await? {
            let counts = rows.entry(key(&parts, &row)?).or_default();
            counts.entered = row.try_get("", "entered")?;
            counts.waiting = row.try_get("", "waiting")?;
            counts.done = row.try_get("", "done")?;
        }
        for row in self.asked(parts.ends(), &parts).await? {
            let end = (row.try_get("", "state")?, row.try_get("", "reason")?);
            rows.entry(key(&parts, &row)?).or_default().ended.insert(end, row.try_get("", "times")?);
        }
        for row in self.asked(parts.skips(), &parts).await? {
            let why: String = row.try_get("", "why")?;
            rows.entry(key(&parts, &row)?).or_default().skipped.insert(why, row.try_get("", "times")?);
        }
        for row in self.asked(parts.emails(), &parts).await? {
            let counts = rows.entry(key(&parts, &row)?).or_default();
            counts.sent = row.try_get("", "sent")?;
            counts.delivered = row.try_get("", "delivered")?;
            counts.opened = row.try_get("", "opened")?;
            counts.clicked = row.try_get("", "clicked")?;
        }
        for row in self.asked(parts.outcomes(), &parts).await? {
            if let Ok(what) = row.try_get::<String>("", "what")?.parse() {
                rows.entry(key(&parts, &row)?).or_default().outcomes.insert(what, row.try_get("", "times")?);
            }
        }
        Ok(rows)
    }

    async fn asked(&self, sql: String, parts: &Parts) -> Result<Vec<QueryResult>> {
        let backend = self.reader().get_database_backend();
        Ok(self.reader().query_all_raw(Statement::from_sql_and_values(backend, sql, parts.values.clone())).await?)
    }
}

fn key(parts: &Parts, row: &QueryResult) -> Result<ReportKey> {
    Ok(match parts.group {
        ReportGroup::Version => ReportKey::Version(row.try_get("", "number")?),
        ReportGroup::CohortWeek => ReportKey::Week(row.try_get("", "number")?),
        ReportGroup::Step => ReportKey::Step(row.try_get("", "one")?),
        ReportGroup::Variant => ReportKey::Variant(row.try_get("", "one")?, row.try_get("", "two")?),
    })
}
