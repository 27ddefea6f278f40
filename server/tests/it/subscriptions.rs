//! What people wait for, over a socket: each event is the thing as it is then, and comes to whom it concerns alone.

use crate::server::Server;
use crate::socket::Socket;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tandem_api::global_id;
use tandem_app::target_list::Change;
use tandem_app::{
    AccessTokenRevoke, AccountCreate, Actor, Call, ChangeRequestPropose, EnrollmentCreate, EnrollmentPause,
    SequencePublish, TargetListCreate, TaskComplete, TaskCreate, TaxonomyLibraryInstall, WorkItemClaim,
    WorkItemRelease, WorkItemStart,
};
use tandem_domain::access::{Role, Side, User};
use tandem_domain::account::AccountPatch;
use tandem_domain::sequence::enrollment::PauseReason;
use tandem_domain::target_list::{ChangeKind, ChangeReason, Evidence};
use tandem_domain::work_item::WorkItem;
use tandem_testkit::{World, on_both_databases};

struct Stage {
    server: Server,
    address: SocketAddr,
}

impl Stage {
    async fn over(world: World) -> Self {
        let server = Server::over(world);
        let address = server.listen().await;
        Self { server, address }
    }

    /// A user with a socket, and a call of the user.
    async fn user(&self, name: &str, role: Role, side: Option<Side>) -> (User, Call, Socket) {
        let (user, issued) = self.server.token(name, role, side).await;
        let call = Call::new(Actor::user(user.id, role, side), "test");
        let socket = Socket::begin(self.address, &issued.secret.unwrap()).await;
        (user, call, socket)
    }

    async fn task(&self, title: &str) -> WorkItem {
        let world = &self.server.world;
        let contact = world.contact(&format!("{}@example.com", title.to_lowercase())).await;
        let task = TaskCreate {
            contact: contact.id,
            lead: None,
            account: None,
            title: title.to_owned(),
            team: None,
            priority: None,
            due_at: world.now(),
            notes: None,
            channel: None,
        };
        world.app.run(&world.system(), task).await.unwrap()
    }
}

/// The next event of an operation.
async fn event(socket: &mut Socket, id: &str, field: &str) -> Value {
    let heard = socket.hear().await.unwrap();
    assert_eq!((&heard["type"], &heard["id"]), (&json!("next"), &json!(id)), "{heard}");
    assert!(heard["payload"].get("errors").is_none(), "{heard}");
    heard["payload"]["data"][field].clone()
}

/// Begins an operation and waits until it listens: the server takes messages in turn, but begins operations beside each other.
async fn listens(stage: &Stage, socket: &mut Socket, id: &str, query: &str, variables: Value) {
    socket.subscribe(id, query, variables).await;
    socket.heard().await;
    stage.server.until_subscribed(1).await;
}

