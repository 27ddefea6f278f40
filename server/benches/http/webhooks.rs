//! Deliveries to a webhook: how soon each is taken, and how soon all are done.

use super::{Bench, Times, timed};
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use std::time::{Duration, Instant};
use tandem_app::InboundWebhookSave;
use tandem_domain::access::Role;
use tandem_domain::inbound::{ActionDraft, ActionKind, Draft, InboundDelivery, Scheme, State};
use tandem_jobs::{Runner, Settings, run_workers};
use tandem_store::Page;
use tandem_store::inbound::InboundDeliveryFilter;
use tokio::sync::watch;

const AT_ONCE: usize = 50;
const SECRET: &str = "0123456789abcdef";

fn draft(machine: tandem_domain::id::UserId) -> Draft {
    let action = |kind, values: &[(&str, &str)]| ActionDraft {
        kind,
        when: None,
        values: values.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect(),
        optional: false,
    };
    Draft {
        key: "bench".to_owned(),
        name: "Bench".to_owned(),
        scheme: Scheme::Bearer,
        acts_as: machine,
        phone_region: None,
        delivery_id: None,
        filter: Some("payload.type == 'form'".to_owned()),
        actions: vec![
            action(ActionKind::ContactUpsert, &[("email", "payload.email"), ("name", "payload.name")]),
            action(ActionKind::LeadReceive, &[("source", "'Form'")]),
        ],
        active: true,
    }
}

/// Sends so many deliveries, with workers in the same process; the floor asks as often whether the server lives.
pub(super) async fn run(bench: &Bench, requests: usize) {
    let world = &bench.world;
    let (machine, _) = world.user("machine", Role::Integration, None).await;
    let save = InboundWebhookSave { draft: draft(machine.id), secret: Some(SECRET.to_owned()) };
    world.app.run(&world.system(), save).await.unwrap();

    let began = Instant::now();
    let floor = stream::iter(0..requests)
        .map(|_| timed(async { bench.client.get(bench.url("/healthz")).send().await.unwrap() }));
    let floor: Vec<Duration> = floor.buffer_unordered(AT_ONCE).map(|(time, _)| time).collect().await;
    Times(floor).show("floor: GET /healthz", began.elapsed());

    let (stop, stopping) = watch::channel(false);
    let runner = Runner::new(world.app.clone(), "bench", Settings::default());
    let workers = tokio::spawn(run_workers(runner, stopping, Duration::from_secs(30)));
    let began = Instant::now();
    let send = async |number: usize| {
        let body = json!({ "type": "form", "email": format!("p{number}@acme.example"), "name": "Ash Alder" });
        let request = bench.client.post(bench.url("/webhooks/bench")).bearer_auth(SECRET).body(body.to_string());
        let response = request.header("idempotency-key", format!("k{number}")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 202);
    };
    let taken = stream::iter(0..requests).map(|number| timed(send(number)));
    let taken: Vec<Duration> = taken.buffer_unordered(AT_ONCE).map(|(time, ())| time).collect().await;
    Times(taken).show("taken: POST /webhooks/bench", began.elapsed());
    let filter = InboundDeliveryFilter { states: vec![State::Received], webhook: None };
    while !world.app.store.inbound_delivery_page(&filter, &Page::first(1)).await.unwrap().items.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let whole = began.elapsed();
    let mut page = Page::first(1_000);
    let mut done = 0;
    loop {
        let part = world.app.store.inbound_delivery_page(&InboundDeliveryFilter::default(), &page).await.unwrap();
        page.after = part.items.last().map(|delivery| delivery.id.0);
        done += part.items.iter().filter(|delivery: &&InboundDelivery| delivery.state == State::Done).count();
        if !part.has_next {
            break;
        }
    }
    stop.send(true).unwrap();
    workers.await.unwrap();
    println!("{:<44} {done} of {requests} in {:.2} s", "done: contact and lead of each", whole.as_secs_f64());
    assert_eq!(done, requests);
}
