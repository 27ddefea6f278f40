//! Templates of e-mails through GraphQL.

use crate::client::{ask, change, data, global};
use serde_json::{Value, json};
use tandem_app::EnrollmentCreate;
use tandem_domain::access::{Role, Side};
use tandem_testkit::on_both_databases;

const MAIL: &str = r#"
key: welcome_mail
name: Welcome
subject: "Hello {{ contact.name | default('there') }}"
text: "First. {{ unsubscribe_url }}"
languages:
  zh: { subject: "您好", text: "第一。{{ unsubscribe_url }}" }
"#;

const TAKES: &str = "
key: takes
name: Takes
subject: contact
steps:
  - {id: one, kind: send_email, template: welcome_mail}
  - {id: rest, kind: wait, duration: 2d}
  - {id: done, kind: end}
";

const PUBLISHED: &str = "emailTemplate { id key name state latestVersion { number } }
    version { id number subject text html source hash publishedBy { name } languages { tag subject text html } template { key } }";

const USED: &str = "query($behind: Boolean!) { emailTemplate(key: \"welcome_mail\") { usedBy(behind: $behind) { nodes {
    sequence { key } sequenceVersion { number templates { step key number pinned templateVersion { number } } }
    number templateVersion { number } behind pinned current liveRuns } } } }";

