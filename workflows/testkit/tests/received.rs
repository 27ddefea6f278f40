//! E-mails that arrive, through the real commands and jobs, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use tandem_app::contacts::ContactCreate;
use tandem_app::email::port::Delivery;
use tandem_app::received::Polled;
use tandem_app::{
    EmailReceive, EnrollmentCreate, EnrollmentPause, EnrollmentResume, LeadReceive, Outcome, ReceivedEmailApply,
    SequencePublish,
};
use tandem_domain::access::Role;
use tandem_domain::contact::{ConsentState, Contact, ContactPatch};
use tandem_domain::email::{Email, EmailState, Obstacle};
use tandem_domain::id::LeadId;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::lead::Lead;
use tandem_domain::received::{Brought, ReceivedEmail, ReceivedKind, ReceivedState, reading};
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason, PauseReason, WaitReason};
use tandem_domain::suppression::SuppressionReason;
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_store::interaction::{InteractionFilter, Of};
use tandem_store::received::ReceivedEmailFilter;
use tandem_testkit::{World, on_both_databases};

/// A letter, three days, another letter.
fn source(key: &str, stop_on_reply: &str) -> String {
    format!(
        "{{key: {key}, name: {key}, subject: contact, stop_on_reply: {stop_on_reply}, steps: [\
         {{id: hello, kind: send_email, template: {{subject: 'Hello', text: 'Hi. Stop: {{{{ unsubscribe_url }}}}'}}}},\
         {{id: pause, kind: wait, duration: 3d}},\
         {{id: again, kind: send_email, template: {{subject: 'Again', text: 'Still there?'}}}},\
         {{id: done, kind: end}}]}}"
    )
}

async fn publish(world: &World, key: &str, stop_on_reply: &str) -> tandem_domain::id::SequenceId {
    let command = SequencePublish { source: source(key, stop_on_reply) };
    world.app.run(&world.system(), command).await.unwrap().0.id
}

async fn person(world: &World, name: &str) -> Contact {
    let contact: ContactPatch = serde_json::from_value(json!({
        "name": format!("{name} Sample"),
        "email": format!("{}@acme.example", name.to_lowercase()),
        "consent": {"state": ConsentState::Granted, "source": "form"},
    }))
    .unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

async fn enroll(world: &World, sequence: tandem_domain::id::SequenceId, contact: &Contact) -> Enrollment {
    let command = EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() };
    let enrolled = world.app.run(&world.system(), command).await.unwrap().0;
    world.run_due_jobs().await;
    enrolled
}

/// Somebody in a sequence who got its first letter.
async fn written_to(world: &World, name: &str, stop_on_reply: &str) -> (Contact, Enrollment, Email) {
    let contact = person(world, name).await;
    let sequence = publish(world, &format!("seq_{}", name.to_lowercase()), stop_on_reply).await;
    let enrollment = enroll(world, sequence, &contact).await;
    let email = emails(world, &enrollment).await.remove(0);
    (contact, enrollment, email)
}

async fn emails(world: &World, enrollment: &Enrollment) -> Vec<Email> {
    let filter = EmailFilter { enrollment: Some(enrollment.id), ..EmailFilter::default() };
    world.app.store.email_page(&filter, &Page::first(50)).await.unwrap().items
}

async fn now(world: &World, enrollment: &Enrollment) -> Enrollment {
    world.app.store.find(enrollment.id).await.unwrap().unwrap()
}

async fn email_now(world: &World, email: &Email) -> Email {
    world.app.store.find(email.id).await.unwrap().unwrap()
}

/// Puts a message into the mailbox and lets it be taken in and applied; gives the last one.
async fn arrives(world: &World, text: &str) -> ReceivedEmail {
    world.inbox.put(text);
    assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(1));
    world.run_due_jobs().await;
    received(world).await.pop().unwrap()
}

async fn received(world: &World) -> Vec<ReceivedEmail> {
    let page = world.app.store.received_email_page(&ReceivedEmailFilter::default(), &Page::first(100)).await.unwrap();
    page.items
}

async fn suppressions(world: &World) -> Vec<(String, SuppressionReason)> {
    let page = world.app.store.suppression_page(Some(true), &Page::first(50)).await.unwrap();
    page.items.into_iter().map(|found| (found.value, found.reason)).collect()
}

fn sent(world: &World) -> usize {
    world.mailer.sent().len()
}

