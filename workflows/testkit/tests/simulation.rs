//! What a simulation over real people says is what happens when the clock really runs, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::accounts::AccountCreate;
use tandem_app::contacts::{ContactChange, ContactCreate};
use tandem_app::sequence::{Simulated, SimulationAsk, Who};
use tandem_app::{
    ContactPolicySave, CustomFieldChange, CustomFieldDefine, EnrollmentCreate, InteractionRecord, SendingMailboxSave,
    SequencePublish, SuppressionAdd,
};
use tandem_domain::access::Role;
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::ContactPatch;
use tandem_domain::contact_policy::{CapScope, FrequencyCap, PolicyDraft};
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::edit::Edit;
use tandem_domain::email::EmailState;
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::sending_mailbox::{MailboxDraft, RampUp};
use tandem_domain::sequence::Enrollment;
use tandem_domain::sequence::simulation::{Assumptions, Entering, Follow, Rate, Reaction, What};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

const PROGRAMME: &str = "
key: nurture
name: Nurture
subject: contact
entry: contact.email != null
goal: \"'won' in account.tags\"
send_window: { from: '09:00', to: '17:00' }
steps:
  - {id: which, kind: split, variants: [{key: a, weight: 1, then: one}, {key: b, weight: 1, then: two}]}
  - {id: one, kind: send_email, pool: outreach, next: pause, template: {subject: 'One', text: 'Hi {{ contact.name }}'}}
  - {id: two, kind: send_email, pool: outreach, template: {subject: 'Two', text: 'From {{ sender.name }}'}}
  - {id: pause, kind: wait, duration: 1d}
  - {id: hears, kind: wait_for, event: [DOWNLOAD, FORM], timeout: 4d, on_timeout: again}
  - {id: likes, kind: branch, when: enrollment.event.kind == 'FORM', then: win, else: again}
  - {id: win, kind: tag, of: account, add: [won]}
  - {id: mail, kind: send_email, template: {subject: 'Thanks', text: 'Thank you'}}
  - {id: again, kind: send_email, pool: outreach, template: {subject: 'Again', text: 'Once more'}}
  - {id: call, kind: create_task, title: 'Call {{ contact.name }}', due_in: 2d, wait: true, timeout: 3d}
  - {id: last, kind: send_email, template: {subject: 'Last', text: 'Bye'}}
  - {id: done, kind: end}
";

const DAYS: u32 = 40;

async fn publish(world: &World, source: &str) -> tandem_domain::id::SequenceId {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0.id
}

async fn company(world: &World, name: &str) -> AccountId {
    let create = AccountCreate { account: AccountPatch { name: Some(name.to_owned()), ..AccountPatch::default() } };
    world.app.run(&world.system(), create).await.unwrap().record.id
}

async fn person(world: &World, number: usize, account: Option<AccountId>) -> ContactId {
    let zones = ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "UTC"];
    let consent = if number % 11 == 5 { "UNKNOWN" } else { "GRANTED" };
    let contact = serde_json::from_value(json!({
        "name": format!("Person {number}"), "email": (number % 13 != 7).then(|| format!("p{number}@example.com")),
        "account": account, "time_zone": zones[number % 4], "phone": format!("+493012345{number:02}"),
        "consent": {"state": consent, "source": "form"},
    }));
    let create = ContactCreate { contact: contact.unwrap(), default_region: None };
    world.app.run(&world.system(), create).await.unwrap().record.id
}

async fn mailbox(world: &World, address: &str, daily_cap: u32, interval: u32, ramp_up: Option<RampUp>) {
    let draft = MailboxDraft {
        address: address.to_owned(),
        name: Some("Lin".to_owned()),
        reply_to: None,
        pool: "outreach".to_owned(),
        zone: if interval == 0 { Tz::America__New_York } else { Tz::UTC },
        daily_cap,
        ramp_up,
        interval,
    };
    world.app.run(&world.system(), SendingMailboxSave { draft }).await.unwrap();
}

async fn caps(world: &World, caps: &[(CapScope, u32, u32)]) {
    let caps = caps.iter().map(|(scope, most, hours)| FrequencyCap { scope: *scope, most: *most, hours: *hours });
    let save = ContactPolicySave { draft: PolicyDraft { caps: caps.collect() } };
    world.app.run(&world.system(), save).await.unwrap();
}

async fn does(world: &World, contact: ContactId, kind: InteractionKind) {
    let name = kind.as_str().to_owned();
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties: Map::new() };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
}

