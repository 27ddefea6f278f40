//! Steps of sequences.

use crate::{rate, run};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tandem_app::{App, AppError, ContactCreate, EnrollmentCreate, SequencePublish};
use tandem_domain::contact::{ConsentGiven, ConsentState, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_jobs::{Disposition, Handler, Handlers, Runner};
use tandem_store::jobs::Claimed;
use tandem_testkit::World;
use tokio::sync::Notify;

/// Tandem's own handlers, counted.
struct Counted {
    left: Arc<AtomicUsize>,
    done: Arc<Notify>,
}

impl Counted {
    fn count(&self, jobs: usize) {
        if self.left.fetch_sub(jobs, Ordering::SeqCst) <= jobs {
            self.done.notify_one();
        }
    }
}

impl Handler for Counted {
    fn run<'a>(&'a self, app: &'a App, job: &'a Claimed) -> BoxFuture<'a, Result<Disposition, AppError>> {
        async move {
            let done = Handlers.run(app, job).await;
            self.count(1);
            done
        }
        .boxed()
    }

    fn batches(&self, queue: &str) -> bool {
        Handlers.batches(queue)
    }

    fn together(&self, kind: &str) -> bool {
        Handlers.together(kind)
    }

    fn run_together<'a>(
        &'a self,
        app: &'a App,
        jobs: &'a [Claimed],
    ) -> BoxFuture<'a, Result<Vec<Disposition>, AppError>> {
        async move {
            let done = Handlers.run_together(app, jobs).await?;
            self.count(jobs.len());
            Ok(done)
        }
        .boxed()
    }
}

const STEPS: &str = "
key: steps
name: Steps
subject: contact
steps:
  - {id: one, kind: wait, duration: 1h}
  - {id: two, kind: wait, duration: 1h}
  - {id: three, kind: wait, duration: 1h}
  - {id: done, kind: end}
";

/// Real steps of a sequence: each is a run of `advance_enrollment`, with its ledger entries where due and its next job.
pub async fn steps(world: &World, people: usize) -> f64 {
    let publish = SequencePublish { source: STEPS.to_owned() };
    let sequence = world.app.run(&world.system(), publish).await.unwrap().0;
    for part in 0..people.div_ceil(200) {
        let mut batch = world.app.batch().await.unwrap();
        for n in part * 200..people.min((part + 1) * 200) {
            let patch = ContactPatch {
                email: Edit::Set(format!("person{n}@example.com")),
                consent: Some(ConsentGiven {
                    state: ConsentState::Granted,
                    source: Some("bench".to_owned()),
                    at: None,
                }),
                ..ContactPatch::default()
            };
            let create = ContactCreate { contact: patch, default_region: None };
            let contact = Some(batch.run(&world.system(), &create).await.unwrap().record.id);
            let enroll = EnrollmentCreate { sequence: sequence.id, contact, lead: None, vars: serde_json::Map::new() };
            batch.run(&world.system(), &enroll).await.unwrap();
        }
        batch.commit().await.unwrap();
    }
    // The world's clock stands still and is behind the database's: every wait is over as soon as it is planned.
    let jobs = people * 4;
    let (left, done) = (Arc::new(AtomicUsize::new(jobs)), Arc::new(Notify::new()));
    let took = run(
        world,
        1,
        || {
            let counted = Counted { left: left.clone(), done: done.clone() };
            Box::new(move |runner: Runner| runner.with_handler(counted))
        },
        &done,
    )
    .await;
    rate(jobs, took)
}
