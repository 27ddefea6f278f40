//! `/webhooks/{key}`: what is believed, what is stored, and that copies are one.

use crate::server::{Answer, Server};
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tandem_domain::access::Role;
use tandem_testkit::{World, on_both_databases};

/// The definitions and payloads that the guide shows.
const EXAMPLES: [&str; 4] = [
    include_str!("../../../docs/examples/webhooks/form.json"),
    include_str!("../../../docs/examples/webhooks/booking.json"),
    include_str!("../../../docs/examples/webhooks/crm.json"),
    include_str!("../../../docs/examples/webhooks/replies.json"),
];
const SAVE: &str = "mutation($webhook: InboundWebhookDraftInput!) { inboundWebhookSave(input: { webhook: $webhook }) {
    webhook { id path revision active } secret userErrors { field code message } } }";

/// A webhook that was saved over GraphQL.
struct Hook {
    server: Server,
    token: String,
    id: String,
    secret: String,
}

fn webhook(machine: &str, scheme: &str) -> Value {
    json!({
        "key": "form", "name": "Form tool", "scheme": scheme, "actsAs": machine, "filter": "payload.type != 'ping'",
        "actions": [
            { "kind": "CONTACT_UPSERT", "values": { "email": "payload.email" } },
            { "kind": "LEAD_RECEIVE", "values": { "source": "'Form'", "externalId": "payload.id" } },
        ],
    })
}

impl Hook {
    async fn ask(&self, query: &str, variables: Value) -> Value {
        ask(&self.server, &self.token, query, variables).await
    }

    async fn over(world: World, scheme: &str) -> Self {
        Self::with(world, scheme, json!({})).await
    }

    /// The same with more in its definition.
    async fn with(world: World, scheme: &str, more: Value) -> Self {
        let server = Server::over(world);
        let (_, token) = server.token("otto", Role::SalesOps, None).await;
        let (machine, _) = server.token("machine", Role::Integration, None).await;
        let machine = tandem_api::global_id(machine.id).0;
        let token = token.secret.unwrap();
        let mut definition = webhook(&machine, scheme);
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let saved = ask(&server, &token, SAVE, json!({ "webhook": definition })).await;
        let saved = &saved["inboundWebhookSave"];
        assert_eq!((&saved["userErrors"], &saved["webhook"]["path"]), (&json!([]), &json!("/webhooks/form")));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self { id: text(&saved["webhook"]["id"]), secret: text(&saved["secret"]), server, token }
    }

    fn signature(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = STANDARD.decode(self.secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Posts a body as a sender of Standard Webhooks does.
    async fn post(&self, id: &str, body: &str) -> Answer {
        let timestamp = self.server.world.now().timestamp();
        self.post_signed(id, timestamp, &self.signature(id, timestamp, body), body).await
    }

    async fn post_signed(&self, id: &str, timestamp: i64, signature: &str, body: &str) -> Answer {
        let request = Request::post("/webhooks/form")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", signature);
        self.server.send(request, body.to_owned()).await
    }

    async fn deliveries(&self) -> Vec<Value> {
        let query = "{ inboundDeliveries(first: 20) { nodes { id key state round body headers secretUsed
            results { kind outcome subjectId } fault { place code } webhook { key } } } }";
        self.ask(query, json!({})).await["inboundDeliveries"]["nodes"].as_array().unwrap().clone()
    }
}

