//! Sequences and enrolments through the commands and the jobs, on both databases.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::accounts::AccountCreate;
use tandem_app::contacts::{ContactCreate, ContactSetConsent};
use tandem_app::custom_fields::{CustomFieldChange, CustomFieldDefine};
use tandem_app::email::port::Delivery;
use tandem_app::sequence::{Applied, Enrolled};
use tandem_app::{
    AppError, EmailBegin, EmailUnsubscribe, EnrollmentAdvance, EnrollmentCreate, EnrollmentExit, EnrollmentFinish,
    EnrollmentPause, EnrollmentResume, EnrollmentsResume, LeadReceive, SequenceArchive, SequenceDraft, SequencePause,
    SequencePublish, SequenceResume, SuppressionAdd, WorkItemClaim,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::contact::{ConsentGiven, ConsentState, Contact, ContactPatch};
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::expression::typing::Shape;
use tandem_domain::id::{ContactId, LeadId, SequenceId};
use tandem_domain::lead::{Lead, Owner, Stage};
use tandem_domain::sequence::enrollment::{
    Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, WaitReason,
};
use tandem_domain::sequence::environment::environment;
use tandem_domain::sequence::{Sequence, SequenceState};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_domain::work_item::{ItemKind, ItemState};
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

const NURTURE: &str = r#"
key: nurture
name: Nurture
subject: contact
exit: has(contact.custom.left) && contact.custom.left == 'yes'
steps:
  - id: hello
    kind: send_email
    template:
      subject: 'Hello {{ contact.first_name }}'
      text: 'From {{ sender.email }}; stop: {{ unsubscribe_url }}'
      html: '<p>{{ contact.name }}</p><a href="{{ unsubscribe_url }}">Stop</a>'
  - {id: pause, kind: wait, duration: 3d}
  - {id: mark, kind: set_field, field: contact.round, value: 'second'}
  - {id: again, kind: send_email, template: {subject: 'Round {{ contact.custom.round }}', text: 'Still there?'}}
  - {id: call, kind: create_task, title: 'Call {{ contact.name }}', due_in: 1d, priority: 70}
  - {id: done, kind: end}
"#;

async fn publish(world: &World, source: &str) -> Sequence {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0
}

async fn field(world: &World, entity: Entity, key: &str) {
    let command = CustomFieldDefine {
        entity,
        key: key.to_owned(),
        label: key.to_owned(),
        kind: Kind::Text,
        choices: Vec::new(),
        required: false,
    };
    world.app.run(&world.system(), command).await.unwrap();
}

async fn person(world: &World, name: &str, consent: ConsentState) -> Contact {
    let contact: ContactPatch = serde_json::from_value(json!({
        "name": format!("{name} Sample"),
        "email": format!("{}@example.com", name.to_lowercase()),
        "consent": {"state": consent, "source": "form"},
    }))
    .unwrap();
    let command = ContactCreate { contact, default_region: None };
    world.app.run(&world.system(), command).await.unwrap().record
}

async fn nurture(world: &World) -> (Sequence, Contact) {
    field(world, Entity::Contact, "round").await;
    field(world, Entity::Contact, "left").await;
    (publish(world, NURTURE).await, person(world, "Sam", ConsentState::Granted).await)
}

fn of(sequence: SequenceId, contact: ContactId) -> EnrollmentCreate {
    EnrollmentCreate { sequence, contact: Some(contact), lead: None, vars: Map::new() }
}

async fn enroll(world: &World, sequence: &Sequence, contact: &Contact) -> Enrollment {
    world.app.run(&world.system(), of(sequence.id, contact.id)).await.unwrap().0
}

async fn now(world: &World, enrollment: &Enrollment) -> Enrollment {
    world.app.store.find(enrollment.id).await.unwrap().unwrap()
}

fn subjects(world: &World) -> Vec<String> {
    world.mailer.sent().into_iter().map(|out| out.subject).collect()
}

async fn lead_of(world: &World, contact: ContactId) -> Lead {
    let command = LeadReceive {
        contact,
        account: None,
        source: "webinar".to_owned(),
        external_id: None,
        grade: None,
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    world.app.run(&world.system(), command).await.unwrap()
}

async fn lead(world: &World, id: LeadId) -> Lead {
    world.app.store.find(id).await.unwrap().unwrap()
}

on_both_databases! {
    async fn conditions_see_what_they_are_checked_against_and_nothing_else(world: World) {
        let account = serde_json::from_value(json!({"name": "Example LLC", "domains": ["example.com"]})).unwrap();
        let account = world.app.run(&world.system(), AccountCreate { account }).await.unwrap().record;
        let contact: ContactPatch = serde_json::from_value(json!({
            "account": account.id,
            "name": "Sam Sample",
            "email": "sam@example.com",
            "consent": {"state": "GRANTED", "source": "form"},
        }))
        .unwrap();
        let contact = ContactCreate { contact, default_region: None };
        let contact = world.app.run(&world.system(), contact).await.unwrap().record;
        let lead = lead_of(&world, contact.id).await;
        for part in ["contact", "account", "lead", "sender", "enrollment"] {
            let keys = environment().field(part).map(Shape::fields).unwrap();
            let each: Vec<String> = keys.iter().map(|key| format!("'{key}' in {part}")).collect();
            let all = format!("{part}.map(key, key).size() == {} && {}", keys.len(), each.join(" && "));
            // Whoever begins is looked at with the same eyes as whoever runs.
            let source = format!(
                "{{key: sees_{part}, name: Sees, subject: contact, entry: \"{all}\", steps: [\
                 {{id: look, kind: branch, when: \"{all}\", then: seen, else: done}}, \
                 {{id: seen, kind: end, outcome: goal}}, {{id: done, kind: end}}]}}"
            );
            let sequence = publish(&world, &source).await;
            let create = EnrollmentCreate { lead: Some(lead.id), ..of(sequence.id, contact.id) };
            let run = world.app.run(&world.system(), create).await.unwrap_or_else(|refused| panic!("{part}: {refused}"));
            world.run_due_jobs().await;
            assert_eq!(now(&world, &run.0).await.state, EnrollmentState::Finished(FinishReason::Goal), "{part}");
        }
    }

    async fn an_email_that_was_held_up_does_not_go_out_at_night(world: World) {
        let contact = person(&world, "Sam", ConsentState::Granted).await;
        let source = "{key: hours, name: Hours, subject: contact, send_window: {from: '08:00', to: '17:00'}, steps: [\
            {id: hello, kind: send_email, template: {subject: Hello, text: Hi}}, {id: done, kind: end}]}";
        let sequence = publish(&world, source).await;
        // A Monday at nine. The mail server takes nothing until the evening.
        assert_eq!(world.now().to_rfc3339(), "2026-03-02T09:00:00+00:00");
        world.mailer.answer(std::iter::repeat_n(Delivery::Deferred { code: 451, response: "later".to_owned() }, 6));
        let run = enroll(&world, &sequence, &contact).await;
        world.run_due_jobs().await;
        for _ in 0..24 {
            world.pass(TimeDelta::minutes(30)).await;
        }
        let tried = world.mailer.sent().len();
        assert!((1..=6).contains(&tried), "{tried}");
        for _ in 0..20 {
            world.pass(TimeDelta::hours(1)).await;
        }
        let tries: Vec<String> = world.mailer.sent().into_iter().map(|out| out.date.format("%a %H").to_string()).collect();
        assert!(tries.iter().all(|hour| ("08".."17").contains(&&hour[4..])), "{tries:?}");
        assert_eq!(tries.last().map(|hour| &hour[..3]), Some("Tue"), "{tries:?}");
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
    }

    async fn a_run_sends_waits_sets_and_makes_a_task_all_on_the_record(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        assert_eq!(world.job_kinds().await, ["advance_enrollment"]);
        world.run_due_jobs().await;
        let waiting = now(&world, &enrollment).await;
        assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Time));
        assert_eq!(waiting.due_at, Some(world.now() + TimeDelta::days(3)));
        let [hello] = world.mailer.sent().try_into().unwrap();
        assert_eq!((hello.subject.as_str(), hello.to.address.as_str()), ("Hello Sam", "sam@example.com"));
        let link = hello.unsubscribe.unwrap().url;
        assert_eq!(hello.html, Some(format!("<p>Sam Sample</p><a href=\"{link}\">Stop</a>")));
        assert!(hello.text.ends_with(&link), "the link in the text is the one in the header: {}", hello.text);
        let filter = EmailFilter { enrollment: Some(enrollment.id), ..Default::default() };
        let [kept] = world.app.store.email_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
        let kept = serde_json::to_string(&kept).unwrap();
        assert!(!kept.contains("/u/"), "who reads the e-mail here cannot unsubscribe the person: {kept}");
        let due = |jobs: Vec<(_, _, _)>| jobs.into_iter().map(|(_, _, due)| due).collect::<Vec<_>>();
        let timers = due(world.app.store.pending_jobs().await.unwrap());
        let after = [3, 7].map(|days| world.now() + TimeDelta::days(days));
        assert_eq!(timers, after, "the wait, and the obsolete watch over the e-mail that was sent");

        assert_eq!(world.pass(TimeDelta::hours(71)).await, 0);
        world.pass(TimeDelta::hours(1)).await;
        let done = now(&world, &enrollment).await;
        assert_eq!((done.state, done.due_at), (EnrollmentState::Finished(FinishReason::Completed), None));
        assert_eq!(subjects(&world), ["Hello Sam", "Round second"]);
        let contact: Contact = world.app.store.find(contact.id).await.unwrap().unwrap();
        assert_eq!(contact.custom.get("round"), Some(&json!("second")));
        let filter = WorkItemFilter { kind: Some(ItemKind::Task), ..Default::default() };
        let [task] = world.app.store.work_item_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
        assert_eq!((task.title.as_str(), task.priority, task.state), ("Call Sam Sample", 70, ItemState::Queued));
        assert_eq!((task.enrollment, task.due_at), (Some(enrollment.id), world.now() + TimeDelta::days(1)));
        world.pass(TimeDelta::days(7)).await;
        assert!(world.job_kinds().await.is_empty());
        let kinds = world.ledger_kinds().await;
        let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
        assert_eq!([count("enrollment.started"), count("enrollment.ended"), count("email.sent")], [1, 1, 2]);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn a_step_that_is_repeated_happens_once(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        let step = EnrollmentAdvance { enrollment: enrollment.id, visit: 0 };
        let racers = (0..6).map(|_| {
            let (app, call, step) = (world.app.clone(), world.system(), step.clone());
            tokio::spawn(async move { app.run(&call, step).await })
        });
        let mut done = 0;
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(_) => done += 1,
                Err(error) => assert_eq!(error.code(), "ENROLLMENT_STALE"),
            }
        }
        assert_eq!(done, 1);
        world.run_due_jobs().await;
        let filter = EmailFilter { enrollment: Some(enrollment.id), ..Default::default() };
        assert_eq!(world.app.store.email_page(&filter, &Page::first(9)).await.unwrap().items.len(), 1);
        assert_eq!(subjects(&world), ["Hello Sam"]);
    }

    async fn one_subject_has_one_live_enrolment(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let racers = (0..6).map(|_| {
            let (app, call) = (world.app.clone(), world.system());
            let command = of(sequence.id, contact.id);
            tokio::spawn(async move { app.run(&call, command).await })
        });
        let mut done = Vec::new();
        for racer in racers.collect::<Vec<_>>() {
            match racer.await.unwrap() {
                Ok(enrolled) => done.push(enrolled.0),
                Err(error) => assert!(["ENROLLMENT_EXISTS", "DUPLICATE"].contains(&error.code()), "{error}"),
            }
        }
        let [first] = done.try_into().unwrap();
        let exit = EnrollmentExit { enrollment: first.id, reason: ExitReason::Manual };
        world.app.run(&world.system(), exit).await.unwrap();
        enroll(&world, &sequence, &contact).await;
    }

    async fn nothing_is_sent_after_a_suppression_wherever_it_lands(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let suppress = |value: &str| SuppressionAdd {
            kind: SuppressionKind::Email,
            value: value.to_owned(),
            reason: SuppressionReason::Manual,
            source: "test".to_owned(),
        };
        // Between planning and sending.
        let enrollment = enroll(&world, &sequence, &contact).await;
        let step = EnrollmentAdvance { enrollment: enrollment.id, visit: 0 };
        world.app.run(&world.system(), step).await.unwrap();
        world.app.run(&world.system(), suppress("sam@example.com")).await.unwrap();
        world.run_due_jobs().await;
        assert!(subjects(&world).is_empty());
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::OptedOut);
        // Between two steps.
        let other = person(&world, "Kim", ConsentState::Granted).await;
        let running = enroll(&world, &sequence, &other).await;
        world.run_due_jobs().await;
        assert_eq!(subjects(&world), ["Hello Kim"]);
        world.app.run(&world.system(), suppress("kim@example.com")).await.unwrap();
        world.pass(TimeDelta::days(30)).await;
        assert_eq!(now(&world, &running).await.state, EnrollmentState::OptedOut);
        // Before the start.
        let refused = world.app.run(&world.system(), of(sequence.id, other.id)).await.unwrap_err();
        assert_eq!(refused.code(), "ENROLLMENT_MAY_NOT_WRITE");
        assert_eq!(subjects(&world), ["Hello Kim"]);
    }

    async fn without_consent_the_step_waits_and_with_it_the_step_goes_on(world: World) {
        let (sequence, _) = nurture(&world).await;
        let kim = person(&world, "Kim", ConsentState::Unknown).await;
        let enrollment = enroll(&world, &sequence, &kim).await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Event));
        assert!(subjects(&world).is_empty());
        let consent = ConsentGiven { state: ConsentState::Granted, source: Some("call".to_owned()), at: None };
        world.app.run(&world.system(), ContactSetConsent { id: kim.id, consent }).await.unwrap();
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(subjects(&world), ["Hello Kim"]);
        let consent = ConsentGiven { state: ConsentState::Withdrawn, source: None, at: None };
        world.app.run(&world.system(), ContactSetConsent { id: kim.id, consent }).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::OptedOut);
        assert_eq!(subjects(&world), ["Hello Kim"]);
    }

    async fn a_paused_sequence_holds_its_enrolments_and_resuming_it_lets_them_go_on(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
        let kim = person(&world, "Kim", ConsentState::Granted).await;
        let refused = world.app.run(&world.system(), of(sequence.id, kim.id)).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_NOT_ACTIVE");
        world.pass(TimeDelta::days(5)).await;
        let paused = now(&world, &enrollment).await;
        assert_eq!(paused.state, EnrollmentState::Paused(PauseReason::Sequence));
        let refused = world.app.run(&world.system(), EnrollmentResume { enrollment: paused.id }).await.unwrap_err();
        assert_eq!(refused.code(), "ENROLLMENT_PAUSED");
        assert_eq!(world.job_kinds().await.len(), 1, "only the obsolete watch over the first e-mail");
        world.app.run(&world.system(), SequenceResume { sequence: sequence.id }).await.unwrap();
        // Whoever does not want to wait for the job may resume it now.
        world.app.run(&world.system(), EnrollmentResume { enrollment: paused.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(subjects(&world), ["Hello Sam", "Round second"]);
        world.pass(TimeDelta::days(7)).await;
        assert!(world.job_kinds().await.is_empty());
    }

    async fn the_next_step_waits_for_what_becomes_of_the_email(world: World) {
        let source = "
key: two
name: Two
subject: contact
steps:
  - {id: one, kind: send_email, template: {subject: One, text: one}}
  - {id: two, kind: send_email, template: {subject: Two, text: two}}
  - {id: done, kind: end}
";
        let sequence = publish(&world, source).await;
        let later = || Delivery::Deferred { code: 451, response: "later".to_owned() };
        let unknown = Delivery::Unknown { error: "reset".to_owned() };
        let ours = Delivery::Rejected { code: 550, response: "5.7.1 listed".to_owned(), recipient: true };
        let fates = [None, Some(unknown), Some(ours)];
        for (name, fate) in ["Sam", "Kim", "Lee"].into_iter().zip(fates) {
            let contact = person(&world, name, ConsentState::Granted).await;
            let before = subjects(&world).len();
            world.mailer.answer([later()].into_iter().chain(fate));
            let enrollment = enroll(&world, &sequence, &contact).await;
            world.run_due_jobs().await;
            assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Email));
            assert_eq!(subjects(&world)[before..], ["One"]);
            world.pass(TimeDelta::minutes(5)).await;
            assert_eq!(subjects(&world)[before..], ["One", "One", "Two"], "{name}");
            assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
        }
        // A process that died while it sent: nobody knows, so the run goes on.
        let contact = person(&world, "Joe", ConsentState::Granted).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        world.app.run(&world.system(), EnrollmentAdvance { enrollment: enrollment.id, visit: 0 }).await.unwrap();
        let filter = EmailFilter { enrollment: Some(enrollment.id), ..Default::default() };
        let [email] = world.app.store.email_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
        world.app.run(&world.system(), EmailBegin { email: email.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(subjects(&world).last().unwrap(), "Two");
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
    }

    async fn a_run_whose_email_nobody_hears_of_goes_on_in_the_end(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        world.app.run(&world.system(), EnrollmentAdvance { enrollment: enrollment.id, visit: 0 }).await.unwrap();
        world.tamper("DELETE FROM job WHERE kind = 'deliver_email'").await.unwrap();
        world.pass(TimeDelta::days(6)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Email));
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Waiting(WaitReason::Time));
    }

    async fn an_archived_sequence_ends_what_runs_and_what_is_paused(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let running = enroll(&world, &sequence, &contact).await;
        let kim = person(&world, "Kim", ConsentState::Granted).await;
        let paused = enroll(&world, &sequence, &kim).await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        world.app.run(&world.system(), SequenceArchive { sequence: sequence.id }).await.unwrap();
        world.run_due_jobs().await;
        for enrollment in [running, paused] {
            assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        }
        assert_eq!(subjects(&world).len(), 2);
    }

    async fn people_pause_resume_finish_and_exit(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let enrollment = world.app.run(&sdr, of(sequence.id, contact.id)).await.unwrap().0;
        let pause = EnrollmentPause { enrollment: enrollment.id, reason: PauseReason::OutOfOffice, until: None };
        world.app.run(&sdr, pause).await.unwrap();
        let tried = world.pass(TimeDelta::days(9)).await;
        assert_eq!(tried, 2, "the timer that was planned does nothing, and what the run hears of neither");
        assert!(subjects(&world).is_empty());
        world.app.run(&sdr, EnrollmentResume { enrollment: enrollment.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(subjects(&world), ["Hello Sam"]);
        let finish = EnrollmentFinish { enrollment: enrollment.id, reason: FinishReason::Replied };
        world.app.run(&sdr, finish).await.unwrap();
        world.pass(TimeDelta::days(9)).await;
        assert_eq!(subjects(&world), ["Hello Sam"]);
        let exit = EnrollmentExit { enrollment: enrollment.id, reason: ExitReason::Manual };
        assert_eq!(world.app.run(&sdr, exit).await.unwrap_err().code(), "ENROLLMENT_ENDED");
        let publish = SequencePublish { source: NURTURE.replace("3d", "4d") };
        assert_eq!(world.app.run(&sdr, publish).await.unwrap_err().code(), "FORBIDDEN");
    }

    async fn what_a_run_asked_for_is_closed_when_nobody_needs_it_any_more(world: World) {
        let source = "
key: calls
name: Calls
subject: contact
steps:
  - {id: hello, kind: send_email, template: {subject: Hello, text: hello}}
  - {id: call, kind: create_task, title: Call, due_in: 1d}
  - {id: ring, kind: create_task, title: Ring, due_in: 2d}
  - {id: pause, kind: wait, duration: 3d}
  - {id: done, kind: end}
";
        let sequence = publish(&world, source).await;
        let (_, sdr) = world.user("ann", Role::Sdr, Some(Side::Marketing)).await;
        let tasks = async |contact: ContactId| {
            let filter = WorkItemFilter { contact: Some(contact), ..Default::default() };
            let items = world.app.store.work_item_page(&filter, &Page::first(9)).await.unwrap().items;
            items.into_iter().map(|item| (item.title, item.state, item.outcome.and_then(|outcome| outcome.reason)))
                .collect::<Vec<_>>()
        };
        let cancelled = |because: &str| ("Ring".to_owned(), ItemState::Cancelled, Some(because.to_owned()));
        for (name, because) in [("Sam", "REPLIED"), ("Kim", "MANUAL"), ("Lee", "OPTED_OUT"), ("Joe", "COMPLETED")] {
            let contact = person(&world, name, ConsentState::Granted).await;
            let enrollment = enroll(&world, &sequence, &contact).await;
            world.run_due_jobs().await;
            let filter = WorkItemFilter { contact: Some(contact.id), ..Default::default() };
            let [first, _] = world.app.store.work_item_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
            world.app.run(&sdr, WorkItemClaim { item: first.id }).await.unwrap();
            let enrollment = enrollment.id;
            match because {
                "REPLIED" => {
                    let finish = EnrollmentFinish { enrollment, reason: FinishReason::Replied };
                    world.app.run(&sdr, finish).await.map(drop).unwrap();
                }
                "MANUAL" => {
                    world.app.run(&sdr, EnrollmentExit { enrollment, reason: ExitReason::Manual }).await.map(drop).unwrap();
                }
                "OPTED_OUT" => {
                    let filter = EmailFilter { contact: Some(contact.id), ..Default::default() };
                    let [email] = world.app.store.email_page(&filter, &Page::first(9)).await.unwrap().items.try_into().unwrap();
                    let wish = EmailUnsubscribe { email: email.id, contact: contact.id };
                    world.app.run(&world.system(), wish).await.map(drop).unwrap();
                }
                _ => {}
            }
            let held = ("Call".to_owned(), ItemState::Claimed, None);
            let open = ("Ring".to_owned(), ItemState::Queued, None);
            let rest = if because == "COMPLETED" { open } else { cancelled(because) };
            assert_eq!(tasks(contact.id).await, [held, rest], "{name}: whoever took one up decides about it");
        }
        let closed = world.ledger().await.into_iter().filter(|link| link.entry.kind == "work_item.cancelled").count();
        assert_eq!(closed, 3);
        world.pass(TimeDelta::days(3)).await;
        let queued = WorkItemFilter { states: vec![ItemState::Queued], ..Default::default() };
        let open = world.app.store.work_item_page(&queued, &Page::first(9)).await.unwrap().items;
        assert!(open.iter().any(|item| item.title == "Ring"), "a run that went through to its end leaves its task");
    }

    async fn a_running_enrolment_stays_on_its_version(world: World) {
        let (sequence, contact) = nurture(&world).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        world.run_due_jobs().await;
        let changed = publish(&world, &NURTURE.replace("Round {{", "Changed {{")).await;
        assert_eq!((changed.id, changed.latest_number), (sequence.id, 2));
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(now(&world, &enrollment).await.rule, "nurture@1");
        assert_eq!(subjects(&world), ["Hello Sam", "Round second"]);
        let again = enroll(&world, &changed, &contact).await;
        assert_eq!(again.rule, "nurture@2");
        let refused = world.tamper("DELETE FROM sequence_version").await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }

    async fn applying_the_same_definition_again_changes_nothing(world: World) {
        field(&world, Entity::Contact, "round").await;
        field(&world, Entity::Contact, "left").await;
        let first = world.app.sequence_apply(&world.system(), NURTURE.to_owned()).await.unwrap();
        let Applied::Published(version) = first else { panic!("{first:?}") };
        let again = world.app.sequence_apply(&world.system(), format!("# same\n{NURTURE}")).await.unwrap();
        assert_eq!(again, Applied::Unchanged(version));
        assert_eq!(world.ledger_kinds().await, ["custom_field.defined", "custom_field.defined", "sequence.published"]);
        let broken = world.app.sequence_apply(&world.system(), "key: x".to_owned()).await.unwrap_err();
        assert_eq!(broken.code(), "SEQUENCE_INVALID");
        let draft = SequenceDraft { source: NURTURE.replace("3d", "5d") };
        let drafted = world.app.run(&world.system(), draft).await.unwrap();
        assert_eq!((drafted.state, drafted.latest_number), (SequenceState::Active, 1));
        assert!(drafted.draft.is_some());
    }

    async fn a_lead_is_owned_by_its_run_and_let_go_at_the_end(world: World) {
        let source = NURTURE.replace("subject: contact", "subject: lead").replace("contact.round", "lead.round");
        let source = source.replace("contact.custom.round", "lead.custom.round");
        field(&world, Entity::Lead, "round").await;
        field(&world, Entity::Contact, "left").await;
        let sequence = publish(&world, &source).await;
        let contact = person(&world, "Sam", ConsentState::Granted).await;
        let refused = world.app.run(&world.system(), of(sequence.id, contact.id)).await.unwrap_err();
        assert_eq!(refused.code(), "ENROLLMENT_LEAD_MISSING");
        let received = lead_of(&world, contact.id).await;
        let command =
            EnrollmentCreate { sequence: sequence.id, contact: None, lead: Some(received.id), vars: Map::new() };
        let Enrolled(enrollment, owned, _) = world.app.run(&world.system(), command).await.unwrap();
        let owned = owned.unwrap();
        assert_eq!((owned.stage, owned.owner), (Stage::Nurturing, Owner::Sequence(enrollment.id)));
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(now(&world, &enrollment).await.state, EnrollmentState::Finished(FinishReason::Completed));
        let after = lead(&world, received.id).await;
        assert_eq!((after.stage, after.owner), (Stage::Received, Owner::Marketing));
        assert_eq!(after.reason.as_deref(), Some("COMPLETED"));
        assert_eq!(after.custom.get("round"), Some(&json!("second")));
        assert!(after.keeps_the_law());
        assert_eq!(subjects(&world), ["Hello Sam", "Round second"]);
    }

    async fn a_step_that_cannot_be_taken_fails_the_run_and_says_why(world: World) {
        field(&world, Entity::Contact, "round").await;
        field(&world, Entity::Contact, "left").await;
        field(&world, Entity::Contact, "nowhere").await;
        let sequence = publish(&world, &NURTURE.replace("contact.round", "contact.nowhere")).await;
        // It was there when the sequence was published.
        let fields = world.app.store.custom_fields().await.unwrap();
        let id = fields.iter().find(|field| field.key == "nowhere").unwrap().id;
        let retire = CustomFieldChange { id, label: None, choices: None, required: None, active: Some(false) };
        world.app.run(&world.system(), retire).await.unwrap();
        let contact = person(&world, "Sam", ConsentState::Granted).await;
        let enrollment = enroll(&world, &sequence, &contact).await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(3)).await;
        let failed = now(&world, &enrollment).await;
        assert_eq!(failed.state, EnrollmentState::Failed);
        let failure = failed.failure.unwrap();
        assert!(failure.code.starts_with("CUSTOM_FIELD"), "{failure:?}");
        assert!(failure.message.contains("nowhere"), "{failure:?}");
        world.pass(TimeDelta::days(7)).await;
        assert!(world.job_kinds().await.is_empty());
    }

    async fn of_many_each_is_enrolled_for_itself_and_a_repetition_changes_nothing(world: World) {
        let (sequence, sam) = nurture(&world).await;
        let kim = person(&world, "Kim", ConsentState::Withdrawn).await;
        let nobody: ContactId = world.app.env.id(world.now());
        let call = world.system().with_key(Some("batch".to_owned()));
        let many = || vec![of(sequence.id, sam.id), of(sequence.id, kim.id), of(sequence.id, nobody)];
        let codes = |answers: Vec<Result<_, AppError>>| {
            answers.into_iter().map(|answer| answer.map_or_else(|error| error.code(), |_| "ok")).collect::<Vec<_>>()
        };
        assert_eq!(codes(world.app.enroll_many(&call, many().into_iter().map(Ok).collect()).await), ["ok", "ENROLLMENT_MAY_NOT_WRITE", "NOT_FOUND"]);
        assert_eq!(codes(world.app.enroll_many(&call, many().into_iter().map(Ok).collect()).await), ["ok", "ENROLLMENT_MAY_NOT_WRITE", "NOT_FOUND"]);
        let filter = EnrollmentFilter { sequence: Some(sequence.id), ..Default::default() };
        assert_eq!(world.app.store.enrollment_page(&filter, &Page::first(9)).await.unwrap().items.len(), 1);
        let counts = world.app.store.enrollment_counts(Some(sequence.id)).await.unwrap();
        assert_eq!(counts.values().sum::<i64>(), 1);
    }

    async fn those_who_wait_cost_nothing_until_they_fall_due(world: World) {
        let source = "{key: slow, name: Slow, subject: contact, steps: [{id: a, kind: wait, duration: 30d}, {id: z, kind: end}]}";
        let sequence = publish(&world, source).await;
        for n in 0..40 {
            let contact = person(&world, &format!("P{n}"), ConsentState::Granted).await;
            enroll(&world, &sequence, &contact).await;
        }
        assert_eq!(world.run_due_jobs().await, 40);
        assert_eq!(world.pass(TimeDelta::days(29)).await, 0);
        assert_eq!(world.pass(TimeDelta::days(1)).await, 40);
        let counts = world.app.store.enrollment_counts(None).await.unwrap();
        assert_eq!(counts.into_iter().map(|(state, count)| (state.as_str(), count)).collect::<Vec<_>>(), [("FINISHED", 40)]);
    }
}

