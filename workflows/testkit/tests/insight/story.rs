//! The story of a run, and the steps that are kept beside it.

use crate::help::{
    BROWSER, SHORT, WELCOME, clicks, emails, enroll, opens, person, publish, replies, rows, sentences, steps_on_file,
    steps_on_record, story,
};
use chrono::TimeDelta;
use chrono_tz::Tz;
use serde_json::json;
use tandem_app::insight::{ReportGroup, StoryEntry};
use tandem_app::{
    EmailUnsubscribe, EnrollmentAdvance, EnrollmentCreate, EnrollmentPause, EnrollmentResume, SendingMailboxPause,
    SendingMailboxSave, SequencePause, SuppressionAdd, TaskComplete, WorkItemClaim,
};
use tandem_domain::access::Role;
use tandem_domain::contact::ConsentState;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sending_mailbox::MailboxDraft;
use tandem_domain::sequence::enrollment::PauseReason;
use tandem_domain::sequence::story::{BeatKind, Grounds};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_store::Page;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::on_both_databases;

on_both_databases! {
    async fn a_story_tells_every_decision_with_what_decided_it(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let sam = person(&world, "Sam", json!({"phone": "+49 30 901820"})).await;
        let run = enroll(&world, sequence, &sam).await;
        let hello = emails(&world, &run).await.remove(0);
        world.pass(TimeDelta::minutes(5)).await;
        opens(&world, &hello, BROWSER).await;
        clicks(&world, &hello, BROWSER).await;
        clicks(&world, &hello, "curl/8.5.0").await;
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let until = Some(world.now() + TimeDelta::hours(2));
        world.app.run(&ops, EnrollmentPause { enrollment: run.id, reason: PauseReason::Manual, until }).await.unwrap();
        world.app.run(&ops, EnrollmentResume { enrollment: run.id }).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        let (_, sdr) = world.user("sdr", Role::Sdr, None).await;
        let filter = WorkItemFilter::default();
        let task = world.app.store.work_item_page(&filter, &Page::first(9)).await.unwrap().items.remove(0);
        world.app.run(&sdr, WorkItemClaim { item: task.id }).await.unwrap();
        world.app.run(&sdr, TaskComplete { item: task.id, token: 1, outcome: None, note: Some("Wants a call".to_owned()) }).await.unwrap();
        let again = emails(&world, &run).await.remove(1);
        replies(&world, "sam@acme.example", &again).await;

        let told = story(&world, &run).await;
        let words = sentences(&told);
        let has = |text: &str| words.iter().any(|found| found.contains(text));
        assert_eq!(words[0], "enrolled by Tandem");
        assert_eq!(words[1], "took `hello` (send_email); waits for EMAIL until 2026-03-09 09:00 UTC");
        for text in [
            "the e-mail: planned", "the e-mail: sent", "took `pause` (wait); waits for TIME until 2026-03-05 09:00 UTC",
            "the person: did EMAIL_OPEN", "the person: did EMAIL_CLICK", "pauses: MANUAL; until 2026-03-02 11:05 UTC", "goes on",
            "took `reachable` (branch), since `contact.phone != null` held; took `call` (create_task)",
            "the task: queued", "the task: completed", "took `again` (send_email)", "the person: did EMAIL_REPLY",
        ] {
            assert!(has(text), "{text}: {words:#?}");
        }
        assert!(told.iter().map(|entry| entry.link.entry.seq).is_sorted());
        let planned = told.iter().find(|entry| entry.link.entry.kind == "email.planned").unwrap();
        let (email, fate) = planned.email.as_ref().unwrap();
        assert_eq!((email.id, fate.opened_at, fate.replied_at), (hello.id, Some((hello.planned_at + TimeDelta::minutes(5)).timestamp_millis()), None));
        let answer = told.iter().find(|entry| entry.interaction.as_ref().is_some_and(|one| one.kind == InteractionKind::EmailReply));
        let answered = answer.unwrap().email.as_ref().unwrap();
        assert_eq!((answered.0.id, answered.1.replied_at.is_some()), (again.id, true));
        let clicks = told.iter().filter_map(|entry| entry.interaction.as_ref()).filter(|one| one.kind == InteractionKind::EmailClick);
        assert_eq!(clicks.map(|one| one.automated.is_some()).collect::<Vec<_>>(), [false, true]);
        let done = told.iter().find(|entry| entry.link.entry.kind == "work_item.completed").unwrap();
        assert_eq!(done.task.as_ref().unwrap().outcome.as_ref().unwrap().note.as_deref(), Some("Wants a call"));
        assert!(told.iter().all(|entry| entry.beat.kind != BeatKind::Other || entry.link.entry.kind == "enrollment.email_settled"));

        // In pages, forward and backward, it is the same story.
        let seqs = |part: &[StoryEntry]| part.iter().map(|entry| entry.link.entry.seq).collect::<Vec<_>>();
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = world.app.enrollment_story(run.id, &Page { after, ..Page::first(4) }).await.unwrap();
            paged.extend(seqs(&page.items));
            after = paged.last().copied();
            if !page.has_next { break; }
        }
        assert_eq!(paged, seqs(&told));
        let last = world.app.enrollment_story(run.id, &Page { backward: true, ..Page::first(3) }).await.unwrap();
        assert_eq!((seqs(&last.items), last.has_previous), (paged[paged.len() - 3..].to_vec(), true));
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn the_rule_that_ends_a_run_and_what_holds_a_step_back_are_on_the_record(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let kim = person(&world, "Kim", json!({"title": "Customer"})).await;
        let run = enroll(&world, sequence, &kim).await;
        let told = story(&world, &run).await;
        let end = told.last().unwrap();
        assert_eq!(end.beat.sentence, "ended as FINISHED(GOAL), since the goal says `contact.title == 'Customer'`");
        assert_eq!(end.link.entry.detail["grounds"], json!({"goal": "contact.title == 'Customer'"}));
        // Nothing of the person is written down with it.
        assert!(!serde_json::to_string(&end.link.entry.detail).unwrap().contains("Kim"));

        let consent = json!({"consent": {"state": ConsentState::Unknown, "source": "list"}});
        let lee = person(&world, "Lee", consent).await;
        let run = enroll(&world, sequence, &lee).await;
        let held = story(&world, &run).await;
        assert_eq!(held.last().unwrap().beat.sentence, "waits for EVENT (CONSENT_UNKNOWN) until 2026-03-03 09:00 UTC");

        let ada = person(&world, "Ada", json!({})).await;
        let run = enroll(&world, sequence, &ada).await;
        let suppress = SuppressionAdd {
            kind: SuppressionKind::Domain, value: "acme.example".to_owned(), reason: SuppressionReason::Legal, source: "court".to_owned(),
        };
        world.app.run(&world.system(), suppress).await.unwrap();
        world.pass(TimeDelta::days(3)).await;
        let told = story(&world, &run).await;
        assert_eq!(told.last().unwrap().beat.grounds.as_ref().unwrap().rule, "standing");
    }

    async fn the_steps_on_file_are_those_of_the_ledger_also_where_they_are_made_from_it_anew(world: World) {
        let (welcome, short) = (publish(&world, WELCOME).await, publish(&world, SHORT).await);
        for name in ["Sam", "Kim", "Lee"] {
            let contact = person(&world, name, json!({})).await;
            enroll(&world, welcome, &contact).await;
            let run = enroll(&world, short, &contact).await;
            let hello = emails(&world, &run).await.remove(0);
            world.pass(TimeDelta::minutes(3)).await;
            opens(&world, &hello, BROWSER).await;
        }
        world.pass(TimeDelta::days(4)).await;
        let on_record = steps_on_record(&world).await;
        assert!(on_record.len() > 20);
        assert_eq!(steps_on_file(&world).await, on_record);
        let groups = [ReportGroup::Version, ReportGroup::Step, ReportGroup::CohortWeek];
        let mut before = Vec::new();
        for group in groups {
            before.push(rows(&world, short, group).await);
        }

        // As if the database were that of the version before.
        for change in [
            "DROP TABLE enrollment_step", "DROP TABLE experiment",
            "DROP INDEX enrollment_sequence_id_started_at", "DROP INDEX interaction_email_id_open",
            "DROP INDEX interaction_contact_id_occurred_at_open",
            "ALTER TABLE enrollment DROP COLUMN step", "ALTER TABLE enrollment DROP COLUMN started_at",
            "ALTER TABLE enrollment DROP COLUMN ended_at", "ALTER TABLE interaction DROP COLUMN email_id",
            "DELETE FROM seaql_migrations WHERE version = 'm0024_insight'",
        ] {
            world.tamper(change).await.unwrap();
        }
        world.app.store.migrate().await.unwrap();
        assert_eq!(steps_on_file(&world).await, on_record);
        for (group, before) in groups.into_iter().zip(before) {
            assert_eq!(rows(&world, short, group).await, before);
        }
    }

    async fn an_end_from_outside_names_the_standing_and_a_pause_of_a_pool_names_itself(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let (sam, kim) = (person(&world, "Sam", json!({})).await, person(&world, "Kim", json!({})).await);
        let run = enroll(&world, sequence, &sam).await;
        let hello = emails(&world, &run).await.remove(0);
        assert!(sentences(&story(&world, &run).await).contains(&"its e-mail of `hello` is SENT; goes on with `pause`"));
        let command = EmailUnsubscribe { email: hello.id, contact: sam.id };
        world.app.run(&world.system(), command).await.unwrap();
        let told = story(&world, &run).await;
        let end = told.iter().find(|entry| entry.beat.kind == BeatKind::Ended).unwrap();
        assert_eq!(end.beat.sentence, "ended as OPTED_OUT, since the person's standing is OPTED_OUT: UNSUBSCRIBED");
        assert_eq!(end.beat.grounds, Some(Grounds { rule: "standing".to_owned(), text: "OPTED_OUT".to_owned() }));
        assert_eq!(end.link.entry.reason.as_deref(), Some("UNSUBSCRIBED"));

        // Planned, and suppressed before it goes out.
        let command = EnrollmentCreate { sequence, contact: Some(kim.id), lead: None, vars: serde_json::Map::new() };
        let run = world.app.run(&world.system(), command).await.unwrap().0;
        world.app.run(&world.system(), EnrollmentAdvance { enrollment: run.id, visit: 0 }).await.unwrap();
        let suppress = SuppressionAdd {
            kind: SuppressionKind::Email, value: "kim@acme.example".to_owned(), reason: SuppressionReason::Manual, source: "them".to_owned(),
        };
        world.app.run(&world.system(), suppress).await.unwrap();
        world.run_due_jobs().await;
        let told = story(&world, &run).await;
        let end = told.iter().find(|entry| entry.beat.kind == BeatKind::Ended).unwrap();
        assert_eq!(end.beat.sentence, "ended as OPTED_OUT, since the person's standing is SUPPRESSED");

        // Every mailbox of the pool is paused.
        let draft = MailboxDraft {
            address: "sales@example.com".to_owned(), name: None, reply_to: None, pool: "outreach".to_owned(), zone: Tz::UTC,
            daily_cap: 100, ramp_up: None, interval: 0,
        };
        let mailbox = world.app.run(&world.system(), SendingMailboxSave { draft }).await.unwrap().0;
        let source = WELCOME.replace("key: welcome", "key: pooled").replace("kind: send_email,", "kind: send_email, pool: outreach,");
        let pooled = publish(&world, &source).await;
        world.app.run(&world.system(), SendingMailboxPause { mailbox: mailbox.id }).await.unwrap();
        let run = enroll(&world, pooled, &person(&world, "Lee", json!({})).await).await;
        let told = story(&world, &run).await;
        assert_eq!(told.last().unwrap().beat.sentence, "waits for EVENT (POOL_WITHOUT_MAILBOX) until 2026-03-02 10:00 UTC");
        assert_eq!(told.last().unwrap().beat.waits.as_ref().unwrap().held_by.as_deref(), Some("POOL_WITHOUT_MAILBOX"));

        // The other sequence takes nobody: the step was refused, and the run goes on.
        let source = "{key: chained, name: Chained, subject: contact, steps: [{id: s, kind: start_sequence, sequence: pooled}, \
                      {id: pause, kind: wait, duration: 1d}, {id: done, kind: end}]}";
        let chained = publish(&world, source).await;
        world.app.run(&world.system(), SequencePause { sequence: pooled }).await.unwrap();
        let run = enroll(&world, chained, &person(&world, "Ada", json!({})).await).await;
        let told = story(&world, &run).await;
        let refused = told.iter().flat_map(|entry| &entry.beat.steps).find_map(|step| step.refused.as_ref()).unwrap();
        assert_eq!(refused.code, "SEQUENCE_NOT_ACTIVE");
        assert!(told[1].beat.sentence.starts_with("took `s` (start_sequence), which was refused: SEQUENCE_NOT_ACTIVE (the sequence"));
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }
}
