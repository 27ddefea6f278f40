//! Publishing over what others do at the same time, publishing again, and what is told before anything is published, on both
//! databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::{Map, json};
use std::time::Duration;
use tandem_app::email_template::Previewed;
use tandem_app::sequence::Applied;
use tandem_app::{
    Actor, AppError, CustomFieldDefine, EmailTemplatePublish, EnrollmentCreate, OutboundChannelSave, SequenceArchive,
    SequenceDraft, SequenceMigrationPause, SequencePublish, SequencePublishAgain, SequenceReplace,
};
use tandem_domain::access::Role;
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::outbound::channel::{Draft, Provider};
use tandem_domain::sequence::migration::{MigrationState, Policy, Running};
use tandem_domain::sequence::{Problem, Sequence, SequenceVersion};
use tandem_testkit::{Fault, World, on_both_databases};

const MAIL: &str = "key: mail\nname: Mail\nsubject: Hello\ntext: 'First. {{ unsubscribe_url }}'\n";

/// A sequence that takes the template `mail`, with a word of its own.
fn takes(key: &str, word: &str) -> String {
    format!(
        "key: {key}\nname: Takes\nsubject: contact\nsteps:\n  - {{id: one, kind: send_email, template: mail}}\n  - {{id: note, kind: \
         tag, add: [{word}]}}\n  - {{id: done, kind: end}}\n"
    )
}

async fn template(world: &World, text: &str) {
    let source = MAIL.replace("First", text);
    world.app.run(&world.system(), EmailTemplatePublish { source }).await.unwrap();
}

async fn publish(world: &World, source: &str) -> (Sequence, SequenceVersion) {
    world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap()
}

async fn newest(world: &World, key: &str) -> (Sequence, SequenceVersion) {
    let sequence = world.app.store.sequence_by_key(key).await.unwrap().unwrap();
    let version = world.app.store.find(sequence.latest_version.unwrap()).await.unwrap().unwrap();
    (sequence, version)
}

/// Who waits a day between two e-mails, of which the second has an id of its own.
fn waits(second: &str) -> String {
    format!(
        "{{key: waits, name: Waits, subject: contact, steps: [{{id: one, kind: send_email, template: {{subject: one, text: one}}}}, \
         {{id: rest, kind: wait, duration: 1d}}, {{id: {second}, kind: send_email, template: {{subject: two, text: two}}}}, {{id: \
         done, kind: end}}]}}"
    )
}

fn changed() -> String {
    waits("two").replace("subject: two", "subject: other")
}

fn moving() -> Running {
    Running { policy: Policy::Migrate, map: Vec::new() }
}

/// Somebody who waits before the second e-mail of the first version of a sequence.
async fn somebody_waits(world: &World) -> Sequence {
    let (sequence, _) = publish(world, &waits("two")).await;
    let contact = world.contact("sam@example.com").await.id;
    let create = EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead: None, vars: Map::new() };
    world.app.run(&world.system(), create).await.unwrap();
    world.run_due_jobs().await;
    sequence
}

/// The rule and the line of each problem.
fn places(problems: &[Problem]) -> Vec<(&str, usize)> {
    problems.iter().map(|problem| (problem.rule.as_str(), problem.line.unwrap())).collect()
}

