//! How often people are written to, one sequence of a group at a time, calendars of sequences, and mailboxes of pools: through
//! the commands and the jobs, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::accounts::AccountCreate;
use tandem_app::contacts::ContactCreate;
use tandem_app::{
    AppError, ContactPolicySave, EmailBegin, EmailPlan, EnrollmentCreate, LeadReceive, SendingMailboxPause,
    SendingMailboxResume, SendingMailboxSave, SequencePublish, WorkingCalendarSave,
};
use tandem_domain::access::Role;
use tandem_domain::account::{Account, AccountPatch};
use tandem_domain::calendar;
use tandem_domain::contact::Contact;
use tandem_domain::contact_policy::{CapScope, ContactPolicy, FrequencyCap, PolicyDraft};
use tandem_domain::email::{Email, EmailState, Obstacle};
use tandem_domain::id::{AccountId, ContactId, LeadId, SequenceId, global};
use tandem_domain::lead::{Lead, Owner, Stage};
use tandem_domain::sending_mailbox::{MailboxDraft, RampUp, SendingMailbox};
use tandem_domain::sequence::Enrollment;
use tandem_domain::sequence::enrollment::{EnrollmentState, ExitReason, FinishReason, WaitReason};
use tandem_domain::work_item::ItemState;
use tandem_jobs::{Disposition, Handler, Handlers};
use tandem_store::Page;
use tandem_store::email::EmailFilter;
use tandem_store::jobs::Now;
use tandem_store::ledger::Link;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

const PERSON: CapScope = CapScope::Person;
const ACCOUNT: CapScope = CapScope::Account;

async fn caps(world: &World, caps: &[(CapScope, u32, u32)]) -> ContactPolicy {
    let caps = caps.iter().map(|(scope, most, hours)| FrequencyCap { scope: *scope, most: *most, hours: *hours });
    let save = ContactPolicySave { draft: PolicyDraft { caps: caps.collect() } };
    world.app.run(&world.system(), save).await.unwrap()
}

async fn publish(world: &World, source: &str) -> SequenceId {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0.id
}

/// A sequence of one e-mail; `more` is for the header, `settings` for the step.
fn letter(key: &str, more: &str, settings: &str) -> String {
    format!(
        "key: {key}\nname: {key}\nsubject: contact\n{more}\nsteps:\n  - {{id: mail, kind: send_email, {settings} \
         template: {{subject: 'From {key}', text: 'Hello'}}}}\n  - {{id: done, kind: end}}\n"
    )
}

async fn enroll(world: &World, sequence: SequenceId, contact: ContactId) -> Result<Enrollment, AppError> {
    let create = EnrollmentCreate { sequence, contact: Some(contact), lead: None, vars: Map::new() };
    world.app.run(&world.system(), create).await.map(|enrolled| enrolled.0)
}

async fn received(world: &World, contact: ContactId) -> LeadId {
    let receive = LeadReceive {
        contact,
        account: None,
        source: "test".to_owned(),
        external_id: None,
        grade: None,
        priority: None,
        tags: BTreeSet::new(),
        custom: BTreeMap::new(),
    };
    world.app.run(&world.system(), receive).await.unwrap().id
}

async fn now(world: &World, enrollment: &Enrollment) -> Enrollment {
    world.app.store.find(enrollment.id).await.unwrap().unwrap()
}

fn subjects(world: &World) -> Vec<String> {
    world.mailer.sent().into_iter().map(|out| out.subject).collect()
}

async fn plan(world: &World, contact: ContactId) -> Email {
    let plan = EmailPlan {
        purpose: "test".to_owned(),
        contact,
        lead: None,
        subject: "Hello".to_owned(),
        text: "Hello.".to_owned(),
        html: None,
    };
    world.app.run(&world.system(), plan).await.unwrap()
}

async fn email(world: &World, of: &Email) -> Email {
    world.app.store.find(of.id).await.unwrap().unwrap()
}

async fn account(world: &World) -> Account {
    let name = Some("Acme".to_owned());
    let create = AccountCreate { account: AccountPatch { name, ..AccountPatch::default() } };
    world.app.run(&world.system(), create).await.unwrap().record
}

async fn colleague(world: &World, name: &str, account: AccountId) -> Contact {
    let contact = serde_json::from_value(json!({
        "name": name, "email": format!("{name}@example.com"), "account": account,
        "consent": {"state": "GRANTED", "source": "form"},
    }));
    let create = ContactCreate { contact: contact.unwrap(), default_region: None };
    world.app.run(&world.system(), create).await.unwrap().record
}

