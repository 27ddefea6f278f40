use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn of(text: &str) -> Reading {
    read(text.replace('\n', "\r\n").as_bytes(), now())
}

const DSN: &str = "Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
To: sdr@example.com
Subject: Undelivered Mail Returned to Sender
Message-ID: <20261122.D1@mx.example.net>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=\"B\"

--B
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Sun, 22 Nov 2026 09:00:00 +0000

Final-Recipient: rfc822; ann@acme.example
Original-Recipient: rfc822;Ann@acme.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.acme.example
Diagnostic-Code: smtp; 550 5.1.1 <ann@acme.example>: Recipient address
    rejected: User unknown

--B
Content-Type: message/rfc822

Message-ID: <0190abcd@example.com>
From: sdr@example.com
To: ann@acme.example
Subject: Hello

Hi Ann
--B--
";

#[test]
fn a_delivery_report_names_the_e_mail_and_what_became_of_it() {
    let read = of(DSN);
    let Content::Delivery(report) = &read.content else { panic!("{read:?}") };
    assert_eq!((report.outcome, report.status), (ReportedAs::Failed, Some([5, 1, 1])));
    assert!(report.diagnostic.ends_with("rejected: User unknown"), "{report:?}");
    assert_eq!(report.recipients, ["Ann@acme.example", "ann@acme.example"]);
    assert_eq!(read.about, ["0190abcd@example.com"]);
    let headers_only = DSN.replace("message/rfc822", "text/rfc822-headers");
    assert_eq!(of(&headers_only).about, ["0190abcd@example.com"]);
    let delayed = DSN.replace("Action: failed", "Action: delayed").replace("5.1.1", "4.4.1");
    assert!(matches!(
        of(&delayed).content,
        Content::Delivery(DeliveryReport { outcome: ReportedAs::Delayed, status: Some([4, 4, 1]), .. })
    ));
}

#[test]
fn a_report_that_a_person_forwards_is_a_letter() {
    let forwarded = format!(
        "From: ann@acme.example\nSubject: Fwd\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"A\"\n\n\
         --A\nContent-Type: text/plain\n\nWhat is this?\n--A\nContent-Type: message/rfc822\n\n{DSN}\n--A--\n"
    );
    assert_eq!(of(&forwarded).content, Content::Letter);
}

#[test]
fn a_complaint_names_the_e_mail_although_the_provider_hides_the_person() {
    let arf = "From: <abusedesk@provider.example>
Subject: FW: Hello
Message-ID: <c1@provider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=\"P\"

--P
Content-Type: text/plain; charset=\"US-ASCII\"

This is an email abuse report.
--P
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Rcpt-To: redacted

--P
Content-Type: message/rfc822
Content-Disposition: inline

From: <sdr@example.com>
To: <redacted>
Subject: Hello
Message-ID: <0190abcd@example.com>

Hi
--P--
";
    let read = of(arf);
    assert_eq!(read.content, Content::Complaint { feedback: "abuse".to_owned() });
    assert_eq!(read.about, ["0190abcd@example.com"]);
}

#[test]
fn a_reply_names_what_it_answers_the_closest_first() {
    let read =
        of("From: \"Ann Lee\" <Ann@acme.example>\nSubject: =?utf-8?B?UmU6IEhlbGxv?=\nMessage-ID: <r1@acme.example>\n\
        Date: Sun, 22 Nov 2026 10:30:00 +0100\nIn-Reply-To: <0190abcd@example.com>\n\
        References: <first@example.com>\n <0190abcd@example.com>\n\nSounds good.\n\n> Hi Ann\n");
    assert_eq!(read.content, Content::Letter);
    assert_eq!(read.about, ["0190abcd@example.com", "first@example.com"]);
    assert_eq!(read.from, Some(Mailbox::named("Ann Lee", "Ann@acme.example")));
    assert_eq!((read.subject.as_str(), read.message_id.as_deref()), ("Re: Hello", Some("r1@acme.example")));
    assert!(read.text.starts_with("Sounds good."));
    assert_eq!(read.sent_at, Some("2026-11-22T09:30:00Z".parse().unwrap()));
}

#[test]
fn an_html_reply_has_a_text_too() {
    let read = of("From: ann@acme.example\nSubject: Re\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n\
        <p>Yes, <b>call</b> me</p>");
    assert!(read.text.contains("call") && !read.text.contains('<'), "{}", read.text);
}

