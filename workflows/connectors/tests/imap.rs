//! Incoming e-mail from a real mail server: what is read, in which order, and that it is left as it was.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod dovecot;

use chrono::{DateTime, TimeDelta, Utc};
use dovecot::{Dovecot, USERS};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tandem_connectors::imap::{Found, ImapError, ImapInbox, ImapSettings, LARGEST_PART, TlsMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LONG_AGO: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn settings(dovecot: &Dovecot, tls: TlsMode) -> ImapSettings {
    let port = if tls == TlsMode::Implicit { dovecot.implicit_port() } else { dovecot.plain_port() };
    let (username, password) = USERS[0];
    ImapSettings {
        host: "127.0.0.1".into(),
        port: Some(port),
        tls,
        ca_file: Some(dovecot.ca_file()),
        username: username.into(),
        password: password.into(),
        ..ImapSettings::default()
    }
}

fn inbox(dovecot: &Dovecot) -> ImapInbox {
    ImapInbox::new(settings(dovecot, TlsMode::Implicit)).unwrap()
}

fn message(n: u32) -> String {
    format!("From: Ann <ann@example.com>\r\nSubject: {n}\r\nMessage-ID: <{n}@example.com>\r\n\r\nHello {n}.\r\n")
}

fn subjects(messages: &[Found]) -> Vec<u32> {
    let subject = |found: &Found| {
        let text = String::from_utf8(found.raw.clone()).unwrap();
        text.split("Subject: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap()
    };
    messages.iter().map(subject).collect()
}

/// An error is a sentence on one line that gives no password away.
fn sentence(error: &ImapError) -> String {
    let text = error.to_string();
    assert!(!text.contains("s3cret") && !text.contains(char::is_control) && text.len() < 1_000, "{text}");
    assert!(!format!("{error:?}").contains("s3cret"));
    text
}

#[tokio::test]
async fn the_same_is_read_over_every_protection() {
    let Some(dovecot) = Dovecot::start().await else { return };
    dovecot.deliver(message(1));
    for (tls, protected) in
        [(TlsMode::Implicit, "encrypted"), (TlsMode::Starttls, "encrypted"), (TlsMode::None, "not encrypted")]
    {
        let settings = settings(&dovecot, tls);
        let inbox = ImapInbox::new(settings.clone()).unwrap();
        let expected = format!("127.0.0.1:{} ({protected}), INBOX: 1 messages", settings.port());
        assert_eq!(inbox.check().await, Ok(expected));
        let look = inbox.look(None, LONG_AGO, 10).await.unwrap();
        let [found] = look.messages.as_slice() else { panic!("{look:?}") };
        assert_eq!((found.uid, found.raw.as_slice()), (1, message(1).as_bytes()), "{tls:?}");
        assert_eq!(usize::try_from(found.size).unwrap(), message(1).len());
        let arrived: SystemTime = found.arrived_at.unwrap().into();
        let written = fs::metadata(dovecot.folder("").join("new")).unwrap().modified().unwrap();
        assert!(written.duration_since(arrived).unwrap() < Duration::from_secs(60));
        assert_eq!((look.cursor.uid, look.more), (1, false));
    }
}

#[tokio::test]
async fn whoever_has_the_password_is_let_in_and_nobody_else() {
    let Some(dovecot) = Dovecot::start().await else { return };
    for (tls, (wrong, _)) in [TlsMode::Implicit, TlsMode::Starttls, TlsMode::None].into_iter().zip(USERS) {
        for (username, password) in USERS {
            let own = ImapSettings { username: username.into(), password: password.into(), ..settings(&dovecot, tls) };
            assert!(ImapInbox::new(own.clone()).unwrap().check().await.is_ok(), "{username}");
            // A server takes its time for each.
            if username == wrong {
                let other = ImapSettings { password: format!("{password} s3cret"), ..own };
                let refused = ImapInbox::new(other).unwrap().look(None, LONG_AGO, 1).await.unwrap_err();
                assert!(matches!(refused, ImapError::Login(_)), "{refused:?}");
                sentence(&refused);
            }
        }
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_refused() {
    let Some(dovecot) = Dovecot::start().await else { return };
    for tls in [TlsMode::Implicit, TlsMode::Starttls] {
        for stranger in [
            ImapSettings { ca_file: None, ..settings(&dovecot, tls) },
            ImapSettings { host: "localhost".into(), ..settings(&dovecot, tls) },
        ] {
            let refused = ImapInbox::new(stranger).unwrap().check().await.unwrap_err();
            assert!(matches!(refused, ImapError::Tls(_)), "{refused:?}");
            assert!(sentence(&refused).contains("certificate"), "{refused}");
        }
    }
    // The port is the wrong one for the protection.
    let port = Some(dovecot.plain_port());
    let mistaken = ImapInbox::new(ImapSettings { port, ..settings(&dovecot, TlsMode::Implicit) }).unwrap();
    assert!(matches!(mistaken.check().await, Err(ImapError::Tls(_))));
}

#[tokio::test]
async fn messages_come_in_order_and_once() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    let mut cursor = None;
    // The first time there is nothing. Then there are more than are asked for at once.
    for (from, to) in [(0, 0), (0, 40), (40, 40), (40, 41)] {
        (from..to).for_each(|n| drop(dovecot.deliver(message(n))));
        let look = inbox.look(cursor, LONG_AGO, 1_000).await.unwrap();
        assert_eq!(subjects(&look.messages), (from..to).collect::<Vec<_>>());
        assert!(!look.more && look.messages.is_sorted_by_key(|found| found.uid));
        assert_eq!(look.messages.last().map_or(look.cursor.uid, |last| last.uid), look.cursor.uid);
        cursor = Some(look.cursor);
    }
}

#[tokio::test]
async fn a_limit_leaves_the_rest_to_the_next_look() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    (0..25).for_each(|n| drop(dovecot.deliver(message(n))));
    let (mut cursor, mut read) = (None, Vec::new());
    for (limit, more) in [(0, true), (1, true), (20, true), (4, false), (4, false)] {
        let look = inbox.look(cursor, LONG_AGO, limit).await.unwrap();
        assert!(look.messages.len() <= limit && look.more == more, "{limit}");
        read.extend(subjects(&look.messages));
        cursor = Some(look.cursor);
    }
    assert_eq!(read, (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_that_is_gone_is_passed_over() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    let files: Vec<_> = (0..6).map(|n| dovecot.deliver(message(n))).collect();
    let first = inbox.look(None, LONG_AGO, 2).await.unwrap();
    for gone in [1, 2, 5] {
        fs::remove_file(&files[gone]).unwrap();
    }
    let rest = inbox.look(Some(first.cursor), LONG_AGO, 10).await.unwrap();
    assert_eq!((subjects(&rest.messages), rest.more), (vec![3, 4], false));
    // The last one that there is lies before the cursor, and `n:*` would still mean it.
    fs::remove_file(&files[4]).unwrap();
    let none = inbox.look(Some(rest.cursor), LONG_AGO, 10).await.unwrap();
    assert_eq!((none.messages.len(), none.cursor, none.more), (0, rest.cursor, false));
}

#[tokio::test]
async fn a_first_look_goes_back_to_a_day_and_no_look_goes_behind_it() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    let since: DateTime<Utc> = "2026-03-02T15:00:00Z".parse().unwrap();
    for (n, arrived) in [
        (0, "2026-02-01T12:00:00Z"),
        (1, "2026-03-01T23:59:59Z"),
        (2, "2026-03-02T00:00:00Z"),
        (3, "2026-03-09T12:00:00Z"),
        (4, "2025-01-01T12:00:00Z"),
    ] {
        dovecot.deliver_to("", message(n), Some(arrived.parse::<DateTime<Utc>>().unwrap().into()));
    }
    let look = inbox.look(None, since, 10).await.unwrap();
    assert_eq!((subjects(&look.messages), look.more), (vec![2, 3], false));
    assert_eq!(look.messages[0].arrived_at, Some("2026-03-02T00:00:00Z".parse().unwrap()));
    let none = inbox.look(None, since + TimeDelta::days(30), 10).await.unwrap();
    assert!(none.messages.is_empty() && none.cursor == look.cursor);
    // What arrives later is new whatever its day.
    dovecot.deliver_to("", message(5), Some(LONG_AGO.into()));
    assert_eq!(subjects(&inbox.look(Some(none.cursor), since, 10).await.unwrap().messages), [5]);
}

#[tokio::test]
async fn of_a_large_message_the_beginning_is_read() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    let large = format!("{}{}", message(1), "0123456789abcde\n".repeat(100_000).replace('\n', "\r\n"));
    let exact = format!("{}{}", message(2), "x".repeat(LARGEST_PART - message(2).len()));
    dovecot.deliver(&large);
    dovecot.deliver(&exact);
    dovecot.deliver("");
    let look = inbox.look(None, LONG_AGO, 10).await.unwrap();
    let [cut, whole, empty] = look.messages.as_slice() else { panic!("{} messages", look.messages.len()) };
    assert!(cut.raw == large.as_bytes()[..LARGEST_PART] && usize::try_from(cut.size).unwrap() == large.len());
    assert!(whole.raw == exact.as_bytes() && usize::try_from(whole.size).unwrap() == LARGEST_PART);
    assert_eq!((empty.raw.len(), empty.size), (0, 0));
}

#[tokio::test]
async fn one_look_holds_no_more_than_16_mib() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    let rest = "x".repeat(300 * 1024);
    (0..70).for_each(|n| drop(dovecot.deliver(format!("{}{rest}", message(n)))));
    let first = inbox.look(None, LONG_AGO, 1_000).await.unwrap();
    assert_eq!((first.messages.len(), first.more), (64, true));
    let second = inbox.look(Some(first.cursor), LONG_AGO, 1_000).await.unwrap();
    assert_eq!((subjects(&second.messages), second.more), ((64..70).collect(), false));
}

/// What a server says to commands, over a connection of the test's own.
async fn raw_answers(dovecot: &Dovecot, commands: &[&str]) -> String {
    let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, dovecot.plain_port())).await.unwrap();
    let (username, password) = USERS[0];
    line.write_all(format!("a LOGIN {username} {password}\r\n").as_bytes()).await.unwrap();
    for command in commands {
        line.write_all(format!("b {command}\r\n").as_bytes()).await.unwrap();
    }
    line.write_all(b"c LOGOUT\r\n").await.unwrap();
    let mut answers = String::new();
    line.read_to_string(&mut answers).await.unwrap();
    answers
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn nothing_is_marked() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    (0..3).for_each(|n| drop(dovecot.deliver(message(n))));
    let before = files(&dovecot.folder("").join("new"));
    for _ in 0..2 {
        assert_eq!(inbox.look(None, LONG_AGO, 10).await.unwrap().messages.len(), 3);
    }
    // As they were delivered: a message that another program has noticed goes from `new` to `cur`.
    assert_eq!(files(&dovecot.folder("").join("new")), before);
    assert!(files(&dovecot.folder("").join("cur")).is_empty());
    let answers = raw_answers(&dovecot, &["SELECT INBOX", "SEARCH UNSEEN", "SEARCH RECENT", "FETCH 1:* FLAGS"]).await;
    assert_eq!(answers.matches("* SEARCH 1 2 3\r\n").count(), 2, "{answers}");
    assert_eq!(answers.matches("FLAGS (\\Recent)").count(), 3, "{answers}");
}

