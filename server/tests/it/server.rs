//! A router over a world, and requests to it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header, request::Builder};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::net::SocketAddr;
use tandem_app::{AccessTokenIssue, IssuedToken, TaskCreate};
use tandem_domain::access::{Role, Side, User};
use tandem_domain::id::ContactId;
use tandem_server::config::Settings;
use tandem_server::http::{Http, router};
use tandem_server::shutdown::{self, Trigger};
use tandem_testkit::World;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// The HTTP surface over a world.
pub struct Server {
    pub world: World,
    pub http: Http,
    pub trigger: Trigger,
    router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `extensions.code` of the first GraphQL error.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Server {
    pub async fn sqlite() -> Self {
        Self::over(World::sqlite().await)
    }

    pub fn over(world: World) -> Self {
        Self::with(Settings::defaults().unwrap(), world)
    }

    pub fn with(settings: Settings, world: World) -> Self {
        Self::made(settings, world, |http| http)
    }

    /// Over what is made of the usual.
    pub fn made(settings: Settings, mut world: World, make: impl FnOnce(Http) -> Http) -> Self {
        let (trigger, shutdown) = shutdown::channel();
        let http = make(Http::new(&settings, world.app.clone(), shutdown).unwrap());
        world.runner = world.runner.with_metrics(http.job_metrics());
        let router = router(http.clone());
        Self { world, http, trigger, router }
    }

    pub async fn send(&self, request: Builder, body: impl Into<Body>) -> Answer {
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 10_000_000).await.unwrap();
        Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Serves on a free port, for as long as the test runs.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, self.router.clone()).into_future());
        address
    }

    /// Waits until so many listen to what changes: an operation of a socket begins beside the conversation.
    pub async fn until_subscribed(&self, listeners: usize) {
        self.until(|now| now >= listeners).await;
    }

    /// Waits until so many listen and no more: what runs on a socket ends beside the conversation, too.
    pub async fn until_listeners(&self, listeners: usize) {
        self.until(|now| now == listeners).await;
    }

    async fn until(&self, listen: impl Fn(usize) -> bool) {
        let waiting = async {
            while !listen(self.world.app.store.listeners()) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::socket::PATIENCE, waiting).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    /// A query by POST, with or without a token.
    pub async fn query(&self, token: Option<&str>, query: &str) -> Answer {
        let mut request = post();
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request, json!({ "query": query }).to_string()).await
    }

    /// The data of an answer without errors.
    pub async fn ask(&self, token: &str, query: &str, variables: Value) -> Value {
        let request = post().header(header::AUTHORIZATION, format!("Bearer {token}"));
        let answer = self.send(request, json!({ "query": query, "variables": variables }).to_string()).await.json();
        assert_eq!(answer["errors"], Value::Null, "{answer}");
        answer["data"].clone()
    }

    /// A task about a contact, due now.
    pub fn task(&self, contact: ContactId, title: &str) -> TaskCreate {
        TaskCreate {
            contact,
            lead: None,
            account: None,
            title: title.to_owned(),
            team: None,
            priority: None,
            due_at: self.world.now(),
            notes: None,
            channel: None,
        }
    }

    /// A user with one role and a token.
    pub async fn token(&self, name: &str, role: Role, side: Option<Side>) -> (User, IssuedToken) {
        let (user, _) = self.world.user(name, role, side).await;
        let issue = AccessTokenIssue::new(user.id, "test", role);
        let issued = self.world.app.issue_token(&self.world.system(), issue).await.unwrap();
        (user, issued)
    }
}

/// A POST to `/graphql` with the headers of a good client.
pub fn post() -> Builder {
    Request::post("/graphql")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/graphql-response+json")
}
