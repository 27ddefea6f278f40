//! Outbound webhooks: one POST to an address that somebody else chose; and the calls of steps that reach out, whose answer is read
//! whole, within its bound.
//!
//! Two things are kept from whoever chose it: the network that this server stands in (`guard`), and this server's
//! time and memory. One time-out spans all of an exchange, and only the beginning of an answer is read.

mod guard;

pub use guard::{Lookup, SystemLookup};

use chrono::TimeDelta;
use guard::{Guard, GuardedResolver, Unresolved};
use ipnet::IpNet;
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, redirect, retry};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tandem_app::outbound::{Asked, PortFuture, Post, Reply, Unsent, WebhookSender};
use tandem_domain::outbound::call::{Answer, Body, MAX_ANSWER, Outgoing};

/// The address, or all that its name leads to, is in a refused range.
const ADDRESS_REFUSED: &str = "WEBHOOK_ADDRESS_REFUSED";
/// The text is no address that is posted to.
const URL_INVALID: &str = "WEBHOOK_URL_INVALID";
/// A header is none that can be sent.
const HEADER_INVALID: &str = "WEBHOOK_HEADER_INVALID";
/// The name has no address.
const NOT_RESOLVED: &str = "WEBHOOK_NOT_RESOLVED";
/// No connection was made: certainly nothing was sent.
const NOT_CONNECTED: &str = "WEBHOOK_NOT_CONNECTED";
/// No answer came in time. The receiver may have taken what was posted.
const TIMEOUT: &str = "WEBHOOK_TIMEOUT";
/// There was no agreement on TLS, or the certificate is not trusted.
const TLS: &str = "WEBHOOK_TLS";
/// The connection broke off, or what came was not HTTP. The receiver may have taken what was posted.
const BROKEN_OFF: &str = "WEBHOOK_BROKEN_OFF";

const USER_AGENT: &str = concat!("Tandem-Webhooks/", env!("CARGO_PKG_VERSION"));
/// The most characters of an answer that are kept.
const EXCERPT_CHARS: usize = 1_000;
/// The most bytes of an answer that are looked at: as many as that many characters can have, and a few.
const EXCERPT_BYTES: usize = 4_096;
/// The most characters of what a library says about an error.
const DETAIL_CHARS: usize = 200;
/// The longest that a receiver can ask to be left alone.
const MAX_RETRY_AFTER: TimeDelta = TimeDelta::hours(24);
/// Open connections without work, for each receiver, and how long they are kept: enough for a burst of events, and
/// shorter than most receivers wait before they close one.
const IDLE_CONNECTIONS: usize = 2;
const IDLE: Duration = Duration::from_secs(10);
/// Headers that are about the connection, and this connector's own to write: with them a post could be cut in two, or
/// handed to another host behind the same address.
const OWN_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What may be posted to, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Networks that may be posted to although they are not of the open internet. As soon as there is one, names are no
    /// longer refused by their text (`localhost`, names without a dot, ...): their addresses decide.
    pub allow: Vec<IpNet>,
    /// Whether addresses may begin with `http://`.
    pub allow_http: bool,
    /// How long one post may take, from the name to the last byte that is read.
    pub timeout: Duration,
}

/// The machine has no certificates of authorities to trust, or something as basic is missing.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client for webhooks")]
pub struct NoClient(#[from] reqwest::Error);

/// Posts over HTTP/1.1.
#[derive(Debug, Clone)]
pub struct HttpSender {
    client: Client,
    guard: Arc<Guard>,
    timeout: Duration,
}

impl HttpSender {
    /// A sender that resolves names as the machine does. It connects to nothing yet.
    pub fn new(rules: Rules) -> Result<Self, NoClient> {
        Self::with_lookup(rules, Arc::new(SystemLookup))
    }

    /// A sender that finds addresses by `lookup`. They are judged all the same.
    pub fn with_lookup(rules: Rules, lookup: Arc<dyn Lookup>) -> Result<Self, NoClient> {
        // The process has one already, but in a test.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Rules { allow, allow_http, timeout } = rules;
        let guard = Arc::new(Guard::new(allow, allow_http));
        let client = Client::builder()
            .dns_resolver(GuardedResolver { guard: Arc::clone(&guard), lookup })
            // A proxy would resolve the names itself, and a redirect leads where nobody looked.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .https_only(!allow_http)
            .http1_only()
            // A few bytes that unpack to very many are read as they came.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .user_agent(USER_AGENT)
            // It is divided by the addresses of a name: one that never answers leaves time for the next.
            .connect_timeout(timeout / 3 * 2)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE)
            .build()?;
        Ok(Self { client, guard, timeout })
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        headers: Vec<(String, String)>,
        body: Option<String>,
    ) -> Result<Request, Unsent> {
        let mut request = Request::new(method, self.guard.target(url)?);
        for (name, value) in headers {
            let (name, value) = header(&name, &value)?;
            request.headers_mut().append(name, value);
        }
        *request.body_mut() = body.map(Into::into);
        Ok(request)
    }
}