on_both_databases! {
    async fn the_queue_is_seen_as_it_moves(world: World) {
        let stage = Stage::over(world).await;
        let (sina, sdr, mut socket) = stage.user("sina", Role::Sdr, Some(Side::Marketing)).await;
        let query = "subscription { workQueueChanged(kind: TASK) { title state claim { holder { email } } } }";
        listens(&stage, &mut socket, "q", query, json!({})).await;
        let item = stage.task("Call").await;
        let seen = event(&mut socket, "q", "workQueueChanged").await;
        assert_eq!(seen, json!({ "title": "Call", "state": "QUEUED", "claim": null }));
        stage.server.world.app.run(&sdr, WorkItemClaim { item: item.id }).await.unwrap();
        let seen = event(&mut socket, "q", "workQueueChanged").await;
        assert_eq!(seen, json!({ "title": "Call", "state": "CLAIMED", "claim": { "holder": { "email": sina.email } } }));
    }

    async fn my_work_is_mine_and_what_i_lose_is_told_once(world: World) {
        let stage = Stage::over(world).await;
        let (_, sina, mut socket) = stage.user("sina", Role::Sdr, None).await;
        let (_, sven, _) = stage.user("sven", Role::Sdr, None).await;
        listens(&stage, &mut socket, "m", "subscription { myWorkChanged { title state } }", json!({})).await;
        let app = &stage.server.world.app;
        let (mine, his) = (stage.task("Mine").await, stage.task("His").await);
        app.run(&sven, WorkItemClaim { item: his.id }).await.unwrap();
        let (claimed, _) = app.run(&sina, WorkItemClaim { item: mine.id }).await.unwrap();
        assert_eq!(event(&mut socket, "m", "myWorkChanged").await, json!({ "title": "Mine", "state": "CLAIMED" }));
        app.run(&sina, WorkItemRelease { item: mine.id, token: claimed.fence }).await.unwrap();
        assert_eq!(event(&mut socket, "m", "myWorkChanged").await, json!({ "title": "Mine", "state": "QUEUED" }));
        // Somebody else has it now: that is nothing to Sina any more. What she claims next is.
        app.run(&sven, WorkItemClaim { item: mine.id }).await.unwrap();
        let next = stage.task("Next").await;
        let (claimed, _) = app.run(&sina, WorkItemClaim { item: next.id }).await.unwrap();
        assert_eq!(event(&mut socket, "m", "myWorkChanged").await, json!({ "title": "Next", "state": "CLAIMED" }));
        app.run(&sina, WorkItemStart { item: next.id, token: claimed.fence }).await.unwrap();
        assert_eq!(event(&mut socket, "m", "myWorkChanged").await["state"], "IN_PROGRESS");
        app.run(&sina, TaskComplete { item: next.id, token: claimed.fence, outcome: None, note: None }).await.unwrap();
        assert_eq!(event(&mut socket, "m", "myWorkChanged").await["title"], "Next");
    }

    async fn an_enrolment_is_shown_as_it_is_and_then_as_it_becomes(world: World) {
        let stage = Stage::over(world).await;
        let (_, ops, mut socket) = stage.user("otto", Role::SalesOps, None).await;
        let world = &stage.server.world;
        let source = include_str!("../../../workflows/library/sequences/welcome.yaml").to_owned();
        let (sequence, _) = world.app.run(&ops, SequencePublish { source }).await.unwrap();
        let contact = world.contact("ann@example.com").await.id;
        let create = EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead: None, vars: serde_json::Map::new() };
        let enrollment = world.app.run(&ops, create).await.unwrap().0;
        let query = "subscription($id: ID!) { enrollmentChanged(id: $id) { state contact { email } } }";
        socket.subscribe("e", query, json!({ "id": global_id(enrollment.id).0 })).await;
        let first = event(&mut socket, "e", "enrollmentChanged").await;
        assert_eq!(first["contact"]["email"], "ann@example.com");
        world.app.run(&ops, EnrollmentPause { enrollment: enrollment.id, reason: PauseReason::Manual, until: None }).await.unwrap();
        let then = event(&mut socket, "e", "enrollmentChanged").await;
        assert!(first["state"] != then["state"] && then["state"] == "PAUSED", "{first} {then}");
        socket.subscribe("x", query, json!({ "id": global_id(contact).0 })).await;
        let refused = socket.hear().await.unwrap();
        assert_eq!(refused["id"], "x");
        assert!(refused.to_string().contains("ID_INVALID"), "{refused}");
    }

    async fn a_lists_requests_are_seen_and_those_of_others_are_not(world: World) {
        let stage = Stage::over(world).await;
        let (_, marketer, mut socket) = stage.user("mira", Role::Marketing, Some(Side::Marketing)).await;
        let app = &stage.server.world.app;
        app.run(&stage.server.world.system(), TaxonomyLibraryInstall).await.unwrap();
        let mut lists = Vec::new();
        for key in ["one", "two"] {
            let create = TargetListCreate {
                key: key.to_owned(), name: key.to_owned(), description: String::new(), request_days: None,
                suspension_hours: None,
            };
            lists.push(app.run(&marketer, create).await.unwrap().id);
        }
        let patch = AccountPatch { name: Some("Acme".to_owned()), ..AccountPatch::default() };
        let account = app.run(&marketer, AccountCreate { account: patch }).await.unwrap().record.id;
        let query = "subscription($id: ID!) { changeRequestChanged(listId: $id) { state list { key } } }";
        listens(&stage, &mut socket, "c", query, json!({ "id": global_id(lists[1]).0 })).await;
        for list in lists {
            let evidence = vec![Evidence { note: "Fits.".to_owned(), url: None }];
            let tier = Some("T1".to_owned());
            let reasons = vec![ChangeReason::IcpFit];
            let changes = vec![Change { account, kind: ChangeKind::Add, tier, reasons, evidence }];
            app.run(&marketer, ChangeRequestPropose { list, changes }).await.unwrap();
        }
        let seen = event(&mut socket, "c", "changeRequestChanged").await;
        assert_eq!(seen, json!({ "state": "PARTIALLY_APPROVED", "list": { "key": "two" } }));
    }

    async fn a_revoked_token_hears_nothing_more(world: World) {
        let stage = Stage::over(world).await;
        let (_, issued) = stage.server.token("sina", Role::Sdr, None).await;
        let mut socket = Socket::begin(stage.address, issued.secret.as_deref().unwrap()).await;
        listens(&stage, &mut socket, "q", "subscription { workQueueChanged { title } }", json!({})).await;
        let world = &stage.server.world;
        world.app.run(&world.system(), AccessTokenRevoke { token: issued.token.id }).await.unwrap();
        stage.task("Secret").await;
        let heard = socket.hear().await.unwrap();
        assert_eq!((&heard["type"], &heard["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("UNAUTHENTICATED")));
        assert!(!heard.to_string().contains("Secret"));
    }

    async fn a_subscription_goes_through_the_same_door_as_everything_else(world: World) {
        let stage = Stage::over(world).await;
        let (_, _, mut socket) = stage.user("sina", Role::Sdr, None).await;
        let query = "subscription($id: ID!) { handoffChanged(id: $id) { id } }";
        for (id, variables, code) in [
            ("1", json!({}), "BAD_USER_INPUT"),
            ("2", json!({ "id": null }), "BAD_USER_INPUT"),
            ("3", json!({ "id": "a\u{0}" }), "BAD_USER_INPUT"),
        ] {
            socket.subscribe(id, query, variables).await;
            let refused = socket.hear().await.unwrap();
            let given = &refused["payload"][0]["extensions"]["code"];
            assert_eq!((&refused["type"], given), (&json!("error"), &json!(code)), "{refused}");
        }
        let several = [
            "subscription { a: offerMade { id } b: myWorkChanged { id } }",
            "subscription { ...Two } fragment Two on Subscription { offerMade { id } ... on Subscription { myWorkChanged { id } } }",
            "subscription { __typename }",
        ];
        for (number, query) in several.into_iter().enumerate() {
            socket.subscribe(&format!("s{number}"), query, json!({})).await;
            let refused = socket.hear().await.unwrap();
            assert_eq!(refused["payload"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED", "{refused}");
        }
    }
}