/// Plays the time until a moment, job by job in the order in which they fall due.
async fn play(world: &World, until: DateTime<Utc>) {
    world.run_due_jobs().await;
    loop {
        let pending = world.app.store.pending_jobs().await.unwrap();
        let Some(next) = pending.iter().map(|(_, _, due)| *due).min().filter(|due| *due <= until) else { break };
        world.pass((next - world.now()).max(TimeDelta::zero())).await;
    }
    world.pass((until - world.now()).max(TimeDelta::zero())).await;
}

fn ask(who: Who) -> SimulationAsk {
    SimulationAsk {
        source: PROGRAMME.to_owned(),
        against: None,
        who,
        most: 1_000,
        start: None,
        days: DAYS,
        seed: 7,
        zone: Tz::UTC,
        entering: Entering::AtOnce,
        assumptions: Assumptions::nobody(),
        answers: None,
        publisher: None,
        history: None,
        tasks_a_day: None,
        follow: Follow::default(),
        most_beats: None,
    }
}

async fn simulated(world: &World, ask: &SimulationAsk) -> Simulated {
    world.app.sequence_simulate_contacts(ask).await.unwrap().unwrap()
}

/// What happened to somebody: the e-mails that went out by step and moment, when tasks were due, and the end.
#[derive(Debug, Default, PartialEq)]
struct Happened {
    emails: Vec<(String, DateTime<Utc>)>,
    tasks: Vec<DateTime<Utc>>,
    state: String,
    ended_at: Option<DateTime<Utc>>,
}

fn foretold(simulated: &Simulated) -> BTreeMap<ContactId, Happened> {
    let of = |plan: &tandem_domain::sequence::simulation::PersonPlan| {
        let marks = |what: What| plan.marks.iter().filter(move |mark| mark.what == what);
        Happened {
            emails: marks(What::Email).map(|mark| (mark.step.to_string(), mark.at)).collect(),
            tasks: marks(What::Task).map(|mark| mark.at + TimeDelta::days(2)).collect(),
            state: plan.state.clone().unwrap_or_default(),
            ended_at: marks(What::Ended).map(|mark| mark.at).next(),
        }
    };
    simulated.simulation.plans.iter().map(|plan| (plan.contact, of(plan))).collect()
}

async fn executed(world: &World, runs: &BTreeMap<ContactId, Option<Enrollment>>) -> BTreeMap<ContactId, Happened> {
    let mut happened: BTreeMap<ContactId, Happened> =
        runs.keys().map(|contact| (*contact, Happened::default())).collect();
    for email in world.app.store.email_page(&EmailFilter::default(), &Page::first(1_000)).await.unwrap().items {
        if email.state == EmailState::Sent && email.enrollment.is_some() {
            let one = happened.get_mut(&email.contact).unwrap();
            one.emails.push((email.step, email.begun_at.unwrap()));
        }
    }
    for item in world.app.store.work_item_page(&WorkItemFilter::default(), &Page::first(1_000)).await.unwrap().items {
        happened.get_mut(&item.contact).unwrap().tasks.push(item.due_at);
    }
    for (contact, run) in runs {
        let one = happened.get_mut(contact).unwrap();
        one.emails.sort_by_key(|(_, at)| *at);
        one.tasks.sort_unstable();
        if let Some(run) = run {
            let now: Enrollment = world.app.store.find(run.id).await.unwrap().unwrap();
            (one.state, one.ended_at) = (now.state.to_string(), now.ended_at);
        }
    }
    happened
}

