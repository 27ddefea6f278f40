//! A field that fails takes no more with it than it must: a nullable one is null, one that is not nullable takes the thing it
//! is of, and all that is beside them lives. Fields come in the order of the document.

use crate::client::global;
use async_graphql::{Request, Response, Value, Variables};
use serde_json::json;
use std::path::{Path, PathBuf};
use tandem_api::{Caller, execute, schema};
use tandem_app::{AccountCreate, Call, ContactChange};
use tandem_domain::access::Role;
use tandem_domain::account::{Account, AccountPatch};
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_testkit::{World, on_both_databases};

async fn answer(world: &World, call: &Call, query: &str, variables: serde_json::Value) -> Response {
    let caller = Caller { actor: call.actor.clone(), request_id: "r-1".to_owned() };
    let request = Request::new(query).variables(Variables::from_json(variables));
    execute(&schema(Some(world.app.clone())), &world.app, caller, request).await
}

/// The data as it is written: a JSON map would lose the order.
fn written(response: &Response) -> String {
    serde_json::to_string(&response.data).unwrap()
}

/// Where the errors are, each of which must be internal.
fn failed_at(response: &Response) -> Vec<String> {
    let place = |error: &async_graphql::ServerError| {
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code").cloned());
        assert_eq!(code, Some(Value::from("INTERNAL")), "{error:?}");
        let steps: Vec<serde_json::Value> = error.path.iter().map(|step| serde_json::to_value(step).unwrap()).collect();
        serde_json::to_string(&steps).unwrap()
    };
    let mut places: Vec<String> = response.errors.iter().map(place).collect();
    places.sort();
    places
}

/// Ann, who works at Acme, and somebody who may see both.
async fn ann(world: &World) -> (Call, Contact, Account) {
    let (_, ops) = world.user("otto", Role::SalesOps, None).await;
    let patch = AccountPatch { name: Some("Acme".to_owned()), ..AccountPatch::default() };
    let account = world.app.run(&ops, AccountCreate { account: patch }).await.unwrap().record;
    let id = world.contact("ann@example.com").await.id;
    let contact = ContactPatch { account: Edit::Set(account.id), ..ContactPatch::default() };
    let change = ContactChange { id, contact, default_region: None };
    let contact = world.app.run(&ops, change).await.unwrap().record;
    (ops, contact, account)
}

on_both_databases! {
    async fn a_nullable_field_that_fails_is_null_and_what_is_beside_it_lives(world: World) {
        let (ops, contact, _) = ann(&world).await;
        world.tamper("ALTER TABLE account RENAME TO elsewhere").await.unwrap();
        let query = "query($id: ID!) { z: viewer { name } contact: node(id: $id) { ... on Contact {
            z: email account { name } a: email } } a: __typename }";
        let response = answer(&world, &ops, query, json!({ "id": global(contact.id) })).await;
        let expected = r#"{"z":{"name":"otto"},"contact":{"z":"ann@example.com","account":null,"a":"ann@example.com"},"a":"Query"}"#;
        assert_eq!(written(&response), expected);
        assert_eq!(failed_at(&response), [r#"["contact","account"]"#]);
    }

    async fn a_field_that_may_not_be_null_takes_its_parent_and_no_more(world: World) {
        let (ops, contact, account) = ann(&world).await;
        world.tamper("ALTER TABLE contact RENAME TO elsewhere").await.unwrap();
        let query = "query($contact: ID!, $account: ID!) { z: viewer { name } contact: node(id: $contact) { id }
            whole: node(id: $account) { ... on Account { name } }
            broken: node(id: $account) { ... on Account { name contacts { nodes { id } } } } a: __typename }";
        let variables = json!({ "contact": global(contact.id), "account": global(account.id) });
        let response = answer(&world, &ops, query, variables).await;
        let expected = r#"{"z":{"name":"otto"},"contact":null,"whole":{"name":"Acme"},"broken":null,"a":"Query"}"#;
        assert_eq!(written(&response), expected);
        assert_eq!(failed_at(&response), [r#"["broken","contacts"]"#, r#"["contact"]"#]);
        // Where nothing above it may be null, the whole answer is.
        let response = answer(&world, &ops, "{ viewer { name } contacts { nodes { id } } }", json!({})).await;
        assert_eq!(written(&response), "null");
        assert_eq!(failed_at(&response), [r#"["contacts"]"#]);
    }

    async fn fields_come_in_the_order_of_the_document(world: World) {
        let (ops, contact, account) = ann(&world).await;
        // The first are read from the database, and the last are there at once.
        let query = "query($contact: ID!, $account: ID!) { d: node(id: $account) { ...Names } c: viewer { name email }
            b: node(id: $contact) { ... on Contact { account { name } email } ... on Contact { locale email } } a: __typename }
            fragment Names on Account { name contacts { nodes { email } } country }";
        let variables = json!({ "contact": global(contact.id), "account": global(account.id) });
        let response = answer(&world, &ops, query, variables).await;
        let expected = concat!(
            r#"{"d":{"name":"Acme","contacts":{"nodes":[{"email":"ann@example.com"}]},"country":null},"#,
            r#""c":{"name":"otto","email":"otto@example.com"},"#,
            r#""b":{"account":{"name":"Acme"},"email":"ann@example.com","locale":null},"a":"Query"}"#,
        );
        assert_eq!(written(&response), expected);
    }
}

/// Every source file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The resolvers of a source file that would null their parent, though their field may be null: `async fn` and its name.
fn greedy(source: &str) -> Vec<&str> {
    let mut greedy = Vec::new();
    for object in source.split("\n#[Object").skip(1).chain(source.split("\n#[ComplexObject").skip(1)) {
        // What the formatter closes at the margin.
        let body = object.split("\n}\n").next().unwrap_or_default();
        for resolver in body.split("async fn ").skip(1) {
            let head = resolver.split(" {\n").next().unwrap_or_default();
            if head.contains("-> Result<Option<") {
                greedy.push(head.split('(').next().unwrap_or_default());
            }
        }
    }
    greedy
}

#[test]
fn no_resolver_of_a_nullable_field_gives_an_error_in_place_of_an_option() {
    let trial = "\n#[Object]\nimpl A {\n    async fn good(&self) -> Option<Result<u8, E>> {\n        None\n    }\n    \
                 async fn bad(\n        &self,\n    ) -> Result<Option<u8>, E> {\n        Ok(None)\n    }\n}\n\nimpl A {\n    \
                 async fn help(&self) -> Result<Option<u8>, E> {\n        Ok(None)\n    }\n}\n";
    assert_eq!(greedy(trial), ["bad"]);
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let read: Vec<(PathBuf, String)> =
        files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect();
    assert!(read.iter().map(|(_, source)| source.matches("-> Option<Result<").count()).sum::<usize>() > 50);
    for (file, source) in &read {
        assert_eq!(greedy(source), Vec::<&str>::new(), "{}: give Option<Result<..>>", file.display());
    }
}
