//! The funnel: how many leads came in, and how far they got, by one of their traits.

use crate::{Result, Store, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, Statement, Value};
use tandem_domain::codes;

codes! {
    /// What the rows of a funnel are.
    pub enum FunnelGroup("funnel group") {
        /// Where the lead came from.
        Source = "SOURCE",
        /// The SDR who verified it last.
        Sdr = "SDR",
        /// The person in sales who took it last.
        SalesRep = "SALES_REP",
        /// The territory of its account.
        Territory = "TERRITORY",
    }
}

/// How far the leads of one row got. Each lead is counted once in each column, however often it went that way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunnelRow {
    /// The source, the id of the person, or the territory; none for leads without one.
    pub key: Option<String>,
    /// Leads that came in.
    pub leads: i64,
    /// Of these, verified at least once.
    pub verified: i64,
    /// Dispatched at least once.
    pub dispatched: i64,
    /// Accepted by sales at least once.
    pub accepted: i64,
    /// Sold.
    pub won: i64,
    /// Worked and not sold.
    pub lost: i64,
    /// Given back by sales at least once.
    pub returned: i64,
}

/// The steps, each with the kind of entry that records it.
const STEPS: [(&str, &str); 6] = [
    ("verified", "lead.verified"),
    ("dispatched", "lead.dispatched"),
    ("accepted", "lead.accepted"),
    ("won", "lead.won"),
    ("lost", "lead.lost"),
    ("returned", "lead.returned"),
];

impl Store {
    /// The funnel of the leads received from `from` (inclusive) until `to` (exclusive), the largest row first.
    ///
    /// Each lead is in exactly one row. The steps are those on record in the ledger, so that a lead which was returned
    /// and dispatched again still counts as returned, and once as dispatched.
    pub async fn funnel(
        &self,
        group: FunnelGroup,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Result<Vec<FunnelRow>> {
        let field = |table: &str, name: &str| match self.is_sqlite() {
            true => format!("json_extract({table}.body, '$.{name}')"),
            false => format!("{table}.body ->> '{name}'"),
        };
        let (key, join) = match group {
            FunnelGroup::Source => ("lead.source".to_owned(), ""),
            FunnelGroup::Sdr => (field("lead", "verified_by"), ""),
            FunnelGroup::SalesRep => (field("lead", "sold_by"), ""),
            FunnelGroup::Territory => {
                (field("account", "territory"), "LEFT JOIN account ON account.id = lead.account_id")
            }
        };
        let sums: String = STEPS.iter().map(|(step, _)| format!(", SUM(COALESCE(step.{step}, 0)) AS {step}")).collect();
        let marks: String = STEPS
            .iter()
            .map(|(step, kind)| format!(", MAX(CASE WHEN kind = '{kind}' THEN 1 ELSE 0 END) AS {step}"))
            .collect();
        let kinds = STEPS.map(|(_, kind)| format!("'{kind}'")).join(", ");
        let sql = format!(
            "SELECT {key} AS row_key, COUNT(*) AS leads{sums} FROM lead {join} \
             LEFT JOIN (SELECT lead_id{marks} FROM ledger_entry WHERE kind IN ({kinds}) GROUP BY lead_id) step \
             ON step.lead_id = lead.id \
             WHERE lead.received_at >= $1 AND lead.received_at < $2 \
             GROUP BY {key} ORDER BY leads DESC, row_key"
        );
        let bounds: [Value; 2] = [from.map_or(i64::MIN, ms).into(), to.map_or(i64::MAX, ms).into()];
        let reader = self.reader();
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, bounds);
        let mut rows = Vec::new();
        for row in reader.query_all_raw(statement).await? {
            rows.push(FunnelRow {
                key: row.try_get("", "row_key")?,
                leads: row.try_get("", "leads")?,
                verified: row.try_get("", "verified")?,
                dispatched: row.try_get("", "dispatched")?,
                accepted: row.try_get("", "accepted")?,
                won: row.try_get("", "won")?,
                lost: row.try_get("", "lost")?,
                returned: row.try_get("", "returned")?,
            });
        }
        Ok(rows)
    }
}
