//! The laws of the job table and its runner, on both databases. `docs/concepts/jobs.md` names each by its test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails, and one panics on purpose")]

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_app::{App, AppError, Call, EmailPlan, JobQueueSave, LeadFallDue, UserCreate};
use tandem_domain::access::{Role, Side};
use tandem_domain::decision::Priority;
use tandem_domain::edit::Edit;
use tandem_domain::id::LeadId;
use tandem_jobs::schedule::{Missed, define, turn};
use tandem_jobs::{Disposition, Handler, Runner, Settings, run_workers};
use tandem_store::jobs::{
    ArchiveFilter, Claimed, JobFilter, Lease, Limits, NewJob, Node, Now, OnDuplicate, Outcome, Unique,
};
use tandem_store::{Page, Store, StoreError};
use tandem_testkit::{World, on_both_databases};
use tokio::sync::Notify;

const LEASE: TimeDelta = TimeDelta::seconds(30);

fn job(name: &str, due: DateTime<Utc>) -> NewJob {
    NewJob::new("default", name, "{}", due)
}

async fn claim(world: &World, node: &str, limit: u64) -> Vec<Claimed> {
    claim_from(world, "default", node, limit).await
}

async fn claim_from(world: &World, queue: &str, node: &str, limit: u64) -> Vec<Claimed> {
    world.app.store.claim_jobs(queue, node, Now::At(world.now()), LEASE, limit).await.unwrap()
}

fn names(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|job| job.kind.as_str()).collect()
}

fn leases(claimed: &[Claimed]) -> Vec<Lease> {
    claimed.iter().map(|job| job.lease).collect()
}

fn someone() -> UserCreate {
    UserCreate {
        email: "a@example.com".to_owned(),
        name: "Someone".to_owned(),
        roles: [Role::Sales].into(),
        side: Some(Side::Sales),
        team: None,
        time_zone: chrono_tz::UTC,
    }
}

/// Answers each kind as it was told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<BTreeMap<String, Vec<Answer>>>>,
    seen: Arc<Mutex<Vec<(String, i32)>>>,
    asked: Arc<Notify>,
}

#[derive(Clone)]
enum Answer {
    Say(Disposition),
    Panic,
    Hang,
    Add(&'static str),
}

impl Script {
    fn on(self, kind: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.answers.lock().unwrap().insert(kind.to_owned(), answers.into_iter().collect());
        self
    }