/// A run that has fallen due in a paused sequence, and the person whose row is held: so the run's next advance has seen
/// the sequence paused, and waits there.
async fn about_to_pause(world: &World) -> (Enrollment, sea_orm::DatabaseTransaction) {
    let (sequence, contact) = nurture(world).await;
    let enrollment = enroll(world, &sequence, &contact).await;
    world.app.run(&world.system(), SequencePause { sequence: sequence.id }).await.unwrap();
    let held = world.hold(&format!("SELECT * FROM contact WHERE id = '{}' FOR UPDATE", contact.id)).await;
    (enrollment, held)
}

// Otherwise nobody would ever look at the run again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_pauses_while_its_sequence_is_resumed_or_archived_is_found() {
    for archive in [false, true] {
        let Some(world) = World::postgres().await else { return };
        let (enrollment, held) = about_to_pause(&world).await;
        let (app, call) = (world.app.clone(), world.system());
        let step = EnrollmentAdvance { enrollment: enrollment.id, visit: 0 };
        let pausing = tokio::spawn(async move { app.run(&call, step).await.map(drop) });
        world.until_waiting(1).await;
        let (app, call, sequence) = (world.app.clone(), world.system(), enrollment.sequence);
        let revision = world.app.store.find::<Sequence>(sequence).await.unwrap().unwrap().revision + 1;
        let resuming = tokio::spawn(async move {
            let resumed = match archive {
                true => app.run(&call, SequenceArchive { sequence }).await,
                false => app.run(&call, SequenceResume { sequence }).await,
            };
            resumed.unwrap();
            let found = app.run(&call, EnrollmentsResume { sequence, revision, done: 0 }).await;
            found.map_or(0, |(resumed, _)| resumed.len())
        });
        world.until_waiting(2).await;
        held.rollback().await.unwrap();
        pausing.await.unwrap().unwrap();
        assert_eq!(resuming.await.unwrap(), 1, "the run that had just paused");
        world.run_due_jobs().await;
        let state = now(&world, &enrollment).await.state;
        match archive {
            true => assert_eq!(state, EnrollmentState::Exited(ExitReason::Superseded)),
            false => assert_eq!(subjects(&world), ["Hello Sam"], "{state}"),
        }
    }
}