on_both_databases! {
    async fn whom_it_is_about_and_what_differs_from_a_version_is_what_was_asked(world: World) {
        let acme = company(&world, "Acme").await;
        let mut people = Vec::new();
        for number in 0..6 {
            people.push(person(&world, number, (number < 4).then_some(acme)).await);
        }
        mailbox(&world, "one@example.com", 40, 0, None).await;
        let sequence = publish(&world, PROGRAMME).await;
        let create = EnrollmentCreate { sequence, contact: Some(people[0]), lead: None, vars: Map::new() };
        world.app.run(&world.system(), create).await.unwrap();
        let (sdr, _) = world.user("sdr", Role::Sdr, None).await;
        assert!(sdr.active);
        let (ledger, jobs) = (world.ledger().await.len(), world.job_kinds().await);

        let found = async |who: Who| {
            let simulated = simulated(&world, &ask(who)).await;
            simulated.simulation.plans.iter().map(|plan| plan.contact).collect::<BTreeSet<_>>()
        };
        assert_eq!(found(Who::Everybody).await, people.iter().copied().collect());
        assert_eq!(found(Who::InSequence("nurture".to_owned())).await, [people[0]].into());
        assert_eq!(found(Who::Where("account != null".to_owned())).await, people[..4].iter().copied().collect());
        assert_eq!(found(Who::These([people[3], people[5]].into())).await, [people[3], people[5]].into());

        let few = simulated(&world, &SimulationAsk { most: 2, ..ask(Who::Everybody) }).await;
        assert_eq!((few.simulation.people, few.left_out), (2, true));

        // The tasks of four people on one day are more than one SDR does, and those of the version before were none.
        let without = PROGRAMME.replace("pool: outreach, ", "");
        publish(&world, &without).await;
        let assumptions = Assumptions { emails: [(Reaction::Bounce, Rate::ALL)].into(), ..Assumptions::default() };
        let asked = SimulationAsk {
            against: Some(("nurture".to_owned(), None)),
            tasks_a_day: Some(1),
            follow: Follow { people: BTreeSet::new(), first: 1 },
            ..ask(Who::Everybody)
        };
        let compared = simulated(&world, &asked).await;
        let (rule, difference) = compared.against.unwrap();
        assert_eq!((rule.as_str(), compared.simulation.rule.as_str()), ("nurture@2", "nurture@3"));
        assert_eq!(difference.people, 0, "who gets what when is the same from one mailbox as from another");
        assert!(!difference.mailboxes.is_empty(), "but the mailboxes are others");
        assert!(compared.simulation.queues.iter().any(|load| load.over && load.capacity == Some(1)));
        assert_eq!(compared.simulation.followed().count(), 1);
        let bounced = simulated(&world, &SimulationAsk { assumptions, ..ask(Who::Everybody) }).await;
        assert!(bounced.simulation.ends.get("BOUNCED").is_some_and(|count| *count >= 4), "{:?}", bounced.simulation.ends);

        for (code, wrong) in [
            ("SIMULATION_LIST_UNKNOWN", ask(Who::OnList("none".to_owned()))),
            ("SIMULATION_SEQUENCE_UNKNOWN", ask(Who::InSequence("none".to_owned()))),
            ("SIMULATION_CONDITION_INVALID", ask(Who::Where("contact.nothing == 1".to_owned()))),
            ("SIMULATION_VERSION_UNKNOWN", SimulationAsk { against: Some(("nurture".to_owned(), Some(9))), ..asked.clone() }),
            ("SIMULATION_HISTORY_MISSING", SimulationAsk { entering: Entering::Triggered, ..ask(Who::Everybody) }),
        ] {
            assert_eq!(world.app.sequence_simulate_contacts(&wrong).await.unwrap_err().code(), code);
        }
        let published = world.ledger_kinds().await.iter().filter(|kind| *kind == "sequence.published").count();
        assert_eq!((world.ledger().await.len(), published), (ledger + 1, 2), "nothing but the publication is on record");
        let new: Vec<String> = world.job_kinds().await;
        assert_eq!(new.iter().filter(|kind| *kind == "deliver_email").count(), 0);
        assert!(new.len() <= jobs.len() + 1, "{new:?}");
    }

    async fn what_is_simulated_over_real_people_is_what_happens(world: World) {
        let began = world.now();
        let (acme, globex) = (company(&world, "Acme").await, company(&world, "Globex").await);
        let mut people = Vec::new();
        for number in 0..30 {
            let account = [Some(acme), Some(globex), None][number % 3];
            people.push(person(&world, number, account).await);
        }
        people.sort_unstable();
        let ramp_up = RampUp { from: (began + TimeDelta::days(12)).date_naive(), start: 2, per_day: 1 };
        mailbox(&world, "one@example.com", 4, 600, None).await;
        mailbox(&world, "two@example.com", 6, 0, Some(ramp_up)).await;
        caps(&world, &[(CapScope::Person, 2, 72), (CapScope::Account, 5, 48)]).await;
        let suppressed = SuppressionAdd {
            kind: SuppressionKind::Email,
            value: "p4@example.com".to_owned(),
            reason: SuppressionReason::Manual,
            source: "test".to_owned(),
        };
        world.app.run(&world.system(), suppressed).await.unwrap();

        // Ten days in which people do something, on record.
        let mut deeds = Vec::new();
        for (place, contact) in people.iter().enumerate().filter(|(place, _)| place.is_multiple_of(2)) {
            let kinds = [InteractionKind::Download, InteractionKind::Form, InteractionKind::Page, InteractionKind::Meeting];
            let kind = kinds[(place / 2) % 4];
            let after = TimeDelta::hours(20 + 9 * place as i64) + TimeDelta::seconds(17 + place as i64);
            deeds.push((after, *contact, kind));
        }
        deeds.sort_by_key(|(after, ..)| *after);
        for (after, contact, kind) in &deeds {
            play(&world, began + *after).await;
            does(&world, *contact, *kind).await;
        }
        play(&world, began + TimeDelta::days(14) + TimeDelta::hours(3)).await;

        let sequence = publish(&world, PROGRAMME).await;
        let start = world.now();
        let history = Some((began, began + TimeDelta::days(14)));
        let ask = SimulationAsk { history, ..ask(Who::Everybody) };
        let simulated = simulated(&world, &ask).await;
        let ledger = world.ledger().await.len();
        let plans = foretold(&simulated);
        assert_eq!((plans.len(), simulated.left_out), (30, false));
        assert_eq!(simulated.simulation.rule, "nurture@1");

        // Now it really happens.
        let mut runs: BTreeMap<ContactId, Option<Enrollment>> = BTreeMap::new();
        for contact in &people {
            let create = EnrollmentCreate { sequence, contact: Some(*contact), lead: None, vars: Map::new() };
            runs.insert(*contact, world.app.run(&world.system(), create).await.ok().map(|enrolled| enrolled.0));
        }
        for (after, contact, kind) in &deeds {
            play(&world, start + *after).await;
            does(&world, *contact, *kind).await;
        }
        play(&world, start + TimeDelta::days(DAYS.into()) - TimeDelta::seconds(1)).await;
        let happened = executed(&world, &runs).await;
        for (contact, plan) in &plans {
            assert_eq!(plan, &happened[contact], "{contact}");
        }
        assert!(world.ledger().await.len() > ledger, "the simulation itself left nothing on record");

        // It was no idle run: everything that holds an e-mail back did, and runs ended in every way.
        let (totals, holds) = (&simulated.simulation.totals, &simulated.simulation.holds);
        let ends = &simulated.simulation.ends;
        assert!(totals.emails > 25 && totals.tasks > 5 && totals.not_taken >= 3, "{totals:?}");
        let held = [holds.window, holds.mailbox, holds.consent].iter().all(|hold| hold.times > 0);
        assert!(held && holds.caps.iter().any(|cap| cap.hold.times > 0), "{holds:?} {ends:?}");
        let wanted = ["FINISHED(COMPLETED)", "FINISHED(GOAL)", "FINISHED(MEETING_BOOKED)"];
        assert!(wanted.iter().all(|end| ends.contains_key(*end)), "{holds:?} {ends:?}");
    }

    async fn a_field_takes_in_a_simulation_what_it_takes_when_the_run_is_real(world: World) {
        for (key, kind) in [("score", Kind::Number), ("plan", Kind::Text), ("old", Kind::Text)] {
            let define = CustomFieldDefine {
                entity: Entity::Contact,
                key: key.to_owned(),
                label: key.to_owned(),
                kind,
                choices: Vec::new(),
                required: false,
            };
            world.app.run(&world.system(), define).await.unwrap();
        }
        let people = [person(&world, 0, None).await, person(&world, 1, None).await];
        // The first is called by a number, which the field takes as one.
        let name = ContactPatch { name: Edit::Set("42".to_owned()), ..ContactPatch::default() };
        world.app.run(&world.system(), ContactChange { id: people[0], contact: name, default_region: None }).await.unwrap();
        let header = "key: fields\nname: Fields\nsubject: contact\nsteps:\n";
        let scored = "  - {id: s, kind: set_field, field: contact.score, expression: contact.name}\n\
                      \x20 - {id: b, kind: branch, when: contact.custom.score == 42, then: call, else: done}\n\
                      \x20 - {id: call, kind: create_task, title: Call, due_in: 2d}\n\
                      \x20 - {id: done, kind: end}\n";
        let retired = "  - {id: s, kind: set_field, field: contact.old, expression: contact.name}\n  - {id: done, kind: end}\n";
        let mut states = Vec::new();
        for steps in [scored.to_owned(), retired.to_owned()] {
            let source = format!("{header}{steps}");
            let sequence = publish(&world, &source).await;
            if steps == retired {
                let old = world.app.store.custom_fields().await.unwrap().into_iter().find(|it| it.key == "old").unwrap();
                let retire = CustomFieldChange { id: old.id, label: None, choices: None, required: None, active: Some(false) };
                world.app.run(&world.system(), retire).await.unwrap();
            }
            let simulated = simulated(&world, &SimulationAsk { source, follow: Follow { people: BTreeSet::new(), first: 2 }, ..ask(Who::Everybody) }).await;
            let plans = foretold(&simulated);
            let mut runs = BTreeMap::new();
            for contact in people {
                let create = EnrollmentCreate { sequence, contact: Some(contact), lead: None, vars: Map::new() };
                runs.insert(contact, Some(world.app.run(&world.system(), create).await.unwrap().0));
            }
            let began = world.now();
            play(&world, began + TimeDelta::days(3)).await;
            let happened = executed(&world, &runs).await;
            for contact in people {
                let (plan, real) = (&plans[&contact], &happened[&contact]);
                assert_eq!((&plan.state, plan.tasks.len()), (&real.state, if steps == retired { 0 } else { real.tasks.len() }), "{contact}");
                states.push(plan.state.clone());
                let run: Enrollment = world.app.store.find(runs[&contact].as_ref().unwrap().id).await.unwrap().unwrap();
                let why = run.failure.map_or_else(String::new, |it| format!(": {} {}", it.code, it.message));
                let plan = simulated.simulation.plans.iter().find(|it| it.contact == contact).unwrap();
                assert_eq!(plan.lines.last().unwrap().what, format!("end: {}{why}", run.state));
            }
        }
        assert_eq!(states, ["FINISHED(COMPLETED)", "FAILED", "FAILED", "FAILED"]);
    }

    async fn what_a_definition_names_and_is_not_there_is_told_and_the_simulation_runs(world: World) {
        person(&world, 0, None).await;
        let source = "key: gone\nname: Gone\nsubject: contact\ncalendar: nowhen\nsteps:\n\
                      \x20 - {id: call, kind: create_task, title: Call, due_in: 1d, team: Nobody}\n\
                      \x20 - {id: mail, kind: send_email, pool: nowhere, template: {subject: S, text: T}}\n\
                      \x20 - {id: done, kind: end}\n";
        let wanted = SimulationAsk { source: source.to_owned(), most_beats: Some(20), ..ask(Who::Everybody) };
        let gone = simulated(&world, &wanted).await;
        let told: Vec<_> = gone.missing.iter().map(|problem| (problem.line, problem.path.as_str())).collect();
        assert_eq!(told, [(Some(4), "calendar"), (Some(6), "steps[0].team"), (Some(7), "steps[1].pool")]);
        assert_eq!((gone.simulation.totals.tasks, gone.simulation.cut_at), (1, None));
        mailbox(&world, "one@example.com", 40, 0, None).await;
        assert_eq!(simulated(&world, &ask(Who::Everybody)).await.missing, []);
    }

    async fn answers_of_calls_are_given_for_everybody_and_only_to_steps_that_keep_them(world: World) {
        person(&world, 0, None).await;
        let source = "key: asks\nname: Asks\nsubject: contact\nsteps:\n\
                      \x20 - {id: score, kind: call_webhook, channel: c, body: '1', as: found}\n\
                      \x20 - {id: high, kind: branch, when: enrollment.vars.found.points > 60, then: call, else: done}\n\
                      \x20 - {id: call, kind: create_task, title: Call, due_in: 1d}\n  - {id: done, kind: end}\n";
        let asked = |answers| SimulationAsk { source: source.to_owned(), answers: Some(answers), ..ask(Who::Everybody) };
        assert_eq!(simulated(&world, &asked(json!({"score": {"points": 70}}))).await.simulation.totals.tasks, 1);
        assert_eq!(simulated(&world, &asked(json!({"score": {"points": 7}}))).await.simulation.totals.tasks, 0);
        let refused = world.app.sequence_simulate_contacts(&asked(json!({"scor": 1}))).await.unwrap_err();
        assert_eq!(refused.code(), "SIMULATION_DATA_INVALID");
        assert!(refused.to_string().contains("`answers.scor`: there is no such name; did you mean `score`?"), "{refused}");
    }
}
