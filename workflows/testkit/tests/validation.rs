//! What is published can be taken, and what ends a run is told apart: through the commands, the ledger and the jobs, on both
//! databases.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use tandem_app::custom_fields::{CustomFieldChange, CustomFieldDefine};
use tandem_app::{AccountUpsertMany, AppError, ContactChange, EnrollmentCreate, InteractionRecord, SequencePublish};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::ContactPatch;
use tandem_domain::custom_field::{CustomField, Entity, Kind};
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::interaction::{Draft, InteractionKind};
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::Sequence;
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, FinishReason};
use tandem_domain::work_item::{ItemKind, ItemState, WorkItem};
use tandem_store::Page;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

fn source(key: &str, header: &str, steps: &str) -> String {
    format!("key: {key}\nname: {key}\nsubject: contact\n{header}steps:\n{steps}  - {{id: done, kind: end}}\n")
}

async fn try_publish(world: &World, source: &str) -> Result<Sequence, AppError> {
    let published = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await?.0;
    world.run_due_jobs().await;
    // What happens next is later.
    world.clock.advance(TimeDelta::seconds(1));
    Ok(published)
}

async fn publish(world: &World, source: &str) -> Sequence {
    try_publish(world, source).await.unwrap_or_else(|refused| panic!("{refused}\n{source}"))
}

async fn define(world: &World, entity: Entity, key: &str, kind: Kind) -> CustomField {
    let (key, label) = (key.to_owned(), key.to_owned());
    let command = CustomFieldDefine { entity, key, label, kind, choices: Vec::new(), required: false };
    world.app.run(&world.system(), command).await.unwrap()
}

async fn enroll(world: &World, sequence: &Sequence, contact: ContactId) -> Enrollment {
    let command = EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead: None, vars: Map::new() };
    world.app.run(&world.system(), command).await.unwrap().0
}

async fn now(world: &World, run: &Enrollment) -> Enrollment {
    world.app.store.find(run.id).await.unwrap().unwrap()
}

async fn runs(world: &World, sequence: &Sequence) -> Vec<Enrollment> {
    let filter = EnrollmentFilter { sequence: Some(sequence.id), ..Default::default() };
    world.app.store.enrollment_page(&filter, &Page::first(50)).await.unwrap().items
}

async fn tasks(world: &World, contact: ContactId) -> Vec<WorkItem> {
    let filter = WorkItemFilter { kind: Some(ItemKind::Task), ..Default::default() };
    let all = world.app.store.work_item_page(&filter, &Page::first(50)).await.unwrap().items;
    all.into_iter().filter(|task| task.contact == contact).collect()
}

async fn entries(world: &World, kind: &str) -> Vec<Entry> {
    world.ledger().await.into_iter().map(|link| link.entry).filter(|entry| entry.kind == kind).collect()
}

async fn met(world: &World, contact: ContactId) {
    let draft = Draft {
        kind: InteractionKind::Meeting,
        name: "Demo".to_owned(),
        occurred_at: None,
        seconds: None,
        url: None,
        properties: Map::new(),
    };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
    world.run_due_jobs().await;
}

async fn change(world: &World, contact: ContactId, patch: Value) {
    let contact_patch: ContactPatch = serde_json::from_value(patch).unwrap();
    let command = ContactChange { id: contact, contact: contact_patch, default_region: None };
    world.app.run(&world.system(), command).await.unwrap();
    world.run_due_jobs().await;
    world.clock.advance(TimeDelta::seconds(1));
}

