//! The laws of routing: turns in proportion to weights, skipped people keep theirs, and every choice explains itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tandem_domain::calendar::{self, Day, WorkingCalendar};
use tandem_domain::id::{CalendarId, HandoffId, PoolId, ReceiptId, RoutingTableId, UserId};
use tandem_domain::routing::{
    Absence, Barred, Choice, Field, HeldFor, MemberDraft, Pool, PoolDraft, RoutingRule, Skip, Standing, TableDraft,
    Verdict, choose, save_pool, save_table, set_out_of_office,
};
use uuid::Uuid;

fn id<T: From<Uuid>>(n: usize) -> T {
    T::from(Uuid::from_u128(n as u128 + 1))
}

/// Monday, 10:00 in Berlin.
fn monday() -> DateTime<Utc> {
    "2026-05-04T08:00:00Z".parse().unwrap()
}

static CALENDARS: LazyLock<BTreeMap<CalendarId, WorkingCalendar>> = LazyLock::new(calendars);

fn calendars() -> BTreeMap<CalendarId, WorkingCalendar> {
    let zones = [chrono_tz::Europe::Berlin, chrono_tz::America::Los_Angeles];
    let one = |(n, zone)| {
        let week = Day::ALL[..5].iter().map(|day| (*day, vec!["09:00-17:00".parse().unwrap()])).collect();
        let draft =
            calendar::Draft { key: "k".into(), name: "K".into(), zone, week, holidays: vec![], make_up: vec![] };
        (id(n), calendar::save(None, id(n), draft).unwrap().next)
    };
    zones.into_iter().enumerate().map(one).collect()
}

fn pool(weights: &[u32]) -> Pool {
    let member = |(n, weight): (usize, &u32)| MemberDraft { user: id(n), weight: *weight, capacity: 2, calendar: None };
    let draft = PoolDraft {
        key: "enterprise".into(),
        name: "Enterprise".into(),
        members: weights.iter().enumerate().map(member).collect(),
        calendar: id(0),
        accept_within: 60,
        work_within: 480,
        progress_within: 2400,
        max_attempts: 3,
        escalate_to: None,
        cooldown_days: 30,
    };
    save_pool(None, id(0), draft).unwrap().next
}

struct Round {
    barred: Vec<Barred>,
    standings: BTreeMap<UserId, Standing>,
    at: DateTime<Utc>,
}

impl Round {
    fn of(pool: &Pool) -> Self {
        let standing = Standing { active: true, open: 0 };
        let standings = pool.members.iter().map(|member| (member.user, standing)).collect();
        Self { barred: vec![], standings, at: monday() }
    }

    fn play(&self, pool: &Pool) -> Choice {
        let (barred, standings) = (self.barred.as_slice(), &self.standings);
        let field = Field { receipt: id(0), handoff: id(0), attempt: 1, barred, standings, calendars: &CALENDARS };
        choose(pool, &field, self.at)
    }
}

fn chosen(choice: &Choice) -> Option<UserId> {
    match choice.receipt.verdict {
        Verdict::Chosen { user, .. } => Some(user),
        _ => None,
    }
}

fn skipped(choice: &Choice, n: usize) -> Option<Skip> {
    choice.receipt.considered[n].skipped
}

