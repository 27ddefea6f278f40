//! How runs catch up after a pause of their sequence, through the commands and the jobs, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, json};
use tandem_app::{
    EnrollmentCreate, InteractionRecord, SequenceCatchUp, SequencePause, SequencePublish, WorkingCalendarSave,
};
use tandem_domain::calendar;
use tandem_domain::decision::Job;
use tandem_domain::id::{ContactId, SequenceId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::sequence::backlog::{Backlog, Wish};
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason, PauseReason, WaitReason};
use tandem_store::ledger::Link;
use tandem_testkit::{World, on_both_databases};

const COMPLETED: EnrollmentState = EnrollmentState::Finished(FinishReason::Completed);

/// `one`, two days, then these steps and the end.
fn source(header: &str, steps: &str) -> String {
    format!(
        "key: slow\nname: Slow\nsubject: contact\n{header}steps:\n  - {}\n  - {{id: rest, kind: wait, duration: 2d}}\n{steps}  \
         - {{id: done, kind: end}}\n",
        mail("one", "rest")
    )
}

fn mail(id: &str, next: &str) -> String {
    format!("{{id: {id}, kind: send_email, template: {{subject: {id}, text: {id}}}, next: {next}}}")
}

async fn publish(world: &World, source: &str) -> SequenceId {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap().0.id
}

async fn enroll(world: &World, sequence: SequenceId, name: &str) -> Enrollment {
    let contact = world.contact(&format!("{name}@example.com")).await;
    let create = EnrollmentCreate { sequence, contact: Some(contact.id), lead: None, vars: Map::new() };
    world.app.run(&world.system(), create).await.unwrap().0
}

async fn now(world: &World, run: &Enrollment) -> Enrollment {
    world.app.store.find(run.id).await.unwrap().unwrap()
}

fn sent(world: &World) -> Vec<String> {
    world.mailer.sent().into_iter().map(|out| out.subject).collect()
}

/// Runs that took `one`, a minute after each other, and fell due while the sequence was paused.
async fn behind(world: &World, sequence: SequenceId, many: usize) -> Vec<Enrollment> {
    let mut runs = Vec::new();
    for n in 0..many {
        runs.push(enroll(world, sequence, &format!("p{n}")).await);
        world.run_due_jobs().await;
        world.clock.advance(TimeDelta::minutes(1));
    }
    world.app.run(&world.system(), SequencePause { sequence }).await.unwrap();
    world.pass(TimeDelta::days(2)).await;
    for run in &runs {
        assert_eq!(now(world, run).await.state, EnrollmentState::Paused(PauseReason::Sequence));
    }
    runs
}

async fn resume(world: &World, sequence: SequenceId, backlog: Backlog, days: Option<u32>) {
    let command = SequenceCatchUp { sequence, wish: Wish { backlog, days } };
    world.app.run(&world.system(), command).await.unwrap();
    world.run_due_jobs().await;
}

/// The entries about a run, of a kind.
async fn entries(world: &World, run: &Enrollment, kind: &str) -> Vec<Link> {
    let id = run.id.0;
    let about = |link: &Link| link.entry.kind == kind && link.entry.subject_id == id;
    world.ledger().await.into_iter().filter(about).collect()
}

/// When the timers of the present visit of a run fall due; those of earlier ones do nothing.
async fn timers(world: &World, run: &Enrollment) -> Vec<DateTime<Utc>> {
    let job = Job::AdvanceEnrollment { enrollment: run.id, visit: run.visit };
    let jobs = world.app.store.pending_jobs().await.unwrap();
    let is_it = |payload: &str| serde_json::from_str::<Job>(payload).is_ok_and(|it| it == job);
    jobs.into_iter().filter(|(_, payload, _)| is_it(payload)).map(|(.., due)| due).collect()
}

async fn downloads(world: &World, contact: ContactId) {
    let (name, kind) = ("Paper".to_owned(), InteractionKind::Download);
    let draft = Draft { kind, name, occurred_at: None, seconds: None, url: None, properties: Map::new() };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
    world.run_due_jobs().await;
}

