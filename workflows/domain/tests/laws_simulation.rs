//! Laws of the simulation of many people, over random people, rules and seeds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::calendar::Calendars;
use tandem_domain::contact_policy::{CapScope, ContactPolicy, FrequencyCap};
use tandem_domain::email::Mailbox;
use tandem_domain::id::{
    AccountId, ContactId, ContactPolicyId, InteractionId, SendingMailboxId, SequenceId, SequenceVersionId,
};
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sending_mailbox::{MailboxState, RampUp, SendingMailbox};
use tandem_domain::sequence::publishing::{By, publish};
use tandem_domain::sequence::simulation::{
    Assumptions, Entering, Follow, Line, Mark, Person, Plan, Programme, Rate, Reaction, Simulation, Surroundings, What,
    compare, sample, simulate, simulate_many,
};
use tandem_domain::sequence::trigger::Event;
use tandem_domain::sequence::{Sequence, SequenceVersion};
use tandem_domain::standing::Standing;
use uuid::Uuid;

const PROGRAMME: &str = "
key: laws
name: Laws
subject: contact
entry: contact.email != null
exit: \"'left' in contact.tags\"
send_window: { from: '09:00', to: '17:00' }
triggers: [{ kind: event, event: [FORM], when: event.name == 'Demo', vars: { form: event.name } }]
steps:
  - {id: which, kind: split, variants: [{key: a, weight: 1, then: one}, {key: b, weight: 2, then: two}]}
  - {id: one, kind: send_email, pool: out, next: pause, template: {subject: 'One', text: 'Hi {{ contact.first_name }} of {{ account.name }}'}}
  - {id: two, kind: send_email, pool: out, template: {subject: 'Two', text: 'Hello from {{ sender.name }}'}}
  - {id: pause, kind: wait, duration: 2d}
  - {id: hears, kind: wait_for, event: [EMAIL_OPEN, DOWNLOAD], timeout: 5d, on_timeout: again}
  - {id: tags, kind: tag, of: account, add: [warm]}
  - {id: again, kind: send_email, template: {subject: 'Again', text: 'Once more'}}
  - {id: call, kind: create_task, title: 'Call {{ contact.name }}', due_in: 2d, wait: true, timeout: 3d, on: {not_interested: leave}}
  - {id: last, kind: send_email, pool: out, template: {subject: 'Last', text: 'Bye'}}
  - {id: done, kind: end}
  - {id: leave, kind: tag, add: [left]}
  - {id: later, kind: wait, duration: 1d}
  - {id: gone, kind: end, outcome: exit}
";

fn start() -> DateTime<Utc> {
    "2026-03-05T06:30:00Z".parse().unwrap()
}

fn published(source: &str) -> (Sequence, SequenceVersion) {
    let by =
        By { sequence: SequenceId(Uuid::from_u128(1)), version: SequenceVersionId(Uuid::from_u128(2)), user: None };
    publish(None, source, by, start()).unwrap().next
}

fn play(source: &str, people: &[Person], around: &Surroundings, plan: &Plan) -> Simulation {
    let (sequence, version) = published(source);
    simulate_many(&Programme { sequence: &sequence, version: &version }, people, around, plan).unwrap()
}

fn event(number: u128, kind: InteractionKind, name: &str, after: TimeDelta) -> Event {
    Event {
        id: InteractionId(Uuid::from_u128(number)),
        kind,
        name: name.to_owned(),
        url: None,
        seconds: None,
        occurred_at: start() + after,
        properties: Map::new(),
    }
}