proptest! {
    #[test]
    fn turns_are_in_proportion_to_weights(weights in proptest::collection::vec(1_u32..=20, 1..=8), rounds in 1_usize..=3) {
        let mut pool = pool(&weights);
        let round = Round::of(&pool);
        let whole: u32 = weights.iter().sum();
        let mut turns = vec![0_u32; weights.len()];
        for _ in 0..rounds * whole as usize {
            let choice = round.play(&pool);
            let user = chosen(&choice).unwrap();
            turns[pool.members.iter().position(|member| member.user == user).unwrap()] += 1;
            pool = choice.pool;
        }
        // Exactly: smooth weighted round robin is periodic in the sum of the weights.
        let expected: Vec<u32> = weights.iter().map(|weight| weight * u32::try_from(rounds).unwrap()).collect();
        prop_assert_eq!(turns, expected);
        prop_assert!(pool.members.iter().all(|member| member.credit == 0));
    }

    #[test]
    fn credits_stay_around_zero_whoever_is_skipped(
        weights in proptest::collection::vec(1_u32..=10, 2..=6),
        skips in proptest::collection::vec(proptest::collection::vec(0_u8..4, 6), 1..200),
    ) {
        let mut pool = pool(&weights);
        let whole: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
        let members = i64::try_from(weights.len()).unwrap();
        for how in skips {
            let mut round = Round::of(&pool);
            for (member, how) in pool.members.iter().zip(how) {
                match how {
                    1 => round.barred.push(Barred { user: member.user, until: None }),
                    2 => { round.standings.insert(member.user, Standing { active: true, open: 2 }); }
                    3 => { round.standings.insert(member.user, Standing { active: false, open: 0 }); }
                    _ => {}
                }
            }
            let choice = round.play(&pool);
            if let Some(user) = chosen(&choice) {
                prop_assert!(choice.receipt.considered.iter().all(|entry| entry.user != user || entry.skipped.is_none()));
                prop_assert!(!round.barred.iter().any(|bar| bar.user == user), "nobody is offered what is barred");
            } else {
                prop_assert_eq!(&choice.pool, &pool, "no turn was played");
            }
            pool = choice.pool;
            prop_assert_eq!(pool.members.iter().map(|member| member.credit).sum::<i64>(), 0);
            prop_assert!(pool.members.iter().all(|member| member.credit <= whole * 2 && member.credit >= -whole * 2 * members));
        }
    }

    #[test]
    fn the_same_history_gives_the_same_choice(weights in proptest::collection::vec(1_u32..=9, 1..=6)) {
        let pool = pool(&weights);
        let round = Round::of(&pool);
        prop_assert_eq!(round.play(&pool), round.play(&pool));
    }
}

#[test]
fn a_skipped_person_keeps_the_turn() {
    let mut pool = pool(&[1, 1, 1]);
    let open = Round::of(&pool);
    assert_eq!(chosen(&open.play(&pool)), Some(id(0)));
    pool = open.play(&pool).pool;
    // It would be the second member's turn, whose plate is full.
    let mut full = Round::of(&pool);
    full.standings.insert(id(1), Standing { active: true, open: 2 });
    let choice = full.play(&pool);
    assert_eq!((chosen(&choice), skipped(&choice, 1)), (Some(id(2)), Some(Skip::AtCapacity)));
    pool = choice.pool;
    assert_eq!(chosen(&open.play(&pool)), Some(id(1)), "the turn was kept");
    // After a long time of being skipped it is still one turn ahead, not a hundred.
    for _ in 0..100 {
        pool = full.play(&pool).pool;
    }
    let mut turns = BTreeMap::<UserId, u32>::new();
    for _ in 0..12 {
        let choice = open.play(&pool);
        *turns.entry(chosen(&choice).unwrap()).or_default() += 1;
        pool = choice.pool;
    }
    assert!(turns[&id(1)] <= 6, "{turns:?}");
}

#[test]
fn somebody_who_was_away_comes_back_to_the_place_in_the_row_that_was_left() {
    let mut pool = pool(&[1, 1]);
    let away = Absence { from: monday(), to: monday() + TimeDelta::days(14) };
    pool = set_out_of_office(&pool, id(0), vec![away], monday()).unwrap().next;
    let round = Round::of(&pool);
    for _ in 0..10 {
        let choice = round.play(&pool);
        assert_eq!((chosen(&choice), skipped(&choice, 0)), (Some(id(1)), Some(Skip::OutOfOffice)));
        pool = choice.pool;
        assert_eq!(pool.members[0].credit, 0);
    }
}

#[test]
fn a_choice_outside_hours_waits_for_whoever_opens_first() {
    let mut pool = pool(&[1, 1]);
    pool.members[1].calendar = id(1);
    let mut round = Round::of(&pool);
    round.at = "2026-05-02T12:00:00Z".parse().unwrap(); // a Saturday
    let choice = round.play(&pool);
    let until = "2026-05-04T07:00:00Z".parse().unwrap();
    assert_eq!(choice.receipt.verdict, Verdict::Held { reason: HeldFor::OutOfHours, until });
    assert_eq!(choice.pool, pool);
    // In Berlin's morning Los Angeles sleeps.
    round.at = monday();
    let choice = round.play(&pool);
    assert_eq!((chosen(&choice), skipped(&choice, 1)), (Some(id(0)), Some(Skip::OutOfHours)));
}

