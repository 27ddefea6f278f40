//! Dispatch and return through the schema: from the definitions to the review of a return.

use crate::server::{Server, post};
use crate::socket::Socket;
use axum::http::header;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::{
    Actor, Call, ChecklistAnswer, LeadQualify, LeadReceive, WorkItemAnswer, WorkItemClaim, WorkItemStart,
    WorkItemVerify,
};
use tandem_domain::access::{Role, Side, User};
use tandem_domain::verification::{Finding, Verdict};

/// Runs a mutation as `token` and gives its payload, in which there must be no errors of the request.
async fn run(server: &Server, token: &str, mutation: &str, input: Value, fields: &str) -> Value {
    let name = format!("{}{}Input!", mutation[..1].to_uppercase(), &mutation[1..]);
    let query = format!(
        "mutation M($input: {name}) {{ {mutation}(input: $input) {{ {fields} userErrors {{ field code }} }} }}"
    );
    let body = json!({ "query": query, "variables": { "input": input } });
    let request = post().header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = server.send(request, body.to_string()).await.json();
    assert!(answer.get("errors").is_none(), "{mutation}: {answer}");
    answer["data"][mutation].clone()
}

async fn ask(server: &Server, token: &str, query: &str) -> Value {
    let answer = server.query(Some(token), query).await.json();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"].clone()
}

