//! Steps of many enrolments in one transaction do what each would do alone, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_app::custom_fields::CustomFieldDefine;
use tandem_app::{
    App, AppError, EnrollmentAdvance, EnrollmentCreate, LeadReceive, SequencePause, SequencePublish, SequenceResume,
    SuppressionAdd,
};
use tandem_domain::contact::Contact;
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::decision::Job;
use tandem_domain::email::Email;
use tandem_domain::id::{ContactId, LeadId, SequenceId};
use tandem_domain::lead::Lead;
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::Enrollment;
use tandem_domain::sequence::enrollment::StateKind;
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_jobs::{Disposition, Handler, Handlers, Runner, Settings, run_workers};
use tandem_store::account::ContactFilter;
use tandem_store::email::EmailFilter;
use tandem_store::jobs::{Claimed, JobFilter, NewJob, Now, Waiting};
use tandem_store::lead::LeadFilter;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::{Page, StoreError};
use tandem_testkit::{World, on_both_databases};
use tokio::sync::{Notify, watch};

const WITH_EVERYTHING: &str = r#"
key: everything
name: Everything
subject: contact
exit: has(contact.custom.round) && contact.custom.round == 'over'
steps:
  - {id: mark, kind: set_field, field: contact.round, value: 'first'}
  - {id: which, kind: branch, when: "contact.email.startsWith('person1')", then: call, else: hello}
  - {id: hello, kind: send_email, template: {subject: 'Hello', text: 'Round {{ contact.custom.round }}'}}
  - {id: pause, kind: wait, duration: 3d}
  - {id: call, kind: create_task, title: 'Call {{ contact.email }}', due_in: 1d}
  - {id: done, kind: end}
"#;

const BESIDE: &str = "
key: beside
name: Beside
subject: contact
steps:
  - {id: pause, kind: wait, duration: 1h}
  - {id: mark, kind: set_field, field: contact.round, value: 'over'}
  - {id: done, kind: end}
";

const OF_LEADS: &str = "
key: leads
name: Leads
subject: lead
steps:
  - {id: mark, kind: set_field, field: lead.note, value: 'nurtured'}
  - {id: done, kind: end}
";

async fn publish(world: &World, source: &str) -> SequenceId {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0.id
}

async fn enroll(world: &World, sequence: SequenceId, contact: Option<ContactId>, lead: Option<LeadId>) {
    let enroll = EnrollmentCreate { sequence, contact, lead, vars: serde_json::Map::new() };
    world.app.run(&world.system(), enroll).await.unwrap();
}

