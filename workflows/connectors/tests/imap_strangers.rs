//! Incoming e-mail from servers that are slow, broken or hostile: nobody waits for ever, nothing is held without end, no
//! password goes where it should not, and every failure has its name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, Utc};
use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tandem_connectors::imap::{Cursor, ImapError, ImapInbox, ImapSettings, TlsMode};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

const LONG_AGO: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// An error is a sentence on one line that gives no password away.
fn sentence(error: &ImapError) -> String {
    let text = error.to_string();
    assert!(!text.contains("s3cret") && !text.contains("AHJl"), "{text}");
    assert!(!text.contains(char::is_control) && text.len() < 1_000, "{text}");
    assert!(!format!("{error:?}").contains("s3cret"));
    text
}

/// A server that says what a test wants.
struct Fake {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is said to a command, with `{tag}` for its tag. A zero byte closes the connection.
type Answers = &'static [(&'static str, &'static str)];

const USUAL: Answers = &[
    ("CAPABILITY", "* CAPABILITY IMAP4rev1\r\n{tag} OK\r\n"),
    ("LOGIN", "{tag} OK\r\n"),
    ("EXAMINE", "* 1 EXISTS\r\n* OK [UIDVALIDITY 1]\r\n* OK [UIDNEXT 9]\r\n{tag} OK [READ-ONLY]\r\n"),
    ("UID SEARCH", "* SEARCH 8\r\n{tag} OK\r\n"),
    ("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {2}\r\nhi)\r\n{tag} OK\r\n"),
    ("LOGOUT", "* BYE\r\n{tag} OK\r\n\0"),
];

impl Fake {
    /// Does with each connection what `serve` says.
    async fn on<F, S>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { port, heard, task }
    }

    /// Says one thing, and waits.
    async fn saying(first: impl Into<Vec<u8>>) -> Self {
        let first: Arc<[u8]> = first.into().into();
        Self::on(move |mut stream, _| {
            let first = Arc::clone(&first);
            async move {
                let _ = stream.write_all(&first).await;
                std::future::pending().await
            }
        })
        .await
    }

    /// Answers as any server would, but to some commands.
    async fn but(answers: Answers) -> Self {
        Self::on(move |stream, heard| async move {
            let (mut line, mut tag) = (BufReader::new(stream), "*".to_owned());
            let mut answer = "* OK hello\r\n".to_owned();
            loop {
                let (said, closes) = answer.strip_suffix('\0').map_or((answer.as_str(), false), |said| (said, true));
                let mut command = String::new();
                if line.write_all(said.as_bytes()).await.is_err()
                    || closes
                    || !matches!(line.read_line(&mut command).await, Ok(1..))
                {
                    return;
                }
                // What goes on with a command has no tag of its own.
                let command = match command.trim_end().split_once(' ') {
                    Some((given, command)) => {
                        given.clone_into(&mut tag);
                        command.to_owned()
                    }
                    None => command.trim_end().to_owned(),
                };
                let known = answers.iter().chain(USUAL).find(|(name, _)| command.starts_with(name));
                answer = known.map_or("{tag} OK\r\n", |(_, answer)| answer).replace("{tag}", &tag);
                heard.lock().unwrap().push(command);
            }
        })
        .await
    }

    fn settings(&self) -> ImapSettings {
        ImapSettings {
            host: "127.0.0.1".into(),
            port: Some(self.port),
            tls: TlsMode::None,
            username: "reader".into(),
            password: "s3cret".into(),
            connect_timeout_seconds: 1,
            command_timeout_seconds: 1,
            ..ImapSettings::default()
        }
    }

    async fn look(&self) -> Result<Vec<u32>, ImapError> {
        let look = ImapInbox::new(self.settings()).unwrap().look(None, LONG_AGO, 100).await?;
        Ok(look.messages.iter().map(|found| found.uid).collect())
    }

