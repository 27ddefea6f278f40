//! What is read of answers that servers give, and that nothing of what they could say does harm.

use super::*;
use proptest::prelude::*;

fn message_of(raw: &[u8]) -> Message<'_> {
    match read(raw) {
        Some(Heard::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_form_is_read() {
    for (raw, heard) in [
        ("+ \r\n", Heard::GoOn),
        ("+\r\n", Heard::GoOn),
        ("T1 OK done\r\n", Heard::Done { tag: b"T1", status: Status::Ok, text: b"done" }),
        ("T1 no\r\n", Heard::Done { tag: b"T1", status: Status::No, text: b"" }),
        ("T1 BAD what?\n", Heard::Done { tag: b"T1", status: Status::Bad, text: b"what?" }),
        ("* bye now\r\n", Heard::Said { status: Status::Bye, text: b"now" }),
        ("* PREAUTH hello\r\n", Heard::Said { status: Status::Preauth, text: b"hello" }),
        ("* OK [UIDNEXT 7] next\r\n", Heard::Said { status: Status::Ok, text: b"[UIDNEXT 7] next" }),
        ("* CAPABILITY IMAP4rev1 IDLE\r\n", Heard::Capabilities(b"IMAP4rev1 IDLE")),
        ("* 23 EXISTS\r\n", Heard::Exists(23)),
        ("* SEARCH\r\n", Heard::Uids(vec![])),
        ("* SEARCH 2 84 4294967295 \r\n", Heard::Uids(vec![2, 84, u32::MAX])),
        ("* 23 RECENT\r\n", Heard::Other),
        ("* FLAGS (\\Seen)\r\n", Heard::Other),
        ("* hello\r\n", Heard::Other),
    ] {
        assert_eq!(read(raw.as_bytes()), Some(heard), "{raw}");
    }
}

#[test]
fn a_message_is_read_in_whatever_order_and_whatever_else_is_said_of_it() {
    let expected = Message {
        uid: Some(7),
        size: Some(5),
        arrived: Some(b" 2-Mar-2026 01:30:00 +0200".into()),
        body: Some(b"a)\r\nb".into()),
    };
    for raw in [
        "* 1 FETCH (UID 7 RFC822.SIZE 5 INTERNALDATE \" 2-Mar-2026 01:30:00 +0200\" BODY[]<0> {5}\r\na)\r\nb)\r\n",
        "* 1 fetch (body[] {5}\r\na)\r\nb internaldate \" 2-Mar-2026 01:30:00 +0200\" uid 7 rfc822.size 5 )\r\n",
        "* 1 FETCH (FLAGS (\\Seen $a (\"b)\" {2}\r\n))) NIL) X-NEW \"\\\"(\" MODSEQ (9) UID 7 RFC822.SIZE 5 THREADID NIL \
         INTERNALDATE \" 2-Mar-2026 01:30:00 +0200\" BODY[]<0> {5}\r\na)\r\nb)\r\n",
    ] {
        assert_eq!(message_of(raw.as_bytes()), expected, "{raw}");
    }
    assert_eq!(message_of(b"* 1 FETCH (BODY[] \"a \\\"b\\\\\")\r\n").body.as_deref(), Some(&b"a \"b\\"[..]));
    assert_eq!(message_of(b"* 1 FETCH (BODY[] NIL)\r\n").body.as_deref(), Some(&b""[..]));
    assert_eq!(message_of(b"* 1 FETCH (BODY[]<0> {0}\r\n)\r\n").body.as_deref(), Some(&b""[..]));
    assert_eq!(message_of(b"* 1 FETCH (FLAGS (\\Seen))\r\n"), Message::default());
    assert_eq!(message_of(b"* 1 FETCH (INTERNALDATE NIL UID 1)\r\n").arrived, None);
}

#[test]
fn what_is_broken_is_no_answer() {
    for raw in [
        "",
        "\r\n",
        "T1 OK",
        "220 mail.example ESMTP\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
        "* SEARCH 1 x\r\n",
        "* SEARCH 4294967296\r\n",
        "* 1 FETCH\r\n",
        "* 1 FETCH (\r\n",
        "* 1 FETCH (UID)\r\n",
        "* 1 FETCH (UID NIL)\r\n",
        "* 1 FETCH (UID 7\r\n",
        "* 1 FETCH (BODY[] \"a)\r\n",
        "* 1 FETCH (BODY[] {5}\r\nab)\r\n",
        "* 1 FETCH (BODY[] {99999999999999999999}\r\nab)\r\n",
        "* 1 FETCH (BODY[] {-1}\r\nab)\r\n",
    ] {
        assert_eq!(read(raw.as_bytes()), None, "{raw}");
    }
    let deep = format!("* 1 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(1 << 20));
    assert_eq!(read(deep.as_bytes()), None);
}

#[test]
fn a_literal_is_announced_at_the_end_of_a_line_only() {
    for (line, length) in [
        ("* 1 FETCH (BODY[] {5}\r\n", Some(5)),
        ("{0}\r\n", Some(0)),
        ("{4294967296}\r\n", Some(1 << 32)),
        ("{99999999999999999999999}\r\n", Some(usize::MAX)),
        ("{5} \r\n", None),
        ("{5}\n", None),
        ("{}\r\n", None),
        ("{5+}\r\n", None),
        ("5}\r\n", None),
        ("", None),
    ] {
        assert_eq!(announced(line.as_bytes()), length, "{line}");
    }
}

#[test]
fn codes_and_capabilities_are_whole_words() {
    assert_eq!(code(b"[UIDNEXT 7] next", "UIDNEXT"), Some(7));
    assert_eq!(code(b"[uidvalidity 4294967295]", "UIDVALIDITY"), Some(u32::MAX));
    for text in ["UIDNEXT 7", "[UIDNEXT 7", "[UIDNEXT]", "[UIDNEXT x] y", "[UIDNEXTS 7]", "a [UIDNEXT 7]", ""] {
        assert_eq!(code(text.as_bytes(), "UIDNEXT"), None, "{text}");
    }
    assert!(can(b"IMAP4rev1 StartTLS AUTH=PLAIN", "STARTTLS"));
    assert!(!can(b"IMAP4rev1 XSTARTTLS AUTH=PLAINER", "STARTTLS") && !can(b"AUTH=PLAINER", "AUTH=PLAIN"));
}

proptest! {
    #[test]
    fn no_bytes_do_harm(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (read(&raw), announced(&raw), code(&raw, "UIDNEXT"), can(&raw, "IDLE"));
    }

    #[test]
    fn nothing_that_looks_like_a_message_does_harm(raw in r#"\* 1 FETCH \(([a-z\[\]<>{}()" \\0-9]|NIL|\r\n|\{[0-9]{1,22}\}){0,60}\r\n"#) {
        let _ = (read(raw.as_bytes()), announced(raw.as_bytes()));
    }

    #[test]
    fn every_body_comes_out_as_it_went_in(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut raw = format!("* 1 FETCH (UID 1 BODY[]<0> {{{}}}\r\n", body.len()).into_bytes();
        raw.extend(&body);
        raw.extend(b" FLAGS ())\r\n");
        let message = message_of(&raw);
        prop_assert_eq!(message.body.as_deref(), Some(body.as_slice()));
    }
}
