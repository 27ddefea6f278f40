//! Sequences and enrolments through GraphQL.

use crate::client::{ask, change, global};
use serde_json::{Value, json};
use tandem_app::contacts::ContactCreate;
use tandem_domain::access::Role;
use tandem_domain::contact::Contact;
use tandem_domain::id::EnrollmentId;
use tandem_testkit::{World, on_both_databases};

const SOURCE: &str = "
key: hello
name: Hello
subject: contact
steps:
  - {id: mail, kind: send_email, template: {subject: 'Hi {{ contact.first_name }}', text: 'Hello.'}}
  - {id: pause, kind: wait, duration: 2d}
  - {id: done, kind: end}
";

async fn person(world: &World, name: &str) -> Contact {
    let contact = serde_json::from_value(json!({
        "name": name, "email": format!("{name}@example.com"), "consent": {"state": "GRANTED", "source": "form"},
    }))
    .unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

on_both_databases! {
    async fn a_sequence_is_published_enrolled_in_and_followed(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let fields = "sequence { id key state latestVersion { number } } version { id number steps { id kind next } }";
        let made = change(&world, &ops, "sequencePublish", fields, json!({"source": SOURCE})).await;
        assert_eq!(made["userErrors"], json!([]));
        assert_eq!(made["sequence"]["state"], "ACTIVE");
        assert_eq!(made["version"]["steps"][1], json!({"id": "pause", "kind": "wait", "next": ["done"]}));
        let again = change(&world, &ops, "sequencePublish", fields, json!({"source": SOURCE})).await;
        assert_eq!(again["userErrors"][0]["code"], "SEQUENCE_UNCHANGED");
        let sequence = made["sequence"]["id"].clone();
        let sam = global(person(&world, "sam").await.id);
        let input = json!({"sequenceId": sequence, "contactId": sam, "vars": {"from": "fair"}, "idempotencyKey": "e-1"});
        let fields = "enrollment { id state step visit vars contact { name } account { name } lead { id } }";
        let enrolled = change(&world, &ops, "enrollmentCreate", fields, input.clone()).await;
        assert_eq!(enrolled["enrollment"]["state"], "PENDING");
        assert_eq!(enrolled["enrollment"]["vars"], json!({"from": "fair"}));
        assert_eq!(enrolled["enrollment"]["contact"]["name"], "sam");
        assert_eq!(change(&world, &ops, "enrollmentCreate", fields, input).await, enrolled);
        world.run_due_jobs().await;
        let query = "query($id: ID!) { node(id: $id) { ... on Enrollment { state stateReason step sequence { key
            enrollmentCounts { state count } } version { number } } } }";
        let found = ask(&world, &ops, query, json!({"id": enrolled["enrollment"]["id"]})).await;
        let expected = json!({"state": "WAITING", "stateReason": "TIME", "step": "done", "version": {"number": 1},
            "sequence": {"key": "hello", "enrollmentCounts": [{"state": "WAITING", "count": 1}]}});
        assert_eq!(found["data"]["node"], expected);
        let input = json!({"enrollmentId": enrolled["enrollment"]["id"]});
        let exited = change(&world, &ops, "enrollmentExit", "enrollment { state stateReason endedAt dueAt }", input).await;
        assert_eq!((&exited["enrollment"]["stateReason"], &exited["enrollment"]["dueAt"]), (&json!("MANUAL"), &Value::Null));
        let query = "query($filter: EnrollmentFilterInput) { enrollments(filter: $filter) { nodes { state } } }";
        let filter = json!({"filter": {"sequenceId": sequence, "states": ["EXITED"]}});
        assert_eq!(ask(&world, &ops, query, filter).await["data"]["enrollments"]["nodes"], json!([{"state": "EXITED"}]));
    }

    async fn every_problem_of_a_definition_is_an_error_of_its_own(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let source = SOURCE.replace("contact.first_name", "person.name").replace("2d", "2 days");
        let fields = "sequence { id } version { id }";
        let refused = change(&world, &ops, "sequencePublish", fields, json!({"source": source})).await;
        assert_eq!((&refused["sequence"], &refused["version"]), (&Value::Null, &Value::Null));
        assert_eq!(refused["userErrors"][0]["code"], "SEQUENCE_SHAPE");
        assert_eq!(refused["userErrors"][0]["field"], json!(["source", "steps[1].duration"]));
        let source = SOURCE.replace("contact.first_name", "person.name").replace("kind: end", "kind: end, next: mail");
        let query = "query($source: String!) { sequenceValidate(source: $source) { valid problems { path rule line } } }";
        let found = ask(&world, &ops, query, json!({"source": source})).await;
        let problems = json!([
            {"path": "steps[0].template.subject", "rule": "TEMPLATE_UNDEFINED", "line": 6},
            {"path": "steps[2].next", "rule": "SEQUENCE_SHAPE", "line": 8},
        ]);
        assert_eq!(found["data"]["sequenceValidate"], json!({"valid": false, "problems": problems}));
    }

    async fn the_schema_for_editors_is_the_published_one(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let given = ask(&world, &ops, "{ sequenceSchema }", json!({})).await;
        let published: Value = serde_json::from_str(include_str!("../../../../docs/reference/sequence.schema.json")).unwrap();
        assert_eq!(given["data"]["sequenceSchema"], published);
    }

    async fn of_many_each_gets_an_answer(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let made = change(&world, &ops, "sequencePublish", "sequence { id }", json!({"source": SOURCE})).await;
        let (sam, kim) = (person(&world, "sam").await, person(&world, "kim").await);
        let ids = [sam.id, kim.id, sam.id].map(global);
        let fields = "results { subjectId enrollment { state } userErrors { code } }";
        let input = json!({"sequenceId": made["sequence"]["id"], "contactIds": ids});
        let done = change(&world, &ops, "enrollmentCreateMany", fields, input).await;
        let codes: Vec<_> = done["results"].as_array().unwrap().iter().map(|r| r["userErrors"].clone()).collect();
        assert_eq!(codes, [json!([]), json!([]), json!([{"code": "ENROLLMENT_EXISTS"}])]);
        // An id that is none costs its own row alone; once it is right, the same key enrols who was missing.
        let (lee, ada) = (global(person(&world, "lee").await.id), global(person(&world, "ada").await.id));
        let fields = "results { subjectId enrollment { id } userErrors { code field } }";
        let input = |second: &str| json!({"sequenceId": made["sequence"]["id"], "contactIds": [lee, second, ada],
            "leadIds": ["nonsense"], "idempotencyKey": "once"});
        let first = change(&world, &ops, "enrollmentCreateMany", fields, input("nonsense")).await;
        assert_eq!(first["userErrors"], json!([]));
        assert!(first["results"][0]["enrollment"]["id"].is_string() && first["results"][2]["enrollment"]["id"].is_string());
        let refused = |id: &str, field: &str| json!({"subjectId": id, "enrollment": null,
            "userErrors": [{"code": "ID_INVALID", "field": [field]}]});
        assert_eq!(first["results"][1], refused("nonsense", "contactIds"));
        assert_eq!(first["results"][3], refused("nonsense", "leadIds"));
        let ned = global(person(&world, "ned").await.id);
        let again = change(&world, &ops, "enrollmentCreateMany", fields, input(&ned)).await;
        assert_eq!((&again["results"][0], &again["results"][2]), (&first["results"][0], &first["results"][2]));
        assert!(again["results"][1]["enrollment"]["id"].is_string(), "{again}");
    }

    async fn a_refused_enrolment_names_the_fields_of_its_input(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let made = change(&world, &ops, "sequencePublish", "sequence { id }", json!({"source": SOURCE})).await;
        let sequence = made["sequence"]["id"].clone();
        let sam = global(person(&world, "sam").await.id);
        let input = json!({"sequenceId": sequence, "contactId": sam});
        change(&world, &ops, "enrollmentCreate", "enrollment { id }", input.clone()).await;
        let again = change(&world, &ops, "enrollmentCreate", "enrollment { id }", input.clone()).await;
        assert_eq!(again["userErrors"][0]["field"], json!(["contactId"]), "{again}");
        let many = json!({"sequenceId": sequence, "contactIds": [sam]});
        let many = change(&world, &ops, "enrollmentCreateMany", "results { userErrors { field } }", many).await;
        assert_eq!(many["results"], json!([{"userErrors": [{"field": ["contactIds"]}]}]));
        change(&world, &ops, "sequencePause", "sequence { id }", json!({"sequenceId": sequence})).await;
        let paused = change(&world, &ops, "enrollmentCreate", "enrollment { id }", input).await;
        assert_eq!(paused["userErrors"][0]["field"], json!(["sequenceId"]), "{paused}");
    }

    async fn a_refusal_names_things_by_the_ids_that_the_schema_takes(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let made = change(&world, &ops, "sequencePublish", "sequence { id }", json!({"source": SOURCE})).await;
        let sam = global(person(&world, "sam").await.id);
        let input = json!({"sequenceId": made["sequence"]["id"], "contactId": sam});
        let run = change(&world, &ops, "enrollmentCreate", "enrollment { id }", input.clone()).await["enrollment"]["id"].clone();
        let again = change(&world, &ops, "enrollmentCreate", "enrollment { id }", input).await;
        let message = again["userErrors"][0]["message"].as_str().unwrap();
        let named = message.split_whitespace().nth(1).unwrap();
        let found = ask(&world, &ops, "query($id: ID!) { node(id: $id) { id } }", json!({"id": named})).await;
        assert_eq!(found["data"]["node"]["id"], run, "{message}");
        let nobody = global(EnrollmentId(uuid::Uuid::from_u128(7)));
        let missing = change(&world, &ops, "enrollmentResume", "enrollment { id }", json!({"enrollmentId": nobody})).await;
        let error = &missing["userErrors"][0];
        assert_eq!(error["message"], format!("there is no Enrollment with the id {nobody}"));
        assert_eq!((&error["code"], &error["field"]), (&json!("NOT_FOUND"), &json!(["enrollmentId"])));
        // A pause that is over before it begins is one that the caller can mend.
        let past = json!({"enrollmentId": run, "until": "2020-01-01T09:00:00Z"});
        let refused = change(&world, &ops, "enrollmentPause", "enrollment { id }", past).await;
        assert_eq!((&refused["userErrors"][0]["code"], &refused["userErrors"][0]["field"]), (&json!("ENROLLMENT_PAUSE_OVER"), &json!(["until"])));
    }

    async fn a_simulation_shows_the_plan_without_doing_anything(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, None).await;
        let query = "query($source: String!) { sequenceSimulate(source: $source, timeZone: \"Europe/Berlin\",
            startAt: \"2026-01-05T09:00:00Z\", data: {contact: {first_name: \"Kim\"}}) {
            problems { rule } lines { day step what } } }";
        let plan = ask(&world, &sdr, query, json!({"source": SOURCE})).await;
        let expected = json!([
            {"day": 1, "step": "mail", "what": "send e-mail \"Hi Kim\""},
            {"day": 1, "step": "pause", "what": "wait (TIME) until Wed 2026-01-07 10:00 +01:00"},
            {"day": 3, "step": "done", "what": "end: FINISHED(COMPLETED)"},
        ]);
        assert_eq!(plan["data"]["sequenceSimulate"]["lines"], expected, "{plan}");
        assert!(world.mailer.sent().is_empty());
        let refused = ask(&world, &sdr, "mutation { sequencePublish(input: {source: \"\"}) { userErrors { code } } }", json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}
