//! Every kind of step, failed at each of its beats and recovered, and with each of its jobs run twice: one effect.
//!
//! What a step does is a row of transactions, each of which ends with its entries of the ledger. Each of these entries is made
//! impossible once, and so are the rows that the transactions write before them; then the fault is mended, time passes, and the
//! record must be the one of a run that nothing happened to.

use crate::scene::*;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use tandem_app::{App, OutboundChannelSave};
use tandem_domain::outbound::channel::{Draft, Provider};
use tandem_domain::sequence::steps::NAMES;
use tandem_jobs::{Disposition, Handler, Handlers, Runner, Settings};
use tandem_store::StoreError;
use tandem_store::jobs::{Claimed, NewJob};
use tandem_testkit::Fault;

/// A step of a kind, and the fact of its effect, where it has one: there must be exactly one.
const STEPS: [(&str, &str, Option<&str>); 18] = [
    ("send_email", "template: {subject: Hello, text: Hello}", Some("email.sent")),
    ("wait", "duration: 2h", None),
    ("wait_for", "event: [DOWNLOAD], timeout: 2h", None),
    ("branch", "when: contact.phone != null, then: done, else: done", None),
    ("split", "variants: [{key: a, then: done}, {key: b, then: done}]", None),
    ("check_goal", "when: contact.phone != null", None),
    ("end", "outcome: goal", None),
    ("create_task", "title: Call, due_in: 1d, wait: true", Some("work_item.queued")),
    ("create_task", "title: Write, due_in: 1d", Some("work_item.queued")),
    ("set_field", "field: contact.round, value: second", Some("contact.changed")),
    ("tag", "of: account, add: [once]", Some("account.changed")),
    ("consent", "state: granted, source: the form", Some("contact.consent_set")),
    (
        "propose",
        "list: tier-one, tier: T1, reasons: [ICP_FIT], proposer: olga@example.com",
        Some("list.change_proposed"),
    ),
    ("hand_to_sdr", "team: Inbound", Some("lead.qualified")),
    ("start_sequence", "sequence: other", Some("enrollment.started")),
    ("stop_sequence", "sequence: other", Some("enrollment.ended")),
    ("notify", "channel: room, text: Hello", Some("outbound_call.succeeded")),
    ("call_webhook", "channel: crm, body: contact.email, as: said", Some("outbound_call.succeeded")),
];

/// What the transactions of steps write before their entries of the ledger.
const ROWS: [Fault; 9] = [
    Fault::Update("enrollment"),
    Fault::Insert("job"),
    Fault::Delete("job"),
    Fault::Insert("email"),
    Fault::Update("email"),
    Fault::Insert("outbound_call"),
    Fault::Update("outbound_call"),
    Fault::Insert("work_item"),
    Fault::Update("contact"),
];

/// What came of a run: the kinds of the entries since it began, how many e-mails and calls went out, and how it ended.
#[derive(Debug, PartialEq)]
struct Record {
    kinds: BTreeMap<String, usize>,
    mails: usize,
    calls: BTreeSet<String>,
    ended: EnrollmentState,
}

impl Record {
    fn of(&self, fact: &str) -> usize {
        self.kinds.get(fact).copied().unwrap_or_default()
    }
}

/// One run in a world of many, and where the world was when it began.
struct Begun {
    run: EnrollmentId,
    person: ContactId,
    place: usize,
    mails: usize,
    calls: usize,
}

async fn set_up(world: &World) {
    furnish(world).await;
    for (key, provider, url) in [
        ("crm", Provider::Webhook, "https://crm.example.com/score"),
        ("room", Provider::Slack, "https://chat.example.com/robot"),
    ] {
        let (key, name, url) = (key.to_owned(), key.to_owned(), Some(url.to_owned()));
        let draft = Draft { key, name, provider, url, secret: None, headers: None, end_previous: false };
        world.app.run(&world.system(), OutboundChannelSave { draft }).await.unwrap();
    }
    for (at, (kind, settings, _)) in STEPS.into_iter().enumerate() {
        // An end would leave nothing to lead to the other one.
        let fork = "- {id: fork, kind: branch, when: contact.phone != null, then: done, else: it}\n";
        let before = if kind == "end" { fork } else { "" };
        publish(world, &steps(&format!("beats_{at}"), &format!("{before}- {{id: it, kind: {kind}, {settings}}}")))
            .await;
    }
}

async fn sequence(world: &World, key: &str) -> Sequence {
    world.app.store.sequence_by_key(key).await.unwrap().unwrap()
}