on_both_databases! {
    async fn a_template_is_published_taken_and_seen_from_both_ends(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let input = json!({"source": MAIL, "idempotencyKey": "first"});
        let made = change(&world, &ops, "emailTemplatePublish", PUBLISHED, input.clone()).await;
        assert_eq!(made["userErrors"], json!([]));
        assert_eq!(change(&world, &ops, "emailTemplatePublish", PUBLISHED, input).await, made);
        let (template, version) = (&made["emailTemplate"], &made["version"]);
        assert_eq!((&template["key"], &template["state"], &version["number"]), (&json!("welcome_mail"), &json!("ACTIVE"), &json!(1)));
        assert_eq!((&version["publishedBy"]["name"], &version["html"]), (&json!("ops"), &Value::Null));
        assert_eq!(version["languages"][0]["subject"], "您好");
        let same = change(&world, &ops, "emailTemplatePublish", PUBLISHED, json!({"source": format!("# x\n{MAIL}")})).await;
        assert_eq!(same["userErrors"][0]["code"], "EMAIL_TEMPLATE_UNCHANGED");

        let fields = "sequence { id } version { number templates { step key number pinned } }";
        let made = change(&world, &ops, "sequencePublish", fields, json!({"source": TAKES})).await;
        assert_eq!(made["version"]["templates"], json!([{"step": "one", "key": "welcome_mail", "number": 1, "pinned": false}]));
        let takes = world.app.store.sequence_by_key("takes").await.unwrap().unwrap();
        for n in 0..2 {
            let contact = world.contact(&format!("p{n}@example.com")).await;
            let create =
                EnrollmentCreate { sequence: takes.id, contact: Some(contact.id), lead: None, vars: Default::default() };
            world.app.run(&world.system(), create).await.unwrap();
        }
        world.run_due_jobs().await;
        assert_eq!(data(&world, &ops, USED, json!({"behind": true})).await["emailTemplate"]["usedBy"]["nodes"], json!([]));
        let input = json!({"source": MAIL.replace("First", "Second")});
        assert_eq!(change(&world, &ops, "emailTemplatePublish", PUBLISHED, input).await["version"]["number"], 2);
        let behind = data(&world, &ops, USED, json!({"behind": true})).await["emailTemplate"]["usedBy"]["nodes"].clone();
        let used = json!([{
            "sequence": {"key": "takes"}, "number": 1, "templateVersion": {"number": 1}, "behind": true, "pinned": false,
            "current": true, "liveRuns": 2,
            "sequenceVersion": {"number": 1, "templates": [{
                "step": "one", "key": "welcome_mail", "number": 1, "pinned": false, "templateVersion": {"number": 1},
            }]},
        }]);
        assert_eq!(behind, used);
        let made = change(&world, &ops, "sequencePublish", fields, json!({"source": TAKES})).await;
        assert_eq!(made["version"]["templates"][0]["number"], 2);
        let all = data(&world, &ops, USED, json!({"behind": false})).await["emailTemplate"]["usedBy"]["nodes"].clone();
        let seen: Vec<_> = all.as_array().unwrap().iter().map(|one| (&one["number"], &one["current"], &one["liveRuns"])).collect();
        assert_eq!(seen, [(&json!(1), &json!(false), &json!(2)), (&json!(2), &json!(true), &json!(0))]);

        let page = "query($after: String) { emailTemplate(key: \"welcome_mail\") { usedBy(first: 1, after: $after) {
            nodes { number } pageInfo { hasNextPage endCursor } } all: usedBy(last: 1) { nodes { number } }
            now: usedBy(current: true) { nodes { number } } } }";
        let first = data(&world, &ops, page, json!({})).await["emailTemplate"].clone();
        assert_eq!((&first["usedBy"]["nodes"], &first["usedBy"]["pageInfo"]["hasNextPage"]), (&json!([{"number": 1}]), &json!(true)));
        let second = data(&world, &ops, page, json!({"after": first["usedBy"]["pageInfo"]["endCursor"]})).await["emailTemplate"].clone();
        assert_eq!((&second["usedBy"]["nodes"], &second["usedBy"]["pageInfo"]["hasNextPage"]), (&json!([{"number": 2}]), &json!(false)));
        assert_eq!((&second["all"]["nodes"], &second["now"]["nodes"]), (&json!([{"number": 2}]), &json!([{"number": 2}])));

        let query = "query($id: ID!, $version: ID!) {
            node(id: $id) { ... on EmailTemplate { key createdAt versions(first: 1) { nodes { number } pageInfo { hasNextPage } }
                version(number: 2) { text } none: version(number: 3) { text } } }
            version: node(id: $version) { ... on EmailTemplateVersion { number } }
            emailTemplates(states: [ACTIVE]) { nodes { key } } archived: emailTemplates(states: [ARCHIVED]) { nodes { key } } }";
        let stored = world.app.store.email_template_by_key("welcome_mail").await.unwrap().unwrap();
        let ids = json!({"id": global(stored.id), "version": global(stored.latest_version)});
        let found = data(&world, &ops, query, ids).await;
        assert_eq!(found["node"]["versions"]["nodes"], json!([{"number": 1}]));
        assert_eq!(found["node"]["versions"]["pageInfo"]["hasNextPage"], true);
        assert!(found["node"]["version"]["text"].as_str().unwrap().starts_with("Second."));
        assert_eq!((&found["node"]["none"], &found["version"]["number"]), (&Value::Null, &json!(2)));
        assert_eq!((&found["emailTemplates"]["nodes"], &found["archived"]["nodes"]), (&json!([{"key": "welcome_mail"}]), &json!([])));

        let fields = "emailTemplate { state }";
        let id = global(stored.id);
        let refused = change(&world, &ops, "emailTemplateArchive", fields, json!({"emailTemplateId": id})).await;
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("EMAIL_TEMPLATE_IN_USE"), &json!(["reason"])));
        let input = json!({"emailTemplateId": id, "reason": "over"});
        assert_eq!(change(&world, &ops, "emailTemplateArchive", fields, input).await["emailTemplate"]["state"], "ARCHIVED");
    }

    async fn what_is_wrong_names_its_place(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let check = "query($source: String!) { emailTemplateValidate(source: $source) { valid
            problems { path rule line column template } advice { rule line } } }";
        let broken = MAIL.replace("contact.name", "contact.nme");
        let found = data(&world, &ops, check, json!({"source": broken})).await["emailTemplateValidate"].clone();
        let problem = json!({"path": "subject", "rule": "TEMPLATE_UNDEFINED", "line": 4, "column": 28, "template": null});
        assert_eq!(found, json!({"valid": false, "problems": [problem], "advice": []}));
        let refused = change(&world, &ops, "emailTemplatePublish", PUBLISHED, json!({"source": broken})).await;
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("TEMPLATE_UNDEFINED"), &json!(["source", "subject"])));
        assert_eq!(refused["emailTemplate"], Value::Null);

        let check = "query($source: String!) { sequenceValidate(source: $source) { valid
            problems { path rule message line column template } advice { path rule line column template } } }";
        let unknown = data(&world, &ops, check, json!({"source": TAKES})).await["sequenceValidate"].clone();
        let place = |found: &Value| (found["rule"].clone(), found["line"].clone(), found["column"].clone());
        assert_eq!(place(&unknown["problems"][0]), (json!("SEQUENCE_REFERENCE_UNKNOWN"), json!(6), json!(43)));
        let refused = change(&world, &ops, "sequencePublish", "version { number }", json!({"source": TAKES})).await;
        let error = &refused["userErrors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("SEQUENCE_REFERENCE_UNKNOWN"), &json!(["source", "steps[0].template"])));
        let plain = MAIL.replace("First. {{ unsubscribe_url }}", "Dear {{ contact.title }}");
        change(&world, &ops, "emailTemplatePublish", PUBLISHED, json!({"source": plain})).await;
        let found = data(&world, &ops, check, json!({"source": TAKES})).await["sequenceValidate"].clone();
        assert_eq!((&found["valid"], &found["problems"]), (&json!(true), &json!([])));
        let advice = json!({"path": "text", "rule": "TEMPLATE_NO_FALLBACK", "line": 5, "column": 16, "template": "welcome_mail@1"});
        assert!(found["advice"].as_array().unwrap().contains(&advice), "{found}");
    }

    async fn a_preview_is_of_a_document_or_of_what_is_stored(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let (_, mara) = world.user("mara", Role::Marketing, Some(Side::Marketing)).await;
        change(&world, &ops, "emailTemplatePublish", PUBLISHED, json!({"source": MAIL})).await;
        let contact = world.contact("sam@example.com").await;
        let query = "query($source: String, $key: String, $version: Int, $contactId: ID!) {
            emailTemplatePreview(source: $source, key: $key, version: $version, contactId: $contactId) {
                language subject text html problems { path } } }";
        let of = |mut input: Value| {
            input["contactId"] = json!(global(contact.id));
            input
        };
        for input in [json!({"source": MAIL}), json!({"key": "welcome_mail"}), json!({"key": "welcome_mail", "version": 1})] {
            // Whoever may read may look at it.
            let shown = data(&world, &mara, query, of(input)).await["emailTemplatePreview"].clone();
            assert_eq!((&shown["subject"], &shown["language"]), (&json!("Hello there"), &Value::Null));
        }
        let broken = of(json!({"source": "key: a"}));
        let shown = data(&world, &mara, query, broken).await["emailTemplatePreview"].clone();
        assert!(shown["subject"].is_null() && !shown["problems"].as_array().unwrap().is_empty(), "{shown}");
        for (input, reason) in [
            (json!({"key": "welcome_mail", "version": 2}), "EMAIL_TEMPLATE_UNKNOWN"),
            (json!({"key": "welcome_mail", "version": -1}), "EMAIL_TEMPLATE_UNKNOWN"),
            (json!({"key": "nothing"}), "EMAIL_TEMPLATE_UNKNOWN"),
            (json!({}), "EMAIL_TEMPLATE_CHOICE"),
            (json!({"source": MAIL, "key": "welcome_mail"}), "EMAIL_TEMPLATE_CHOICE"),
            (json!({"source": MAIL, "version": 1}), "EMAIL_TEMPLATE_CHOICE"),
        ] {
            let answer = ask(&world, &mara, query, of(input)).await;
            assert_eq!(answer["errors"][0]["extensions"]["reason"], reason, "{answer}");
        }
        let mutation = crate::client::mutation("emailTemplatePublish", "version { number }");
        let refused = ask(&world, &mara, &mutation, json!({"input": {"source": MAIL}})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
    }
}
