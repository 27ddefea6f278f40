//! Conditions, values and templates that read what people did and which lists their companies are on, on both databases.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tandem_app::target_list::{Change, Seen};
use tandem_app::{
    AccountUpsertMany, Actor, Call, ChangeRequestApprove, ChangeRequestPropose, Command, ContactUpsertMany,
    EnrollmentCreate, Env, InteractionRecord, SequencePublish, TargetListCreate, TaxonomyLibraryInstall,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{Contact, ContactPatch};
use tandem_domain::decision::{Decision, Fact};
use tandem_domain::id::{AccountId, ContactId, InteractionId};
use tandem_domain::interaction::{Automation, Draft, Interaction, InteractionKind};
use tandem_domain::sequence::enrollment::{Enrollment, EnrollmentState, ExitReason, FinishReason, WaitReason};
use tandem_domain::sequence::interactions::MOST_COUNTED;
use tandem_domain::sequence::{Sequence, hearing};
use tandem_domain::target_list::{ChangeKind, ChangeReason, Evidence};
use tandem_jobs::schedule::turn;
use tandem_store::conditions::counting;
use tandem_store::jobs::Now;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_store::{Page, Tx};
use tandem_testkit::{World, on_both_databases};
use uuid::Uuid;

async fn publish(world: &World, key: &str, rest: &str) -> Sequence {
    let source = format!("key: {key}\nname: Test\nsubject: contact\n{rest}");
    world.app.run(&world.system(), SequencePublish { source }).await.unwrap_or_else(|error| panic!("{error}")).0
}

/// A sequence that waits for a year, with more in its header.
async fn waits(world: &World, key: &str, header: &str) -> Sequence {
    let steps = "steps:\n  - {id: wait, kind: wait, duration: 365d}\n  - {id: done, kind: end}\n";
    publish(world, key, &format!("{header}{steps}")).await
}

async fn enrol(world: &World, sequence: &Sequence, contact: ContactId) -> Enrollment {
    let command = EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead: None, vars: Map::new() };
    let run = world.app.run(&world.system(), command).await.unwrap_or_else(|error| panic!("{error}")).0;
    world.run_due_jobs().await;
    now(world, &run).await
}

async fn now(world: &World, run: &Enrollment) -> Enrollment {
    world.app.store.find(run.id).await.unwrap().unwrap()
}

async fn runs(world: &World, sequence: &Sequence) -> Vec<Enrollment> {
    let filter = EnrollmentFilter { sequence: Some(sequence.id), ..Default::default() };
    world.app.store.enrollment_page(&filter, &Page::first(1_000)).await.unwrap().items
}

async fn did_at(world: &World, contact: ContactId, kind: InteractionKind, name: &str, at: Option<DateTime<Utc>>) {
    let draft =
        Draft { kind, name: name.to_owned(), occurred_at: at, seconds: None, url: None, properties: Map::new() };
    world.app.run(&world.system(), InteractionRecord { contact, draft, known_by: None }).await.unwrap();
    world.clock.advance(TimeDelta::seconds(1));
}

async fn did(world: &World, contact: ContactId, kind: InteractionKind, name: &str) {
    did_at(world, contact, kind, name, None).await;
}

/// Writes interactions past the commands, as many as it takes.
async fn many(world: &World, contact: ContactId, kind: InteractionKind, count: u32, automated: Option<Automation>) {
    let at = world.now();
    let one = |n: u32| Interaction {
        id: world.app.env.id::<InteractionId>(at),
        contact: Some(contact),
        account: None,
        visitor: None,
        source: None,
        kind,
        name: format!("{kind} {n}"),
        occurred_at: at - TimeDelta::seconds(i64::from(n)),
        recorded_at: at,
        automated,
        seconds: None,
        url: None,
        properties: Map::new(),
    };
    let all = (0..count).map(one).collect();
    world.app.run(&world.system(), Many(all)).await.unwrap();
}