#[test]
fn a_full_pool_waits_and_an_exhausted_one_does_not() {
    let pool = pool(&[1, 1]);
    let mut round = Round::of(&pool);
    round.standings = [0, 1].map(|n| (id(n), Standing { active: true, open: 2 })).into();
    let Verdict::Held { reason: HeldFor::NoCapacity, until } = round.play(&pool).receipt.verdict else {
        panic!("held")
    };
    assert!(until > round.at);
    round.barred = [0, 1].map(|n| Barred { user: id(n), until: None }).into();
    let choice = round.play(&pool);
    assert_eq!(choice.receipt.verdict, Verdict::Exhausted);
    assert_eq!(skipped(&choice, 0), Some(Skip::AlreadyTried));
    round.barred = [0, 1].map(|n| Barred { user: id(n), until: Some(round.at + TimeDelta::days(3)) }).into();
    assert_eq!(round.play(&pool).receipt.verdict, Verdict::Exhausted, "nobody waits for a cool-down");
    assert_eq!(skipped(&round.play(&pool), 0), Some(Skip::CoolDown));
    round.barred = [0, 1].map(|n| Barred { user: id(n), until: Some(round.at) }).into();
    round.standings = Round::of(&pool).standings;
    assert_eq!(chosen(&round.play(&pool)), Some(id(0)), "the cool-down has passed");
}

#[test]
fn the_receipt_names_everybody_and_the_rule() {
    let pool = pool(&[3, 1]);
    let mut round = Round::of(&pool);
    round.standings.remove(&id::<UserId>(0));
    let receipt = round.play(&pool).receipt;
    assert_eq!(receipt.rule, "pool:enterprise@1");
    assert_eq!((receipt.handoff, receipt.pool, receipt.attempt), (id::<HandoffId>(0), id::<PoolId>(0), 1));
    assert_eq!(receipt.id, id::<ReceiptId>(0));
    assert_eq!(receipt.considered.len(), 2);
    assert_eq!(receipt.considered[0].skipped, Some(Skip::Inactive));
    assert_eq!(receipt.verdict, Verdict::Chosen { user: id(1), cost: 1 }, "who is inactive gains nothing");
}

#[test]
fn the_first_rule_that_holds_chooses_the_pool() {
    let rule = |name: &str, when: &str, pool| RoutingRule { name: name.into(), when: when.into(), pool: id(pool) };
    let draft = TableDraft {
        rules: vec![
            rule("china", "account.country == 'CN'", 1),
            rule("large", "account.employees > 1000.0", 2),
            rule("also large", "account.employees > 500.0", 3),
        ],
        fallback: id(9),
    };
    let table = save_table(None, id::<RoutingTableId>(0), draft.clone()).unwrap().next;
    let route = |country: &str, employees: Option<u32>| {
        let mut account = serde_json::json!({ "country": country });
        if let Some(employees) = employees {
            account["employees"] = serde_json::json!(f64::from(employees));
        }
        let route = table.route(&serde_json::json!({ "account": account, "lead": {}, "opportunity": {} }));
        (route.pool, route.rule, route.failed.len())
    };
    assert_eq!(route("CN", Some(5000)), (id(1), "routing@1#china".into(), 0));
    assert_eq!(route("DE", Some(5000)), (id(2), "routing@1#large".into(), 0));
    assert_eq!(route("DE", Some(700)), (id(3), "routing@1#also large".into(), 0));
    assert_eq!(route("DE", Some(7)), (id(9), "routing@1#fallback".into(), 0));
    assert_eq!(route("DE", None), (id(9), "routing@1#fallback".into(), 2), "a missing field does not hold");

    let refuse = |change: fn(&mut TableDraft)| {
        let mut draft = draft.clone();
        change(&mut draft);
        save_table(Some(&table), table.id, draft).unwrap_err().code()
    };
    assert_eq!(refuse(|draft| draft.rules[0].when = "account.country ==".into()), "ROUTING_CONDITION_INVALID");
    assert_eq!(refuse(|draft| draft.rules[0].name = "large".into()), "ROUTING_RULE_NAME_INVALID");
    assert_eq!(refuse(|draft| draft.rules[0].name = "fallback".into()), "ROUTING_RULE_NAME_INVALID");
    assert_eq!(save_table(Some(&table), table.id, draft).unwrap().next.version, 1, "nothing changed");
}