on_both_databases! {
    async fn what_a_colleague_published_meanwhile_is_not_undone_by_publishing_again(world: World) {
        template(&world, "First").await;
        let (sequence, seen) = publish(&world, &takes("takes", "old")).await;
        template(&world, "Second").await;
        publish(&world, &takes("takes", "new")).await;
        let again = SequencePublishAgain { sequence: sequence.id, version: seen.id };
        let refused = world.app.run(&world.system(), again.clone()).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_NOT_NEWEST");
        let (sequence, version) = newest(&world, "takes").await;
        assert_eq!((sequence.latest_number, version.source), (2, takes("takes", "new")));
        // At the same moment, one of the two is first: whichever it is, the colleague's text is the newest afterwards.
        for n in 3..9 {
            template(&world, &format!("Text {n}")).await;
            let (sequence, seen) = newest(&world, "takes").await;
            let colleague = SequencePublish { source: takes("takes", &format!("n{n}")) };
            let again = SequencePublishAgain { sequence: sequence.id, version: seen.id };
            let (call, other) = (world.system(), world.system());
            let (published, again) = tokio::join!(world.app.run(&call, colleague), world.app.run(&other, again));
            published.unwrap();
            if let Err(refused) = again {
                assert_eq!(refused.code(), "SEQUENCE_NOT_NEWEST");
            }
            assert_eq!(newest(&world, "takes").await.1.source, takes("takes", &format!("n{n}")));
        }
    }

    async fn publishing_again_keeps_the_draft_and_says_so_in_the_record(world: World) {
        template(&world, "First").await;
        publish(&world, &takes("takes", "old")).await;
        let draft = takes("takes", "drafted");
        world.app.run(&world.system(), SequenceDraft { source: draft.clone() }).await.unwrap();
        template(&world, "Second").await;
        let mut told = Vec::new();
        let tell = |key: &str, done: Result<Applied, AppError>| told.push((key.to_owned(), done.is_ok()));
        world.app.email_template_republish(&world.system(), "mail", tell).await.unwrap();
        assert_eq!(told, [("takes".to_owned(), true)]);
        let (sequence, version) = newest(&world, "takes").await;
        assert_eq!((sequence.latest_number, sequence.draft, version.source), (2, Some(draft), takes("takes", "old")));
        assert!(serde_json::to_string(&version.definition).unwrap().contains("Second"));
        let ledger = world.ledger().await;
        let published: Vec<_> = ledger.iter().filter(|link| link.entry.kind == "sequence.published").collect();
        let again: Vec<_> = published.iter().map(|link| link.entry.detail.get("again").cloned()).collect();
        assert_eq!(again, [None, Some(json!(1))]);
    }

    async fn what_was_published_again_is_told_before_the_rest_fails(world: World) {
        template(&world, "First").await;
        for key in ["first", "broken", "last"] {
            publish(&world, &takes(key, "old")).await;
        }
        template(&world, "Second").await;
        // The first one adds an entry to the ledger; that of the second is refused by the database.
        let last = world.ledger().await.last().unwrap().entry.seq;
        world.break_at(Fault::Entry(last + 2)).await;
        let mut told = Vec::new();
        let tell = |key: &str, done: Result<Applied, AppError>| told.push((key.to_owned(), done.is_ok()));
        let failure = world.app.email_template_republish(&world.system(), "mail", tell).await.unwrap_err();
        assert!(!failure.is_refusal(), "{failure}");
        assert_eq!(told, [("first".to_owned(), true)]);
        assert_eq!((newest(&world, "first").await.0.latest_number, newest(&world, "last").await.0.latest_number), (2, 1));
    }

    async fn to_apply_over_what_runs_can_be_repeated(world: World) {
        let sequence = somebody_waits(&world).await;
        publish(&world, &changed()).await;
        // Nothing needs to be published, and those who run are moved all the same.
        let apply = async |running| world.app.sequence_replace(&world.system(), changed(), running).await;
        let (applied, begun) = apply(moving()).await.unwrap();
        assert!(matches!(applied, Applied::Unchanged(version) if version.number == 2));
        let begun = begun.unwrap();
        assert_eq!((begun.number, begun.total, begun.state), (2, 1, MigrationState::Pending));
        // While the same is under way, nothing more begins; what is not the same is refused.
        assert_eq!(apply(moving()).await.unwrap().1.map(|migration| migration.id), Some(begun.id));
        let finish = Running { policy: Policy::Finish, map: Vec::new() };
        assert_eq!(apply(finish.clone()).await.unwrap_err().code(), "SEQUENCE_MIGRATION_OPEN");
        world.run_due_jobs().await;
        let (applied, nothing) = apply(moving()).await.unwrap();
        assert!(matches!(applied, Applied::Unchanged(_)) && nothing.is_none());
        assert!(apply(Running { policy: Policy::Stay, map: Vec::new() }).await.unwrap().1.is_none());
        let count = |kinds: &[String], kind: &str| kinds.iter().filter(|found| *found == kind).count();
        let kinds = world.ledger_kinds().await;
        assert_eq!((count(&kinds, "sequence_migration.begun"), count(&kinds, "enrollment.migrated")), (1, 1));
        assert_eq!(count(&kinds, "sequence.published"), 2);
        let found: Sequence = world.app.store.find(sequence.id).await.unwrap().unwrap();
        assert_eq!(found.latest_number, 2);
    }

    async fn a_preview_says_what_publishing_would(world: World) {
        let sequence = somebody_waits(&world).await;
        let system = Actor::system();
        let preview = async |source: &str, running: &Running| world.app.sequence_preview(&system, source, running).await;
        let publish = async |source: &str, running: &Running| {
            let command = SequenceReplace { source: source.to_owned(), running: running.clone() };
            world.app.run(&world.system(), command).await
        };
        // What is not there.
        let nowhere = changed().replace("{id: rest", "{id: told, kind: notify, channel: nowhere, text: Hi}, {id: rest");
        let problems = preview(&nowhere, &moving()).await.unwrap().unwrap_err();
        assert_eq!(places(&problems), [("CHANNEL_UNKNOWN", 1)]);
        assert_eq!(publish(&nowhere, &moving()).await.unwrap_err().code(), "CHANNEL_UNKNOWN");
        // What runs through it never changes.
        let leads = changed().replace("subject: contact", "subject: lead");
        assert_eq!(preview(&leads, &moving()).await.unwrap_err().code(), "SEQUENCE_SUBJECT_CHANGED");
        // A migration that is not over.
        let begun = publish(&changed(), &moving()).await.unwrap().2.unwrap();
        world.app.run(&world.system(), SequenceMigrationPause { migration: begun.id }).await.unwrap();
        let third = waits("three");
        let codes = async |source: &str, running: &Running| -> Vec<&'static str> {
            let shown = preview(source, running).await.unwrap().unwrap();
            shown.problems.iter().map(|problem| problem.code()).collect()
        };
        assert_eq!(codes(&third, &moving()).await, ["SEQUENCE_MIGRATION_OPEN"]);
        assert_eq!(publish(&third, &moving()).await.unwrap_err().code(), "SEQUENCE_MIGRATION_OPEN");
        assert!(codes(&changed(), &moving()).await.is_empty(), "it is the one that is asked for");
        assert!(codes(&third, &Running { policy: Policy::Stay, map: Vec::new() }).await.is_empty(), "nobody is moved");
        world.app.run(&world.system(), SequenceArchive { sequence: sequence.id }).await.unwrap();
        assert_eq!(preview(&third, &moving()).await.unwrap_err().code(), "SEQUENCE_NOT_ALLOWED");
        assert_eq!(newest(&world, "waits").await.0.latest_number, 2, "a preview publishes nothing");
    }

    async fn a_custom_field_that_is_read_must_be_defined_and_a_template_that_is_missing_hides_nothing(world: World) {
        let source = "key: reads
name: Reads
subject: contact
triggers:
  - {kind: date, field: contact.custom.last_tuch_on}
  - {kind: field, field: account.custom.size}
  - {kind: date, field: contact.custom.title}
goal: has(contact.custom.won_on)
steps:
  - {id: one, kind: send_email, template: nowhere}
  - {id: two, kind: send_email, template: {subject: 'For {{ account.custom.size }}', text: 'a {{ contact.custom.last_touch_on }}'}}
  - {id: done, kind: end}
";
        let define = async |entity, key: &str, kind| {
            let (key, label) = (key.to_owned(), key.to_owned());
            let command = CustomFieldDefine { entity, key, label, kind, choices: Vec::new(), required: false };
            world.app.run(&world.system(), command).await.unwrap();
        };
        define(Entity::Contact, "last_touch_on", Kind::Date).await;
        let problems = world.app.sequence_problems(&Actor::system(), source).await.unwrap();
        let said: Vec<(usize, &str)> =
            problems.iter().map(|problem| (problem.line.unwrap_or(0), problem.message.as_str())).collect();
        let contacts = "there is no custom field of contacts";
        let accounts = "there is no custom field of accounts `size`; define it first, or name another";
        assert_eq!(said[0], (5, format!("{contacts} `last_tuch_on`; did you mean `last_touch_on`?").as_str()));
        assert_eq!(said[1], (6, accounts));
        assert_eq!(said[2], (7, format!("{contacts} `title`; every record has `contact.title`: write it so").as_str()));
        assert_eq!(said[3].0, 8);
        assert!(said[4].0 == 10 && said[4].1.contains("nowhere"), "{said:?}");
        assert_eq!((said[5], said.len()), ((11, accounts), 6), "{said:?}");
        let actor = Actor::system();
        let shown = world.app.sequence_preview(&actor, source, &Running { policy: Policy::Stay, map: Vec::new() }).await;
        assert_eq!(shown.unwrap().unwrap_err(), problems);
        define(Entity::Contact, "won_on", Kind::Text).await;
        define(Entity::Account, "size", Kind::Number).await;
        let whole = source.replace("last_tuch_on", "last_touch_on").replace("contact.custom.title", "contact.custom.won_on");
        let whole = whole.replace("template: nowhere", "template: {subject: a, text: b}");
        assert_eq!(world.app.sequence_problems(&actor, &whole).await.unwrap(), []);
        world.app.run(&world.system(), SequencePublish { source: whole }).await.unwrap();
    }

    async fn every_name_that_is_not_there_is_told_at_once_with_its_place(world: World) {
        let draft = Draft {
            key: "room".to_owned(),
            name: "Room".to_owned(),
            provider: Provider::Slack,
            url: Some("https://chat.example.com/room".to_owned()),
            end_previous: false,
            secret: None,
            headers: None,
        };
        world.app.run(&world.system(), OutboundChannelSave { draft }).await.unwrap();
        let source = "key: names
name: Names
subject: contact
calendar: ofice
triggers:
  - {kind: list, list: nobody-keeps-it}
send_window: {from: '09:00', to: '17:00', calendar: ofice}
steps:
  - {id: tell, kind: notify, channel: rom, text: Hi}
  - {id: room, kind: notify, channel: room, text: Hi}
  - {id: ask, kind: call_webhook, channel: room, method: GET}
  - {id: also, kind: call_webhook, channel: crn, method: GET}
  - {id: one, kind: send_email, pool: outrech, template: {subject: a, text: b}}
  - {id: done, kind: end}
";
        let all = [
            ("SEQUENCE_CALENDAR_UNKNOWN", 4),
            ("SEQUENCE_REFERENCE_UNKNOWN", 6),
            ("SEQUENCE_CALENDAR_UNKNOWN", 7),
            ("CHANNEL_UNKNOWN", 9),
            ("CHANNEL_OTHER_KIND", 11),
            ("CHANNEL_UNKNOWN", 12),
            ("SEQUENCE_POOL_UNKNOWN", 13),
        ];
        let problems = world.app.sequence_problems(&Actor::system(), source).await.unwrap();
        assert_eq!(places(&problems), all, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.column > Some(2)), "{problems:#?}");
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths[..3], ["calendar", "triggers[0].list", "send_window.calendar"]);
        let publish = async |source: &str| world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await;
        let refused = publish(source).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_REFERENCE_UNKNOWN");
        for (_, line) in all {
            assert!(refused.to_string().contains(&format!("line {line}, column")), "{refused}");
        }
        // Where all of it is of one kind, the code is that of the kind.
        let channels = "key: names\nname: Names\nsubject: contact\nsteps:\n  - {id: tell, kind: notify, channel: rom, text: Hi}\n  - {id: \
                        also, kind: call_webhook, channel: crn, method: GET}\n  - {id: done, kind: end}\n";
        let refused = publish(channels).await.unwrap_err();
        assert_eq!(refused.code(), "CHANNEL_UNKNOWN");
        assert!(refused.to_string().contains("line 5") && refused.to_string().contains("line 6"), "{refused}");
        assert!(world.app.store.sequence_by_key("names").await.unwrap().is_none());
        // A proposal needs somebody in whose name it is.
        let (_, ops) = world.user("ops", Role::SalesOps, None).await;
        let propose = "key: names\nname: Names\nsubject: contact\nsteps:\n  - {id: put, kind: propose, list: x, tier: T1, reasons: \
                       [INTENT_SURGE], note: Asked}\n  - {id: done, kind: end}\n";
        let of = async |actor: &Actor| world.app.sequence_problems(actor, propose).await.unwrap().len();
        assert_eq!(of(&Actor::system()).await, of(&ops.actor).await + 1);
    }

    async fn who_looks_waits_for_nobody_who_writes(world: World) {
        template(&world, "First").await;
        publish(&world, &takes("takes", "old")).await;
        let contact = world.contact("sam@example.com").await.id;
        let held = world.hold("UPDATE contact SET row_version = row_version").await;
        let looked = async {
            let of = Previewed::Stored { key: "mail".to_owned(), number: None };
            let letter = world.app.email_template_preview(&of, contact, None).await.unwrap().unwrap();
            assert!(letter.text.starts_with("First."));
            let source = takes("takes", "new");
            let letter = world.app.sequence_email_preview(&source, "one", contact, None).await.unwrap().unwrap();
            assert_eq!(letter.subject, "Hello");
            world.app.sequence_preview(&Actor::system(), &source, &moving()).await.unwrap().unwrap();
        };
        tokio::time::timeout(Duration::from_secs(3), looked).await.unwrap();
        drop(held);
    }
}
