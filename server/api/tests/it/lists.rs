//! Target-account lists through GraphQL.

use crate::client::{ask, change};
use base64::Engine;
use serde_json::{Value, json};
use tandem_app::{AccountUpsertMany, Call, RowResult, TaxonomyLibraryInstall};
use tandem_domain::access::{Role, Side};
use tandem_domain::account::AccountPatch;
use tandem_testkit::{World, on_both_databases};

async fn accounts(world: &World, count: usize) -> Vec<String> {
    let row = |n: usize| AccountPatch { name: Some(format!("Example {n}")), ..AccountPatch::default() };
    let rows = (0..count).map(row).collect();
    let made = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
    let id = |row: &RowResult| format!("Account:{}", row.id().unwrap().simple());
    made.rows.iter().map(|row| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id(row))).collect()
}

pub(crate) struct Scene {
    list: Value,
    accounts: Vec<String>,
    marketer: Call,
    pub(crate) seller: Call,
}

pub(crate) async fn scene(world: &World, count: usize) -> Scene {
    let (_, marketer) = world.user("marketer", Role::Marketing, Some(Side::Marketing)).await;
    let (_, seller) = world.user("seller", Role::Sales, Some(Side::Sales)).await;
    world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
    let input = json!({"key": "enterprise", "name": "Enterprise", "idempotencyKey": "list-1"});
    let made = change(world, &marketer, "targetListCreate", "list { id key version requestDays }", input).await;
    assert_eq!(made["userErrors"], json!([]));
    assert_eq!(made["list"]["requestDays"], 14);
    Scene { list: made["list"]["id"].clone(), accounts: accounts(world, count).await, marketer, seller }
}

impl Scene {
    fn ask_for(&self, kind: &str, tier: Value) -> Value {
        let one = |id: &String| {
            json!({"accountId": id, "kind": kind, "tier": tier, "reasons": ["ICP_FIT"],
            "evidence": [{"note": "annual report", "url": "https://example.com/report"}]})
        };
        json!({"listId": self.list, "changes": self.accounts.iter().map(one).collect::<Vec<_>>()})
    }

    pub(crate) async fn agree(&self, world: &World, kind: &str, tier: Value) -> Value {
        let fields = "changeRequests { id revision }";
        let asked = change(world, &self.marketer, "changeRequestPropose", fields, self.ask_for(kind, tier)).await;
        assert_eq!(asked["userErrors"], json!([]));
        let fields = "version { id number } list { version } changeRequests { state membership { id revision state } }";
        change(world, &self.seller, "changeRequestApprove", fields, seen(&asked["changeRequests"])).await
    }
}

fn seen(requests: &Value) -> Value {
    let one = |request: &Value| json!({"changeRequestId": request["id"], "revision": request["revision"]});
    json!({"changeRequests": requests.as_array().unwrap().iter().map(one).collect::<Vec<_>>()})
}