async fn facts(world: &World, kind: &str) -> Vec<Value> {
    let links: Vec<Link> = world.ledger().await.into_iter().filter(|link| link.entry.kind == kind).collect();
    links.into_iter().map(|link| serde_json::to_value(&link.entry).unwrap()).collect()
}

fn box_of(address: &str, daily_cap: u32, interval: u32) -> MailboxDraft {
    MailboxDraft {
        address: address.to_owned(),
        name: Some("Lin".to_owned()),
        reply_to: None,
        pool: "outreach".to_owned(),
        zone: Tz::UTC,
        daily_cap,
        ramp_up: None,
        interval,
    }
}

async fn mailbox(world: &World, draft: MailboxDraft) -> SendingMailbox {
    world.app.run(&world.system(), SendingMailboxSave { draft }).await.unwrap().0
}

/// The kinds of the jobs that are not done, without the timers of enrolments, which stay until they fall due.
async fn pending(world: &World) -> Vec<String> {
    world.job_kinds().await.into_iter().filter(|kind| kind != "advance_enrollment").collect()
}

async fn emails(world: &World) -> Vec<Email> {
    world.app.store.email_page(&EmailFilter::default(), &Page::first(500)).await.unwrap().items
}

/// Plays the time until a moment, job by job in the order in which they fall due.
async fn play(world: &World, until: DateTime<Utc>) {
    world.run_due_jobs().await;
    loop {
        let pending = world.app.store.pending_jobs().await.unwrap();
        let Some(next) = pending.iter().map(|(_, _, due)| *due).min().filter(|due| *due <= until) else { break };
        world.pass((next - world.now()).max(TimeDelta::zero())).await;
    }
    world.pass((until - world.now()).max(TimeDelta::zero())).await;
}

