//! What the pure parts of a step cost: `cargo bench -p tandem-domain --bench pure`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use std::hint::black_box;
use tandem_domain::calendar::Calendars;
use tandem_domain::decision::Fact;
use tandem_domain::expression::Expression;
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId, SequenceVersionId};
use tandem_domain::ledger::{Entry, Stamp};
use tandem_domain::sequence::SequenceState;
use tandem_domain::sequence::enrollment::{Candidate, enroll};
use tandem_domain::sequence::publishing::{By, publish};
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::standing::Standing;
use uuid::Uuid;

const SEQUENCE: &str = "
key: bench
name: Bench
subject: contact
exit: contact.custom.left == true
steps:
  - {id: hello, kind: send_email, template: {subject: 'Hi {{ contact.first_name }}', text: 'Round {{ contact.custom.round }}'}}
  - {id: pause, kind: wait, duration: 3d}
  - {id: done, kind: end}
";

fn now() -> DateTime<Utc> {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

fn data() -> Value {
    json!({
        "contact": {"first_name": "Sam", "email": "sam@example.com", "custom": {"left": false, "round": 2}},
        "account": null, "lead": null, "sender": {"name": "Us"}, "unsubscribe_url": "https://example.com/u/1",
        "enrollment": {"visit": 0, "vars": {}, "started_at": "2026-01-05T09:00:00Z"}, "now": "2026-01-05T09:00:00Z",
    })
}

fn stamp() -> Stamp {
    Stamp {
        actor: None,
        role: "SYSTEM".to_owned(),
        side: None,
        at: now(),
        recorded_at: now(),
        request_id: "EwsNJ9bVSeCNHJAl".to_owned(),
        idempotency_key: None,
        trace: None,
    }
}

static NO_CALENDARS: Calendars = Calendars::new();

fn pure(criterion: &mut Criterion) {
    let data = data();
    let context = Context {
        data: &data,
        zone: Tz::UTC,
        standing: Standing::Allowed,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars: &NO_CALENDARS,
        mailboxes: &[],
        capped: None,
    };
    let by =
        By { sequence: SequenceId(Uuid::from_u128(1)), version: SequenceVersionId(Uuid::from_u128(2)), user: None };
    let (sequence, version) = publish(None, SEQUENCE, by, now()).unwrap().next;
    let candidate = Candidate {
        id: EnrollmentId(Uuid::from_u128(3)),
        contact: ContactId(Uuid::from_u128(4)),
        lead: None,
        account: None,
        vars: Map::new(),
    };
    let enrollment = enroll(candidate, &sequence, &version, None, &context, now()).unwrap().next;
    criterion.bench_function("advance to an e-mail, with its exit and its templates", |bench| {
        bench.iter(|| advance(black_box(&enrollment), &version.definition, &context, now()).unwrap());
    });
    let expression = Expression::parse("contact.custom.left == true || contact.custom.round > 3").unwrap();
    criterion.bench_function("a condition", |bench| bench.iter(|| expression.holds(black_box(&data)).unwrap()));
    let fact = Fact::ledger("lead.received", LeadId(Uuid::from_u128(5))).with("source", "webinar").with("grade", "A");
    criterion.bench_function("an entry of the ledger and its hash", |bench| {
        bench.iter(|| Entry::new(7, &stamp(), black_box(&fact)).hash("0f1e2d"));
    });
    criterion.bench_function("a definition from YAML, checked", |bench| {
        bench.iter(|| publish(None, black_box(SEQUENCE), by, now()).unwrap());
    });
}

criterion_group!(benches, pure);
criterion_main!(benches);
