//! Bad input is refused by name, field and rule, and leaves nothing behind.

use crate::client::{ask, global, mutation};
use serde_json::{Value, json};
use tandem_domain::access::{Role, Side};
use tandem_domain::id::{AccountId, ContactId, SequenceId};
use tandem_testkit::{World, on_both_databases};

/// How much is written down: any change at all adds to it.
async fn trace(world: &World) -> (i64, usize) {
    let entries = world.app.store.ledger_head().await.unwrap().0;
    (entries, world.app.store.pending_jobs().await.unwrap().len())
}

fn sequence(step: &str) -> Value {
    let source =
        format!("key: doors\nname: Doors\nsubject: contact\nsteps:\n  - {step}\n  - {{id: done, kind: end}}\n");
    json!({ "source": source })
}

on_both_databases! {
    async fn bad_input_is_named_and_leaves_nothing_behind(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let (_, seller) = world.user("sam", Role::Sales, Some(Side::Sales)).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let contact = world.contact("kim@example.com").await.id;
        let before = trace(&world).await;
        let nobody = global(ContactId::from(uuid(7)));
        let account = global(AccountId::from(uuid(8)));
        let mail = |text: &str| sequence(&format!("{{id: mail, kind: send_email, template: {{subject: Hi, text: '{text}'}}}}"));
        let branch = |when: &str| sequence(&format!("{{id: fork, kind: branch, when: '{when}', then: done, else: done}}"));
        let cases = [
            ("a text that is no id", &sdr, "contactTag", json!({"contactId": "x", "add": ["vip"]}), "ID_INVALID"),
            ("an account's id as a contact's", &sdr, "contactTag", json!({"contactId": account, "add": ["vip"]}), "ID_INVALID"),
            ("an id of nobody", &sdr, "contactTag", json!({"contactId": nobody, "add": ["vip"]}), "NOT_FOUND"),
            ("a template that does not end", &ops, "sequencePublish", mail("Hello {{ contact.name"), "TEMPLATE_SYNTAX"),
            ("a template of unknown names", &ops, "sequencePublish", mail("Hello {{ you }}"), "TEMPLATE_UNDEFINED"),
            ("an expression that does not end", &ops, "sequencePublish", branch("contact.tags.size() >"), "EXPRESSION_SYNTAX"),
        ];
        for (case, who, name, input, code) in cases {
            let answer = ask(&world, who, &mutation(name, "__typename"), json!({ "input": input })).await;
            let errors = &answer["data"][name]["userErrors"];
            assert_eq!(errors[0]["code"], code, "{case}: {answer}");
            assert!(errors[0]["field"].is_array(), "{case}: {answer}");
            assert!(errors[0]["message"].is_string(), "{case}: {answer}");
            assert_eq!(trace(&world).await, before, "{case} left something behind");
        }
        let unknown = json!({"handoffId": global(contact), "reason": "NOT_IN_THE_MOOD"});
        let answer = ask(&world, &seller, &mutation("handoffReject", "__typename"), json!({ "input": unknown })).await;
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("NOT_IN_THE_MOOD"), "{answer}");
        assert_eq!(trace(&world).await, before);
    }

    async fn a_value_that_does_not_fit_is_refused_before_anything_is_done(world: World) {
        let (_, admin) = world.user("ada", Role::Admin, None).await;
        let before = trace(&world).await;
        let first = "one: teamCreate(input: { name: \"A\", side: SALES }) { team { id } }";
        let team = |name: &str| format!("teamCreate(input: {{ name: {name}, side: SALES }}) {{ team {{ id }} }}");
        let task = "taskCreate(input: { contactId: \"x\", title: \"x\", dueAt: $d }) { workItem { id } }";
        let page = "eventSourceRotateKey(input: { sourceId: \"x\", overlapHours: $n }) { source { id } }";
        for (variables, second, values) in [
            ("", "teamCreate(input: \"x\") { team { id } }".to_owned(), json!({})),
            ("", team("7"), json!({})),
            ("", "teamCreate(input: { name: \"B\", side: NOWHERE }) { team { id } }".to_owned(), json!({})),
            ("", "teamCreate(input: { name: \"B\" }) { team { id } }".to_owned(), json!({})),
            ("", "teamCreate(input: { name: \"B\", side: SALES, more: 1 }) { team { id } }".to_owned(), json!({})),
            ("($s: String!)", team("$s"), json!({ "s": 7 })),
            ("($s: String!)", team("$s"), json!({ "s": ["B"] })),
            ("($d: DateTime!)", task.to_owned(), json!({ "d": "+262142-12-31T23:59:59Z" })),
            ("($d: DateTime!)", task.to_owned(), json!({ "d": "yesterday" })),
            ("($n: Int!)", page.to_owned(), json!({ "n": 2_147_483_648_i64 })),
            ("($n: Int!)", page.to_owned(), json!({ "n": "1" })),
            ("", "userCreate(input: { name: \"B\", email: \"nobody\", roles: [SDR] }) { user { id } }".to_owned(), json!({})),
        ] {
            let answer = ask(&world, &admin, &format!("mutation{variables} {{ {first} two: {second} }}"), values).await;
            let code = &answer["errors"][0]["extensions"]["code"];
            // What the library's own rules see, they see first, and as early.
            assert!(*code == "BAD_USER_INPUT" || *code == "GRAPHQL_VALIDATION_FAILED", "{second}: {answer}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(!["not used", "Unknown", "has no field"].iter().any(|other| message.contains(other)) || second.contains("more: 1"), "{second}: {answer}");
            assert_eq!((&answer["data"], trace(&world).await), (&Value::Null, before), "{second}");
        }
        // What fits is done, in the ways that the specification allows to write it.
        let good = "mutation($side: Side!, $roles: [Role!]!, $email: EmailAddress = \"b@example.com\") {
            teamCreate(input: { name: \"A\", side: $side }) { team { id } }
            userCreate(input: { name: \"B\", email: $email, roles: $roles }) { user { id } userErrors { message } } }";
        let answer = ask(&world, &admin, good, json!({ "side": "SALES", "roles": "SDR" })).await;
        assert!(answer["data"]["teamCreate"]["team"]["id"].is_string(), "{answer}");
        assert!(answer["data"]["userCreate"]["user"]["id"].is_string(), "{answer}");
    }

    async fn nested_pages_are_refused_before_they_are_executed(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let nested = |size: u32| format!("{{ targetAccountLists(first: {size}) {{ nodes {{ memberships(first: {size}) {{ nodes {{
            account {{ contacts(first: {size}) {{ nodes {{ id }} }} }} }} }} }} }} }}");
        let answer = ask(&world, &sdr, &nested(100), json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{answer}");
        let answer = ask(&world, &sdr, &nested(8), json!({})).await;
        assert_eq!(answer["data"]["targetAccountLists"]["nodes"], json!([]), "{answer}");
    }

    async fn a_text_with_a_nul_is_refused_before_it_is_executed(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let contact = global(world.contact("kim@example.com").await.id);
        let before = trace(&world).await;
        let tag = mutation("contactTag", "__typename");
        let enroll = mutation("enrollmentCreate", "__typename");
        let cases = [
            (tag.clone(), json!({"input": {"contactId": contact, "add": ["v\u{0}ip"]}})),
            (enroll, json!({"input": {"sequenceId": contact, "vars": {"deep": [{"a\u{0}": 1}]}}})),
            (format!(r#"mutation {{ contactTag(input: {{contactId: "{contact}", add: ["v\u0000ip"]}}) {{ __typename }} }}"#), json!({})),
            (tag.replace("$input: ContactTagInput!", &format!(r#"$input: ContactTagInput! = {{contactId: "{contact}", add: ["\u0000"]}}"#)), json!({})),
            (format!(r#"mutation {{ ... F }} fragment F on Mutation {{ ... {{ contactTag(input: {{contactId: "{contact}", add: ["\u0000"]}}) {{ __typename }} }} }}"#), json!({})),
        ];
        for (document, variables) in cases {
            let answer = ask(&world, &sdr, &document, variables).await;
            assert_eq!(answer["data"], Value::Null, "{document}: {answer}");
            assert_eq!(answer["errors"][0]["extensions"]["reason"], "NUL_CHARACTER", "{document}: {answer}");
            assert_eq!(trace(&world).await, before, "{document} left something behind");
        }
        // A backslash before the escape makes it plain text.
        let escaped = format!(r#"mutation {{ taskCreate(input: {{contactId: "{contact}", title: "\\u0000", dueAt: "2026-03-03T09:00:00Z"}}) {{ userErrors {{ code }} }} }}"#);
        let answer = ask(&world, &sdr, &escaped, json!({})).await;
        assert_eq!(answer["data"]["taskCreate"]["userErrors"], json!([]), "{answer}");
    }

    async fn a_variable_that_must_have_a_value_is_never_taken_for_null(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let contact = global(world.contact("kim@example.com").await.id);
        let before = trace(&world).await;
        let change = "mutation($id: ID!, $title: String!) { contactChange(input: {contactId: $id, title: $title}) {
            contact { title } userErrors { code } } }";
        let read = "query($first: Int!) { contacts(first: $first) { nodes { id } } }";
        let cases = [
            (change, json!({"id": contact, "title": null}), "$title"),
            (change, json!({"id": contact}), "$title"),
            (read, json!({}), "$first"),
        ];
        for (document, variables, name) in cases {
            let answer = ask(&world, &sdr, document, variables).await;
            assert_eq!(answer["data"], Value::Null, "{answer}");
            assert_eq!(answer["errors"][0]["extensions"]["reason"], "VARIABLE_MISSING", "{answer}");
            assert!(answer["errors"][0]["message"].as_str().unwrap().contains(name), "{answer}");
            assert_eq!(trace(&world).await, before, "{document} left something behind");
        }
        let defaulted = "query($first: Int! = 5) { contacts(first: $first) { nodes { id } } }";
        assert_eq!(ask(&world, &sdr, defaulted, json!({})).await["errors"], Value::Null);
    }

    async fn an_argument_whose_variable_is_left_out_has_its_default(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        world.contact("kim@example.com").await;
        let read = "query($filter: EmailFilterInput, $first: Int) {
            one: emails(filter: $filter, first: $first) { nodes { id } } other: emails(filter: $filter) { nodes { id } } }";
        for variables in [json!({}), json!({ "filter": {} }), json!({ "filter": { "states": ["SENT"] }, "first": 1 })] {
            let answer = ask(&world, &sdr, read, variables).await;
            assert_eq!(answer["errors"], Value::Null, "{answer}");
        }
        // What is said to be null is not left out.
        let answer = ask(&world, &sdr, read, json!({ "filter": null })).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{answer}");
    }

    async fn an_idempotency_key_is_1_to_200_printable_characters(world: World) {
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let contact = global(world.contact("kim@example.com").await.id);
        let nothing = global(SequenceId::from(uuid(7)));
        let before = trace(&world).await;
        let mutations = [
            (&sdr, "taskCreate", json!({"contactId": contact, "title": "Call", "dueAt": "2026-03-03T09:00:00Z"})),
            (&ops, "sequenceDraft", sequence("{id: wait, kind: wait, for: 1d}")),
            (&ops, "enrollmentCreateMany", json!({"sequenceId": nothing, "contactIds": [contact]})),
        ];
        for (who, name, mut input) in mutations {
            for key in ["", "a\u{1f}enroll", "a\nb", "a\u{85}", &"k".repeat(201)] {
                input["idempotencyKey"] = json!(key);
                let answer = ask(&world, who, &mutation(name, "__typename"), json!({ "input": input })).await;
                let error = &answer["data"][name]["userErrors"][0];
                assert_eq!(error["code"], "IDEMPOTENCY_KEY_INVALID", "{name}, {key:?}: {answer}");
                assert_eq!(error["field"], json!(["idempotencyKey"]), "{name}, {key:?}");
                assert_eq!(trace(&world).await, before, "{name}, {key:?} left something behind");
            }
        }
        for key in ["k".to_owned(), "\u{e4} #1".to_owned(), "\u{1f600}".repeat(200)] {
            let input = json!({"contactId": contact, "title": "Call", "dueAt": "2026-03-03T09:00:00Z", "idempotencyKey": key});
            let answer = ask(&world, &sdr, &mutation("taskCreate", "__typename"), json!({ "input": input })).await;
            assert_eq!(answer["data"]["taskCreate"]["userErrors"], json!([]), "{key}: {answer}");
        }
    }
}

fn uuid(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}