    async fn refusal(&self) -> ImapError {
        let error = self.look().await.unwrap_err();
        sentence(&error);
        error
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn only_commands_that_read_are_given_and_the_last_is_a_good_bye() {
    let fake = Fake::but(&[]).await;
    assert_eq!(fake.look().await, Ok(vec![8]));
    // The good-bye is said in the background.
    let said = async {
        while fake.heard().last().is_none_or(|last| last != "LOGOUT") {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), said).await.unwrap();
    let expected = [
        "CAPABILITY",
        "LOGIN \"reader\" \"s3cret\"",
        "EXAMINE \"INBOX\"",
        "UID SEARCH SINCE 1-Jan-1970",
        "UID FETCH 8 (UID RFC822.SIZE INTERNALDATE BODY.PEEK[]<0.262144>)",
        "LOGOUT",
    ];
    assert_eq!(fake.heard(), expected);
}

#[tokio::test]
async fn who_wants_to_know_who_asks_is_told_and_need_not_like_it() {
    const CAN: (&str, &str) = ("CAPABILITY", "* CAPABILITY IMAP4rev1 ID\r\n{tag} OK\r\n");
    for answers in [&[CAN, ("ID", "* ID NIL\r\n{tag} OK\r\n")], &[CAN, ("ID", "{tag} NO\r\n")]] {
        let fake = Fake::but(answers).await;
        assert_eq!(fake.look().await, Ok(vec![8]));
        assert!(fake.heard().contains(&"ID (\"name\" \"Tandem\")".to_owned()), "{:?}", fake.heard());
    }
}

#[tokio::test]
async fn a_good_bye_that_fails_changes_nothing() {
    for answers in [&[("LOGOUT", "")], &[("LOGOUT", "\0")], &[("LOGOUT", "{tag} BAD what?\r\n")]] {
        assert_eq!(Fake::but(answers).await.look().await, Ok(vec![8]));
    }
}

#[tokio::test]
async fn who_does_not_answer_holds_nobody_longer_than_the_time_out() {
    // Each line comes in time, and their end never.
    let dripping = Fake::on(|mut stream, _| async move {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        let _ = stream.write_all(b"* OK hello\r\n").await;
        while stream.write_all(b"* 1 RECENT\r\n").await.is_ok() {
            pace.tick().await;
        }
    });
    let mut looks = JoinSet::new();
    for (fake, tls) in [
        (Fake::saying("").await, TlsMode::None),
        (Fake::saying("").await, TlsMode::Implicit),
        (Fake::saying("").await, TlsMode::Starttls),
        (Fake::saying("* OK hello\r\n").await, TlsMode::None),
        (Fake::but(&[("LOGIN", "")]).await, TlsMode::None),
        (Fake::but(&[("EXAMINE", "* 1 EXISTS\r\n")]).await, TlsMode::None),
        (Fake::but(&[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {2}\r\nh")]).await, TlsMode::None),
        (dripping.await, TlsMode::None),
    ] {
        looks.spawn(async move {
            let inbox = ImapInbox::new(ImapSettings { tls, ..fake.settings() }).unwrap();
            let begun = Instant::now();
            (inbox.look(None, LONG_AGO, 100).await.unwrap_err(), begun.elapsed())
        });
    }
    for (error, took) in looks.join_all().await {
        sentence(&error);
        assert!(matches!(error, ImapError::Timeout(_)), "{error:?}");
        assert!((Duration::from_millis(990)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
}

/// A server that says something and then the same thing for ever. It counts what was taken.
async fn endless(first: &'static str, chunk: &'static str) -> (Fake, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    let fake = Fake::on(move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            let _ = stream.write_all(first.as_bytes()).await;
            let chunk = chunk.repeat(1 + 65_536 / chunk.len());
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                counted.fetch_add(chunk.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (fake, taken)
}

#[tokio::test]
async fn who_talks_for_ever_is_not_listened_to_for_ever() {
    for (first, chunk) in [
        ("", "a"),
        ("* OK ", "a"),
        ("* OK hello\r\n* SEARCH", " 1"),
        ("* OK hello\r\n* 1 FETCH ", "("),
        ("* OK hello\r\n", "* 1 EXISTS\r\n"),
        ("* OK hello\r\n", "* SEARCH 1 2 3\r\n"),
        ("* OK hello\r\n* LIST ", "{100000}\r\n"),
    ] {
        let (fake, taken) = endless(first, chunk).await;
        let unhurried = ImapSettings { connect_timeout_seconds: 60, command_timeout_seconds: 60, ..fake.settings() };
        let error = ImapInbox::new(unhurried).unwrap().check().await.unwrap_err();
        sentence(&error);
        assert!(matches!(error, ImapError::Protocol(_)), "{first}{chunk}: {error:?}");
        // With what the sockets hold, and that is some megabytes.
        assert!(taken.load(Ordering::SeqCst) < 32 << 20, "{first}{chunk}");
    }
}

#[tokio::test]
async fn a_literal_that_nobody_asked_for_is_not_waited_for() {
    for answers in [
        &[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {4294967296}\r\n")],
        &[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {500000000}\r\n")],
        &[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {262145}\r\n")],
        &[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {99999999999999999999999999}\r\n")],
        &[("CAPABILITY", "* OK [BADCHARSET ({500000000}\r\n")],
    ] {
        let error = Fake::but(answers).await.refusal().await;
        assert!(matches!(error, ImapError::Protocol(_)), "{error:?}");
    }
}

#[tokio::test]
async fn what_is_not_imap_is_named() {
    for greeting in [
        "220 mail.example ESMTP\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\0\u{1}\u{2}坦德姆 s3cret\r\n",
        "\r\n",
        "* hello\r\n",
        "* NO hello\r\n",
        "T1 OK hello\r\n",
        "+ hello\r\n",
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        // Who says that we are in already has not asked who we are.
        "* PREAUTH hello\r\n",
    ] {
        let error = Fake::saying(greeting).await.refusal().await;
        assert!(matches!(error, ImapError::Protocol(_)), "{greeting}: {error:?}");
    }
    for answers in [
        &[("CAPABILITY", "what?\r\n")],
        &[("CAPABILITY", "T99 OK\r\n")],
        &[("CAPABILITY", "{tag} NO\r\n")],
        &[("LOGIN", "+ go on\r\n")],
        &[("EXAMINE", "{tag} OK\r\n")],
        &[("UID SEARCH", "* SEARCH x\r\n{tag} OK\r\n")],
        &[("UID FETCH", "* 1 FETCH (BODYSTRUCTURE ((((((((((((((((\r\n{tag} OK\r\n")],
        &[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {5}\r\nhi)\r\n{tag} OK\r\n")],
    ] {
        let error = Fake::but(answers).await.refusal().await;
        assert!(matches!(error, ImapError::Protocol(_)), "{answers:?}: {error:?}");
    }
}

#[tokio::test]
async fn nobody_there_and_whoever_hangs_up_is_out_of_reach() {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let nobody = ImapSettings { port: Some(free), ..Fake::saying("").await.settings() };
    let error = ImapInbox::new(nobody).unwrap().check().await.unwrap_err();
    assert!(matches!(error, ImapError::Unreachable(_)) && sentence(&error).contains(&free.to_string()), "{error:?}");
    let at_once = Fake::on(|stream, _| async move { drop(stream) }).await;
    let reset = Fake::on(|stream, _| async move { stream.set_zero_linger().unwrap() }).await;
    for fake in [
        at_once,
        reset,
        Fake::saying("* BYE too many of you\r\n").await,
        Fake::but(&[("LOGIN", "* BYE not today\r\n\0")]).await,
        Fake::but(&[("EXAMINE", "\0")]).await,
        Fake::but(&[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {2}\r\nh\0")]).await,
        // What has come is not all that was asked for: the end of the answer is missing.
        Fake::but(&[("UID FETCH", "* 1 FETCH (UID 8 BODY[]<0> {2}\r\nhi)\r\n\0")]).await,
    ] {
        let error = fake.refusal().await;
        assert!(matches!(error, ImapError::Unreachable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_no_empty_mailbox() {
    for answers in [
        &[("UID SEARCH", "{tag} NO [UNAVAILABLE] index\r\n")],
        &[("UID SEARCH", "* SEARCH 8\r\n{tag} BAD index\r\n")],
        &[("UID FETCH", "{tag} NO index\r\n")],
    ] {
        let error = Fake::but(answers).await.refusal().await;
        assert!(matches!(error, ImapError::Protocol(_)) && sentence(&error).contains("index"), "{error:?}");
    }
}

/// Both together and the ninth alone are refused.
const ONE_IS_BROKEN: Answers = &[
    ("UID SEARCH", "* SEARCH 8 9\r\n{tag} OK\r\n"),
    ("UID FETCH 8,9 ", "{tag} NO cannot convert\r\n"),
    ("UID FETCH 9 ", "{tag} NO cannot convert\r\n"),
];

#[tokio::test]
async fn one_message_that_is_refused_holds_up_no_other() {
    let fake = Fake::but(ONE_IS_BROKEN).await;
    let look = ImapInbox::new(fake.settings()).unwrap().look(None, LONG_AGO, 100).await.unwrap();
    assert_eq!(look.messages.iter().map(|found| found.uid).collect::<Vec<_>>(), [8]);
    assert_eq!((look.cursor.uid, look.more), (9, false));
}

/// A message that is refused whenever it is asked for, alone with an older one.
const ALONE: [(&str, &str); 3] = [
    ("UID SEARCH", "* SEARCH 9\r\n{tag} OK\r\n"),
    ("UID FETCH 9 ", "{tag} NO cannot convert\r\n"),
    ("FETCH 1 ", "* 1 FETCH (UID 3 BODY[]<0> {1}\r\nx)\r\n{tag} OK\r\n"),
];

#[tokio::test]
async fn a_message_that_is_refused_alone_is_passed_over_where_the_server_gives_others() {
    const LASTING: Answers = &ALONE;
    let fake = Fake::but(LASTING).await;
    let look = ImapInbox::new(fake.settings()).unwrap().look(None, LONG_AGO, 100).await.unwrap();
    assert!(look.messages.is_empty() && !look.more && look.cursor.uid == 9, "{look:?}");
    // It may be given another time; nor is any other given.
    const PASSING: Answers = &[ALONE[0], ("UID FETCH 9 ", "{tag} NO [UNAVAILABLE] later\r\n"), ALONE[2]];
    const NO_OTHER: Answers =
        &[ALONE[0], ALONE[1], ("FETCH 1 ", "* 1 FETCH (UID 9 BODY[]<0> {1}\r\nx)\r\n{tag} OK\r\n")];
    const NONE: Answers = &[ALONE[0], ALONE[1], ("FETCH 1 ", "{tag} NO cannot convert\r\n")];
    for answers in [PASSING, NO_OTHER, NONE] {
        let error = Fake::but(answers).await.refusal().await;
        assert!(matches!(error, ImapError::Protocol(_)) && sentence(&error).contains("messages 9"), "{error:?}");
    }
}

#[tokio::test]
async fn a_message_that_may_be_given_another_time_is_not_passed_over() {
    let fake = Fake::but(&[
        ("UID SEARCH", "* SEARCH 8 9\r\n{tag} OK\r\n"),
        ("UID FETCH 8,9 ", "{tag} NO [LIMIT] too much\r\n"),
        ("UID FETCH 9 ", "{tag} NO [limit] too much\r\n"),
    ])
    .await;
    assert!(sentence(&fake.refusal().await).contains("too much"));
}

/// The second command for messages is answered by hanging up.
const MANY: Answers = &[
    ("UID SEARCH", "* SEARCH 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 4\r\n{tag} OK\r\n"),
    ("UID FETCH 20 ", "\0"),
];

#[tokio::test]
async fn what_was_read_before_an_error_is_given() {
    let fake = Fake::but(MANY).await;
    let look = ImapInbox::new(fake.settings()).unwrap().look(None, LONG_AGO, 100).await.unwrap();
    assert_eq!(look.messages.iter().map(|found| found.uid).collect::<Vec<_>>(), [8]);
    assert_eq!((look.cursor, look.more), (Cursor { uid_validity: 1, uid: 19 }, true));
}

#[tokio::test]
async fn what_was_not_asked_for_is_not_given() {
    let fake = Fake::but(&[
        ("UID SEARCH", "* SEARCH\r\n* 2 EXISTS\r\n* SEARCH 3 8\r\n{tag} OK\r\n"),
        (
            "UID FETCH",
            "* 5 FETCH (UID 5 BODY[]<0> \"no\")\r\n* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (UID 3 FLAGS ())\r\n\
             * 1 FETCH (UID 8 BODY[]<0> \"hi\")\r\n* NO low on memory\r\n* VANISHED 9\r\n{tag} OK\r\n",
        ),
    ])
    .await;
    assert_eq!(fake.look().await, Ok(vec![8]));
    // A server may mean its last message by `n:*`, whatever n is.
    let after = Some(Cursor { uid_validity: 1, uid: 8 });
    let look = ImapInbox::new(fake.settings()).unwrap().look(after, LONG_AGO, 100).await.unwrap();
    assert!(look.messages.is_empty() && !look.more && look.cursor.uid == 8);
    assert!(fake.heard().contains(&"UID SEARCH UID 9:*".to_owned()));
}

fn password_was_sent(fake: &Fake) -> bool {
    fake.heard().iter().any(|command| command.starts_with("LOGIN") || command.starts_with("AUTHENTICATE"))
}

#[tokio::test]
async fn without_starttls_no_password_is_sent() {
    for answers in [
        &[("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN XSTARTTLS\r\n{tag} OK\r\n"), ("STARTTLS", "{tag} OK\r\n")],
        &[("CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK\r\n"), ("STARTTLS", "{tag} NO\r\n")],
        // Somebody on the way speaks first, to be heard as if it came over TLS.
        &[
            ("CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK\r\n"),
            ("STARTTLS", "{tag} OK\r\n* CAPABILITY IMAP4rev1\r\nT3 OK\r\nT4 OK\r\n"),
        ],
        &[
            ("CAPABILITY", "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK\r\n"),
            ("STARTTLS", "* OK\r\n{tag} OK\r\nT3 OK\r\n\0"),
        ],
    ] {
        let fake = Fake::but(answers).await;
        let inbox = ImapInbox::new(ImapSettings { tls: TlsMode::Starttls, ..fake.settings() }).unwrap();
        let error = inbox.check().await.unwrap_err();
        sentence(&error);
        assert!(matches!(error, ImapError::Tls(_)), "{error:?}");
        assert!(!password_was_sent(&fake), "{:?}", fake.heard());
    }
}

#[tokio::test]
async fn a_login_is_one_that_the_server_takes() {
    let fake = Fake::but(&[
        ("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN\r\n{tag} OK\r\n"),
        ("AUTHENTICATE", "+ \r\n"),
    ])
    .await;
    assert_eq!(fake.look().await, Ok(vec![8]));
    assert_eq!(fake.heard()[1..3], ["AUTHENTICATE PLAIN", "AHJlYWRlcgBzM2NyZXQ="]);
    let disabled = Fake::but(&[("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK\r\n")]).await;
    assert!(matches!(disabled.refusal().await, ImapError::Login(_)) && !password_was_sent(&disabled));
    let ascii = Fake::but(&[]).await;
    let other = ImapInbox::new(ImapSettings { password: "größer s3cret".into(), ..ascii.settings() }).unwrap();
    let error = other.check().await.unwrap_err();
    assert!(matches!(error, ImapError::Login(_)) && !password_was_sent(&ascii));
    sentence(&error);
}

#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_give_it_away() {
    let answers: [Answers; 5] = [
        &[("LOGIN", "{tag} NO not \"s3cret\" and not s3cret\r\n")],
        &[("LOGIN", "{tag} BAD LOGIN \"reader\" \"s3cret\"\r\n")],
        &[("LOGIN", "* BYE s3cret\r\n")],
        &[("LOGIN", "s3cret?\r\n")],
        &[
            ("CAPABILITY", "* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN\r\n{tag} OK\r\n"),
            ("AUTHENTICATE", "+ \r\n"),
            ("AHJlYWRlcgBzM2NyZXQ=", "{tag} NO AHJlYWRlcgBzM2NyZXQ=\r\n"),
        ],
    ];
    for answers in answers {
        let error = Fake::but(answers).await.refusal().await;
        assert!(sentence(&error).contains("***"), "{error}");
    }
}

#[test]
fn settings_that_cannot_be_meant_are_named() {
    let good = ImapSettings {
        host: "imap.example.com".into(),
        username: "reader".into(),
        password: "s3cret".into(),
        ..ImapSettings::default()
    };
    assert!(ImapInbox::new(good.clone()).is_ok());
    let text = |bad: &str| bad.to_owned();
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    for (bad, key) in [
        (ImapSettings { host: text(" "), ..good.clone() }, "imap.host"),
        (ImapSettings { host: text("a b"), ..good.clone() }, "imap.host"),
        (ImapSettings { host: text("a\r\nb"), ..good.clone() }, "imap.host"),
        (ImapSettings { username: text(""), ..good.clone() }, "imap.username"),
        (ImapSettings { username: text("a\r\nT9 DELETE x"), ..good.clone() }, "imap.username"),
        (ImapSettings { password: text(""), ..good.clone() }, "imap.password"),
        (ImapSettings { password: text("s3cret\0"), ..good.clone() }, "imap.password"),
        (ImapSettings { folder: text("\t"), ..good.clone() }, "imap.folder"),
        (ImapSettings { folder: text("a\nb"), ..good.clone() }, "imap.folder"),
        (ImapSettings { ca_file: Some("/nowhere.pem".into()), ..good.clone() }, "imap.ca_file /nowhere.pem"),
        (ImapSettings { ca_file: Some(empty), ..good.clone() }, "imap.ca_file"),
    ] {
        let error = ImapInbox::new(bad).unwrap_err();
        assert!(matches!(error, ImapError::Settings(_)) && sentence(&error).starts_with(key), "{error}");
    }
    let longest = ImapSettings { connect_timeout_seconds: u64::MAX, command_timeout_seconds: u64::MAX, ..good };
    assert!(ImapInbox::new(longest).is_ok());
}

#[test]
fn the_section_has_defaults_and_shows_no_password() {
    let section = |json: &str| serde_json::from_str::<ImapSettings>(json);
    let read = section(r#"{"host":"imap.example.com","password":"s3cret"}"#).unwrap();
    assert_eq!((read.port(), read.tls, read.folder.as_str()), (993, TlsMode::Implicit, "INBOX"));
    assert_eq!(section(r#"{"tls":"starttls"}"#).unwrap().port(), 143);
    assert_eq!(section(r#"{"tls":"none","port":1143}"#).unwrap().port(), 1143);
    assert!(section(r#"{"passwort":"s3cret"}"#).is_err() && section(r#"{"tls":"opportunistic"}"#).is_err());
    let shown = format!("{read:?}");
    assert!(shown.contains("imap.example.com") && !shown.contains("s3cret"), "{shown}");
    let inbox = ImapInbox::new(ImapSettings { username: "reader".into(), ..read }).unwrap();
    assert!(!format!("{inbox:?}").contains("s3cret"));
}
