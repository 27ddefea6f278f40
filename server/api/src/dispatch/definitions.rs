//! Changes of working calendars, pools, the routing table and absences.

use super::definition_types::{DayOfWeek, PoolNode, RoutingTableNode, WorkingCalendarNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::{local, local_opt};
use crate::payload::payload;
use crate::scalars::Date;
use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use tandem_app::{AppError, OutOfOfficeSet, PoolSave, RoutingTableSave, WorkingCalendarSave};
use tandem_domain::calendar::{self, Draft, Hours};
use tandem_domain::routing::{self, MemberDraft, PoolDraft, RoutingRule, TableDraft};

/// The hours of a day of the week.
#[derive(InputObject)]
pub struct WorkingDayInput {
    /// The day.
    day: DayOfWeek,
    /// Its hours in local time, each like `09:00-12:30`; a day ends at `24:00`.
    hours: Vec<String>,
}

/// A day on which nobody works.
#[derive(InputObject)]
pub struct HolidayInput {
    /// The local date.
    date: Date,
    /// What it is called.
    name: String,
}

/// A day that is worked although the week says otherwise.
#[derive(InputObject)]
pub struct MakeUpDayInput {
    /// The local date.
    date: Date,
    /// What it makes up for.
    name: String,
    /// Its hours in local time, each like `09:00-12:30`.
    hours: Vec<String>,
}

/// A working calendar to save under its key.
#[derive(InputObject)]
pub struct WorkingCalendarSaveInput {
    /// The key: 1 to 60 of a-z, 0-9, _ and -. What is there under it becomes the next version.
    key: String,
    /// The name to show.
    name: String,
    /// The IANA name of the time zone of the hours and dates.
    time_zone: String,
    /// The days of the week that have hours.
    week: Vec<WorkingDayInput>,
    /// Free days.
    #[graphql(default)]
    holidays: Vec<HolidayInput>,
    /// Worked days outside the week.
    #[graphql(default)]
    make_up: Vec<MakeUpDayInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A member of a pool.
#[derive(InputObject)]
pub struct PoolMemberInput {
    /// Who.
    user_id: ID,
    /// The share of turns relative to the other members, 1 to 100.
    #[graphql(default = 1)]
    weight: u32,
    /// How many open opportunities the person may hold at once, offers included; 1 to 10000.
    #[graphql(default = 20)]
    capacity: u32,
    /// The calendar that the person's clocks run on; none means the pool's.
    calendar_id: Option<ID>,
}

/// A pool to save under its key.
#[derive(InputObject)]
pub struct PoolSaveInput {
    /// The key: 1 to 60 of a-z, 0-9, _ and -. What is there under it becomes the next version.
    key: String,
    /// The name to show.
    name: String,
    /// Who takes offers, in the order that settles a tie. Those who stay keep their turns and absences.
    members: Vec<PoolMemberInput>,
    /// The calendar of the pool's own clocks.
    calendar_id: ID,
    /// Working minutes in which an offer must be answered.
    #[graphql(default = 120)]
    accept_within_minutes: u32,
    /// Working minutes after acceptance in which work must begin.
    #[graphql(default = 480)]
    work_within_minutes: u32,
    /// Working minutes between two signs of progress, and for the review of a return.
    #[graphql(default = 4_800)]
    progress_within_minutes: u32,
    /// Offers made before the handoff is escalated, 1 to 20.
    #[graphql(default = 3)]
    max_attempts: u32,
    /// Who gets an escalated handoff; without one it waits for a manager.
    escalate_to_id: Option<ID>,
    /// Days for which somebody who returned an opportunity is not offered it again, 0 to 365.
    #[graphql(default = 30)]
    cooldown_days: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// One rule of the routing table.
#[derive(InputObject)]
pub struct RoutingRuleInput {
    /// Its name, unique in the table.
    name: String,
    /// A CEL condition over `opportunity`, `lead` and `account`, e.g. `account.country == 'CN'`.
    when: String,
    /// Where an opportunity goes for which the condition holds.
    pool_id: ID,
}

/// The routing table to save.
#[derive(InputObject)]
pub struct RoutingTableSaveInput {
    /// The rules; the first that holds decides.
    rules: Vec<RoutingRuleInput>,
    /// Where everything else goes.
    fallback_pool_id: ID,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A time in which a person takes no offers.
#[derive(InputObject)]
pub struct AbsenceInput {
    /// Its beginning.
    from: DateTime<Utc>,
    /// Its end, which must lie ahead.
    to: DateTime<Utc>,
}

/// The absences of a person, in place of those set before.
#[derive(InputObject)]
pub struct OutOfOfficeSetInput {
    /// Whose; none means whoever asks. Others' are set by managers and sales ops.
    user_id: Option<ID>,
    /// When; none means that the person is back.
    absences: Vec<AbsenceInput>,
}

payload! {
    /// What `workingCalendarSave` did.
    WorkingCalendarSavePayload {
        /// The calendar as saved.
        calendar: WorkingCalendarNode,
    }
    /// What `poolSave` did.
    PoolSavePayload {
        /// The pool as saved.
        pool: PoolNode,
    }
    /// What `routingTableSave` did.
    RoutingTableSavePayload {
        /// The table as saved.
        routing_table: RoutingTableNode,
    }
    /// What `outOfOfficeSet` did.
    OutOfOfficeSetPayload {
        /// The pools that the person is a member of.
        pools: Vec<PoolNode>,
    }
}

fn hours(texts: &[String]) -> Result<Vec<Hours>, calendar::Refusal> {
    texts.iter().map(|text| text.parse()).collect()
}

fn draft(input: WorkingCalendarSaveInput) -> Result<Draft, AppError> {
    let zone = input.time_zone.parse().map_err(|_| {
        let message =
            format!("`{}` is not in the IANA time zone database; an example is Asia/Shanghai", input.time_zone);
        AppError::refused("TIME_ZONE_UNKNOWN", message, Some("timeZone"))
    })?;
    let mut week: BTreeMap<calendar::Day, Vec<Hours>> = BTreeMap::new();
    for day in &input.week {
        week.entry(day.day.into()).or_default().extend(hours(&day.hours)?);
    }
    let holidays = input.holidays.into_iter().map(|day| calendar::Holiday { date: day.date.0, name: day.name });
    let make_up = input.make_up.into_iter().map(|day| {
        let hours = hours(&day.hours)?;
        Ok(calendar::MakeUpDay { date: day.date.0, name: day.name, hours })
    });
    let make_up = make_up.collect::<Result<_, calendar::Refusal>>()?;
    Ok(Draft { key: input.key, name: input.name, zone, week, holidays: holidays.collect(), make_up })
}

fn pool(input: PoolSaveInput) -> Result<PoolDraft, AppError> {
    let member = |(place, member): (usize, PoolMemberInput)| {
        Ok(MemberDraft {
            user: local(&member.user_id, &format!("members.{place}.userId"))?,
            weight: member.weight,
            capacity: member.capacity,
            calendar: local_opt(member.calendar_id.as_ref(), &format!("members.{place}.calendarId"))?,
        })
    };
    Ok(PoolDraft {
        key: input.key,
        name: input.name,
        members: input.members.into_iter().enumerate().map(member).collect::<Result<_, AppError>>()?,
        calendar: local(&input.calendar_id, "calendarId")?,
        accept_within: input.accept_within_minutes,
        work_within: input.work_within_minutes,
        progress_within: input.progress_within_minutes,
        max_attempts: input.max_attempts,
        escalate_to: local_opt(input.escalate_to_id.as_ref(), "escalateToId")?,
        cooldown_days: input.cooldown_days,
    })
}

/// Changes of working calendars, pools, the routing table and absences.
#[derive(Default)]
pub struct DefinitionMutation;

#[Object]
impl DefinitionMutation {
    /// Saves a working calendar. Clocks that run keep the due times they have.
    async fn working_calendar_save(
        &self,
        ctx: &Context<'_>,
        input: WorkingCalendarSaveInput,
    ) -> Result<WorkingCalendarSavePayload, ApiError> {
        let done = async {
            let key = input.idempotency_key.clone();
            ctx.run(key, WorkingCalendarSave { draft: draft(input)? }).await
        };
        WorkingCalendarSavePayload::of(done.await.map(WorkingCalendarNode))
    }

    /// Saves a pool.
    async fn pool_save(&self, ctx: &Context<'_>, input: PoolSaveInput) -> Result<PoolSavePayload, ApiError> {
        let done = async {
            let key = input.idempotency_key.clone();
            ctx.run(key, PoolSave { draft: pool(input)? }).await
        };
        PoolSavePayload::of(done.await.map(PoolNode))
    }

    /// Saves the routing table, of which there is one.
    async fn routing_table_save(
        &self,
        ctx: &Context<'_>,
        input: RoutingTableSaveInput,
    ) -> Result<RoutingTableSavePayload, ApiError> {
        let done = async {
            let rule = |(place, rule): (usize, RoutingRuleInput)| {
                let pool = local(&rule.pool_id, &format!("rules.{place}.poolId"))?;
                Ok(RoutingRule { name: rule.name, when: rule.when, pool })
            };
            let rules = input.rules.into_iter().enumerate().map(rule).collect::<Result<_, AppError>>()?;
            let draft = TableDraft { rules, fallback: local(&input.fallback_pool_id, "fallbackPoolId")? };
            ctx.run(input.idempotency_key, RoutingTableSave { draft }).await
        };
        RoutingTableSavePayload::of(done.await.map(RoutingTableNode))
    }

    /// Sets when a person takes no offers, in every pool.
    async fn out_of_office_set(
        &self,
        ctx: &Context<'_>,
        input: OutOfOfficeSetInput,
    ) -> Result<OutOfOfficeSetPayload, ApiError> {
        let done = async {
            let user = local_opt(input.user_id.as_ref(), "userId")?;
            let absences = input.absences.into_iter().map(|one| routing::Absence { from: one.from, to: one.to });
            ctx.run(None, OutOfOfficeSet { user, absences: absences.collect() }).await
        };
        OutOfOfficeSetPayload::of(done.await.map(|pools| pools.into_iter().map(PoolNode).collect()))
    }
}
