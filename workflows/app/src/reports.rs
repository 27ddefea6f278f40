//! Reports: what the tables and the ledger say, in words a person reads.

use crate::{App, Result};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tandem_domain::access::User;
pub use tandem_store::views::funnel::{FunnelGroup, FunnelRow};
use uuid::Uuid;

/// One row of a funnel, with what to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunnelLine {
    /// What to call it: the source with blanks, the person's name, the territory; `(none)` where there is none.
    pub label: String,
    /// The numbers.
    pub row: FunnelRow,
}

/// How many leads came in and how far they got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funnel {
    /// By the trait asked for, the largest first. Each lead is in exactly one.
    pub lines: Vec<FunnelLine>,
    /// All of them together.
    pub total: FunnelRow,
}

impl App {
    /// The funnel of the leads received from `from` (inclusive) until `to` (exclusive).
    pub async fn funnel(
        &self,
        group: FunnelGroup,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> Result<Funnel> {
        let rows = self.store.funnel(group, from, to).await?;
        let people: BTreeMap<String, String> = match group {
            FunnelGroup::Sdr | FunnelGroup::SalesRep => {
                let ids = rows.iter().filter_map(|row| row.key.as_deref()?.parse::<Uuid>().ok());
                let users = self.store.find_many::<User>(ids).await?;
                users.into_iter().map(|user| (user.id.to_string(), user.name)).collect()
            }
            FunnelGroup::Source | FunnelGroup::Territory => BTreeMap::new(),
        };
        let mut total = FunnelRow::default();
        for row in &rows {
            total.leads += row.leads;
            total.verified += row.verified;
            total.dispatched += row.dispatched;
            total.accepted += row.accepted;
            total.won += row.won;
            total.lost += row.lost;
            total.returned += row.returned;
        }
        let label = |key: &Option<String>| match (key, group) {
            (None, _) => "(none)".to_owned(),
            (Some(key), FunnelGroup::Source) => key.replace('_', " "),
            (Some(key), _) => people.get(key).unwrap_or(key).clone(),
        };
        let lines = rows.into_iter().map(|row| FunnelLine { label: label(&row.key), row }).collect();
        Ok(Funnel { lines, total })
    }
}
