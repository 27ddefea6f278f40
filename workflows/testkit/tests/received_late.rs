//! E-mails that arrive late, twice, at the same moment as something else, or as nobody expects, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};
use tandem_app::contacts::ContactCreate;
use tandem_app::email::port::Delivery;
use tandem_app::received::Polled;
use tandem_app::{
    EmailReceive, EnrollmentCreate, EnrollmentPause, EnrollmentResume, ReceivedEmailApply, SequencePublish,
};
use tandem_domain::contact::{ConsentState, Contact, ContactPatch};
use tandem_domain::email::{Email, EmailState};
use tandem_domain::id::SequenceId;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::received::{Brought, ReceivedEmail, ReceivedKind, ReceivedState, reading};
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason, PauseReason, WaitReason};
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_store::interaction::{InteractionFilter, Of};
use tandem_store::received::ReceivedEmailFilter;
use tandem_testkit::{World, on_both_databases};

const REPLIED: EnrollmentState = EnrollmentState::Finished(FinishReason::Replied);
const AWAY: EnrollmentState = EnrollmentState::Paused(PauseReason::OutOfOffice);

async fn ann(world: &World) -> Contact {
    let contact: ContactPatch = serde_json::from_value(json!({
        "name": "Ann Sample",
        "email": "ann@acme.example",
        "consent": {"state": ConsentState::Granted, "source": "form"},
    }))
    .unwrap();
    world.app.run(&world.system(), ContactCreate { contact, default_region: None }).await.unwrap().record
}

/// Two letters; `header` is more of the sequence's header.
async fn publish(world: &World, key: &str, header: &str) -> SequenceId {
    let source = format!(
        "{{key: {key}, name: {key}, subject: contact, {header} steps: [\
         {{id: hello, kind: send_email, template: {{subject: Hello, text: 'Hi. Stop: {{{{ unsubscribe_url }}}}'}}}},\
         {{id: again, kind: send_email, template: {{subject: Again, text: 'Still there?'}}}},\
         {{id: pause, kind: wait, duration: 30d}},\
         {{id: done, kind: end}}]}}"
    );
    world.app.run(&world.system(), SequencePublish { source }).await.unwrap().0.id
}

fn create(sequence: SequenceId, contact: &Contact) -> EnrollmentCreate {
    EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() }
}

async fn enroll(world: &World, sequence: SequenceId, contact: &Contact) -> Enrollment {
    let enrolled = world.app.run(&world.system(), create(sequence, contact)).await.unwrap().0;
    world.run_due_jobs().await;
    enrolled
}

async fn now(world: &World, enrollment: &Enrollment) -> Enrollment {
    world.app.store.find(enrollment.id).await.unwrap().unwrap()
}

async fn emails(world: &World, enrollment: &Enrollment) -> Vec<Email> {
    let filter = EmailFilter { enrollment: Some(enrollment.id), ..EmailFilter::default() };
    world.app.store.email_page(&filter, &Page::first(50)).await.unwrap().items
}

async fn received(world: &World) -> Vec<ReceivedEmail> {
    let page = world.app.store.received_email_page(&ReceivedEmailFilter::default(), &Page::first(100)).await.unwrap();
    page.items
}

fn subjects(world: &World) -> Vec<String> {
    world.mailer.sent().into_iter().map(|sent| sent.subject).collect()
}

/// Brings a message that came to the mailbox at a moment, and does not apply it yet.
async fn brought(world: &World, text: &str, arrived_at: DateTime<Utc>) -> ReceivedEmail {
    let reading = reading::read(text.replace('\n', "\r\n").as_bytes(), arrived_at);
    let (via, brought_as, arrived_at) = ("imap".to_owned(), "inbox".to_owned(), Some(arrived_at));
    let brought = Brought { reading, via, brought_as, arrived_at };
    world.app.run(&world.system(), EmailReceive { brought }).await.unwrap().record
}

async fn arrives(world: &World, text: &str) -> ReceivedEmail {
    let one = brought(world, text, world.now()).await;
    world.run_due_jobs().await;
    world.app.store.find(one.id).await.unwrap().unwrap()
}

fn away(id: &str, text: &str) -> String {
    format!(
        "From: ann@acme.example\nSubject: Automatic reply: Hello\nAuto-Submitted: auto-replied\n\
         Message-ID: <{id}@acme.example>\n\n{text}\n"
    )
}