async fn ask(server: &Server, token: &str, query: &str, variables: Value) -> Value {
    let request = crate::server::post().header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = server.send(request, json!({ "query": query, "variables": variables }).to_string()).await.json();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

fn form(id: &str) -> String {
    json!({ "type": "form", "id": id, "email": format!("{id}@acme.example") }).to_string()
}

on_both_databases! {
    async fn an_id_that_cannot_be_told_is_a_fault_of_the_delivery_and_of_its_trial(world: World) {
        let hook = Hook::with(world, "STANDARD_WEBHOOKS", json!({ "deliveryId": "payload.id" })).await;
        let try_it = "mutation($input: InboundWebhookTryInput!) { inboundWebhookTry(input: $input) {
            trial { state idFault { place code } } userErrors { code } } }";
        let given = |event_id: Value| json!({ "input": { "webhookId": hook.id, "payload": { "type": "form", "id": event_id } } });
        let fault = json!({ "place": "deliveryId", "code": "INBOUND_VALUE_INVALID" });
        let tried = hook.ask(try_it, given(json!("a b"))).await;
        assert_eq!(tried["inboundWebhookTry"]["trial"]["idFault"], fault, "{tried}");
        assert_eq!(hook.ask(try_it, given(json!("e1"))).await["inboundWebhookTry"]["trial"]["idFault"], Value::Null);
        for _ in 0..2 {
            hook.post("msg_1", &json!({ "type": "form", "id": "x".repeat(301) }).to_string()).await;
        }
        hook.post("msg_2", &form("e1")).await;
        let query = "{ inboundDeliveries(first: 5) { nodes { key idFault { place code } } } }";
        let deliveries = hook.ask(query, json!({})).await["inboundDeliveries"]["nodes"].clone();
        let expected = json!([{ "key": "msg_1", "idFault": fault }, { "key": "e1", "idFault": null }]);
        assert_eq!(deliveries, expected, "the header knows the repetition");
    }

    async fn copies_at_the_same_moment_are_one_run(world: World) {
        let hook = Hook::over(world, "STANDARD_WEBHOOKS").await;
        let body = form("a1");
        let answers = join_all((0..20).map(|_| hook.post("msg_1", &body))).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(StatusCode::ACCEPTED), count(StatusCode::OK)), (1, 19));
        let ids: std::collections::BTreeSet<String> =
            answers.iter().map(|answer| answer.json()["delivery"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(hook.server.world.job_kinds().await, ["run_inbound_delivery"]);
        hook.server.world.run_due_jobs().await;
        let deliveries = hook.deliveries().await;
        assert_eq!(deliveries.len(), 1);
        let delivery = &deliveries[0];
        assert_eq!((&delivery["state"], &delivery["key"]), (&json!("DONE"), &json!("msg_1")));
        assert_eq!(delivery["results"][1]["outcome"], "CREATED");
        assert_eq!(delivery["body"], json!(body));
        let kinds = hook.server.world.ledger_kinds().await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "lead.received").count(), 1);
    }

    async fn each_refusal_has_its_status_and_stores_nothing(world: World) {
        let hook = Hook::over(world, "STANDARD_WEBHOOKS").await;
        let (now, body) = (hook.server.world.now().timestamp(), form("a1"));
        let good = hook.signature("m", now, &body);
        let stale = hook.signature("m", now - 301, &body);
        let cases = [
            hook.post_signed("m", now, "v1,AAAA", &body).await,
            hook.post_signed("m", now, "nonsense", &body).await,
            hook.post_signed("m", now + 1, &good, &body).await,
            hook.post_signed("n", now, &good, &body).await,
            hook.post_signed("m", now, &good, &form("a2")).await,
            hook.post_signed("m", now - 301, &stale, &body).await,
            hook.server.send(Request::post("/webhooks/form"), body.clone()).await,
        ];
        for answer in &cases {
            assert_eq!((answer.status, &answer.json()["code"]), (StatusCode::UNAUTHORIZED, &json!("WEBHOOK_NOT_VERIFIED")));
        }
        let elsewhere = hook.server.send(Request::post("/webhooks/other"), body.clone()).await;
        assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
        let looked = hook.server.get("/webhooks/form").await;
        assert_eq!((looked.status, looked.header(header::ALLOW)), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
        for body in ["", "[]", "\"text\"", "{", "null", "1"] {
            let answer = hook.post("m", body).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        assert_eq!(hook.post("m", &deep).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
        assert_eq!(hook.post("m", &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        let announced = Request::post("/webhooks/form").header(header::CONTENT_LENGTH, "9999999");
        assert_eq!(hook.server.send(announced, Body::empty()).await.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(hook.deliveries().await.is_empty());
    }

    async fn a_body_of_almost_a_mebibyte_is_kept_as_it_came(world: World) {
        let hook = Hook::over(world, "STANDARD_WEBHOOKS").await;
        let body = json!({ "type": "ping", "text": "汉".repeat(340_000), "odd": "\u{0}\u{7f}" }).to_string();
        assert!(body.len() > 1_000_000 && body.len() < 1024 * 1024);
        assert_eq!(hook.post("m", &body).await.status, StatusCode::ACCEPTED);
        hook.server.world.run_due_jobs().await;
        let delivery = hook.deliveries().await.remove(0);
        assert_eq!((&delivery["state"], &delivery["body"]), (&json!("FILTERED"), &json!(body)));
        assert_eq!(delivery["headers"]["webhook-id"], "m");
    }

    async fn a_rotated_secret_is_told_and_a_retired_webhook_is_not_there(world: World) {
        let mut hook = Hook::over(world, "BEARER").await;
        let post = async |hook: &Hook, secret: &str, id: &str| {
            let request = Request::post("/webhooks/form")
                .header(header::AUTHORIZATION, format!("Bearer {secret}"))
                .header("idempotency-key", id);
            hook.server.send(request, form(id)).await.status
        };
        let old = hook.secret.clone();
        assert_eq!(post(&hook, &old, "a").await, StatusCode::ACCEPTED);
        let query = "mutation($id: ID!) { inboundWebhookRotateSecret(input: { webhookId: $id, overlapHours: 1 }) {
            secret webhook { previousSecretUntil } userErrors { code } } }";
        let rotated = hook.ask(query, json!({ "id": hook.id })).await["inboundWebhookRotateSecret"].clone();
        assert!(rotated["webhook"]["previousSecretUntil"].is_string(), "{rotated}");
        let again = hook.ask(query, json!({ "id": hook.id })).await["inboundWebhookRotateSecret"].clone();
        assert_eq!((&again["userErrors"][0]["code"], &again["secret"]), (&json!("INBOUND_SECRET_OVERLAP"), &Value::Null));
        hook.secret = rotated["secret"].as_str().unwrap().to_owned();
        assert_eq!(post(&hook, &old, "b").await, StatusCode::ACCEPTED);
        assert_eq!(post(&hook, &hook.secret, "c").await, StatusCode::ACCEPTED);
        hook.server.world.clock.advance(chrono::TimeDelta::hours(1));
        assert_eq!(post(&hook, &old, "d").await, StatusCode::UNAUTHORIZED);
        let used: Vec<_> = hook.deliveries().await.iter().map(|delivery| delivery["secretUsed"].clone()).collect();
        assert_eq!(used, ["CURRENT", "PREVIOUS", "CURRENT"]);
        let deliveries = hook.deliveries().await;
        assert!(deliveries.iter().all(|delivery| delivery["headers"]["authorization"] == "[removed]"));
        let (machine, _) = hook.server.token("second", Role::Integration, None).await;
        let mut draft = webhook(&tandem_api::global_id(machine.id).0, "BEARER");
        draft["active"] = json!(false);
        let saved = hook.ask(SAVE, json!({ "webhook": draft })).await["inboundWebhookSave"].clone();
        assert_eq!((&saved["secret"], &saved["webhook"]["active"]), (&Value::Null, &json!(false)));
        assert_eq!(post(&hook, &hook.secret, "e").await, StatusCode::NOT_FOUND);
    }

    async fn a_mapping_is_tried_and_a_failed_delivery_replayed_over_graphql(world: World) {
        let hook = Hook::over(world, "GITHUB").await;
        let query = "mutation($input: InboundWebhookTryInput!) { inboundWebhookTry(input: $input) {
            trial { state actions { kind values } results { outcome } fault { place code message } }
            userErrors { field code } } }";
        let payload = json!({ "type": "form", "id": "a1", "email": "a1@acme.example" });
        let input = json!({ "input": { "webhookId": hook.id, "payload": payload } });
        let tried = hook.ask(query, input).await["inboundWebhookTry"]["trial"].clone();
        assert_eq!((&tried["state"], &tried["results"][1]["outcome"]), (&json!("DONE"), &json!("CREATED")));
        assert_eq!(tried["actions"][0]["values"], json!({ "email": "a1@acme.example" }));
        let input = json!({ "input": { "webhookId": hook.id, "payload": { "type": "form" } } });
        let tried = hook.ask(query, input).await["inboundWebhookTry"]["trial"].clone();
        assert_eq!(tried["fault"]["place"], "actions.0.values.email");
        let neither = hook.ask(query, json!({ "input": { "webhookId": hook.id } })).await;
        assert_eq!(neither["inboundWebhookTry"]["userErrors"][0]["code"], "INBOUND_TRY_CHOICE");
        let mut draft = webhook("x", "GITHUB");
        draft["actions"][0]["values"]["emial"] = json!("1");
        let (machine, sdr) = hook.server.token("sdr", Role::Integration, None).await;
        draft["actsAs"] = json!(tandem_api::global_id(machine.id).0);
        let input = json!({ "input": { "draft": draft, "payload": payload } });
        let refused = hook.ask(query, input).await["inboundWebhookTry"]["userErrors"][0].clone();
        assert_eq!(refused, json!({ "field": ["draft", "actions", "0", "values", "emial"], "code": "INBOUND_FIELD_UNKNOWN" }));
        draft["actsAs"] = json!("x");
        let refused = hook.ask(SAVE, json!({ "webhook": draft })).await["inboundWebhookSave"]["userErrors"][0].clone();
        assert_eq!(refused["field"], json!(["webhook", "actsAs"]));
        // Whoever may not define a webhook sees nothing of them.
        let request = crate::server::post().header(header::AUTHORIZATION, format!("Bearer {}", sdr.secret.unwrap()));
        let list = json!({ "query": "{ inboundWebhooks { nodes { id } } }" }).to_string();
        assert_eq!(hook.server.send(request, list).await.code(), "FORBIDDEN");
        // GitHub's way of signing.
        let body = form("b1");
        let mut mac = Hmac::<Sha256>::new_from_slice(hook.secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let request = Request::post("/webhooks/form")
            .header("x-hub-signature-256", format!("sha256={hex}"))
            .header("x-github-delivery", "d-1");
        assert_eq!(hook.server.send(request, body).await.status, StatusCode::ACCEPTED);
        hook.server.world.run_due_jobs().await;
        let id = hook.deliveries().await[0]["id"].clone();
        let query = "mutation($id: ID!) { inboundDeliveryReplay(input: { deliveryId: $id }) {
            delivery { state round } userErrors { code } } }";
        let replayed = hook.ask(query, json!({ "id": id })).await["inboundDeliveryReplay"].clone();
        assert_eq!(replayed["delivery"], json!({ "state": "RECEIVED", "round": 2 }));
        hook.server.world.run_due_jobs().await;
        let outcomes: Vec<_> =
            hook.deliveries().await[0]["results"].as_array().unwrap().iter().map(|one| one["outcome"].clone()).collect();
        assert_eq!(outcomes, ["UNCHANGED", "UNCHANGED"]);
    }

    async fn the_examples_of_the_guide_are_tried_where_what_they_need_is_not_there(world: World) {
        let hook = Hook::over(world, "BEARER").await;
        let (machine, _) = hook.server.token("forms", Role::Integration, None).await;
        let mut done = Vec::new();
        for example in EXAMPLES {
            let mut example: Value = serde_json::from_str(example).unwrap();
            example["webhook"]["actsAs"] = json!(tandem_api::global_id(machine.id).0);
            let saved = hook.ask(SAVE, json!({ "webhook": example["webhook"] })).await["inboundWebhookSave"].clone();
            assert_eq!(saved["userErrors"], json!([]));
            let query = "mutation($id: ID, $payload: JSON) { inboundWebhookTry(input: { webhookId: $id, payload: $payload }) {
                trial { state results { kind outcome fault { code message } } fault { place message } } } }";
            let variables = json!({ "id": saved["webhook"]["id"], "payload": example["payload"] });
            let trial = hook.ask(query, variables).await["inboundWebhookTry"]["trial"].clone();
            assert_eq!(trial["state"], "DONE", "{trial}");
            for result in trial["results"].as_array().unwrap() {
                // The sequence and the list of the examples are not there; what needs them is optional.
                done.push(format!("{} {}", result["kind"].as_str().unwrap(), result["outcome"].as_str().unwrap()));
            }
        }
        // What a person answers has fewer headers than what a machine does; and a provider may pass on the whole message.
        let raw = "From: a@b.example\r\nSubject: Re\r\nMessage-ID: <raw@b.example>\r\n\r\nHi\r\n";
        let example: Value = serde_json::from_str(EXAMPLES[3]).unwrap();
        let mut plain = example["payload"].clone();
        plain["message"]["headers"] = json!({ "message-id": "<plain@b.example>" });
        let whole = |field: &str| {
            let mut webhook = example["webhook"].clone();
            webhook["actsAs"] = json!(tandem_api::global_id(machine.id).0);
            webhook["key"] = json!(format!("whole-{}", field.to_lowercase()));
            webhook["actions"] = json!([{ "kind": "EMAIL_RECEIVE", "values": { field: "payload.whole" } }]);
            webhook
        };
        let mut as_given = example["webhook"].clone();
        as_given["actsAs"] = json!(tandem_api::global_id(machine.id).0);
        for (webhook, payload) in [
            (as_given, plain),
            (whole("raw"), json!({ "event": "message.received", "message": { "id": "1" }, "whole": raw })),
            (whole("rawBase64"), json!({ "event": "message.received", "message": { "id": "2" }, "whole": STANDARD.encode(raw) })),
        ] {
            let saved = hook.ask(SAVE, json!({ "webhook": webhook })).await["inboundWebhookSave"].clone();
            assert_eq!(saved["userErrors"], json!([]));
            let query = "mutation($id: ID, $payload: JSON) { inboundWebhookTry(input: { webhookId: $id, payload: $payload }) {
                trial { state results { kind outcome } fault { place message } } } }";
            let variables = json!({ "id": saved["webhook"]["id"], "payload": payload });
            let trial = hook.ask(query, variables).await["inboundWebhookTry"]["trial"].clone();
            assert_eq!(trial["results"], json!([{ "kind": "EMAIL_RECEIVE", "outcome": "CREATED" }]), "{trial}");
        }
        assert_eq!(done, [
            "CONTACT_UPSERT CREATED", "LEAD_RECEIVE CREATED",
            "CONTACT_UPSERT CREATED", "LEAD_RECEIVE CREATED", "ENROLLMENT_CREATE REFUSED",
            "ACCOUNT_UPSERT CREATED", "CHANGE_REQUEST_PROPOSE REFUSED",
            "EMAIL_RECEIVE CREATED",
        ]);
    }
}
