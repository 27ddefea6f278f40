//! E-mail and suppression through the commands and the jobs, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;
use tandem_app::email::port::{Delivery, Mailbox};
use tandem_app::sequence::Enrolled;
use tandem_app::{
    App, Call, ContactChange, ContactSetConsent, EmailBegin, EmailPlan, EmailResolve, EmailSettle, EmailUnsubscribe,
    EnrollmentCreate, LeadReceive, Mail, SequencePublish, SuppressionAdd, SuppressionLift,
};
use tandem_connectors::sink::{Script, Sink, SinkOptions};
use tandem_connectors::smtp::{SmtpMailer, SmtpSettings, TlsMode};
use tandem_domain::access::Role;
use tandem_domain::contact::{ConsentGiven, ConsentState, Contact, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_domain::email::{Email, EmailState, Obstacle, Resolution};
use tandem_domain::id::{ContactId, EmailId, EnrollmentId};
use tandem_domain::lead::{Lead, Owner};
use tandem_domain::sequence::Enrollment;
use tandem_domain::sequence::definition::SubjectKind;
use tandem_domain::sequence::enrollment::{EnrollmentState, ExitReason, FinishReason, PauseReason};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_jobs::{Runner, Settings};
use tandem_store::account::ContactFilter;
use tandem_store::email::EmailFilter;
use tandem_store::jobs::Now;
use tandem_store::{Page, StoreError};
use tandem_testkit::{World, on_both_databases};

fn letter(contact: ContactId) -> EmailPlan {
    EmailPlan {
        purpose: "test".into(),
        contact,
        lead: None,
        subject: "Good day".into(),
        text: "Hello.".into(),
        html: None,
    }
}

/// The contact with this address, made where there is none.
async fn contact_at(world: &World, address: &str) -> ContactId {
    let email = Some(tandem_domain::normalise::email(address).unwrap());
    let filter = ContactFilter { email, ..ContactFilter::default() };
    let found = world.app.store.contact_page(&filter, &Page::first(1)).await.unwrap().items.pop();
    match found {
        Some(contact) => contact.id,
        None => world.contact(address).await.id,
    }
}

async fn planned(world: &World, to: &str) -> Email {
    let contact = contact_at(world, to).await;
    world.app.run(&world.system(), letter(contact)).await.unwrap()
}

async fn now(world: &World, id: EmailId) -> Email {
    world.app.store.find(id).await.unwrap().unwrap()
}

fn suppress(kind: SuppressionKind, value: &str) -> SuppressionAdd {
    SuppressionAdd { kind, value: value.into(), reason: SuppressionReason::Manual, source: "test".into() }
}

on_both_databases! {
    async fn a_planned_email_is_begun_sent_and_settled(world: World) {
        let email = planned(&world, "ann@example.org").await;
        assert_eq!(world.job_kinds().await, ["deliver_email"]);
        assert_eq!(world.run_due_jobs().await, 1);
        let sent = now(&world, email.id).await;
        assert_eq!((sent.state, sent.attempts), (EmailState::Sent, 1));
        let [out] = world.mailer.sent().try_into().unwrap();
        assert_eq!((out.message_id, out.to), (email.message_id, Mailbox::bare("ann@example.org")));
        assert!(out.unsubscribe.unwrap().url.starts_with("https://tandem.example/u/"));
        assert_eq!(world.ledger_kinds().await[1..], ["email.planned", "email.begun", "email.sent"]);
        assert!(world.job_kinds().await.is_empty());
    }

    async fn an_email_that_waits_for_its_turn_is_not_begun(world: World) {
        let email = planned(&world, "ann@example.org").await;
        world.mailer.fill();
        let settings = Settings { attempt: Duration::from_millis(50), ..Settings::default() };
        assert_eq!(Runner::new(world.app.clone(), "n", settings).run_due().await.unwrap(), 1);
        let waits = now(&world, email.id).await;
        assert_eq!((waits.state, waits.attempts), (EmailState::Planned, 0));
        assert_eq!(world.ledger_kinds().await.last().map(String::as_str), Some("email.planned"));
    }

    async fn later_is_tried_later_with_the_same_message_id(world: World) {
        let email = planned(&world, "ann@example.org").await;
        world.mailer.answer([
            Delivery::Deferred { code: 451, response: "later".into() },
            Delivery::Unreached { error: "no route".into() },
        ]);
        world.run_due_jobs().await;
        assert_eq!(now(&world, email.id).await.state, EmailState::Deferred);
        assert_eq!(world.pass(TimeDelta::minutes(4)).await, 0);
        assert_eq!(world.pass(TimeDelta::minutes(1)).await, 1);
        assert_eq!(world.pass(TimeDelta::minutes(2)).await, 1);
        let sent = now(&world, email.id).await;
        assert_eq!((sent.state, sent.attempts, sent.error), (EmailState::Sent, 3, None));
        assert!(world.mailer.sent().iter().all(|out| out.message_id == email.message_id));
    }

    async fn a_mailbox_that_is_gone_is_suppressed_and_nothing_more_is_sent_there(world: World) {
        let first = planned(&world, "gone@example.org").await;
        let second = planned(&world, "Gone@example.org").await;
        world.mailer.answer([Delivery::Rejected { code: 550, response: "5.1.1 no such user".into(), recipient: true }]);
        world.run_due_jobs().await;
        assert_eq!(now(&world, first.id).await.state, EmailState::Bounced);
        let second = now(&world, second.id).await;
        assert_eq!((second.state, second.obstacle), (EmailState::Refused, Some(Obstacle::MailboxGone)));
        assert_eq!(world.mailer.sent().len(), 1);
        let refused = world.app.run(&world.system(), letter(first.contact)).await.unwrap_err();
        assert_eq!(refused.code(), "EMAIL_MAY_NOT_WRITE");
    }

    async fn a_suppression_that_lands_between_planning_and_sending_is_obeyed(world: World) {
        for (kind, value) in [(SuppressionKind::Email, "ANN@one.example"), (SuppressionKind::Domain, "two.example")] {
            let email = planned(&world, if kind == SuppressionKind::Email { "ann@one.example" } else { "b@mail.two.example" }).await;
            world.app.run(&world.system(), suppress(kind, value)).await.unwrap();
            world.run_due_jobs().await;
            assert_eq!(now(&world, email.id).await.state, EmailState::Refused);
        }
        assert!(world.mailer.sent().is_empty());
        let refusals = world.ledger().await.into_iter().filter(|link| link.entry.kind == "email.refused").count();
        assert_eq!(refusals, 2);
    }

    async fn an_email_found_begun_becomes_unknown_and_is_only_sent_again_on_a_persons_word(world: World) {
        let email = planned(&world, "ann@example.org").await;
        // The process dies after the first beat.
        let begun = world.app.run(&world.system(), EmailBegin { email: email.id }).await.unwrap().0;
        assert_eq!(begun.state, EmailState::Sending);
        world.run_due_jobs().await;
        assert_eq!(now(&world, email.id).await.state, EmailState::Unknown);
        world.pass(TimeDelta::days(30)).await;
        assert!(world.mailer.sent().is_empty());
        let resolve = EmailResolve { email: email.id, resolution: Resolution::Resend };
        let (_, rep) = world.user("rep", Role::Sdr, None).await;
        assert_eq!(world.app.run(&rep, resolve.clone()).await.unwrap_err().code(), "FORBIDDEN");
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        world.app.run(&ops, resolve.clone()).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, email.id).await.state, EmailState::Sent);
        assert_eq!(world.mailer.sent().len(), 1);
        assert_eq!(world.app.run(&ops, resolve).await.unwrap_err().code(), "EMAIL_NOT_UNKNOWN");
    }

    async fn a_resent_email_passes_the_gate_like_any_other(world: World) {
        let email = planned(&world, "ann@example.org").await;
        world.mailer.answer([Delivery::Unknown { error: "reset".into() }]);
        world.run_due_jobs().await;
        world.app.run(&world.system(), suppress(SuppressionKind::Email, "ann@example.org")).await.unwrap();
        let resolve = EmailResolve { email: email.id, resolution: Resolution::Resend };
        world.app.run(&world.system(), resolve).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, email.id).await.state, EmailState::Refused);
        assert_eq!(world.mailer.sent().len(), 1);
    }

    async fn a_worker_that_lost_its_lease_cannot_begin_and_one_that_lives_on_settles_the_truth(world: World) {
        let email = planned(&world, "ann@example.org").await;
        let claim = || async {
            let later = world.now() + TimeDelta::seconds(30);
            world.app.store.claim_jobs("mail", "other", Now::At(later), TimeDelta::seconds(30), 1).await.unwrap().remove(0).lease
        };
        let slow = claim().await;
        let begin = EmailBegin { email: email.id };
        let (begun, ..) = world.app.run(&world.system().for_job(slow, world.now()), begin.clone()).await.unwrap();
        assert_eq!(world.job_kinds().await, ["deliver_email"], "the job goes on after the first beat");
        world.clock.advance(TimeDelta::seconds(60));
        let fast = claim().await;
        let lost = world.app.run(&world.system().for_job(slow, world.now()), begin.clone()).await.unwrap_err();
        assert!(matches!(lost, tandem_app::AppError::Store(StoreError::LeaseLost { .. })));
        let (found, ..) = world.app.run(&world.system().for_job(fast, world.now()), begin).await.unwrap();
        assert_eq!(found.state, EmailState::Unknown);
        assert!(world.job_kinds().await.is_empty());
        let settle = EmailSettle { email: email.id, attempt: begun.attempts, delivery: Delivery::Accepted { response: "ok".into() } };
        let fenced = world.app.run(&world.system().for_job(slow, world.now()), settle.clone()).await.unwrap_err();
        assert!(matches!(fenced, tandem_app::AppError::Store(StoreError::LeaseLost { .. })));
        world.app.run(&world.system(), settle.clone()).await.unwrap();
        assert_eq!(now(&world, email.id).await.state, EmailState::Sent);
        assert_eq!(world.app.run(&world.system(), settle).await.unwrap_err().code(), "EMAIL_NOT_SENDING");
    }

    async fn unsubscribing_twice_is_one_suppression(world: World) {
        let email = planned(&world, "ann@example.org").await;
        world.run_due_jobs().await;
        let wish = EmailUnsubscribe { email: email.id, contact: email.contact };
        let (kept, contact, _) = world.app.run(&world.system(), wish.clone()).await.unwrap();
        let (kept, contact) = (kept.unwrap(), contact.unwrap());
        assert_eq!(contact.consent.state, ConsentState::Withdrawn);
        assert_eq!((kept.reason, kept.value.as_str()), (SuppressionReason::Unsubscribed, "ann@example.org"));
        assert_eq!(world.app.run(&world.system(), wish).await.unwrap_err().code(), "SUPPRESSION_EXISTS");
        let stranger = EmailUnsubscribe { email: email.id, contact: world.app.env.id(world.now()) };
        assert_eq!(world.app.run(&world.system(), stranger).await.unwrap_err().code(), "NOT_FOUND");
        let added = world.ledger().await.into_iter().filter(|link| link.entry.kind == "suppression.added").count();
        assert_eq!(added, 1);
    }

    async fn a_suppression_is_lifted_with_a_reason_by_sales_ops_and_revived_under_its_id(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let (_, rep) = world.user("rep", Role::Sdr, None).await;
        let first = world.app.run(&rep, suppress(SuppressionKind::Email, " Ann@Example.org ")).await.unwrap();
        let lift = |because: &str| SuppressionLift { suppression: first.id, because: because.into() };
        assert_eq!(world.app.run(&rep, lift("asked")).await.unwrap_err().code(), "FORBIDDEN");
        assert_eq!(world.app.run(&ops, lift(" ")).await.unwrap_err().code(), "SUPPRESSION_LIFT_UNEXPLAINED");
        world.app.run(&ops, lift("consent form 12")).await.unwrap();
        planned(&world, "ann@example.org").await;
        let again = world.app.run(&rep, suppress(SuppressionKind::Email, "ann@example.org")).await.unwrap();
        assert_eq!(again.id, first.id);
        world.run_due_jobs().await;
        assert!(world.mailer.sent().is_empty());
    }

    async fn consent_and_address_are_looked_at_again_before_sending(world: World) {
        let withdrawn = planned(&world, "ann@example.org").await;
        let consent = ConsentGiven { state: ConsentState::Withdrawn, source: Some("phone".into()), at: None };
        world.app.run(&world.system(), ContactSetConsent { id: withdrawn.contact, consent }).await.unwrap();
        let moved = planned(&world, "bob@example.org").await;
        let patch = ContactPatch { email: Edit::Set("bob@elsewhere.example".into()), ..ContactPatch::default() };
        let change = ContactChange { id: moved.contact, contact: patch, default_region: None };
        world.app.run(&world.system(), change).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, withdrawn.id).await.obstacle, Some(Obstacle::ConsentWithdrawn));
        assert_eq!(now(&world, moved.id).await.obstacle, Some(Obstacle::ContactGone));
        assert!(world.mailer.sent().is_empty());
    }

    // Promise 5: it is one rule, whether it is asked when the step is taken or when the e-mail is about to go.
    async fn a_consent_that_becomes_unknown_between_planning_and_sending_holds_the_email(world: World) {
        let email = planned(&world, "ann@example.org").await;
        let consent = |state, source: Option<&str>| ContactSetConsent {
            id: email.contact,
            consent: ConsentGiven { state, source: source.map(str::to_owned), at: None },
        };
        world.app.run(&world.system(), consent(ConsentState::Unknown, None)).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, email.id).await.state, EmailState::Planned);
        assert!(world.mailer.sent().is_empty());
        let refused = world.app.run(&world.system(), letter(email.contact)).await.unwrap_err();
        assert_eq!(refused.code(), "EMAIL_MAY_NOT_WRITE");
        world.app.run(&world.system(), consent(ConsentState::Granted, Some("call"))).await.unwrap();
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(now(&world, email.id).await.state, EmailState::Sent);
    }

    async fn a_person_who_unsubscribed_is_left_alone_at_every_address(world: World) {
        let email = planned(&world, "ann@example.org").await;
        world.run_due_jobs().await;
        let wish = EmailUnsubscribe { email: email.id, contact: email.contact };
        world.app.run(&world.system(), wish).await.unwrap();
        let patch = ContactPatch { email: Edit::Set("ann@private.example".into()), ..ContactPatch::default() };
        let change = ContactChange { id: email.contact, contact: patch, default_region: None };
        world.app.run(&world.system(), change).await.unwrap();
        let refused = world.app.run(&world.system(), letter(email.contact)).await.unwrap_err();
        assert_eq!(refused.code(), "EMAIL_MAY_NOT_WRITE");
    }

    // Promise 5 under real concurrency: whoever begins after the suppression's commit is refused.
    async fn no_email_is_begun_after_a_suppression_committed_beside_it(world: World) {
        let mut emails = Vec::new();
        for n in 0..12 {
            emails.push(planned(&world, &format!("p{n}@example.org")).await);
        }
        let (app, call) = (world.app.clone(), world.system());
        let suppressing = tokio::spawn(async move {
            app.run(&call, suppress(SuppressionKind::Domain, "example.org")).await.unwrap()
        });
        let begins: Vec<_> = emails.iter().map(|email| {
            let (app, call, email) = (world.app.clone(), world.system(), email.id);
            tokio::spawn(async move { app.run(&call, EmailBegin { email }).await.unwrap() })
        }).collect();
        suppressing.await.unwrap();
        for begin in begins {
            begin.await.unwrap();
        }
        // The ledger is one chain, so it says what came first.
        let kinds = world.ledger_kinds().await;
        let landed = kinds.iter().position(|kind| kind == "suppression.added").unwrap();
        assert!(kinds[landed..].iter().all(|kind| kind != "email.begun"), "{kinds:?}");
    }

    async fn over_real_smtp_the_failure_of_each_phase_leads_to_its_state(world: World) {
        let sink = Sink::start(SinkOptions::default()).await.unwrap();
        let settings = SmtpSettings {
            host: "127.0.0.1".into(),
            port: Some(sink.address().port()),
            tls: TlsMode::None,
            message_timeout_seconds: 1,
            ..SmtpSettings::default()
        };
        let mut app: App = world.app.clone();
        app.env.mail = Arc::new(Mail { mailer: Arc::new(SmtpMailer::new(settings).unwrap()), ..(*app.env.mail).clone() });
        let runner = Runner::new(app.clone(), "smtp", Settings::default());
        for (script, state) in [
            (Script::Accept, EmailState::Sent),
            (Script::AnswerRcpt(450, "4.2.0 greylisted".into()), EmailState::Deferred),
            (Script::AnswerRcpt(550, "5.7.1 policy".into()), EmailState::Bounced),
            (Script::AnswerMessage(554, "5.6.0 content".into()), EmailState::Bounced),
            (Script::DropBeforeData, EmailState::Deferred),
            (Script::DropAfterMessage { keep: true }, EmailState::Unknown),
        ] {
            sink.script([script.clone()]);
            let email = planned(&world, "ann@example.org").await;
            runner.run_due().await.unwrap();
            assert_eq!(now(&world, email.id).await.state, state, "{script:?}");
        }
        assert_eq!(sink.count(), 2);
        world.clock.advance(TimeDelta::days(1));
        runner.run_due().await.unwrap();
        assert_eq!(sink.count(), 4, "the two deferred ones arrive, the unknown one is left alone");
        let mut ids: Vec<_> = sink.messages().into_iter().map(|kept| kept.message_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4, "nobody got the same e-mail twice");
    }

    async fn the_fate_of_an_email_ends_its_enrolment(world: World) {
        let gone = contact_at(&world, "gone@example.org").await;
        let (enrollment, _) = enrolled(&world, gone, EnrollmentState::Active).await;
        world.mailer.answer([Delivery::Rejected { code: 550, response: "5.1.1 no such user".into(), recipient: true }]);
        world.run_due_jobs().await;
        assert_eq!(state(&world, enrollment).await, EnrollmentState::Bounced);

        // Not the person's fault, but ours: neither the run nor the address is to suffer.
        let far = contact_at(&world, "far@example.org").await;
        let (enrollment, email) = enrolled(&world, far, EnrollmentState::Active).await;
        world.mailer.answer([Delivery::Rejected { code: 550, response: "5.7.1 listed".into(), recipient: true }]);
        world.run_due_jobs().await;
        assert_eq!(now(&world, email).await.state, EmailState::Bounced);
        assert_eq!(state(&world, enrollment).await, EnrollmentState::Active);
        assert!(world.app.store.live_suppressions_of("far@example.org").await.unwrap().is_empty());

        let left = contact_at(&world, "left@example.org").await;
        let (enrollment, email) = enrolled(&world, left, EnrollmentState::Active).await;
        world.app.run(&world.system(), suppress(SuppressionKind::Email, "left@example.org")).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, email).await.state, EmailState::Refused);
        assert_eq!(state(&world, enrollment).await, EnrollmentState::OptedOut);

        let ann = contact_at(&world, "ann@example.org").await;
        let (first, email) = enrolled(&world, ann, EnrollmentState::Active).await;
        let (second, _) = enrolled(&world, ann, EnrollmentState::Paused(PauseReason::Manual)).await;
        world.app.run(&world.system(), EmailUnsubscribe { email, contact: ann }).await.unwrap();
        for id in [first, second] {
            assert_eq!(state(&world, id).await, EnrollmentState::OptedOut);
        }
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 2);
    }

    async fn a_bounce_ends_the_run_and_lets_its_lead_go(world: World) {
        let source = "
key: nurture
name: Nurture
subject: lead
steps:
  - {id: hello, kind: send_email, template: {subject: 'Hello', text: 'Good day'}}
  - {id: pause, kind: wait, duration: 3d}
  - {id: done, kind: end}
";
        let published = SequencePublish { source: source.into() };
        let (sequence, ..) = world.app.run(&world.system(), published).await.unwrap();
        let consent = ConsentGiven { state: ConsentState::Granted, source: Some("form".into()), at: None };
        for (address, unsubscribes) in [("gone@example.org", false), ("ann@example.org", true)] {
            let contact = contact_at(&world, address).await;
            world.app.run(&world.system(), ContactSetConsent { id: contact, consent: consent.clone() }).await.unwrap();
            let received = LeadReceive {
                contact,
                account: None,
                source: "webinar".into(),
                external_id: None,
                grade: None,
                priority: None,
                tags: Default::default(),
                custom: Default::default(),
            };
            let lead = world.app.run(&world.system(), received).await.unwrap();
            let enrol = EnrollmentCreate {
                sequence: sequence.id,
                contact: None,
                lead: Some(lead.id),
                vars: serde_json::Map::new(),
            };
            let Enrolled(enrollment, owned, _) = world.app.run(&world.system(), enrol).await.unwrap();
            assert_eq!(owned.unwrap().owner, Owner::Sequence(enrollment.id));
            if !unsubscribes {
                let response = "5.1.1 no such user".into();
                world.mailer.answer([Delivery::Rejected { code: 550, response, recipient: true }]);
            }
            world.run_due_jobs().await;
            if unsubscribes {
                let filter = EmailFilter { contact: Some(contact), ..Default::default() };
                let sent = world.app.store.email_page(&filter, &Page::first(9)).await.unwrap().items;
                let wish = EmailUnsubscribe { email: sent[0].id, contact };
                world.app.run(&world.system(), wish).await.unwrap();
            }
            let expected = if unsubscribes { EnrollmentState::OptedOut } else { EnrollmentState::Bounced };
            assert_eq!(state(&world, enrollment.id).await, expected);
            let after: Lead = world.app.store.find(lead.id).await.unwrap().unwrap();
            assert_eq!((after.owner, after.keeps_the_law()), (Owner::Marketing, true), "nothing falls out of the loop");
        }
        world.pass(TimeDelta::days(3)).await;
        assert_eq!(world.mailer.sent().len(), 2);
    }

    async fn an_email_waits_as_long_as_its_enrolment_is_paused_and_dies_with_it(world: World) {
        let ann = contact_at(&world, "ann@example.org").await;
        let (_, held) = enrolled(&world, ann, EnrollmentState::Paused(PauseReason::Manual)).await;
        let (_, shut) = enrolled(&world, ann, EnrollmentState::Exited(ExitReason::Manual)).await;
        let (_, done) = enrolled(&world, ann, EnrollmentState::Finished(FinishReason::Completed)).await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, held).await.state, EmailState::Planned);
        assert_eq!(now(&world, shut).await.obstacle, Some(Obstacle::EnrollmentEnded));
        assert_eq!(now(&world, done).await.state, EmailState::Sent);
        assert_eq!(world.pass(TimeDelta::minutes(59)).await, 0);
        assert_eq!(world.pass(TimeDelta::minutes(1)).await, 1);
        // However long that is: given up, it would be a step left out.
        world.pass(TimeDelta::days(30)).await;
        let waits = now(&world, held).await;
        assert_eq!((waits.state, waits.obstacle), (EmailState::Planned, None));
    }

    async fn one_visit_of_a_step_plans_one_email(world: World) {
        let contact = contact_at(&world, "ann@example.org").await;
        let draft = |world: &World| tandem_domain::email::Draft {
            id: world.app.env.id(world.now()),
            origin: (Some(tandem_domain::id::EnrollmentId(uuid::Uuid::from_u128(5))), "hello".into(), 1),
            contact,
            lead: None,
            account: None,
            to: Mailbox::bare("ann@example.org"),
            from: Mailbox::bare("tandem@example.com"),
            reply_to: None,
            subject: "Good day".into(),
            text: "Hello.".into(),
            html: None,
            hours: None,
            transactional: false,
            mailbox: None,
        };
        world.app.run(&world.system(), PlanOne(draft(&world))).await.unwrap();
        let twice = world.app.run(&world.system(), PlanOne(draft(&world))).await.unwrap_err();
        assert_eq!(twice.code(), "DUPLICATE");
        assert_eq!(world.job_kinds().await, ["deliver_email"]);
    }
}