on_both_databases! {
    async fn a_backlog_is_spread_over_the_hours_after_the_holidays_of_its_calendar(world: World) {
        let mut office = calendar::Draft::from_yaml(calendar::SHIPPED[1]).unwrap();
        (office.key, office.zone) = ("office".to_owned(), Tz::UTC);
        let free = ["2026-03-05", "2026-03-06"].map(|date| date.parse().unwrap());
        office.holidays = free.map(|date| calendar::Holiday { date, name: "Free".to_owned() }).to_vec();
        world.app.run(&world.system(), WorkingCalendarSave { draft: office }).await.unwrap();
        let header = "calendar: office\nsend_window: {from: '09:00', to: '17:00'}\n";
        let sequence = publish(&world, &source(header, &format!("  - {}\n", mail("two", "done")))).await;
        // The world begins on Monday, the second of March, at nine.
        let runs = behind(&world, sequence, 8).await;
        assert_eq!(sent(&world), ["one"; 8]);
        world.pass(TimeDelta::days(1)).await;
        resume(&world, sequence, Backlog::Spread, Some(1)).await;
        let monday: DateTime<Utc> = "2026-03-09T09:00:00Z".parse().unwrap();
        let turns: Vec<_> = (0..8).map(|hour| monday + TimeDelta::hours(hour)).collect();
        for (run, turn) in runs.iter().zip(&turns) {
            let waiting = now(&world, run).await;
            assert_eq!((waiting.state, waiting.due_at), (EnrollmentState::Waiting(WaitReason::Backlog), Some(*turn)));
            assert_eq!(timers(&world, &waiting).await, [*turn]);
            let resumed = entries(&world, run, "enrollment.resumed").await;
            assert_eq!(resumed[0].entry.detail["due_at"], json!(turn));
        }
        world.pass(monday - world.now()).await;
        for hour in 0..8 {
            assert_eq!(sent(&world).len(), 9 + hour, "one an hour");
            world.pass(TimeDelta::hours(1)).await;
        }
        assert_eq!(now(&world, &runs[7]).await.state, COMPLETED);
    }

    async fn the_newest_alone_passes_a_wait_for_that_was_over_and_stands_in_one_that_was_not(world: World) {
        let waits = |days| {
            let wait = format!("{{id: reads, kind: wait_for, event: [DOWNLOAD], timeout: {days}d, on_timeout: late}}");
            source("", &format!("  - {wait}\n  - {}\n  - {}\n", mail("good", "done"), mail("late", "done")))
        };
        let sequence = publish(&world, &waits(3)).await;
        let run = behind(&world, sequence, 1).await.remove(0);
        world.pass(TimeDelta::days(9)).await;
        resume(&world, sequence, Backlog::Latest, None).await;
        assert_eq!((sent(&world), now(&world, &run).await.state), (vec!["one".to_owned(), "late".to_owned()], COMPLETED));
        let ended = entries(&world, &run, "enrollment.ended").await;
        assert_eq!(ended[0].entry.state_after.as_deref(), Some("FINISHED(COMPLETED)"));
        let steps: Vec<_> = entries(&world, &run, "enrollment.advanced").await.into_iter()
            .flat_map(|link| link.entry.detail["taken"].as_array().unwrap().clone())
            .map(|step| step["step"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(steps, ["one", "rest", "reads", "late"]);
        // The next version waits for longer.
        let sequence = publish(&world, &waits(30)).await;
        let sam = enroll(&world, sequence, "sam").await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), SequencePause { sequence }).await.unwrap();
        world.pass(TimeDelta::days(9)).await;
        resume(&world, sequence, Backlog::Latest, None).await;
        let (waiting, until) = (now(&world, &sam).await, world.now() + TimeDelta::days(30));
        assert_eq!((waiting.state, waiting.due_at), (EnrollmentState::Waiting(WaitReason::Event), Some(until)));
        assert_eq!((waiting.trail.catch_up, timers(&world, &waiting).await), (None, vec![until]));
        world.pass(TimeDelta::days(20)).await;
        downloads(&world, sam.contact).await;
        assert_eq!((sent(&world).pop().unwrap().as_str(), now(&world, &sam).await.state), ("good", COMPLETED));
    }

    async fn what_is_skipped_ends_with_the_next_wait_for(world: World) {
        let wait = "{id: reads, kind: wait_for, event: [DOWNLOAD], timeout: 14d, on_timeout: done}";
        let steps = format!("  - {}\n  - {wait}\n  - {}\n", mail("two", "reads"), mail("three", "done"));
        let sequence = publish(&world, &source("", &steps)).await;
        let run = behind(&world, sequence, 1).await.remove(0);
        resume(&world, sequence, Backlog::Skip, None).await;
        let (waiting, until) = (now(&world, &run).await, world.now() + TimeDelta::days(14));
        assert_eq!((waiting.state, waiting.due_at), (EnrollmentState::Waiting(WaitReason::Event), Some(until)));
        assert_eq!((waiting.trail.catch_up, timers(&world, &waiting).await), (None, vec![until]));
        world.pass(TimeDelta::days(10)).await;
        downloads(&world, run.contact).await;
        assert_eq!(sent(&world), ["one", "three"]);
        let skipped = entries(&world, &run, "enrollment.advanced").await.into_iter()
            .flat_map(|link| link.entry.detail["taken"].as_array().unwrap().clone())
            .filter(|step| step["skipped"] == json!("BACKLOG"))
            .map(|step| step["step"].as_str().unwrap().to_owned());
        assert_eq!(skipped.collect::<Vec<_>>(), ["two"]);
    }

    async fn the_record_of_a_failure_names_the_state_that_the_run_was_in(world: World) {
        let broken = "  - {id: look, kind: branch, when: enrollment.vars.missing == 1, then: done, else: done}\n";
        let sequence = publish(&world, &source("", broken)).await;
        let run = enroll(&world, sequence, "sam").await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::days(2)).await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Failed);
        let ended = entries(&world, &run, "enrollment.ended").await.remove(0).entry;
        assert_eq!((ended.state_before.as_deref(), ended.state_after.as_deref()), (Some("WAITING(TIME)"), Some("FAILED")));
        assert_eq!(ended.detail["taken"], json!([]));
    }
}