    fn seen(&self) -> Vec<(String, i32)> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until these kinds have been asked for; others may have been too.
    async fn asked_for(&self, kinds: &[&str]) {
        let asked = async {
            while !kinds.iter().all(|kind| self.seen().iter().any(|(seen, _)| seen == kind)) {
                self.asked.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap();
    }
}

impl Handler for Script {
    fn waits_for_others(&self, queue: &str) -> bool {
        queue == "abroad"
    }

    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            self.seen.lock().unwrap().push((job.kind.clone(), job.attempt));
            self.asked.notify_one();
            let answer = {
                let mut answers = self.answers.lock().unwrap();
                let left = answers.get_mut(&job.kind).filter(|left| !left.is_empty());
                left.map(|left| left.remove(0))
            };
            match answer.unwrap_or(Answer::Say(Disposition::Obsolete)) {
                Answer::Say(disposition) => Ok(disposition),
                Answer::Panic => panic!("as told"),
                Answer::Hang => std::future::pending().await,
                Answer::Add(email) => {
                    let call = Call::system("r").for_job(job.lease, job.due_at);
                    app.run(&call, UserCreate { email: email.to_owned(), ..someone() }).await?;
                    Ok(Disposition::Finished)
                }
            }
        }
        .boxed()
    }
}

fn runner(world: &World, script: &Script) -> Runner {
    Runner::new(world.app.clone(), "test", Settings::default()).with_handler(script.clone())
}

fn retry(error: &str) -> Answer {
    Answer::Say(Disposition::Retry { after: None, error: error.to_owned() })
}

async fn archive(store: &Store) -> Vec<(String, Outcome, String, String)> {
    let page = store.archived_jobs(&ArchiveFilter::default(), &Page::first(50)).await.unwrap();
    page.items.into_iter().map(|job| (job.kind, job.outcome, job.reason, job.payload)).collect()
}

async fn limit(world: &World, queue: &str, limits: Limits) {
    let edit = |limit: Option<i32>| limit.map_or(Edit::Clear, Edit::Set);
    let save = JobQueueSave {
        name: queue.to_owned(),
        max_running: edit(limits.max_running),
        max_running_per_key: edit(limits.max_running_per_key),
        per_minute: edit(limits.per_minute),
        per_minute_per_key: edit(limits.per_minute_per_key),
        ..JobQueueSave::default()
    };
    world.app.run(&world.system(), save).await.unwrap();
}

on_both_databases! {
    async fn a_job_is_added_with_the_change_that_needs_it_or_not_at_all(world: World) {
        let before = world.app.store.pending_jobs().await.unwrap().len();
        let lead = LeadFallDue { lead: LeadId::from(uuid::Uuid::from_u128(7)), revision: 1 };
        world.app.run(&world.system(), lead).await.unwrap_err();
        assert_eq!(world.app.store.pending_jobs().await.unwrap().len(), before);
        let reject = |name: &str| NewJob {
            unique: Some(Unique { key: "one".to_owned(), on_duplicate: OnDuplicate::Reject }),
            ..job(name, world.now())
        };
        let both = world.app.store.add_jobs(&[job("plain", world.now()), reject("a"), reject("b")]).await.unwrap_err();
        assert!(matches!(both, StoreError::Duplicate { .. }), "{both}");
        assert_eq!(world.job_kinds().await, Vec::<String>::new(), "the whole transaction fails");
    }

    async fn a_job_is_finished_with_the_change_it_makes_and_a_lost_lease_undoes_both(world: World) {
        world.app.store.add_jobs(&[job("a", world.now())]).await.unwrap();
        let slow = claim(&world, "slow", 1).await;
        world.clock.advance(TimeDelta::seconds(31));
        let fast = claim(&world, "fast", 1).await;
        assert_eq!(fast[0].lease.fence, slow[0].lease.fence + 1);
        let call = Call::system("r").for_job(slow[0].lease, slow[0].due_at);
        let lost = world.app.run(&call, someone()).await.unwrap_err();
        assert!(matches!(lost, AppError::Store(StoreError::LeaseLost { .. })));
        assert_eq!(world.ledger_kinds().await, Vec::<String>::new());
        let call = Call::system("r").for_job(fast[0].lease, fast[0].due_at);
        world.app.run(&call, someone()).await.unwrap();
        assert_eq!((world.ledger_kinds().await.len(), world.job_kinds().await.len()), (1, 0));
    }

    async fn an_attempt_that_fails_is_put_back_and_given_up_after_the_last(world: World) {
        let script = Script::default().on("a", (1..=9).map(|n| retry(&format!("no {n}\0"))));
        let new = NewJob { max_attempts: 3, payload: "{\"n\":1}".to_owned(), ..job("a", world.now()) };
        world.app.store.add_jobs(&[new]).await.unwrap();
        let runner = runner(&world, &script);
        for _ in 0..5 {
            runner.run_due().await.unwrap();
            world.clock.advance(TimeDelta::hours(2));
        }
        assert_eq!(script.seen(), [1, 2, 3].map(|attempt| ("a".to_owned(), attempt)));
        let dead = ("a".to_owned(), Outcome::Dead, "no 3".to_owned(), "{\"n\":1}".to_owned());
        assert_eq!(archive(&world.app.store).await, [dead]);
        assert!(world.job_kinds().await.is_empty());
    }

    async fn a_snooze_costs_no_attempt(world: World) {
        let snooze = Answer::Say(Disposition::Snooze { after: TimeDelta::minutes(5) });
        let script = Script::default().on("a", vec![snooze; 4]);
        world.app.store.add_jobs(&[NewJob { max_attempts: 1, ..job("a", world.now()) }]).await.unwrap();
        let runner = runner(&world, &script);
        for _ in 0..4 {
            assert_eq!(runner.run_due().await.unwrap(), 1);
            assert_eq!(runner.run_due().await.unwrap(), 0, "not before its time");
            world.clock.advance(TimeDelta::minutes(5));
        }
        assert_eq!(runner.run_due().await.unwrap(), 1);
        assert_eq!(script.seen(), vec![("a".to_owned(), 1); 5]);
        assert_eq!((world.job_kinds().await.len(), archive(&world.app.store).await.len()), (0, 0));
    }

    async fn what_is_cancelled_or_dead_is_kept_with_its_reason(world: World) {
        let cancel = Answer::Say(Disposition::Cancel { reason: "called off".to_owned() });
        let dead = Answer::Say(Disposition::Dead { error: "cannot be".to_owned() });
        let script = Script::default().on("a", [cancel]).on("b", [dead]);
        world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
        runner(&world, &script).run_due().await.unwrap();
        let kept: Vec<_> = archive(&world.app.store).await.into_iter().map(|(kind, how, why, _)| (kind, how, why)).collect();
        let expected = [("a", Outcome::Cancelled, "called off"), ("b", Outcome::Dead, "cannot be")];
        assert_eq!(kept, expected.map(|(kind, how, why)| (kind.to_owned(), how, why.to_owned())));
    }

    async fn a_panic_is_a_retry_and_ends_nobody_else(world: World) {
        let script = Script::default().on("a", [Answer::Panic]);
        world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
        let runner = runner(&world, &script);
        assert_eq!(runner.run_due().await.unwrap(), 2);
        world.clock.advance(TimeDelta::minutes(1));
        assert_eq!(runner.run_due().await.unwrap(), 1);
        assert_eq!(script.seen(), [("a".to_owned(), 1), ("b".to_owned(), 1), ("a".to_owned(), 2)]);
    }

    async fn an_attempt_that_takes_too_long_is_ended_and_tried_again(world: World) {
        let script = Script::default().on("a", [Answer::Hang]);
        world.app.store.add_jobs(&[job("a", world.now())]).await.unwrap();
        let settings = Settings { attempt: Duration::from_millis(20), ..Settings::default() };
        let runner = Runner::new(world.app.clone(), "test", settings).with_handler(script.clone());
        assert_eq!(runner.run_due().await.unwrap(), 1);
        let filter = JobFilter { failed: true, ..JobFilter::default() };
        let put_back = world.app.store.job_page(&filter, Now::At(world.now()), &Page::first(9)).await.unwrap().items;
        assert_eq!(put_back[0].last_error.as_deref(), Some("the attempt took longer than 20ms"));
        world.clock.advance(TimeDelta::minutes(1));
        assert_eq!(runner.run_due().await.unwrap(), 1);
        assert!(world.job_kinds().await.is_empty());
    }

    async fn a_unique_key_keeps_the_first_or_takes_the_last_or_refuses(world: World) {
        let (now, store) = (world.now(), &world.app.store);
        let unique = |name: &str, key: &str, on_duplicate, due| NewJob {
            unique: Some(Unique { key: key.to_owned(), on_duplicate }),
            payload: format!("\"{name}\""),
            ..job("a", due)
        };
        let later = now + TimeDelta::hours(1);
        assert_eq!(store.add_jobs(&[unique("1", "keep", OnDuplicate::KeepFirst, now)]).await.unwrap(), 1);
        assert_eq!(store.add_jobs(&[unique("2", "keep", OnDuplicate::KeepFirst, later)]).await.unwrap(), 0);
        assert_eq!(store.add_jobs(&[unique("3", "last", OnDuplicate::Replace, now)]).await.unwrap(), 1);
        assert_eq!(store.add_jobs(&[unique("4", "last", OnDuplicate::Replace, later)]).await.unwrap(), 1);
        let waiting = |jobs: Vec<(String, String, DateTime<Utc>)>| jobs.into_iter().map(|(_, payload, due)| (payload, due)).collect::<Vec<_>>();
        assert_eq!(waiting(store.pending_jobs().await.unwrap()), [("\"1\"".to_owned(), now), ("\"4\"".to_owned(), later)]);
        world.clock.advance(TimeDelta::hours(1));
        let started = claim(&world, "n", 9).await;
        assert_eq!(started.len(), 2);
        assert_eq!(store.add_jobs(&[unique("5", "last", OnDuplicate::Replace, later)]).await.unwrap(), 0, "it was started");
        assert!(store.finish_jobs(&leases(&started)).await.unwrap().is_empty());
        assert_eq!(store.add_jobs(&[unique("6", "last", OnDuplicate::Reject, later)]).await.unwrap(), 1, "the key is free again");
    }

    async fn jobs_of_one_key_run_one_at_a_time_in_order_and_hold_up_nobody_else(world: World) {
        let due = |seconds: i64| world.now() + TimeDelta::seconds(seconds);
        let keyed = |name: &str, seconds| NewJob { ordering_key: Some("lead:1".to_owned()), ..job(name, due(seconds)) };
        world.app.store.add_jobs(&[keyed("second", 2), keyed("first", 1), keyed("third", 3), job("other", due(4))]).await.unwrap();
        world.clock.advance(TimeDelta::seconds(10));
        let one = claim(&world, "n1", 9).await;
        assert_eq!(names(&one), ["first", "other"]);
        assert_eq!(names(&claim(&world, "n2", 9).await), Vec::<&str>::new());
        // What is put back keeps its place, and its key.
        world.app.store.retry_job(&one[0].lease, Now::At(world.now()), TimeDelta::seconds(60), "not yet").await.unwrap();
        assert_eq!(names(&claim(&world, "n2", 9).await), Vec::<&str>::new());
        world.clock.advance(TimeDelta::seconds(61));
        let again = claim(&world, "n2", 9).await;
        assert_eq!(names(&again), ["first", "other"], "the other's lease ran out");
        world.app.store.finish_jobs(&leases(&again)).await.unwrap();
        for expected in ["second", "third"] {
            let next = claim(&world, "n1", 9).await;
            assert_eq!(names(&next), [expected]);
            world.app.store.finish_jobs(&leases(&next)).await.unwrap();
        }
    }

    async fn many_nodes_never_start_two_jobs_of_one_key(world: World) {
        let keyed = |n: i64| NewJob { ordering_key: Some(format!("k{}", n % 3)), ..job(&format!("j{n}"), world.now()) };
        world.app.store.add_jobs(&(0..60).map(keyed).collect::<Vec<_>>()).await.unwrap();
        let running = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
        let nodes = (0..4).map(|node| {
            let (store, now, running) = (world.app.store.clone(), world.now(), running.clone());
            tokio::spawn(async move {
                let (mut done, mut idle) = (0, 0);
                while idle < 200 {
                    let claimed = store.claim_jobs("default", &format!("n{node}"), Now::At(now), LEASE, 5).await.unwrap();
                    idle = if claimed.is_empty() { idle + 1 } else { 0 };
                    for job in &claimed {
                        let mut running = running.lock().unwrap();
                        let beside = running.entry(job.ordering_key.clone().unwrap()).or_default();
                        *beside += 1;
                        assert_eq!(*beside, 1, "{job:?} runs beside another of its key");
                    }
                    tokio::task::yield_now().await;
                    for job in &claimed {
                        *running.lock().unwrap().get_mut(job.ordering_key.as_ref().unwrap()).unwrap() -= 1;
                        assert!(store.finish_jobs(&[job.lease]).await.unwrap().is_empty());
                        done += 1;
                    }
                }
                done
            })
        });
        let mut done = 0;
        for node in nodes.collect::<Vec<_>>() {
            done += node.await.unwrap();
        }
        assert_eq!(done, 60);
    }

    async fn a_higher_priority_goes_first_and_none_starves(world: World) {
        let with = |name: &str, priority, minutes| NewJob {
            priority,
            ..job(name, world.now() - TimeDelta::minutes(minutes))
        };
        world.app.store.add_jobs(&[
            with("low, 11 min", Priority::Low, 11),
            with("normal, 1 min", Priority::Normal, 1),
            with("high, now", Priority::High, 0),
            with("normal, 6 min", Priority::Normal, 6),
            with("low, 1 min", Priority::Low, 1),
        ]).await.unwrap();
        let mut order = Vec::new();
        for _ in 0..5 {
            order.extend(claim(&world, "n", 1).await.into_iter().map(|job| job.kind));
        }
        assert_eq!(order, ["low, 11 min", "normal, 6 min", "high, now", "normal, 1 min", "low, 1 min"]);
    }

    async fn a_paused_queue_starts_nothing_and_goes_on(world: World) {
        world.app.store.add_jobs(&[job("a", world.now())]).await.unwrap();
        let pause = |paused| JobQueueSave { name: "default".to_owned(), paused: Some(paused), ..JobQueueSave::default() };
        world.app.run(&world.system(), pause(true)).await.unwrap();
        assert!(claim(&world, "n", 9).await.is_empty());
        assert!(world.app.store.ready_queues(Now::At(world.now())).await.unwrap().is_empty());
        world.app.run(&world.system(), pause(false)).await.unwrap();
        assert_eq!(names(&claim(&world, "n", 9).await), ["a"]);
        assert_eq!(world.ledger_kinds().await, ["job_queue.paused", "job_queue.resumed"]);
    }

    async fn limits_of_a_queue_and_of_a_key_hold_over_all_nodes(world: World) {
        let keyed = |n: usize| NewJob { limit_key: Some(format!("k{}", n % 2)), ..job(&format!("j{n}"), world.now()) };
        world.app.store.add_jobs(&(0..10).map(keyed).collect::<Vec<_>>()).await.unwrap();
        limit(&world, "default", Limits { max_running: Some(3), max_running_per_key: Some(2), ..Limits::default() }).await;
        let one = claim(&world, "n1", 9).await;
        assert_eq!(names(&one), ["j0", "j1", "j2"], "three at once");
        assert!(claim(&world, "n2", 9).await.is_empty());
        world.app.store.finish_jobs(&leases(&one[1..2])).await.unwrap();
        assert_eq!(names(&claim(&world, "n2", 9).await), ["j3"], "two of k0 are running: the next of k1 goes before them");
        limit(&world, "default", Limits { max_running_per_key: Some(2), ..Limits::default() }).await;
        assert_eq!(names(&claim(&world, "n2", 9).await), ["j5"]);
    }

    async fn deliveries_are_limited_by_the_domain_of_the_recipient(world: World) {
        for email in ["a@one.example", "b@ONE.example", "c@two.example"] {
            let contact = world.contact(email).await.id;
            let (subject, text) = ("Good day".to_owned(), "Hello.".to_owned());
            let plan = EmailPlan { purpose: "test".to_owned(), contact, lead: None, subject, text, html: None };
            world.app.run(&world.system(), plan).await.unwrap();
        }
        limit(&world, "mail", Limits { max_running_per_key: Some(1), ..Limits::default() }).await;
        let claimed = claim_from(&world, "mail", "n", 9).await;
        assert_eq!(claimed.len(), 2, "one to each domain");
        world.app.store.finish_jobs(&leases(&claimed)).await.unwrap();
        assert_eq!(claim_from(&world, "mail", "n", 9).await.len(), 1);
    }

    async fn a_rate_is_kept_over_all_nodes_at_an_even_pace(world: World) {
        world.app.store.add_jobs(&(0..200).map(|n| job(&format!("j{n}"), world.now())).collect::<Vec<_>>()).await.unwrap();
        limit(&world, "default", Limits { per_minute: Some(60), ..Limits::default() }).await;
        let mut started = Vec::new();
        for second in 0..60 {
            for node in ["n1", "n2"] {
                started.extend(claim(&world, node, 9).await.iter().map(|_| second));
            }
            world.clock.advance(TimeDelta::seconds(1));
        }
        assert_eq!(started, (0..60).collect::<Vec<_>>(), "one a second, whoever asks");
    }

    async fn a_rate_per_key_holds_up_that_key_alone(world: World) {
        let keyed = |n: usize| NewJob { limit_key: Some(if n < 100 { "big" } else { "small" }.to_owned()), ..job(&format!("j{n}"), world.now()) };
        world.app.store.add_jobs(&(0..101).map(keyed).collect::<Vec<_>>()).await.unwrap();
        limit(&world, "default", Limits { per_minute_per_key: Some(60), ..Limits::default() }).await;
        assert_eq!(names(&claim(&world, "n1", 9).await), ["j0", "j100"]);
        assert!(claim(&world, "n2", 9).await.is_empty());
        world.clock.advance(TimeDelta::seconds(1));
        assert_eq!(names(&claim(&world, "n2", 9).await), ["j1"]);
    }

    async fn a_lease_that_is_renewed_is_kept_and_one_that_is_not_runs_again(world: World) {
        world.app.store.add_jobs(&[job("alive", world.now()), job("dead", world.now())]).await.unwrap();
        let claimed = claim(&world, "n1", 2).await;
        world.clock.advance(TimeDelta::seconds(20));
        let renewed = world.app.store.renew_jobs(&leases(&claimed[..1]), Now::At(world.now()), LEASE).await.unwrap();
        assert_eq!(renewed, 1);
        world.clock.advance(TimeDelta::seconds(11));
        let again = claim(&world, "n2", 9).await;
        assert_eq!((names(&again), again[0].attempt), (vec!["dead"], 2), "a crash costs an attempt: a job that kills its node ends");
        assert_eq!(world.app.store.renew_jobs(&leases(&claimed), Now::At(world.now()), LEASE).await.unwrap(), 1);
        assert_eq!(world.app.store.finish_jobs(&leases(&claimed)).await.unwrap(), leases(&claimed[1..]));
    }

    async fn the_clock_of_a_node_decides_nothing(world: World) {
        // The world's clock is that of a node which is far off; the claim asks the database.
        world.app.store.add_jobs(&[job("past", world.now())]).await.unwrap();
        let real = world.app.store.database_time().await.unwrap();
        world.app.store.add_jobs(&[job("future", real + TimeDelta::hours(1))]).await.unwrap();
        let store = &world.app.store;
        let claimed = store.claim_jobs("default", "n1", Now::Database, LEASE, 9).await.unwrap();
        assert_eq!(names(&claimed), ["past"]);
        assert!((claimed[0].started_at - real).abs() < TimeDelta::minutes(5), "{claimed:?}");
        let page = store.job_page(&JobFilter::default(), Now::Database, &Page::first(9)).await.unwrap();
        let until = page.items[0].visible_at;
        assert!((until - real - LEASE).abs() < TimeDelta::minutes(5), "{until} is counted from the database's {real}");
        assert!(store.claim_jobs("default", "n2", Now::Database, LEASE, 9).await.unwrap().is_empty());
    }

    async fn a_node_that_stops_gives_back_what_it_has_and_that_costs_no_attempt(world: World) {
        world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
        let claimed = claim(&world, "n1", 2).await;
        world.app.store.retry_job(&claimed[1].lease, Now::At(world.now()), TimeDelta::hours(1), "later").await.unwrap();
        assert_eq!(world.app.store.release_jobs(&leases(&claimed)).await.unwrap(), 1, "what was put off stays put off");
        let again = claim(&world, "n2", 9).await;
        assert_eq!((names(&again), again[0].attempt), (vec!["a"], 1));
        assert_eq!(world.app.store.finish_jobs(&leases(&claimed[..1])).await.unwrap().len(), 1, "the old lease is void");
    }

    async fn a_node_that_stops_or_is_silent_for_long_is_forgotten(world: World) {
        let store = &world.app.store;
        let names = async || store.nodes(Now::At(world.now())).await.unwrap().into_iter().map(|node| node.name).collect::<Vec<_>>();
        for name in ["lives", "stops", "dies"] {
            store.report_node(name, "0", 16, 0, Now::At(world.now())).await.unwrap();
        }
        store.forget_node("stops").await.unwrap();
        world.clock.advance(TimeDelta::minutes(59));
        store.report_node("lives", "0", 16, 1, Now::At(world.now())).await.unwrap();
        store.forget_silent_nodes(TimeDelta::hours(1), Now::At(world.now())).await.unwrap();
        assert_eq!(names().await, ["dies", "lives"]);
        let lost = store.nodes(Now::At(world.now())).await.unwrap().iter().map(Node::lost).collect::<Vec<_>>();
        assert_eq!(lost, [true, false]);
        world.clock.advance(TimeDelta::minutes(2));
        store.forget_silent_nodes(TimeDelta::hours(1), Now::At(world.now())).await.unwrap();
        assert_eq!(names().await, ["lives"]);
    }

    async fn a_tick_runs_once_over_all_nodes_and_a_paused_schedule_stands_still(world: World) {
        let daily = define("daily", "0 3 * * *", "UTC", Missed::Once, &tandem_domain::decision::Job::Prune {}, world.now()).unwrap();
        let store = &world.app.store;
        store.keep_schedule(&daily).await.unwrap();
        store.keep_schedule(&daily).await.unwrap();
        let until = async || store.until_tick(Now::At(world.now())).await.unwrap();
        assert_eq!(until().await, Some(daily.next_at - world.now()));
        assert_eq!(store.turn_schedules(Now::At(world.now()), turn).await.unwrap(), 0);
        world.clock.advance(TimeDelta::days(1));
        assert!(until().await < Some(TimeDelta::zero()), "it has to be turned");
        let now = Now::At(world.now());
        let nodes = (0..4).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.turn_schedules(now, turn).await.unwrap() })
        });
        let mut added = 0;
        for node in nodes.collect::<Vec<_>>() {
            added += node.await.unwrap();
        }
        assert_eq!((added, world.job_kinds().await), (1, vec!["prune".to_owned()]));
        let switch = |paused| tandem_app::JobScheduleSwitch { name: "daily".to_owned(), paused };
        world.app.run(&world.system(), switch(true)).await.unwrap();
        world.clock.advance(TimeDelta::days(3));
        assert_eq!(until().await, None, "nothing to turn");
        assert_eq!(store.turn_schedules(Now::At(world.now()), turn).await.unwrap(), 0);
        world.app.run(&world.system(), switch(false)).await.unwrap();
        let resumed = store.schedules().await.unwrap();
        let next = resumed[0].next_at - world.now();
        assert_eq!(next, TimeDelta::hours(18), "it is 09:00: three days are not made up for, and the next 03:00 comes");
        assert_eq!(store.turn_schedules(Now::At(world.now()), turn).await.unwrap(), 0);
        assert!(world.run_due_jobs().await > 0);
        assert!(world.job_kinds().await.is_empty(), "the shipped jobs run");
    }

    async fn a_kind_that_this_node_does_not_know_is_left_to_others(world: World) {
        world.app.store.add_jobs(&[NewJob { payload: "{\"kind\":\"of_tomorrow\"}".to_owned(), max_attempts: 1, ..job("of_tomorrow", world.now()) }]).await.unwrap();
        for _ in 0..3 {
            assert_eq!(world.run_due_jobs().await, 1);
            world.clock.advance(TimeDelta::minutes(1));
        }
        assert_eq!((world.job_kinds().await, archive(&world.app.store).await.len()), (vec!["of_tomorrow".to_owned()], 0));
    }

    async fn dead_jobs_come_back_by_filter_with_all_their_attempts(world: World) {
        let dead = |text: &str| Answer::Say(Disposition::Dead { error: text.to_owned() });
        let script = Script::default().on("a", [dead("the mail server was down")]).on("b", [dead("100% nonsense")]);
        world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
        let runner = runner(&world, &script);
        runner.run_due().await.unwrap();
        let filter = ArchiveFilter { reason: Some("mail server".to_owned()), ..ArchiveFilter::default() };
        let command = tandem_app::JobsRedrive { filter, limit: 100 };
        assert_eq!(world.app.run(&world.system(), command).await.unwrap().jobs, 1);
        let again = claim(&world, "n", 9).await;
        assert_eq!((names(&again), again[0].attempt), (vec!["a"], 1));
        assert_eq!(archive(&world.app.store).await.len(), 1);
        assert_eq!(world.ledger_kinds().await, ["jobs.redriven"]);
    }

    async fn a_timer_that_was_called_off_comes_back_for_its_own_moment(world: World) {
        let due = world.now() + TimeDelta::hours(2);
        world.app.store.add_jobs(&[job("timer", due)]).await.unwrap();
        let cancel = tandem_app::JobsCancel { filter: JobFilter::default(), reason: "a mistake".to_owned(), limit: 1 };
        world.app.run(&world.system(), cancel).await.unwrap();
        let redrive = tandem_app::JobsRedrive { filter: ArchiveFilter::default(), limit: 1 };
        world.app.run(&world.system(), redrive).await.unwrap();
        assert!(claim(&world, "n", 9).await.is_empty());
        world.clock.advance(TimeDelta::hours(2));
        let claimed = claim(&world, "n", 9).await;
        assert_eq!((names(&claimed), claimed[0].due_at), (vec!["timer"], due));
    }

    async fn a_node_stops_when_it_is_told_to_and_leaves_nothing_behind(world: World) {
        world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
        let script = Script::default();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let grace = Duration::from_secs(20);
        let node = tokio::spawn(run_workers(runner(&world, &script), stopped, grace));
        script.asked_for(&["a", "b"]).await;
        stop.send(true).unwrap();
        tokio::time::timeout(grace / 2, node).await.unwrap().unwrap();
        // A node has schedules of its own, whose tick may have come.
        let left = world.job_kinds().await;
        assert!(!left.iter().any(|kind| ["a", "b"].contains(&kind.as_str())), "{left:?}: what was done is written first");
        assert!(world.app.store.nodes(Now::Database).await.unwrap().is_empty());
    }

    async fn those_who_wait_for_others_take_at_most_half_of_a_node(world: World) {
        let abroad: Vec<NewJob> =
            (0..6).map(|n| NewJob { queue: "abroad".to_owned(), ..job(&format!("hangs{n}"), world.now()) }).collect();
        world.app.store.add_jobs(&abroad).await.unwrap();
        let mut script = Script::default();
        for job in &abroad {
            script = script.on(&job.kind, [Answer::Hang]);
        }
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let settings = Settings { concurrency: 4, ..Settings::default() };
        let node = Runner::new(world.app.clone(), "test", settings).with_handler(script.clone());
        let node = tokio::spawn(run_workers(node, stopped, Duration::ZERO));
        let hanging = || script.seen().iter().filter(|(kind, _)| kind.starts_with("hangs")).count();
        script.asked_for(&["hangs0", "hangs1"]).await;
        // The others have room beside them, one after the other.
        for kind in ["a", "b", "c"] {
            world.app.store.add_jobs(&[job(kind, world.now())]).await.unwrap();
            script.asked_for(&[kind]).await;
        }
        assert_eq!(hanging(), 2);
        stop.send(true).unwrap();
        node.await.unwrap();
        assert_eq!(world.job_kinds().await.iter().filter(|kind| kind.starts_with("hangs")).count(), 6, "given back");
    }

    async fn an_operator_calls_off_a_job_and_whoever_runs_it_finds_the_lease_lost(world: World) {
        world.app.store.add_jobs(&[job("running", world.now()), job("waiting", world.now() + TimeDelta::hours(1))]).await.unwrap();
        let running = claim(&world, "n", 9).await;
        let command = tandem_app::JobsCancel { filter: JobFilter::default(), reason: "a mistake".to_owned(), limit: 100 };
        assert_eq!(world.app.run(&world.system(), command).await.unwrap().jobs, 2);
        let call = Call::system("r").for_job(running[0].lease, running[0].due_at);
        let lost = world.app.run(&call, someone()).await.unwrap_err();
        assert!(matches!(lost, AppError::Store(StoreError::LeaseLost { .. })));
        assert_eq!(archive(&world.app.store).await.len(), 2);
        assert_eq!(world.ledger_kinds().await, ["jobs.cancelled"]);
    }

    async fn an_operator_brings_forward_what_was_put_off_and_no_timer(world: World) {
        world.app.store.add_jobs(&[job("a", world.now()), job("timer", world.now() + TimeDelta::days(3))]).await.unwrap();
        let claimed = claim(&world, "n", 9).await;
        world.app.store.retry_job(&claimed[0].lease, Now::At(world.now()), TimeDelta::hours(1), "no").await.unwrap();
        assert!(claim(&world, "n", 9).await.is_empty());
        let command = tandem_app::JobsRunNow { filter: JobFilter::default(), limit: 100 };
        assert_eq!(world.app.run(&world.system(), command).await.unwrap().jobs, 1);
        assert_eq!(names(&claim(&world, "n", 9).await), ["a"]);
    }

    async fn many_finished_jobs_leave_in_one_statement_and_a_lost_one_is_named(world: World) {
        world.app.store.add_jobs(&(0..300).map(|n| job(&format!("j{n}"), world.now())).collect::<Vec<_>>()).await.unwrap();
        let claimed = claim(&world, "n", 300).await;
        assert_eq!(claimed.len(), 300);
        let mut all = leases(&claimed);
        all[7].fence += 1;
        assert_eq!(world.app.store.finish_jobs(&all).await.unwrap(), [all[7]]);
        assert_eq!(world.job_kinds().await, ["j7"]);
    }

    async fn a_handler_that_fails_leaves_its_job_for_another_attempt(world: World) {
        let add = || [Answer::Add("a@example.com")];
        let script = Script::default().on("a", add()).on("b", add());
        world.app.store.add_jobs(&[job("a", world.now()), job("b", world.now())]).await.unwrap();
        runner(&world, &script).run_due().await.unwrap();
        assert_eq!(world.ledger_kinds().await, ["user.added"], "the second user is refused");
        assert_eq!(world.job_kinds().await, ["b"]);
    }
}
