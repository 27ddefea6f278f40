//! What is planned and held back goes out only as long as its run and its sequence let it: through the commands and the jobs, on
//! both databases.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tandem_app::custom_fields::CustomFieldDefine;
use tandem_app::{
    AppError, Call, Command, ContactChange, EmailTemplatePublish, EnrollmentCreate, EnrollmentFinish, EnrollmentPause,
    EnrollmentResume, EnrollmentsResume, Env, InteractionRecord, OutboundChannelPause, OutboundChannelResume,
    OutboundChannelSave, SendingMailboxSave, SequenceArchive, SequenceCatchUp, SequenceDraft, SequencePause,
    SequencePublish, SequenceResume,
};
use tandem_domain::contact::ContactPatch;
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::decision::Decision;
use tandem_domain::email::{Delivery, Email, EmailState, Obstacle};
use tandem_domain::email_template::library::Library;
use tandem_domain::id::{ContactId, SequenceId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::ledger::Entry;
use tandem_domain::outbound::{OutboundChannel, channel};
use tandem_domain::sending_mailbox::MailboxDraft;
use tandem_domain::sequence::backlog::{Backlog, Wish};
use tandem_domain::sequence::enrollment::{EnrollmentState, ExitReason, FinishReason, PauseReason, WaitReason};
use tandem_domain::sequence::{Enrollment, Sequence};
use tandem_domain::work_item::ItemState;
use tandem_jobs::{Handler, Handlers};
use tandem_store::email::EmailFilter;
use tandem_store::jobs::Now;
use tandem_store::reach::OutboundCallFilter;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_store::{Page, Tx};
use tandem_testkit::{World, on_both_databases};

/// A letter and what follows it; `header` is for the sequence, `settings` for the letter.
fn letter(key: &str, header: &str, settings: &str, more: &str) -> String {
    format!(
        "key: {key}\nname: {key}\nsubject: contact\n{header}steps:\n  - {{id: mail, kind: send_email, {settings}\
         template: {{subject: 'From {key}', text: 'Hello'}}}}\n{more}  - {{id: done, kind: end}}\n"
    )
}

async fn publish(world: &World, source: &str) -> SequenceId {
    let published = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await;
    published.unwrap_or_else(|refused| panic!("{refused}\n{source}")).0.id
}

async fn enroll(world: &World, sequence: SequenceId, contact: ContactId) -> Enrollment {
    let command = EnrollmentCreate { sequence, contact: Some(contact), lead: None, vars: Map::new() };
    world.app.run(&world.system(), command).await.unwrap().0
}

async fn now(world: &World, run: &Enrollment) -> Enrollment {
    world.app.store.find(run.id).await.unwrap().unwrap()
}

async fn email(world: &World, run: &Enrollment) -> Email {
    let filter = EmailFilter { enrollment: Some(run.id), ..EmailFilter::default() };
    world.app.store.email_page(&filter, &Page::first(9)).await.unwrap().items.remove(0)
}

async fn change(world: &World, contact: ContactId, patch: Value) {
    let contact_patch: ContactPatch = serde_json::from_value(patch).unwrap();
    let command = ContactChange { id: contact, contact: contact_patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap();
    hear(world).await;
}

/// Lets runs hear of what has happened, and does what follows.
async fn hear(world: &World) {
    world.run_due_jobs().await;
    world.clock.advance(TimeDelta::seconds(1));
}

async fn entries(world: &World, kind: &str) -> Vec<Entry> {
    world.ledger().await.into_iter().map(|link| link.entry).filter(|entry| entry.kind == kind).collect()
}

async fn kinds(world: &World) -> Vec<String> {
    world.job_kinds().await.into_iter().filter(|kind| kind != "advance_enrollment").collect()
}

fn later() -> Delivery {
    Delivery::Deferred { code: 451, response: "later".to_owned() }
}

async fn mailbox(world: &World, interval: u32) {
    let draft = MailboxDraft {
        address: "lin@example.com".to_owned(),
        name: Some("Lin".to_owned()),
        reply_to: None,
        pool: "outreach".to_owned(),
        zone: chrono_tz::UTC,
        daily_cap: 100,
        ramp_up: None,
        interval,
    };
    world.app.run(&world.system(), SendingMailboxSave { draft }).await.unwrap();
}

/// A run whose e-mail the mail server put off.
async fn deferred(world: &World, key: &str, header: &str) -> (SequenceId, Enrollment) {
    let sequence = publish(world, &letter(key, header, "", "")).await;
    let contact = world.contact(&format!("{key}@example.com")).await.id;
    let run = enroll(world, sequence, contact).await;
    world.mailer.answer([later()]);
    world.run_due_jobs().await;
    assert_eq!(email(world, &run).await.state, EmailState::Deferred);
    (sequence, run)
}

async fn is_taken_back(world: &World, run: &Enrollment, state: EnrollmentState) {
    let tried = world.mailer.sent().len();
    assert_eq!(now(world, run).await.state, state);
    world.pass(TimeDelta::hours(2)).await;
    let email = email(world, run).await;
    assert_eq!((email.state, email.obstacle), (EmailState::Refused, Some(Obstacle::EnrollmentEnded)), "{state}");
    world.pass(TimeDelta::days(8)).await;
    assert_eq!(world.mailer.sent().len(), tried, "nothing goes out after the end ({state})");
    let refused = entries(world, "email.refused").await;
    assert_eq!(refused.iter().filter(|entry| entry.subject_id == email.id.0).count(), 1);
    assert_eq!(now(world, run).await.state, state);
}

on_both_databases! {
    async fn an_email_that_is_put_off_is_not_sent_once_its_goal_came_about_or_its_exit_holds(world: World) {
        let ends = [
            ("goal", "goal: contact.title == 'Customer'\n", EnrollmentState::Finished(FinishReason::Goal)),
            ("exit", "exit: contact.title == 'Customer'\n", EnrollmentState::Exited(ExitReason::Rule)),
        ];
        for (key, header, state) in ends {
            let (_, run) = deferred(&world, key, header).await;
            change(&world, run.contact, json!({"title": "Customer"})).await;
            is_taken_back(&world, &run, state).await;
        }
    }

    async fn an_email_that_is_put_off_is_not_sent_once_somebody_says_that_its_run_is_finished(world: World) {
        for (key, reason) in [("goal", FinishReason::Goal), ("opened", FinishReason::OpportunityOpened)] {
            let (_, run) = deferred(&world, key, "").await;
            world.app.run(&world.system(), EnrollmentFinish { enrollment: run.id, reason }).await.unwrap();
            is_taken_back(&world, &run, EnrollmentState::Finished(reason)).await;
        }
    }

    async fn nothing_goes_out_of_the_line_of_a_mailbox_for_a_run_whose_goal_came_about(world: World) {
        mailbox(&world, 600).await;
        let header = "goal: contact.title == 'Customer'\n";
        let sequence = publish(&world, &letter("line", header, "pool: outreach, ", "")).await;
        let (ann, bob) = (world.contact("ann@example.com").await.id, world.contact("bob@example.com").await.id);
        let runs = [enroll(&world, sequence, ann).await, enroll(&world, sequence, bob).await];
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 1);
        let waits = if email(&world, &runs[0]).await.state == EmailState::Sent { &runs[1] } else { &runs[0] };
        assert_eq!(now(&world, waits).await.state, EnrollmentState::Waiting(WaitReason::Email));
        change(&world, waits.contact, json!({"title": "Customer"})).await;
        is_taken_back(&world, waits, EnrollmentState::Finished(FinishReason::Goal)).await;
    }

    async fn an_email_is_sent_although_its_run_came_to_its_end_by_its_own_steps_or_failed_later(world: World) {
        let own = [
            EnrollmentState::Finished(FinishReason::Goal),
            EnrollmentState::Finished(FinishReason::MeetingBooked),
            EnrollmentState::Exited(ExitReason::Rule),
        ];
        let goes = own.map(|state| (state, true)).into_iter().chain([
            (EnrollmentState::Finished(FinishReason::Completed), false),
            (EnrollmentState::Failed, false),
        ]);
        for (n, (state, ended_by_step)) in goes.enumerate() {
            let (_, run) = deferred(&world, &format!("own{n}"), "").await;
            // It went on without word of its e-mail, which was overdue.
            let mut ended = now(&world, &run).await;
            (ended.state, ended.due_at, ended.awaits, ended.ended_at) = (state, None, None, Some(world.now()));
            ended.memory.ended_by_step = ended_by_step;
            world.app.run(&world.system(), Given(ended)).await.unwrap();
            world.pass(TimeDelta::hours(1)).await;
            assert_eq!(email(&world, &run).await.state, EmailState::Sent, "{state}");
        }
    }

    async fn a_paused_sequence_holds_what_it_has_planned_and_sends_it_once_it_goes_on(world: World) {
        let more = "  - {id: next, kind: create_task, title: Call, due_in: 2d}\n";
        let plain = publish(&world, &letter("plain", "", "", more)).await;
        let urgent = publish(&world, &letter("urgent", "", "transactional: true, ", more)).await;
        for sequence in [plain, urgent] {
            let run = enroll(&world, sequence, world.contact(&format!("{sequence}@example.com")).await.id).await;
            world.mailer.answer([later()]);
            world.run_due_jobs().await;
            let tried = world.mailer.sent().len();
            pause(&world, sequence).await;
            world.pass(TimeDelta::hours(1)).await;
            let held = email(&world, &run).await;
            assert_eq!((held.state, held.held_with, held.expected_at), (EmailState::Deferred, Some(sequence), None));
            assert!(!kinds(&world).await.contains(&"deliver_email".to_owned()), "nobody looks in between");
            assert_eq!(backlog(&world, sequence).await, 1);
            world.pass(TimeDelta::days(6)).await;
            // The run falls due without word of its e-mail, and is counted once.
            world.pass(TimeDelta::days(6)).await;
            assert_eq!(now(&world, &run).await.state, EnrollmentState::Paused(PauseReason::Sequence));
            assert_eq!((backlog(&world, sequence).await, world.mailer.sent().len()), (1, tried));
            // What held it up takes nothing from its five days.
            world.mailer.answer([later()]);
            world.app.run(&world.system(), SequenceResume { sequence }).await.unwrap();
            world.run_due_jobs().await;
            assert_eq!((email(&world, &run).await.state, backlog(&world, sequence).await), (EmailState::Deferred, 0));
            assert_eq!(now(&world, &run).await.state, EnrollmentState::Waiting(WaitReason::Email), "nothing overtakes it");
            world.pass(TimeDelta::hours(1)).await;
            assert_eq!(email(&world, &run).await.state, EmailState::Sent);
            assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
        }
        let held = entries(&world, "email.held").await;
        assert_eq!(held.iter().map(|entry| entry.reason.as_deref()).collect::<Vec<_>>(), [Some("PAUSE"); 2]);
        assert_eq!(entries(&world, "email.released").await.len(), 2);
    }

    async fn what_waits_in_the_line_of_a_mailbox_stops_with_its_sequence_too(world: World) {
        mailbox(&world, 600).await;
        let sequence = publish(&world, &letter("line", "", "pool: outreach, ", "")).await;
        let mut runs = Vec::new();
        for name in ["ann", "bob", "cy"] {
            runs.push(enroll(&world, sequence, world.contact(&format!("{name}@example.com")).await.id).await);
        }
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 1);
        pause(&world, sequence).await;
        minutes(&world, 90).await;
        assert_eq!((world.mailer.sent().len(), backlog(&world, sequence).await), (1, 2));
        resume(&world, sequence, Backlog::Send, None).await;
        minutes(&world, 90).await;
        assert_eq!((world.mailer.sent().len(), backlog(&world, sequence).await), (3, 0));
    }

    async fn emails_that_were_held_are_spread_with_the_runs_or_left_out_as_somebody_wants_it(world: World) {
        let more = "  - {id: tell, kind: create_task, title: Call, due_in: 2d}\n";
        let sequence = publish(&world, &letter("many", "", "", more)).await;
        for (what, days) in [(Backlog::Spread, Some(2)), (Backlog::Latest, Some(2)), (Backlog::Skip, None)] {
            let mut runs = Vec::new();
            for n in 0..4 {
                let contact = world.contact(&format!("{what}{n}@example.com").to_lowercase()).await.id;
                runs.push(enroll(&world, sequence, contact).await);
                world.mailer.answer([later()]);
                world.run_due_jobs().await;
                world.clock.advance(TimeDelta::seconds(1));
            }
            pause(&world, sequence).await;
            world.pass(TimeDelta::hours(2)).await;
            assert_eq!(backlog(&world, sequence).await, 4);
            let before = world.mailer.sent().len();
            resume(&world, sequence, what, days).await;
            let sequence: Sequence = world.app.store.find(sequence).await.unwrap().unwrap();
            assert_eq!(sequence.resumption.unwrap().runs, 4);
            world.run_due_jobs().await;
            if what == Backlog::Skip {
                world.pass(TimeDelta::days(9)).await;
                for run in &runs {
                    let email = email(&world, run).await;
                    assert_eq!((email.state, email.obstacle), (EmailState::Refused, Some(Obstacle::BacklogSkipped)));
                    assert_eq!(now(&world, run).await.state, EnrollmentState::Finished(FinishReason::Completed));
                }
                assert_eq!(world.mailer.sent().len(), before);
                continue;
            }
            // One after the other, in the order in which they were planned.
            for sent in 1..=4 {
                assert_eq!(world.mailer.sent().len() - before, sent, "{what}");
                assert_eq!(email(&world, &runs[sent - 1]).await.begun_at, Some(world.now()));
                world.pass(TimeDelta::hours(12)).await;
            }
            assert_eq!(world.mailer.sent().len() - before, 4, "{what}");
        }
        let refused = entries(&world, "email.refused").await;
        assert_eq!(refused.iter().filter(|entry| entry.reason.as_deref() == Some("BACKLOG_SKIPPED")).count(), 4);
    }

    async fn more_than_a_part_of_held_emails_goes_on(world: World) {
        let sequence = publish(&world, &letter("crowd", "", "", "")).await;
        let mut runs = Vec::new();
        for n in 0..203 {
            runs.push(enroll(&world, sequence, world.contact(&format!("p{n}@example.com")).await.id).await);
        }
        let steps = world.app.store.claim_jobs("steps", "test", Now::At(world.now()), TimeDelta::seconds(30), 300).await;
        Handlers.run_together(&world.app, &steps.unwrap()).await.unwrap();
        pause(&world, sequence).await;
        world.run_due_jobs().await;
        assert_eq!((backlog(&world, sequence).await, world.mailer.sent().len()), (203, 0));
        resume(&world, sequence, Backlog::Send, None).await;
        world.run_due_jobs().await;
        assert_eq!((backlog(&world, sequence).await, world.mailer.sent().len()), (0, 203));
    }

    async fn an_email_that_its_run_holds_too_waits_for_both(world: World) {
        let (sequence, run) = deferred(&world, "both", "").await;
        pause(&world, sequence).await;
        world.pass(TimeDelta::hours(1)).await;
        let command = EnrollmentPause { enrollment: run.id, until: None, reason: PauseReason::Manual };
        world.app.run(&world.system(), command).await.unwrap();
        resume(&world, sequence, Backlog::Send, None).await;
        world.pass(TimeDelta::hours(3)).await;
        let held = email(&world, &run).await;
        assert_eq!((held.state, held.held_with), (EmailState::Deferred, None));
        world.app.run(&world.system(), EnrollmentResume { enrollment: run.id }).await.unwrap();
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(email(&world, &run).await.state, EmailState::Sent);
    }

    async fn archiving_ends_all_who_run_at_once_and_sends_nothing_more(world: World) {
        let steps = "  - {id: call, kind: create_task, title: Call, due_in: 2d}\n  - {id: rest, kind: wait, duration: 90d}\n";
        let source = |key: &str, first: &str| {
            format!("key: {key}\nname: {key}\nsubject: contact\nexclusive: nurture\nsteps:\n{first}{steps}  - {{id: done, kind: end}}\n")
        };
        let mail = "  - {id: mail, kind: send_email, template: {subject: Hello, text: Hello}}\n";
        let sequence = publish(&world, &source("old", "")).await;
        let mut runs = Vec::new();
        for n in 0..203 {
            runs.push(enroll(&world, sequence, world.contact(&format!("p{n}@example.com")).await.id).await);
        }
        world.run_due_jobs().await;
        let paused = EnrollmentPause { enrollment: runs[7].id, until: None, reason: PauseReason::Manual };
        world.app.run(&world.system(), paused).await.unwrap();
        let letters = publish(&world, &source("letters", mail)).await;
        let writes = enroll(&world, letters, world.contact("ann@example.com").await.id).await;
        world.mailer.answer([later()]);
        world.run_due_jobs().await;
        // One is held with its pause, the other waits to be tried again.
        pause(&world, letters).await;
        world.pass(TimeDelta::hours(1)).await;
        for sequence in [sequence, letters] {
            world.app.run(&world.system(), SequenceArchive { sequence }).await.unwrap();
        }
        world.run_due_jobs().await;
        for run in runs.iter().chain([&writes]) {
            assert_eq!(now(&world, run).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        }
        let ended = entries(&world, "enrollment.ended").await;
        assert_eq!(ended.iter().filter(|entry| entry.reason.as_deref() == Some("SUPERSEDED")).count(), 204);
        let open = world.app.store.work_item_page(&WorkItemFilter::default(), &Page::first(500)).await.unwrap().items;
        assert!(open.iter().all(|item| item.state == ItemState::Cancelled), "the tasks that nobody took up are closed");
        let left = email(&world, &writes).await;
        assert_eq!((left.state, left.obstacle), (EmailState::Refused, Some(Obstacle::EnrollmentEnded)));
        // Nobody is kept from another sequence of the group by one that is no more.
        let new = publish(&world, &source("new", "")).await;
        enroll(&world, new, runs[0].contact).await;
        enroll(&world, new, runs[7].contact).await;
        // A part that runs again, as after a crash, finds nothing.
        let revision = world.app.store.find::<Sequence>(sequence).await.unwrap().unwrap().revision;
        let again = world.app.run(&world.system(), EnrollmentsResume { sequence, revision, done: 0 }).await;
        assert_eq!(again.unwrap_err().code(), "SEQUENCE_NOTHING_TO_RESUME");
        world.pass(TimeDelta::days(100)).await;
        assert_eq!(world.mailer.sent().len(), 1);
    }

    async fn an_answer_that_cannot_be_kept_is_a_failure_at_once(world: World) {
        channel(&world).await;
        for (key, answer, code) in [
            ("whole", "", "CALL_ANSWER_NUL"),
            ("made", "answer: \"answer.name\"", "EXPRESSION_NUL"),
            ("born", "answer: \"'a\\\\u0000b'\"", "EXPRESSION_NUL"),
        ] {
            world.hooks.say(CRM, 200, r#"{"name": "a\u0000b"}"#);
            let run = asked(&world, key, answer).await;
            assert_eq!(now(&world, &run).await.state, EnrollmentState::Exited(ExitReason::Rule), "{key}");
            let of = OutboundCallFilter { enrollment: Some(run.id), ..OutboundCallFilter::default() };
            let calls = world.app.store.outbound_call_page(&of, &Page::first(9)).await.unwrap().items;
            assert_eq!(calls.iter().map(|call| call.failure.as_ref().unwrap().code.as_str()).collect::<Vec<_>>(), [code]);
        }
        // What is not kept may be anything.
        let run = asked(&world, "left", "answer: \"size(answer) > 0\"").await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(world.hooks.calls().len(), 4, "each was made once");
    }

    async fn a_document_with_the_character_nul_is_refused_when_it_is_read(world: World) {
        for (text, line) in [
            ("key: k\nname: \"a\\0b\"\nsubject: contact\nsteps:\n  - {id: done, kind: end}\n", 2),
            ("key: k\nname: a\nsubject: contact\nsteps:\n  - {id: t, kind: tag, add: [\"a\\u0000b\"]}\n  - {id: done, kind: end}\n", 5),
            ("key: k\nname: a\nsubject: contact\nsteps:\n  - {id: done, kind: end} # \0\n", 5),
        ] {
            let problems = tandem_app::sequence::sequence_validate(text, &Library::closed()).unwrap_err();
            assert_eq!(problems.iter().map(|it| (it.rule.as_str(), it.line)).collect::<Vec<_>>(), [("SEQUENCE_SHAPE", Some(line))]);
            let refused = world.app.run(&world.system(), SequencePublish { source: text.to_owned() }).await.unwrap_err();
            assert_eq!(refused.code(), "SEQUENCE_INVALID");
            let refused = world.app.run(&world.system(), SequenceDraft { source: text.to_owned() }).await.unwrap_err();
            assert_eq!(refused.code(), "SEQUENCE_INVALID");
        }
        let source = "key: mail\nname: Mail\nsubject: \"a\\0b\"\ntext: Hello\n".to_owned();
        let refused = world.app.run(&world.system(), EmailTemplatePublish { source }).await.unwrap_err();
        assert_eq!(refused.code(), "EMAIL_TEMPLATE_INVALID");
    }

    async fn a_step_that_comes_to_the_character_nul_fails_its_run_and_no_job_comes_back(world: World) {
        let other = publish(&world, "{key: other, name: Other, subject: contact, steps: [{id: done, kind: end}]}").await;
        let steps = [
            ("expression", r#"{id: a, kind: set_field, field: contact.note, expression: "'a\\u0000b'"}"#, "EXPRESSION_NUL"),
            ("value", r#"{id: a, kind: set_field, field: contact.note, value: "{{ 'a\\u0000b' }}"}"#, "TEMPLATE_FAILED"),
            ("start", r#"{id: a, kind: start_sequence, sequence: other, vars: {x: "'a\\u0000b'"}}"#, "EXPRESSION_NUL"),
            ("notes", r#"{id: a, kind: create_task, title: Call, due_in: 2d, notes: "{{ 'a\\u0000b' }}"}"#, "TEMPLATE_FAILED"),
            ("text", r#"{id: a, kind: send_email, template: {subject: S, text: "{{ 'a\\u0000b' }}"}}"#, "TEMPLATE_FAILED"),
        ];
        let (key, label) = ("note".to_owned(), "Note".to_owned());
        let field = CustomFieldDefine { entity: Entity::Contact, key, label, kind: Kind::Text, choices: Vec::new(), required: false };
        world.app.run(&world.system(), field).await.unwrap();
        for (key, step, code) in steps {
            let source = format!("key: {key}\nname: {key}\nsubject: contact\nsteps:\n  - {step}\n  - {{id: done, kind: end}}\n");
            let sequence = publish(&world, &source).await;
            let run = enroll(&world, sequence, world.contact(&format!("{key}@example.com")).await.id).await;
            world.run_due_jobs().await;
            let failed = now(&world, &run).await;
            assert_eq!((failed.state, failed.failure.unwrap().code.as_str()), (EnrollmentState::Failed, code), "{key}");
        }
        let filter = EnrollmentFilter { sequence: Some(other), ..Default::default() };
        assert!(world.app.store.enrollment_page(&filter, &Page::first(9)).await.unwrap().items.is_empty());
        assert!(world.job_kinds().await.is_empty());
    }

    async fn a_trigger_whose_values_hold_the_character_nul_starts_nobody_and_holds_nobody_up(world: World) {
        let source = "key: t\nname: T\nsubject: contact\ntriggers:\n  - {kind: event, event: [FORM], vars: {x: \"'a\\\\u0000b'\"}}\nsteps:\n\
                      \x20 - {id: done, kind: end}\n";
        let sequence = publish(&world, source).await;
        world.clock.advance(TimeDelta::seconds(1));
        let contact = world.contact("ann@example.com").await.id;
        let draft = Draft { kind: InteractionKind::Form, name: "F".to_owned(), occurred_at: None, seconds: None, url: None, properties: Map::new() };
        world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
        world.run_due_jobs().await;
        let filter = EnrollmentFilter { sequence: Some(sequence), ..Default::default() };
        assert!(world.app.store.enrollment_page(&filter, &Page::first(9)).await.unwrap().items.is_empty());
        assert!(world.job_kinds().await.is_empty(), "{:?}", world.job_kinds().await);
    }

    async fn a_paused_channel_is_waited_for_as_long_as_the_step_waits(world: World) {
        let channel = channel(&world).await;
        world.hooks.say(CRM, 200, r#"{"name": "Otto"}"#);
        world.app.run(&world.system(), OutboundChannelPause { channel: channel.id }).await.unwrap();
        let goes = asked(&world, "goes", "retry_for: 2m").await;
        assert_eq!(now(&world, &goes).await.state, EnrollmentState::Waiting(WaitReason::Answer));
        world.clock.advance(TimeDelta::minutes(1));
        world.app.run(&world.system(), OutboundChannelResume { channel: channel.id }).await.unwrap();
        world.pass(TimeDelta::minutes(1)).await;
        assert_eq!(now(&world, &goes).await.state, EnrollmentState::Finished(FinishReason::Completed));
        world.app.run(&world.system(), OutboundChannelPause { channel: channel.id }).await.unwrap();
        let stays = asked(&world, "stays", "retry_for: 2m").await;
        world.pass(TimeDelta::seconds(119)).await;
        assert_eq!(now(&world, &stays).await.state, EnrollmentState::Waiting(WaitReason::Answer));
        world.pass(TimeDelta::seconds(1)).await;
        assert_eq!(now(&world, &stays).await.state, EnrollmentState::Exited(ExitReason::Rule));
        let of = OutboundCallFilter { enrollment: Some(stays.id), ..OutboundCallFilter::default() };
        let calls = world.app.store.outbound_call_page(&of, &Page::first(9)).await.unwrap().items;
        assert_eq!((calls[0].failure.as_ref().unwrap().code.as_str(), calls[0].attempts), ("CHANNEL_PAUSED", 0));
    }
}

const CRM: &str = "https://crm.example.com/score";

async fn channel(world: &World) -> OutboundChannel {
    let draft = channel::Draft {
        key: "crm".to_owned(),
        name: "CRM".to_owned(),
        provider: channel::Provider::Webhook,
        url: Some(CRM.to_owned()),
        end_previous: false,
        secret: None,
        headers: None,
    };
    world.app.run(&world.system(), OutboundChannelSave { draft }).await.unwrap()
}

/// A run that asks the CRM and keeps the answer; where there is none, it is left early.
async fn asked(world: &World, key: &str, settings: &str) -> Enrollment {
    let source = format!(
        "key: {key}\nname: {key}\nsubject: contact\nsteps:\n  - id: ask\n    kind: call_webhook\n    channel: crm\n    \
         body: \"contact.email\"\n    as: crm\n    on: {{success: done, failure: none}}\n    {settings}\n  - {{id: done, kind: end}}\n  \
         - {{id: none, kind: end, outcome: exit}}\n"
    );
    let sequence = publish(world, &source).await;
    let run = enroll(world, sequence, world.contact(&format!("{key}@example.com")).await.id).await;
    world.run_due_jobs().await;
    run
}

/// Lets so much time pass, a minute at a time.
async fn minutes(world: &World, minutes: usize) {
    for _ in 0..minutes {
        world.pass(TimeDelta::minutes(1)).await;
    }
}

async fn pause(world: &World, sequence: SequenceId) {
    world.app.run(&world.system(), SequencePause { sequence }).await.unwrap();
}

async fn resume(world: &World, sequence: SequenceId, backlog: Backlog, days: Option<u32>) {
    let command = SequenceCatchUp { sequence, wish: Wish { backlog, days } };
    world.app.run(&world.system(), command).await.unwrap();
}

async fn backlog(world: &World, sequence: SequenceId) -> u64 {
    let each = world.app.store.count_paused_with_each([sequence]).await.unwrap();
    let count = world.app.store.count_paused_with(sequence).await.unwrap();
    assert_eq!(each.get(&sequence).copied().unwrap_or(0), count);
    count
}

/// A run as it is given.
#[derive(Debug, Serialize)]
struct Given(Enrollment);

impl Command for Given {
    const NAME: &'static str = "given";
    type Output = Enrollment;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<Enrollment>, AppError> {
        let _: Option<Enrollment> = tx.get(self.0.id).await?;
        Ok(Decision::unchanged(self.0.clone()))
    }
}
