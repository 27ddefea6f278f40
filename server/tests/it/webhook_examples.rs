//! The examples of the guide to inbound webhooks, delivered as their senders deliver them, where what they need is there:
//! each does what the guide says.

use crate::server::{Answer, Server, post};
use axum::http::{Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tandem_domain::access::{Role, Side};
use tandem_testkit::{World, on_both_databases};

const FORM: &str = include_str!("../../../docs/examples/webhooks/form.json");
const BOOKING: &str = include_str!("../../../docs/examples/webhooks/booking.json");
const CRM: &str = include_str!("../../../docs/examples/webhooks/crm.json");
/// The sequence that the calendar's example enrols into.
const WELCOME: &str = include_str!("../../../workflows/library/sequences/welcome.yaml");

/// A server with one of the examples, saved as the guide says.
struct Example {
    server: Server,
    ops: String,
    key: String,
    scheme: String,
    secret: String,
    /// The payload that the definition is for.
    payload: Value,
}

async fn ask(server: &Server, token: &str, query: &str, variables: Value) -> Value {
    let request = post().header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = server.send(request, json!({ "query": query, "variables": variables }).to_string()).await.json();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

/// Runs a mutation, which must not be refused, and gives its payload.
async fn run(server: &Server, token: &str, mutation: &str, input: Value, fields: &str) -> Value {
    let name = format!("{}{}Input!", mutation[..1].to_uppercase(), &mutation[1..]);
    let query =
        format!("mutation($input: {name}) {{ {mutation}(input: $input) {{ {fields} userErrors {{ field code }} }} }}");
    let payload = ask(server, token, &query, json!({ "input": input })).await[mutation].clone();
    assert_eq!(payload["userErrors"], json!([]), "{mutation}");
    payload
}

async fn token(server: &Server, name: &str, role: Role, side: Option<Side>) -> String {
    server.token(name, role, side).await.1.secret.unwrap()
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Example {
    async fn over(world: World, text: &str) -> Self {
        let server = Server::over(world);
        let ops = token(&server, "otto", Role::SalesOps, None).await;
        let machine = token(&server, "forms", Role::Integration, None).await;
        let mut example: Value = serde_json::from_str(text).unwrap();
        let machine = ask(&server, &machine, "{ viewer { id } }", json!({})).await["viewer"]["id"].clone();
        example["webhook"]["actsAs"] = machine;
        let input = json!({ "webhook": example["webhook"] });
        let saved = run(&server, &ops, "inboundWebhookSave", input, "secret").await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            key: text(&example["webhook"]["key"]),
            scheme: text(&example["webhook"]["scheme"]),
            secret: text(&saved["secret"]),
            payload: example["payload"].clone(),
            server,
            ops,
        }
    }

    /// Posts a payload with what the scheme wants of its sender.
    async fn post(&self, id: &str, payload: &Value) -> Answer {
        let body = payload.to_string();
        let request = Request::post(format!("/webhooks/{}", self.key));
        let request = match self.scheme.as_str() {
            "STANDARD_WEBHOOKS" => {
                let at = self.server.world.now().timestamp();
                let key = STANDARD.decode(self.secret.strip_prefix("whsec_").unwrap()).unwrap();
                let signature = STANDARD.encode(mac(&key, &format!("{id}.{at}.{body}")));
                request
                    .header("webhook-id", id)
                    .header("webhook-timestamp", at.to_string())
                    .header("webhook-signature", format!("v1,{signature}"))
            }
            "GITHUB" => {
                let mac = mac(self.secret.as_bytes(), &body);
                let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
                request.header("x-hub-signature-256", format!("sha256={hex}")).header("x-github-delivery", id)
            }
            _ => request.header(header::AUTHORIZATION, format!("Bearer {}", self.secret)),
        };
        self.server.send(request, body).await
    }

    /// Posts what is new, lets the job handle it, and gives the state, what became of each action, and the fault of each.
    async fn deliver(&self, id: &str, payload: &Value) -> Value {
        assert_eq!(self.post(id, payload).await.status, StatusCode::ACCEPTED);
        // What the workflow goes on with is done by jobs of its own, beside it.
        self.server.world.run_due_jobs().await;
        let query = "{ inboundDeliveries(last: 1) { nodes { state fault { code message }
            results { kind outcome subjectId fault { code } } } } }";
        let found = self.ask(query).await["inboundDeliveries"]["nodes"][0].clone();
        assert_eq!(found["fault"], Value::Null);
        let said = |result: &Value| format!("{} {}", result["kind"], result["outcome"]).replace('"', "");
        let results = found["results"].as_array().unwrap();
        let faults: Vec<&Value> = results.iter().filter_map(|result| result["fault"].get("code")).collect();
        let all: Vec<String> = results.iter().map(said).collect();
        json!({ "state": found["state"], "did": all, "faults": faults })
    }

    async fn ask(&self, query: &str) -> Value {
        ask(&self.server, &self.ops, query, json!({})).await
    }

    /// How many entries of a kind the ledger has.
    async fn told(&self, kind: &str) -> usize {
        self.server.world.ledger_kinds().await.iter().filter(|one| *one == kind).count()
    }
}

