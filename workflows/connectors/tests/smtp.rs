//! The SMTP path over real sockets: what each failure is called, and what the bytes look like.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use futures_util::FutureExt as _;
use mail_parser::{MessageParser, MimeHeaders as _};
use std::net::Ipv4Addr;
use std::sync::Arc;
use tandem_app::email::port::{Delivery, Mailbox, Mailer, OutgoingEmail, UnsubscribeBy};
use tandem_connectors::sink::{Script, Sink, SinkOptions};
use tandem_connectors::smtp::{AuthMode, DkimSettings, SmtpMailer, SmtpSettings, TlsMode, mailer, message};

fn outgoing(n: u32) -> OutgoingEmail {
    OutgoingEmail {
        message_id: format!("{n}@sender.example"),
        date: chrono::DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        from: Mailbox::named("坦德姆 Tandem", "hello@sender.example"),
        reply_to: Some(Mailbox::bare("answers@sender.example")),
        to: Mailbox::named("Ann \"A\" Li, Jr.", "ann@example.com"),
        subject: "您好 — a line, and a second thought that makes this subject rather longer than one line".into(),
        text: "Hello Ann,\n\n.a line that begins with a dot\n\n--\nTandem\n".into(),
        html: Some("<p>Hello <b>Ann</b>, 你好</p>".into()),
        unsubscribe: Some(UnsubscribeBy {
            url: format!("https://tandem.example/u/{}", "A".repeat(90)),
            mailto: Some(format!("mailto:answers@example.com?subject=unsubscribe%20{}", "A".repeat(90))),
        }),
    }
}

fn settings(sink: &Sink) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".into(),
        port: Some(sink.address().port()),
        tls: TlsMode::None,
        message_timeout_seconds: 1,
        ..SmtpSettings::default()
    }
}

async fn plain() -> (Sink, SmtpMailer) {
    let sink = Sink::start(SinkOptions::default()).await.unwrap();
    let mailer = SmtpMailer::new(settings(&sink)).unwrap();
    (sink, mailer)
}

fn no(code: u16) -> (u16, String) {
    (code, "no".to_owned())
}

#[tokio::test]
async fn there_are_as_many_turns_as_connections() {
    let mailer = SmtpMailer::new(SmtpSettings { max_connections: 2, ..SmtpSettings::default() }).unwrap();
    let (_first, second) = (mailer.turn().await, mailer.turn().await);
    let mut third = mailer.turn();
    assert!((&mut third).now_or_never().is_none());
    drop(second);
    third.await;
}