fn reply(from: &str, to: &Email, text: &str) -> String {
    format!(
        "From: {from}\nTo: answers@example.com\nSubject: Re: {}\nMessage-ID: <r-{}@acme.example>\n\
         In-Reply-To: <{}>\n\n{text}\n",
        to.subject,
        text.len(),
        to.message_id
    )
}

fn letter(from: &str) -> String {
    format!("From: {from}\nSubject: A question\nMessage-ID: <letter-{from}>\n\nCould you call me?\n")
}

fn away(from: &str, text: &str) -> String {
    format!(
        "From: {from}\nSubject: Automatic reply: Hello\nAuto-Submitted: auto-replied\nMessage-ID: <away-{}-{from}>\n\n{text}\n",
        text.len()
    )
}

fn bounce(email: &Email, action: &str, status: &str, recipient: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nMessage-ID: <{action}-{status}@mx.example>\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"B\"\nMIME-Version: 1.0\n\n\
         --B\nContent-Type: text/plain\n\nSorry.\n\n--B\nContent-Type: message/delivery-status\n\n\
         Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n\
         Diagnostic-Code: smtp; 550 {status} no\n\n--B\nContent-Type: text/rfc822-headers\n\n\
         Message-ID: <{}>\nSubject: Hello\n\n--B--\n",
        email.message_id
    )
}

fn complaint(email: &Email, kind: &str) -> String {
    format!(
        "From: abuse@provider.example\nSubject: FW: Hello\nMessage-ID: <c-{kind}@provider.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=\"P\"\n\n--P\nContent-Type: text/plain\n\n\
         A report.\n--P\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nVersion: 1\n\n--P\n\
         Content-Type: message/rfc822\n\nFrom: <tandem@example.com>\nMessage-ID: <{}>\nSubject: Hello\n\nHi\n--P--\n",
        email.message_id
    )
}

const REPLIED: EnrollmentState = EnrollmentState::Finished(FinishReason::Replied);

