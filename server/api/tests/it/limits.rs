//! What an operation may be, and what its errors may be.

use crate::client::{ask, data, global};
use serde_json::{Map, Value, json};
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
