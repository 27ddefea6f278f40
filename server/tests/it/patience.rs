//! How long a socket is waited for: one whose client says nothing, and one whose client does not read. Time is paused where it
//! matters, and moves on by itself where everybody waits.

use crate::server::Server;
use crate::socket::Socket;
use crate::trouble::Still;
use futures_util::future::poll_immediate;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::time::Duration;
use tandem_domain::access::Role;
use tandem_domain::work_item::WorkItem;
use tandem_testkit::World;
use tokio::time::{advance, pause, resume, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

const QUEUE: &str = "subscription { workQueueChanged { id } }";

async fn begun(world: World) -> (Server, Socket) {
    let server = Server::over(world);
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    (server, socket)
}

/// A session that listens to the queue, and whose client has said so much that is answered at length, and read none of it,
/// that the server takes nothing more. Time is paused.
async fn stuck(world: World) -> (Server, Socket) {
    let (server, mut socket) = begun(world).await;
    socket.subscribe("q", QUEUE, json!({})).await;
    server.until_subscribed(1).await;
    pause();
    let ping = json!({ "type": "ping", "payload": { "long": "x".repeat(200_000) } }).to_string();
    let mut unread = 0;
    while unread < 3 {
        match timeout(Duration::from_secs(1), socket.0.send(Message::text(ping.clone()))).await {
            Ok(sent) => {
                sent.unwrap();
                unread = 0;
            }
            Err(_elapsed) => unread += 1,
        }
    }
    (server, socket)
}

#[tokio::test]
async fn a_client_is_asked_every_fifteen_seconds_whether_it_is_there_and_stays_while_it_answers() {
    let (_server, mut socket) = begun(World::sqlite().await).await;
    pause();
    let still = Still::begin();
    for number in 0..9 {
        advance(Duration::from_secs(14)).await;
        assert!(poll_immediate(socket.0.next()).await.is_none(), "asked too early, after {number} pings");
        // A timer is exact to the millisecond.
        advance(Duration::from_millis(1_100)).await;
        let heard = socket.next().await;
        assert!(matches!(heard, Some(Message::Ping(_))), "{heard:?} after {number} pings");
        // The answer to it.
        socket.0.flush().await.unwrap();
    }
    drop(still);
    resume();
    socket.heard().await;
}

#[tokio::test]
async fn a_client_who_answers_no_ping_is_let_go_after_the_third() {
    let (server, mut socket) = begun(World::sqlite().await).await;
    pause();
    // Nobody polls the client, which therefore answers nothing.
    assert!(
        timeout(Duration::from_secs(40), server.http.sockets_closed()).await.is_err(),
        "it is asked more than once"
    );
    assert!(timeout(Duration::from_secs(22), server.http.sockets_closed()).await.is_ok(), "it is not asked for ever");
    resume();
    assert_eq!(socket.closed().await, 0, "there is nobody to tell");
}

#[tokio::test]
async fn a_client_who_does_not_read_is_let_go_and_finds_the_code_behind_what_was_on_its_way() {
    let (server, mut socket) = stuck(World::sqlite().await).await;
    assert_eq!(server.world.app.store.listeners(), 1);
    sleep(Duration::from_secs(8)).await;
    resume();
    server.until_listeners(0).await;
    assert_eq!(socket.closed().await, 1013);
}

#[tokio::test]
async fn a_client_who_reads_on_too_late_finds_no_code_and_nothing_is_kept_for_it() {
    let (server, mut socket) = stuck(World::sqlite().await).await;
    assert!(timeout(Duration::from_secs(18), server.http.sockets_closed()).await.is_ok());
    resume();
    assert_eq!(socket.closed().await, 0);
}

#[tokio::test]
async fn a_client_who_reads_late_is_told_that_it_missed_events_of_which_few_were_kept() {
    let Some(world) = World::postgres().await else { return };
    let (server, mut socket) = stuck(world).await;
    // All this happens within the time that the client has.
    let still = Still::begin();
    let world = &server.world;
    let contact = world.contact("ann@example.com").await.id;
    let mut quick = world.app.store.changes::<WorkItem>(None).await.unwrap();
    for number in 0..1_100 {
        let task = server.task(contact, &format!("Task {number}"));
        let item = world.app.run(&world.system(), task).await.unwrap();
        while quick.next().await.unwrap() != item.id.0 {}
    }
    resume();
    drop(still);
    let mut events = 0;
    loop {
        let heard = socket.hear().await.unwrap();
        match heard["type"].as_str().unwrap() {
            "pong" => {}
            "next" if heard["payload"]["errors"][0]["extensions"]["code"] == "TOO_SLOW" => break,
            "next" => events += 1,
            _ => unreachable!("{heard}"),
        }
    }
    assert!((1..=20).contains(&events), "{events}");
    assert_eq!(socket.hear().await.unwrap()["type"], "complete", "the subscription is over, and the socket is not");
}