/// The global id of a lead that this SDR has verified.
async fn verified(server: &Server, token: &str, sdr: &User) -> String {
    let (app, world) = (&server.world.app, &server.world);
    let received = LeadReceive {
        contact: world.contact("person@example.com").await.id,
        account: None,
        source: "Webinar".to_owned(),
        external_id: None,
        grade: None,
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    let lead = app.run(&world.system(), received).await.unwrap().id;
    let (item, _) = app.run(&world.system(), LeadQualify { lead, grade: None, priority: None }).await.unwrap();
    let call = Call::new(Actor::user(sdr.id, Role::Sdr, sdr.side), "test");
    let (item, _) = app.run(&call, WorkItemClaim { item: item.id }).await.unwrap();
    let (item, token_of) = (item.id, item.fence);
    app.run(&call, WorkItemStart { item, token: token_of }).await.unwrap();
    let finding = Finding { verdict: Verdict::Confirmed, value: None, evidence: None };
    let answers = app.env.queue.checklist.items.iter();
    let answers = answers.map(|entry| ChecklistAnswer { item: entry.key.clone(), finding: finding.clone() }).collect();
    app.run(&call, WorkItemAnswer { item, token: token_of, answers }).await.unwrap();
    app.run(&call, WorkItemVerify { item, token: token_of, note: None }).await.unwrap();
    let leads = ask(server, token, "{ leads(first: 1) { nodes { id } } }").await;
    leads["leads"]["nodes"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_opportunity_is_dispatched_worked_and_returned_through_the_schema() {
    let server = Server::sqlite().await;
    let sign_in = async |name: &str, role: Role, side: Option<Side>| {
        let (user, issued) = server.token(name, role, side).await;
        let token = issued.secret.unwrap();
        let id = ask(&server, &token, "{ viewer { id } }").await["viewer"]["id"].as_str().unwrap().to_owned();
        (user, token, id)
    };
    let (_, ops, _) = sign_in("ops", Role::SalesOps, None).await;
    let (sdr_user, sdr, _) = sign_in("sdr", Role::Sdr, Some(Side::Marketing)).await;
    let (_, seller, seller_id) = sign_in("seller", Role::Sales, Some(Side::Sales)).await;
    let (_, manager, manager_id) = sign_in("manager", Role::SalesManager, Some(Side::Sales)).await;

    let week: Vec<Value> = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY"]
        .iter()
        .map(|day| json!({ "day": day, "hours": ["09:00-12:00", "13:00-18:00"] }))
        .collect();
    let calendar = json!({
        "key": "office", "name": "Office", "timeZone": "UTC", "week": week,
        "holidays": [{ "date": "2026-12-25", "name": "Christmas Day" }],
    });
    let fields = "calendar { id key version timeZone week { day hours } holidays { date } isOpen(at: \"2026-03-02T12:30:00Z\") }";
    let wrong = json!({ "key": "office", "name": "Office", "timeZone": "UTC", "week": [{ "day": "MONDAY", "hours": ["9-5"] }] });
    let refused = run(&server, &ops, "workingCalendarSave", wrong, fields).await;
    assert_eq!(refused["userErrors"], json!([{ "field": ["week"], "code": "CALENDAR_HOURS_INVALID" }]));
    let calendar = run(&server, &ops, "workingCalendarSave", calendar, fields).await["calendar"].clone();
    assert_eq!((&calendar["version"], &calendar["isOpen"]), (&json!(1), &json!(false)));
    assert_eq!(calendar["holidays"][0]["date"], "2026-12-25");

    let pool = json!({
        "key": "enterprise", "name": "Enterprise", "calendarId": calendar["id"], "escalateToId": manager_id,
        "members": [{ "userId": seller_id }],
    });
    let fields =
        "pool { id key members { weight capacity user { name } calendar { key } } escalateTo { name } maxAttempts }";
    let pool = run(&server, &ops, "poolSave", pool, fields).await["pool"].clone();
    assert_eq!(pool["members"][0]["user"]["name"], "seller");
    assert_eq!(pool["members"][0]["calendar"]["key"], "office");
    let rules = json!([{ "name": "big", "when": "opportunity.amount.minor > 100000000", "poolId": pool["id"] }]);
    let table = json!({ "rules": rules, "fallbackPoolId": pool["id"] });
    let fields = "routingTable { version rules { name when pool { key } } fallback { key } }";
    let table = run(&server, &ops, "routingTableSave", table, fields).await;
    assert_eq!(table["routingTable"]["fallback"]["key"], "enterprise");

    // Both wait for an offer, and each hears of his own alone.
    let address = server.listen().await;
    let (mut seller_socket, mut manager_socket) =
        (Socket::begin(address, &seller).await, Socket::begin(address, &manager).await);
    for socket in [&mut seller_socket, &mut manager_socket] {
        socket.subscribe("o", "subscription { offerMade { state opportunity { name } } }", json!({})).await;
    }
    server.until_subscribed(2).await;

    let lead = verified(&server, &sdr, &sdr_user).await;
    let bad = json!({ "leadId": lead, "amount": { "amount": "12.345", "currency": "EUR" } });
    let refused = run(&server, &sdr, "opportunityDispatch", bad, "opportunity { id }").await;
    assert_eq!(refused["userErrors"], json!([{ "field": ["amount"], "code": "OPPORTUNITY_AMOUNT_INVALID" }]));
    let input = json!({ "leadId": lead, "amount": { "amount": "1250.5", "currency": "EUR" }, "idempotencyKey": "d1" });
    let fields =
        "opportunity { id name state amount { amount currency } lead { id stage } } handoff { id state route }";
    let first = run(&server, &sdr, "opportunityDispatch", input.clone(), fields).await;
    assert_eq!(first["opportunity"]["amount"], json!({ "amount": "1250.50", "currency": "EUR" }));
    assert_eq!(first["opportunity"]["lead"]["stage"], "DISPATCHED");
    assert_eq!(first["handoff"]["route"], "routing@1#fallback");
    assert_eq!(run(&server, &sdr, "opportunityDispatch", input, fields).await, first);

    server.world.run_due_jobs().await;
    let heard = seller_socket.hear().await.unwrap()["payload"]["data"]["offerMade"].clone();
    assert_eq!(heard["state"], "OFFERED");
    let offers = "{ myOffers { nodes { id state dueAt offeredTo { name } opportunity { name } \
                  receipts { rule outcome chosen { name } considered { user { name } skipped stake } } } } }";
    let offers_of_seller = ask(&server, &seller, offers).await["myOffers"]["nodes"].clone();
    let offer = &offers_of_seller[0];
    assert_eq!((&offer["state"], &offer["offeredTo"]["name"]), (&json!("OFFERED"), &json!("seller")));
    assert_eq!(offer["receipts"][0]["rule"], "pool:enterprise@1");
    assert_eq!(offer["receipts"][0]["considered"][0]["skipped"], Value::Null);
    assert_eq!(ask(&server, &manager, offers).await["myOffers"]["nodes"], json!([]));

    let it = json!({ "handoffId": offer["id"] });
    let refused = run(&server, &manager, "handoffAccept", it.clone(), "handoff { state }").await;
    assert_eq!(refused["userErrors"], json!([{ "field": null, "code": "HANDOFF_NOT_OFFERED_TO_YOU" }]));
    let accepted = run(&server, &seller, "handoffAccept", it.clone(), "handoff { state assignee { name } }").await;
    assert_eq!(accepted["handoff"], json!({ "state": "ACCEPTED", "assignee": { "name": "seller" } }));
    run(&server, &seller, "handoffStart", it.clone(), "handoff { state }").await;
    let progress = json!({ "handoffId": offer["id"], "stage": "Proposal", "note": "Demo held" });
    let progressed = run(&server, &seller, "handoffProgress", progress, "handoff { note opportunity { stage } }").await;
    assert_eq!(progressed["handoff"], json!({ "note": "Demo held", "opportunity": { "stage": "Proposal" } }));
    let back = json!({ "handoffId": offer["id"], "reason": "SLA_BREACH" });
    let refused = run(&server, &seller, "handoffReturn", back, "handoff { state }").await;
    assert_eq!(refused["userErrors"], json!([{ "field": ["reason"], "code": "HANDOFF_REASON_NOT_ALLOWED" }]));
    let back = json!({ "handoffId": offer["id"], "reason": "WRONG_TERRITORY", "note": "Belongs to the north" });
    let returned = run(&server, &seller, "handoffReturn", back, "handoff { state reason }").await;
    assert_eq!(returned["handoff"], json!({ "state": "RETURN_REVIEW", "reason": "WRONG_TERRITORY" }));
    let review = json!({ "handoffId": offer["id"], "verdict": "RE_ROUTE" });
    let fields = "handoff { state dueAt opportunity { handoffs { state previous { id } } } }";
    let reviewed = run(&server, &manager, "handoffReviewReturn", review, fields).await["handoff"].clone();
    assert_eq!((&reviewed["state"], &reviewed["dueAt"]), (&json!("RE_ROUTED"), &Value::Null));
    let handoffs = &reviewed["opportunity"]["handoffs"];
    assert_eq!(handoffs[1], json!({ "state": "PENDING", "previous": { "id": offer["id"] } }));

    // Its only member is in cool-down: the manager gets it.
    server.world.run_due_jobs().await;
    let escalated = ask(&server, &manager, offers).await["myOffers"]["nodes"][0].clone();
    assert_eq!(escalated["state"], "ESCALATED");
    let heard = manager_socket.hear().await.unwrap()["payload"]["data"]["offerMade"].clone();
    assert_eq!(heard["state"], "ESCALATED", "the first that the manager hears");
    assert_eq!(escalated["receipts"][0]["considered"][0]["skipped"], "COOL_DOWN");
    assert_eq!(escalated["receipts"][0]["outcome"], "EXHAUSTED");
    let node = format!("{{ node(id: {}) {{ ... on Handoff {{ attempt pool {{ key }} }} }} }}", escalated["id"]);
    assert_eq!(ask(&server, &sdr, &node).await["node"], json!({ "attempt": 1, "pool": { "key": "enterprise" } }));
    let open = "{ opportunities(filter: { states: [OPEN] }) { nodes { stage } } handoffs(filter: { states: [RE_ROUTED] }) { nodes { tried { outcome } } } }";
    let open = ask(&server, &sdr, open).await;
    assert_eq!(open["opportunities"]["nodes"], json!([{ "stage": "Proposal" }]));
    assert_eq!(open["handoffs"]["nodes"], json!([{ "tried": [] }]));
}