fn reply(to: &Email, subject: &str) -> String {
    format!(
        "From: ann@acme.example\nSubject: {subject}\nMessage-ID: <r1@acme.example>\nIn-Reply-To: <{}>\n\nYes.\n",
        to.message_id
    )
}

fn later() -> Delivery {
    Delivery::Deferred { code: 451, response: "later".to_owned() }
}

async fn kinds(world: &World, kind: &str) -> usize {
    world.ledger_kinds().await.into_iter().filter(|found| found == kind).count()
}

on_both_databases! {
    async fn an_e_mail_without_an_id_that_quotes_our_link_is_known_when_it_comes_again(world: World) {
        let sequence = publish(&world, "links", "").await;
        enroll(&world, sequence, &ann(&world).await).await;
        let quoted = world.mailer.sent().remove(0).text.replace('\n', "\n> ");
        assert!(quoted.contains("https://tandem.example/u/"), "{quoted}");
        let text = format!("From: stranger@nowhere.example\nSubject: Hm\n\nWhat?\n\n> {quoted}\n");
        for _ in 0..3 {
            world.inbox.put(&text);
        }
        assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(1));
        // What comes after it is not held up.
        world.inbox.put("From: stranger@nowhere.example\nSubject: Hm\n\nAnother\n");
        assert_eq!(world.app.poll_inbox(&world.system()).await.unwrap(), Polled::Took(1));
        let kept = received(&world).await;
        assert_eq!(kept.len(), 2);
        assert!(kept[0].reading.text.ends_with("https://tandem.example/u/…"), "{}", kept[0].reading.text);
    }

    async fn an_absence_that_came_before_a_run_began_pauses_it_when_it_is_applied_after(world: World) {
        let (ann, sequence) = (ann(&world).await, publish(&world, "later", "").await);
        let came = world.now();
        world.clock.advance(TimeDelta::minutes(2));
        let run = enroll(&world, sequence, &ann).await;
        brought(&world, &away("a1", "I am on vacation."), came).await;
        world.run_due_jobs().await;
        let paused = now(&world, &run).await;
        assert_eq!((paused.state, paused.held.unwrap().until), (AWAY, Some(came + TimeDelta::days(7))));
        assert_eq!(received(&world).await[0].enrollments, [run.id]);
    }

    async fn who_answers_an_e_mail_of_a_run_wrote_after_it_began_whatever_the_mailboxs_clock_says(world: World) {
        let ann = ann(&world).await;
        let answered = enroll(&world, publish(&world, "answered", "stop_on_reply: sequence,").await, &ann).await;
        let other = enroll(&world, publish(&world, "other", "").await, &ann).await;
        let email = emails(&world, &answered).await.remove(0);
        brought(&world, &reply(&email, "Re: Hello"), answered.started_at - TimeDelta::milliseconds(900)).await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &answered).await.state, REPLIED);
        // For another run it is older.
        assert!(now(&world, &other).await.state.is_live());
    }

    async fn a_reply_is_applied_whatever_its_subject_and_the_mailboxs_clock_are(world: World) {
        let ann = ann(&world).await;
        let run = enroll(&world, publish(&world, "odd", "").await, &ann).await;
        let email = emails(&world, &run).await.remove(0);
        // 150 characters that have 450 in their normal form, from before all clocks.
        let odd = reply(&email, &format!("=?utf-8?Q?{}?=", "=E2=80=A6".repeat(150)));
        let one = brought(&world, &odd, DateTime::UNIX_EPOCH - TimeDelta::days(400)).await;
        assert_eq!((one.reading.subject.chars().count(), one.arrived_at), (150, DateTime::UNIX_EPOCH));
        world.run_due_jobs().await;
        let one: ReceivedEmail = world.app.store.find(one.id).await.unwrap().unwrap();
        assert_eq!((one.kind, one.state), (ReceivedKind::Reply, ReceivedState::Applied));
        assert_eq!(now(&world, &run).await.state, REPLIED);
        let filter = InteractionFilter { of: Some(Of::Contact(ann.id)), kinds: vec![InteractionKind::EmailReply] };
        let did = world.app.store.interaction_page(&filter, &Page::first(9)).await.unwrap().items;
        assert_eq!(did.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), [".".repeat(200)]);
    }

    async fn an_e_mail_that_cannot_be_applied_is_a_job_that_fails(world: World) {
        let run = enroll(&world, publish(&world, "broken", "stop_on_reply: never,").await, &ann(&world).await).await;
        let email = emails(&world, &run).await.remove(0);
        let body = if world.url.starts_with("sqlite") {
            "json_set(body, '$.to.address', 'nobody')"
        } else {
            "jsonb_set(body, '{to,address}', '\"nobody\"')"
        };
        world.tamper(&format!("UPDATE email SET body = {body}")).await.unwrap();
        let stop = reply(&email, "Re: Hello").replace("Yes.", "Stop");
        assert_eq!(arrives(&world, &stop).await.state, ReceivedState::New);
        assert!(world.job_kinds().await.contains(&"apply_received_email".to_owned()));
        let again = world.app.run(&world.system(), ReceivedEmailApply { received: received(&world).await[0].id }).await;
        assert!(again.unwrap_err().is_refusal());
    }

    async fn what_holds_an_e_mail_up_is_recorded_once_however_long_it_takes(world: World) {
        world.mailer.answer([later()]);
        let run = enroll(&world, publish(&world, "held", "").await, &ann(&world).await).await;
        let planned_at = emails(&world, &run).await[0].planned_at;
        let pause = EnrollmentPause { enrollment: run.id, reason: PauseReason::Manual, until: None };
        world.app.run(&world.system(), pause).await.unwrap();
        for _ in 0..150 {
            world.pass(TimeDelta::hours(1)).await;
        }
        assert_eq!(kinds(&world, "email.held").await, 1);
        assert!(world.job_kinds().await.contains(&"deliver_email".to_owned()));
        let held = emails(&world, &run).await.remove(0);
        assert_eq!((held.state, held.planned_at), (EmailState::Deferred, planned_at));
        // Six days are over, and still it has its five.
        world.mailer.answer([later()]);
        world.app.run(&world.system(), EnrollmentResume { enrollment: run.id }).await.unwrap();
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(emails(&world, &run).await[0].state, EmailState::Deferred);
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(emails(&world, &run).await[0].state, EmailState::Sent);
    }

    async fn after_a_pause_no_step_comes_before_the_e_mail_that_the_pause_held_up(world: World) {
        world.mailer.answer([later()]);
        let run = enroll(&world, publish(&world, "order", "").await, &ann(&world).await).await;
        let back = world.now() + TimeDelta::days(14);
        arrives(&world, &away("a1", &format!("I am back on {}.", back.date_naive()))).await;
        assert_eq!(now(&world, &run).await.state, AWAY);
        world.pass(back - world.now()).await;
        let woken = now(&world, &run).await;
        assert!(woken.keeps_the_law(), "{woken:?}");
        if emails(&world, &run).await[0].state != EmailState::Sent {
            assert_eq!((woken.state, woken.awaits), (EnrollmentState::Waiting(WaitReason::Email), Some(0)));
        }
        world.pass(TimeDelta::hours(7)).await;
        // The first had been tried before the pause.
        assert_eq!(subjects(&world), ["Hello", "Hello", "Again"]);
        assert_eq!(emails(&world, &run).await.iter().map(|email| email.state).collect::<Vec<_>>(), [EmailState::Sent; 2]);
    }

    async fn an_e_mail_that_waits_a_week_for_its_hours_is_neither_given_up_nor_overtaken(world: World) {
        world.mailer.answer([later(), later()]);
        let header = "send_window: {weekdays: [mon], from: '09:00', to: '17:00'},";
        let run = enroll(&world, publish(&world, "mondays", header).await, &ann(&world).await).await;
        let monday = world.now();
        world.pass(TimeDelta::hours(9)).await;
        let held = emails(&world, &run).await.remove(0);
        assert_eq!((held.state, held.attempts), (EmailState::Deferred, 1));
        // The hours open at the moment at which the run looks for itself what became of the e-mail.
        world.pass(monday + TimeDelta::days(7) - world.now()).await;
        let tried = emails(&world, &run).await;
        assert_eq!(tried.iter().map(|email| (email.state, email.attempts)).collect::<Vec<_>>(), [(EmailState::Deferred, 2)]);
        let waits = now(&world, &run).await;
        assert_eq!((waits.state, waits.awaits), (EnrollmentState::Waiting(WaitReason::Email), Some(0)));
        assert!(waits.due_at.unwrap() > world.now());
        let advanced = kinds(&world, "enrollment.advanced").await;
        world.pass(TimeDelta::minutes(15)).await;
        assert_eq!(subjects(&world), ["Hello", "Hello", "Hello", "Again"]);
        assert_eq!(kinds(&world, "enrollment.advanced").await, advanced + 2, "the look that found nothing new is no entry");
    }

    async fn an_e_mail_whose_job_was_lost_does_not_hold_its_run_up_for_ever(world: World) {
        world.mailer.answer([later()]);
        let run = enroll(&world, publish(&world, "lost", "").await, &ann(&world).await).await;
        world.tamper("DELETE FROM job WHERE kind = 'deliver_email'").await.unwrap();
        world.pass(TimeDelta::days(6)).await;
        assert_eq!(emails(&world, &run).await.len(), 1);
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(emails(&world, &run).await.len(), 2);
    }

    async fn the_latest_return_counts_for_a_run_that_begins_until_the_person_writes(world: World) {
        let ann = ann(&world).await;
        let day = (world.now() + TimeDelta::days(19)).date_naive();
        arrives(&world, &away("a1", &format!("I am out of the office. Back on {day}."))).await;
        world.pass(TimeDelta::days(1)).await;
        arrives(&world, &away("a2", "I am on vacation.")).await;
        world.pass(TimeDelta::days(8)).await;
        let run = enroll(&world, publish(&world, "meanwhile", "").await, &ann).await;
        let paused = now(&world, &run).await;
        assert_eq!((paused.state, paused.held.unwrap().until.unwrap().date_naive()), (AWAY, day));
        assert_eq!(subjects(&world).len(), 0);
        // Who writes is there.
        arrives(&world, "From: ann@acme.example\nSubject: A question\nMessage-ID: <l1@acme.example>\n\nCall me?\n").await;
        let run = enroll(&world, publish(&world, "after", "").await, &ann).await;
        assert!(!matches!(now(&world, &run).await.state, EnrollmentState::Paused(_)));
        // And may be away again.
        arrives(&world, &away("a3", "I am on vacation.")).await;
        let run = enroll(&world, publish(&world, "again", "").await, &ann).await;
        assert_eq!(now(&world, &run).await.state, AWAY);
    }
}