// Promise 5 under the worst of luck: the withdrawal is already on its way to the record when the e-mail is begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_email_that_is_begun_beside_a_withdrawal_waits_for_it() {
    let Some(world) = World::postgres().await else { return };
    let email = planned(&world, "ann@example.org").await;
    let last = world.hold("SELECT * FROM ledger_head FOR UPDATE").await;
    let consent = ConsentGiven { state: ConsentState::Withdrawn, source: Some("phone".into()), at: None };
    let (app, call, withdraw) = (world.app.clone(), world.system(), ContactSetConsent { id: email.contact, consent });
    let withdrawing = tokio::spawn(async move { app.run(&call, withdraw).await.unwrap() });
    world.until_waiting(1).await;
    let (app, call, begin) = (world.app.clone(), world.system(), EmailBegin { email: email.id });
    let beginning = tokio::spawn(async move { app.run(&call, begin).await.unwrap() });
    world.until_waiting(2).await;
    last.rollback().await.unwrap();
    withdrawing.await.unwrap();
    let (begun, ..) = beginning.await.unwrap();
    assert_eq!((begun.state, begun.obstacle), (EmailState::Refused, Some(Obstacle::ConsentWithdrawn)));
}

/// An enrolment in this state, and an e-mail that it planned.
async fn enrolled(world: &World, contact: ContactId, state: EnrollmentState) -> (EnrollmentId, EmailId) {
    let at = world.now();
    let enrollment = Enrollment {
        id: world.app.env.id(at),
        sequence: world.app.env.id(at),
        version: world.app.env.id(at),
        rule: "test@1".into(),
        contact,
        lead: None,
        account: None,
        subject: SubjectKind::Contact,
        reentry_key: String::new(),
        state,
        step: "next".into(),
        visit: 2,
        due_at: None,
        held: None,
        awaits: None,
        hearing: Default::default(),
        vars: serde_json::Map::new(),
        started_at: at,
        ended_at: None,
        failure: None,
        trail: Default::default(),
        memory: Default::default(),
        exclusive: None,
    };
    let address = world.app.store.find::<Contact>(contact).await.unwrap().unwrap().email.unwrap();
    let draft = tandem_domain::email::Draft {
        id: world.app.env.id(at),
        origin: (Some(enrollment.id), "hello".into(), 1),
        contact,
        lead: None,
        account: None,
        to: Mailbox::bare(address),
        from: Mailbox::bare("tandem@example.com"),
        reply_to: None,
        subject: "Good day".into(),
        text: "Hello.".into(),
        html: None,
        hours: None,
        transactional: false,
        mailbox: None,
    };
    let (id, email) = (enrollment.id, draft.id);
    world.app.run(&world.system(), Given(enrollment)).await.unwrap();
    world.app.run(&world.system(), PlanOne(draft)).await.unwrap();
    (id, email)
}

