//! Outbound webhooks over real sockets: what each answer and each failure is called, and that nothing connects to an
//! address that is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tandem_app::outbound::{PortFuture, Post, Reply, Unsent, WebhookSender};
use tandem_connectors::webhook::{HttpSender, Lookup, Rules};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const LOOPBACK: [&str; 1] = ["127.0.0.1/32"];
const BODY: &str = r#"{"name":"坦德姆"}"#;

/// A receiver on a port of its own, which counts who connects and what was asked.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Does with each connection what `serve` says.
    async fn on<F, S>(place: &str, serve: F) -> Self
    where
        F: Fn(Line) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(place).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (Arc::clone(&connections), Arc::clone(&requests));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Line { stream, requests: Arc::clone(&kept) }));
            }
        });
        Self { address, connections, requests, task }
    }

    /// Answers every request with the same bytes, over connections that stay open.
    async fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::on("127.0.0.1:0", move |mut line| {
            let answer = Arc::clone(&answer);
            async move {
                while line.hear().await {
                    let _ = line.stream.write_all(&answer).await;
                }
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?key=s3cret", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The receiver's end of a connection.
struct Line {
    stream: TcpStream,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Line {
    /// Reads a whole request. Not so, if there is none any more.
    async fn hear(&mut self) -> bool {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4_096]);
        while !heard.ends_with(BODY.as_bytes()) {
            match self.stream.read(&mut buffer).await {
                Ok(n @ 1..) => heard.extend_from_slice(&buffer[..n]),
                _ => return false,
            }
        }
        self.requests.lock().unwrap().push(String::from_utf8(heard).unwrap());
        true
    }
}

fn rules(allow: &[&str]) -> Rules {
    Rules {
        allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
        allow_http: true,
        timeout: Duration::from_secs(20),
    }
}

fn sender() -> HttpSender {
    HttpSender::new(rules(&LOOPBACK)).unwrap()
}

fn hasty() -> HttpSender {
    HttpSender::new(Rules { timeout: Duration::from_millis(300), ..rules(&LOOPBACK) }).unwrap()
}

fn to(url: impl Into<String>) -> Post {
    let headers = [("content-type", "application/json"), ("webhook-id", "msg_1"), ("authorization", "Bearer s3cret")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Post { url: url.into(), headers, body: BODY.to_owned() }
}

async fn answer_to(answer: impl Into<Vec<u8>>) -> Result<Reply, Unsent> {
    sender().post(to(Receiver::saying(answer).await.url())).await
}

/// The code of a failure, whose message is short and gives nothing away.
fn code(result: Result<Reply, Unsent>) -> &'static str {
    let unsent = result.unwrap_err();
    assert!(unsent.message.chars().count() <= 200 && !unsent.message.contains("s3cret"), "{unsent:?}");
    assert!(!unsent.message.contains(char::is_control) && !unsent.message.contains("坦"), "{unsent:?}");
    unsent.code
}

#[tokio::test]
async fn what_is_posted_arrives_as_it_is() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthan\x07").await;
    let reply = sender().post(to(format!("{}#part", receiver.url()))).await.unwrap();
    assert_eq!(reply, Reply { status: 200, retry_after: None, excerpt: "than ".to_owned() });
    let [request] = receiver.requests().try_into().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, BODY);
    let (line, headers) = head.split_once("\r\n").unwrap();
    assert_eq!(line, "POST /hook?key=s3cret HTTP/1.1");
    let mut headers: Vec<_> = headers.split("\r\n").map(str::to_lowercase).collect();
    headers.sort_unstable();
    let expected = [
        "accept: */*".to_owned(),
        "authorization: bearer s3cret".to_owned(),
        format!("content-length: {}", BODY.len()),
        "content-type: application/json".to_owned(),
        format!("host: {}", receiver.address),
        format!("user-agent: tandem-webhooks/{}", env!("CARGO_PKG_VERSION")),
        "webhook-id: msg_1".to_owned(),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn every_status_is_an_answer() {
    for (answer, status, wait, excerpt) in [
        ("204 No Content\r\n\r\n", 204, None, ""),
        ("410 Gone\r\ncontent-length: 4\r\n\r\ngone", 410, None, "gone"),
        ("429 Slow\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n", 429, Some(30), ""),
        ("503 No\r\nretry-after: 999999\r\ncontent-length: 0\r\n\r\n", 503, Some(86_400), ""),
        ("503 No\r\nretry-after: tomorrow\r\ncontent-length: 0\r\n\r\n", 503, None, ""),
        (
            "503 No\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:51:37 GMT\r\n\
             content-length: 0\r\n\r\n",
            503,
            Some(120),
            "",
        ),
        ("400 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 400, None, "no"),
        // Bytes that only say that they are packed are shown as they are.
        ("400 No\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nno", 400, None, "no"),
        ("101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", 101, None, ""),
        ("100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, None, ""),
        ("999 What\r\ncontent-length: 0\r\n\r\n", 999, None, ""),
    ] {
        let reply = answer_to(format!("HTTP/1.1 {answer}")).await.unwrap();
        let expected = Reply { status, retry_after: wait.map(TimeDelta::seconds), excerpt: excerpt.to_owned() };
        assert_eq!(reply, expected);
    }
    let broken = answer_to(b"HTTP/1.1 400 No\r\ncontent-length: 4\r\n\r\na\xff\xfeb".as_slice()).await.unwrap();
    assert_eq!(broken.excerpt, "a\u{fffd}\u{fffd}b");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} There\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", other.url());
        assert_eq!(answer_to(answer).await.unwrap().status, status);
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn no_cookie_is_kept() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n").await;
    let sender = sender();
    for _ in 0..2 {
        sender.post(to(receiver.url())).await.unwrap();
    }
    let requests = receiver.requests();
    assert_eq!((requests.len(), receiver.connections()), (2, 1));
    assert!(requests.iter().all(|request| !request.to_lowercase().contains("cookie")));
}

/// How much a receiver would answer.
const MEGABYTES: usize = 64;

#[tokio::test]
async fn no_more_is_read_of_a_long_answer_than_its_beginning() {
    let took = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&took);
    let receiver = Receiver::on("127.0.0.1:0", move |mut line| {
        let counted = Arc::clone(&counted);
        async move {
            line.hear().await;
            let head = format!("HTTP/1.1 500 No\r\ncontent-length: {}\r\n\r\n", MEGABYTES << 20);
            let _ = line.stream.write_all(head.as_bytes()).await;
            let chunk = "é".repeat(1 << 19);
            while line.stream.write_all(chunk.as_bytes()).await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let sender = sender();
    for _ in 0..2 {
        let reply = sender.post(to(receiver.url())).await.unwrap();
        assert_eq!((reply.status, reply.excerpt), (500, "é".repeat(1_000)));
    }
    // What is not read to its end is no connection to use again.
    assert_eq!(receiver.connections(), 2);
    assert!(took.load(Ordering::SeqCst) < 2 * MEGABYTES);
}

#[tokio::test]
async fn an_answer_that_breaks_off_in_its_body_is_an_answer() {
    let receiver = Receiver::on("127.0.0.1:0", |mut line| async move {
        line.hear().await;
        let _ = line.stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthanks").await;
    })
    .await;
    let reply = sender().post(to(receiver.url())).await.unwrap();
    assert_eq!((reply.status, reply.excerpt.as_str()), (200, "thanks"));
}

#[tokio::test]
async fn broken_lines_are_broken_off() {
    let at_once = Receiver::on("127.0.0.1:0", |line| async move {
        let _ = line.stream.set_zero_linger();
    })
    .await;
    let after_request = Receiver::on("127.0.0.1:0", |mut line| async move {
        line.hear().await;
        let _ = line.stream.set_zero_linger();
    })
    .await;
    let closed = Receiver::on("127.0.0.1:0", |mut line| async move {
        line.hear().await;
    })
    .await;
    for receiver in [&at_once, &after_request, &closed] {
        for _ in 0..20 {
            assert_eq!(code(sender().post(to(receiver.url())).await), "WEBHOOK_BROKEN_OFF");
        }
        // A post is repeated by whoever counts the attempts, and by nobody else.
        assert_eq!(receiver.connections(), 20);
    }
}

#[tokio::test]
async fn what_is_not_http_is_broken_off() {
    for garbage in [
        "220 mail.example ESMTP\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "\0\u{1}\u{2}坦德姆 s3cret\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "a".repeat(1 << 20)),
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-many: s3cret\r\n".repeat(1_000)),
    ] {
        assert_eq!(code(answer_to(garbage).await), "WEBHOOK_BROKEN_OFF");
    }
}

/// How long it took, and what came of it.
async fn timed(receiver: &Receiver) -> (Duration, Result<Reply, Unsent>) {
    let begun = Instant::now();
    let result = hasty().post(to(receiver.url())).await;
    (begun.elapsed(), result)
}

const IN_TIME: std::ops::Range<Duration> = Duration::from_millis(290)..Duration::from_secs(3);

#[tokio::test]
async fn who_never_answers_or_drips_holds_nobody_longer_than_the_time_out() {
    let silent = Receiver::on("127.0.0.1:0", |line| async move {
        sleep(Duration::from_secs(60)).await;
        drop(line);
    })
    .await;
    let dripping = Receiver::on("127.0.0.1:0", |mut line| async move {
        line.hear().await;
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain(std::iter::repeat(&b'a')) {
            if line.stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let continuing = Receiver::on("127.0.0.1:0", |mut line| async move {
        line.hear().await;
        while line.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    for receiver in [silent, dripping, continuing] {
        let (took, result) = timed(&receiver).await;
        assert_eq!(code(result), "WEBHOOK_TIMEOUT");
        assert!(IN_TIME.contains(&took), "{took:?}");
    }
    // With its status there is an answer, and what came of the body until then.
    let dripping_body = Receiver::on("127.0.0.1:0", |mut line| async move {
        line.hear().await;
        let _ = line.stream.write_all(b"HTTP/1.1 202 OK\r\n\r\n").await;
        while line.stream.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let (took, result) = timed(&dripping_body).await;
    let reply = result.unwrap();
    assert!(IN_TIME.contains(&took) && reply.status == 202, "{took:?} {reply:?}");
    assert!((1..20).contains(&reply.excerpt.len()) && reply.excerpt.bytes().all(|byte| byte == b'a'), "{reply:?}");
}

#[tokio::test]
async fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(code(sender().post(to(format!("http://{free}/"))).await), "WEBHOOK_NOT_CONNECTED");
}

#[tokio::test]
async fn nothing_connects_to_what_is_refused() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = receiver.address.port();
    for allow in [&[][..], &["10.0.0.0/8"][..]] {
        let sender = HttpSender::new(rules(allow)).unwrap();
        for host in ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0", "[::ffff:127.0.0.1]", "localhost"] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}:{port}/");
                assert_eq!(code(sender.post(to(url.as_str())).await), "WEBHOOK_ADDRESS_REFUSED", "{url}");
                // The text says so, except where a name leads there.
                let told = allow.is_empty() || host != "localhost";
                assert_eq!(sender.check(&url).is_err(), told, "{url}");
            }
        }
    }
    let sender = HttpSender::new(Rules { allow_http: false, ..rules(&LOOPBACK) }).unwrap();
    assert_eq!(code(sender.post(to(receiver.url())).await), "WEBHOOK_URL_INVALID");
    let mut odd = to(receiver.url());
    odd.headers.push(("Host".to_owned(), "metadata".to_owned()));
    assert_eq!(code(self::sender().post(odd).await), "WEBHOOK_HEADER_INVALID");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.connections(), 0);
}

/// Names that lead to one list of addresses after the other.
struct Rebinding(Mutex<Vec<&'static [&'static str]>>);

impl Lookup for Rebinding {
    fn addresses(&self, _: String) -> PortFuture<'_, std::io::Result<Vec<IpAddr>>> {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.is_empty() { None } else { Some(answers.remove(0)) };
        let answer = answer.map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect());
        Box::pin(std::future::ready(answer.ok_or_else(|| std::io::Error::other("no such name"))))
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_leads_nowhere() {
    // At every address of the machine: whoever connected to 127.0.0.2 would be counted.
    let receiver = Receiver::on("0.0.0.0:0", |mut line| async move {
        line.hear().await;
        let _ = line.stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let answers: [&[&str]; 5] =
        [&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.2", "127.0.0.1", "::1"], &["::ffff:127.0.0.1"], &[]];
    let lookup = Arc::new(Rebinding(Mutex::new(answers.to_vec())));
    let sender = HttpSender::with_lookup(rules(&LOOPBACK), lookup).unwrap();
    let url = format!("http://rebind.example:{}/", receiver.address.port());
    assert_eq!(sender.check(&url), Ok(()));
    for (expected, connections) in [
        (None, 1),
        (Some("WEBHOOK_ADDRESS_REFUSED"), 1),
        (None, 2),
        (Some("WEBHOOK_ADDRESS_REFUSED"), 2),
        (Some("WEBHOOK_NOT_RESOLVED"), 2),
        (Some("WEBHOOK_NOT_RESOLVED"), 2),
    ] {
        let result = sender.post(to(url.as_str())).await;
        assert_eq!(result.err().map(|unsent| unsent.code), expected);
        assert_eq!(receiver.connections(), connections);
    }
    let [first, _] = receiver.requests().try_into().unwrap();
    assert!(first.to_lowercase().contains(&format!("\r\nhost: rebind.example:{}\r\n", receiver.address.port())));
}

#[tokio::test]
async fn a_connection_that_is_kept_is_one_that_was_judged() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let lookup = Arc::new(Rebinding(Mutex::new(vec![&["127.0.0.1"], &["127.0.0.2"]])));
    let sender = HttpSender::with_lookup(rules(&LOOPBACK), lookup).unwrap();
    let url = format!("http://rebind.example:{}/", receiver.address.port());
    for _ in 0..3 {
        assert_eq!(sender.post(to(url.as_str())).await.unwrap().status, 200);
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 3));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_not_resolved() {
    let sender = HttpSender::new(rules(&[])).unwrap();
    assert_eq!(code(sender.post(to("https://no-such-name.invalid/")).await), "WEBHOOK_NOT_RESOLVED");
}

#[tokio::test]
async fn who_is_not_trusted_is_told_nothing() {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let secure = Receiver::on("127.0.0.1:0", move |line| {
        let acceptor = acceptor.clone();
        async move {
            // It is still there when the client says why it leaves.
            if let Ok(mut stream) = acceptor.accept(line.stream).await {
                let mut heard = Vec::new();
                let _ = stream.read_to_end(&mut heard).await;
                assert!(heard.is_empty());
            }
        }
    })
    .await;
    let plain = Receiver::on("127.0.0.1:0", |mut line| async move {
        let _ = line.stream.write_all(b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n").await;
        line.hear().await;
    })
    .await;
    for receiver in [&secure, &plain] {
        let url = format!("https://{}/", receiver.address);
        assert_eq!(code(sender().post(to(url)).await), "WEBHOOK_TLS");
        assert!(receiver.requests().is_empty());
    }
    let hung_up = Receiver::on("127.0.0.1:0", |line| async move { drop(line) }).await;
    let silent = Receiver::on("127.0.0.1:0", |line| async move {
        sleep(Duration::from_secs(60)).await;
        drop(line);
    })
    .await;
    // Without TLS there is no connection yet, and nothing was sent.
    for receiver in [&hung_up, &silent] {
        let url = format!("https://{}/", receiver.address);
        assert_eq!(code(hasty().post(to(url)).await), "WEBHOOK_NOT_CONNECTED");
    }
}

#[tokio::test]
async fn many_posts_at_once_are_all_answered() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let sender = sender();
    let posts: Vec<_> = (0..50)
        .map(|_| {
            let (sender, post) = (sender.clone(), to(receiver.url()));
            tokio::spawn(async move { sender.post(post).await.map(|reply| reply.status) })
        })
        .collect();
    for post in posts {
        assert_eq!(post.await.unwrap(), Ok(200));
    }
    assert_eq!(receiver.requests().len(), 50);
}

#[tokio::test]
async fn any_time_out_is_one() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let patient = HttpSender::new(Rules { timeout: Duration::MAX, ..rules(&LOOPBACK) }).unwrap();
    assert_eq!(patient.post(to(receiver.url())).await.unwrap().status, 200);
    let silent = Receiver::on("127.0.0.1:0", |line| async move {
        sleep(Duration::from_secs(60)).await;
        drop(line);
    })
    .await;
    let impatient = HttpSender::new(Rules { timeout: Duration::ZERO, ..rules(&LOOPBACK) }).unwrap();
    let code = code(impatient.post(to(silent.url())).await);
    assert!(["WEBHOOK_TIMEOUT", "WEBHOOK_NOT_CONNECTED"].contains(&code), "{code}");
}

#[test]
fn a_sender_is_made_without_a_runtime() {
    let sender = HttpSender::new(rules(&[])).unwrap();
    assert_eq!(sender.check("https://example.com/"), Ok(()));
    assert!(sender.check("https://10.0.0.1/").is_err());
}