fn person(number: u128) -> impl Strategy<Value = Person> {
    let zones = prop::sample::select(vec![Tz::Europe__Berlin, Tz::America__New_York, Tz::Asia__Shanghai, Tz::UTC]);
    let standings = prop::sample::select(vec![
        Standing::Allowed,
        Standing::Allowed,
        Standing::Allowed,
        Standing::Unknown,
        Standing::Suppressed,
        Standing::Withdrawn,
        Standing::Bounced,
        Standing::OptedOut,
    ]);
    let kinds = prop::sample::select(vec![
        (InteractionKind::Download, "Guide"),
        (InteractionKind::Form, "Demo"),
        (InteractionKind::Meeting, "Call"),
        (InteractionKind::EmailReply, "Re"),
    ]);
    let history = prop::collection::vec((kinds, 0_i64..20 * 24), 0..4);
    let touched = prop::collection::vec(1_i64..200, 0..4);
    (zones, standings, history, touched, any::<bool>()).prop_map(move |(zone, standing, history, touched, named)| {
        let mut data = sample();
        data["contact"]["id"] = json!(Uuid::from_u128(number));
        data["contact"]["email"] = json!(format!("p{number}@example.com"));
        if !named {
            data["contact"]["first_name"] = json!(null);
        }
        data["lead"] = json!(null);
        Person {
            contact: ContactId(Uuid::from_u128(number)),
            lead: None,
            account: (!number.is_multiple_of(5)).then(|| AccountId(Uuid::from_u128(number % 3))),
            zone,
            standing,
            data,
            touched: touched.into_iter().map(|hours| start() - TimeDelta::hours(hours)).collect(),
            history: (0..)
                .zip(history)
                .map(|(at, ((kind, name), hours))| event(number * 100 + at, kind, name, TimeDelta::hours(hours)))
                .collect(),
        }
    })
}

fn people() -> impl Strategy<Value = Vec<Person>> {
    (1_u128..14).prop_flat_map(|count| (0..count).map(person).collect::<Vec<_>>())
}

fn mailbox(number: u128, daily_cap: u32, interval: u32, ramp_up: Option<RampUp>) -> SendingMailbox {
    SendingMailbox {
        id: SendingMailboxId(Uuid::from_u128(number)),
        address: format!("m{number}@example.com"),
        name: Some("Lin".to_owned()),
        reply_to: None,
        pool: "out".to_owned(),
        zone: if number == 0 { Tz::UTC } else { Tz::America__New_York },
        daily_cap,
        ramp_up,
        interval,
        state: MailboxState::Active,
        version: 1,
    }
}

fn surroundings() -> impl Strategy<Value = Surroundings> {
    let caps = (prop::option::of(1_u32..3), prop::option::of(1_u32..5));
    (caps, 1_u32..4, prop::sample::select(vec![0_u32, 90, 3_600]), any::<bool>()).prop_map(
        |((person, account), cap, interval, grows)| {
            let person = person.map(|most| FrequencyCap { scope: CapScope::Person, most, hours: 72 });
            let account = account.map(|most| FrequencyCap { scope: CapScope::Account, most, hours: 48 });
            let ramp_up = grows.then(|| RampUp { from: start().date_naive(), start: 1, per_day: 1 });
            Surroundings {
                policy: Some(ContactPolicy {
                    id: ContactPolicyId(Uuid::from_u128(1)),
                    version: 3,
                    caps: person.into_iter().chain(account).collect(),
                }),
                accounts: BTreeMap::new(),
                mailboxes: vec![mailbox(0, cap, interval, ramp_up), mailbox(1, cap + 1, 0, None)],
                paces: BTreeMap::new(),
                calendars: Calendars::new(),
                capacities: [(String::new(), 2)].into(),
                sender: Mailbox::named("Tandem", "tandem@example.com"),
                fields: None,
                answers: Default::default(),
            }
        },
    )
}

fn plans() -> impl Strategy<Value = Plan> {
    let entering =
        prop::sample::select(vec![Entering::AtOnce, Entering::Over(5), Entering::Over(10), Entering::Triggered]);
    (entering, any::<u64>(), any::<bool>()).prop_map(|(entering, seed, lively)| {
        let half = Rate::per_million(500_000);
        let mut assumptions = Assumptions::default();
        if lively {
            assumptions.emails = Reaction::ALL.iter().map(|reaction| (*reaction, Rate::per_million(150_000))).collect();
            assumptions.tasks = [
                (tandem_domain::sequence::enrollment::TaskEnd::Done, half),
                (tandem_domain::sequence::enrollment::TaskEnd::NotInterested, Rate::per_million(300_000)),
            ]
            .into();
            assumptions.events = [(InteractionKind::Download, half)].into();
        }
        let follow = Follow { people: BTreeSet::new(), first: usize::MAX };
        Plan { start: start(), days: 60, seed, zone: Tz::UTC, entering, assumptions, follow, most_beats: None }
    })
}

