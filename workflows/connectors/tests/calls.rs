//! The calls of steps that reach out, over real sockets: each provider's receiver answers as it does, and what the answer means is
//! told by the same rules that production goes by.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tandem_app::outbound::{Asked, WebhookSender};
use tandem_connectors::webhook::{HttpSender, Rules};
use tandem_domain::outbound::call::{self, Body, MAX_ANSWER, OutboundCall, Outgoing, Verdict};
use tandem_domain::outbound::channel::{self, Draft, OutboundChannel, Provider};
use tandem_domain::outbound::secret;
use tandem_domain::sequence::calling::{Keep, Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

/// A receiver that answers every request with the same bytes, drop by drop where it is slow, and keeps what was asked.
struct Receiver {
    url: String,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a request has come whole: its head, and as much as its length says.
fn is_whole(heard: &str) -> bool {
    let Some((head, body)) = heard.split_once("\r\n\r\n") else { return false };
    let length =
        head.to_lowercase().split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

async fn receiver(answer: Vec<u8>, drop_by_drop: bool) -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, kept) = (Arc::clone(&connections), Arc::clone(&requests));
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let (answer, kept) = (answer.clone(), Arc::clone(&kept));
            tokio::spawn(async move {
                let (mut heard, mut buffer) = (Vec::new(), [0; 4_096]);
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    heard.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&heard).into_owned();
                    if !is_whole(&text) {
                        continue;
                    }
                    kept.lock().unwrap().push(text);
                    heard.clear();
                    if drop_by_drop {
                        for byte in &answer {
                            if stream.write_all(&[*byte]).await.is_err() {
                                return;
                            }
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    } else if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Receiver { url, connections, requests, task }
}

fn http(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn sender(allow: &[&str]) -> HttpSender {
    let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
    HttpSender::new(Rules { allow, allow_http: true, timeout: Duration::from_secs(15) }).unwrap()
}

fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn channel(provider: Provider, url: &str) -> OutboundChannel {
    let secret_text =
        matches!(provider, Provider::Dingtalk | Provider::Feishu).then(|| "SEC0123456789abcdef".to_owned());
    let draft = Draft {
        key: "there".to_owned(),
        name: "There".to_owned(),
        provider,
        url: Some(url.to_owned()),
        secret: secret_text,
        headers: None,
        end_previous: false,
    };
    channel::save(None, Uuid::nil().into(), &draft, secret(&[1; 32]), moment()).unwrap().next
}

fn message() -> Request {
    Request::Message { title: Some("Demo".to_owned()), text: "A & B".to_owned(), link: None }
}

fn api(method: Method, timeout_seconds: u32) -> Request {
    Request::Http {
        method,
        query: vec![("q".to_owned(), "a b".to_owned())],
        headers: vec![("x-round".to_owned(), "1".to_owned())],
        body: (method != Method::Get).then(|| r#"{"a":1}"#.to_owned()),
        timeout_seconds,
        keep: Some(Keep { name: "crm".to_owned(), mapping: None }),
    }
}

fn planned(channel: &OutboundChannel, request: Request) -> OutboundCall {
    call::test(Uuid::max().into(), channel, request, moment()).next
}

fn outgoing(url: &str, request: Request) -> Outgoing {
    let channel = channel(Provider::Webhook, url);
    planned(&channel, request).outgoing(&channel, moment()).unwrap()
}

/// What a call of this kind comes to where the receiver answers so.
async fn verdict(provider: Provider, request: Request, answer: Vec<u8>) -> (Verdict, String) {
    let receiver = receiver(answer, false).await;
    let channel = channel(provider, &receiver.url);
    let call = planned(&channel, request);
    let asked: Asked = sender(&["127.0.0.1/32"]).ask(call.outgoing(&channel, moment()).unwrap()).await;
    let verdict = match asked {
        Ok(answer) => call::judge(&call, provider, &answer),
        Err(unsent) => Verdict::unsent(unsent.code, unsent.message),
    };
    let asked = receiver.requests.lock().unwrap().first().cloned().unwrap_or_default();
    (verdict, asked)
}

fn code(verdict: &Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Taken(_) => ("taken", ""),
        Verdict::Later { code, .. } => ("later", code),
        Verdict::Never { code, .. } => ("never", code),
    }
}

#[tokio::test]
async fn each_chat_is_understood_as_it_answers() {
    use Provider::{Dingtalk, Feishu, Slack, Wecom};
    let ok = |body: &str| http("200 OK", "content-type: application/json\r\n", body);
    for (provider, answer, expected) in [
        (Slack, ok("ok"), ("taken", "")),
        (Slack, http("400 Bad Request", "", "invalid_payload"), ("never", "CALL_REFUSED")),
        (Slack, http("403 Forbidden", "", "invalid_token"), ("never", "CALL_CREDENTIALS_WRONG")),
        (Slack, http("404 Not Found", "", "no_service"), ("never", "CALL_REFUSED")),
        (Slack, http("410 Gone", "", "channel_is_archived"), ("never", "CALL_REFUSED")),
        (Slack, http("429 Too Many Requests", "retry-after: 30\r\n", ""), ("later", "CALL_LIMITED")),
        (Slack, http("500 Server Error", "", "rollup_error"), ("later", "CALL_NOT_TAKEN")),
        (Wecom, ok(r#"{"errcode":0,"errmsg":"ok"}"#), ("taken", "")),
        (Wecom, ok(r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#), ("later", "CALL_LIMITED")),
        (Wecom, ok(r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#), ("never", "CALL_CREDENTIALS_WRONG")),
        (Wecom, ok(r#"{"errcode":40058,"errmsg":"text exceed max length"}"#), ("never", "CALL_REFUSED")),
        (Dingtalk, ok(r#"{"errcode":0,"errmsg":"ok"}"#), ("taken", "")),
        (Dingtalk, ok(r#"{"errcode":130101,"errmsg":"send too fast"}"#), ("later", "CALL_LIMITED")),
        (Dingtalk, ok(r#"{"errcode":310000,"errmsg":"sign not match"}"#), ("never", "CALL_CREDENTIALS_WRONG")),
        (Feishu, ok(r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#), ("taken", "")),
        (Feishu, ok(r#"{"code":11232,"msg":"frequency limited"}"#), ("later", "CALL_LIMITED")),
        (Feishu, ok(r#"{"code":19021,"msg":"sign match fail"}"#), ("never", "CALL_CREDENTIALS_WRONG")),
        (Feishu, ok("<html>busy</html>"), ("later", "CALL_NOT_TAKEN")),
    ] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let (verdict, asked) = verdict(provider, message(), answer).await;
        assert_eq!(code(&verdict), expected, "{provider}: {shown}");
        assert!(asked.starts_with("POST /in") && asked.contains("application/json"), "{asked}");
        assert_eq!(asked.contains("&sign="), provider == Dingtalk, "{asked}");
        assert_eq!(asked.contains("\"sign\""), provider == Feishu, "{asked}");
    }
}

#[tokio::test]
async fn an_api_is_asked_by_every_method_and_its_answer_is_read() {
    for method in Method::ALL {
        let answer = http("201 Created", "", r#"{"score":7}"#);
        let (verdict, asked) = verdict(Provider::Webhook, api(*method, 5), answer).await;
        assert_eq!(verdict, Verdict::Taken(serde_json::json!({"score": 7})), "{method}");
        assert!(asked.starts_with(&format!("{method} /in?q=a%20b HTTP/1.1\r\n")), "{asked}");
        assert_eq!(asked.ends_with(r#"{"a":1}"#), *method != Method::Get, "{asked}");
        for header in ["webhook-id: call_", "idempotency-key: call_", "webhook-signature: v1,", "x-round: 1"] {
            assert!(asked.to_lowercase().contains(header), "{header}: {asked}");
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_has_a_name() {
    for (answer, expected) in [
        (http("204 No Content", "", ""), ("taken", "")),
        (http("200 OK", "", "not json"), ("never", "CALL_ANSWER_NOT_JSON")),
        (http("302 Found", "location: http://169.254.169.254/\r\n", ""), ("never", "CALL_REDIRECTED")),
        (http("401 No", "", ""), ("never", "CALL_CREDENTIALS_WRONG")),
        (http("500 Broken", "", "oh"), ("later", "CALL_NOT_TAKEN")),
        (b"garbage\r\n\r\n".to_vec(), ("later", "WEBHOOK_BROKEN_OFF")),
        (http("200 OK", "", &"x".repeat(MAX_ANSWER + 1)), ("never", "CALL_ANSWER_TOO_LARGE")),
    ] {
        let shown = String::from_utf8_lossy(&answer).chars().take(40).collect::<String>();
        let (verdict, _) = verdict(Provider::Webhook, api(Method::Post, 5), answer).await;
        assert_eq!(code(&verdict), expected, "{shown}");
    }
    let (limited, _) =
        verdict(Provider::Webhook, api(Method::Post, 5), http("429 Slow", "retry-after: 90\r\n", "")).await;
    assert!(matches!(limited, Verdict::Later { after: Some(after), .. } if after == TimeDelta::seconds(90)));
}

#[tokio::test]
async fn the_largest_answer_is_read_whole_and_one_byte_more_is_not() {
    for (size, whole) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false), (10 * MAX_ANSWER, false)] {
        let receiver = receiver(http("200 OK", "", &"y".repeat(size)), false).await;
        let answer = sender(&["127.0.0.1/32"]).ask(outgoing(&receiver.url, api(Method::Post, 5))).await.unwrap();
        assert_eq!(answer.excerpt, "y".repeat(1_000));
        assert_eq!(answer.body, if whole { Body::Whole(vec![b'y'; size]) } else { Body::TooLarge });
    }
}

#[tokio::test]
async fn who_answers_drop_by_drop_holds_nobody_longer_than_the_step_allows() {
    let slow = receiver(http("200 OK", "", &"z".repeat(2_000)), true).await;
    let began = Instant::now();
    let asked = sender(&["127.0.0.1/32"]).ask(outgoing(&slow.url, api(Method::Post, 1))).await;
    assert_eq!(asked.unwrap_err().code, "WEBHOOK_TIMEOUT", "not even the head came in time");
    assert!(began.elapsed() < Duration::from_secs(4));
    // With the head in time and the body not, there is an answer, and it is not whole.
    let hanging = receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec(), false).await;
    let answer = sender(&["127.0.0.1/32"]).ask(outgoing(&hanging.url, api(Method::Post, 1))).await.unwrap();
    assert_eq!((answer.status, answer.body), (200, Body::BrokenOff));
}

#[tokio::test]
async fn no_call_connects_to_an_address_that_is_refused() {
    let receiver = receiver(http("200 OK", "", "{}"), false).await;
    let guarded = sender(&[]);
    for url in [receiver.url.as_str(), "http://10.0.0.1/in", "http://169.254.169.254/latest", "http://[::1]/in"] {
        let unsent = guarded.ask(outgoing(url, api(Method::Post, 5))).await.unwrap_err();
        assert_eq!(unsent.code, "WEBHOOK_ADDRESS_REFUSED", "{url}");
        assert_eq!(code(&Verdict::unsent(unsent.code, unsent.message)).0, "never");
    }
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let other = receiver(http("200 OK", "", "{}"), false).await;
    let first = receiver(http("307 There", &format!("location: {}\r\n", other.url), ""), false).await;
    let answer = sender(&["127.0.0.1/32"]).ask(outgoing(&first.url, api(Method::Post, 5))).await.unwrap();
    assert_eq!((answer.status, other.connections.load(Ordering::SeqCst)), (307, 0));
}