#[tokio::test]
async fn with_another_numbering_the_mailbox_is_read_from_the_beginning() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let inbox = inbox(&dovecot);
    (0..3).for_each(|n| drop(dovecot.deliver(message(n))));
    let before = inbox.look(None, LONG_AGO, 10).await.unwrap();
    dovecot.number_anew();
    let after = inbox.look(Some(before.cursor), LONG_AGO, 10).await.unwrap();
    assert_ne!(after.cursor.uid_validity, before.cursor.uid_validity);
    assert_eq!(subjects(&after.messages), [0, 1, 2]);
    assert!(inbox.look(Some(after.cursor), LONG_AGO, 10).await.unwrap().messages.is_empty());
}

#[tokio::test]
async fn a_folder_is_found_by_its_name_and_a_missing_one_is_named() {
    let Some(dovecot) = Dovecot::start().await else { return };
    let named = |folder: &str| {
        ImapInbox::new(ImapSettings { folder: folder.into(), ..settings(&dovecot, TlsMode::Implicit) }).unwrap()
    };
    for (n, (folder, wire)) in
        (0..).zip([("Größe & 日本語", "Gr&APYA3w-e &- &ZeVnLIqe-"), ("A \"B\" \\ C", "A \"B\" \\ C")])
    {
        dovecot.make_folder(wire);
        dovecot.deliver_to(wire, message(n), None);
        let look = named(folder).look(None, LONG_AGO, 10).await.unwrap();
        assert_eq!(subjects(&look.messages), [n], "{folder}");
    }
    let missing = named("Nothing").look(None, LONG_AGO, 10).await.unwrap_err();
    assert!(matches!(missing, ImapError::Folder(_)), "{missing:?}");
    assert!(sentence(&missing).contains("`Nothing`"));
}
