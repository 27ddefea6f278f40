//! A socket that speaks `graphql-transport-ws` in raw frames.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Nothing a test waits for takes this long, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    pub async fn open(address: SocketAddr) -> Self {
        let mut request = format!("ws://{address}/graphql/ws").into_client_request().unwrap();
        let protocol = HeaderValue::from_static("graphql-transport-ws");
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let stream = TcpStream::connect(address).await.unwrap();
        Self(client_async(request, stream).await.unwrap().0)
    }

    /// Says something that is not JSON, or not yet.
    pub async fn say_raw(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// The code that the server closes with, 0 where it only breaks off; whatever it says before is passed over.
    pub async fn closed(&mut self) -> u16 {
        while let Some(message) = self.next().await {
            if let Message::Close(Some(frame)) = message {
                return frame.code.into();
            }
        }
        0
    }

    pub async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next frame; none once the line is closed.
    pub async fn next(&mut self) -> Option<Message> {
        tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().and_then(Result::ok)
    }

    /// The next message; none once the server has closed.
    pub async fn hear(&mut self) -> Option<Value> {
        let message = async {
            loop {
                match self.0.next().await?.ok()? {
                    Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
                    Message::Ping(_) | Message::Pong(_) => {}
                    _ => return None,
                }
            }
        };
        // As a whole: a server that only beats says nothing.
        tokio::time::timeout(PATIENCE, message).await.unwrap()
    }

    /// Waits until the server has read everything that was said: it hears one message after the other.
    pub async fn heard(&mut self) {
        self.say(json!({ "type": "ping" })).await;
        assert_eq!(self.hear().await.unwrap(), json!({ "type": "pong" }));
    }

    pub async fn begin(address: SocketAddr, secret: &str) -> Self {
        let mut socket = Self::open(address).await;
        let payload = json!({ "authorization": format!("Bearer {secret}") });
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await.unwrap()["type"], "connection_ack");
        socket
    }

    /// Begins an operation.
    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.say(json!({ "type": "subscribe", "id": id, "payload": payload })).await;
    }

    pub async fn ask(&mut self, query: &str) -> Value {
        self.say(json!({ "type": "subscribe", "id": "1", "payload": { "query": query } })).await;
        self.hear().await.unwrap()
    }
}