/// People in two sequences each, one of them suppressed, and a lead in a third.
async fn set_up(world: &World) -> SequenceId {
    for (entity, key) in [(Entity::Contact, "round"), (Entity::Lead, "note")] {
        let (key, label) = (key.to_owned(), key.to_owned());
        let define = CustomFieldDefine { entity, key, label, kind: Kind::Text, choices: Vec::new(), required: false };
        world.app.run(&world.system(), define).await.unwrap();
    }
    let (everything, beside) = (publish(world, WITH_EVERYTHING).await, publish(world, BESIDE).await);
    for n in 0..12 {
        let contact = world.contact(&format!("person{n}@example.com")).await.id;
        enroll(world, everything, Some(contact), None).await;
        enroll(world, beside, Some(contact), None).await;
    }
    let (kind, reason) = (SuppressionKind::Email, SuppressionReason::Manual);
    let suppress = SuppressionAdd { kind, value: "person3@example.com".to_owned(), reason, source: "test".to_owned() };
    world.app.run(&world.system(), suppress).await.unwrap();
    let of_leads = publish(world, OF_LEADS).await;
    let contact = world.contact("lead@example.com").await.id;
    let receive = LeadReceive {
        contact,
        account: None,
        source: "test".to_owned(),
        external_id: None,
        grade: None,
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    let lead = world.app.run(&world.system(), receive).await.unwrap();
    enroll(world, of_leads, None, Some(lead.id)).await;
    beside
}

async fn claim(world: &World) -> Vec<Claimed> {
    let mut jobs = Vec::new();
    for queue in ["steps", "default", "mail", "bulk"] {
        let now = Now::At(world.now());
        let claimed = world.app.store.claim_jobs(queue, "test", now, TimeDelta::seconds(30), 1_000).await;
        jobs.extend(claimed.unwrap());
    }
    jobs
}

/// Runs what is due until nothing is, then lets a day pass, some times. One sequence is paused for some of them.
async fn play(world: &World, paused: SequenceId, together: bool) {
    for day in 0..9 {
        match day {
            1 => drop(world.app.run(&world.system(), SequencePause { sequence: paused }).await.unwrap()),
            6 => drop(world.app.run(&world.system(), SequenceResume { sequence: paused }).await.unwrap()),
            _ => {}
        }
        loop {
            let jobs = claim(world).await;
            if jobs.is_empty() {
                break;
            }
            let (steps, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| Handlers.together(&job.kind));
            let mut done = Vec::new();
            if together && !steps.is_empty() {
                done = Handlers.run_together(&world.app, &steps).await.unwrap();
            } else {
                for job in &steps {
                    done.push(Handlers.run(&world.app, job).await.unwrap());
                }
            }
            for (job, done) in steps.iter().zip(done) {
                if done == Disposition::Obsolete {
                    world.app.store.finish_jobs(&[job.lease]).await.unwrap();
                }
            }
            for job in others {
                if Handlers.run(&world.app, &job).await.unwrap() == Disposition::Obsolete {
                    world.app.store.finish_jobs(&[job.lease]).await.unwrap();
                }
            }
        }
        world.clock.advance(TimeDelta::hours(24));
    }
}

async fn entries(world: &World) -> Vec<Entry> {
    world.ledger().await.into_iter().map(|link| link.entry).collect()
}

type Rows = (Vec<Enrollment>, Vec<Contact>, Vec<Lead>, Vec<Email>, BTreeMap<StateKind, i64>, Vec<Waiting>);

/// Every row that steps write, as the application reads it, and the jobs that wait. That the columns say what the bodies say
/// is seen by reading through them: by state, by stage.
async fn rows(world: &World) -> Rows {
    let store = &world.app.store;
    let page = Page::first(500);
    let mut enrollments = Vec::new();
    for state in StateKind::ALL {
        let filter = EnrollmentFilter { states: vec![*state], ..EnrollmentFilter::default() };
        enrollments.extend(store.enrollment_page(&filter, &page).await.unwrap().items);
    }
    let contacts = store.contact_page(&ContactFilter::default(), &page).await.unwrap().items;
    let leads = store.lead_page(&LeadFilter::default(), &page).await.unwrap().items;
    let emails = store.email_page(&EmailFilter::default(), &page).await.unwrap().items;
    let counts = store.enrollment_counts(None).await.unwrap();
    let jobs = store.job_page(&JobFilter::default(), Now::At(world.now()), &Page::first(500)).await.unwrap().items;
    (enrollments, contacts, leads, emails, counts, jobs)
}

/// Nothing goes together, and everything alone.
#[derive(Clone, Default)]
struct Stubborn {
    alone: Arc<Mutex<Vec<String>>>,
    together: Arc<Mutex<Vec<usize>>>,
    done: Arc<Notify>,
}

impl Handler for Stubborn {
    fn run<'a>(&'a self, _: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            let mut alone = self.alone.lock().unwrap();
            if self.together(&job.kind) {
                alone.push(job.payload.clone());
            }
            if alone.len() == 5 {
                self.done.notify_one();
            }
            Ok(Disposition::Obsolete)
        }
        .boxed()
    }

    fn batches(&self, _: &str) -> bool {
        true
    }

    fn together(&self, kind: &str) -> bool {
        kind == "any"
    }

    fn run_together<'a>(
        &'a self,
        _: &'a App,
        jobs: &'a [Claimed],
    ) -> BoxFuture<'a, Result<Vec<Disposition>, AppError>> {
        async move {
            self.together.lock().unwrap().push(jobs.len());
            Err(AppError::Store(StoreError::Conflict))
        }
        .boxed()
    }
}