on_both_databases! {
    async fn a_reply_ends_the_run_and_nothing_more_is_sent(world: World) {
        let (contact, enrollment, email) = written_to(&world, "Ann", "any").await;
        let one = arrives(&world, &reply("Ann Sample <ANN@acme.example>", &email, "Sounds good")).await;
        assert_eq!((one.kind, one.state), (ReceivedKind::Reply, ReceivedState::Applied));
        assert_eq!((one.email, one.contact, one.enrollments), (Some(email.id), Some(contact.id), vec![enrollment.id]));
        assert_eq!(now(&world, &enrollment).await.state, REPLIED);
        world.pass(TimeDelta::days(10)).await;
        assert_eq!(sent(&world), 1);
        let filter = InteractionFilter { of: Some(Of::Contact(contact.id)), kinds: vec![InteractionKind::EmailReply] };
        let did = world.app.store.interaction_page(&filter, &Page::first(9)).await.unwrap().items;
        assert_eq!(did.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Re: Hello"]);
        let kinds = world.ledger_kinds().await;
        assert!(kinds.contains(&"enrollment.ended".to_owned()) && kinds.contains(&"interaction.recorded".to_owned()), "{kinds:?}");
    }

    async fn which_answers_end_a_run_is_the_definitions_to_say(world: World) {
        let (ann, any, _) = written_to(&world, "Ann", "any").await;
        let sequence = publish(&world, "thread", "sequence").await;
        let thread = enroll(&world, sequence, &ann).await;
        let never = publish(&world, "never", "never").await;
        let never = enroll(&world, never, &ann).await;
        arrives(&world, &letter("ann@acme.example")).await;
        assert_eq!(now(&world, &any).await.state, REPLIED);
        assert!(now(&world, &thread).await.state.is_live() && now(&world, &never).await.state.is_live());
        let email = emails(&world, &thread).await.remove(0);
        // From another address of hers: what is answered says enough.
        arrives(&world, &reply("ann.private@elsewhere.example", &email, "Me again")).await;
        assert_eq!(now(&world, &thread).await.state, REPLIED);
        assert!(now(&world, &never).await.state.is_live());
    }

    async fn a_reply_gives_the_lead_back_to_people(world: World) {
        let contact = person(&world, "Lea").await;
        let receive = LeadReceive {
            contact: contact.id, account: None, source: "webinar".to_owned(), external_id: None, grade: None, priority: None,
            tags: std::collections::BTreeSet::new(), custom: std::collections::BTreeMap::new(),
        };
        let lead: Lead = world.app.run(&world.system(), receive).await.unwrap();
        let source = source("leads", "any").replace("subject: contact", "subject: lead");
        let sequence = world.app.run(&world.system(), SequencePublish { source }).await.unwrap().0;
        let create = EnrollmentCreate { sequence: sequence.id, contact: None, lead: Some(lead.id), vars: Map::new() };
        let enrollment = world.app.run(&world.system(), create).await.unwrap().0;
        world.run_due_jobs().await;
        let email = emails(&world, &enrollment).await.remove(0);
        arrives(&world, &reply("lea@acme.example", &email, "Yes")).await;
        let lead: Lead = world.app.store.find::<Lead>(LeadId::from(uuid::Uuid::from(lead.id))).await.unwrap().unwrap();
        assert!(!matches!(lead.owner, tandem_domain::lead::Owner::Sequence(_)), "{:?}", lead.owner);
    }

    async fn who_is_away_is_left_alone_until_the_morning_of_the_first_day_back(world: World) {
        let (_, enrollment, _) = written_to(&world, "Ann", "any").await;
        let day = (world.now() + TimeDelta::days(20)).date_naive();
        let one = arrives(&world, &away("ann@acme.example", &format!("I am out of the office. Back on {day}."))).await;
        assert_eq!((one.kind, one.enrollments.len()), (ReceivedKind::OutOfOffice, 1));
        let back: DateTime<Utc> = format!("{day}T09:00:00Z").parse().unwrap();
        assert_eq!(one.until, Some(back));
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Paused(PauseReason::OutOfOffice));
        world.pass(TimeDelta::days(19)).await;
        assert_eq!(sent(&world), 1);
        world.pass(back - world.now()).await;
        assert_eq!(sent(&world), 2);
    }

    async fn a_later_return_prolongs_the_pause_and_an_earlier_one_does_not(world: World) {
        let (_, enrollment, _) = written_to(&world, "Ann", "any").await;
        let until = |world: &World, days| (world.now() + TimeDelta::days(days)).date_naive();
        for (days, expected) in [(10, 10), (30, 30), (5, 30)] {
            let text = format!("Out of office. I return on {}.{}", until(&world, days), "!".repeat(usize::try_from(days).unwrap()));
            world.inbox.put(&away("ann@acme.example", &text));
            world.app.poll_inbox(&world.system()).await.unwrap();
            world.run_due_jobs().await;
            let held = now(&world, &enrollment).await.held.unwrap();
            assert_eq!(held.until.unwrap().date_naive(), until(&world, expected));
        }
        world.pass(TimeDelta::days(12)).await;
        assert_eq!(sent(&world), 1, "the end that was planned first is obsolete");
        world.pass(TimeDelta::days(20)).await;
        assert_eq!(sent(&world), 2);
    }

    async fn somebody_away_without_a_date_is_left_alone_for_a_week(world: World) {
        let (_, enrollment, _) = written_to(&world, "Ann", "any").await;
        arrives(&world, &away("ann@acme.example", "I am on vacation.")).await;
        world.pass(TimeDelta::days(6)).await;
        assert_eq!((sent(&world), now(&world, &enrollment).await.state.is_live()), (1, true));
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(sent(&world), 2);
    }

    async fn a_person_may_end_a_pause_earlier_and_pause_until_a_moment(world: World) {
        let (_, enrollment, _) = written_to(&world, "Ann", "any").await;
        let (_, sdr) = world.user("sdr", Role::Sdr, None).await;
        let until = world.now() + TimeDelta::days(30);
        let pause = |until| EnrollmentPause { enrollment: enrollment.id, reason: PauseReason::Manual, until };
        let over = world.app.run(&sdr, pause(Some(world.now()))).await.unwrap_err();
        assert_eq!(over.code(), "ENROLLMENT_PAUSE_OVER");
        world.app.run(&sdr, pause(Some(until))).await.unwrap();
        world.app.run(&sdr, EnrollmentResume { enrollment: enrollment.id }).await.unwrap();
        world.pass(TimeDelta::days(4)).await;
        assert_eq!(sent(&world), 2);
    }

    async fn an_automatic_answer_is_no_reply(world: World) {
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        let ticket = reply("ann@acme.example", &email, "We got your message").replace("To:", "Auto-Submitted: auto-replied\nTo:");
        let one = arrives(&world, &ticket).await;
        assert_eq!((one.kind, one.state), (ReceivedKind::Automatic, ReceivedState::Applied));
        assert!(one.enrollments.is_empty() && now(&world, &enrollment).await.state.is_live());
        world.pass(TimeDelta::days(4)).await;
        assert_eq!(sent(&world), 2);
    }

    async fn a_bounce_that_comes_later_ends_the_run_and_the_address(world: World) {
        let (contact, enrollment, email) = written_to(&world, "Ann", "any").await;
        let late = arrives(&world, &bounce(&email, "delayed", "4.4.1", "ann@acme.example")).await;
        assert_eq!(late.kind, ReceivedKind::DeliveryReport);
        assert_eq!(email_now(&world, &email).await.state, EmailState::Sent);
        let one = arrives(&world, &bounce(&email, "failed", "5.1.1", "ann@acme.example")).await;
        assert_eq!((one.kind, one.contact), (ReceivedKind::Bounce, Some(contact.id)));
        let bounced = email_now(&world, &email).await;
        assert_eq!((bounced.state, bounced.obstacle), (EmailState::Bounced, Some(Obstacle::MailboxGone)));
        assert_eq!(bounced.error.as_deref(), Some("550 5.1.1 no"));
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Bounced);
        assert_eq!(suppressions(&world).await, [("ann@acme.example".to_owned(), SuppressionReason::Bounced)]);
    }

    async fn a_refusal_for_another_reason_ends_neither(world: World) {
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        arrives(&world, &bounce(&email, "failed", "5.7.1", "ann@acme.example")).await;
        let bounced = email_now(&world, &email).await;
        assert_eq!((bounced.state, bounced.obstacle), (EmailState::Bounced, None));
        assert!(now(&world, &enrollment).await.state.is_live() && suppressions(&world).await.is_empty());
        world.pass(TimeDelta::days(4)).await;
        // Where the e-mail was forwarded to is not where we wrote.
        let second = emails(&world, &enrollment).await.remove(1);
        arrives(&world, &bounce(&second, "failed", "5.1.1", "ann@forwarded.example")).await;
        assert_eq!(email_now(&world, &second).await.state, EmailState::Bounced);
        assert!(suppressions(&world).await.is_empty());
    }

    async fn a_delivery_report_settles_an_e_mail_of_unknown_fate(world: World) {
        world.mailer.answer([Delivery::Unknown { error: "the line broke".to_owned() }]);
        let (_, _, email) = written_to(&world, "Ann", "any").await;
        assert_eq!(email.state, EmailState::Unknown);
        arrives(&world, &bounce(&email, "relayed", "2.0.0", "ann@acme.example")).await;
        assert_eq!(email_now(&world, &email).await.state, EmailState::Sent);
    }

    async fn a_complaint_ends_all_contact(world: World) {
        let (contact, enrollment, email) = written_to(&world, "Ann", "any").await;
        arrives(&world, &complaint(&email, "not-spam")).await;
        assert!(suppressions(&world).await.is_empty());
        let one = arrives(&world, &complaint(&email, "abuse")).await;
        assert_eq!((one.kind, one.enrollments), (ReceivedKind::Complaint, vec![enrollment.id]));
        assert_eq!(suppressions(&world).await, [("ann@acme.example".to_owned(), SuppressionReason::Complaint)]);
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::OptedOut);
        let contact: Contact = world.app.store.find(contact.id).await.unwrap().unwrap();
        assert_eq!(contact.consent.state, ConsentState::Withdrawn);
    }

    async fn an_e_mail_to_the_address_for_unsubscribing_unsubscribes(world: World) {
        let (_, enrollment, _) = written_to(&world, "Ann", "any").await;
        let mailto = world.mailer.sent().remove(0).unsubscribe.unwrap().mailto.unwrap();
        let subject = mailto.split("subject=").nth(1).unwrap().replace("%20", " ");
        // The mail program of whoever it was forwarded to need not be the person's own.
        let mail = format!("From: x@y.example\nTo: answers@example.com\nMessage-ID: <u1@y.example>\nSubject: {subject}\n\n");
        let one = arrives(&world, &mail).await;
        assert_eq!((one.kind, one.state), (ReceivedKind::Unsubscribe, ReceivedState::Applied));
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::OptedOut);
        assert_eq!(one.reading.subject, "unsubscribe …");
        assert_eq!(suppressions(&world).await, [("ann@acme.example".to_owned(), SuppressionReason::Unsubscribed)]);
        let forged = mail.replace("u1@", "u2@").replace("unsubscribe ", "unsubscribe A");
        assert_eq!(arrives(&world, &forged).await.state, ReceivedState::Unmatched);
    }

    async fn who_answers_stop_is_left_alone_but_nobody_says_it_for_others(world: World) {
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        person(&world, "Bob").await;
        let one = arrives(&world, &reply("bob@acme.example", &email, "Stop")).await;
        assert_eq!(one.kind, ReceivedKind::Reply);
        assert!(suppressions(&world).await.is_empty());
        assert_eq!(now(&world, &enrollment).await.state, REPLIED);
        let (_, second, email) = written_to(&world, "Cid", "never").await;
        let one = arrives(&world, &reply("cid@acme.example", &email, "Unsubscribe\n\n> Hi")).await;
        assert_eq!(one.kind, ReceivedKind::Unsubscribe);
        assert_eq!(now(&world, &second).await.state, EnrollmentState::OptedOut);
        assert_eq!(suppressions(&world).await, [("cid@acme.example".to_owned(), SuppressionReason::Unsubscribed)]);
    }

    async fn what_concerns_nobody_is_kept_and_changes_nothing(world: World) {
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        let forged = Email { message_id: format!("{}@elsewhere.example", email.id.0.as_simple()), ..email.clone() };
        for text in [
            letter("stranger@nowhere.example"),
            bounce(&forged, "failed", "5.1.1", "ann@acme.example"),
            complaint(&forged, "abuse"),
            "no e-mail at all".to_owned(),
        ] {
            assert_eq!(arrives(&world, &text).await.state, ReceivedState::Unmatched, "{text}");
        }
        assert!(now(&world, &enrollment).await.state.is_live() && suppressions(&world).await.is_empty());
    }

    async fn an_e_mail_is_taken_once_whichever_way_it_comes(world: World) {
        let (_, _, email) = written_to(&world, "Ann", "any").await;
        let text = reply("ann@acme.example", &email, "Yes");
        let first = arrives(&world, &text).await;
        world.inbox.put(&text);
        assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(0));
        let reading = reading::read(text.replace('\n', "\r\n").as_bytes(), world.now());
        let (_, machine) = world.user("machine", Role::Integration, None).await;
        let brought = Brought { reading, via: "webhook:mail".to_owned(), brought_as: "1".to_owned(), arrived_at: None };
        let again = world.app.run(&machine, EmailReceive { brought }).await.unwrap();
        assert_eq!((again.outcome, again.record.id), (Outcome::Unchanged, first.id));
        let settled = world.app.run(&world.system(), ReceivedEmailApply { received: first.id }).await.unwrap_err();
        assert_eq!(settled.code(), "RECEIVED_EMAIL_SETTLED");
        assert_eq!(received(&world).await.len(), 1);
    }

    async fn a_mailbox_is_read_to_its_end_and_goes_on_after_it_failed(world: World) {
        for n in 0..5 {
            world.inbox.put(&letter(&format!("stranger{n}@nowhere.example")));
        }
        world.inbox.fail(Some("the server does not answer"));
        let polled = world.app.poll_inbox(&world.system()).await.unwrap();
        assert_eq!(polled, Polled::Failed("the server does not answer".to_owned()));
        world.inbox.fail(None);
        assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(5));
        assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(0));
    }

    async fn what_was_written_before_a_run_began_does_not_end_it(world: World) {
        let ann = person(&world, "Ann").await;
        let reading = reading::read(letter("ann@acme.example").replace('\n', "\r\n").as_bytes(), world.now());
        let arrived_at = Some(world.now());
        world.clock.advance(TimeDelta::days(2));
        let sequence = publish(&world, "later", "any").await;
        let run = enroll(&world, sequence, &ann).await;
        let brought = Brought { reading, via: "imap".to_owned(), brought_as: String::new(), arrived_at };
        world.app.run(&world.system(), EmailReceive { brought }).await.unwrap();
        world.run_due_jobs().await;
        let one = received(&world).await.pop().unwrap();
        assert_eq!((one.state, one.contact), (ReceivedState::Applied, Some(ann.id)));
        assert_eq!(Some(one.arrived_at), arrived_at);
        assert!(now(&world, &run).await.state.is_live());
        // Nor does a return that is past pause it.
        let day = (world.now() - TimeDelta::days(1)).date_naive();
        arrives(&world, &away("ann@acme.example", &format!("I am out of office and back on {day}."))).await;
        assert!(matches!(now(&world, &run).await.state, EnrollmentState::Waiting(_)));
    }

    async fn who_is_away_is_not_written_to_by_what_begins_meanwhile(world: World) {
        let (ann, _, _) = written_to(&world, "Ann", "any").await;
        let day = (world.now() + TimeDelta::days(10)).date_naive();
        arrives(&world, &away("ann@acme.example", &format!("I am out of office and back on {day}."))).await;
        let sequence = publish(&world, "meanwhile", "any").await;
        let run = enroll(&world, sequence, &ann).await;
        assert_eq!((now(&world, &run).await.state, sent(&world)), (EnrollmentState::Paused(PauseReason::OutOfOffice), 1));
        world.pass(TimeDelta::days(11)).await;
        assert_eq!(emails(&world, &run).await.len(), 1);
        let later = publish(&world, "later", "any").await;
        let run = enroll(&world, later, &ann).await;
        assert!(!matches!(now(&world, &run).await.state, EnrollmentState::Paused(_)));
    }

    async fn the_links_in_what_is_quoted_cannot_be_followed(world: World) {
        let (_, _, email) = written_to(&world, "Ann", "any").await;
        let text = world.mailer.sent().remove(0).text;
        assert!(text.contains("https://tandem.example/u/"));
        let one = arrives(&world, &reply("ann@acme.example", &email, &format!("Yes.\n\n> {text}"))).await;
        assert!(one.reading.text.ends_with("https://tandem.example/u/…"), "{}", one.reading.text);
    }

    async fn what_one_of_us_writes_is_no_reply(world: World) {
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        let (user, _) = world.user("sdr", Role::Sdr, None).await;
        for author in [user.email.as_str(), "tandem@example.com", "answers@example.com"] {
            let one = arrives(&world, &reply(author, &email, &format!("Ann, as promised by {author}"))).await;
            assert_eq!((one.kind, one.enrollments.len()), (ReceivedKind::Own, 0), "{author}");
        }
        assert!(now(&world, &enrollment).await.state.is_live());
    }

    async fn an_authors_address_alone_suppresses_nobody(world: World) {
        let (_, enrollment, _) = written_to(&world, "Ann", "never").await;
        let forged = letter("ann@acme.example").replace("Could you call me?", "Stop");
        assert_eq!(arrives(&world, &forged).await.kind, ReceivedKind::Reply);
        assert!(suppressions(&world).await.is_empty() && now(&world, &enrollment).await.state.is_live());
    }

    async fn feedback_of_another_type_is_no_complaint(world: World) {
        let (_, _, email) = written_to(&world, "Ann", "any").await;
        for kind in ["auth-failure", "virus"] {
            arrives(&world, &complaint(&email, kind)).await;
        }
        assert!(suppressions(&world).await.is_empty());
    }

    async fn an_e_mail_that_was_planned_before_a_pause_goes_out_after_it(world: World) {
        world.mailer.answer([Delivery::Deferred { code: 451, response: "later".to_owned() }]);
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        assert_eq!(email.state, EmailState::Deferred);
        arrives(&world, &away("ann@acme.example", "I am on vacation.")).await;
        world.pass(TimeDelta::days(6)).await;
        assert_eq!(email_now(&world, &email).await.state, EmailState::Deferred);
        world.pass(TimeDelta::days(2)).await;
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(email_now(&world, &email).await.state, EmailState::Sent);
        assert!(now(&world, &enrollment).await.state.is_live());
    }

    async fn a_bounce_of_an_e_mail_that_its_run_waits_for_ends_the_wait(world: World) {
        world.mailer.answer([Delivery::Unknown { error: "the line broke".to_owned() }]);
        let (_, enrollment, email) = written_to(&world, "Ann", "any").await;
        assert_ne!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Email));
        arrives(&world, &bounce(&email, "failed", "5.1.1", "ann@acme.example")).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Bounced);
    }
}
