//! Channels and calls through GraphQL: secrets go in and never come out.

use crate::client::{ask, change, global};
use serde_json::{Value, json};
use tandem_domain::access::Role;
use tandem_testkit::on_both_databases;

const SOURCE: &str = "
key: tell
name: Tell
subject: contact
steps:
  - {id: ask, kind: call_webhook, channel: crm, body: \"{'email': contact.email}\", as: crm, on: {failure: tell}}
  - {id: tell, kind: notify, channel: room, text: '{{ contact.email }} waits'}
  - {id: done, kind: end}
";

on_both_databases! {
    async fn channels_are_saved_and_what_steps_make_of_them_is_seen(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let fields = "channel { id key provider state address signed headerNames revision } secret";
        let crm = json!({"key": "crm", "name": "CRM", "provider": "WEBHOOK", "url": "https://crm.example.com/in?key=s3cret",
            "headers": [{"name": "authorization", "value": "Bearer s3cret"}], "idempotencyKey": "c-1"});
        let saved = change(&world, &ops, "outboundChannelSave", fields, crm.clone()).await;
        assert_eq!(saved["userErrors"], json!([]));
        assert!(saved["secret"].as_str().unwrap().starts_with("whsec_"));
        let expected = json!({"id": saved["channel"]["id"], "key": "crm", "provider": "WEBHOOK", "state": "ACTIVE",
            "address": "https://crm.example.com/…", "signed": true, "headerNames": ["authorization"], "revision": 1});
        assert_eq!(saved["channel"], expected);
        assert_eq!(change(&world, &ops, "outboundChannelSave", fields, crm).await, saved, "the same answer to the same key");
        let renamed = json!({"key": "crm", "name": "The CRM", "provider": "WEBHOOK"});
        let renamed = change(&world, &ops, "outboundChannelSave", fields, renamed).await;
        assert_eq!((&renamed["secret"], &renamed["channel"]["revision"]), (&Value::Null, &json!(2)));
        let room = json!({"key": "room", "name": "Room", "provider": "DINGTALK", "url": "https://chat.example.com/?t=s3cret",
            "secret": "SEC0123456789abcdef"});
        let room = change(&world, &ops, "outboundChannelSave", fields, room).await;
        assert_eq!((&room["secret"], &room["channel"]["signed"]), (&Value::Null, &json!(true)));
        let bad = json!({"key": "x", "name": "X", "provider": "SLACK", "url": "https://a.example.com", "secret": "0123456789abcdef"});
        let bad = change(&world, &ops, "outboundChannelSave", fields, bad).await;
        assert_eq!((&bad["userErrors"][0]["code"], &bad["userErrors"][0]["field"]), (&json!("CHANNEL_BAD_SECRET"), &json!(["secret"])));

        let contact = global(world.contact("ann@acme.example").await.id);
        let made = change(&world, &ops, "sequencePublish", "sequence { id } version { steps { id next } }", json!({"source": SOURCE})).await;
        assert_eq!(made["version"]["steps"][0]["next"], json!(["tell"]), "each way once");
        let input = json!({"sequenceId": made["sequence"]["id"], "contactId": contact});
        let enrolled = change(&world, &ops, "enrollmentCreate", "enrollment { id }", input).await;
        world.hooks.say("https://crm.example.com", 200, "{\"score\": 3}");
        world.run_due_jobs().await;
        let query = "query($id: ID!) { node(id: $id) { ... on Enrollment { state vars calls(first: 5) { nodes {
            step state channelKey body attempts messageId failure { code } tries { status } enrollment { id } contact { id }
            channel { key } } } } } }";
        let (_, sdr) = world.user("ann", Role::Sdr, None).await;
        let found = ask(&world, &sdr, query, json!({"id": enrolled["enrollment"]["id"]})).await;
        let run = &found["data"]["node"];
        assert_eq!((&run["state"], &run["vars"]), (&json!("FINISHED"), &json!({"crm": {"score": 3}})), "{found}");
        let [asked, told] = <[Value; 2]>::try_from(run["calls"]["nodes"].as_array().unwrap().clone()).unwrap();
        assert_eq!((&asked["step"], &asked["state"], &asked["attempts"]), (&json!("ask"), &json!("SUCCEEDED"), &json!(1)));
        assert_eq!((&asked["contact"]["id"], &asked["channel"]), (&json!(contact), &Value::Null), "an SDR sees no channel");
        assert_eq!((&told["channelKey"], &told["body"]), (&json!("room"), &json!("ann@acme.example waits")));
        assert!(!found.to_string().contains("s3cret"));
    }

    async fn a_channel_is_tried_paused_and_given_a_new_secret_by_those_who_may(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let (_, sdr) = world.user("ann", Role::Sdr, None).await;
        let crm = json!({"key": "crm", "name": "CRM", "provider": "WEBHOOK", "url": "https://crm.example.com/in"});
        let saved = change(&world, &ops, "outboundChannelSave", "channel { id } secret", crm).await;
        let input = json!({"channelId": saved["channel"]["id"]});
        let tested = change(&world, &ops, "outboundChannelTest", "call { id state enrollment { id } }", input.clone()).await;
        assert_eq!(tested["call"]["state"], "PLANNED");
        world.run_due_jobs().await;
        let query = "{ outboundChannel(key: \"crm\") { state pending previousSecretUntil calls { nodes { id state } } }
            outboundChannels { nodes { key } } outboundCalls(states: [SUCCEEDED]) { nodes { id } } }";
        let found = ask(&world, &ops, query, json!({})).await;
        let expected = json!({
            "outboundChannel": {"state": "ACTIVE", "pending": 0, "previousSecretUntil": null,
                "calls": {"nodes": [{"id": tested["call"]["id"], "state": "SUCCEEDED"}]}},
            "outboundChannels": {"nodes": [{"key": "crm"}]},
            "outboundCalls": {"nodes": [{"id": tested["call"]["id"]}]},
        });
        assert_eq!(found["data"], expected, "{found}");
        let rotated = change(&world, &ops, "outboundChannelRotateSecret", "secret channel { previousSecretUntil }", input.clone()).await;
        assert!(rotated["secret"].is_string() && rotated["secret"] != saved["secret"]);
        assert!(rotated["channel"]["previousSecretUntil"].is_string());
        let paused = change(&world, &ops, "outboundChannelPause", "channel { state }", input.clone()).await;
        assert_eq!(paused["channel"]["state"], "PAUSED");
        let again = change(&world, &ops, "outboundChannelPause", "channel { state }", input.clone()).await;
        assert_eq!(again["userErrors"][0]["code"], "CHANNEL_ALREADY_SO");
        let resumed = change(&world, &ops, "outboundChannelResume", "channel { state }", input.clone()).await;
        assert_eq!(resumed["channel"]["state"], "ACTIVE");
        let refused = ask(&world, &sdr, "{ outboundChannels { nodes { key } } }", json!({})).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let node = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(ask(&world, &sdr, node, json!({"id": saved["channel"]["id"]})).await["data"]["node"], Value::Null);
        assert_eq!(ask(&world, &ops, node, json!({"id": saved["channel"]["id"]})).await["data"]["node"]["id"], saved["channel"]["id"]);
    }
}