on_both_databases! {
    async fn both_sides_agree_on_accounts_and_the_version_shows_them(world: World) {
        let scene = scene(&world, 3).await;
        let agreed = scene.agree(&world, "ADD", json!("T1")).await;
        assert_eq!(agreed["list"]["version"], 1, "{agreed}");
        assert_eq!(agreed["changeRequests"][2]["membership"]["state"], "ACTIVE");

        world.clock.advance(chrono::TimeDelta::days(1));
        let retiered = scene.agree(&world, "RETIER", json!("T2")).await;
        assert_eq!(retiered["version"]["number"], 2, "{retiered}");
        let query = "query($at: DateTime!) { targetAccountList(key: \"enterprise\") {
            versions(first: 1) { nodes { number by { name } changes { kind tier accountId } } pageInfo { hasNextPage } }
            memberships(states: [ACTIVE], first: 2) { nodes { tier list { key } keys { marketing { by { name } } sales { by { name } } } } }
            changeRequests(states: [AGREED]) { nodes { kind proposer { name } side reasons evidence { note url } } }
            entriesAsOf(at: $at, first: 2) { totalCount nodes { tier standing accountId account { name } } pageInfo { endCursor hasNextPage } }
            diff(from: 1, to: 2) { added { tier } removed { tier } retiered { fromTier entry { tier } } }
        } }";
        let answer = ask(&world, &scene.seller, query, json!({"at": "2026-03-02T20:00:00Z"})).await;
        let list = &answer["data"]["targetAccountList"];
        assert_eq!(list["versions"]["nodes"][0]["by"]["name"], "seller", "{answer}");
        assert_eq!(list["versions"]["nodes"][0]["changes"][0]["kind"], "ADDED");
        assert_eq!(list["versions"]["pageInfo"]["hasNextPage"], true);
        assert_eq!(list["memberships"]["nodes"].as_array().unwrap().len(), 2);
        assert_eq!(list["memberships"]["nodes"][0]["keys"]["marketing"]["by"]["name"], "marketer");
        assert_eq!(list["changeRequests"]["nodes"].as_array().unwrap().len(), 6);
        let then = &list["entriesAsOf"];
        assert_eq!((&then["totalCount"], &then["nodes"][0]["tier"]), (&json!(3), &json!("T1")));
        assert_eq!(then["nodes"][0]["account"]["name"], "Example 0");
        assert_eq!(then["pageInfo"]["hasNextPage"], true);
        assert_eq!(list["diff"]["added"], json!([]));
        assert_eq!(list["diff"]["retiered"][0], json!({"fromTier": "T1", "entry": {"tier": "T2"}}));

        let more = "query($at: DateTime!, $after: String) { targetAccountList(key: \"enterprise\") {
            entriesAsOf(at: $at, after: $after) { nodes { accountId } pageInfo { hasNextPage hasPreviousPage } } } }";
        let after = &then["pageInfo"]["endCursor"];
        let rest = ask(&world, &scene.seller, more, json!({"at": "2026-03-02T20:00:00Z", "after": after})).await;
        let rest = &rest["data"]["targetAccountList"]["entriesAsOf"];
        assert_eq!(rest["nodes"], json!([{"accountId": scene.accounts[2]}]));
        assert_eq!(rest["pageInfo"], json!({"hasNextPage": false, "hasPreviousPage": true}));
        let early = ask(&world, &scene.seller, more, json!({"at": "2026-03-01T00:00:00Z"})).await;
        assert_eq!(early["data"]["targetAccountList"]["entriesAsOf"]["nodes"], json!([]));

        let node = "query($id: ID!) { node(id: $id) { __typename ... on ListVersion { number entries { totalCount } } } }";
        let found = ask(&world, &scene.seller, node, json!({"id": agreed["version"]["id"]})).await;
        assert_eq!(found["data"]["node"], json!({"__typename": "ListVersion", "number": 1, "entries": {"totalCount": 3}}));
    }

    async fn a_refusal_is_a_user_error_that_names_the_field(world: World) {
        let scene = scene(&world, 2).await;
        let again = json!({"key": "enterprise", "name": "Enterprise"});
        let taken = change(&world, &scene.marketer, "targetListCreate", "list { id }", again).await;
        assert_eq!((&taken["list"], &taken["userErrors"][0]["code"]), (&Value::Null, &json!("LIST_KEY_TAKEN")));
        assert_eq!(taken["userErrors"][0]["field"], json!(["key"]));

        let mut input = scene.ask_for("ADD", json!("T1"));
        input["changes"][1]["reasons"] = json!([]);
        let refused = change(&world, &scene.marketer, "changeRequestPropose", "changeRequests { id }", input).await;
        assert_eq!(refused["changeRequests"], Value::Null);
        assert_eq!(refused["userErrors"][0]["code"], "LIST_NO_REASON");
        assert_eq!(refused["userErrors"][0]["field"], json!(["changes", "1", "reasons"]));

        let mut input = scene.ask_for("ADD", json!("T1"));
        input["changes"][0]["accountId"] = scene.list.clone();
        let refused = change(&world, &scene.marketer, "changeRequestPropose", "changeRequests { id }", input).await;
        assert_eq!(refused["userErrors"][0]["code"], "ID_INVALID");
        assert_eq!(refused["userErrors"][0]["field"], json!(["changes", "0", "accountId"]));

        let unknown = "mutation { changeRequestPropose(input: {listId: \"x\", changes: [{accountId: \"x\", kind: ADD, reasons: [WHIM]}]}) { userErrors { code } } }";
        let answer = ask(&world, &scene.marketer, unknown, json!({})).await;
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("WHIM"), "{answer}");

        let diff = "{ targetAccountList(key: \"enterprise\") { diff(from: 0, to: 9) { added { tier } } } }";
        let answer = ask(&world, &scene.marketer, diff, json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["reason"], "LIST_VERSION_UNKNOWN");
    }

    async fn a_request_is_edited_rejected_and_withdrawn_at_the_revision_read(world: World) {
        let scene = scene(&world, 1).await;
        let fields = "changeRequests { id revision state approvals { marketing { at } sales { at } } }";
        let input = scene.ask_for("ADD", json!("T1"));
        let asked = change(&world, &scene.marketer, "changeRequestPropose", fields, input).await["changeRequests"][0].clone();
        assert_eq!(asked["state"], "PARTIALLY_APPROVED");
        let edit = json!({"changeRequestId": asked["id"], "revision": 1, "tier": "T2", "reasons": ["INTENT_SURGE"]});
        let fields = "changeRequest { id revision state tier reasons approvals { marketing { at } } }";
        let edited = change(&world, &scene.seller, "changeRequestEdit", fields, edit).await["changeRequest"].clone();
        assert_eq!((&edited["revision"], &edited["state"], &edited["tier"]), (&json!(2), &json!("PROPOSED"), &json!("T2")));
        assert_eq!(edited["approvals"]["marketing"], Value::Null);
        let stale = change(&world, &scene.seller, "changeRequestApprove", "changeRequests { id }", seen(&json!([asked]))).await;
        assert_eq!(stale["userErrors"][0]["code"], "LIST_STALE_REVISION");
        assert_eq!(stale["userErrors"][0]["field"], json!(["changeRequests", "0", "revision"]));
        let once = change(&world, &scene.seller, "changeRequestApprove", "version { number } changeRequests { state }", seen(&json!([edited]))).await;
        assert_eq!(once, json!({"version": null, "changeRequests": [{"state": "PARTIALLY_APPROVED"}], "userErrors": []}));
        let reject = json!({"changeRequestId": asked["id"], "revision": 2, "verdict": "not this year"});
        let fields = "changeRequest { state verdict membership { state changeRequest { id } } }";
        let rejected = change(&world, &scene.seller, "changeRequestReject", fields, reject).await["changeRequest"].clone();
        assert_eq!(rejected, json!({"state": "REJECTED", "verdict": "not this year",
            "membership": {"state": "REJECTED", "changeRequest": null}}));
        let withdraw = json!({"changeRequestId": asked["id"], "revision": 2});
        let late = change(&world, &scene.marketer, "changeRequestWithdraw", "changeRequest { state }", withdraw).await;
        assert_eq!(late["userErrors"][0]["code"], "LIST_REQUEST_CLOSED");
    }

    async fn a_suspension_is_made_permanent_and_ended_with_two_keys(world: World) {
        let scene = scene(&world, 1).await;
        let agreed = scene.agree(&world, "ADD", json!("T1")).await;
        let id = agreed["changeRequests"][0]["membership"]["id"].clone();
        let fields = "membership { revision state suspension { reason permanent until keys { sales { by { name } } } } }";
        let suspend = json!({"membershipId": id, "reason": "LEGAL_BLOCK", "note": "sanctions list"});
        let suspended = change(&world, &scene.seller, "listMembershipSuspend", fields, suspend).await["membership"].clone();
        assert_eq!(suspended["suspension"]["until"], "2026-03-05T09:00:00+00:00");
        assert_eq!(suspended["suspension"]["keys"]["sales"]["by"]["name"], "seller");
        let seen = |revision: &Value| json!({"membershipId": id, "revision": revision});
        let permanent = change(&world, &scene.marketer, "listMembershipMakePermanent", fields, seen(&suspended["revision"])).await["membership"].clone();
        assert_eq!(permanent["suspension"]["permanent"], true);
        let one = change(&world, &scene.marketer, "listMembershipRestore", fields, seen(&permanent["revision"])).await["membership"].clone();
        assert_eq!(one["state"], "SUSPENDED");
        let both = change(&world, &scene.seller, "listMembershipRestore", fields, seen(&permanent["revision"])).await["membership"].clone();
        assert_eq!((&both["state"], &both["suspension"]), (&json!("ACTIVE"), &Value::Null));
    }
}