/// Interactions of the past, as many as it takes, in one command.
#[derive(Debug, Clone, Serialize)]
struct Many(Vec<Interaction>);

impl Command for Many {
    const NAME: &'static str = "interactionRecord";
    type Output = Vec<Interaction>;

    async fn decide(&self, _: &Tx, _: &Call, _: &Env) -> tandem_app::Result<Decision<Vec<Interaction>>> {
        let fact = Fact::ledger("interaction.recorded", InteractionId(Uuid::nil()));
        Ok(Decision::new(self.0.clone(), fact))
    }
}

async fn company(world: &World, name: &str) -> AccountId {
    let rows = vec![AccountPatch { name: Some(name.to_owned()), ..AccountPatch::default() }];
    let made = world.app.run(&world.system(), AccountUpsertMany { rows }).await.unwrap();
    made.rows[0].id().unwrap().into()
}

async fn colleague(world: &World, account: AccountId, email: &str) -> Contact {
    let patch: ContactPatch = serde_json::from_value(json!({
        "email": email, "account": account, "consent": {"state": "GRANTED", "source": "form"},
    }))
    .unwrap();
    let command = ContactUpsertMany { rows: vec![patch.into()], default_region: None };
    let made = world.app.run(&world.system(), command).await.unwrap();
    world.app.store.find(ContactId::from(made.rows[0].id().unwrap())).await.unwrap().unwrap()
}

fn kinds(of: &[InteractionKind]) -> BTreeSet<InteractionKind> {
    of.iter().copied().collect()
}

