//! Two nodes on one PostgreSQL.

use crate::server::Server;
use crate::socket::Socket;
use crate::trouble::Still;
use serde_json::json;
use std::time::Duration;
use tandem_app::App;
use tandem_domain::access::Role;
use tandem_store::{Settings, Store};
use tandem_testkit::World;
use tokio::time::{Instant, pause};

#[tokio::test]
async fn what_one_node_changes_comes_to_a_socket_of_the_other_by_notify_and_not_by_the_look_each_second() {
    let Some(world) = World::postgres().await else { return };
    let contact = world.contact("ann@example.com").await.id;
    let server = Server::over(world);
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    socket.subscribe("q", "subscription { workQueueChanged { title } }", json!({})).await;
    server.until_subscribed(1).await;
    let store = Store::connect(&Settings::new(server.world.url.clone())).await.unwrap();
    let other = App::new(store, server.world.app.env.clone());
    // While time stands, nobody looks.
    pause();
    let still = Still::begin();
    let began = Instant::now();
    let change = async {
        // Until it is heard: the first may come before the node listens.
        loop {
            other.run(&server.world.system(), server.task(contact, "Call back")).await.unwrap();
        }
    };
    let heard = tokio::select! {
        heard = socket.hear() => heard.unwrap(),
        () = change => unreachable!(),
    };
    assert_eq!(heard["payload"]["data"]["workQueueChanged"]["title"], "Call back", "{heard}");
    assert!(began.elapsed() < Duration::from_secs(1), "time stood");
    drop(still);
}
