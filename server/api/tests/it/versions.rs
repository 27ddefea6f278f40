//! Living versions through GraphQL.

use crate::client::{ask, change, data, global};
use serde_json::{Value, json};
use tandem_app::{EnrollmentCreate, SequenceMigrationPart};
use tandem_domain::access::{Role, Side};
use tandem_domain::id::SequenceMigrationId;
use tandem_domain::sequence::Sequence;
use tandem_testkit::{World, on_both_databases};

const FIRST: &str = "
key: living
name: Living
subject: contact
steps:
  - {id: one, kind: send_email, template: {subject: One, text: one}}
  - {id: rest, kind: wait, duration: 2d}
  - {id: two, kind: send_email, template: {subject: Two, text: two}}
  - {id: done, kind: end}
";

/// A sequence with people before its second e-mail.
async fn running(world: &World, people: usize) -> Sequence {
    let publish = tandem_app::SequencePublish { source: FIRST.to_owned() };
    let sequence = world.app.run(&world.system(), publish).await.unwrap().0;
    for n in 0..people {
        let contact = world.contact(&format!("p{n}@example.com")).await;
        let create =
            EnrollmentCreate { sequence: sequence.id, contact: Some(contact.id), lead: None, vars: Default::default() };
        world.app.run(&world.system(), create).await.unwrap();
    }
    world.run_due_jobs().await;
    sequence
}

const PREVIEW: &str = "query($source: String!, $running: SequenceRunningInput) {
    sequencePreview(source: $source, running: $running) {
        number count problems { rule } mapProblems { code }
        versions { number count version { number } steps {
            step count states { state stateReason count } fate to mayRepeat passed problem { code }
        } }
    } }";

