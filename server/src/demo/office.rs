//! What sales ops sets up: the calendar, the pools and the routing table.

use super::Play;
use super::people::by;
use anyhow::{Context, Result};
use chrono::TimeDelta;
use tandem_app::{OutOfOfficeSet, PoolSave, RoutingTableSave, WorkingCalendarSave};
use tandem_domain::access::User;
use tandem_domain::calendar::{Draft, WorkingCalendar};
use tandem_domain::id::{CalendarId, PoolId};
use tandem_domain::routing::{Absence, MemberDraft, PoolDraft, RoutingRule, TableDraft};

const CALENDAR: &str = include_str!("../../../workflows/library/calendars/united-states.yaml");

impl Play {
    /// Saves the calendar, the pools and the routing table where they are not there yet.
    pub(super) async fn set_up(&self) -> Result<()> {
        let store = &self.app.store;
        let ops = by(&self.people.ops);
        if store.routing_table().await?.is_some() {
            return Ok(());
        }
        let draft = serde_saphyr::from_str::<Draft>(CALENDAR).context("reading the calendar")?;
        let calendar = match store.calendar_by_key(&draft.key).await? {
            Some(calendar) => calendar,
            None => self.app.run(&ops, WorkingCalendarSave { draft }).await?,
        };
        let (big, small) = self.people.reps.split_at(3);
        let enterprise = self.pool("enterprise", "Enterprise", calendar.id, big).await?;
        let growth = self.pool("growth", "Growth", calendar.id, small).await?;
        // One of the reps is away in the second week: offers pass that person by, and the turn is kept.
        let away = self.people.reps.get(1).context("there are reps")?;
        let absences = vec![Absence { from: self.start + TimeDelta::days(7), to: self.start + TimeDelta::days(14) }];
        self.app.run(&by(away), OutOfOfficeSet { user: None, absences }).await?;
        // Last, because an office that has a routing table is taken for set up.
        let rules = vec![RoutingRule {
            name: "large accounts".to_owned(),
            when: "account.tier in ['T1', 'T2']".to_owned(),
            pool: enterprise,
        }];
        self.app.run(&ops, RoutingTableSave { draft: TableDraft { rules, fallback: growth } }).await?;
        Ok(())
    }

    async fn pool(&self, key: &str, name: &str, calendar: CalendarId, reps: &[User]) -> Result<PoolId> {
        if let Some(pool) = self.app.store.pool_by_key(key).await? {
            return Ok(pool.id);
        }
        let members =
            (1..).zip(reps).map(|(weight, rep)| MemberDraft { user: rep.id, weight, capacity: 40, calendar: None });
        let draft = PoolDraft {
            key: key.to_owned(),
            name: name.to_owned(),
            members: members.collect(),
            calendar,
            accept_within: 4 * 60,
            work_within: 8 * 60,
            progress_within: 3 * 8 * 60,
            max_attempts: 3,
            escalate_to: Some(self.people.manager.id),
            cooldown_days: 14,
        };
        Ok(self.app.run(&by(&self.people.ops), PoolSave { draft }).await?.id)
    }

    /// Whether people work now.
    pub(super) async fn is_open(&self) -> Result<bool> {
        let calendar: Option<WorkingCalendar> = self.app.store.calendar_by_key("united-states").await?;
        Ok(calendar.is_some_and(|calendar| calendar.is_open(self.app.env.now())))
    }
}
