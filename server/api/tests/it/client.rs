//! A caller of the schema.

use async_graphql::{Request, Variables};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tandem_api::{Caller, execute, schema};
use tandem_app::Call;
use tandem_domain::decision::Subject;
use tandem_testkit::World;

/// The whole answer to a request.
pub(crate) async fn ask(world: &World, call: &Call, query: &str, variables: Value) -> Value {
    let caller = Caller { actor: call.actor.clone(), request_id: "r-1".to_owned() };
    let request = Request::new(query).variables(Variables::from_json(variables));
    let schema = schema(Some(world.app.clone()));
    serde_json::to_value(execute(&schema, &world.app, caller, request).await).unwrap()
}

/// The data of an answer without errors.
pub(crate) async fn data(world: &World, call: &Call, query: &str, variables: Value) -> Value {
    let answer = ask(world, call, query, variables).await;
    assert_eq!(answer.get("errors"), None, "{query}: {answer}");
    answer["data"].clone()
}

/// Runs a mutation with an input, and gives its payload: `fields` and the user errors.
pub(crate) async fn change(world: &World, call: &Call, name: &str, fields: &str, input: Value) -> Value {
    data(world, call, &mutation(name, fields), json!({ "input": input })).await[name].clone()
}

/// The text of a mutation that takes one variable, its input.
pub(crate) fn mutation(name: &str, fields: &str) -> String {
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} userErrors {{ code field message }} }} }}")
}

/// The opaque id of a thing, as a client got it from another query.
pub(crate) fn global(subject: impl Into<Subject>) -> String {
    let Subject { kind, id } = subject.into();
    URL_SAFE_NO_PAD.encode(format!("{kind}:{}", id.simple()))
}