on_both_databases! {
    async fn a_field_that_is_not_there_is_refused_before_a_run_comes_to_it(world: World) {
        let set = |field: &str, value: &str| source("sets", "", &format!("  - {{id: set, kind: set_field, field: {field}, value: {value}}}\n"));
        let before = world.ledger().await.len();
        define(&world, Entity::Contact, "round", Kind::Text).await;
        define(&world, Entity::Account, "seats", Kind::Number).await;
        let retired = define(&world, Entity::Contact, "colour", Kind::Text).await;
        let retire = CustomFieldChange { id: retired.id, label: None, choices: None, required: None, active: Some(false) };
        world.app.run(&world.system(), retire).await.unwrap();
        for (field, value, at_value, said) in [
            ("contact.rond", "second", false, "no custom field of contacts `rond`; did you mean `round`?"),
            ("lead.round", "second", false, "no custom field of leads `round`; define it first"),
            ("account.round", "second", false, "no custom field of accounts `round`"),
            ("contact.email", "second", false, "`contact.email` is not one of those that are defined"),
            ("contact.round", "7", true, "`7` does not fit the custom field `round`"),
            ("account.seats", "many", true, "`many` does not fit the custom field `seats`"),
            ("contact.colour", "red", false, "`colour` was retired"),
            ("contact.colour", "'{{ now }}'", false, "`colour` was retired"),
        ] {
            let text = set(field, value);
            let refused = try_publish(&world, &text).await.unwrap_err();
            assert_eq!(refused.code(), "SEQUENCE_REFERENCE_UNKNOWN", "{field}: {refused}");
            let column = text.lines().nth(4).unwrap().find(if at_value { value } else { field }).unwrap() + 1;
            let sentence = refused.to_string();
            assert!(sentence.contains(&format!("line 5, column {column}")) && sentence.contains(said), "{field}: {sentence}");
        }
        let published = entries(&world, "sequence.published").await;
        assert_eq!((published.len(), world.ledger().await.len() > before), (0, true));
        // What is there can be set, and so can what is only known in the run, and the lead's own priority.
        for (field, value) in [("account.seats", "7"), ("account.seats", "'{{ 3 + 4 }}'"), ("contact.colour", "null"), ("lead.priority", "70")] {
            publish(&world, &set(field, value)).await;
        }
        let sequence = publish(&world, &set("contact.round", "second")).await;
        let sam = world.contact("sam@example.com").await.id;
        let run = enroll(&world, &sequence, sam).await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
    }

    async fn a_step_that_ends_the_run_leaves_the_tasks_that_a_meeting_would_close(world: World) {
        let task = "  - {id: prepare, kind: create_task, title: Prepare the meeting, due_in: 2d}\n";
        let ends = "  - {id: booked, kind: end, outcome: meeting_booked}\n  - {id: left, kind: end, outcome: exit}\n";
        let branch = "  - {id: which, kind: branch, when: contact.title == 'Head', then: booked, else: left}\n";
        let steps = format!("{task}{branch}{ends}");
        let by_step = source("by_step", "", &steps).replace("  - {id: done, kind: end}\n", "");
        let by_step = publish(&world, &by_step).await;
        let waits = publish(&world, &source("waits", "", &format!("{task}  - {{id: pause, kind: wait, duration: 9d}}\n"))).await;
        let booked = EnrollmentState::Finished(FinishReason::MeetingBooked);
        let [head, clerk, met_one] = [world.contact("a@example.com").await.id, world.contact("b@example.com").await.id, world.contact("c@example.com").await.id];
        change(&world, head, json!({"title": "Head"})).await;

        let run = enroll(&world, &by_step, head).await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &run).await.state, booked);
        let [task] = tasks(&world, head).await.try_into().unwrap();
        assert_eq!(task.state, ItemState::Queued, "it was made for the meeting");

        let run = enroll(&world, &by_step, clerk).await;
        world.run_due_jobs().await;
        assert!(matches!(now(&world, &run).await.state, EnrollmentState::Exited(_)));
        let [task] = tasks(&world, clerk).await.try_into().unwrap();
        assert_eq!(task.state, ItemState::Cancelled, "the programme says that it was left early");

        let run = enroll(&world, &waits, met_one).await;
        world.run_due_jobs().await;
        met(&world, met_one).await;
        assert_eq!(now(&world, &run).await.state, booked);
        let [task] = tasks(&world, met_one).await.try_into().unwrap();
        assert_eq!(task.state, ItemState::Cancelled, "nobody needs it any more");
        let ended: Vec<_> = entries(&world, "work_item.cancelled").await.into_iter().map(|entry| entry.reason).collect();
        assert_eq!(ended, [Some("RULE".to_owned()), Some("MEETING_BOOKED".to_owned())]);
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn a_change_of_the_company_starts_with_both_companies(world: World) {
        let rows = ["First Ltd", "Second Ltd"].map(|name| AccountPatch { name: Some(name.to_owned()), ..AccountPatch::default() });
        let made = world.app.run(&world.system(), AccountUpsertMany { rows: rows.into() }).await.unwrap();
        let [first, second]: [AccountId; 2] = [0, 1].map(|at: usize| made.rows[at].id().unwrap().into());
        let line = "triggers:\n  - {kind: field, field: contact.account, when: change.new != null && change.old != null && account.id == change.new, \
                    vars: {was: change.old, is: change.new}}\n";
        let moved = publish(&world, &source("moved", line, "  - {id: pause, kind: wait, duration: 9d}\n")).await;
        let sam = world.contact("sam@example.com").await.id;
        change(&world, sam, json!({"account": first})).await;
        assert!(runs(&world, &moved).await.is_empty(), "there was none before");
        change(&world, sam, json!({"account": second})).await;
        let [run] = runs(&world, &moved).await.try_into().unwrap();
        assert_eq!((run.contact, &run.vars["was"], &run.vars["is"]), (sam, &json!(first), &json!(second)));
    }

    async fn what_ends_a_run_as_it_comes_about_is_on_the_record_with_its_grounds(world: World) {
        let pause = "  - {id: pause, kind: wait, duration: 90d}\n";
        let goal = publish(&world, &source("goal", "goal: contact.title == 'Customer'\n", pause)).await;
        let exit = publish(&world, &source("exit", "exit: contact.title == 'Customer'\n", pause)).await;
        let sam = world.contact("sam@example.com").await.id;
        let both = [enroll(&world, &goal, sam).await, enroll(&world, &exit, sam).await];
        world.run_due_jobs().await;
        change(&world, sam, json!({"title": "Customer"})).await;
        let ended = entries(&world, "enrollment.ended").await;
        for (run, grounds) in both.iter().zip(["goal", "exit"]) {
            let [entry]: [&Entry; 1] = ended.iter().filter(|entry| entry.subject_id == run.id.0).collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(entry.detail["grounds"], json!({ grounds: "contact.title == 'Customer'" }));
            assert!(entry.at < world.now().timestamp_millis() && now(&world, run).await.ended_at.is_some());
        }
    }
}