/// Enrols somebody new, who is in the other sequence where the step is about to end that.
async fn begin(world: &World, at: usize, name: &str) -> Begun {
    let (person, _) = colleague(world, name).await;
    if STEPS[at].0 == "stop_sequence" {
        enroll(world, &sequence(world, "other").await, &person, None).await;
        world.run_due_jobs().await;
    }
    let run = enroll(world, &sequence(world, &format!("beats_{at}")).await, &person, None).await.id;
    let person = person.id;
    Begun {
        run,
        person,
        place: world.ledger().await.len(),
        mails: world.mailer.sent().len(),
        calls: world.hooks.calls().len(),
    }
}

/// Does what falls due, and the run's tasks, as far as that succeeds. Who has claimed one and could not complete it tries again.
async fn go_on(world: &World, runner: &Runner, sdr: &Call, begun: &Begun) {
    drop(runner.run_due().await);
    for task in items(world, ItemKind::Task).await {
        let open = !matches!(task.state, ItemState::Done | ItemState::Cancelled);
        if task.enrollment != Some(begun.run) || !open {
            continue;
        }
        if task.state == ItemState::Queued {
            drop(world.app.run(sdr, WorkItemClaim { item: task.id }).await);
        }
        if let Some(task) = world.app.store.find::<WorkItem>(task.id).await.unwrap() {
            let done = TaskComplete { item: task.id, token: task.fence, outcome: None, note: None };
            drop(world.app.run(sdr, done).await);
        }
    }
    drop(runner.run_due().await);
}

/// Lets time pass until the run is over, and gives what came of it.
async fn finish(world: &World, runner: &Runner, sdr: &Call, begun: &Begun) -> Record {
    for _ in 0..60 {
        go_on(world, runner, sdr, begun).await;
        if !run(world, begun.run).await.state.is_live() {
            break;
        }
        world.clock.advance(TimeDelta::hours(1));
    }
    // What it started and what failed last is tried again within minutes.
    world.clock.advance(TimeDelta::minutes(5));
    go_on(world, runner, sdr, begun).await;
    let mut kinds = BTreeMap::new();
    for link in world.ledger().await.into_iter().skip(begun.place) {
        // Those who came before go their own ways meanwhile.
        let others = link.entry.detail.get("contact").is_some_and(|contact| *contact != json!(begun.person));
        // What people do about tasks is no beat of a step: a claim may run out before it can be completed.
        let by_people =
            ["work_item.claimed", "work_item.lease_expired", "lead.escalated"].contains(&link.entry.kind.as_str());
        if others || by_people {
            continue;
        }
        *kinds.entry(link.entry.kind).or_default() += 1;
    }
    let calls = world.hooks.calls().into_iter().skip(begun.calls);
    let id = |headers: Vec<(String, String)>| headers.into_iter().find(|(name, _)| name == "webhook-id");
    Record {
        kinds,
        mails: world.mailer.sent().len() - begun.mails,
        calls: calls.filter_map(|call| Some(id(call.headers)?.1)).collect(),
        ended: run(world, begun.run).await.state,
    }
}

/// What nothing happened to.
async fn undisturbed(world: &World, at: usize, sdr: &Call) -> Record {
    let begun = begin(world, at, &format!("usual{at}")).await;
    let record = finish(world, &world.runner, sdr, &begun).await;
    let (kind, _, fact) = STEPS[at];
    if let Some(fact) = fact {
        let also = usize::from(fact == "enrollment.ended");
        assert_eq!(record.of(fact), 1 + also, "{kind}: {record:?}");
    }
    let goal = EnrollmentState::Finished(FinishReason::Goal);
    let end = if kind == "end" { goal } else { EnrollmentState::Finished(FinishReason::Completed) };
    assert_eq!(record.ended, end, "{kind}: {record:?}");
    record
}

/// What must have come of a run that a fault happened to. An e-mail or a call that was on its way when its end could not be
/// recorded is the one thing that nobody can know.
fn is_recovered(what: &str, usual: &Record, after: &Record, begun_twice: bool) {
    let mut expected = usual.kinds.clone();
    if begun_twice && usual.mails > 0 {
        // It may have arrived, so it is not sent again; the run goes on.
        expected.remove("email.sent");
        expected.insert("email.lost_sight_of".to_owned(), 1);
    }
    if begun_twice && usual.of("outbound_call.begun") > 0 {
        // It is begun anew for as long as its end cannot be recorded: an API knows it by its id, a chat may get it again.
        expected.insert("outbound_call.begun".to_owned(), after.of("outbound_call.begun"));
    }
    assert_eq!(after.kinds, expected, "{what}");
    assert_eq!((after.mails, after.calls.len(), after.ended), (usual.mails, usual.calls.len(), usual.ended), "{what}");
}