/// Whoever writes an e-mail that arrived waits until this is dropped.
const NO_WRITES: &str = "LOCK TABLE received_email IN SHARE MODE";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_e_mail_that_two_bring_at_once_is_taken_once_and_holds_nobody_up() {
    let Some(world) = World::postgres().await else { return };
    world.inbox.put("From: stranger@nowhere.example\nSubject: Hm\nMessage-ID: <m1@nowhere.example>\n\nWhat?\n");
    let held = world.hold(NO_WRITES).await;
    let looks: Vec<_> = (0..2)
        .map(|_| {
            let (app, call) = (world.app.clone(), world.system());
            tokio::spawn(async move { app.poll_inbox(&call).await.unwrap() })
        })
        .collect();
    world.until_waiting(2).await;
    held.rollback().await.unwrap();
    let mut took = Vec::new();
    for look in looks {
        took.push(look.await.unwrap());
    }
    took.sort_by_key(|polled| *polled == Polled::Took(1));
    assert_eq!(took, [Polled::Took(0), Polled::Took(1)]);
    assert_eq!(received(&world).await.len(), 1);
}

// Otherwise the one would not see the run yet, and the other not the absence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absence_that_is_applied_while_a_run_begins_is_not_missed() {
    let Some(world) = World::postgres().await else { return };
    let (ann, sequence) = (ann(&world).await, publish(&world, "race", "").await);
    let absence = brought(&world, &away("a1", "I am on vacation."), world.now()).await;
    let held = world.hold(NO_WRITES).await;
    let (app, call) = (world.app.clone(), world.system());
    let applying =
        tokio::spawn(async move { app.run(&call, ReceivedEmailApply { received: absence.id }).await.map(drop) });
    world.until_waiting(1).await;
    let (app, call, begin) = (world.app.clone(), world.system(), create(sequence, &ann));
    let beginning = tokio::spawn(async move { app.run(&call, begin).await.map(|changed| changed.0) });
    world.until_waiting(2).await;
    held.rollback().await.unwrap();
    applying.await.unwrap().unwrap();
    let run = beginning.await.unwrap().unwrap();
    assert_eq!(run.state, AWAY);
}
