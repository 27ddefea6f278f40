//! One trace from a request, through the processes that work for it, to the e-mail it led to.

use crate::process::{self, Process, tandem};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_app::SequencePublish;
use tandem_connectors::sink::{Sink, SinkOptions};
use tandem_testkit::on_both_databases;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

const TRACES: [&str; 2] = ["4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"];
const CALLER: &str = "00f067aa0ba902b7";

const SEQUENCE: &str = "
key: hello
name: Hello
subject: contact
steps:
  - {id: hello, kind: send_email, template: {subject: 'Hello', text: 'Hello.'}}
  - {id: done, kind: end}
";

/// A span as the collector was told of it.
#[derive(Debug, Clone)]
struct Told {
    service: String,
    name: String,
    trace: String,
    id: String,
    parent: String,
}

/// A collector of OTLP over HTTP.
#[derive(Clone, Default)]
struct Collector {
    told: Arc<Mutex<Vec<Told>>>,
    news: Arc<Notify>,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn global(kind: &str, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{id}"))
}

async fn take(State(collector): State<Collector>, body: Bytes) {
    for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let attributes = resource.resource.into_iter().flat_map(|resource| resource.attributes);
        let service = attributes.filter(|one| one.key == "service.name").find_map(|one| match one.value?.value? {
            Value::StringValue(name) => Some(name),
            _ => None,
        });
        let service = service.unwrap();
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.told.lock().unwrap().extend(spans.map(|span| Told {
            service: service.clone(),
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
        }));
    }
    collector.news.notify_one();
}

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/traces", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    /// The spans of the trace from the e-mail up to the request, once all of them are here.
    async fn chain(&self, trace: &str) -> Vec<Told> {
        let search = async {
            loop {
                let news = self.news.notified();
                let told: Vec<Told> =
                    self.told.lock().unwrap().iter().filter(|span| span.trace == trace).cloned().collect();
                let mut chain: Vec<Told> = told.iter().filter(|span| span.name == "send e-mail").cloned().collect();
                while let Some(above) = chain.last().and_then(|last| told.iter().find(|span| span.id == last.parent)) {
                    chain.push(above.clone());
                }
                if chain.last().is_some_and(|last| last.parent == CALLER) {
                    return chain;
                }
                news.await;
            }
        };
        match timeout(Duration::from_secs(60), search).await {
            Ok(chain) => chain,
            Err(_) => unreachable!("the chain is not whole: {:#?}", self.told.lock().unwrap()),
        }
    }
}

on_both_databases! {
    async fn a_trace_leads_from_a_request_to_the_e_mail_it_led_to(world: World) {
        let collector = Collector::default();
        let endpoint = collector.start().await;
        let sink = Sink::start(SinkOptions::default()).await.unwrap();
        let port = sink.address().port().to_string();
        let traced = |arguments: &[&str], name: &str| {
            let mut command = process::command(&world.url, arguments);
            command
                .env("TANDEM__TRACES__ENDPOINT", &endpoint)
                .env("TANDEM__TRACES__SERVICE_NAME", name)
                // How often spans are sent, in milliseconds: what a test waits for is their coming, not this time.
                .env("OTEL_BSP_SCHEDULE_DELAY", "50")
                .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
                .env("TANDEM__SMTP__HOST", "127.0.0.1")
                .env("TANDEM__SMTP__PORT", &port)
                .env("TANDEM__SMTP__TLS", "none")
                .env("TANDEM__SMTP__FROM", "tandem@example.com");
            command
        };
        let publish = SequencePublish { source: SEQUENCE.to_owned() };
        let sequence = world.app.run(&world.system(), publish).await.unwrap().0.id;
        let sequence = global("Sequence", sequence.into());
        let made = tandem(&world.url, &["token", "create", "--user", "ops@example.com", "--role", "ADMIN"]).await;
        let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();

        // SQLite has one process. On PostgreSQL the requests and the work are in two, and the second one starts when both
        // requests wait for it: it takes their steps in one transaction.
        let several = world.url.starts_with("postgres");
        let serve: &[&str] = if several { &["serve", "--no-workers"] } else { &["serve"] };
        let mut server = Process::start(traced(serve, "api")).await;
        let query = "mutation($input: EnrollmentCreateInput!) { enrollmentCreate(input: $input) { enrollment { id } } }";
        for trace in TRACES {
            let contact = global("Contact", world.contact(&format!("{trace}@example.com")).await.id.into());
            let input = json!({ "sequenceId": sequence, "contactId": contact });
            let body = json!({ "query": query, "variables": { "input": input } }).to_string();
            let parent = format!("traceparent: 00-{trace}-{CALLER}-01\r\n");
            let answer = server.post_with("/graphql", &token, &parent, &body).await;
            assert!(answer.contains("\"enrollment\":{\"id\""), "{answer}");
        }
        let mut worker = several.then(|| traced(&["worker"], "worker").spawn().unwrap());
        sink.arrived(2).await;

        let works = if several { "worker" } else { "api" };
        for trace in TRACES {
            let chain = collector.chain(trace).await;
            let names: Vec<(&str, &str)> =
                chain.iter().map(|span| (span.service.as_str(), span.name.as_str())).collect();
            let expected =
                [(works, "send e-mail"), (works, "deliver_email"), (works, "advance_enrollment"), ("api", "request")];
            assert_eq!(names, expected);
        }
        assert_eq!(server.terminate().await.code(), Some(0));
        if let Some(worker) = &mut worker {
            assert_eq!(process::terminate(worker).await.code(), Some(0));
        }
    }
}

#[tokio::test]
async fn a_collector_that_refuses_is_named_in_the_log_and_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let refuse = Router::new().fallback(async || axum::http::StatusCode::UNAUTHORIZED);
    tokio::spawn(async move { axum::serve(listener, refuse).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("tandem.db").display());
    let mut command = process::command(&database, &["serve", "--no-workers"]);
    command.env("TANDEM__TRACES__ENDPOINT", &endpoint).env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let (mut child, mut log) = process::logged_by(command);
    let address = process::listening(&mut child).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(process::exchange(address, request).await.starts_with("HTTP/1.1 200"));
    let line = process::log_line(&mut log, |line| line["level"] == "ERROR" || line["level"] == "WARN").await;
    assert!(line["target"].as_str().unwrap().starts_with("opentelemetry"), "{line}");
    assert!(line["message"].as_str().unwrap().contains("failed"), "{line}");
    assert_eq!(process::terminate(&mut child).await.code(), Some(0));
}
