//! The pool: its members and the promises that hold in it.

use super::Refusal;
use crate::calendar::is_key;
use crate::decision::{Decision, Fact};
use crate::id::{CalendarId, PoolId, UserId};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A time in which a person takes no offers: `from` is within, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absence {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end.
    pub to: DateTime<Utc>,
}

/// A person who takes offers in a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// The share of turns relative to the other members, 1 to 100.
    pub weight: u32,
    /// How many open opportunities the person may hold at once, offers included; 1 to 10000.
    pub capacity: u32,
    /// The calendar that the person's clocks run on.
    pub calendar: CalendarId,
    /// When the person takes no offers; in order of their beginning.
    #[serde(default)]
    pub out_of_office: Vec<Absence>,
    /// The round robin's credit: the member with the most has the next turn. Over all members it stays around zero.
    #[serde(default)]
    pub credit: i64,
}

/// People among whom opportunities are shared, and the promises that hold for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// The stable key, e.g. `enterprise`; unique.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// Counts the definitions from 1; a change of the definition makes the next. Turns and absences are not part of it.
    pub version: u32,
    /// Who takes offers, in the order that settles a tie.
    pub members: Vec<Member>,
    /// The calendar of the pool's own clocks (escalation, review) and of people who are not members.
    pub calendar: CalendarId,
    /// Working minutes in which an offer must be answered.
    pub accept_within: u32,
    /// Working minutes after acceptance in which work must begin.
    pub work_within: u32,
    /// Working minutes that may pass between two signs of progress, and in which a return must be reviewed.
    pub progress_within: u32,
    /// Offers made before the handoff is escalated.
    pub max_attempts: u32,
    /// Who gets an escalated handoff; without one it waits for a manager to assign it.
    pub escalate_to: Option<UserId>,
    /// Days for which somebody who returned an opportunity is not offered it again.
    pub cooldown_days: u32,
}

/// A member as sales ops writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberDraft {
    /// Who.
    pub user: UserId,
    /// The share of turns, 1 to 100.
    pub weight: u32,
    /// Open opportunities at once, 1 to 10000.
    pub capacity: u32,
    /// The person's calendar; none takes the pool's.
    pub calendar: Option<CalendarId>,
}

/// A pool as sales ops writes it: without id, version, turns and absences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolDraft {
    /// The stable key: 1 to 60 of `a-z 0-9 _ -`.
    pub key: String,
    /// The name to show, 1 to 200 characters.
    pub name: String,
    /// Who takes offers; 1 to 500.
    pub members: Vec<MemberDraft>,
    /// The calendar of the pool's own clocks.
    pub calendar: CalendarId,
    /// Working minutes in which an offer must be answered, 1 to 60000.
    pub accept_within: u32,
    /// Working minutes after acceptance in which work must begin, 1 to 60000.
    pub work_within: u32,
    /// Working minutes between two signs of progress, and for the review of a return, 1 to 60000.
    pub progress_within: u32,
    /// Offers made before escalation, 1 to 20.
    pub max_attempts: u32,
    /// Who gets an escalated handoff.
    pub escalate_to: Option<UserId>,
    /// Days of cool-down after a return, 0 to 365.
    pub cooldown_days: u32,
}

/// The most members of a pool.
pub const MOST_MEMBERS: usize = 500;
/// The most absences a person may plan.
pub const MOST_ABSENCES: usize = 50;

impl Pool {
    /// The rule version that a receipt and a ledger entry name, e.g. `pool:enterprise@3`.
    pub fn rule(&self) -> String {
        format!("pool:{}@{}", self.key, self.version)
    }

    /// The member that a user is, if one.
    pub fn member(&self, user: UserId) -> Option<&Member> {
        self.members.iter().find(|member| member.user == user)
    }

    /// Every calendar that a clock in this pool may run on.
    pub fn calendars(&self) -> BTreeSet<CalendarId> {
        self.members.iter().map(|member| member.calendar).chain([self.calendar]).collect()
    }

    /// Gives a turn back: the member stands `cost` higher against all others. Somebody who has left the pool gets nothing.
    pub fn give_turn_back(&mut self, user: UserId, cost: i64) {
        let Some(member) = self.members.iter_mut().find(|member| member.user == user) else { return };
        member.credit = member.credit.saturating_add(cost);
        // All sink by the same, so that the sum stays around zero, which the cap on kept turns is measured from.
        let sum = self.members.iter().fold(0_i64, |sum, member| sum.saturating_add(member.credit));
        let sink = i64::try_from(self.members.len()).map_or(0, |count| sum / count);
        for member in &mut self.members {
            member.credit = member.credit.saturating_sub(sink);
        }
    }
}