on_both_databases! {
    async fn what_is_counted_is_what_people_did_and_no_machine_within_each_window(world: World) {
        use InteractionKind::{EmailOpen, Form, Page};
        let sam = world.contact("sam@example.com").await.id;
        let other = world.contact("kim@example.com").await.id;
        for (days, name) in [(100, "Quarter"), (40, "Month"), (10, "Week"), (2, "Newest")] {
            did_at(&world, sam, Form, name, Some(world.now() - TimeDelta::days(days))).await;
        }
        did(&world, sam, Page, "Pricing").await;
        did(&world, other, Form, "Of another").await;
        many(&world, sam, EmailOpen, 3, Some(Automation::LinkScanner)).await;
        many(&world, sam, EmailOpen, 1, None).await;
        let found = world.app.store.tallies(&[sam, other], &kinds(&[EmailOpen, Form]), world.now()).await.unwrap();
        let [forms] = found[&sam].iter().filter(|tally| tally.kind == Form).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((forms.count, forms.within), (4, [1, 2, 3]));
        assert_eq!(forms.last_name.as_deref(), Some("Newest"));
        assert!(forms.last_at.is_some_and(|at| world.now() - at < TimeDelta::days(3)));
        let [opens] = found[&sam].iter().filter(|tally| tally.kind == EmailOpen).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!((opens.count, opens.within), (1, [1, 1, 1]));
        assert!(found[&sam].iter().all(|tally| tally.kind != Page), "nobody asked for it");
        assert!(found[&other].iter().any(|tally| tally.kind == Form && tally.count == 1));
        // The window moves with the moment that is asked about.
        let later = world.now() + TimeDelta::days(25);
        let found = world.app.store.tallies(&[sam], &kinds(&[Form]), later).await.unwrap();
        assert_eq!(found[&sam][0].within, [0, 1, 3]);
    }

    async fn who_did_ever_so_much_is_counted_up_to_a_limit_from_an_index(world: World) {
        use InteractionKind::Page;
        let sam = world.contact("sam@example.com").await.id;
        many(&world, sam, Page, MOST_COUNTED + 500, None).await;
        many(&world, sam, Page, 300, Some(Automation::Bot)).await;
        for other in ["ann@example.com", "ben@example.com", "cem@example.com"] {
            let other = world.contact(other).await.id;
            many(&world, other, Page, 4_000, None).await;
        }
        let found = world.app.store.tallies(&[sam], &kinds(&[Page]), world.now()).await.unwrap();
        assert_eq!((found[&sam][0].count, found[&sam][0].within[0]), (MOST_COUNTED, MOST_COUNTED));
        assert_eq!(found[&sam][0].last_name.as_deref(), Some("PAGE 0"));
        let plan = plan_of_counting(&world, sam).await;
        assert!(plan.contains("interaction_contact_id_kind_occurred_at_id"), "{plan}");
        assert!(!plan.contains("SCAN d") && !plan.contains("Seq Scan on interaction"), "{plan}");
    }

    async fn a_branch_a_value_a_template_and_a_body_read_what_the_person_did(world: World) {
        use InteractionKind::{Download, Form};
        let keen = world.contact("keen@example.com").await.id;
        let cool = world.contact("cool@example.com").await.id;
        did(&world, keen, Form, "Pricing").await;
        did(&world, keen, Form, "Demo").await;
        did(&world, keen, Download, "Guide").await;
        let other = waits(&world, "other", "").await;
        let sequence = publish(
            &world,
            "reads",
            "entry: interactions.any.count_90d < 100\nsteps:\n\
             \x20 - {id: keen, kind: branch, when: \"interactions.form.count_30d >= 2 && interactions.meeting.last_at == null\", then: call, else: done}\n\
             \x20 - {id: call, kind: create_task, title: \"Call about {{ interactions.form.last_name }}\", due_in: 1d}\n\
             \x20 - {id: ask, kind: start_sequence, sequence: other, vars: {did: string(interactions.any.count)}}\n\
             \x20 - {id: done, kind: end}\n",
        )
        .await;
        for contact in [keen, cool] {
            let run = enrol(&world, &sequence, contact).await;
            assert_eq!(run.state, EnrollmentState::Finished(FinishReason::Completed), "{:?}", run.failure);
        }
        let started = runs(&world, &other).await;
        assert_eq!(started.iter().map(|run| (run.contact, &run.vars["did"])).collect::<Vec<_>>(), [(keen, &json!("3"))]);
        let items = world.app.store.work_item_page(&WorkItemFilter::default(), &Page::first(10)).await.unwrap().items;
        let titles: Vec<&str> = items.iter().map(|item| item.title.as_str()).collect();
        assert_eq!(titles, ["Call about Demo"]);
    }

    async fn a_goal_and_an_exit_on_interactions_are_noticed_when_the_event_comes(world: World) {
        use InteractionKind::{Download, Form, Page};
        let sam = world.contact("sam@example.com").await.id;
        let kim = world.contact("kim@example.com").await.id;
        let header = "goal: interactions.form.count >= 2\nexit: interactions.download.count_7d > 0\n";
        let sequence = waits(&world, "goal", header).await;
        let (of_sam, of_kim) = (enrol(&world, &sequence, sam).await, enrol(&world, &sequence, kim).await);
        did(&world, sam, Form, "Pricing").await;
        did(&world, sam, Page, "Home").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &of_sam).await.state, EnrollmentState::Waiting(WaitReason::Time));
        did(&world, sam, Form, "Demo").await;
        did(&world, kim, Download, "Guide").await;
        world.run_due_jobs().await;
        assert_eq!(now(&world, &of_sam).await.state, EnrollmentState::Finished(FinishReason::Goal));
        assert_eq!(now(&world, &of_kim).await.state, EnrollmentState::Exited(ExitReason::Rule));
        assert_eq!(world.job_kinds().await, ["advance_enrollment"; 2], "the timers of their waits, which find them over");
        world.pass(TimeDelta::days(366)).await;
        let ended = world.ledger_kinds().await.iter().filter(|kind| *kind == "enrollment.ended").count();
        assert_eq!((ended, world.job_kinds().await), (2, Vec::<String>::new()), "nothing is left to do");
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn a_wait_for_a_condition_on_interactions_ends_when_the_event_comes(world: World) {
        let sam = world.contact("sam@example.com").await.id;
        let steps = "steps:\n  - {id: reads, kind: wait_for, condition: interactions.reading.count >= 2, timeout: 90d, on_timeout: late}\n\
                     \x20 - {id: good, kind: end, outcome: goal}\n  - {id: late, kind: end}\n";
        let run = enrol(&world, &publish(&world, "reader", steps).await, sam).await;
        for state in [EnrollmentState::Waiting(WaitReason::Event), EnrollmentState::Finished(FinishReason::Goal)] {
            did(&world, sam, InteractionKind::Reading, "Guide").await;
            world.run_due_jobs().await;
            assert_eq!(now(&world, &run).await.state, state);
        }
    }

    async fn a_segment_is_entered_by_what_people_do_and_left_as_time_goes_by(world: World) {
        use InteractionKind::Page;
        let sam = world.contact("sam@example.com").await.id;
        let steps = "reentry: {after: 1h}\nsteps:\n  - {id: done, kind: end}\n";
        let line = "triggers:\n  - {kind: segment, when: interactions.page.count_7d >= 2, vars: {page: interactions.page.last_name}}\n";
        let sequence = publish(&world, "busy", &format!("{line}{steps}")).await;
        did(&world, sam, Page, "Home").await;
        world.run_due_jobs().await;
        assert!(runs(&world, &sequence).await.is_empty());
        did(&world, sam, Page, "Pricing").await;
        world.run_due_jobs().await;
        let [run] = runs(&world, &sequence).await.try_into().unwrap();
        assert_eq!((run.contact, &run.vars["page"]), (sam, &json!("Pricing")));
        did(&world, sam, Page, "Terms").await;
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &sequence).await.len(), 1, "inside is no news");
        // After a week of silence the hourly look finds the person outside; then the segment is entered anew.
        world.clock.advance(TimeDelta::days(8));
        assert_eq!(world.app.store.turn_schedules(Now::At(world.now()), turn).await.unwrap(), 1);
        world.run_due_jobs().await;
        for page in ["Home", "Pricing"] {
            did(&world, sam, Page, page).await;
        }
        world.run_due_jobs().await;
        assert_eq!(runs(&world, &sequence).await.len(), 2);
    }

    async fn the_lists_of_the_company_are_read_and_a_goal_on_them_is_noticed(world: World) {
        let (_, marketer) = world.user("marketer", Role::Marketing, Some(Side::Marketing)).await;
        let (_, seller) = world.user("seller", Role::Sales, Some(Side::Sales)).await;
        world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
        let (key, name) = ("key-accounts".to_owned(), "Key accounts".to_owned());
        let list = TargetListCreate { key, name, description: String::new(), request_days: None, suspension_hours: None };
        let list = world.app.run(&marketer, list).await.unwrap().id;
        let account = company(&world, "Example").await;
        let sam = colleague(&world, account, "sam@example.com").await.id;
        let alone = world.contact("alone@example.com").await.id;
        let goal = waits(&world, "goal", "goal: \"'key-accounts' in lists\"\n").await;
        let segment = "triggers:\n  - {kind: segment, when: \"'key-accounts' in lists\"}\n";
        let segment = waits(&world, "listed", segment).await;
        let (of_sam, of_alone) = (enrol(&world, &goal, sam).await, enrol(&world, &goal, alone).await);
        let evidence = vec![Evidence { note: "grew".into(), url: None }];
        let (kind, tier) = (ChangeKind::Add, Some("T1".to_owned()));
        let add = Change { account, kind, tier, reasons: vec![ChangeReason::IcpFit], evidence };
        let proposed = world.app.run(&marketer, ChangeRequestPropose { list, changes: vec![add] }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(now(&world, &of_sam).await.state, EnrollmentState::Waiting(WaitReason::Time), "one key is none");
        assert!(world.app.store.list_keys_of(&[account]).await.unwrap().is_empty());
        let seen = proposed.requests.iter().map(|request| Seen { request: request.id, revision: request.revision });
        world.app.run(&seller, ChangeRequestApprove { requests: seen.collect() }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(world.app.store.list_keys_of(&[account]).await.unwrap()[&account], ["key-accounts"]);
        assert_eq!(now(&world, &of_sam).await.state, EnrollmentState::Finished(FinishReason::Goal));
        assert_eq!(now(&world, &of_alone).await.state, EnrollmentState::Waiting(WaitReason::Time));
        assert_eq!(runs(&world, &segment).await.iter().map(|run| run.contact).collect::<Vec<_>>(), [sam]);
    }

    async fn a_list_that_is_looked_for_must_be_there_wherever_it_is(world: World) {
        let (_, marketer) = world.user("marketer", Role::Marketing, Some(Side::Marketing)).await;
        let (key, name) = ("key-accounts".to_owned(), "Key accounts".to_owned());
        let list = TargetListCreate { key, name, description: String::new(), request_days: None, suspension_hours: None };
        world.app.run(&marketer, list).await.unwrap();
        let source = "key: t\nname: T\nsubject: contact\ngoal: \"'key-acounts' in lists\"\n\
                      triggers:\n  - {kind: segment, when: \"!('vips' in lists)\"}\nsteps:\n\
                      \x20 - {id: a, kind: check_goal, when: \"'key-accounts' in lists || lists.exists(l, l == contact.name)\"}\n\
                      \x20 - {id: b, kind: create_task, due_in: 1d, title: \"Call 'x' in lists {% if 'nobody' not in lists %}now{% endif %}\"}\n\
                      \x20 - {id: done, kind: end}\n";
        let problems = world.app.sequence_problems(&Actor::system(), source).await.unwrap();
        let said: Vec<(Option<usize>, &str, &str)> =
            problems.iter().map(|problem| (problem.line, problem.path.as_str(), problem.message.as_str())).collect();
        assert_eq!(said, [
            (Some(4), "goal", "there is no target list `key-acounts`; did you mean `key-accounts`?"),
            (Some(6), "triggers[0].when", "there is no target list `vips`; make it first, or name another"),
            (Some(9), "steps[1].title", "there is no target list `nobody`; make it first, or name another"),
        ]);
        let refused = world.app.run(&world.system(), SequencePublish { source: source.to_owned() }).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_REFERENCE_UNKNOWN");
        let there = ["key-acounts", "vips", "nobody"].iter().fold(source.to_owned(), |text, key| text.replace(key, "key-accounts"));
        world.app.run(&world.system(), SequencePublish { source: there }).await.unwrap();
    }

    async fn a_preview_fills_in_what_the_person_did(world: World) {
        let sam = world.contact("sam@example.com").await.id;
        did(&world, sam, InteractionKind::Download, "The guide").await;
        let source = "key: t\nname: T\nsubject: contact\nsteps:\n  - id: hello\n    kind: send_email\n    template:\n\
                      \x20     subject: \"About {{ interactions.download.last_name }}\"\n\
                      \x20     text: \"{{ interactions.any.count }} so far\"\n  - {id: done, kind: end}\n";
        let letter = world.app.sequence_email_preview(source, "hello", sam, None).await.unwrap().unwrap();
        assert_eq!((letter.subject.as_str(), letter.text.as_str()), ("About The guide", "1 so far"));
    }

    async fn who_reads_no_interactions_hears_of_none_and_asks_for_none(world: World) {
        let sam = world.contact("sam@example.com").await.id;
        let plain = waits(&world, "plain", "goal: contact.title == 'Head'\n").await;
        let run = enrol(&world, &plain, sam).await;
        let hears = hearing::DEEDS | hearing::LISTS;
        let of = tandem_store::trigger::RunOf::Contact;
        let hearing = world.app.store.hearing_runs(of, &[sam.into()], hears, None, 10).await.unwrap();
        assert!(hearing.is_empty());
        // Were they looked for, this would fail.
        world.tamper("ALTER TABLE interaction RENAME TO gone").await.unwrap();
        world.pass(TimeDelta::days(366)).await;
        assert_eq!(now(&world, &run).await.state, EnrollmentState::Finished(FinishReason::Completed));
    }
}

/// How the database goes about the count of one person's pages.
async fn plan_of_counting(world: &World, contact: ContactId) -> String {
    let connection = Database::connect(&world.url).await.unwrap();
    let backend = connection.get_database_backend();
    let postgres = backend == DbBackend::Postgres;
    connection.execute_unprepared("ANALYZE").await.unwrap();
    let sql = counting(postgres, &kinds(&[InteractionKind::Page]), 1);
    let explain = if postgres { "EXPLAIN" } else { "EXPLAIN QUERY PLAN" };
    let since = world.now().timestamp_millis();
    let values: Vec<sea_orm::Value> = vec![since.into(), since.into(), since.into(), Uuid::from(contact).into()];
    let statement = Statement::from_sql_and_values(backend, format!("{explain} {sql}"), values);
    let rows = connection.query_all_raw(statement).await.unwrap();
    connection.close().await.unwrap();
    let column = if postgres { "QUERY PLAN" } else { "detail" };
    rows.iter().map(|row| row.try_get::<String>("", column).unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn names_that_do_not_exist_are_errors_with_their_place_and_what_was_likely_meant() {
    let source = "key: t\nname: T\nsubject: contact\ngoal: interactions.from.count > 2\n\
                  exit: interactions.form.count_31d > 2\nsteps:\n\
                  \x20 - {id: a, kind: check_goal, when: interactions.form.count > '2'}\n\
                  \x20 - {id: b, kind: check_goal, when: interaction.form.count > 2}\n\
                  \x20 - {id: c, kind: check_goal, when: lists == 'key-accounts'}\n\
                  \x20 - {id: d, kind: create_task, due_in: 1d, title: \"Call {{ interactions.form.last_nam }}\"}\n\
                  \x20 - {id: done, kind: end}\n";
    let problems = tandem_domain::sequence::validate::read(source).unwrap_err();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for (line, part) in [
        ("line 4, column 20", "`interactions` has no `from`; did you mean `form`?"),
        ("line 5, column 25", "`interactions.form` has no `count_31d`; did you mean `count_30d`?"),
        ("line 7, column 37", "have no order; write 2 without quotes"),
        ("line 8, column 37", "there is no variable `interaction`; did you mean `interactions`?"),
        ("line 9, column 37", "write `'key-accounts' in lists`"),
        ("line 10, column 78", "`interactions.form` has no `last_nam`; did you mean `last_name`?"),
    ] {
        assert!(said.iter().any(|said| said.starts_with(line) && said.contains(part)), "{line} {part}: {said:#?}");
    }
}

#[test]
fn a_simulation_is_told_what_the_person_did() {
    let source = "key: t\nname: T\nsubject: contact\nsteps:\n\
                  \x20 - {id: keen, kind: branch, when: \"interactions.form.count_30d > 1 && 'vip' in lists\", then: call, else: done}\n\
                  \x20 - {id: call, kind: create_task, title: \"{{ interactions.form.last_name }}\", due_in: 1d}\n\
                  \x20 - {id: done, kind: end}\n";
    let start = "2026-03-02T09:00:00Z".parse().unwrap();
    let library = tandem_domain::email_template::Library::closed();
    let lines = |data: Option<Value>| -> Vec<String> {
        let lines = tandem_app::sequence::sequence_simulate(
            source,
            &library,
            data.as_ref(),
            chrono_tz::UTC,
            start,
            &Default::default(),
        );
        lines.unwrap().unwrap().into_iter().map(|line| line.what).collect()
    };
    assert_eq!(lines(None), ["end: FINISHED(COMPLETED)"]);
    let data = json!({"lists": ["vip"], "interactions": {"form": {"count_30d": 2, "last_name": "Demo"}}});
    assert!(lines(Some(data))[0].starts_with("create task \"Demo\""));
}
