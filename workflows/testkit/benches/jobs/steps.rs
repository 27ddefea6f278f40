//! Steps of sequences.

use crate::counted::Counted;
use crate::{rate, run};
use tandem_app::{ContactCreate, EnrollmentCreate, SequencePublish};
use tandem_domain::contact::{ConsentGiven, ConsentState, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_testkit::World;

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
    let counted = Counted::new(world, jobs).await;
    let took = run(world, 1, || counted.handler(), &counted.done).await;
    rate(jobs, took)
}
