//! The schema's rules, seen through the family of users and tokens.

use crate::client::{ask, change, global};
use serde_json::{Value, json};
use tandem_app::{Actor, Call};
use tandem_domain::access::{Role, Side};
use tandem_testkit::on_both_databases;

const CREATE: &str = "mutation($input: UserCreateInput!) { userCreate(input: $input) {
    user { id email roles side } userErrors { field code message } } }";

on_both_databases! {
    async fn what_the_caller_can_mend_is_a_user_error_and_what_not_is_an_error(world: World) {
        let (_, admin) = world.user("root", Role::Admin, None).await;
        let input = json!({"input": {"email": "new@example.com", "name": "New", "roles": ["SALES"], "side": "SALES"}});
        let done = ask(&world, &admin, CREATE, input.clone()).await;
        assert_eq!(done["data"]["userCreate"]["user"]["roles"], json!(["SALES"]), "{done}");
        let again = ask(&world, &admin, CREATE, input.clone()).await;
        assert_eq!(again["data"]["userCreate"]["user"], Value::Null);
        assert_eq!(again["data"]["userCreate"]["userErrors"][0]["code"], "DUPLICATE");
        let (_, rep) = world.user("rep", Role::Sales, Some(Side::Sales)).await;
        let forbidden = ask(&world, &rep, CREATE, input).await;
        assert_eq!(forbidden["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }

    async fn roles_of_the_other_side_are_refused_by_the_field_that_names_them(world: World) {
        let (_, admin) = world.user("root", Role::Admin, None).await;
        let (rep, _) = world.user("rep", Role::Sales, Some(Side::Sales)).await;
        let input = json!({"userId": global(rep.id), "roles": ["MARKETING"]});
        let refused = change(&world, &admin, "userChange", "user { id }", input).await;
        assert_eq!(refused["userErrors"][0]["code"], "SIDE_MISMATCH", "{refused}");
        assert_eq!(refused["userErrors"][0]["field"], json!(["roles"]));
    }

    async fn a_node_is_found_by_its_id_and_a_foreign_id_is_null(world: World) {
        let (_, admin) = world.user("root", Role::Admin, None).await;
        let me = ask(&world, &admin, "{ viewer { id } }", json!({})).await;
        let id = me["data"]["viewer"]["id"].clone();
        let query = "query($id: ID!) { node(id: $id) { __typename id } nodes(ids: [\"x\", $id]) { id } }";
        let found = ask(&world, &admin, query, json!({"id": id})).await;
        assert_eq!(found["data"], json!({"node": {"__typename": "User", "id": id}, "nodes": [null, {"id": id}]}));
    }

    async fn the_chain_is_verified_and_goes_on_where_it_ended(world: World) {
        let (_, admin) = world.user("root", Role::Admin, None).await;
        let query = "query($after: String) { ledgerVerification(after: $after) { entries broken complete end } }";
        let ask = async |after: Value| ask(&world, &admin, query, json!({"after": after})).await;
        let whole = ask(Value::Null).await["data"]["ledgerVerification"].clone();
        assert_eq!((&whole["entries"], &whole["broken"], &whole["complete"]), (&json!(1), &Value::Null, &json!(true)));
        world.user("rep", Role::Sdr, None).await;
        let rest = ask(whole["end"].clone()).await["data"]["ledgerVerification"].clone();
        assert_eq!((&rest["entries"], &rest["broken"], &rest["complete"]), (&json!(2), &Value::Null, &json!(true)));
        let other = ask(json!("1:00")).await["data"]["ledgerVerification"].clone();
        assert!(other["broken"].is_string(), "{other}");
        let refused = ask(json!("somewhere")).await;
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "PAGE_INVALID", "{refused}");
    }

    async fn pages_follow_each_other_without_gap_in_both_directions(world: World) {
        for n in 0..7 {
            world.user(&format!("u{n}"), Role::Sdr, None).await;
        }
        let call = Call::new(Actor::system(), "r");
        let forward = "query($after: String) { users(first: 3, after: $after) { nodes { name } pageInfo { endCursor hasNextPage } } }";
        let mut names = Vec::new();
        let mut after = Value::Null;
        loop {
            let page = ask(&world, &call, forward, json!({"after": after})).await["data"]["users"].clone();
            names.extend(page["nodes"].as_array().unwrap().iter().map(|node| node["name"].clone()));
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == json!(false) { break }
        }
        assert_eq!(names, (0..7).map(|n| json!(format!("u{n}"))).collect::<Vec<_>>());
        let last = ask(&world, &call, "{ users(last: 2) { nodes { name } pageInfo { hasPreviousPage } } }", json!({})).await;
        assert_eq!(last["data"]["users"], json!({"nodes": [{"name": "u5"}, {"name": "u6"}], "pageInfo": {"hasPreviousPage": true}}));
        let wrong = ask(&world, &call, "{ users(first: 101) { nodes { name } } }", json!({})).await;
        assert_eq!(wrong["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
    }
}
