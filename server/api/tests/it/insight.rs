//! What is asked about sequences, through GraphQL.

use crate::client::{ask, change, global};
use serde_json::{Value, json};
use tandem_app::contacts::ContactCreate;
use tandem_domain::access::Role;
use tandem_testkit::on_both_databases;

const SOURCE: &str = "
key: hello
name: Hello
subject: contact
steps:
  - {id: reachable, kind: branch, when: 'contact.phone != null', then: pause, else: mail}
  - {id: mail, kind: send_email, template: {subject: 'Hi', text: 'Hello.'}}
  - {id: pause, kind: wait, duration: 2d}
  - {id: done, kind: end}
";

on_both_databases! {
    async fn a_story_and_the_numbers_are_asked_for(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let made = change(&world, &ops, "sequencePublish", "sequence { id }", json!({"source": SOURCE})).await;
        let sequence = made["sequence"]["id"].clone();
        let contact = serde_json::from_value(json!({
            "name": "Sam Sample", "email": "sam@example.com", "consent": {"state": "GRANTED", "source": "form"},
        }))
        .unwrap();
        let sam = world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record;
        let input = json!({"sequenceId": sequence, "contactId": global(sam.id)});
        let run = change(&world, &ops, "enrollmentCreate", "enrollment { id }", input).await["enrollment"]["id"].clone();
        world.run_due_jobs().await;

        let query = "query($id: ID!) { node(id: $id) { ... on Enrollment { story(first: 2) { pageInfo { hasNextPage }
            nodes { kind fact sentence actorRole actor { name } rule stateAfter steps { step kind condition held }
            waits { reason } grounds { rule } email { subject } emailFate { openedAt } workItem { title } interaction { name } } } } } }";
        let story = &ask(&world, &ops, query, json!({"id": run})).await["data"]["node"]["story"];
        assert_eq!(story["pageInfo"]["hasNextPage"], true);
        let (first, second) = (&story["nodes"][0], &story["nodes"][1]);
        assert_eq!((&first["kind"], &first["actor"]["name"]), (&json!("STARTED"), &json!("ops")));
        assert_eq!(first["rule"], "sequence:hello@1");
        let branch = json!({"step": "reachable", "kind": "branch", "condition": "contact.phone != null", "held": false});
        assert_eq!((&second["steps"][0], &second["waits"]["reason"]), (&branch, &json!("EMAIL")));

        let query = "query($id: ID!, $version: Int) { sequenceReport(sequenceId: $id, version: $version, groupBy: STEP) { groupBy
            rows { label version step variant entered waiting done skipped { reason runs } ended { state reason runs }
            sent delivered opened clicked replied met qualified dispatched won } } }";
        let report = &ask(&world, &ops, query, json!({"id": sequence})).await["data"]["sequenceReport"];
        let mail = &report["rows"].as_array().unwrap().iter().find(|row| row["step"] == "mail").unwrap();
        assert_eq!((&mail["entered"], &mail["done"], &mail["sent"], &mail["won"]), (&json!(1), &json!(1), &json!(1), &json!(0)));
        let none = ask(&world, &ops, query, json!({"id": sequence, "version": 7})).await;
        assert_eq!((&none["data"]["sequenceReport"], none.get("errors")), (&Value::Null, None));

        let query = "query($effect: Float!) { experimentSize(baseline: 0.1, smallestEffect: $effect) { people peopleForOneLook } }";
        let size = ask(&world, &ops, query, json!({"effect": 0.05})).await;
        assert_eq!(size["data"]["experimentSize"]["peopleForOneLook"], 686);
        let refused = ask(&world, &ops, query, json!({"effect": 0.0})).await;
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "EXPERIMENT_OUT_OF_RANGE");
        let input = json!({"sequenceId": sequence, "step": "mail", "hypothesis": "It helps", "metric": "REPLIED", "baseline": 0.1,
            "smallestEffect": 0.05});
        let refused = change(&world, &ops, "experimentRegister", "experiment { id }", input).await;
        assert_eq!((&refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"]), (&json!("EXPERIMENT_NO_SPLIT"), &json!(["step"])));
    }

    async fn a_change_of_an_experiment_keeps_what_is_left_out_and_follows_the_newest_version(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let source = |variants: &str| format!("key: tried\nname: Tried\nsubject: contact\nsteps:\n  - {{id: which, kind: split, variants: [{variants}]}}\n  \
            - {{id: one, kind: wait, duration: 1d, next: done}}\n  - {{id: two, kind: wait, duration: 2d}}\n  - {{id: done, kind: end}}\n");
        let first = source("{key: a, weight: 1, then: one}, {key: b, weight: 1, then: two}");
        let made = change(&world, &ops, "sequencePublish", "sequence { id }", json!({"source": first})).await;
        let input = json!({"sequenceId": made["sequence"]["id"], "step": "which", "hypothesis": "It helps", "metric": "REPLIED",
            "baseline": 0.1, "smallestEffect": 0.05, "windowDays": 3, "alpha": 0.01, "power": 0.9});
        let made = change(&world, &ops, "experimentRegister", "experiment { id }", input).await;
        let id = &made["experiment"]["id"];
        let second = source("{key: a, weight: 1, then: one}, {key: b, weight: 3, then: two}");
        change(&world, &ops, "sequencePublish", "sequence { id }", json!({"source": second})).await;
        let start = json!({"experimentId": id});
        let refused = change(&world, &ops, "experimentStart", "experiment { id }", start.clone()).await;
        assert_eq!(refused["userErrors"][0]["code"], "EXPERIMENT_SPLIT_CHANGED");
        let fields = "experiment { hypothesis metric baseline smallestEffect windowDays alpha power variants { key weight } }";
        let input = json!({"experimentId": id, "hypothesis": "It is shorter"});
        let changed = change(&world, &ops, "experimentChange", fields, input).await;
        let expected = json!({"hypothesis": "It is shorter", "metric": "REPLIED", "baseline": 0.1, "smallestEffect": 0.05, "windowDays": 3,
            "alpha": 0.01, "power": 0.9, "variants": [{"key": "a", "weight": 1}, {"key": "b", "weight": 3}]});
        assert_eq!(changed["experiment"], expected, "{changed}");
        let started = change(&world, &ops, "experimentStart", "experiment { state }", start).await;
        assert_eq!(started["experiment"]["state"], "RUNNING", "{started}");
    }
}