/// What a delivery came to whose actions were all allowed.
fn done(did: &[&str]) -> Value {
    json!({ "state": "DONE", "did": did, "faults": [] })
}

on_both_databases! {
    async fn a_form_that_is_sent_becomes_a_person_who_agreed_and_a_lead_with_its_grade(world: World) {
        let example = Example::over(world, FORM).await;
        let asks = example.payload.clone();
        assert_eq!(example.deliver("msg_1", &asks).await, done(&["CONTACT_UPSERT CREATED", "LEAD_RECEIVE CREATED"]));
        let query = "{ contacts(first: 9) { nodes { email name phone tags source consent { state source } } }
            leads(first: 9) { nodes { source externalId grade { code } priority stage contact { email } } } }";
        let found = example.ask(query).await;
        let ash = json!({
            "email": "ash.alder@acme.example", "name": "Ash Alder", "phone": "+12125550123", "tags": ["form:demo-request"],
            "source": "website", "consent": { "state": "GRANTED", "source": "website form demo-request" },
        });
        let lead = json!({
            "source": "website", "externalId": "sub-4711", "grade": { "code": "A1" }, "priority": 80, "stage": "RECEIVED",
            "contact": { "email": "ash.alder@acme.example" },
        });
        assert_eq!(found, json!({ "contacts": { "nodes": [ash] }, "leads": { "nodes": [lead] } }));

        // The sender did not hear the answer; the same once more is nothing new.
        assert_eq!(example.post("msg_1", &asks).await.status, StatusCode::OK);
        assert_eq!(example.server.world.run_due_jobs().await, 0);
        // Another form is of a person who is known, and of no lead.
        let mut reads = asks.clone();
        reads["form"] = json!("newsletter");
        reads["fields"].as_object_mut().unwrap().remove("phone");
        assert_eq!(example.deliver("msg_2", &reads).await, done(&["CONTACT_UPSERT CHANGED", "LEAD_RECEIVE SKIPPED"]));
        let mut draft = asks;
        draft["event"] = json!("form.started");
        assert_eq!(example.deliver("msg_3", &draft).await, json!({ "state": "FILTERED", "did": [], "faults": [] }));
        let found = example.ask(query).await;
        assert_eq!(found["contacts"]["nodes"][0]["phone"], "+12125550123");
        assert_eq!(found["leads"]["nodes"], json!([lead]));
        assert_eq!((example.told("lead.received").await, example.told("contact.created").await), (1, 1));
    }

    async fn a_meeting_that_is_booked_becomes_a_lead_and_an_enrolment_that_knows_when_it_is(world: World) {
        let example = Example::over(world, BOOKING).await;
        run(&example.server, &example.ops, "sequencePublish", json!({ "source": WELCOME }), "sequence { id }").await;
        let books = example.payload.clone();
        let all = ["CONTACT_UPSERT CREATED", "LEAD_RECEIVE CREATED", "ENROLLMENT_CREATE CREATED"];
        assert_eq!(example.deliver("1", &books).await, done(&all));
        let query = "{ leads(first: 9) { nodes { source externalId grade { code } priority tags } }
            enrollments(first: 9) { nodes { state stateReason vars sequence { key } lead { externalId }
                contact { email name timeZone externalIds { system id } } } } }";
        let found = example.ask(query).await;
        let lead = json!({
            "source": "calendar", "externalId": "bk-2026-0001", "grade": { "code": "A1" }, "priority": 95,
            "tags": ["intro-call", "meeting"],
        });
        let enrolment = json!({
            "state": "WAITING", "stateReason": "EVENT", "vars": { "meeting_at": "2026-03-05T15:00:00Z" }, "sequence": { "key": "welcome" },
            "lead": { "externalId": "bk-2026-0001" },
            "contact": {
                "email": "fern.vale@globex.example", "name": "Fern Vale", "timeZone": "Europe/Berlin",
                "externalIds": [{ "system": "calendar", "id": "88213" }],
            },
        });
        assert_eq!(found, json!({ "leads": { "nodes": [lead] }, "enrollments": { "nodes": [enrolment] } }));
        // Who books has not agreed to be written to: the first e-mail waits for that, and goes out when it is known.
        assert_eq!(example.server.world.mailer.sent().len(), 0);
        let fern = example.ask("{ contacts(first: 9) { nodes { id } } }").await["contacts"]["nodes"][0]["id"].clone();
        let agrees = json!({ "contactId": fern, "consent": { "state": "GRANTED", "source": "on the telephone" } });
        run(&example.server, &example.ops, "contactSetConsent", agrees, "contact { id }").await;
        example.server.world.pass(TimeDelta::days(1)).await;
        let sent: Vec<String> = example.server.world.mailer.sent().into_iter().map(|email| email.to.address).collect();
        assert_eq!(sent, ["fern.vale@globex.example"]);

        // The id is the booking's own: two deliveries of one booking are one.
        assert_eq!(example.post("2", &books).await.status, StatusCode::OK);
        // Who is enrolled already is not enrolled twice, and the booking is a lead all the same.
        let mut again = books.clone();
        again["booking"]["uid"] = json!("bk-2026-0002");
        let all = ["CONTACT_UPSERT UNCHANGED", "LEAD_RECEIVE CREATED", "ENROLLMENT_CREATE REFUSED"];
        assert_eq!(
            example.deliver("3", &again).await,
            json!({ "state": "DONE", "did": all, "faults": ["ENROLLMENT_EXISTS"] })
        );
        let mut cancels = books;
        cancels["event"] = json!("booking.cancelled");
        assert_eq!(example.deliver("4", &cancels).await["state"], "FILTERED");
        assert_eq!((example.told("lead.received").await, example.told("enrollment.started").await), (2, 1));
        assert_eq!(example.server.world.mailer.sent().len(), 1);
    }

    async fn an_opportunity_that_is_won_becomes_a_proposal_that_both_sides_have_still_to_agree_to(world: World) {
        let example = Example::over(world, CRM).await;
        let server = &example.server;
        let marketing = token(server, "mara", Role::Marketing, Some(Side::Marketing)).await;
        let sales = token(server, "sven", Role::Sales, Some(Side::Sales)).await;
        let tier = json!({ "taxonomy": "TIER", "code": "T1", "nameEn": "First tier", "nameZh": "一级客户" });
        run(server, &example.ops, "taxonomyTermSave", tier, "term { code }").await;
        // The company is on the list already: both sides had agreed to that.
        let company = json!({ "name": "Initech", "domains": ["initech.example"] });
        let account = run(server, &marketing, "accountCreate", company, "account { id }").await["account"]["id"].clone();
        let list = json!({ "key": "strategic", "name": "Strategic accounts" });
        let list = run(server, &example.ops, "targetListCreate", list, "list { id }").await["list"]["id"].clone();
        let change = json!({ "accountId": account, "kind": "ADD", "tier": "T1", "reasons": ["ICP_FIT"] });
        let proposal = json!({ "listId": list, "changes": [change] });
        let proposed = run(server, &marketing, "changeRequestPropose", proposal, "changeRequests { id revision }").await;
        let seen = &proposed["changeRequests"][0];
        let seen = json!({ "changeRequests": [{ "changeRequestId": seen["id"], "revision": seen["revision"] }] });
        run(server, &sales, "changeRequestApprove", seen, "changeRequests { state }").await;

        // Before it is won the list is nobody's business.
        let mut negotiates = example.payload.clone();
        negotiates["opportunity"]["stage"] = json!("Negotiation");
        negotiates["opportunity"]["modified"] = json!("2026-03-01T08:15:00Z");
        let all = ["ACCOUNT_UPSERT CHANGED", "CHANGE_REQUEST_PROPOSE SKIPPED"];
        assert_eq!(example.deliver("1", &negotiates).await, done(&all));
        let query = "{ accounts(first: 9) { nodes { name domains tags externalIds { system id } } }
            listMemberships(first: 9) { nodes { state } }
            changeRequests(last: 1) { nodes { kind state reasons evidence { note } side proposer { email }
                account { name } list { key } approvals { marketing { __typename } sales { __typename } } } } }";
        let found = example.ask(query).await;
        assert_eq!(found["listMemberships"]["nodes"], json!([{ "state": "ACTIVE" }]));
        assert_eq!(found["accounts"]["nodes"][0]["tags"], json!(["in-negotiation"]));

        let all = ["ACCOUNT_UPSERT CHANGED", "CHANGE_REQUEST_PROPOSE CREATED"];
        assert_eq!(example.deliver("2", &example.payload).await, done(&all));
        let found = example.ask(query).await;
        let company = json!({
            "name": "Initech", "domains": ["initech.example"], "tags": ["customer", "in-negotiation"],
            "externalIds": [{ "system": "crm", "id": "001-17" }],
        });
        assert_eq!(found["accounts"]["nodes"], json!([company]));
        let request = json!({
            "kind": "REMOVE", "state": "PROPOSED", "reasons": ["EXISTING_CUSTOMER"], "side": null,
            "evidence": [{ "note": "Won in the CRM: Initech, 200 seats" }], "proposer": { "email": "forms@example.com" },
            "account": { "name": "Initech" }, "list": { "key": "strategic" },
            "approvals": { "marketing": null, "sales": null },
        });
        assert_eq!(found["changeRequests"]["nodes"], json!([request]));
        assert_eq!(found["listMemberships"]["nodes"], json!([{ "state": "REMOVAL_PROPOSED" }]));

        // GitHub's way of signing says nothing of the id, so that it is taken from the payload.
        assert_eq!(example.post("3", &example.payload).await.status, StatusCode::OK);
        // The CRM tells of it anew: the proposal is there, and the rest holds already.
        let mut later = example.payload.clone();
        later["opportunity"]["modified"] = json!("2026-03-03T08:15:00Z");
        let all = ["ACCOUNT_UPSERT UNCHANGED", "CHANGE_REQUEST_PROPOSE REFUSED"];
        let refused = example.deliver("4", &later).await;
        assert_eq!((&refused["state"], &refused["did"]), (&json!("DONE"), &json!(all)), "{refused}");
        let mut lost = example.payload.clone();
        lost["opportunity"]["stage"] = json!("Closed Lost");
        lost["opportunity"]["modified"] = json!("2026-03-04T08:15:00Z");
        assert_eq!(example.deliver("5", &lost).await["state"], "FILTERED");
        assert_eq!(example.told("list.change_proposed").await, 2);
    }
}