/// What is left of the time for an exchange.
type Patience = std::pin::Pin<Box<tokio::time::Sleep>>;

/// The beginning of an answer, where it comes before the patience ends.
async fn answer(
    client: &Client,
    request: Request,
    patience: &mut Patience,
    whole: Duration,
) -> Result<Response, Unsent> {
    tokio::select! {
        answer = client.execute(request) => answer.map_err(|error| unsent(&error)),
        () = patience => Err(Unsent { code: TIMEOUT, message: format!("no answer within {whole:?}") }),
    }
}

impl WebhookSender for HttpSender {
    fn post(&self, post: Post) -> PortFuture<'_, Result<Reply, Unsent>> {
        Box::pin(async move {
            let request = self.request(Method::POST, &post.url, post.headers, Some(post.body))?;
            let mut patience = Box::pin(tokio::time::sleep(self.timeout));
            let mut response = answer(&self.client, request, &mut patience, self.timeout).await?;
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            // From here on there is an answer. Whatever becomes of its body, it stands.
            let mut bytes = Vec::new();
            tokio::select! {
                () = read(&mut response, &mut bytes) => {}
                () = patience => {}
            }
            Ok(Reply { status, retry_after, excerpt: plain(&String::from_utf8_lossy(&bytes), EXCERPT_CHARS) })
        })
    }

    fn ask(&self, call: Outgoing) -> PortFuture<'_, Asked> {
        Box::pin(async move {
            let Outgoing { method, url, headers, body, timeout_seconds } = call;
            let invalid = |_| Unsent { code: URL_INVALID, message: "no such method".to_owned() };
            let method = Method::from_bytes(method.as_bytes()).map_err(invalid)?;
            let request = self.request(method, &url, headers, body)?;
            let whole =
                timeout_seconds.map_or(self.timeout, |seconds| self.timeout.min(Duration::from_secs(seconds.into())));
            let mut patience = Box::pin(tokio::time::sleep(whole));
            let mut response = answer(&self.client, request, &mut patience, whole).await?;
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
            let mut bytes = Vec::new();
            let end = tokio::select! {
                end = read_whole(&mut response, &mut bytes) => end,
                () = patience => End::BrokenOff,
            };
            let beginning = bytes.get(..EXCERPT_BYTES).unwrap_or(&bytes);
            let excerpt = plain(&String::from_utf8_lossy(beginning), EXCERPT_CHARS);
            let body = match end {
                End::Whole => Body::Whole(bytes),
                End::TooLarge => Body::TooLarge,
                End::BrokenOff => Body::BrokenOff,
            };
            Ok(Answer { status, retry_after, excerpt, body })
        })
    }

    fn check(&self, url: &str) -> Result<(), Unsent> {
        self.guard.target(url).map(drop)
    }
}

/// A header that somebody chose, as far as it can be sent.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Unsent> {
    let invalid =
        |why: &str| Unsent { code: HEADER_INVALID, message: format!("the header `{}` {why}", plain(name, 60)) };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("has a name that is none"))?;
    if OWN_HEADERS.contains(&parsed.as_str()) {
        return Err(invalid("is not for a webhook to set"));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid("has a value that cannot be sent"))?;
    // It may be a credential: no library shows it in its log.
    value.set_sensitive(true);
    Ok((parsed, value))
}

/// Reads the beginning of an answer, until there is enough of it, or no more.
async fn read(response: &mut Response, bytes: &mut Vec<u8>) {
    while bytes.len() < EXCERPT_BYTES {
        let Ok(Some(chunk)) = response.chunk().await else { return };
        let room = EXCERPT_BYTES.saturating_sub(bytes.len());
        bytes.extend(chunk.iter().take(room));
    }
}

/// How the body of an answer ended.
enum End {
    Whole,
    TooLarge,
    BrokenOff,
}

/// Reads an answer to its end, or until it is larger than what is kept of one.
async fn read_whole(response: &mut Response, bytes: &mut Vec<u8>) -> End {
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > MAX_ANSWER => {
                let room = MAX_ANSWER - bytes.len();
                bytes.extend(chunk.iter().take(room));
                return End::TooLarge;
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return End::Whole,
            Err(_) => return End::BrokenOff,
        }
    }
}

/// At most `most` characters, none of which moves the cursor of whoever reads them: a space stands for each control
/// character, and for those that end a line or turn its direction.
fn plain(text: &str, most: usize) -> String {
    let moves = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().take(most).map(|c| if moves(c) { ' ' } else { c }).collect()
}

