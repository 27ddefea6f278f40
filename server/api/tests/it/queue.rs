//! Leads and the SDR queue through GraphQL.

use crate::client::{change, data, global};
use serde_json::{Value, json};
use tandem_app::Call;
use tandem_domain::access::{Role, Side};
use tandem_testkit::{World, on_both_databases};

async fn receive(world: &World, call: &Call, n: u8, priority: i32) -> Value {
    let contact = world.contact(&format!("person{n}@example.com")).await.id;
    let query = "mutation($input: LeadReceiveInput!) { leadReceive(input: $input) {
        lead { id stage ownerKind dueAt source grade { code fit intent } } userErrors { code field message } } }";
    let input = json!({"input": {"contactId": global(contact), "source": "Webinar", "externalId": format!("w-{n}"),
        "grade": "b2", "priority": priority, "idempotencyKey": format!("key-{n}")}});
    data(world, call, query, input).await["leadReceive"].clone()
}

on_both_databases! {
    async fn a_lead_goes_from_its_receipt_to_its_verification_by_the_schema_alone(world: World) {
        let (_, marketing) = world.user("mia", Role::Marketing, Some(Side::Marketing)).await;
        let (_, ann) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let low = receive(&world, &marketing, 1, 10).await;
        assert_eq!(low["userErrors"], json!([]));
        assert_eq!(low["lead"]["grade"], json!({"code": "B2", "fit": "B", "intent": 2}));
        assert_eq!((&low["lead"]["stage"], &low["lead"]["source"]), (&json!("RECEIVED"), &json!("webinar")));
        let high = receive(&world, &marketing, 2, 90).await;
        for lead in [&low, &high] {
            let query = "mutation($id: ID!) { leadQualify(input: {leadId: $id}) {
                lead { stage ownerKind workItems { nodes { kind state round } } } userErrors { code } } }";
            let done = data(&world, &marketing, query, json!({"id": lead["lead"]["id"]})).await;
            let expected = json!({"stage": "QUEUED", "ownerKind": "SDR_QUEUE",
                "workItems": {"nodes": [{"kind": "VERIFY_LEAD", "state": "QUEUED", "round": 1}]}});
            assert_eq!(done["leadQualify"]["lead"], expected);
        }
        let queue = "query($after: String) { workQueue(first: 1, after: $after) {
            nodes { priority lead { id } } pageInfo { endCursor hasNextPage } } }";
        let first = data(&world, &ann, queue, json!({})).await["workQueue"].clone();
        assert_eq!(first["nodes"][0]["lead"]["id"], high["lead"]["id"]);
        let second = data(&world, &ann, queue, json!({"after": first["pageInfo"]["endCursor"]})).await;
        assert_eq!(second["workQueue"]["nodes"][0]["lead"]["id"], low["lead"]["id"]);
        assert_eq!(second["workQueue"]["pageInfo"]["hasNextPage"], json!(false));

        let next = "mutation { workItemClaimNext(input: {}) { workItem {
            id state claim { token holder { name } leaseUntil } missing { key label(language: \"zh-CN\") category } }
            userErrors { code } } }";
        let claimed = data(&world, &ann, next, json!({})).await["workItemClaimNext"]["workItem"].clone();
        assert_eq!((&claimed["state"], &claimed["claim"]["holder"]["name"]), (&json!("CLAIMED"), &json!("ann")));
        assert_eq!(claimed["missing"].as_array().map(Vec::len), Some(5));
        assert_eq!(claimed["missing"][0]["label"], json!("姓名、职务与企业属实"));
        let held = json!({"id": claimed["id"], "token": claimed["claim"]["token"]});
        let start = "mutation($id: ID!, $token: Int!) { workItemStart(input: {workItemId: $id, token: $token}) {
            workItem { state } userErrors { code } } }";
        assert_eq!(data(&world, &ann, start, held.clone()).await["workItemStart"]["workItem"]["state"], "IN_PROGRESS");
        let verify = "mutation($id: ID!, $token: Int!) { workItemVerify(input: {workItemId: $id, token: $token}) {
            workItem { state contact { email } lead { stage contact { email } account { id } verifiedBy { name } } } userErrors { code field message } } }";
        let early = data(&world, &ann, verify, held.clone()).await["workItemVerify"].clone();
        assert_eq!((&early["workItem"], &early["userErrors"][0]["code"]), (&Value::Null, &json!("VERIFICATION_INCOMPLETE")));
        let answers: Vec<Value> = claimed["missing"].as_array().unwrap().iter()
            .map(|item| json!({"item": item["key"], "verdict": "CONFIRMED", "evidence": "call"})).collect();
        let odd = json!({"workItemId": claimed["id"], "token": claimed["claim"]["token"],
            "answers": [answers[0], {"item": "shoe_size", "verdict": "CONFIRMED"}]});
        let odd = change(&world, &ann, "workItemAnswer", "workItem { id }", odd).await;
        assert_eq!(odd["userErrors"][0]["field"], json!(["answers", "1", "item"]), "{odd}");
        let answer = "mutation($id: ID!, $token: Int!, $answers: [ChecklistAnswerInput!]!) {
            workItemAnswer(input: {workItemId: $id, token: $token, answers: $answers}) {
                workItem { missing { key } answers { item verdict by { name } } } userErrors { code } } }";
        let mut input = held.clone();
        input["answers"] = json!(answers);
        let answered = data(&world, &ann, answer, input).await["workItemAnswer"]["workItem"].clone();
        assert_eq!((&answered["missing"], &answered["answers"][0]["by"]["name"]), (&json!([]), &json!("ann")));
        let mine = data(&world, &ann, "{ myWork { nodes { id } } }", json!({})).await;
        assert_eq!(mine["myWork"]["nodes"], json!([{"id": claimed["id"]}]));
        let done = data(&world, &ann, verify, held.clone()).await["workItemVerify"]["workItem"].clone();
        assert_eq!(done, json!({"state": "VERIFIED", "contact": {"email": "person2@example.com"}, "lead": {"stage": "VERIFIED",
            "contact": {"email": "person2@example.com"}, "account": null, "verifiedBy": {"name": "ann"}}}));
        let stale = data(&world, &ann, start, held).await["workItemStart"]["userErrors"].clone();
        assert_eq!(stale[0]["code"], "WORK_ITEM_STALE_TOKEN");

        let leads = "{ leads(filter: {stages: [VERIFIED], source: \"WEBINAR\"}) { nodes { id stage } } }";
        let found = data(&world, &marketing, leads, json!({})).await;
        assert_eq!(found["leads"]["nodes"], json!([{"id": high["lead"]["id"], "stage": "VERIFIED"}]));
        let node = "query($id: ID!) { node(id: $id) { __typename ... on Lead { dueAt } } }";
        let node = data(&world, &marketing, node, json!({"id": high["lead"]["id"]})).await;
        assert_eq!(node["node"]["__typename"], "Lead");
        assert!(node["node"]["dueAt"].is_string());
    }

    async fn a_bad_grade_a_taken_id_and_an_empty_queue_are_user_errors(world: World) {
        let (_, marketing) = world.user("mia", Role::Marketing, Some(Side::Marketing)).await;
        let (_, ann) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let next = "mutation { workItemClaimNext(input: {}) { workItem { id } userErrors { code } } }";
        let empty = data(&world, &ann, next, json!({})).await["workItemClaimNext"].clone();
        assert_eq!(empty, json!({"workItem": null, "userErrors": [{"code": "QUEUE_EMPTY"}]}));
        let lead = receive(&world, &marketing, 1, 50).await["lead"].clone();
        let grade = "mutation($id: ID!) { leadGrade(input: {leadId: $id, grade: \"E9\"}) { lead { id } userErrors { code field } } }";
        let bad = data(&world, &marketing, grade, json!({"id": lead["id"]})).await["leadGrade"].clone();
        assert_eq!(bad["userErrors"], json!([{"code": "LEAD_GRADE_INVALID", "field": ["grade"]}]));
        let wordy = json!({"leadId": lead["id"], "grade": "A1", "rule": "x".repeat(201)});
        let wordy = change(&world, &marketing, "leadGrade", "lead { id }", wordy).await;
        assert_eq!(wordy["userErrors"][0]["code"], "TEXT_TOO_LONG");
        assert_eq!(wordy["userErrors"][0]["field"], json!(["rule"]));
        let contact = global(world.contact("person2@example.com").await.id);
        let odd = json!({"contactId": contact, "source": "web", "custom": {"shoe_size": 43}});
        let odd = change(&world, &marketing, "leadReceive", "lead { id }", odd).await;
        assert_eq!(odd["userErrors"][0]["field"], json!(["custom"]), "{odd}");
        let same = json!({"leadId": lead["id"], "duplicateOfId": lead["id"]});
        let same = change(&world, &marketing, "leadMarkDuplicate", "lead { id }", same).await;
        assert_eq!(same["userErrors"][0]["field"], json!(["duplicateOfId"]), "{same}");
        let loud = "mutation($id: ID!) { leadPrioritise(input: {leadId: $id, priority: 300}) { userErrors { code field } } }";
        let loud = data(&world, &marketing, loud, json!({"id": lead["id"]})).await["leadPrioritise"].clone();
        assert_eq!(loud["userErrors"], json!([{"code": "LEAD_PRIORITY_OUT_OF_RANGE", "field": ["priority"]}]));
        let end = "mutation($id: ID!) { leadDisqualify(input: {leadId: $id, reason: STUDENT}) { lead { stage dueAt ownerKind } userErrors { code } } }";
        let ended = data(&world, &marketing, end, json!({"id": lead["id"]})).await["leadDisqualify"].clone();
        assert_eq!(ended["lead"], json!({"stage": "DISQUALIFIED", "dueAt": null, "ownerKind": "NOBODY"}));
        let again = data(&world, &marketing, end, json!({"id": lead["id"]})).await["leadDisqualify"].clone();
        assert_eq!(again["userErrors"], json!([{"code": "LEAD_ENDED"}]));
    }
}