on_both_databases! {
    async fn a_person_gets_one_email_a_day_over_all_sequences_and_steps_wait_for_the_first_free_moment(world: World) {
        let policy = caps(&world, &[(PERSON, 1, 24), (PERSON, 2, 24 * 7)]).await;
        assert_eq!(policy.version, 1);
        let ann = world.contact("ann@example.com").await.id;
        let start = world.now();
        let mut runs = Vec::new();
        for key in ["one", "two", "three"] {
            let sequence = publish(&world, &letter(key, "", "")).await;
            runs.push(enroll(&world, sequence, ann).await.unwrap());
            world.run_due_jobs().await;
        }
        assert_eq!(subjects(&world), ["From one"]);
        let second = now(&world, &runs[1]).await;
        assert_eq!((second.state, second.step.as_str()), (EnrollmentState::Waiting(WaitReason::Cap), "mail"));
        assert_eq!(second.due_at, Some(start + TimeDelta::hours(24)));
        let held = facts(&world, "enrollment.advanced").await;
        assert!(held.iter().any(|fact| fact["detail"]["capped_by"] == "contact_policy@1: 1 in 1d a person"), "{held:#?}");
        // Nothing looks again before the moment has come.
        assert_eq!(world.pass(TimeDelta::hours(23)).await, 0);
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(subjects(&world).len(), 2);
        // The third waits for the week to be over.
        assert_eq!(world.pass(TimeDelta::days(5)).await, 0);
        world.pass(TimeDelta::days(1)).await;
        assert_eq!(subjects(&world).len(), 3);
        for run in &runs {
            assert_eq!(now(&world, run).await.state, EnrollmentState::Finished(FinishReason::Completed));
        }
        assert!(pending(&world).await.is_empty());
    }

    async fn steps_together_are_capped_as_each_alone(world: World) {
        caps(&world, &[(PERSON, 1, 24), (ACCOUNT, 2, 48)]).await;
        let acme = account(&world).await.id;
        let (one, two) = (publish(&world, &letter("one", "", "")).await, publish(&world, &letter("two", "", "")).await);
        let mut runs = Vec::new();
        for name in ["ann", "bob", "cy"] {
            let person = colleague(&world, name, acme).await.id;
            for sequence in [one, two] {
                runs.push(enroll(&world, sequence, person).await.unwrap());
            }
        }
        let claimed = world.app.store.claim_jobs("steps", "test", Now::At(world.now()), TimeDelta::seconds(30), 100).await;
        let done = Handlers.run_together(&world.app, &claimed.unwrap()).await.unwrap();
        assert!(done.iter().all(|done| *done == Disposition::Finished));
        let mut states = BTreeMap::new();
        for run in &runs {
            *states.entry(now(&world, run).await.state.to_string()).or_insert(0) += 1;
        }
        // The second e-mail of a person, and the third of the account, see those that were planned beside them.
        assert_eq!(states, [("WAITING(CAP)".to_owned(), 4), ("WAITING(EMAIL)".to_owned(), 2)].into());
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 2);
    }

    async fn of_two_nodes_that_begin_emails_for_one_person_at_once_one_sends(world: World) {
        let ann = world.contact("ann@example.com").await.id;
        let (first, second) = (plan(&world, ann).await, plan(&world, ann).await);
        // Agreed on after both were planned.
        caps(&world, &[(PERSON, 1, 24)]).await;
        let start = world.now();
        let begin = |email: &Email| {
            let (app, call, email) = (world.app.clone(), world.system(), email.id);
            tokio::spawn(async move { app.run(&call, EmailBegin { email }).await.unwrap().0 })
        };
        let (one, other) = (begin(&first), begin(&second));
        let mut states = [one.await.unwrap(), other.await.unwrap()];
        states.sort_by_key(|email| email.state);
        assert_eq!(states.each_ref().map(|email| email.state), [EmailState::Planned, EmailState::Sending]);
        assert_eq!(states[0].expected_at, Some(start + TimeDelta::hours(24)));
        let held = facts(&world, "email.held").await;
        assert_eq!((held.len(), &held[0]["reason"]), (1, &json!("CAP")));
        assert_eq!(held[0]["detail"]["capped_by"], "contact_policy@1: 1 in 1d a person");
        // The one that was begun belongs to a process that died: its fate is unknown, and it counts.
        world.run_due_jobs().await;
        assert_eq!(world.pass(TimeDelta::hours(23)).await, 0);
        assert_eq!(world.mailer.sent().len(), 0);
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(world.mailer.sent().len(), 1);
        assert_eq!(email(&world, &states[0]).await.state, EmailState::Sent);
    }

    async fn of_two_nodes_that_begin_emails_for_one_account_at_once_one_sends(world: World) {
        let acme = account(&world).await.id;
        let mut planned = Vec::new();
        for name in ["ann", "bob", "cy", "di"] {
            let person = colleague(&world, name, acme).await;
            planned.push(plan(&world, person.id).await);
        }
        let other = world.contact("elsewhere@example.org").await.id;
        planned.push(plan(&world, other).await);
        caps(&world, &[(ACCOUNT, 1, 48)]).await;
        let begin = |email: &Email| {
            let (app, call, email) = (world.app.clone(), world.system(), email.id);
            tokio::spawn(async move { app.run(&call, EmailBegin { email }).await.unwrap().0.state })
        };
        let beginning: Vec<_> = planned.iter().map(begin).collect();
        let mut states = Vec::new();
        for one in beginning {
            states.push(one.await.unwrap());
        }
        assert_eq!(states[..4].iter().filter(|state| **state == EmailState::Sending).count(), 1, "{states:?}");
        assert_eq!(states[4], EmailState::Sending, "nobody of the account");
    }

    async fn transactional_emails_are_not_capped_and_do_not_count(world: World) {
        caps(&world, &[(PERSON, 1, 24)]).await;
        let ann = world.contact("ann@example.com").await.id;
        let receipt = letter("receipt", "reentry: {key: enrollment.vars.n}", "transactional: true,");
        let (receipt, news) = (publish(&world, &receipt).await, publish(&world, &letter("news", "", "")).await);
        for n in 0..3 {
            let vars = json!({"n": n.to_string()}).as_object().cloned().unwrap();
            let create = EnrollmentCreate { sequence: receipt, contact: Some(ann), lead: None, vars };
            world.app.run(&world.system(), create).await.unwrap();
        }
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 3);
        enroll(&world, news, ann).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(subjects(&world).last().map(String::as_str), Some("From news"));
    }

    async fn what_was_begun_before_caps_were_known_counts_too(world: World) {
        let acme = account(&world).await.id;
        let (ann, bob) = (colleague(&world, "ann", acme).await.id, colleague(&world, "bob", acme).await.id);
        let first = plan(&world, ann).await;
        world.run_due_jobs().await;
        assert_eq!(email(&world, &first).await.state, EmailState::Sent);
        // The database as it was, with an e-mail in it, and then the change of it.
        let mut undone = vec!["DELETE FROM seaql_migrations WHERE version = 'm0021_contact_policy'".to_owned()];
        let indexes = ["email_contact_id_counted_at", "email_account_id_counted_at", "email_mailbox_id_queued_at_id", "enrollment_contact_id_exclusive_group"];
        undone.extend(indexes.map(|index| format!("DROP INDEX {index}_open")));
        undone.extend(["account_id", "mailbox_id", "counted_at", "queued_at"].map(|column| format!("ALTER TABLE email DROP COLUMN {column}")));
        undone.push("ALTER TABLE enrollment DROP COLUMN exclusive_group".to_owned());
        undone.extend(["contact_policy", "sending_mailbox", "mailbox_pace"].map(|table| format!("DROP TABLE {table}")));
        for sql in undone {
            world.tamper(&sql).await.unwrap();
        }
        world.app.store.migrate().await.unwrap();
        caps(&world, &[(PERSON, 1, 24), (ACCOUNT, 1, 72)]).await;
        let begun = email(&world, &first).await.begun_at.unwrap();
        for (person, hours) in [(ann, 72), (bob, 72)] {
            let next = plan(&world, person).await;
            world.run_due_jobs().await;
            let held = email(&world, &next).await;
            assert_eq!((held.state, held.expected_at), (EmailState::Planned, Some(begun + TimeDelta::hours(hours))));
        }
        caps(&world, &[(PERSON, 1, 24)]).await;
        let next = plan(&world, ann).await;
        world.run_due_jobs().await;
        assert_eq!(email(&world, &next).await.expected_at, Some(begun + TimeDelta::hours(24)));
    }

    async fn the_policy_is_versioned_audited_and_for_sales_ops(world: World) {
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let (_, sdr) = world.user("sdr", Role::Sdr, None).await;
        let save = |most| {
            let caps = vec![FrequencyCap { scope: PERSON, most, hours: 24 }];
            ContactPolicySave { draft: PolicyDraft { caps } }
        };
        assert_eq!(world.app.run(&sdr, save(1)).await.unwrap_err().code(), "FORBIDDEN");
        assert_eq!(world.app.run(&ops, save(0)).await.unwrap_err().code(), "CONTACT_POLICY_MOST_INVALID");
        let first = world.app.run(&ops, save(1)).await.unwrap();
        let second = world.app.run(&ops, save(2)).await.unwrap();
        assert_eq!((first.id, second.version), (second.id, 2));
        let saved = facts(&world, "contact_policy.saved").await;
        assert_eq!(saved.len(), 2);
        assert_eq!(saved[1]["detail"]["caps"], json!([{"scope": "PERSON", "most": 2, "hours": 24}]));
        assert_eq!(saved[1]["detail"]["before"], json!([{"scope": "PERSON", "most": 1, "hours": 24}]));
        assert_eq!(world.app.store.contact_policy().await.unwrap(), Some(second));
    }

    async fn an_email_that_is_held_for_weeks_is_waited_for_and_nothing_comes_before_it(world: World) {
        let ann = world.contact("ann@example.com").await.id;
        let source = letter("slow", "", "").replace("  - {id: done", "  - {id: call, kind: create_task, title: 'Call', due_in: 1d}\n  - {id: done");
        let sequence = publish(&world, &source).await;
        // Both are planned, and then somebody agrees on very few.
        let run = enroll(&world, sequence, ann).await.unwrap();
        let claimed = world.app.store.claim_jobs("steps", "test", Now::At(world.now()), TimeDelta::seconds(30), 100).await;
        Handlers.run_together(&world.app, &claimed.unwrap()).await.unwrap();
        let before = plan(&world, ann).await;
        world.app.run(&world.system(), EmailBegin { email: before.id }).await.unwrap();
        caps(&world, &[(PERSON, 1, 24 * 20)]).await;
        play(&world, world.now() + TimeDelta::days(19)).await;
        let waiting = now(&world, &run).await;
        assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Email), "{waiting:?}");
        assert_eq!(facts(&world, "enrollment.email_awaited").await.len(), 1);
        assert!(world.app.store.work_item_page(&WorkItemFilter::default(), &Page::first(10)).await.unwrap().items.is_empty());
        play(&world, world.now() + TimeDelta::days(2)).await;
        assert_eq!(subjects(&world), ["From slow"]);
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
    }

    async fn a_person_is_in_one_sequence_of_a_group_and_a_higher_priority_takes_over(world: World) {
        let task = "  - {id: call, kind: create_task, title: 'Call', due_in: 1d}\n  - {id: pause, kind: wait, duration: 9d}\n  - {id: done";
        let source = |key: &str, priority: u8| {
            letter(key, &format!("exclusive: nurture\npriority: {priority}"), "").replace("  - {id: done", task)
        };
        let (low, same, high) = (
            publish(&world, &source("low", 40)).await,
            publish(&world, &source("same", 40)).await,
            publish(&world, &source("high", 60)).await,
        );
        let outside = publish(&world, &letter("outside", "", "")).await;
        let ann = world.contact("ann@example.com").await.id;
        let first = enroll(&world, low, ann).await.unwrap();
        world.run_due_jobs().await;
        let tasks = |state: ItemState| {
            let filter = WorkItemFilter { states: vec![state], ..WorkItemFilter::default() };
            let store = world.app.store.clone();
            async move { store.work_item_page(&filter, &Page::first(10)).await.unwrap().items }
        };
        assert_eq!(tasks(ItemState::Queued).await.len(), 1);
        let refused = enroll(&world, same, ann).await.unwrap_err();
        assert_eq!(refused.code(), "ENROLLMENT_EXCLUDED");
        assert!(refused.to_string().contains("low@1") && refused.to_string().contains(&global("Enrollment", first.id.into())), "{refused}");
        enroll(&world, outside, ann).await.unwrap();
        let taken = world.app.run(&world.system(), EnrollmentCreate { sequence: high, contact: Some(ann), lead: None, vars: Map::new() }).await.unwrap();
        let (superseded, (_, closed)) = taken.2.unwrap();
        assert_eq!((superseded.id, closed.len()), (first.id, 1));
        assert_eq!(now(&world, &first).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        assert_eq!(tasks(ItemState::Queued).await.len(), 0);
        let kinds = world.ledger_kinds().await;
        assert_eq!(kinds[kinds.len() - 3..], ["enrollment.ended", "work_item.cancelled", "enrollment.started"]);
        let ended = facts(&world, "enrollment.ended").await.pop().unwrap();
        assert_eq!((&ended["reason"], &ended["detail"]["superseded_by"]), (&json!("SUPERSEDED"), &json!(taken.0.id)));
        assert_eq!(enroll(&world, low, ann).await.unwrap_err().code(), "ENROLLMENT_EXCLUDED");
        // Somebody else is not concerned.
        let bob = world.contact("bob@example.com").await.id;
        enroll(&world, low, bob).await.unwrap();
    }

    async fn of_many_enrolments_in_a_group_at_once_the_highest_priority_is_live_in_the_end(world: World) {
        let ann = world.contact("ann@example.com").await.id;
        let mut sequences = Vec::new();
        for priority in [10_u8, 50, 30, 70, 20] {
            let key = format!("p{priority}");
            sequences.push(publish(&world, &letter(&key, &format!("exclusive: g\npriority: {priority}"), "")).await);
        }
        let enrolling: Vec<_> = sequences
            .iter()
            .map(|sequence| {
                let (app, call) = (world.app.clone(), world.system());
                let create = EnrollmentCreate { sequence: *sequence, contact: Some(ann), lead: None, vars: Map::new() };
                tokio::spawn(async move { app.run(&call, create).await.map(|enrolled| enrolled.0) })
            })
            .collect();
        for done in enrolling {
            match done.await.unwrap() {
                Ok(_) => {}
                Err(refused) => assert_eq!(refused.code(), "ENROLLMENT_EXCLUDED", "{refused}"),
            }
        }
        let all = EnrollmentFilter { contact: Some(ann), ..EnrollmentFilter::default() };
        let all = world.app.store.enrollment_page(&all, &Page::first(50)).await.unwrap().items;
        let live: Vec<_> = all.iter().filter(|run| run.state.is_live()).map(|run| run.rule.as_str()).collect();
        assert_eq!(live, ["p70@1"], "{all:#?}");
    }

    async fn a_lead_goes_from_the_run_that_gives_way_to_the_one_that_takes_over(world: World) {
        let source = |key: &str, priority: u8| {
            letter(key, &format!("exclusive: nurture\npriority: {priority}"), "").replace("subject: contact", "subject: lead")
        };
        let (low, high) = (publish(&world, &source("low", 40)).await, publish(&world, &source("high", 60)).await);
        let contact = world.contact("ann@example.com").await.id;
        let lead = received(&world, contact).await;
        let create = |sequence, lead: LeadId| EnrollmentCreate { sequence, contact: None, lead: Some(lead), vars: Map::new() };
        world.app.run(&world.system(), create(low, lead)).await.unwrap();
        let taken = world.app.run(&world.system(), create(high, lead)).await.unwrap();
        let found: Lead = world.app.store.find(lead).await.unwrap().unwrap();
        assert_eq!(found.owner, Owner::Sequence(taken.0.id));
        assert_eq!(now(&world, &taken.2.unwrap().0).await.state, EnrollmentState::Exited(ExitReason::Superseded));
    }

    async fn a_lead_that_a_step_hands_on_within_the_group_belongs_to_the_run_that_was_started(world: World) {
        let lead_of = |key: &str, priority: u8, steps: &str| {
            format!(
                "key: {key}\nname: {key}\nsubject: lead\nexclusive: nurture\npriority: {priority}\nsteps:\n{steps}\
                 \x20 - {{id: rest, kind: wait, duration: 30d}}\n  - {{id: done, kind: end}}\n"
            )
        };
        let long = publish(&world, &lead_of("long", 60, "")).await;
        let short = publish(&world, &lead_of("short", 10, "  - {id: go, kind: start_sequence, sequence: long}\n")).await;
        let contact = world.contact("ann@example.com").await.id;
        let lead = received(&world, contact).await;
        let create = EnrollmentCreate { sequence: short, contact: None, lead: Some(lead), vars: Map::new() };
        let first = world.app.run(&world.system(), create).await.unwrap().0;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &first).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        let all = EnrollmentFilter { contact: Some(contact), ..EnrollmentFilter::default() };
        let all = world.app.store.enrollment_page(&all, &Page::first(50)).await.unwrap().items;
        let live: Vec<_> = all.iter().filter(|run| run.state.is_live()).collect();
        assert_eq!(live.len(), 1, "{all:#?}");
        let second = live[0];
        assert_eq!((second.sequence, second.step.as_str()), (long, "done"));
        let found: Lead = world.app.store.find(lead).await.unwrap().unwrap();
        assert_eq!((found.owner, found.stage), (Owner::Sequence(second.id), Stage::Nurturing));
    }

    async fn a_calendar_that_is_not_there_is_refused_when_publishing_and_its_holidays_are_closed(world: World) {
        let window = "calendar: office\nsend_window: {from: '09:00', to: '17:00'}";
        let source = letter("news", window, "").replace("  - {id: done", "  - {id: pause, kind: wait, business_days: 2}\n  - {id: done");
        let refused = world.app.run(&world.system(), SequencePublish { source: source.clone() }).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_CALENDAR_UNKNOWN");
        // The world begins on Monday, 2 March: that is a holiday, and so is the day after the next.
        let office = |holidays: &[&str]| {
            let mut draft = calendar::Draft::from_yaml(calendar::SHIPPED[1]).unwrap();
            draft.key = "office".to_owned();
            draft.zone = Tz::UTC;
            draft.holidays = holidays
                .iter()
                .map(|date| calendar::Holiday { date: date.parse().unwrap(), name: "Free".to_owned() })
                .collect();
            draft
        };
        let save = WorkingCalendarSave { draft: office(&["2026-03-02", "2026-03-04"]) };
        world.app.run(&world.system(), save).await.unwrap();
        let sequence = publish(&world, &source).await;
        let run = enroll(&world, sequence, world.contact("ann@example.com").await.id).await.unwrap();
        world.run_due_jobs().await;
        let waiting = now(&world, &run).await;
        assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Window));
        let tuesday: DateTime<Utc> = "2026-03-03T09:00:00Z".parse().unwrap();
        assert_eq!(waiting.due_at, Some(tuesday));
        play(&world, tuesday).await;
        assert_eq!(subjects(&world), ["From news"]);
        // Two working days after Tuesday, with Wednesday free.
        assert_eq!(now(&world, &run).await.due_at, Some("2026-03-06T09:00:00Z".parse().unwrap()));
        // An e-mail on its way finds the calendar as it is when it goes.
        let late = enroll(&world, sequence, world.contact("bob@example.com").await.id).await.unwrap();
        let claimed = world.app.store.claim_jobs("steps", "test", Now::At(world.now()), TimeDelta::seconds(30), 100).await;
        Handlers.run_together(&world.app, &claimed.unwrap()).await.unwrap();
        assert_eq!(now(&world, &late).await.state, EnrollmentState::Waiting(WaitReason::Email));
        let save = WorkingCalendarSave { draft: office(&["2026-03-02", "2026-03-03", "2026-03-04"]) };
        world.app.run(&world.system(), save).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 1);
        let held = emails(&world).await.into_iter().find(|email| email.state == EmailState::Planned).unwrap();
        assert_eq!(held.expected_at, Some("2026-03-05T09:00:00Z".parse().unwrap()));
        play(&world, "2026-03-05T09:00:00Z".parse().unwrap()).await;
        assert_eq!(world.mailer.sent().len(), 2);
    }

    async fn people_are_shared_among_the_mailboxes_of_a_pool_and_each_keeps_its_own(world: World) {
        let source = |key: &str| {
            letter(key, "", "pool: outreach,").replace("  - {id: done", "  - {id: pause, kind: wait, duration: 1d}\n  \
                - {id: again, kind: send_email, pool: outreach, template: {subject: 'Again', text: '{{ sender.email }}'}}\n  - {id: done")
        };
        let refused = world.app.run(&world.system(), SequencePublish { source: source("news") }).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_POOL_UNKNOWN");
        for n in 0..3 {
            mailbox(&world, box_of(&format!("m{n}@example.com"), 100, 0)).await;
        }
        let sequence = publish(&world, &source("news")).await;
        for n in 0..24 {
            let person = world.contact(&format!("person{n}@example.org")).await.id;
            enroll(&world, sequence, person).await.unwrap();
        }
        play(&world, world.now() + TimeDelta::days(2)).await;
        let mut by_person: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut used = BTreeSet::new();
        for out in world.mailer.sent() {
            assert_eq!(out.from.name.as_deref(), Some("Lin"));
            if out.subject == "Again" {
                assert_eq!(out.text, out.from.address);
            }
            used.insert(out.from.address.clone());
            by_person.entry(out.to.address).or_default().insert(out.from.address);
        }
        assert_eq!((by_person.len(), used.len()), (24, 3));
        assert!(by_person.values().all(|from| from.len() == 1), "{by_person:?}");
    }

    async fn an_exhausted_mailbox_lets_emails_wait_until_its_next_day_and_grows(world: World) {
        let from = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let ramp_up = Some(RampUp { from, start: 2, per_day: 2 });
        mailbox(&world, MailboxDraft { ramp_up, zone: Tz::America__New_York, ..box_of("m@example.com", 5, 0) }).await;
        let sequence = publish(&world, &letter("news", "", "pool: outreach,")).await;
        for n in 0..11 {
            let person = world.contact(&format!("person{n}@example.org")).await.id;
            enroll(&world, sequence, person).await.unwrap();
        }
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 2, "the first day");
        // It is nine in the morning in London and four in New York, whose days begin at 05:00 in UTC.
        play(&world, "2026-03-03T04:59:59Z".parse().unwrap()).await;
        assert_eq!(world.mailer.sent().len(), 2);
        for (day, sent) in [("2026-03-03T05:00:00Z", 6), ("2026-03-04T05:00:00Z", 11)] {
            play(&world, day.parse().unwrap()).await;
            assert_eq!(world.mailer.sent().len(), sent, "{day}");
        }
        let all = emails(&world).await;
        assert!(all.iter().all(|email| email.state == EmailState::Sent && email.queued_at.is_none()));
        play(&world, "2026-03-06T05:00:00Z".parse().unwrap()).await;
        assert!(pending(&world).await.is_empty());
        assert!(facts(&world, "email.held").await.iter().all(|fact| fact["reason"] == "MAILBOX"));
    }

    async fn a_burst_from_one_mailbox_is_spread_and_each_waits_at_no_cost(world: World) {
        mailbox(&world, box_of("m@example.com", 1_000, 30)).await;
        let (one, two) = (
            publish(&world, &letter("one", "", "pool: outreach,")).await,
            publish(&world, &letter("two", "", "pool: outreach,")).await,
        );
        let start = world.now();
        for (sequence, count) in [(one, 12), (two, 3)] {
            for n in 0..count {
                let person = world.contact(&format!("person{n}-{sequence}@example.org")).await.id;
                enroll(&world, sequence, person).await.unwrap();
            }
        }
        play(&world, start + TimeDelta::minutes(30)).await;
        let mut begun: Vec<_> = emails(&world).await;
        begun.sort_by_key(|email| email.begun_at);
        assert_eq!(begun.len(), 15);
        for pair in begun.windows(2) {
            assert_eq!(pair[1].begun_at.unwrap() - pair[0].begun_at.unwrap(), TimeDelta::seconds(30));
        }
        // The few of the second sequence take turns with the many of the first.
        let last_of_two = subjects(&world).iter().rposition(|subject| subject == "From two").unwrap();
        assert!(last_of_two < 8, "{:?}", subjects(&world));
        // Each was held once, when it came.
        assert_eq!(facts(&world, "email.held").await.len(), 14);
        assert!(pending(&world).await.is_empty());
    }

    async fn a_paused_mailbox_sends_nothing_until_it_is_resumed(world: World) {
        let paused = mailbox(&world, box_of("m@example.com", 100, 0)).await;
        let sequence = publish(&world, &letter("news", "", "pool: outreach,")).await;
        let ann = world.contact("ann@example.com").await.id;
        enroll(&world, sequence, ann).await.unwrap();
        let claimed = world.app.store.claim_jobs("steps", "test", Now::At(world.now()), TimeDelta::seconds(30), 100).await;
        Handlers.run_together(&world.app, &claimed.unwrap()).await.unwrap();
        world.app.run(&world.system(), SendingMailboxPause { mailbox: paused.id }).await.unwrap();
        // New people wait for a mailbox, and look again in an hour.
        let bob = world.contact("bob@example.com").await.id;
        let run = enroll(&world, sequence, bob).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 0);
        assert_eq!(world.app.store.mailbox_line_length(paused.id).await.unwrap(), 1);
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Waiting(WaitReason::Event));
        let twice = world.app.run(&world.system(), SendingMailboxPause { mailbox: paused.id }).await.unwrap_err();
        assert_eq!(twice.code(), "SENDING_MAILBOX_ALREADY");
        world.app.run(&world.system(), SendingMailboxResume { mailbox: paused.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 1);
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(world.mailer.sent().len(), 2);
    }

    async fn nothing_goes_out_of_a_line_for_a_run_that_ended_meanwhile(world: World) {
        mailbox(&world, box_of("m@example.com", 100, 60)).await;
        let sequence = publish(&world, &letter("news", "", "pool: outreach,")).await;
        let mut runs = Vec::new();
        for name in ["ann", "bob"] {
            let person = world.contact(&format!("{name}@example.com")).await.id;
            runs.push(enroll(&world, sequence, person).await.unwrap());
        }
        world.run_due_jobs().await;
        assert_eq!(world.mailer.sent().len(), 1);
        let waiting = emails(&world).await.into_iter().find(|email| email.queued_at.is_some() || email.slot_at.is_some()).unwrap();
        let exit = tandem_app::EnrollmentExit { enrollment: waiting.enrollment.unwrap(), reason: ExitReason::Manual };
        world.app.run(&world.system(), exit).await.unwrap();
        play(&world, world.now() + TimeDelta::hours(1)).await;
        let waiting = email(&world, &waiting).await;
        assert_eq!((waiting.state, waiting.obstacle), (EmailState::Refused, Some(Obstacle::EnrollmentEnded)));
        assert_eq!(world.mailer.sent().len(), 1);
    }
}

