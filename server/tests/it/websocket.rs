use crate::server::Server;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tandem_domain::access::Role;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(address: SocketAddr) -> Self {
        let mut request = format!("ws://{address}/graphql/ws").into_client_request().unwrap();
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let stream = TcpStream::connect(address).await.unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; none once the server has closed.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    async fn begin(address: SocketAddr, secret: &str) -> Self {
        let mut socket = Self::open(address).await;
        let payload = json!({ "authorization": format!("Bearer {secret}") });
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await.unwrap()["type"], "connection_ack");
        socket
    }

    async fn ask(&mut self, query: &str) -> Value {
        self.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
        self.hear().await.unwrap()
    }
}

#[tokio::test]
async fn a_session_with_a_token_is_its_user() {
    let server = Server::sqlite().await;
    let (user, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    let answer = socket.ask("{ viewer { email } }").await;
    assert_eq!(answer["payload"]["data"]["viewer"]["email"], user.email, "{answer}");
    assert_eq!(socket.hear().await.unwrap()["type"], "complete");
}

#[tokio::test]
async fn a_session_without_a_good_token_is_not_opened() {
    let server = Server::sqlite().await;
    let address = server.listen().await;
    for payload in [json!({}), json!({ "authorization": "Bearer tdm_wrong" }), json!({ "authorization": 1 })] {
        let mut socket = Socket::open(address).await;
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        while let Some(message) = socket.hear().await {
            assert_ne!(message["type"], "connection_ack", "{payload}");
        }
    }
}

#[tokio::test]
async fn a_nested_list_over_a_socket_does_not_end_the_process() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let address = server.listen().await;
    let mut socket = Socket::begin(address, &issued.secret.unwrap()).await;
    let bomb = format!("{{ a(b: {}{}) }}", "[".repeat(1_600), "]".repeat(1_600));
    let answer = socket.ask(&bomb).await;
    assert!(answer.to_string().contains("QUERY_TOO_COMPLEX"), "{answer}");
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_shutdown_ends_open_sockets() {
    let server = Server::sqlite().await;
    let (_, issued) = server.token("ada", Role::Admin, None).await;
    let mut socket = Socket::begin(server.listen().await, &issued.secret.unwrap()).await;
    server.trigger.begin();
    assert!(socket.hear().await.is_none());
}
