//! How rows are loaded: in batches, and with the true error in the log. The log is this thread's, so these tests keep to
//! one thread.

use crate::client::{ask, data, global};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tandem_domain::access::{Role, Side};
use tandem_testkit::World;
use tracing::Level;
use tracing::subscriber::DefaultGuard;

/// What this thread logs, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Begins to keep the log of tandem-api, until the guard is dropped.
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines so far that hold the text.
    fn lines(&self, text: &str) -> Vec<String> {
        let written = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        written.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A world on each database that is there.
async fn worlds() -> impl Iterator<Item = World> {
    [Some(World::sqlite().await), World::postgres().await].into_iter().flatten()
}

#[tokio::test]
async fn nodes_are_loaded_together() {
    for world in worlds().await {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let mut ids = Vec::new();
        for n in 0..30 {
            ids.push(global(world.contact(&format!("c{n}@example.com")).await.id));
        }
        let (log, _guard) = Log::begin();
        let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
        let found = data(&world, &sdr, query, json!({ "ids": ids })).await;
        assert_eq!(
            found["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect::<Vec<_>>(),
            ids.iter().collect::<Vec<_>>()
        );
        assert_eq!(log.lines("loads a batch").len(), 1);
    }
}

#[tokio::test]
async fn a_batch_that_failed_is_logged_as_what_it_was() {
    for world in worlds().await {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let ids = [global(world.contact("a@example.com").await.id), global(world.contact("b@example.com").await.id)];
        world.tamper("ALTER TABLE contact RENAME TO elsewhere").await.unwrap();
        let (log, _guard) = Log::begin();
        let query = "query($a: ID!, $b: ID!) { a: node(id: $a) { id } b: node(id: $b) { id } }";
        let answer = ask(&world, &sdr, query, json!({"a": ids[0], "b": ids[1]})).await;
        for error in answer["errors"].as_array().unwrap() {
            assert_eq!(error["extensions"]["code"], "INTERNAL", "{answer}");
        }
        let lines = log.lines("a request failed");
        assert_eq!(lines.len(), 2, "{answer}");
        for line in lines {
            assert!(line.contains("contact") && !line.contains("database.url"), "{line}");
        }
    }
}

#[tokio::test]
async fn a_history_is_folded_once_for_all_its_versions() {
    for world in worlds().await {
        let scene = crate::lists::scene(&world, 2).await;
        scene.agree(&world, "ADD", json!("T1")).await;
        for tier in ["T2", "T3", "T1"] {
            scene.agree(&world, "RETIER", json!(tier)).await;
        }
        scene.agree(&world, "REMOVE", json!(null)).await;
        let (log, _guard) = Log::begin();
        let query = "{ targetAccountList(key: \"enterprise\") { versions { nodes {
            all: entries { totalCount } entries(first: 1) { totalCount nodes { tier } pageInfo { hasNextPage } } } } } }";
        let found = data(&world, &scene.seller, query, json!({})).await;
        let versions = found["targetAccountList"]["versions"]["nodes"].as_array().unwrap();
        let tiers: Vec<_> = versions.iter().map(|version| &version["entries"]["nodes"][0]["tier"]).collect();
        assert_eq!(tiers, [&json!("T1"), &json!("T2"), &json!("T3"), &json!("T1"), &json!(null)]);
        assert_eq!(versions[1]["entries"]["totalCount"], 2);
        assert_eq!(versions[1]["entries"]["pageInfo"]["hasNextPage"], true);
        assert_eq!(versions[4]["all"]["totalCount"], 0);
        assert_eq!(log.lines("folds a history").len(), 1);
    }
}

#[tokio::test]
async fn what_each_sequence_counts_and_each_use_took_is_read_together() {
    for world in worlds().await {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let mail = "key: mail\nname: Mail\nsubject: Hello\ntext: 'Hi {{ unsubscribe_url }}'\n";
        let mail = tandem_app::EmailTemplatePublish { source: mail.to_owned() };
        world.app.run(&world.system(), mail).await.unwrap();
        let mut sequences = Vec::new();
        for n in 0..5 {
            let source = format!(
                "key: s{n}\nname: S\nsubject: contact\nsteps:\n  - {{id: rest, kind: wait, duration: 1d}}\n  - {{id: one, kind: \
                 send_email, template: mail}}\n  - {{id: done, kind: end}}\n"
            );
            let publish = tandem_app::SequencePublish { source };
            sequences.push(world.app.run(&world.system(), publish).await.unwrap().0);
        }
        for (n, sequence) in [0, 0, 1].into_iter().map(|at| &sequences[at]).enumerate() {
            let contact = Some(world.contact(&format!("p{n}@example.com")).await.id);
            let create =
                tandem_app::EnrollmentCreate { sequence: sequence.id, contact, lead: None, vars: Default::default() };
            world.app.run(&world.system(), create).await.unwrap();
        }
        world.run_due_jobs().await;
        world.app.run(&world.system(), tandem_app::SequencePause { sequence: sequences[0].id }).await.unwrap();
        world.pass(chrono::TimeDelta::days(1)).await;
        let (log, _guard) = Log::begin();
        let query =
            "{ sequences { nodes { key enrollmentCounts { state count } backlogCount latestVersion { templates {
            templateVersion { number } } } } }
            emailTemplate(key: \"mail\") { usedBy { nodes { templateVersion { number } } } } }";
        let found = data(&world, &ops, query, json!({})).await;
        let nodes = found["sequences"]["nodes"].as_array().unwrap();
        let counts: Vec<_> =
            nodes.iter().map(|node| (node["enrollmentCounts"].clone(), node["backlogCount"].clone())).collect();
        assert_eq!(counts[0], (json!([{"state": "PAUSED", "count": 2}]), json!(2)));
        assert_eq!(counts[1].1, 0);
        assert_eq!(counts[1].0.as_array().unwrap().len(), 1);
        assert!(counts[2..].iter().all(|count| *count == (json!([]), json!(0))), "{counts:?}");
        assert!(nodes.iter().all(|node| node["latestVersion"]["templates"][0]["templateVersion"]["number"] == 1));
        let used = found["emailTemplate"]["usedBy"]["nodes"].as_array().unwrap();
        assert!(used.len() == 5 && used.iter().all(|one| one["templateVersion"]["number"] == 1), "{used:?}");
        let batches = log.lines("loads a batch");
        for kind in ["EnrollmentCounts", "Backlog"] {
            assert_eq!(batches.iter().filter(|line| line.contains(kind)).count(), 1, "{batches:?}");
        }
        assert!(batches.iter().filter(|line| line.contains("EmailTemplateVersion")).count() <= 2, "{batches:?}");
    }
}