async fn state(world: &World, id: EnrollmentId) -> EnrollmentState {
    world.app.store.find::<Enrollment>(id).await.unwrap().unwrap().state
}

/// Writes an enrolment as it is.
#[derive(serde::Serialize)]
struct Given(Enrollment);

impl tandem_app::Command for Given {
    const NAME: &'static str = "given";
    type Output = Enrollment;

    async fn decide(
        &self,
        _: &tandem_store::Tx,
        _: &Call,
        _: &tandem_app::Env,
    ) -> tandem_app::Result<tandem_domain::decision::Decision<Enrollment>> {
        let fact = tandem_domain::decision::Fact::ledger("test.given", self.0.id);
        Ok(tandem_domain::decision::Decision::new(self.0.clone(), fact))
    }
}

/// Plans a draft the way a step of an enrolment does.
struct PlanOne(tandem_domain::email::Draft);

impl serde::Serialize for PlanOne {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl tandem_app::Command for PlanOne {
    const NAME: &'static str = "planOne";
    type Output = Email;

    async fn decide(
        &self,
        tx: &tandem_store::Tx,
        call: &Call,
        env: &tandem_app::Env,
    ) -> tandem_app::Result<tandem_domain::decision::Decision<Email>> {
        tandem_app::email::plan_email(tx, self.0.clone(), call.now(env)).await
    }
}