fn marks(simulation: &Simulation, what: What) -> Vec<(usize, &Mark)> {
    let all = simulation.plans.iter().enumerate();
    all.flat_map(|(person, plan)| plan.marks.iter().map(move |mark| (person, mark)))
        .filter(|(_, mark)| mark.what == what)
        .collect()
}

fn count(simulation: &Simulation, what: What) -> u64 {
    marks(simulation, what).len() as u64
}

/// Whether every span of the cap's hours holds at most as many of these as it allows.
fn keeps(cap: &FrequencyCap, mut moments: Vec<DateTime<Utc>>) -> bool {
    moments.sort_unstable();
    let most = cap.most as usize;
    // What lies before the beginning is given, and may break any cap.
    moments.windows(most + 1).all(|span| span[most] < start() || span[most] - span[0] >= cap.window())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_same_seed_gives_the_same_whatever_the_order_of_the_people(
        people in people(), around in surroundings(), plan in plans(), turn in 0_usize..14,
    ) {
        let first = play(PROGRAMME, &people, &around, &plan);
        let mut others = people.clone();
        others.reverse();
        let turn = turn % others.len();
        others.rotate_left(turn);
        // Whoever is named twice takes part once.
        others.push(people[0].clone());
        for person in &mut others {
            person.history.reverse();
            person.touched.reverse();
        }
        let again = play(PROGRAMME, &others, &around, &plan);
        prop_assert_eq!(&first, &again);
        let difference = compare(&first, &again, 10);
        prop_assert_eq!((difference.people, difference.days.len(), difference.steps.len()), (0, 0, 0));
    }

    #[test]
    fn no_cap_no_window_and_no_mailbox_is_ever_broken(people in people(), around in surroundings(), plan in plans()) {
        let simulation = play(PROGRAMME, &people, &around, &plan);
        let sent = marks(&simulation, What::Email);
        for cap in &around.policy.as_ref().unwrap().caps {
            match cap.scope {
                CapScope::Person => for (place, person) in people.iter().enumerate() {
                    let moments = sent.iter().filter(|(of, _)| *of == place).map(|(_, mark)| mark.at);
                    prop_assert!(keeps(cap, moments.chain(person.touched.iter().copied()).collect()), "{}", cap);
                },
                CapScope::Account => for account in people.iter().filter_map(|person| person.account) {
                    let moments = sent.iter().filter(|(of, _)| people[*of].account == Some(account));
                    prop_assert!(keeps(cap, moments.map(|(_, mark)| mark.at).collect()), "{}", cap);
                },
            }
        }
        for (person, mark) in sent {
            let local = mark.at.with_timezone(&people[person].zone);
            prop_assert!((9..17).contains(&local.hour()), "{local}");
            prop_assert!(!matches!(local.weekday(), Weekday::Sat | Weekday::Sun), "{local}");
        }
        for load in &simulation.mailboxes {
            prop_assert!(load.cap.is_none_or(|cap| load.emails <= cap), "{load:?}");
        }
    }

    #[test]
    fn nobody_who_may_not_be_written_to_gets_anything(people in people(), around in surroundings(), plan in plans()) {
        let simulation = play(PROGRAMME, &people, &around, &plan);
        for (person, plan) in people.iter().zip(&simulation.plans) {
            let mailed = plan.marks.iter().any(|mark| mark.what == What::Email);
            prop_assert!(!mailed || person.standing == Standing::Allowed, "{:?}", person.standing);
            if !matches!(person.standing, Standing::Allowed | Standing::Unknown) {
                prop_assert!(plan.marks.iter().all(|mark| mark.what == What::NotTaken), "{:?}", plan.marks);
            }
        }
    }

    #[test]
    fn the_totals_are_the_sums_of_everybody_s_plan(people in people(), around in surroundings(), plan in plans()) {
        let simulation = play(PROGRAMME, &people, &around, &plan);
        let totals = &simulation.totals;
        for (total, what) in [
            (totals.began, What::Began), (totals.emails, What::Email), (totals.tasks, What::Task),
            (totals.effects, What::Effect), (totals.ended, What::Ended), (totals.not_taken, What::NotTaken),
        ] {
            prop_assert_eq!(total, count(&simulation, what), "{}", what);
        }
        prop_assert_eq!(totals.began, totals.ended + totals.running);
        let days = |of: fn(&tandem_domain::sequence::simulation::DayCount) -> u64| simulation.days.iter().map(of).sum::<u64>();
        prop_assert_eq!((days(|day| day.emails), days(|day| day.tasks)), (totals.emails, totals.tasks));
        prop_assert_eq!((days(|day| day.began), days(|day| day.ended)), (totals.began, totals.ended));
        prop_assert_eq!(simulation.mailboxes.iter().map(|load| u64::from(load.emails)).sum::<u64>(), totals.emails);
        prop_assert_eq!(simulation.queues.iter().map(|load| load.tasks).sum::<u64>(), totals.tasks);
        prop_assert_eq!(simulation.ends.values().sum::<u64>(), totals.ended);
        prop_assert_eq!(simulation.running.values().sum::<u64>(), totals.running);
        prop_assert_eq!(simulation.steps.iter().map(|step| step.waiting).sum::<u64>(), totals.running);
        let step = |id: &str| simulation.steps.iter().find(|step| step.step == id).unwrap();
        prop_assert_eq!(step("call").done, totals.tasks);
        prop_assert!(simulation.steps.iter().all(|step| step.entered == step.done + step.waiting + step.left));
        let holds = &simulation.holds;
        let held = holds.caps.iter().map(|cap| cap.hold.times).sum::<u64>()
            + holds.window.times + holds.mailbox.times + holds.pool.times + holds.consent.times;
        prop_assert_eq!(held, count(&simulation, What::Held));
    }

    #[test]
    fn one_person_whom_nothing_holds_back_gets_what_the_sample_gets(zone in prop::sample::select(vec![Tz::UTC, Tz::Asia__Shanghai])) {
        let source = PROGRAMME.replace("pool: out, ", "");
        let (_, version) = published(&source);
        let lines = simulate(&version.definition, &sample(), zone, start(), &Calendars::new());
        let person = Person {
            contact: ContactId(Uuid::nil()), lead: None, account: None, zone, standing: Standing::Allowed,
            data: sample(), touched: Vec::new(), history: Vec::new(),
        };
        let around = Surroundings {
            policy: None, accounts: BTreeMap::new(), mailboxes: Vec::new(), paces: BTreeMap::new(),
            calendars: Calendars::new(), capacities: BTreeMap::new(), sender: Mailbox::named("Tandem", "tandem@example.com"), fields: None, answers: Default::default(),
        };
        let plan = Plan {
            start: start(), days: 365, seed: 0, zone, entering: Entering::AtOnce, assumptions: Assumptions::default(),
            follow: Follow { people: BTreeSet::new(), first: 1 }, most_beats: None,
        };
        let simulation = play(&source, &[person], &around, &plan);
        prop_assert_eq!(&simulation.plans[0].lines, &lines);
    }
}

