//! The numbers of a sequence, and whom they are credited to.

use crate::help::{
    BROWSER, SHORT, WELCOME, clicks, did, emails, enroll, lead_of, opens, outcomes, person, publish, record, replies,
    rows,
};
use chrono::TimeDelta;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use tandem_app::insight::{Outcome, ReportAsk, ReportCounts, ReportGroup};
use tandem_app::{EnrollmentCreate, EnrollmentFinish, LeadQualify, SuppressionAdd};
use tandem_domain::decision::Fact;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason};
use tandem_domain::suppression::{SuppressionKind, SuppressionReason};
use tandem_testkit::on_both_databases;

on_both_databases! {
    async fn the_numbers_of_a_version_and_its_steps_are_counted_from_what_is_on_record(world: World) {
        let sequence = publish(&world, WELCOME).await;
        let (sam, kim) = (person(&world, "Sam", json!({})).await, person(&world, "Kim", json!({})).await);
        let (first, second) = (enroll(&world, sequence, &sam).await, enroll(&world, sequence, &kim).await);
        let lee = person(&world, "Lee", json!({})).await;
        // Planned, and suppressed before it goes out.
        let command = EnrollmentCreate { sequence, contact: Some(lee.id), lead: None, vars: Map::new() };
        let third = world.app.run(&world.system(), command).await.unwrap().0;
        let advance = tandem_app::EnrollmentAdvance { enrollment: third.id, visit: 0 };
        world.app.run(&world.system(), advance).await.unwrap();
        let suppress = SuppressionAdd {
            kind: SuppressionKind::Email, value: "lee@acme.example".to_owned(), reason: SuppressionReason::Manual, source: "them".to_owned(),
        };
        world.app.run(&world.system(), suppress).await.unwrap();
        world.run_due_jobs().await;

        let (hello, other) = (emails(&world, &first).await.remove(0), emails(&world, &second).await.remove(0));
        world.pass(TimeDelta::minutes(2)).await;
        opens(&world, &hello, BROWSER).await;
        opens(&world, &other, BROWSER).await;
        clicks(&world, &hello, BROWSER).await;
        // A machine, and a repetition.
        clicks(&world, &other, "curl/8.5.0").await;
        clicks(&world, &hello, BROWSER).await;
        world.pass(TimeDelta::minutes(2)).await;
        opens(&world, &hello, BROWSER).await;
        replies(&world, "sam@acme.example", &hello).await;

        let version = rows(&world, sequence, ReportGroup::Version).await;
        let counts = &version["welcome@1"];
        assert_eq!((counts.entered, counts.waiting, counts.done), (3, 1, 1));
        assert_eq!((counts.sent, counts.delivered, counts.opened, counts.clicked), (2, 2, 2, 1));
        let over = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
        assert_eq!(counts.ended, BTreeMap::from([(over("FINISHED", "REPLIED"), 1), (over("OPTED_OUT", ""), 1)]));
        assert_eq!(counts.skipped, BTreeMap::from([("SUPPRESSED".to_owned(), 1)]));
        assert_eq!(counts.outcomes, outcomes(&[(Outcome::Replied, 1)]));

        let steps = rows(&world, sequence, ReportGroup::Step).await;
        let hello = &steps["hello"];
        assert_eq!((hello.entered, hello.waiting, hello.done), (3, 0, 2));
        assert_eq!((hello.sent, hello.opened, hello.clicked), (2, 2, 1));
        assert_eq!((&hello.skipped, &hello.outcomes), (&counts.skipped, &counts.outcomes));
        // Both who got it wait for the step after the pause, or did.
        assert_eq!((steps["pause"].entered, steps["pause"].done), (3, 2), "the third stood before it when it ended");
        assert_eq!((steps["reachable"].entered, steps["reachable"].waiting, steps["reachable"].done), (2, 1, 0));
        assert_eq!(steps["reachable"].ended, BTreeMap::from([(over("FINISHED", "REPLIED"), 1)]));
        let ask = ReportAsk { sequence, version: None, from: None, to: None, group: ReportGroup::Step };
        let order = world.app.sequence_report(&ask).await.unwrap();
        assert_eq!(order.iter().map(|line| line.label.as_str()).collect::<Vec<_>>(), ["hello", "pause", "reachable"]);

        // A second version, a week later.
        publish(&world, &WELCOME.replace("3d", "2d")).await;
        world.pass(TimeDelta::days(7)).await;
        let ada = person(&world, "Ada", json!({})).await;
        enroll(&world, sequence, &ada).await;
        let versions = rows(&world, sequence, ReportGroup::Version).await;
        assert_eq!((versions["welcome@1"].entered, versions["welcome@2"].entered), (3, 1));
        let weeks = rows(&world, sequence, ReportGroup::CohortWeek).await;
        assert_eq!(weeks.iter().map(|(week, counts)| (week.as_str(), counts.entered)).collect::<Vec<_>>(), [("2026-W10", 3), ("2026-W11", 1)]);
        let newest = world.app.store.sequence_version_numbered(sequence, 2).await.unwrap().unwrap();
        let later = ReportAsk { version: Some(newest.id), group: ReportGroup::CohortWeek, ..ask.clone() };
        assert_eq!(world.app.sequence_report(&later).await.unwrap().len(), 1);
        let from = Some(world.now() - TimeDelta::days(1));
        let recent = world.app.sequence_report(&ReportAsk { from, group: ReportGroup::Version, ..ask.clone() }).await.unwrap();
        assert_eq!(recent.iter().map(|line| line.label.as_str()).collect::<Vec<_>>(), ["welcome@2"]);
        let before = world.app.sequence_report(&ReportAsk { to: from, group: ReportGroup::Version, ..ask }).await.unwrap();
        assert_eq!(before.iter().map(|line| line.counts.entered).collect::<Vec<_>>(), [3]);
    }

    async fn what_happens_is_credited_to_the_run_that_touched_the_person_last_within_its_days(world: World) {
        let (welcome, short) = (publish(&world, WELCOME).await, publish(&world, SHORT).await);
        let sam = person(&world, "Sam", json!({})).await;
        let run = enroll(&world, welcome, &sam).await;
        world.pass(TimeDelta::hours(1)).await;
        did(&world, sam.id, InteractionKind::Meeting).await;
        world.pass(TimeDelta::hours(1)).await;
        enroll(&world, short, &sam).await;
        world.pass(TimeDelta::hours(1)).await;
        let lead = lead_of(&world, sam.id).await;
        world.app.run(&world.system(), LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
        // The first had touched the person when the meeting was booked, the second when the lead was qualified.
        let credited = |rows: BTreeMap<String, ReportCounts>, row: &str| rows[row].outcomes.clone();
        assert_eq!(credited(rows(&world, welcome, ReportGroup::Version).await, "welcome@1"), outcomes(&[(Outcome::Met, 1)]));
        assert_eq!(credited(rows(&world, welcome, ReportGroup::Step).await, "hello"), outcomes(&[(Outcome::Met, 1)]));
        assert_eq!(credited(rows(&world, short, ReportGroup::Version).await, "short@1"), outcomes(&[(Outcome::Qualified, 1)]));
        assert_eq!(credited(rows(&world, short, ReportGroup::Step).await, "note"), outcomes(&[(Outcome::Qualified, 1)]));

        // The meeting ended the first, the other ends too; within thirty days after it, the last touch counts still.
        let first: Enrollment = world.app.store.find(run.id).await.unwrap().unwrap();
        assert_eq!(first.state, EnrollmentState::Finished(FinishReason::MeetingBooked));
        world.pass(TimeDelta::days(1)).await;
        world.pass(TimeDelta::days(20)).await;
        record(&world, Fact::ledger("lead.dispatched", lead.id).lead(lead.id)).await;
        world.pass(TimeDelta::days(20)).await;
        record(&world, Fact::ledger("lead.won", lead.id).lead(lead.id)).await;
        did(&world, sam.id, InteractionKind::EmailReply).await;
        let expected = outcomes(&[(Outcome::Qualified, 1), (Outcome::Dispatched, 1)]);
        assert_eq!(credited(rows(&world, short, ReportGroup::Version).await, "short@1"), expected);

        // What concerns one lead is not the run's of another.
        let kim = person(&world, "Kim", json!({})).await;
        let of_leads = "{key: of_leads, name: Of leads, subject: lead, steps: [{id: note, kind: send_email, template: {subject: A, text: B}}, \
                        {id: pause, kind: wait, duration: 1d}, {id: done, kind: end}]}";
        let sequence = publish(&world, of_leads).await;
        let (one, other) = (lead_of(&world, kim.id).await, lead_of(&world, kim.id).await);
        let command = EnrollmentCreate { sequence, contact: None, lead: Some(one.id), vars: Map::new() };
        world.app.run(&world.system(), command).await.unwrap();
        world.run_due_jobs().await;
        record(&world, Fact::ledger("lead.won", other.id).lead(other.id)).await;
        assert!(credited(rows(&world, sequence, ReportGroup::Version).await, "of_leads@1").is_empty());
        record(&world, Fact::ledger("lead.won", one.id).lead(one.id)).await;
        record(&world, Fact::ledger("lead.won", one.id).lead(one.id)).await;
        assert_eq!(credited(rows(&world, sequence, ReportGroup::Version).await, "of_leads@1"), outcomes(&[(Outcome::Won, 1)]));

        // Somebody says so by hand.
        let lee = person(&world, "Lee", json!({})).await;
        let run = enroll(&world, short, &lee).await;
        world.app.run(&world.system(), EnrollmentFinish { enrollment: run.id, reason: FinishReason::MeetingBooked }).await.unwrap();
        assert_eq!(rows(&world, short, ReportGroup::Version).await["short@1"].outcomes.get(&Outcome::Met), Some(&1));
    }

    async fn a_wait_is_done_once_people_have_passed_it(world: World) {
        // Whoever downloads something goes round; once it was a form, the run ends.
        let source = "{key: heard, name: Heard, subject: contact, goal: contact.title == 'Customer', steps: [\
            {id: hear, kind: wait_for, event: [DOWNLOAD, FORM], timeout: 9d, on_timeout: late}, \
            {id: which, kind: branch, when: \"enrollment.event.kind == 'FORM'\", then: done, else: pause}, \
            {id: pause, kind: wait, duration: 1h, next: hear}, {id: late, kind: wait, duration: 1d}, {id: done, kind: end}]}";
        let sequence = publish(&world, source).await;
        let [round, over, left, stays] = ["Sam", "Kim", "Lee", "Ada"].map(|name| person(&world, name, json!({})));
        let (round, over, left, stays) = (round.await, over.await, left.await, stays.await);
        let mut runs = Vec::new();
        for contact in [&round, &over, &left, &stays] {
            runs.push(enroll(&world, sequence, contact).await);
        }
        let hear = async || {
            let counts = rows(&world, sequence, ReportGroup::Step).await["hear"].clone();
            (counts.entered, counts.waiting, counts.done, counts.ended.values().sum::<i64>())
        };
        assert_eq!(hear().await, (4, 4, 0, 0), "everybody waits in it, and nobody has passed it");
        world.pass(TimeDelta::minutes(5)).await;
        did(&world, round.id, InteractionKind::Download).await;
        did(&world, over.id, InteractionKind::Form).await;
        world.run_due_jobs().await;
        // Who waits an hour before the next round stands before it already.
        assert_eq!(hear().await, (4, 3, 2, 0));
        // One of those who passed it is in it again; one who never did is over.
        world.pass(TimeDelta::hours(2)).await;
        let command = EnrollmentFinish { enrollment: runs[2].id, reason: FinishReason::MeetingBooked };
        world.app.run(&world.system(), command).await.unwrap();
        assert_eq!(hear().await, (4, 2, 2, 1));
        // The time of those who are left is over.
        world.pass(TimeDelta::days(9)).await;
        assert_eq!(hear().await, (4, 0, 3, 1));
        assert_eq!(rows(&world, sequence, ReportGroup::Step).await["late"].entered, 2);
    }
}