/// Runs each job, then runs it again with the lease that is spent, and once more as a job of its own.
#[derive(Clone, Default)]
struct Twice {
    seen: Arc<Mutex<BTreeSet<String>>>,
    repeated: Arc<Mutex<BTreeSet<String>>>,
}

impl Handler for Twice {
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            let first = Handlers.run(app, job).await?;
            if first != Disposition::Finished {
                return Ok(first);
            }
            match Handlers.run(app, job).await {
                Ok(Disposition::Obsolete) | Err(AppError::Store(StoreError::LeaseLost { .. })) => {}
                other => panic!("{} ran again: {other:?}", job.kind),
            }
            if self.seen.lock().unwrap().insert(job.payload.clone()) {
                self.repeated.lock().unwrap().insert(job.kind.clone());
                let again = NewJob::new(job.queue.clone(), job.kind.clone(), job.payload.clone(), job.due_at);
                app.store.add_jobs(&[again]).await?;
            }
            Ok(first)
        }
        .boxed()
    }
}

#[test]
fn every_kind_of_step_is_among_those_whose_beats_fail() {
    let kinds: BTreeSet<&str> = STEPS.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, NAMES.iter().copied().collect());
}

on_both_databases! {
    async fn a_step_of_any_kind_whose_jobs_run_twice_has_one_effect(world: World) {
        set_up(&world).await;
        let sdr = world.user("sina", Role::Sdr, None).await.1;
        let twice = Twice::default();
        let runner = Runner::new(world.app.clone(), "twice", Settings::default()).with_handler(twice.clone());
        for (at, (kind, settings, _)) in STEPS.into_iter().enumerate() {
            let usual = undisturbed(&world, at, &sdr).await;
            let begun = begin(&world, at, &format!("twice{at}")).await;
            let after = finish(&world, &runner, &sdr, &begun).await;
            is_recovered(&format!("{kind}: {settings}"), &usual, &after, false);
        }
        let repeated = twice.repeated.lock().unwrap().clone();
        for kind in ["advance_enrollment", "deliver_email", "make_call"] {
            assert!(repeated.contains(kind), "{repeated:?}");
        }
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn a_step_of_any_kind_that_fails_at_any_beat_is_recovered_with_one_effect(world: World) {
        set_up(&world).await;
        let sdr = world.user("sina", Role::Sdr, None).await.1;
        for (at, (kind, settings, _)) in STEPS.into_iter().enumerate() {
            let usual = undisturbed(&world, at, &sdr).await;
            let beats = usual.kinds.values().sum::<usize>();
            for beat in 1..=beats {
                let begun = begin(&world, at, &format!("beat{at}x{beat}")).await;
                let fault = Fault::Entry(i64::try_from(begun.place + beat).unwrap());
                let what = format!("{kind}: {settings}: beat {beat} of {beats}");
                let after = recovered(&world, &sdr, &begun, fault, &what).await;
                let (after, reached) = after;
                assert!(reached < begun.place + beat, "{what}: the fault was not met");
                let lost = begun_twice(&after);
                is_recovered(&what, &usual, &after, lost);
            }
        }
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn a_step_of_any_kind_whose_rows_cannot_be_written_is_recovered_with_one_effect(world: World) {
        set_up(&world).await;
        let sdr = world.user("sina", Role::Sdr, None).await.1;
        for (at, (kind, settings, _)) in STEPS.into_iter().enumerate() {
            let usual = undisturbed(&world, at, &sdr).await;
            for (n, fault) in ROWS.into_iter().enumerate() {
                let begun = begin(&world, at, &format!("rows{at}x{n}")).await;
                let what = format!("{kind}: {settings}: {fault:?}");
                let (after, _) = recovered(&world, &sdr, &begun, fault, &what).await;
                let lost = begun_twice(&after);
                is_recovered(&what, &usual, &after, lost);
            }
        }
    }
}

/// Whether an e-mail or a call was on its way when its end could not be recorded.
fn begun_twice(after: &Record) -> bool {
    after.of("email.lost_sight_of") > 0 || after.of("outbound_call.begun") > 1
}

/// Lets everything happen under a fault for a while, mends it, and gives what came of the run and how far the ledger had come.
async fn recovered(world: &World, sdr: &Call, begun: &Begun, fault: Fault, what: &str) -> (Record, usize) {
    world.break_at(fault).await;
    for _ in 0..4 {
        go_on(world, &world.runner, sdr, begun).await;
        if !run(world, begun.run).await.state.is_live() {
            break;
        }
        world.clock.advance(TimeDelta::hours(1));
    }
    let reached = world.ledger().await.len();
    world.mend(fault).await;
    let record = finish(world, &world.runner, sdr, begun).await;
    assert!(!record.ended.is_live(), "{what}: {record:?}");
    (record, reached)
}