/// How long a receiver wants to be left alone (RFC 9110, 10.2.3): seconds, or a moment. The moment is read by the
/// receiver's own clock, which is in `Date`. Without that it says nothing.
fn retry_after(headers: &HeaderMap) -> Option<TimeDelta> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let given = text(RETRY_AFTER)?;
    if !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is more than a day.
        let seconds = given.parse().ok().and_then(TimeDelta::try_seconds);
        return Some(seconds.map_or(MAX_RETRY_AFTER, |seconds| seconds.min(MAX_RETRY_AFTER)));
    }
    let (until, now) = (httpdate::parse_http_date(given).ok()?, httpdate::parse_http_date(text(DATE)?).ok()?);
    let wait = until.duration_since(now).unwrap_or_default();
    Some(TimeDelta::from_std(wait).map_or(MAX_RETRY_AFTER, |wait| wait.min(MAX_RETRY_AFTER)))
}

/// What is below an error. An I/O error passes over the error that it is made of, so that one is taken out of it.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// What an error of the client means. Its own text is left out: it has the whole address in it, and with that perhaps
/// a secret.
fn unsent(error: &reqwest::Error) -> Unsent {
    let causes = || std::iter::successors(error.source(), |cause| below(*cause));
    let root = causes().last().map_or_else(|| "no reason is known".to_owned(), ToString::to_string);
    let say = |code, message: String| Unsent { code, message: plain(&message, DETAIL_CHARS) };
    if let Some(unresolved) = causes().find_map(|cause| cause.downcast_ref::<Unresolved>()) {
        let code = match unresolved {
            Unresolved::Refused { .. } => ADDRESS_REFUSED,
            Unresolved::Unknown { .. } => NOT_RESOLVED,
        };
        return say(code, unresolved.to_string());
    }
    if let Some(tls) = causes().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return say(TLS, format!("no TLS: {tls}"));
    }
    match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => say(URL_INVALID, format!("not an address: {root}")),
        (true, true) => say(NOT_CONNECTED, "no connection in time".to_owned()),
        (true, false) => say(NOT_CONNECTED, format!("no connection: {root}")),
        (false, true) => say(TIMEOUT, "no answer in time".to_owned()),
        (false, false) => say(BROKEN_OFF, format!("no answer: {root}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(given: &str, date: Option<&str>) -> Option<i64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(given.as_bytes()).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers).map(|wait| wait.num_seconds())
    }

    #[test]
    fn retry_after_is_read_in_every_form_and_bounded() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (given, date, seconds) in [
            ("0", None, Some(0)),
            ("120", None, Some(120)),
            (" 120 ", None, Some(120)),
            ("86400", None, Some(86_400)),
            ("86401", None, Some(86_400)),
            ("9223372036854775807", None, Some(86_400)),
            ("99999999999999999999999999", None, Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", now, Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", now, Some(60)),
            ("Sun Nov  6 08:50:37 1994", now, Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", now, Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", now, Some(86_400)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some("yesterday"), None),
            ("Sun, 06 Nov 1994 25:50:37 GMT", now, None),
            ("", None, None),
            ("-1", None, None),
            ("+1", None, None),
            ("1.5", None, None),
            ("soon", now, None),
            ("١٢", now, None),
        ] {
            assert_eq!(wait(given, date), seconds, "{given:?} {date:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn an_excerpt_is_short_and_moves_no_cursor() {
        assert_eq!(plain("a\r\n\tb\0\u{1b}[31mc\u{7f}\u{85}\u{2028}\u{202e}\u{2066}d 好", 99), "a   b  [31mc     d 好");
        assert_eq!(plain(&"好".repeat(2_000), EXCERPT_CHARS), "好".repeat(EXCERPT_CHARS));
    }

    #[test]
    fn headers_about_the_connection_are_not_a_webhooks_to_set() {
        assert!(header("x-tandem", "a b").is_ok_and(|(_, value)| value.is_sensitive()));
        for (name, value) in [
            ("host", "internal"),
            ("Host", "internal"),
            ("content-length", "0"),
            ("transfer-encoding", "chunked"),
            ("connection", "x"),
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("a\r\nb", "x"),
            ("ä", "x"),
            ("x-a", "b\r\nhost: internal"),
            ("x-a", "\0"),
        ] {
            let refused = header(name, value).unwrap_err();
            assert_eq!(refused.code, HEADER_INVALID, "{name:?}");
            assert!(!refused.message.contains(['\r', '\n']) && !refused.message.contains("internal"));
        }
    }

    #[test]
    fn an_io_error_shows_what_it_is_made_of() {
        let tls = rustls::Error::General("no".to_owned());
        let wrapped = std::io::Error::other(std::io::Error::other(tls));
        let found = std::iter::successors(Some(&wrapped as &(dyn Error + 'static)), |cause| below(*cause));
        assert!(found.last().is_some_and(|last| last.is::<rustls::Error>()));
    }
}