#[test]
fn what_a_machine_writes_is_no_reply() {
    for header in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (rejected)",
        "X-Autoreply: yes",
        "Precedence: bulk",
        "List-Id: News <news.acme.example>",
        "X-Auto-Response-Suppress: All",
        "Return-Path: <>",
    ] {
        let read = of(&format!("From: ann@acme.example\nSubject: Hello\n{header}\n\nThank you for your message.\n"));
        assert!(matches!(read.content, Content::Automatic { away: false, .. }), "{header}: {read:?}");
    }
    for header in ["Auto-Submitted: no", "Precedence: first-class", "X-Mailer: Mutt"] {
        let read = of(&format!("From: ann@acme.example\nSubject: Hello\n{header}\n\nThank you.\n"));
        assert_eq!(read.content, Content::Letter, "{header}");
    }
    let daemon = of("From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nSorry, no mailbox here.\n");
    assert!(matches!(daemon.content, Content::Automatic { away: false, .. }));
}

#[test]
fn letters_of_every_encoding_are_read() {
    let chinese = [("gb2312", "ztLV/dTa0N280w=="), ("gb18030", "ztLV/dTa0N280w=="), ("big5", "p9qlv6Zipfak8w==")];
    for (charset, base64) in chinese {
        let read = of(&format!(
            "From: li@acme.example\nSubject: =?{charset}?B?{base64}?=\nMIME-Version: 1.0\nAuto-Submitted: auto-replied\n\
             Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: base64\n\n{base64}\n"
        ));
        assert!(read.text.starts_with("我正在") && read.subject == read.text, "{charset}: {read:?}");
    }
}

#[test]
fn an_acknowledgement_with_a_date_in_it_is_no_absence() {
    for text in [
        "We will get back to you on 5 December.",
        "Your request is answered until 5 December.",
        "Ticket of 5 December 2026",
    ] {
        let read =
            of(&format!("From: help@acme.example\nSubject: Your request\nAuto-Submitted: auto-replied\n\n{text}\n"));
        assert_eq!(read.content, Content::Automatic { away: false, back_on: None }, "{text}");
    }
    let read = of(
        "From: ann@acme.example\nSubject: Hello\nAuto-Submitted: auto-replied\n\nIch bin ab dem 30. November wieder erreichbar.\n",
    );
    assert!(matches!(read.content, Content::Automatic { away: true, back_on: Some(_) }), "{read:?}");
}

#[test]
fn an_answering_machine_without_a_header_is_one() {
    let read = of("From: ann@acme.example\nSubject: Automatic reply: Hello\n\nBack on 2026-12-07.\n");
    assert!(matches!(read.content, Content::Automatic { away: true, .. }), "{read:?}");
}

#[test]
fn who_is_away_says_until_when() {
    let read = of("From: ann@acme.example\nSubject: Automatic reply: Hello\nAuto-Submitted: auto-replied\n\n\
        I am out of the office until 3 December.\n");
    let back_on = Some("2026-12-04".parse().unwrap());
    assert_eq!(read.content, Content::Automatic { away: true, back_on });
}

#[test]
fn what_no_database_keeps_is_not_kept() {
    let letter = of("From: a\0b@x.example\nSubject: a\0b\nMessage-ID: <m\0@x>\nReferences: <a\0b@x> <c@x>\n\na\0b\n");
    assert!(!serde_json::to_string(&letter).unwrap().contains("\\u0000"), "{letter:?}");
    assert_eq!(letter.about, ["c@x"]);
    let encoded = "TWVzc2FnZS1JRDogPGEAYkB4LmV4YW1wbGU+DQoNCg==";
    let returned = DSN.split("Content-Type: message/rfc822").next().unwrap();
    let report =
        format!("{returned}Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{encoded}\n--B--\n");
    assert_eq!(of(&report).about, Vec::<String>::new());
    let long = DSN.replace("0190abcd@example.com", &format!("{}@x", "a".repeat(1_000)));
    assert_eq!(of(&long).about, Vec::<String>::new());
}