impl Member {
    /// The end of the absence that `at` falls into; absences that follow each other count as one.
    pub fn away_until(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.out_of_office.iter().fold(None, |until, absence| {
            let moment = until.unwrap_or(at);
            (absence.from <= moment && moment < absence.to).then_some(absence.to).or(until)
        })
    }
}

fn check(draft: &PoolDraft) -> Result<(), Refusal> {
    if !is_key(&draft.key) {
        return Err(Refusal::Key { given: draft.key.chars().take(80).collect() });
    }
    if !(1..=200).contains(&draft.name.trim().chars().count()) {
        return Err(Refusal::Name);
    }
    if draft.members.is_empty() {
        return Err(Refusal::NoMembers);
    }
    if draft.members.len() > MOST_MEMBERS {
        return Err(Refusal::TooManyMembers { most: MOST_MEMBERS });
    }
    let mut seen = BTreeSet::new();
    for member in &draft.members {
        if !seen.insert(member.user) {
            return Err(Refusal::MemberTwice { user: member.user });
        }
        if !(1..=100).contains(&member.weight) {
            return Err(Refusal::Weight { given: member.weight });
        }
        if !(1..=10_000).contains(&member.capacity) {
            return Err(Refusal::Capacity { given: member.capacity });
        }
    }
    let promises = [
        ("acceptWithinMinutes", draft.accept_within),
        ("workWithinMinutes", draft.work_within),
        ("progressWithinMinutes", draft.progress_within),
    ];
    if let Some((what, given)) = promises.into_iter().find(|(_, minutes)| !(1..=60_000).contains(minutes)) {
        return Err(Refusal::Minutes { what, given });
    }
    if !(1..=20).contains(&draft.max_attempts) {
        return Err(Refusal::Attempts { given: draft.max_attempts });
    }
    if draft.cooldown_days > 365 {
        return Err(Refusal::Cooldown { given: draft.cooldown_days });
    }
    Ok(())
}

/// Saves a pool: a new one under `id`, or the next version of `before`, in which those who stay keep their turns and
/// absences.
pub fn save_pool(before: Option<&Pool>, id: PoolId, draft: PoolDraft) -> Result<Decision<Pool>, Refusal> {
    check(&draft)?;
    let members = draft.members.into_iter().map(|member| {
        let old = before.and_then(|before| before.member(member.user));
        Member {
            user: member.user,
            weight: member.weight,
            capacity: member.capacity,
            calendar: member.calendar.unwrap_or(draft.calendar),
            out_of_office: old.map(|old| old.out_of_office.clone()).unwrap_or_default(),
            credit: old.map_or(0, |old| old.credit),
        }
    });
    let mut next = Pool {
        id: before.map_or(id, |before| before.id),
        key: draft.key,
        name: draft.name.trim().to_owned(),
        version: before.map_or(0, |before| before.version),
        members: members.collect(),
        calendar: draft.calendar,
        accept_within: draft.accept_within,
        work_within: draft.work_within,
        progress_within: draft.progress_within,
        max_attempts: draft.max_attempts,
        escalate_to: draft.escalate_to,
        cooldown_days: draft.cooldown_days,
    };
    let changed = before != Some(&next);
    if changed {
        next.version = next.version.saturating_add(1);
    }
    let weights: Vec<_> = next.members.iter().map(|member| (member.user, member.weight, member.capacity)).collect();
    let fact = Fact::audit("pool.saved", next.id)
        .with("key", &next.key)
        .with("version", next.version)
        .with("members", weights)
        .with("changed", changed);
    Ok(Decision::new(next, fact))
}

/// Sets when a member takes no offers, in place of what was set before; an empty list means that the member is back.
/// Offers that are open already stay open: their clock runs on.
pub fn set_out_of_office(
    pool: &Pool,
    user: UserId,
    mut absences: Vec<Absence>,
    now: DateTime<Utc>,
) -> Result<Decision<Pool>, Refusal> {
    let wrong = |absence: &&Absence| absence.to <= absence.from || absence.to <= now;
    if let Some(Absence { from, to }) = absences.iter().find(wrong).copied() {
        return Err(Refusal::Absence { from, to });
    }
    if absences.len() > MOST_ABSENCES {
        return Err(Refusal::TooManyAbsences { most: MOST_ABSENCES });
    }
    absences.sort_by_key(|absence| (absence.from, absence.to));
    let mut next = pool.clone();
    let Some(member) = next.members.iter_mut().find(|member| member.user == user) else {
        return Err(Refusal::NotAMember { user, pool: pool.key.clone() });
    };
    let fact = Fact::audit("pool.out_of_office_set", pool.id).with("user", user).with("absences", &absences);
    member.out_of_office = absences;
    Ok(Decision::new(next, fact))
}