// Each has read that the other has not begun, unless the lock on the person keeps them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_begins_beside_another_waits_for_the_person_and_counts_what_the_other_began() {
    let Some(world) = World::postgres().await else { return };
    caps(&world, &[(PERSON, 1, 24), (ACCOUNT, 5, 24)]).await;
    let person = colleague(&world, "ann", account(&world).await.id).await.id;
    let (first, second) = (plan(&world, person).await, plan(&world, person).await);
    // The first is held just before its commit, with all its locks.
    let last = world.hold("SELECT * FROM ledger_head FOR UPDATE").await;
    let begin = |email: &Email| {
        let (app, call, email) = (world.app.clone(), world.system(), email.id);
        tokio::spawn(async move { app.run(&call, EmailBegin { email }).await.unwrap().0 })
    };
    let one = begin(&first);
    world.until_waiting(1).await;
    let other = begin(&second);
    world.until_waiting(2).await;
    last.rollback().await.unwrap();
    assert_eq!(one.await.unwrap().state, EmailState::Sending);
    let other = other.await.unwrap();
    assert_eq!((other.state, other.expected_at), (EmailState::Planned, Some(world.now() + TimeDelta::hours(24))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_enrols_beside_another_waits_for_the_person_and_takes_over() {
    let Some(world) = World::postgres().await else { return };
    let ann = world.contact("ann@example.com").await.id;
    let low = publish(&world, &letter("low", "exclusive: g\npriority: 10", "")).await;
    let high = publish(&world, &letter("high", "exclusive: g\npriority: 20", "")).await;
    let last = world.hold("SELECT * FROM ledger_head FOR UPDATE").await;
    let enrolling = |sequence| {
        let (app, call) = (world.app.clone(), world.system());
        let create = EnrollmentCreate { sequence, contact: Some(ann), lead: None, vars: Map::new() };
        tokio::spawn(async move { app.run(&call, create).await.unwrap() })
    };
    let first = enrolling(low);
    world.until_waiting(1).await;
    let second = enrolling(high);
    world.until_waiting(2).await;
    last.rollback().await.unwrap();
    let first = first.await.unwrap().0;
    // It had read that nobody is there; having waited for the person it begins anew, and finds who came.
    let second = second.await.unwrap();
    assert_eq!(second.2.unwrap().0.id, first.id);
    assert_eq!(now(&world, &first).await.state, EnrollmentState::Exited(ExitReason::Superseded));
}