#[tokio::test]
async fn an_accepted_email_arrives_once_with_every_header() {
    let (sink, mailer) = plain().await;
    assert!(matches!(mailer.send(outgoing(1)).await, Delivery::Accepted { .. }));
    let [kept] = sink.messages().try_into().unwrap();
    assert_eq!(
        (kept.message_id.as_str(), kept.to.as_slice()),
        ("1@sender.example", &["ann@example.com".to_owned()][..])
    );
    let parsed = MessageParser::default().parse(kept.raw.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some(outgoing(1).subject.as_str()));
    assert_eq!(parsed.from().unwrap().first().unwrap().name(), Some("坦德姆 Tandem"));
    assert_eq!(parsed.to().unwrap().first().unwrap().name(), Some("Ann \"A\" Li, Jr."));
    assert_eq!(parsed.reply_to().unwrap().first().unwrap().address(), Some("answers@sender.example"));
    assert_eq!(parsed.date().unwrap().to_timestamp(), 1_790_000_000);
    assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n").trim_end(), outgoing(1).text.trim_end());
    assert!(parsed.body_html(0).unwrap().contains("你好"));
    assert!(parsed.content_type().unwrap().subtype() == Some("alternative"));
    let unfolded = kept.raw.replace("\r\n ", " ");
    let token = "A".repeat(90);
    let list = format!(
        "List-Unsubscribe: <https://tandem.example/u/{token}>, <mailto:answers@example.com?subject=unsubscribe%20{token}>\r\n"
    );
    assert!(unfolded.contains(&list), "{unfolded}");
    assert!(unfolded.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
    assert!(kept.raw.is_ascii() && kept.raw.split("\r\n").all(|line| line.len() <= 998));
}

#[tokio::test]
async fn the_same_email_has_the_same_bytes() {
    let [one, two] = [(); 2].map(|()| message::prepare(&outgoing(1), None).unwrap().bytes);
    assert_eq!(one, two);
}

#[tokio::test]
async fn every_answer_and_every_broken_line_has_its_name() {
    let (sink, mailer) = plain().await;
    let answers = |make: fn(u16, String) -> Script, code| {
        let (code, text) = no(code);
        make(code, text)
    };
    let deferred = |code| Delivery::Deferred { code, response: "no".into() };
    let rejected = |code, recipient| Delivery::Rejected { code, response: "no".into(), recipient };
    for (script, expected) in [
        (answers(Script::AnswerMail, 451), deferred(451)),
        (
            answers(Script::AnswerMail, 550),
            Delivery::Unreached { error: "the mail server refused the sender: 550 no".into() },
        ),
        (answers(Script::AnswerRcpt, 450), deferred(450)),
        (answers(Script::AnswerRcpt, 550), rejected(550, true)),
        (answers(Script::AnswerData, 451), deferred(451)),
        (answers(Script::AnswerData, 554), rejected(554, false)),
        (answers(Script::AnswerMessage, 452), deferred(452)),
        (answers(Script::AnswerMessage, 554), rejected(554, false)),
    ] {
        sink.script([script.clone()]);
        assert_eq!(mailer.send(outgoing(1)).await, expected, "{script:?}");
    }
    for (script, lost) in [
        (Script::DropBeforeData, false),
        (Script::DropAfterMessage { keep: false }, true),
        (Script::DropAfterMessage { keep: true }, true),
        (Script::StallAfterMessage, true),
    ] {
        sink.script([script.clone()]);
        let delivery = mailer.send(outgoing(2)).await;
        assert_eq!(matches!(delivery, Delivery::Unknown { .. }), lost, "{script:?}: {delivery:?}");
        assert_eq!(matches!(delivery, Delivery::Unreached { .. }), !lost, "{script:?}: {delivery:?}");
    }
    assert_eq!(sink.count(), 1, "only the one that was kept without an answer");
    assert!(matches!(mailer.send(outgoing(3)).await, Delivery::Accepted { .. }), "the mailer goes on after all this");
}

#[tokio::test]
async fn a_line_that_breaks_inside_a_long_message_is_never_taken_for_sent() {
    let (sink, mailer) = plain().await;
    sink.script([Script::DropInMessage]);
    let long = OutgoingEmail { text: "a line of some length, again and again\n".repeat(200_000), ..outgoing(1) };
    let delivery = mailer.send(long).await;
    // The socket's buffers may have taken the rest before the break was seen: then the outcome is unknown, not wrong.
    assert!(matches!(delivery, Delivery::Unreached { .. } | Delivery::Unknown { .. }), "{delivery:?}");
    assert_eq!(sink.count(), 0);
}

#[tokio::test]
async fn nobody_listening_is_certainly_not_sent() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let none = SmtpSettings { host: "127.0.0.1".into(), port: Some(free), tls: TlsMode::None, ..Default::default() };
    let mailer = mailer(none).unwrap();
    assert!(matches!(mailer.send(outgoing(1)).await, Delivery::Unreached { .. }));
    assert!(mailer.check().await.is_err());
    let unset = tandem_connectors::smtp::mailer(SmtpSettings::default()).unwrap();
    assert_eq!(unset.check().await, Err("no mail server is configured; set smtp.host".to_owned()));
}

#[tokio::test]
async fn one_connection_carries_many_emails_and_an_idle_one_that_died_is_replaced() {
    let (sink, mailer) = plain().await;
    for n in 0..5 {
        assert!(matches!(mailer.send(outgoing(n)).await, Delivery::Accepted { .. }));
    }
    assert_eq!((sink.count(), sink.connections()), (5, 1));
    sink.script([Script::AnswerMail(421, "idle too long".into())]);
    assert!(matches!(mailer.send(outgoing(6)).await, Delivery::Accepted { .. }));
    assert_eq!((sink.count(), sink.connections()), (6, 2));
}

#[tokio::test]
async fn an_email_is_appended_to_the_file_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sent.ndjson");
    let sink = Sink::start(SinkOptions { file: Some(file.clone()), ..Default::default() }).await.unwrap();
    let mailer = SmtpMailer::new(settings(&sink)).unwrap();
    assert!(matches!(mailer.send(outgoing(1)).await, Delivery::Accepted { .. }));
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with("{\"message_id\":\"1@sender.example\""));
}

struct Authority {
    pem: tempfile::NamedTempFile,
    server: Arc<rustls::ServerConfig>,
}

