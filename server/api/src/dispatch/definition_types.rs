//! Types of working calendars, pools and the routing table.

use super::types::user;
use crate::access::UserNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::scalars::Date;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::calendar::{self, Hours, WorkingCalendar};
use tandem_domain::id::{CalendarId, PoolId};
use tandem_domain::routing::{self, Member, Pool};

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "calendar::Day")]
pub enum DayOfWeek {
    /// Day 1 of the week by ISO 8601.
    Monday,
    /// Day 2 of the week by ISO 8601.
    Tuesday,
    /// Day 3 of the week by ISO 8601.
    Wednesday,
    /// Day 4 of the week by ISO 8601.
    Thursday,
    /// Day 5 of the week by ISO 8601.
    Friday,
    /// Day 6 of the week by ISO 8601.
    Saturday,
    /// Day 7 of the week by ISO 8601.
    Sunday,
}

/// The hours of a day of the week.
#[derive(SimpleObject)]
pub struct WorkingDay {
    /// The day.
    pub day: DayOfWeek,
    /// Its hours in local time, each like `09:00-12:30`.
    pub hours: Vec<String>,
}

/// A day on which nobody works.
#[derive(SimpleObject)]
pub struct Holiday {
    /// The local date.
    pub date: Date,
    /// What it is called.
    pub name: String,
}

/// A day that is worked although the week says otherwise.
#[derive(SimpleObject)]
pub struct MakeUpDay {
    /// The local date.
    pub date: Date,
    /// What it makes up for.
    pub name: String,
    /// Its hours in local time, each like `09:00-12:30`.
    pub hours: Vec<String>,
}

fn texts(hours: &[Hours]) -> Vec<String> {
    hours.iter().map(ToString::to_string).collect()
}

/// When somebody is at work.
pub struct WorkingCalendarNode(pub WorkingCalendar);

/// When somebody is at work.
#[Object(name = "WorkingCalendar")]
impl WorkingCalendarNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The stable key, unique among calendars.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Counts the definitions from 1.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// The IANA name of the time zone of the hours and dates.
    async fn time_zone(&self) -> &'static str {
        self.0.zone.name()
    }
    /// The days of the week that have hours.
    async fn week(&self) -> Vec<WorkingDay> {
        self.0.week.iter().map(|(day, hours)| WorkingDay { day: (*day).into(), hours: texts(hours) }).collect()
    }
    /// Free days, by date.
    async fn holidays(&self) -> Vec<Holiday> {
        self.0.holidays.iter().map(|day| Holiday { date: Date(day.date), name: day.name.clone() }).collect()
    }
    /// Worked days outside the week, by date.
    async fn make_up(&self) -> Vec<MakeUpDay> {
        let days = self.0.make_up.iter();
        days.map(|day| MakeUpDay { date: Date(day.date), name: day.name.clone(), hours: texts(&day.hours) }).collect()
    }
    /// Whether people are at work at this moment.
    async fn is_open(&self, #[graphql(desc = "The moment.")] at: DateTime<Utc>) -> bool {
        self.0.is_open(at)
    }
}

async fn calendar(ctx: &Context<'_>, id: CalendarId) -> Option<Result<WorkingCalendarNode, ApiError>> {
    let calendar = ctx.load(id).await.map_err(ApiError::from).transpose()?;
    Some(calendar.map(WorkingCalendarNode))
}

async fn pool(ctx: &Context<'_>, id: PoolId) -> Option<Result<PoolNode, ApiError>> {
    let pool = ctx.load(id).await.map_err(ApiError::from).transpose()?;
    Some(pool.map(PoolNode))
}

/// A time in which a person takes no offers.
#[derive(SimpleObject)]
pub struct Absence {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

/// People among whom opportunities are shared, and the promises that hold for them.
pub struct PoolNode(pub Pool);

/// People among whom opportunities are shared, and the promises that hold for them.
#[Object(name = "Pool")]
impl PoolNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The stable key, unique among pools.
    async fn key(&self) -> &str {
        &self.0.key
    }
    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Counts the definitions from 1.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// Who takes offers, in the order that settles a tie.
    async fn members(&self) -> Vec<PoolMemberNode> {
        self.0.members.iter().cloned().map(PoolMemberNode).collect()
    }
    /// The calendar of the pool's own clocks, and of people who are not members.
    async fn calendar(&self, ctx: &Context<'_>) -> Option<Result<WorkingCalendarNode, ApiError>> {
        calendar(ctx, self.0.calendar).await
    }
    /// Working minutes in which an offer must be answered.
    async fn accept_within_minutes(&self) -> u32 {
        self.0.accept_within
    }
    /// Working minutes after acceptance in which work must begin.
    async fn work_within_minutes(&self) -> u32 {
        self.0.work_within
    }
    /// Working minutes between two signs of progress, and for the review of a return.
    async fn progress_within_minutes(&self) -> u32 {
        self.0.progress_within
    }
    /// Offers made before the handoff is escalated.
    async fn max_attempts(&self) -> u32 {
        self.0.max_attempts
    }
    /// Who gets an escalated handoff.
    async fn escalate_to(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, self.0.escalate_to).await
    }
    /// Days for which somebody who returned an opportunity is not offered it again.
    async fn cooldown_days(&self) -> u32 {
        self.0.cooldown_days
    }
}

/// A person who takes offers in a pool.
pub struct PoolMemberNode(Member);

/// A person who takes offers in a pool.
#[Object(name = "PoolMember")]
impl PoolMemberNode {
    /// Who.
    async fn user(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        user(ctx, Some(self.0.user)).await
    }
    /// The share of turns relative to the other members.
    async fn weight(&self) -> u32 {
        self.0.weight
    }
    /// How many open opportunities the person may hold at once, offers included.
    async fn capacity(&self) -> u32 {
        self.0.capacity
    }
    /// The calendar that the person's clocks run on.
    async fn calendar(&self, ctx: &Context<'_>) -> Option<Result<WorkingCalendarNode, ApiError>> {
        calendar(ctx, self.0.calendar).await
    }
    /// When the person takes no offers.
    async fn out_of_office(&self) -> Vec<Absence> {
        self.0.out_of_office.iter().map(|absence| Absence { from: absence.from, to: absence.to }).collect()
    }
    /// The credit in the round robin: the member with the most has the next turn.
    async fn credit(&self) -> i64 {
        self.0.credit
    }
}

/// The rules that choose a pool.
pub struct RoutingTableNode(pub routing::RoutingTable);

/// The rules that choose a pool.
#[Object(name = "RoutingTable")]
impl RoutingTableNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Counts the definitions from 1.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// The rules; the first that holds decides.
    async fn rules(&self) -> Vec<RoutingRuleNode> {
        self.0.rules.iter().cloned().map(RoutingRuleNode).collect()
    }
    /// Where everything else goes.
    async fn fallback(&self, ctx: &Context<'_>) -> Option<Result<PoolNode, ApiError>> {
        pool(ctx, self.0.fallback).await
    }
}

/// One rule of the routing table.
pub struct RoutingRuleNode(routing::RoutingRule);

/// One rule of the routing table.
#[Object(name = "RoutingRule")]
impl RoutingRuleNode {
    /// Its name, unique in the table.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// A CEL condition over `opportunity`, `lead` and `account`.
    async fn when(&self) -> &str {
        &self.0.when
    }
    /// Where an opportunity goes for which the condition holds.
    async fn pool(&self, ctx: &Context<'_>) -> Option<Result<PoolNode, ApiError>> {
        pool(ctx, self.0.pool).await
    }
}