#[test]
fn a_programme_that_is_cut_off_says_so() {
    let plan = Plan {
        start: start(),
        days: 60,
        seed: 1,
        zone: Tz::UTC,
        entering: Entering::AtOnce,
        assumptions: Assumptions::nobody(),
        follow: Follow::default(),
        most_beats: Some(3),
    };
    let around = Surroundings {
        policy: None,
        accounts: BTreeMap::new(),
        mailboxes: vec![mailbox(0, 5, 0, None)],
        paces: BTreeMap::new(),
        calendars: Calendars::new(),
        capacities: BTreeMap::new(),
        sender: Mailbox::bare("tandem@example.com"),
        fields: None,
        answers: Default::default(),
    };
    let person = Person {
        contact: ContactId(Uuid::from_u128(4)),
        lead: None,
        account: None,
        zone: Tz::UTC,
        standing: Standing::Allowed,
        data: sample(),
        touched: Vec::new(),
        history: Vec::new(),
    };
    let cut = play(PROGRAMME, std::slice::from_ref(&person), &around, &plan);
    assert!(cut.cut_at.is_some());
    let whole = play(PROGRAMME, &[person], &around, &Plan { most_beats: None, ..plan });
    assert_eq!(whole.cut_at, None);
    assert_eq!(whole.end, start() + TimeDelta::days(60));
    // Nobody does the task, and the run goes on without.
    assert_eq!(whole.totals.emails, 3);
    assert_eq!(whole.ends, [("FINISHED(COMPLETED)".to_owned(), 1)].into());
    let first: NaiveDate = "2026-03-05".parse().unwrap();
    assert_eq!(whole.days[0].date, first);
}