fn authority() -> Authority {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let pem = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(pem.path(), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    Authority { pem, server: Arc::new(server) }
}

#[tokio::test]
async fn tls_and_login_are_used_as_configured() {
    let authority = authority();
    for (mode, implicit_tls) in [(TlsMode::Starttls, false), (TlsMode::Opportunistic, false), (TlsMode::Implicit, true)]
    {
        let sink = Sink::start(SinkOptions {
            login: Some(("user".into(), "secret".into())),
            tls: Some(Arc::clone(&authority.server)),
            implicit_tls,
            ..Default::default()
        })
        .await
        .unwrap();
        for auth in [AuthMode::Auto, AuthMode::Plain, AuthMode::Login] {
            let good = SmtpSettings {
                tls: mode,
                auth,
                ca_file: Some(authority.pem.path().to_owned()),
                username: Some("user".into()),
                password: Some("secret".into()),
                ..settings(&sink)
            };
            let mailer = SmtpMailer::new(good.clone()).unwrap();
            let delivery = mailer.send(outgoing(1)).await;
            assert!(matches!(delivery, Delivery::Accepted { .. }), "{mode:?} {auth:?} {delivery:?}");
            assert!(mailer.check().await.unwrap().ends_with("(encrypted)"));
            let wrong = SmtpMailer::new(SmtpSettings { password: Some("guess".into()), ..good.clone() }).unwrap();
            let delivery = wrong.send(outgoing(1)).await;
            assert!(matches!(delivery, Delivery::Unreached { .. }), "a wrong password bounces nobody: {delivery:?}");
            let stranger = SmtpMailer::new(SmtpSettings { ca_file: None, ..good }).unwrap();
            let delivery = stranger.send(outgoing(1)).await;
            assert!(matches!(delivery, Delivery::Unreached { .. }), "an unknown authority is refused: {delivery:?}");
        }
        assert_eq!(sink.count(), 3);
    }
}

#[tokio::test]
async fn a_password_is_never_sent_in_the_clear_where_tls_was_asked_for() {
    let login = Some(("user".to_owned(), "secret".to_owned()));
    let sink = Sink::start(SinkOptions { login, ..Default::default() }).await.unwrap();
    for tls in [TlsMode::Starttls, TlsMode::Opportunistic] {
        let asked =
            SmtpSettings { tls, username: Some("user".into()), password: Some("secret".into()), ..settings(&sink) };
        let delivery = SmtpMailer::new(asked).unwrap().send(outgoing(1)).await;
        assert!(matches!(delivery, Delivery::Unreached { .. }), "{delivery:?}");
    }
    assert_eq!(sink.count(), 0);
}

#[tokio::test]
async fn a_signed_email_covers_the_unsubscribe_headers() {
    let sink = Sink::start(SinkOptions::default()).await.unwrap();
    let dkim = DkimSettings {
        domain: "sender.example".into(),
        selector: "s1".into(),
        private_key: include_str!("fixtures/dkim-test-only.pem").into(),
    };
    let mailer = SmtpMailer::new(SmtpSettings { dkim: Some(dkim), ..settings(&sink) }).unwrap();
    assert!(matches!(mailer.send(outgoing(1)).await, Delivery::Accepted { .. }));
    let raw = sink.messages().remove(0).raw;
    let own = raw.split("\r\nFrom:").next().unwrap().replace("\r\n ", "");
    assert!(own.starts_with("DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.example; s=s1;"), "{raw}");
    assert!(own.contains("list-unsubscribe:list-unsubscribe:list-unsubscribe-post:list-unsubscribe-post"));
}

#[tokio::test]
async fn a_header_cannot_be_smuggled_in() {
    let (sink, mailer) = plain().await;
    for bad in [
        OutgoingEmail { subject: "a\r\nBcc: x@example.org".into(), ..outgoing(1) },
        OutgoingEmail { to: Mailbox::named("a\r\nBcc: x@example.org", "ann@example.com"), ..outgoing(1) },
        OutgoingEmail { to: Mailbox::bare("ann@example.com>\r\nRCPT TO:<x@example.org"), ..outgoing(1) },
        OutgoingEmail { message_id: "a>\r\nBcc: <x@example.org".into(), ..outgoing(1) },
    ] {
        let delivery = mailer.send(bad).await;
        assert!(matches!(delivery, Delivery::Unreached { .. }), "{delivery:?}");
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn half_a_login_and_a_missing_file_are_named() {
    let (sink, _) = plain().await;
    let half = SmtpSettings { username: Some("user".into()), ..settings(&sink) };
    assert!(SmtpMailer::new(half).unwrap_err().to_string().contains("smtp.password"));
    let missing = SmtpSettings { tls: TlsMode::Starttls, ca_file: Some("/nowhere.pem".into()), ..settings(&sink) };
    assert!(SmtpMailer::new(missing).unwrap_err().to_string().contains("/nowhere.pem"));
}
