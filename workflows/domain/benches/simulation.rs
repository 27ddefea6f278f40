//! How many contact-days a second a simulation plays on one core: `cargo bench -p tandem-domain --bench simulation`.
//!
//! A contact-day is one person on one day of the programme, whether or not something happens to them. Time is that of the
//! processor where the system tells it (Linux), so that a busy machine does not count; else that of the clock. The floor beside
//! it does what no simulation can do without: it copies what is known of everybody and takes as many moments from a queue.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hint::black_box;
use std::time::{Duration, Instant};
use tandem_domain::calendar::Calendars;
use tandem_domain::contact_policy::{CapScope, ContactPolicy, FrequencyCap};
use tandem_domain::email::Mailbox;
use tandem_domain::id::{AccountId, ContactId, ContactPolicyId, SendingMailboxId, SequenceId, SequenceVersionId};
use tandem_domain::sending_mailbox::{MailboxState, SendingMailbox};
use tandem_domain::sequence::publishing::{By, publish};
use tandem_domain::sequence::simulation::{
    Assumptions, Entering, Follow, Person, Plan, Programme, Surroundings, sample, simulate, simulate_many,
};
use tandem_domain::standing::Standing;
use uuid::Uuid;

/// The program's own.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PROGRAMME: &str = include_str!("programme.yaml");
const PEOPLE: u128 = 20_000;
const DAYS: u32 = 90;

fn now() -> DateTime<Utc> {
    "2026-01-05T08:00:00Z".parse().unwrap()
}

fn known(number: u128) -> Value {
    let mut data = sample();
    data["contact"]["id"] = json!(Uuid::from_u128(number));
    data["contact"]["email"] = json!(format!("person{number}@example.com"));
    data["contact"]["first_name"] =
        json!(if number.is_multiple_of(7) { None } else { Some(format!("Person{number}")) });
    data["contact"]["phone"] = json!(number.is_multiple_of(3).then_some("+49 30 1234567"));
    data["contact"]["custom"]["size"] = json!(number % 500);
    data["account"]["name"] = json!(format!("Company {}", number / 10));
    data["account"]["industry"] = json!(["software", "trade", "care"][(number % 3) as usize]);
    data["lead"] = Value::Null;
    data
}

fn people(count: u128) -> Vec<Person> {
    let zones = [Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Shanghai, Tz::UTC];
    (0..count)
        .map(|number| Person {
            contact: ContactId(Uuid::from_u128(number)),
            lead: None,
            account: Some(AccountId(Uuid::from_u128(number / 10))),
            zone: zones[(number % 4) as usize],
            standing: if number.is_multiple_of(50) { Standing::OptedOut } else { Standing::Allowed },
            data: known(number),
            touched: Vec::new(),
            history: Vec::new(),
        })
        .collect()
}

fn surroundings() -> Surroundings {
    let mailbox = |number: u128| SendingMailbox {
        id: SendingMailboxId(Uuid::from_u128(number)),
        address: format!("sales{number}@example.com"),
        name: Some("Sales".to_owned()),
        reply_to: None,
        pool: "outreach".to_owned(),
        zone: Tz::UTC,
        daily_cap: 5_000,
        ramp_up: None,
        interval: 0,
        state: MailboxState::Active,
        version: 1,
    };
    let caps = vec![
        FrequencyCap { scope: CapScope::Person, most: 2, hours: 7 * 24 },
        FrequencyCap { scope: CapScope::Account, most: 20, hours: 7 * 24 },
    ];
    Surroundings {
        policy: Some(ContactPolicy { id: ContactPolicyId(Uuid::from_u128(1)), version: 1, caps }),
        accounts: BTreeMap::new(),
        mailboxes: (0..8).map(mailbox).collect(),
        paces: BTreeMap::new(),
        calendars: Calendars::new(),
        capacities: [("".to_owned(), 200)].into(),
        sender: Mailbox::named("Tandem", "tandem@example.com"),
        fields: None,
        answers: Default::default(),
    }
}

/// What the process has used of processors, where the system tells it, in hundredths of a second.
fn used() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn timed<T>(rounds: u64, mut work: impl FnMut() -> T) -> Duration {
    let (began, clock) = (used(), Instant::now());
    for _ in 0..rounds {
        black_box(work());
    }
    match (began, used()) {
        (Some(before), Some(after)) => (after - before).max(Duration::from_millis(1)),
        _ => clock.elapsed(),
    }
}

fn contact_days(criterion: &mut Criterion) {
    let by =
        By { sequence: SequenceId(Uuid::from_u128(1)), version: SequenceVersionId(Uuid::from_u128(2)), user: None };
    let (sequence, version) = publish(None, PROGRAMME, by, now()).unwrap().next;
    let programme = Programme { sequence: &sequence, version: &version };
    let (everybody, around) = (people(PEOPLE), surroundings());
    let plan = Plan {
        start: now(),
        days: DAYS,
        seed: 7,
        zone: Tz::UTC,
        entering: Entering::Over(30),
        assumptions: Assumptions {
            emails: [
                (tandem_domain::sequence::simulation::Reaction::Open, "0.4".parse().unwrap()),
                (tandem_domain::sequence::simulation::Reaction::Reply, "0.02".parse().unwrap()),
            ]
            .into(),
            ..Assumptions::default()
        },
        follow: Follow::default(),
        most_beats: None,
    };
    let seen = simulate_many(&programme, &everybody, &around, &plan).unwrap();
    let totals = &seen.totals;
    println!(
        "{} began, {} e-mails, {} tasks, {} effects, {} ended, {} running",
        totals.began, totals.emails, totals.tasks, totals.effects, totals.ended, totals.running
    );
    let happened: u64 = seen.plans.iter().map(|plan| plan.marks.len() as u64).sum();

    let mut group = criterion.benchmark_group("contact-days");
    group.sample_size(10);
    group.throughput(Throughput::Elements(PEOPLE as u64 * u64::from(DAYS)));
    group.bench_function("floor: data copied, moments queued", |bench| {
        bench.iter_custom(|rounds| {
            timed(rounds, || {
                let data: Vec<Value> = everybody.iter().map(|person| person.data.clone()).collect();
                let mut queue: BinaryHeap<Reverse<(DateTime<Utc>, u64)>> = (0..happened)
                    .map(|at| Reverse((now() + TimeDelta::seconds((at * 7_919 % 7_776_000) as i64), at)))
                    .collect();
                let mut last = now();
                while let Some(Reverse((at, _))) = queue.pop() {
                    last = at;
                }
                (data, last)
            })
        });
    });
    group.bench_function("simulate_many, 20,000 people", |bench| {
        bench.iter_custom(|rounds| timed(rounds, || simulate_many(&programme, &everybody, &around, &plan).unwrap()));
    });
    group.finish();

    // The plan for one sample person, as it was before there were many: with a stack of its own for every expression.
    let few: Vec<Value> = (0..100).map(known).collect();
    let mut group = criterion.benchmark_group("contact-days, one by one");
    group.sample_size(10);
    group.throughput(Throughput::Elements(few.len() as u64 * u64::from(DAYS)));
    group.bench_function("simulate, 100 people", |bench| {
        bench.iter_custom(|rounds| {
            timed(rounds, || {
                for data in &few {
                    black_box(simulate(&version.definition, data, Tz::UTC, now(), &Calendars::new()));
                }
            })
        });
    });
    group.finish();
}

criterion_group!(benches, contact_days);
criterion_main!(benches);