#[test]
fn a_day_of_a_plan_is_a_calendar_day_in_its_zone() {
    let source = "key: k\nname: K\nsubject: contact\nsteps:\n  - {id: pause, kind: wait, duration: 12h}\n  - {id: a, kind: tag, add: [a]}\n\
                  \x20 - {id: rest, kind: wait, duration: 13h}\n  - {id: done, kind: end}\n";
    // A Monday at 21:00 in Berlin; the day there ends three hours later.
    let (start, zone) = ("2026-11-30T20:00:00Z".parse().unwrap(), Tz::Europe__Berlin);
    let (_, version) = published(source);
    let lines = simulate(&version.definition, &sample(), zone, start, &Calendars::new());
    let person = somebody(1, Tz::America__New_York, Standing::Allowed);
    let plan = quiet(start, 9, zone);
    let around = nothing_around();
    let over_people = play(source, &[person], &around, &plan);
    for lines in [&lines, &over_people.plans[0].lines] {
        let days: Vec<(&str, i64)> = lines.iter().map(|line| (line.step.as_str(), line.day)).collect();
        assert_eq!(days, [("pause", 1), ("a", 2), ("rest", 2), ("done", 2)], "{lines:#?}");
    }
    assert_eq!(over_people.days.iter().map(|day| day.date.day()).collect::<Vec<_>>(), [30, 1]);
}

fn somebody(number: u128, zone: Tz, standing: Standing) -> Person {
    Person {
        contact: ContactId(Uuid::from_u128(number)),
        lead: None,
        account: None,
        zone,
        standing,
        data: sample(),
        touched: Vec::new(),
        history: Vec::new(),
    }
}

fn nothing_around() -> Surroundings {
    Surroundings {
        policy: None,
        accounts: BTreeMap::new(),
        mailboxes: Vec::new(),
        paces: BTreeMap::new(),
        calendars: Calendars::new(),
        capacities: BTreeMap::new(),
        sender: Mailbox::bare("tandem@example.com"),
        fields: None,
        answers: Map::new(),
    }
}

fn quiet(start: DateTime<Utc>, days: u32, zone: Tz) -> Plan {
    let follow = Follow { people: BTreeSet::new(), first: usize::MAX };
    let assumptions = Assumptions::nobody();
    Plan { start, days, seed: 1, zone, entering: Entering::AtOnce, assumptions, follow, most_beats: None }
}

fn said(lines: &[Line]) -> Vec<(&str, &str)> {
    lines.iter().map(|line| (line.step.as_str(), line.what.as_str())).collect()
}

#[test]
fn what_holds_a_run_up_is_told_once_where_it_is_held_and_where_it_stands_in_the_end() {
    let source = "key: k\nname: K\nsubject: contact\nsteps:\n\
                  \x20 - {id: which, kind: branch, when: 'true', then: mail, else: done}\n\
                  \x20 - {id: mail, kind: send_email, pool: nowhere, template: {subject: S, text: T}}\n\
                  \x20 - {id: done, kind: end}\n";
    // The one has agreed, and no mailbox is there; the other is held up by what is not known.
    let of = |source: &str, standing, most_beats| {
        let plan = Plan { most_beats, ..quiet(start(), 90, Tz::UTC) };
        play(source, &[somebody(1, Tz::UTC, standing)], &nothing_around(), &plan)
    };
    let pool = of(source, Standing::Allowed, None);
    assert_eq!(pool.running, [("WAITING(POOL_WITHOUT_MAILBOX)".to_owned(), 1)].into());
    assert_eq!(said(&pool.plans[0].lines), [("mail", "wait (POOL_WITHOUT_MAILBOX)")]);
    let held = pool.holds.pool;
    assert_eq!((held.people, held.times, held.minutes), (1, 1, 90 * 24 * 60));
    assert_eq!(pool.plans[0].state.as_deref(), Some("WAITING(EVENT)"), "what is stored stays what it is");
    assert_eq!(of(source, Standing::Allowed, Some(5)).cut_at, None, "it is not looked at again and again");
    let consent = of(&source.replace("pool: nowhere, ", ""), Standing::Unknown, None);
    assert_eq!(consent.running, [("WAITING(CONSENT_UNKNOWN)".to_owned(), 1)].into());
    assert_eq!((consent.holds.consent.people, consent.holds.consent.times), (1, 1));
    let told = said(&consent.plans[0].lines);
    assert!(matches!(told[..], [("mail", what)] if what.starts_with("wait (CONSENT_UNKNOWN) until ")), "{told:?}");
}

