//! How often people are written to, and from where, as sales ops sees it.

use crate::client::{ask, change, data};
use serde_json::{Value, json};
use tandem_domain::access::Role;
use tandem_testkit::on_both_databases;

on_both_databases! {
    async fn the_policy_is_null_until_it_is_saved_and_a_cap_that_makes_no_sense_is_a_user_error(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let query = "{ contactPolicy { id version caps { scope most hours } } }";
        assert_eq!(data(&world, &ops, query, json!({})).await["contactPolicy"], Value::Null);
        let cap = |most: u32| json!({"caps": [{"scope": "PERSON", "most": most, "hours": 24}]});
        let refused = change(&world, &ops, "contactPolicySave", "contactPolicy { id }", cap(0)).await;
        assert_eq!(refused["userErrors"][0]["code"], "CONTACT_POLICY_MOST_INVALID");
        assert_eq!(refused["userErrors"][0]["field"], json!(["caps"]));
        let saved = change(&world, &ops, "contactPolicySave", "contactPolicy { id version }", cap(2)).await;
        assert_eq!(saved["contactPolicy"]["version"], 1, "{saved}");
        let read = data(&world, &ops, query, json!({})).await["contactPolicy"].clone();
        assert_eq!(read["caps"], json!([{"scope": "PERSON", "most": 2, "hours": 24}]));
        let node = "query($id: ID!) { node(id: $id) { __typename id } }";
        let node = data(&world, &ops, node, json!({"id": read["id"]})).await["node"].clone();
        assert_eq!(node, json!({"__typename": "ContactPolicy", "id": saved["contactPolicy"]["id"]}));
    }

    async fn a_mailbox_is_saved_under_its_address_paused_and_resumed(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let (_, sdr) = world.user("sdr", Role::Sdr, None).await;
        let input = json!({
            "address": "Lin@Example.com", "name": "Lin", "pool": "outreach", "timeZone": "Asia/Shanghai", "dailyCap": 40,
            "rampUp": {"from": "2026-03-01", "start": 5, "perDay": 5}, "intervalSeconds": 90,
        });
        let mutation = "mutation($input: SendingMailboxSaveInput!) { sendingMailboxSave(input: $input) { userErrors { code } } }";
        let forbidden = ask(&world, &sdr, mutation, json!({"input": input})).await;
        assert_eq!(forbidden["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let fields = "sendingMailbox { id address state version allowance waiting rampUp { from start perDay } }";
        let saved = change(&world, &ops, "sendingMailboxSave", fields, input).await["sendingMailbox"].clone();
        // The world begins on 2 March, the second day.
        let expected = json!({"id": saved["id"], "address": "lin@example.com", "state": "ACTIVE", "version": 1,
            "allowance": 10, "waiting": 0, "rampUp": {"from": "2026-03-01", "start": 5, "perDay": 5}});
        assert_eq!(saved, expected);
        let one = json!({"sendingMailboxId": saved["id"]});
        let fields = "sendingMailbox { state }";
        let paused = change(&world, &ops, "sendingMailboxPause", fields, one.clone()).await;
        assert_eq!(paused["sendingMailbox"]["state"], "PAUSED");
        let again = change(&world, &ops, "sendingMailboxPause", fields, one.clone()).await;
        assert_eq!(again["userErrors"][0]["code"], "SENDING_MAILBOX_ALREADY");
        let resumed = change(&world, &ops, "sendingMailboxResume", fields, one).await;
        assert_eq!(resumed["sendingMailbox"]["state"], "ACTIVE");
        let query = "{ sendingMailboxes(pool: \"outreach\", first: 5) { nodes { address } } }";
        let found = data(&world, &ops, query, json!({})).await["sendingMailboxes"]["nodes"].clone();
        assert_eq!(found, json!([{"address": "lin@example.com"}]));
    }
}