on_both_databases! {
    async fn steps_together_leave_the_same_record_as_each_alone(world: World) {
        let alone = World::sqlite().await;
        let paused = set_up(&world).await;
        assert_eq!(set_up(&alone).await, paused);
        play(&world, paused, true).await;
        play(&alone, paused, false).await;
        let (together, alone_entries) = (entries(&world).await, entries(&alone).await);
        assert_eq!(together.len(), alone_entries.len());
        for (one, other) in together.iter().zip(&alone_entries) {
            assert_eq!(one, other);
        }
        assert_eq!(rows(&world).await, rows(&alone).await);
        assert!(world.mailer.sent().len() > 5, "e-mails were sent");
        assert_eq!(world.mailer.sent(), alone.mailer.sent());
        for kind in ["enrollment.ended", "enrollment.paused", "enrollment.email_settled", "work_item.queued", "lead.changed"] {
            assert!(together.iter().any(|entry| entry.kind == kind), "{kind}: {:?}", world.ledger_kinds().await);
        }
    }

    async fn a_lost_lease_among_many_undoes_what_all_of_them_did(world: World) {
        set_up(&world).await;
        let before = entries(&world).await;
        let mut jobs: Vec<Claimed> =
            claim(&world).await.into_iter().filter(|job| Handlers.together(&job.kind)).collect();
        jobs[5].lease.fence += 1;
        let lost = Handlers.run_together(&world.app, &jobs).await.unwrap_err();
        assert!(matches!(lost, AppError::Store(StoreError::LeaseLost { .. })), "{lost}");
        assert_eq!(entries(&world).await, before);
    }

    async fn what_a_batch_wrote_is_found_by_whoever_asks_the_database_in_it(world: World) {
        set_up(&world).await;
        let jobs = claim(&world).await;
        let mut batch = world.app.batch().await.unwrap();
        let job: Job = serde_json::from_str(&jobs[0].payload).unwrap();
        let Job::AdvanceEnrollment { enrollment, visit } = job else { unreachable!("{job:?}") };
        batch.enrollments_ahead([enrollment]).await.unwrap();
        let (moved, ..) = batch.run(&world.system(), &EnrollmentAdvance { enrollment, visit }).await.unwrap();
        assert!(moved.visit > visit);
        let found = batch.tx().live_enrollments_of(moved.contact).await.unwrap();
        assert!(found.contains(&moved), "{found:?}");
        // And it can be written once more after that.
        batch.run(&world.system(), &EnrollmentAdvance { enrollment, visit: moved.visit }).await.unwrap();
        batch.commit().await.unwrap();
    }

    async fn jobs_that_fail_together_run_in_halves_and_at_last_each_by_itself(world: World) {
        let new = |n: i32| NewJob::new("default", "any", format!("{n}"), world.app.env.now());
        world.app.store.add_jobs(&(0..5).map(new).collect::<Vec<_>>()).await.unwrap();
        let stubborn = Stubborn::default();
        let runner = Runner::new(world.app.clone(), "n", Settings::default()).with_handler(stubborn.clone());
        let (stop, stopped) = watch::channel(false);
        let node = tokio::spawn(run_workers(runner, stopped, Duration::from_secs(30)));
        stubborn.done.notified().await;
        stop.send(true).unwrap();
        node.await.unwrap();
        let mut alone = stubborn.alone.lock().unwrap().clone();
        alone.sort();
        assert_eq!(alone, ["0", "1", "2", "3", "4"]);
        assert_eq!(*stubborn.together.lock().unwrap(), [5, 2, 3, 2], "in halves");
        // A node has schedules of its own, whose tick may have come.
        assert!(!world.job_kinds().await.contains(&"any".to_owned()));
    }
}
