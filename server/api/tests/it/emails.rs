//! The family of e-mails and suppressions, through the schema.

use crate::client::ask;
use serde_json::json;
use tandem_app::EmailPlan;
use tandem_app::email::port::Delivery;
use tandem_domain::access::Role;
use tandem_testkit::on_both_databases;

const ADD: &str = "mutation($input: SuppressionAddInput!) { suppressionAdd(input: $input) {
    suppression { id kind value reason liftedAt } userErrors { field code } } }";
const LIFT: &str = "mutation($input: SuppressionLiftInput!) { suppressionLift(input: $input) {
    suppression { id liftedAt } userErrors { field code } } }";
const RESOLVE: &str = "mutation($input: EmailResolveInput!) { emailResolve(input: $input) {
    email { id state } userErrors { field code } } }";

on_both_databases! {
    async fn a_suppression_is_added_found_and_lifted(world: World) {
        let (_, rep) = world.user("rep", Role::Sdr, None).await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let add = json!({"input": {"kind": "DOMAIN", "value": " Example.ORG ", "reason": "LEGAL", "source": "letter"}});
        let added = ask(&world, &rep, ADD, add.clone()).await["data"]["suppressionAdd"]["suppression"].clone();
        assert_eq!(added["value"], "example.org");
        let again = ask(&world, &rep, ADD, add).await;
        assert_eq!(again["data"]["suppressionAdd"]["userErrors"], json!([{"field": ["value"], "code": "SUPPRESSION_EXISTS"}]));
        let bad = json!({"input": {"kind": "EMAIL", "value": "nobody", "reason": "MANUAL", "source": ""}});
        let bad = ask(&world, &rep, ADD, bad).await;
        assert_eq!(bad["data"]["suppressionAdd"]["userErrors"][0]["code"], "SUPPRESSION_NOT_AN_ADDRESS");

        let of = "query($a: EmailAddress!) { suppressionsOf(address: $a) { id } }";
        let found = ask(&world, &rep, of, json!({"a": "ann@mail.example.org"})).await;
        assert_eq!(found["data"]["suppressionsOf"], json!([{"id": added["id"]}]));

        let lift = json!({"input": {"suppressionId": added["id"], "because": "the lawyer agrees"}});
        let forbidden = ask(&world, &rep, LIFT, lift.clone()).await;
        assert_eq!(forbidden["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let lifted = ask(&world, &ops, LIFT, lift).await;
        assert!(lifted["data"]["suppressionLift"]["suppression"]["liftedAt"].is_string(), "{lifted}");
        let live = ask(&world, &rep, "{ suppressions(live: true) { nodes { id } } }", json!({})).await;
        assert_eq!(live["data"]["suppressions"]["nodes"], json!([]));
        let node = ask(&world, &rep, "query($id: ID!) { node(id: $id) { __typename id } }", json!({"id": added["id"]})).await;
        assert_eq!(node["data"]["node"]["__typename"], "Suppression");
    }

    async fn an_email_of_unknown_fate_is_found_and_resolved(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        world.mailer.answer([Delivery::Unknown { error: "reset".into() }]);
        for to in ["ann@example.org", "bob@example.org"] {
            let plan = EmailPlan {
                purpose: "test".into(),
                contact: world.contact(to).await.id,
                lead: None,
                subject: "Good day".into(),
                text: "Hello.".into(),
                html: None,
            };
            world.app.run(&world.system(), plan).await.unwrap();
        }
        world.run_due_jobs().await;
        let list = "{ emails(filter: {states: [UNKNOWN]}) { nodes { id to { address } attempts error leadId } } }";
        let found = ask(&world, &ops, list, json!({})).await["data"]["emails"]["nodes"].clone();
        assert_eq!(found.as_array().unwrap().len(), 1);
        assert_eq!((&found[0]["to"]["address"], &found[0]["error"]), (&json!("ann@example.org"), &json!("reset")));
        let resolve = json!({"input": {"emailId": found[0]["id"], "resolution": "SENT"}});
        let done = ask(&world, &ops, RESOLVE, resolve.clone()).await;
        assert_eq!(done["data"]["emailResolve"]["email"]["state"], "SENT", "{done}");
        let again = ask(&world, &ops, RESOLVE, resolve).await;
        assert_eq!(again["data"]["emailResolve"]["userErrors"][0]["code"], "EMAIL_NOT_UNKNOWN");
        let foreign = json!({"input": {"emailId": "x", "resolution": "SENT"}});
        let foreign = ask(&world, &ops, RESOLVE, foreign).await;
        assert_eq!(foreign["data"]["emailResolve"]["userErrors"], json!([{"field": ["emailId"], "code": "ID_INVALID"}]));
    }
}
