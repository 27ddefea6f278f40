//! Events of analytics SDKs: how soon batches are taken, and how soon they are applied.

use super::{Bench, Times, timed};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tandem_domain::access::Role;
use tandem_domain::ingest::{SourceDraft, State, Trust};
use tandem_jobs::{Runner, Settings, run_workers};
use tandem_store::Page;
use tandem_store::ingest::IngestedEventFilter;
use tokio::sync::watch;

/// How many senders send at once.
const AT_ONCE: usize = 8;
/// How many events one batch has, as SDKs for servers send them.
const BATCH: usize = 100;

fn batch(number: usize) -> String {
    let event = |place: usize| {
        let (n, user) = (number * BATCH + place, (number * BATCH + place) % 5_000);
        json!({ "type": "track", "event": "Looked", "messageId": format!("m{n}"), "userId": format!("u{user}"),
            "timestamp": "2026-03-02T08:00:00Z", "properties": { "page": "/pricing", "seconds": 12 } })
    };
    json!({ "batch": (0..BATCH).map(event).collect::<Vec<Value>>() }).to_string()
}

/// Sends so many batches, with workers in the same process.
pub(super) async fn run(bench: &Bench, batches: usize) {
    let world = &bench.world;
    let (machine, _) = world.user("sdk", Role::Integration, None).await;
    let draft = SourceDraft {
        key: "bench".to_owned(),
        name: "Bench".to_owned(),
        trust: Trust::Server,
        acts_as: machine.id,
        user_system: "app".to_owned(),
        phone_region: None,
        rules: Vec::new(),
        active: true,
    };
    let (_, write_key) = world.app.save_event_source(&world.system(), draft).await.unwrap();
    let write_key = write_key.unwrap();
    let (stop, stopping) = watch::channel(false);
    let runner = Runner::new(world.app.clone(), "ingest", Settings::default());
    let workers = tokio::spawn(run_workers(runner, stopping, Duration::from_secs(30)));
    let bodies: Vec<String> = (0..batches).map(batch).collect();
    let began = Instant::now();
    let send = async |body: &String| {
        let request = bench.client.post(bench.url("/v1/batch")).basic_auth(&write_key, Some(""));
        let response = request.body(body.clone()).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
    };
    let taken = stream::iter(&bodies).map(|body| timed(send(body)));
    let taken: Vec<Duration> = taken.buffer_unordered(AT_ONCE).map(|(time, ())| time).collect().await;
    Times(taken).show(&format!("taken: POST /v1/batch, {BATCH} events each"), began.elapsed());
    let waiting = IngestedEventFilter { states: vec![State::Received], source: None };
    while !world.app.store.ingested_event_page(&waiting, &Page::first(1)).await.unwrap().items.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (events, whole) = (batches * BATCH, began.elapsed().as_secs_f64());
    stop.send(true).unwrap();
    workers.await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let rate = events as f64 / whole;
    println!("{:<44} {events} events in {whole:.2} s, {rate:.0}/s", "applied: an interaction of each");
}