#[test]
fn lines_say_which_variant_it_is_and_at_which_step_a_run_waits_in_the_person_s_zone() {
    let source = "key: k\nname: K\nsubject: contact\nsend_window: { from: '09:00', to: '17:00' }\nsteps:\n\
                  \x20 - {id: which, kind: split, variants: [{key: a, weight: 1, then: mail}, {key: b, weight: 1, then: mail}]}\n\
                  \x20 - {id: mail, kind: send_email, template: {subject: S, text: T}}\n\
                  \x20 - {id: pause, kind: wait, duration: 1d}\n\
                  \x20 - {id: call, kind: create_task, title: Call, due_in: 1d}\n\
                  \x20 - {id: done, kind: end}\n";
    // It is half past two at night in Shanghai.
    let begins: DateTime<Utc> = "2026-03-04T18:30:00Z".parse().unwrap();
    let person = somebody(1, Tz::Asia__Shanghai, Standing::Allowed);
    let simulation = play(source, &[person], &nothing_around(), &quiet(begins, 9, Tz::UTC));
    let lines = &simulation.plans[0].lines;
    let (_, version) = published(source);
    let sampled = simulate(&version.definition, &sample(), Tz::Asia__Shanghai, begins, &Calendars::new());
    for lines in [lines, &sampled] {
        assert!(matches!(lines[0].what.as_str(), "variant a" | "variant b") && lines[0].step == "which", "{lines:#?}");
        let rest = [
            ("mail", "wait (WINDOW) until Thu 2026-03-05 09:00 +08:00"),
            ("mail", "send e-mail \"S\""),
            ("pause", "wait (TIME) until Fri 2026-03-06 09:00 +08:00"),
            ("call", "create task \"Call\", due Sat 2026-03-07 09:00 +08:00"),
            ("done", "end: FINISHED(COMPLETED)"),
        ];
        assert_eq!(said(lines)[1..], rest);
    }
    assert_eq!((simulation.plans[0].zone, simulation.holds.window.times), (Tz::Asia__Shanghai, 1));
}

#[test]
fn a_lead_that_is_handed_to_the_sdrs_is_counted_in_their_queue_once() {
    let source = "key: k\nname: K\nsubject: contact\nsteps:\n  - {id: hand, kind: hand_to_sdr, team: Inbound}\n\
                  \x20 - {id: again, kind: hand_to_sdr, team: Inbound}\n  - {id: done, kind: end}\n";
    let mut people = [1, 2, 3].map(|number| somebody(number, Tz::UTC, Standing::Allowed));
    people[0].data["lead"]["stage"] = json!("QUEUED");
    people[1].data["lead"] = json!(null);
    let around = Surroundings { capacities: [("Inbound".to_owned(), 1)].into(), ..nothing_around() };
    let simulation = play(source, &people, &around, &quiet(start(), 9, Tz::UTC));
    let queues: Vec<_> =
        simulation.queues.iter().map(|load| (load.team.as_deref(), load.leads, load.tasks, load.over)).collect();
    assert_eq!(queues, [(Some("Inbound"), 2, 0, false)]);
}

#[test]
fn everybody_s_calls_keep_the_answer_that_is_given() {
    let source = "key: k\nname: K\nsubject: contact\nsteps:\n  - {id: score, kind: call_webhook, channel: c, body: '1', as: found}\n\
                  \x20 - {id: high, kind: branch, when: enrollment.vars.found.points > 60, then: call, else: done}\n\
                  \x20 - {id: call, kind: create_task, title: Call, due_in: 1d}\n  - {id: done, kind: end}\n";
    let answers = json!({"score": {"points": 70}}).as_object().unwrap().clone();
    let around = Surroundings { answers, ..nothing_around() };
    let people = [1, 2].map(|number| somebody(number, Tz::UTC, Standing::Allowed));
    let simulation = play(source, &people, &around, &quiet(start(), 9, Tz::UTC));
    assert_eq!((simulation.totals.tasks, simulation.ends.get("FINISHED(COMPLETED)")), (2, Some(&2)));
}
