//! What the month came to, read from the database alone.

use super::Play;
use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What the report counts of the handoffs; the ledger has the rest.
const OUTCOMES: [&str; 12] = [
    "handoff.dispatched",
    "handoff.offered",
    "handoff.accepted",
    "handoff.rejected",
    "handoff.timed_out",
    "handoff.escalated",
    "handoff.reclaimed",
    "handoff.returned",
    "handoff.sent_to_sdr",
    "handoff.sent_to_nurture",
    "handoff.converted",
    "handoff.lost",
];

/// The demo's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When the month began.
    pub from: DateTime<Utc>,
    /// When it ended.
    pub to: DateTime<Utc>,
    /// How many accounts were imported.
    pub accounts: i64,
    /// How many contacts were generated.
    pub contacts: i64,
    /// How many accounts both sides have agreed on.
    pub accounts_agreed: i64,
    /// E-mails by state. `UNKNOWN` is what a crash left undecided.
    pub emails: BTreeMap<String, i64>,
    /// How many messages reached the SMTP server of the demo in this process.
    pub messages_received: usize,
    /// Enrolments by state.
    pub enrollments: BTreeMap<String, i64>,
    /// Leads by stage.
    pub leads: BTreeMap<String, i64>,
    /// What happened at handoffs, by the kind of fact.
    pub handoffs: BTreeMap<String, i64>,
    /// The number of ledger entries checked.
    pub ledger_entries: i64,
    /// Where the ledger is broken; null means nowhere.
    pub ledger_broken: Option<String>,
}

impl Report {
    pub(super) async fn of(play: &Play, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Self> {
        let store = &play.app.store;
        let facts = store.fact_counts().await?;
        let verified = store.verify_ledger().await?;
        let handoffs = facts.into_iter();
        Ok(Self {
            from,
            to,
            accounts: store.count("account").await?,
            contacts: store.count("contact").await?,
            accounts_agreed: store.count_by("list_membership", "state").await?.remove("ACTIVE").unwrap_or_default(),
            emails: store.count_by("email", "state").await?,
            messages_received: play.messages_received(),
            enrollments: store.count_by("enrollment", "state").await?,
            leads: store.count_by("lead", "stage").await?,
            handoffs: handoffs
                .filter(|(kind, _)| OUTCOMES.contains(&kind.as_str()))
                .map(|(kind, count)| (kind.trim_start_matches("handoff.").to_owned(), count))
                .collect(),
            ledger_entries: verified.entries,
            ledger_broken: verified.broken.map(|broken| broken.to_string()),
        })
    }
}

fn list(counts: &BTreeMap<String, i64>) -> String {
    counts
        .iter()
        .map(|(name, count)| format!("{count} {}", name.to_lowercase().replace('_', " ")))
        .collect::<Vec<_>>()
        .join(", ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%d").to_string();
        writeln!(f, "A month of the loop, {} to {}", day(self.from), day(self.to))?;
        writeln!(f, "  accounts   {} imported, {} agreed by both sides", self.accounts, self.accounts_agreed)?;
        writeln!(f, "  contacts   {} (generated)", self.contacts)?;
        writeln!(f, "  enrolments {}", list(&self.enrollments))?;
        writeln!(f, "  e-mails    {}", list(&self.emails))?;
        writeln!(f, "  leads      {}", list(&self.leads))?;
        writeln!(f, "  handoffs   {}", list(&self.handoffs))?;
        match &self.ledger_broken {
            None => writeln!(f, "  ledger     {} entries, verified", self.ledger_entries),
            Some(broken) => writeln!(f, "  ledger     BROKEN: {broken}"),
        }
    }
}