/// Minutes as a duration.
pub(crate) fn minutes(minutes: u32) -> TimeDelta {
    TimeDelta::minutes(i64::from(minutes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn draft(users: &[u128]) -> PoolDraft {
        let calendar = CalendarId(Uuid::from_u128(9));
        let member = |n: &u128| MemberDraft { user: user(*n), weight: 1, capacity: 5, calendar: None };
        PoolDraft {
            key: "enterprise".into(),
            name: "Enterprise".into(),
            members: users.iter().map(member).collect(),
            calendar,
            accept_within: 60,
            work_within: 480,
            progress_within: 2400,
            max_attempts: 3,
            escalate_to: None,
            cooldown_days: 30,
        }
    }

    fn saved(draft: PoolDraft) -> Result<Pool, &'static str> {
        save_pool(None, PoolId(Uuid::from_u128(1)), draft).map(|d| d.next).map_err(|refusal| refusal.code())
    }

    #[test]
    fn those_who_stay_keep_turn_and_absence_through_a_new_version() {
        let now = "2026-05-04T08:00:00Z".parse().unwrap();
        let mut pool = saved(draft(&[1, 2])).unwrap();
        pool.members[0].credit = 7;
        let absence = Absence { from: now, to: now + TimeDelta::days(1) };
        let pool = set_out_of_office(&pool, user(1), vec![absence], now).unwrap().next;
        assert_eq!(pool.version, 1, "an absence is not a definition");
        let next = save_pool(Some(&pool), pool.id, draft(&[3, 1])).unwrap().next;
        assert_eq!((next.version, next.rule().as_str()), (2, "pool:enterprise@2"));
        assert_eq!(next.members[1].credit, 7);
        assert_eq!(next.members[1].out_of_office, vec![absence]);
        assert_eq!(next.members[0].credit, 0);
        assert_eq!(save_pool(Some(&next), next.id, draft(&[3, 1])).unwrap().next.version, 2, "nothing changed");
    }

    #[test]
    fn bad_definitions_are_refused_by_name() {
        let with = |change: fn(&mut PoolDraft)| {
            let mut draft = draft(&[1]);
            change(&mut draft);
            saved(draft).unwrap_err()
        };
        assert_eq!(saved(draft(&[])).unwrap_err(), "POOL_WITHOUT_MEMBERS");
        assert_eq!(saved(draft(&[1, 1])).unwrap_err(), "POOL_MEMBER_TWICE");
        assert_eq!(with(|d| d.key = "Big Deals".into()), "POOL_KEY_INVALID");
        assert_eq!(with(|d| d.name = " ".into()), "POOL_NAME_INVALID");
        assert_eq!(with(|d| d.members[0].weight = 0), "POOL_WEIGHT_OUT_OF_RANGE");
        assert_eq!(with(|d| d.members[0].capacity = 0), "POOL_CAPACITY_OUT_OF_RANGE");
        assert_eq!(with(|d| d.work_within = 0), "POOL_MINUTES_OUT_OF_RANGE");
        assert_eq!(with(|d| d.max_attempts = 0), "POOL_ATTEMPTS_OUT_OF_RANGE");
        assert_eq!(with(|d| d.cooldown_days = 366), "POOL_COOLDOWN_OUT_OF_RANGE");
    }

    #[test]
    fn an_absence_must_lie_ahead_and_belong_to_a_member() {
        let now: DateTime<Utc> = "2026-05-04T08:00:00Z".parse().unwrap();
        let pool = saved(draft(&[1])).unwrap();
        let set =
            |user, from, to| set_out_of_office(&pool, user, vec![Absence { from, to }], now).map_err(|r| r.code());
        let hour = TimeDelta::hours(1);
        assert_eq!(set(user(1), now - hour, now).unwrap_err(), "OUT_OF_OFFICE_INVALID");
        assert_eq!(set(user(1), now + hour, now + hour).unwrap_err(), "OUT_OF_OFFICE_INVALID");
        assert_eq!(set(user(2), now, now + hour).unwrap_err(), "POOL_NOT_A_MEMBER");
        let next = set(user(1), now, now + hour).unwrap().next;
        assert_eq!(next.members[0].away_until(now), Some(now + hour));
        assert_eq!(next.members[0].away_until(now + hour), None);
    }

    #[test]
    fn absences_that_follow_each_other_count_as_one() {
        let now: DateTime<Utc> = "2026-05-04T08:00:00Z".parse().unwrap();
        let (day, pool) = (TimeDelta::days(1), saved(draft(&[1])).unwrap());
        let absences = vec![Absence { from: now + day, to: now + day * 3 }, Absence { from: now, to: now + day }];
        let next = set_out_of_office(&pool, user(1), absences, now).unwrap().next;
        assert_eq!(next.members[0].away_until(now), Some(now + day * 3));
    }
}