#[test]
fn messages_within_messages_are_not_taken_apart() {
    let inner = "--I\nContent-Type: message/rfc822\n\nSubject: x\n\n".repeat(4_000);
    let nested = format!(
        "From: a@x.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=A\n\n--A\nContent-Type: text/plain\n\nHi\n\
         --A\nContent-Type: Message/RFC822\n\nContent-Type: multipart/mixed; boundary=I\n\n{inner}--A--\n"
    );
    let raw = nested.replace('\n', "\r\n");
    let parsed = parts::parse(&in_one_piece(raw.as_bytes())).map(|message| message.parts.len());
    assert_eq!(parsed, Some(3));
    assert_eq!((of(&nested).text.as_str(), of(&nested).content), ("Hi", Content::Letter));
}

#[test]
fn an_e_mail_of_nothing_but_messages_is_read_to_its_end() {
    for encoding in ["quoted-printable", "7bit"] {
        let inner = "Content-Type:message/ rfc822\n\n".repeat(8_700);
        let head = "From: a@x.example\nSubject: Hello\nContent-Type: message/ rfc822";
        let read = of(&format!("{head}\nContent-Transfer-Encoding: {encoding}\n\n{inner}"));
        assert_eq!((read.subject.as_str(), read.content), ("Hello", Content::Letter));
    }
}

#[test]
fn a_report_whose_parts_are_encoded_is_read() {
    let encoded = DSN.replace(
        "Content-Type: message/rfc822\n\nMessage-ID: <0190abcd@example.com>\n",
        "Content-Type: text/rfc822-headers\nContent-Transfer-Encoding: base64\n\n\
         TWVzc2FnZS1JRDogPDAxOTBhYmNkQGV4YW1wbGUuY29tPg0K\n--B\nContent-Type: text/plain\n\n",
    );
    assert_eq!(of(&encoded).about, ["0190abcd@example.com"]);
}

#[test]
fn a_group_that_hands_on_an_answer_makes_no_machine_of_its_author() {
    let ours = format!("{}@example.com", uuid::Uuid::from_u128(7).as_simple());
    let handed_on = |about: &str| {
        of(&format!(
            "From: ann@acme.example\nSubject: Re: Hello\nPrecedence: list\nList-ID: <answers.example.com>\n\
             In-Reply-To: <{about}>\n\nYes.\n"
        ))
    };
    assert_eq!(handed_on(&ours).content, Content::Letter);
    assert!(matches!(handed_on("else@example.com").content, Content::Automatic { away: false, .. }));
}

#[test]
fn a_report_that_is_not_understood_is_no_letter() {
    for (from, to) in [
        ("report-type=delivery-status", "report-type=disposition-notification"),
        ("Content-Type: message/delivery-status", "Content-Type: message/disposition-notification"),
        ("Action: failed", "Action: unheard-of"),
    ] {
        let read =
            of(&DSN.replace(from, to).replace("Auto-Submitted: auto-replied\n", "").replace("MAILER-DAEMON", "ann"));
        assert!(!matches!(read.content, Content::Letter), "{to}: {read:?}");
    }
    let commented = of(&DSN.replace("Action: failed", "Action: Failed (bounced)"));
    assert!(matches!(commented.content, Content::Delivery(DeliveryReport { outcome: ReportedAs::Failed, .. })));
}

#[test]
fn a_status_is_three_numbers_of_a_known_class() {
    assert_eq!(status("5.1.1 (unknown)"), Some([5, 1, 1]));
    for wrong in ["", "5.1", "5.1.1.1", "9.1.1", "5.x.1", "550"] {
        assert_eq!(status(wrong), None, "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_stumble(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2_000)) {
        let read = read(&bytes, now());
        proptest::prop_assert!(read.text.chars().count() <= MAX_TEXT);
        proptest::prop_assert!(!serde_json::to_string(&read).unwrap().contains("\\u0000"));
    }

    #[test]
    fn no_report_makes_it_stumble(at in 0..DSN.len(), cut in 0..200_usize, put in "\\PC{0,20}") {
        let end = (at + cut).min(DSN.len());
        if DSN.is_char_boundary(at) && DSN.is_char_boundary(end) {
            let broken = format!("{}{put}{}", &DSN[..at], &DSN[end..]);
            let read = of(&broken);
            proptest::prop_assert!(read.about.len() <= MAX_ANSWERED);
        }
    }
}