on_both_databases! {
    async fn a_preview_shows_who_stands_where_and_publishing_moves_them(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let sequence = running(&world, 2).await;
        let second = FIRST.replace("id: two", "id: second").replace("Two", "Second");
        let seen = data(&world, &ops, PREVIEW, json!({"source": second})).await["sequencePreview"].clone();
        assert_eq!((&seen["number"], &seen["count"], &seen["problems"]), (&json!(2), &json!(2), &json!([])));
        let step = &seen["versions"][0]["steps"][0];
        assert_eq!(step["states"], json!([{"state": "WAITING", "stateReason": "TIME", "count": 2}]));
        assert_eq!((&step["fate"], &step["problem"]["code"]), (&json!("REFUSED"), &json!("SEQUENCE_MIGRATION_STEP_GONE")));
        let fields = "version { number } migration { id state policy total moved ended refused { code count }
            map { from to repeat skip } requestedBy { name } version { number } }";
        let plain = json!({"source": second, "running": {"policy": "MIGRATE"}});
        let refused = change(&world, &ops, "sequencePublish", fields, plain).await;
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("SEQUENCE_MIGRATION_STEP_GONE"), &json!(["running", "map"])));
        let unclear = json!({"source": second, "running": {"policy": "MIGRATE", "map": [{"from": "two"}]}});
        let refused = change(&world, &ops, "sequencePublish", fields, unclear).await;
        assert_eq!(refused["userErrors"][0]["code"], "SEQUENCE_MIGRATION_ENTRY_INVALID");
        let map = json!({"policy": "MIGRATE", "map": [{"from": "two", "to": "second"}]});
        let seen = data(&world, &ops, PREVIEW, json!({"source": second, "running": map})).await["sequencePreview"].clone();
        let step = &seen["versions"][0]["steps"][0];
        assert_eq!((&step["fate"], &step["to"]), (&json!("MOVES"), &json!("second")));
        let input = json!({"source": second, "running": map, "idempotencyKey": "publish-2"});
        let made = change(&world, &ops, "sequencePublish", fields, input.clone()).await;
        assert_eq!(made["migration"]["state"], "PENDING");
        assert_eq!(made["migration"]["requestedBy"]["name"], "ops");
        assert_eq!(change(&world, &ops, "sequencePublish", fields, input).await, made);
        world.run_due_jobs().await;
        let query = "query($key: String!) { sequence(key: $key) { backlogCount migrations { nodes { state total moved
            version { number } sequence { key } } } } }";
        let found = data(&world, &ops, query, json!({"key": "living"})).await;
        let expected = json!([{"state": "COMPLETED", "total": 2, "moved": 2, "version": {"number": 2}, "sequence": {"key": "living"}}]);
        assert_eq!(found["sequence"]["migrations"]["nodes"], expected);
        let node = "query($id: ID!) { node(id: $id) { ... on SequenceMigration { endedAt map { from to } } } }";
        let found = data(&world, &ops, node, json!({"id": made["migration"]["id"]})).await;
        assert_eq!(found["node"]["map"], json!([{"from": "two", "to": "second"}]));
        let nothing = json!({"sequenceId": global(sequence.id), "running": {"policy": "FINISH"}});
        let refused = change(&world, &ops, "sequenceMigrate", "migration { id }", nothing).await;
        assert_eq!(refused["userErrors"][0]["code"], "SEQUENCE_MIGRATION_NOTHING");
    }

    async fn a_migration_is_steered_by_those_who_define_sequences(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        running(&world, 1).await;
        let second = FIRST.replace("Two", "Second");
        let input = json!({"source": second, "running": {"policy": "MIGRATE"}});
        let made = change(&world, &ops, "sequencePublish", "migration { id }", input).await;
        let id = made["migration"]["id"].clone();
        let input = json!({"migrationId": id});
        let state = "migration { state }";
        let turned = change(&world, &ops, "sequenceMigrationPause", state, input.clone()).await;
        assert_eq!(turned["migration"]["state"], "PAUSED");
        world.run_due_jobs().await;
        let turned = change(&world, &ops, "sequenceMigrationResume", state, input.clone()).await;
        assert_eq!(turned["migration"]["state"], "RUNNING");
        let text = "mutation($input: SequenceMigrationCancelInput!) { sequenceMigrationCancel(input: $input) { migration { state } } }";
        let forbidden = ask(&world, &sdr, text, json!({"input": input})).await;
        assert_eq!(forbidden["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let turned = change(&world, &ops, "sequenceMigrationCancel", state, input.clone()).await;
        assert_eq!(turned["migration"]["state"], "CANCELLED");
        let refused = change(&world, &ops, "sequenceMigrationResume", state, input).await;
        assert_eq!(refused["userErrors"][0]["code"], "SEQUENCE_MIGRATION_NOT_ALLOWED");
        let part = SequenceMigrationPart { migration: SequenceMigrationId(Default::default()), revision: 0 };
        assert_eq!(world.app.run(&sdr, part).await.unwrap_err().code(), "FORBIDDEN", "parts are Tandem's own");
    }

    async fn a_difference_names_fields_steps_and_ways(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let sequence = running(&world, 0).await;
        let query = "query($source: String, $version: ID, $against: ID) {
            sequenceDiff(source: $source, versionId: $version, against: $against) {
                against { number } header { path before after } problems { path }
                steps { id change moved placeBefore placeAfter nextBefore nextAfter fields { path before after } } } }";
        let second = FIRST.replace("name: Living", "name: Lively").replace("Two", "Second");
        let found = data(&world, &ops, query, json!({"source": second})).await["sequenceDiff"].clone();
        assert_eq!(found["against"]["number"], 1);
        assert_eq!(found["header"], json!([{"path": "name", "before": "Living", "after": "Lively"}]));
        assert_eq!(found["steps"][0]["fields"], json!([{"path": "template.subject", "before": "Two", "after": "Second"}]));
        let broken = data(&world, &ops, query, json!({"source": "key: living"})).await["sequenceDiff"].clone();
        assert!(!broken["problems"].as_array().unwrap().is_empty());
        let version = global(sequence.latest_version.unwrap());
        let found = data(&world, &ops, query, json!({"version": version})).await["sequenceDiff"].clone();
        assert_eq!((&found["against"], found["steps"].as_array().map(Vec::len)), (&Value::Null, Some(4)), "all of it is new");
        let neither = ask(&world, &ops, query, json!({})).await;
        assert_eq!(neither["errors"][0]["extensions"]["reason"], "SEQUENCE_DIFF_CHOICE");
    }

    async fn a_resumed_sequence_says_what_becomes_of_its_backlog(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let sequence = global(running(&world, 2).await.id);
        let until = "2026-03-30T09:00:00Z";
        let input = json!({"sequenceId": sequence, "until": until});
        let paused = change(&world, &ops, "sequencePause", "sequence { state pausedUntil }", input).await;
        assert_eq!(paused["sequence"]["state"], "PAUSED");
        assert!(paused["sequence"]["pausedUntil"].as_str().unwrap().starts_with("2026-03-30T09:00:00"));
        world.pass(chrono::TimeDelta::days(3)).await;
        let query = "{ sequence(key: \"living\") { backlogCount resumption { runs } } }";
        let found = data(&world, &ops, query, json!({})).await;
        assert_eq!(found["sequence"], json!({"backlogCount": 2, "resumption": null}));
        let fields = "sequence { state pausedUntil resumption { backlog days runs } }";
        let many = json!({"sequenceId": sequence, "days": 31});
        let refused = change(&world, &ops, "sequenceResume", fields, many).await;
        assert_eq!(refused["userErrors"][0]["code"], "SEQUENCE_BACKLOG_DAYS_OUT_OF_RANGE");
        assert_eq!(refused["userErrors"][0]["field"], json!(["days"]));
        let input = json!({"sequenceId": sequence, "days": 2});
        let resumed = change(&world, &ops, "sequenceResume", fields, input).await["sequence"].clone();
        assert_eq!(resumed["resumption"], json!({"backlog": "SPREAD", "days": 2, "runs": 2}));
        assert_eq!((&resumed["state"], &resumed["pausedUntil"]), (&json!("ACTIVE"), &Value::Null));
    }
}
