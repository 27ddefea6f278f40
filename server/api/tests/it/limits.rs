//! What an operation may be, and what its errors may be.

use crate::client::{ask, data, global};
use async_graphql::parser::parse_query;
use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Variables};
use serde_json::{Map, Value, json};
use std::path::Path;
use tandem_api::{Caller, execute, schema};
use tandem_domain::access::Role;
use tandem_testkit::on_both_databases;

/// A query of this many levels: one field in the other, and a leaf. It nests less than what the door in front of the schema
/// stops.
fn deep(levels: usize) -> String {
    let fields = std::iter::repeat_n("ofType", levels - 2)
        .fold("name".to_owned(), |inner, name| format!("{name} {{ {inner} }}"));
    format!("{{ __type(name: \"Query\") {{ {fields} }} }}")
}

on_both_databases! {
    async fn every_query_of_the_examples_may_cost_what_it_could(world: World) {
        let schema = schema(Some(world.app.clone()));
        let actor = world.user("root", Role::Admin, None).await.1.actor;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
        let mut asked = 0;
        for file in std::fs::read_dir(examples).unwrap().map(|file| file.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "graphql") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            for (name, operation) in parse_query(&text).unwrap().operations.iter() {
                let operation = &operation.node;
                if operation.ty != OperationType::Query {
                    continue;
                }
                let variables = operation.variable_definitions.iter().map(|variable| {
                    let value = match variable.node.var_type.node.to_string().trim_end_matches('!') {
                        "Int" => json!(1),
                        "ID" | "String" => json!("x"),
                        _ => Value::Null,
                    };
                    (variable.node.name.node.to_string(), value)
                });
                let variables = Variables::from_json(Value::Object(variables.collect()));
                let name = name.unwrap().as_str();
                let request = Request::new(&text).operation_name(name).variables(variables);
                let caller = Caller { actor: actor.clone(), request_id: "r-1".to_owned() };
                let answer = serde_json::to_value(execute(&schema, &world.app, caller, request).await).unwrap();
                assert_ne!(answer["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{name}: {answer}");
                asked += 1;
            }
        }
        assert!(asked >= 8, "{asked} queries of the examples were asked");
    }

    async fn an_operation_has_at_most_fifteen_levels(world: World) {
        let (_, ops) = world.user("otto", Role::SalesOps, None).await;
        assert_eq!(data(&world, &ops, &deep(15), json!({})).await, json!({ "__type": { "ofType": null } }));
        for levels in [16, 24, 40] {
            let refused = ask(&world, &ops, &deep(levels), json!({})).await;
            assert_eq!(refused["data"], Value::Null, "{levels}: {refused}");
            assert_eq!(refused["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX", "{levels}: {refused}");
        }
    }

    async fn an_answer_has_at_most_twenty_errors_of_three_hundred_characters(world: World) {
        let (_, ops) = world.user("otto", Role::SalesOps, None).await;
        let id = global(world.contact("ann@example.com").await.id);
        world.tamper("ALTER TABLE contact RENAME TO elsewhere").await.unwrap();
        let fields: Vec<String> = (0..30).map(|n| format!("f{n}: node(id: $id) {{ id }}")).collect();
        let query = format!("query($id: ID!) {{ {} }}", fields.join(" "));
        let answer = ask(&world, &ops, &query, json!({ "id": id })).await;
        let expected: Map<String, Value> = (0..30).map(|n| (format!("f{n}"), Value::Null)).collect();
        assert_eq!(answer["data"], Value::Object(expected));
        let errors = answer["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 20);
        assert!(errors.iter().all(|error| error["extensions"] == json!({ "code": "INTERNAL", "requestId": "r-1" })), "{answer}");
        // A message that is too long is cut, and shows that it is.
        let refused = ask(&world, &ops, &format!("{{ {} }}", "x".repeat(2_000)), json!({})).await;
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert_eq!((message.chars().count(), message.chars().last()), (300, Some('…')), "{message}");
    }
}
