//! The steps that stay inside Tandem, through the commands and the jobs, on both databases: each happens once, is on the
//! record, and what stands in its way is too.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tandem_app::custom_fields::CustomFieldDefine;
use tandem_app::{
    AccountCreate, Actor, AppError, Call, ContactCreate, EnrollmentAdvance, EnrollmentCreate, EnrollmentExit,
    EnrollmentPause, EnrollmentResume, LeadClose, LeadQualify, LeadReceive, SequenceDraft, SequencePublish,
    TargetListCreate, TaskCancel, TaskComplete, TaxonomyLibraryInstall, TeamCreate, WorkItemClaim,
};
use tandem_domain::access::{Role, Side};
use tandem_domain::account::Account;
use tandem_domain::contact::{ConsentState, Contact, ContactPatch};
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId};
use tandem_domain::lead::{Lead, Owner, Stage};
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::Sequence;
use tandem_domain::sequence::enrollment::{
    Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, TaskEnd, WaitReason,
};
use tandem_domain::target_list::{ChangeRequest, RequestState};
use tandem_domain::work_item::{ItemKind, ItemState, TaskChannel, TaskOutcome, WorkItem};
use tandem_store::Page;
use tandem_store::sequence::EnrollmentFilter;
use tandem_store::target_list::RequestFilter;
use tandem_store::work_item::WorkItemFilter;
use tandem_testkit::{World, on_both_databases};

async fn publish_as(world: &World, call: &Call, source: &str) -> Result<Sequence, AppError> {
    let published = world.app.run(call, SequencePublish { source: source.to_owned() }).await;
    published.map(|(sequence, _)| sequence)
}

async fn publish(world: &World, source: &str) -> Sequence {
    publish_as(world, &world.system(), source).await.unwrap_or_else(|refused| panic!("{refused}\n{source}"))
}

/// A sequence for contacts with these steps, and an end.
fn steps(key: &str, steps: &str) -> String {
    let lines: String = steps.lines().map(|line| format!("  {}\n", line.trim_start())).collect();
    format!("key: {key}\nname: Steps\nsubject: contact\nsteps:\n{lines}  - {{id: done, kind: end}}\n")
}

async fn field(world: &World, entity: Entity, key: &str) {
    let (key, label) = (key.to_owned(), key.to_owned());
    let command = CustomFieldDefine { entity, key, label, kind: Kind::Text, choices: Vec::new(), required: false };
    world.app.run(&world.system(), command).await.unwrap();
}

/// A person at a company, who agreed to be written to.
async fn colleague(world: &World, name: &str) -> (Contact, Account) {
    let account =
        serde_json::from_value(json!({"name": format!("{name} Ltd"), "domains": [format!("{name}.example")]}));
    let account = world.app.run(&world.system(), AccountCreate { account: account.unwrap() }).await.unwrap().record;
    let contact: ContactPatch = serde_json::from_value(json!({
        "name": format!("{name} Sample"), "email": format!("person@{name}.example"), "account": account.id,
        "consent": {"state": "GRANTED", "source": "form"},
    }))
    .unwrap();
    let command = ContactCreate { contact, default_region: None };
    (world.app.run(&world.system(), command).await.unwrap().record, account)
}

async fn lead_of(world: &World, contact: &Contact) -> Lead {
    let command = LeadReceive {
        contact: contact.id,
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

fn of(sequence: &Sequence, contact: ContactId, lead: Option<LeadId>) -> EnrollmentCreate {
    EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead, vars: Map::new() }
}

async fn enroll(world: &World, sequence: &Sequence, contact: &Contact, lead: Option<LeadId>) -> Enrollment {
    world.app.run(&world.system(), of(sequence, contact.id, lead)).await.unwrap().0
}

async fn run(world: &World, id: EnrollmentId) -> Enrollment {
    world.app.store.find(id).await.unwrap().unwrap()
}

async fn contact(world: &World, id: ContactId) -> Contact {
    world.app.store.find(id).await.unwrap().unwrap()
}

async fn lead(world: &World, id: LeadId) -> Lead {
    world.app.store.find(id).await.unwrap().unwrap()
}

async fn items(world: &World, kind: ItemKind) -> Vec<WorkItem> {
    let filter = WorkItemFilter { kind: Some(kind), ..Default::default() };
    world.app.store.work_item_page(&filter, &Page::first(50)).await.unwrap().items
}

async fn runs(world: &World, sequence: SequenceId) -> Vec<Enrollment> {
    let filter = EnrollmentFilter { sequence: Some(sequence), ..Default::default() };
    world.app.store.enrollment_page(&filter, &Page::first(50)).await.unwrap().items
}

async fn entries(world: &World, kind: &str) -> Vec<Entry> {
    world.ledger().await.into_iter().map(|link| link.entry).filter(|entry| entry.kind == kind).collect()
}

/// What the record of a run says came of its effects, in their order.
async fn came_of(world: &World, id: EnrollmentId) -> Vec<Value> {
    let advanced = entries(world, "enrollment.advanced").await.into_iter();
    let own = advanced.filter(|entry| entry.subject_id == id.0);
    own.filter_map(|entry| entry.detail.get("came_of").cloned()).collect()
}

/// Everything that later tests of one world need: fields, a team, a list with tiers, another sequence.
async fn furnish(world: &World) -> Call {
    for entity in [Entity::Contact, Entity::Lead, Entity::Account] {
        field(world, entity, "round").await;
    }
    world.app.run(&world.system(), TaxonomyLibraryInstall).await.unwrap();
    let team = TeamCreate { name: "Inbound".to_owned(), side: Side::Marketing };
    world.app.run(&world.system(), team).await.unwrap();
    let (key, name, description) = ("tier-one".to_owned(), "Tier one".to_owned(), String::new());
    let list = TargetListCreate { key, name, description, request_days: None, suspension_hours: None };
    world.app.run(&world.system(), list).await.unwrap();
    publish(world, &steps("other", "- {id: pause, kind: wait, duration: 30d}")).await;
    world.user("olga", Role::SalesOps, None).await.1
}

const WAITING: &str = "
- {id: call, kind: create_task, title: 'Call {{ contact.name }}', due_in: 2d, channel: call, team: Inbound, notes: 'At {{ account.name }}', wait: true, timeout: 5d, on: {no_answer: letter, interested: hot, cancelled: called_off, timed_out: late}}
- {id: usual, kind: tag, add: [usual], next: done}
- {id: letter, kind: tag, add: ['{LAST}-letter'], next: done}
- {id: hot, kind: branch, when: \"enrollment.last_task_outcome == 'INTERESTED'\", then: warm, else: done}
- {id: warm, kind: tag, add: [warm], next: done}
- {id: called_off, kind: tag, add: [called-off], next: done}
- {id: late, kind: branch, when: \"enrollment.last_task_outcome == 'TIMED_OUT'\", then: slow, else: done}
- {id: slow, kind: tag, add: [slow], next: done}";

/// A run that waits for its task.
async fn waiting(world: &World) -> (Enrollment, WorkItem, Call) {
    let team = TeamCreate { name: "Inbound".to_owned(), side: Side::Marketing };
    let team = world.app.run(&world.system(), team).await.unwrap();
    let sequence = publish(world, &steps("calls", &WAITING.replace("{LAST}", "a"))).await;
    let (person, account) = colleague(world, "acme").await;
    let enrollment = enroll(world, &sequence, &person, None).await;
    world.run_due_jobs().await;
    let [task] = items(world, ItemKind::Task).await.try_into().unwrap();
    assert_eq!((task.title.as_str(), task.notes.as_deref()), ("Call acme Sample", Some("At acme Ltd")));
    assert_eq!((task.channel, task.team, task.account), (Some(TaskChannel::Call), Some(team.id), Some(account.id)));
    assert_eq!((task.enrollment, task.visit), (Some(enrollment.id), Some(0)));
    let waiting = run(world, enrollment.id).await;
    assert_eq!(waiting.state, EnrollmentState::Waiting(WaitReason::Task));
    assert_eq!(waiting.due_at, Some(world.now() + TimeDelta::days(5)));
    assert!(waiting.keeps_the_law());
    let sdr = world.user("sina", Role::Sdr, None).await.1;
    (waiting, task, sdr)
}

async fn claim(world: &World, call: &Call, task: &WorkItem) -> u64 {
    world.app.run(call, WorkItemClaim { item: task.id }).await.unwrap().0.fence
}

async fn complete(
    world: &World,
    call: &Call,
    task: &WorkItem,
    token: u64,
    outcome: Option<TaskOutcome>,
) -> Option<Enrollment> {
    let done = TaskComplete { item: task.id, token, outcome, note: None };
    world.app.run(call, done).await.unwrap().1
}

async fn tags(world: &World, contact: ContactId) -> Vec<String> {
    self::contact(world, contact).await.tags.into_iter().collect()
}

/// A step of every kind that has an effect inside Tandem, and the fact of which there must be one.
const KINDS: [(&str, &str, &str); 9] = [
    ("tag", "of: contact, add: [once]", "contact.changed"),
    ("set_field", "field: account.round, value: second", "account.changed"),
    ("consent", "state: granted, source: 'double opt-in'", "contact.consent_set"),
    ("propose", "list: tier-one, tier: T1, reasons: [INTENT_SURGE]", "list.change_proposed"),
    ("hand_to_sdr", "team: Inbound, priority: 80", "lead.qualified"),
    ("start_sequence", "sequence: other", "enrollment.started"),
    ("stop_sequence", "sequence: other", "enrollment.ended"),
    ("create_task", "title: Call, due_in: 1d, wait: true", "work_item.queued"),
    ("create_task", "title: Write, due_in: 1d", "work_item.queued"),
];

on_both_databases! {
    async fn every_kind_of_step_that_is_repeated_happens_once(world: World) {
        let call = furnish(&world).await;
        for (at, (kind, settings, fact)) in KINDS.into_iter().enumerate() {
            let source = steps(&format!("once_{at}"), &format!("- {{id: step, kind: {kind}, {settings}}}"));
            let sequence = publish_as(&world, &call, &source).await.unwrap();
            let (person, _) = colleague(&world, &format!("once{at}")).await;
            if kind == "stop_sequence" {
                let other = world.app.store.sequence_by_key("other").await.unwrap().unwrap();
                enroll(&world, &other, &person, None).await;
            }
            let enrollment = enroll(&world, &sequence, &person, None).await;
            let before = entries(&world, fact).await.len();
            let step = EnrollmentAdvance { enrollment: enrollment.id, visit: 0 };
            // Undone before its commit: nothing is left of it, and the next try does it.
            let mut batch = world.app.batch().await.unwrap();
            batch.run(&world.system(), &step).await.unwrap();
            batch.undo().await.unwrap();
            assert_eq!(entries(&world, fact).await.len(), before, "{kind}: undone");
            assert_eq!(run(&world, enrollment.id).await.visit, 0, "{kind}");
            let racers = (0..4).map(|_| {
                let (app, call, step) = (world.app.clone(), world.system(), step.clone());
                tokio::spawn(async move { app.run(&call, step).await })
            });
            let mut done = 0;
            for racer in racers.collect::<Vec<_>>() {
                match racer.await.unwrap() {
                    Ok(_) => done += 1,
                    Err(error) => assert_eq!(error.code(), "ENROLLMENT_STALE", "{kind}"),
                }
            }
            assert_eq!(done, 1, "{kind}");
            // The job that was planned for the same visit finds nothing to do.
            world.run_due_jobs().await;
            let expected = if fact == "enrollment.ended" { 2 } else { 1 };
            let found = entries(&world, fact).await.len() - before;
            assert_eq!(found, expected, "{kind}: {fact}");
        }
        assert_eq!(world.app.store.verify_ledger().await.unwrap().broken, None);
    }

    async fn tags_are_those_of_the_contact_the_lead_or_the_account(world: World) {
        let sequence = publish(&world, &steps("tags", "
            - {id: one, kind: tag, add: [VIP, 'Key Person'], remove: [old]}
            - {id: two, kind: tag, of: lead, add: [hot]}
            - {id: three, kind: tag, of: account, add: [abm]}
            - {id: again, kind: tag, of: account, add: [abm], remove: [gone]}".trim_start())).await;
        let (person, account) = colleague(&world, "acme").await;
        let tagged = tandem_app::ContactTag { id: person.id, add: vec!["old".to_owned()], remove: Vec::new() };
        world.app.run(&world.system(), tagged).await.unwrap();
        let lead_id = lead_of(&world, &person).await.id;
        let enrollment = enroll(&world, &sequence, &person, Some(lead_id)).await;
        world.run_due_jobs().await;
        assert_eq!(tags(&world, person.id).await, ["key-person", "vip"]);
        assert!(lead(&world, lead_id).await.tags.contains("hot"));
        let account: Account = world.app.store.find(account.id).await.unwrap().unwrap();
        assert_eq!(account.tags.into_iter().collect::<Vec<_>>(), ["abm"]);
        assert_eq!(came_of(&world, enrollment.id).await, [json!({"unchanged": true})]);
        assert_eq!(entries(&world, "lead.changed").await[0].detail["fields"], json!(["tags"]));
        assert_eq!(run(&world, enrollment.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        // Somebody whose company is not known goes on, and the record says why nothing was changed.
        let nobody = world.contact("nobody@example.com").await;
        let lead_id = lead_of(&world, &nobody).await.id;
        let other = enroll(&world, &sequence, &nobody, Some(lead_id)).await;
        world.run_due_jobs().await;
        let refused: Vec<Value> = came_of(&world, other.id).await.iter().map(|came| came["refused"].clone()).collect();
        assert_eq!(refused, ["ENROLLMENT_ACCOUNT_MISSING"; 2]);
        assert_eq!(run(&world, other.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        // One without a lead cannot take a step that changes it.
        let (kim, _) = colleague(&world, "kim").await;
        let third = enroll(&world, &sequence, &kim, None).await;
        world.run_due_jobs().await;
        let third = run(&world, third.id).await;
        assert_eq!((third.state, third.failure.unwrap().code.as_str()), (EnrollmentState::Failed, "ENROLLMENT_LEAD_MISSING"));
    }

    async fn fields_of_the_account_and_the_priority_of_the_lead_are_set(world: World) {
        field(&world, Entity::Account, "round").await;
        let sequence = publish(&world, &steps("fields", "
            - {id: one, kind: set_field, field: account.round, value: 'of {{ contact.name }}'}
            - {id: two, kind: set_field, field: lead.priority, expression: 'lead.priority + 25'}".trim_start())).await;
        let (person, account) = colleague(&world, "acme").await;
        let received = lead_of(&world, &person).await;
        world.app.run(&world.system(), LeadQualify { lead: received.id, grade: None, priority: None }).await.unwrap();
        enroll(&world, &sequence, &person, Some(received.id)).await;
        world.run_due_jobs().await;
        let account: Account = world.app.store.find(account.id).await.unwrap().unwrap();
        assert_eq!(account.custom.get("round"), Some(&json!("of acme Sample")));
        assert_eq!(lead(&world, received.id).await.priority, 75);
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        assert_eq!(item.priority, 75, "the item takes its new place in the queue");
        let far = "- {id: one, kind: set_field, field: lead.priority, expression: 'lead.priority * 2'}";
        let sequence = publish(&world, &steps("too_far", far)).await;
        let enrollment = enroll(&world, &sequence, &person, Some(received.id)).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, enrollment.id).await.failure.unwrap().code, "LEAD_PRIORITY_OUT_OF_RANGE");
        assert_eq!(lead(&world, received.id).await.priority, 75);
    }

    async fn a_consent_is_recorded_with_its_source_and_ends_the_run_when_it_is_withdrawn(world: World) {
        let yes = "- {id: opted_in, kind: consent, state: granted, source: 'opt-in of {{ contact.email }}'}";
        let sequence = publish(&world, &steps("opt_in", yes)).await;
        let (person, _) = colleague(&world, "acme").await;
        enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let consent = contact(&world, person.id).await.consent;
        assert_eq!((consent.state, consent.at), (ConsentState::Granted, world.now()));
        assert_eq!(consent.source.as_deref(), Some("opt-in of person@acme.example"));
        let no = "- {id: opted_out, kind: consent, state: withdrawn, source: form}\n- {id: never, kind: tag, add: [never]}";
        let sequence = publish(&world, &steps("opt_out", no)).await;
        let enrollment = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(contact(&world, person.id).await.consent.state, ConsentState::Withdrawn);
        assert_eq!(run(&world, enrollment.id).await.state, EnrollmentState::OptedOut);
        assert!(tags(&world, person.id).await.is_empty(), "nothing after it");
    }

    async fn an_account_is_proposed_in_the_name_of_who_published_and_no_key_is_turned(world: World) {
        furnish(&world).await;
        // On a side, whose key it could turn by hand.
        let (pia, _) = world.user("pia", Role::SalesManager, Some(Side::Sales)).await;
        let ops = world.system().by(Actor::user(pia.id, Role::SalesOps, Some(Side::Sales)));
        let step = "- {id: put, kind: propose, list: tier-one, tier: T1, reasons: [INTENT_SURGE, ICP_FIT], note: 'Asked by {{ contact.name }}'}";
        let sequence = publish_as(&world, &ops, &steps("surge", step)).await.unwrap();
        let (person, account) = colleague(&world, "acme").await;
        let first = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let list = world.app.store.list_by_key("tier-one").await.unwrap().unwrap();
        let filter = RequestFilter { list: Some(list.id), ..Default::default() };
        let found = || async { world.app.store.change_request_page(&filter, &Page::first(9)).await.unwrap().items };
        let [request]: [ChangeRequest; 1] = found().await.try_into().unwrap();
        assert_eq!((request.account, request.proposer, request.side), (account.id, pia.id, None));
        assert_eq!((request.state, request.approvals.none()), (RequestState::Proposed, true), "two people agree on a list");
        assert_eq!(request.evidence[0].note, "Asked by acme Sample");
        assert_eq!(came_of(&world, first.id).await, [json!({"requests": [request.id]})]);
        let [proposed] = entries(&world, "list.change_proposed").await.try_into().unwrap();
        assert_eq!(proposed.detail["enrollment"], json!(first.id));
        assert!(world.job_kinds().await.contains(&"expire_change_request".to_owned()));
        // Proposed already: the run goes on.
        let second = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, second.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        let [came] = came_of(&world, second.id).await.try_into().unwrap();
        assert_eq!(came["refused"], "LIST_REQUEST_OPEN", "{came}");
        assert_eq!(found().await.len(), 1);
    }

    async fn what_a_definition_names_must_be_there_when_it_is_published(world: World) {
        let source = "\
key: names
name: Names
subject: contact
steps:
  - {id: go, kind: start_sequence, sequence: welcom}
  - {id: stop, kind: stop_sequence, sequence: names}
  - {id: call, kind: create_task, title: Call, due_in: 1d, team: Inbond}
  - {id: hand, kind: hand_to_sdr, team: Inbound}
  - {id: put, kind: propose, list: tier-oen, tier: T1, reasons: [ICP_FIT]}
  - {id: by, kind: propose, list: tier-one, tier: T1, reasons: [ICP_FIT], proposer: nobody@example.com}
  - {id: done, kind: end}
";
        let ops = furnish(&world).await;
        publish(&world, &steps("welcome", "- {id: pause, kind: wait, duration: 1d}")).await;
        let refused = publish_as(&world, &ops, source).await.unwrap_err();
        assert_eq!(refused.code(), "SEQUENCE_REFERENCE_UNKNOWN");
        let said = refused.to_string();
        for expected in [
            "line 5, column 46: steps[0].sequence: there is no sequence `welcom`; did you mean `welcome`?",
            "line 7, column 66: steps[2].team: there is no team `Inbond`; did you mean `Inbound`?",
            "line 9, column 36: steps[4].list: there is no target list `tier-oen`; did you mean `tier-one`?",
            "steps[5].proposer: there is no active user who may propose for lists `nobody@example.com`",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
        assert!(!said.contains("`names`") && !said.contains("`Inbound`;"), "what is there is no problem: {said}");
        // Who is nobody in particular has no name to propose in.
        let nameless = steps("nameless", "- {id: put, kind: propose, list: tier-one, tier: T1, reasons: [ICP_FIT]}");
        let refused = publish_as(&world, &world.system(), &nameless).await.unwrap_err();
        assert!(refused.to_string().contains("write `proposer: `"), "{refused}");
        publish(&world, &nameless.replace("[ICP_FIT]}", "[ICP_FIT], proposer: olga@example.com}")).await;
        // Two sequences that name each other: a draft is enough.
        let draft = steps("second", "- {id: go, kind: start_sequence, sequence: first}");
        world.app.run(&world.system(), SequenceDraft { source: draft.clone() }).await.unwrap();
        publish(&world, &steps("first", "- {id: go, kind: start_sequence, sequence: second}")).await;
        publish(&world, &draft).await;
    }

    async fn a_lead_is_handed_to_the_sdrs_and_the_sequence_lets_go_of_it(world: World) {
        furnish(&world).await;
        let hand = "- {id: hand, kind: hand_to_sdr, team: Inbound, priority: 80, notes: 'Asked for {{ lead.source }}'}\n\
                    - {id: mark, kind: tag, of: lead, add: [handed]}";
        let source = steps("hand", hand).replace("subject: contact", "subject: lead");
        let sequence = publish(&world, &source).await;
        let (person, _) = colleague(&world, "acme").await;
        let received = lead_of(&world, &person).await;
        let enrollment = enroll(&world, &sequence, &person, Some(received.id)).await;
        assert_eq!(lead(&world, received.id).await.owner, Owner::Sequence(enrollment.id));
        world.run_due_jobs().await;
        let handed = lead(&world, received.id).await;
        assert_eq!((handed.stage, handed.owner, handed.priority), (Stage::Queued, Owner::SdrQueue, 80));
        assert!(handed.keeps_the_law() && handed.tags.contains("handed"), "the run went on without owning it");
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        let team = item.team.unwrap();
        assert_eq!((item.state, item.lead, item.priority), (ItemState::Queued, Some(received.id), 80));
        assert_eq!(item.notes.as_deref(), Some("Asked for webinar"));
        assert_eq!(world.app.store.find::<tandem_domain::access::Team>(team).await.unwrap().unwrap().name, "Inbound");
        let ended = run(&world, enrollment.id).await;
        assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
        // The end of the run took nothing back, and neither does a second hand-over.
        let again = enroll(&world, &publish(&world, &steps("more", "- {id: hand, kind: hand_to_sdr}")).await, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(came_of(&world, again.id).await, [json!({"lead": received.id, "already": "QUEUED"})]);
        assert_eq!(lead(&world, received.id).await.stage, Stage::Queued);
        assert_eq!(items(&world, ItemKind::VerifyLead).await.len(), 1);
    }

    async fn whoever_has_no_open_lead_gets_one_to_hand_over(world: World) {
        let hand = "- {id: hand, kind: hand_to_sdr}\n- {id: mark, kind: tag, of: lead, add: [mine]}";
        let sequence = publish(&world, &steps("hand", hand)).await;
        let (person, account) = colleague(&world, "acme").await;
        let old = lead_of(&world, &person).await;
        world.app.run(&world.system(), LeadClose { lead: old.id, reason: "NO_BUDGET".to_owned() }).await.unwrap();
        let enrollment = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let ended = run(&world, enrollment.id).await;
        assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
        let made = lead(&world, ended.lead.unwrap()).await;
        assert_ne!(made.id, old.id);
        assert_eq!((made.source.as_str(), made.stage, made.account), ("sequence:hand", Stage::Queued, Some(account.id)));
        assert!(made.tags.contains("mine") && made.keeps_the_law(), "the lead is the run's from then on");
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        assert_eq!((item.lead, item.priority), (Some(made.id), 50));
        assert_eq!(lead(&world, old.id).await.stage, Stage::Closed);
        // A lead that marketing holds is taken up instead of a second one.
        let (kim, _) = colleague(&world, "kim").await;
        let open = lead_of(&world, &kim).await;
        let other = enroll(&world, &sequence, &kim, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, other.id).await.lead, Some(open.id));
        assert_eq!(lead(&world, open.id).await.stage, Stage::Queued);
    }

    async fn a_sequence_starts_another_once_and_goes_on_where_that_refuses(world: World) {
        let target = "- {id: mark, kind: tag, add: ['from-{WHO}']}\n- {id: pause, kind: wait, duration: 30d}";
        let other = publish(&world, &steps("other", &target.replace("{WHO}", "other"))).await;
        let go = "- {id: go, kind: start_sequence, sequence: other, vars: {who: 'contact.name', n: '1 + 1'}}\n\
                  - {id: mark, kind: tag, add: [went-on]}";
        let sequence = publish(&world, &steps("first", go)).await;
        let (person, _) = colleague(&world, "acme").await;
        let first = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let [started] = runs(&world, other.id).await.try_into().unwrap();
        assert_eq!((started.vars["who"].as_str(), &started.vars["n"]), (Some("acme Sample"), &json!(2)));
        assert_eq!(started.memory.chain.unwrap().by, first.id);
        assert_eq!(came_of(&world, first.id).await, [json!({"enrollment": started.id})]);
        assert_eq!(tags(&world, person.id).await, ["from-other", "went-on"]);
        let second = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        let [came] = came_of(&world, second.id).await.into_iter().take(1).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(came["refused"], "ENROLLMENT_EXISTS", "{came}");
        assert_eq!(run(&world, second.id).await.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(runs(&world, other.id).await.len(), 1);
    }

    async fn sequences_that_start_each_other_come_to_a_stop(world: World) {
        let draft = steps("pong", "- {id: go, kind: start_sequence, sequence: ping}");
        world.app.run(&world.system(), SequenceDraft { source: draft.clone() }).await.unwrap();
        // Each run is over before the next of its kind begins, so no other rule ends the loop.
        let ping = publish(&world, &steps("ping", "- {id: pause, kind: wait, duration: 1m}\n- {id: go, kind: start_sequence, sequence: pong}")).await;
        let pong = publish(&world, &draft.replace("steps:", "steps:\n  - {id: pause, kind: wait, duration: 1m}")).await;
        let (person, _) = colleague(&world, "acme").await;
        enroll(&world, &ping, &person, None).await;
        for _ in 0..60 {
            world.pass(TimeDelta::minutes(1)).await;
        }
        let (pings, pongs) = (runs(&world, ping.id).await, runs(&world, pong.id).await);
        assert_eq!(pings.len() + pongs.len(), 11, "the first, and ten that were started");
        assert!(pings.iter().chain(&pongs).all(|run| !run.state.is_live()));
        let advanced = entries(&world, "enrollment.advanced").await;
        let refused: Vec<&Value> = advanced.iter().filter_map(|entry| entry.detail.get("came_of")?.get("refused")).collect();
        assert_eq!(refused, ["ENROLLMENT_CHAIN_TOO_LONG"]);
        // A day later it is no loop any more, but one programme after the other.
        world.pass(TimeDelta::hours(25)).await;
        enroll(&world, &ping, &person, None).await;
        world.run_due_jobs().await;
        world.pass(TimeDelta::minutes(1)).await;
        assert_eq!(runs(&world, pong.id).await.len(), pongs.len() + 1);
    }

    async fn a_sequence_ends_the_runs_of_the_same_person_through_another(world: World) {
        let task = "- {id: call, kind: create_task, title: Call, due_in: 1d}\n- {id: pause, kind: wait, duration: 30d}";
        let other = publish(&world, &steps("other", task).replace("subject: contact", "subject: lead")).await;
        let stop = publish(&world, &steps("stop", "- {id: stop, kind: stop_sequence, sequence: other}")).await;
        let (sam, _) = colleague(&world, "sam").await;
        let (kim, _) = colleague(&world, "kim").await;
        let (of_sam, of_kim) = (lead_of(&world, &sam).await, lead_of(&world, &kim).await);
        let ended = enroll(&world, &other, &sam, Some(of_sam.id)).await;
        let goes_on = enroll(&world, &other, &kim, Some(of_kim.id)).await;
        world.run_due_jobs().await;
        let stopping = enroll(&world, &stop, &sam, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, ended.id).await.state, EnrollmentState::Exited(ExitReason::Superseded));
        assert!(run(&world, goes_on.id).await.state.is_live());
        assert_eq!(came_of(&world, stopping.id).await, [json!({"ended": [ended.id]})]);
        let freed = lead(&world, of_sam.id).await;
        assert_eq!((freed.stage, freed.owner), (Stage::Received, Owner::Marketing), "nothing falls out of the loop");
        let states: BTreeSet<_> = items(&world, ItemKind::Task).await.into_iter().map(|task| (task.contact, task.state)).collect();
        assert_eq!(states, BTreeSet::from([(sam.id, ItemState::Cancelled), (kim.id, ItemState::Queued)]));
        let exits = entries(&world, "enrollment.ended").await;
        assert!(exits.iter().any(|entry| entry.detail.get("stopped_by") == Some(&json!(stopping.id))));
    }

    async fn a_goal_is_looked_at_where_the_step_stands(world: World) {
        let goal = "- {id: goal, kind: check_goal, when: \"'won' in contact.tags\"}\n- {id: mark, kind: tag, add: [won]}\n\
                    - {id: again, kind: check_goal, when: \"'won' in contact.tags\"}\n- {id: never, kind: tag, add: [never]}";
        let sequence = publish(&world, &steps("goal", goal)).await;
        let (person, _) = colleague(&world, "acme").await;
        let enrollment = enroll(&world, &sequence, &person, None).await;
        world.run_due_jobs().await;
        assert_eq!(run(&world, enrollment.id).await.state, EnrollmentState::Finished(FinishReason::Goal));
        assert_eq!(tags(&world, person.id).await, ["won"]);
    }

    async fn a_split_gives_each_subject_one_variant_for_good_and_the_record_names_it(world: World) {
        let split = "
            - {id: test, kind: split, variants: [{key: short, weight: 1, then: mail}, {key: long, weight: 1, then: mail}]}
            - {id: mail, kind: send_email, template: {subject: 'The {{ enrollment.variants.test }} one', text: Hello}}
            - {id: which, kind: branch, when: \"enrollment.variants.test == 'short'\", then: a, else: b}
            - {id: a, kind: tag, add: [short], next: done}
            - {id: b, kind: tag, add: [long], next: done}".trim_start();
        let sequence = publish(&world, &steps("experiment", split)).await;
        let mut given = BTreeMap::new();
        for n in 0..12 {
            let (person, _) = colleague(&world, &format!("p{n}")).await;
            for round in 0..2 {
                let enrollment = enroll(&world, &sequence, &person, None).await;
                world.run_due_jobs().await;
                let ended = run(&world, enrollment.id).await;
                assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
                let variant = ended.memory.variants["test"].clone();
                assert_eq!(given.entry(person.id).or_insert_with(|| variant.clone()), &variant, "round {round}");
                assert_eq!(world.mailer.sent().last().unwrap().subject, format!("The {variant} one"));
                assert_eq!(tags(&world, person.id).await, [variant.as_str()]);
                let advanced = entries(&world, "enrollment.advanced").await.into_iter();
                let first = advanced.filter(|entry| entry.subject_id == enrollment.id.0).collect::<Vec<_>>();
                let taken = first[0].detail["taken"][0].clone();
                assert_eq!(taken, json!({"step": "test", "kind": "split", "visit": 0, "variant": variant}));
            }
        }
        assert_eq!(given.values().collect::<BTreeSet<_>>().len(), 2, "both are given: {given:?}");
    }

    async fn a_run_goes_on_by_what_came_of_its_task(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let token = claim(&world, &sdr, &task).await;
        world.pass(TimeDelta::minutes(5)).await;
        let goes_on = complete(&world, &sdr, &task, token, Some(TaskOutcome::NoAnswer)).await.unwrap();
        assert_eq!((goes_on.state, goes_on.step.as_str()), (EnrollmentState::Active, "letter"));
        assert_eq!((goes_on.due_at, goes_on.keeps_the_law()), (Some(world.now()), true), "in the same transaction");
        let [settled] = entries(&world, "enrollment.task_settled").await.try_into().unwrap();
        assert_eq!((&settled.detail["outcome"], &settled.detail["goes_on_at"]), (&json!("NO_ANSWER"), &json!("letter")));
        let [completed] = entries(&world, "work_item.completed").await.try_into().unwrap();
        assert_eq!(completed.detail["outcome"], "NO_ANSWER");
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter"]);
        let ended = run(&world, waiting.id).await;
        assert_eq!(ended.state, EnrollmentState::Finished(FinishReason::Completed));
        assert_eq!(ended.memory.last_task_outcome, Some(TaskEnd::NoAnswer));
        // The timer of the time-out finds nothing to do.
        world.pass(TimeDelta::days(6)).await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter"]);
        assert!(world.job_kinds().await.is_empty());
    }

    async fn an_outcome_without_a_way_of_its_own_goes_on_to_the_next_step_and_conditions_see_it(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let token = claim(&world, &sdr, &task).await;
        complete(&world, &sdr, &task, token, None).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["usual"]);
        assert_eq!(run(&world, waiting.id).await.memory.last_task_outcome, Some(TaskEnd::Done));
        let sequence: Sequence = world.app.store.find(waiting.sequence).await.unwrap().unwrap();
        let again = enroll(&world, &sequence, &contact(&world, waiting.contact).await, None).await;
        world.run_due_jobs().await;
        let open = items(&world, ItemKind::Task).await.into_iter().find(|task| task.state == ItemState::Queued).unwrap();
        let token = claim(&world, &sdr, &open).await;
        complete(&world, &sdr, &open, token, Some(TaskOutcome::Interested)).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["usual", "warm"]);
        assert!(!run(&world, again.id).await.state.is_live());
    }

    async fn a_task_that_nobody_does_in_time_holds_nobody_up(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        world.pass(TimeDelta::hours(119)).await;
        assert_eq!(run(&world, waiting.id).await.state, EnrollmentState::Waiting(WaitReason::Task));
        world.pass(TimeDelta::hours(1)).await;
        assert_eq!(tags(&world, waiting.contact).await, ["slow"]);
        let ended = run(&world, waiting.id).await;
        assert_eq!(ended.memory.last_task_outcome, Some(TaskEnd::TimedOut));
        // What is done later is done, and moves nothing.
        let token = claim(&world, &sdr, &task).await;
        assert_eq!(complete(&world, &sdr, &task, token, Some(TaskOutcome::Interested)).await, None);
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["slow"]);
        assert!(entries(&world, "enrollment.task_settled").await.is_empty());
    }

    async fn a_task_that_is_called_off_lets_its_run_go_on(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let ops = world.user("omar", Role::SalesOps, None).await.1;
        let cancel = TaskCancel { item: task.id, note: Some("the customer called us".to_owned()) };
        let token = claim(&world, &sdr, &task).await;
        assert_eq!(world.app.run(&ops, cancel.clone()).await.unwrap_err().code(), "WORK_ITEM_HELD");
        world.app.run(&sdr, tandem_app::WorkItemRelease { item: task.id, token }).await.unwrap();
        let (cancelled, run_on) = world.app.run(&ops, cancel.clone()).await.unwrap();
        let outcome = cancelled.outcome.unwrap();
        assert_eq!((cancelled.state, outcome.by, outcome.task), (ItemState::Cancelled, ops.actor.user, None));
        assert_eq!(run_on.unwrap().step, "called_off");
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["called-off"]);
        assert_eq!(world.app.run(&ops, cancel).await.unwrap_err().code(), "WORK_ITEM_MOVE_NOT_ALLOWED");
        // Only tasks are called off: a lead is disqualified.
        let lead = lead_of(&world, &contact(&world, waiting.contact).await).await;
        world.app.run(&world.system(), LeadQualify { lead: lead.id, grade: None, priority: None }).await.unwrap();
        let [item] = items(&world, ItemKind::VerifyLead).await.try_into().unwrap();
        let refused = world.app.run(&ops, TaskCancel { item: item.id, note: None }).await.unwrap_err();
        assert_eq!(refused.code(), "WORK_ITEM_WRONG_KIND");
    }

    async fn a_task_done_while_its_run_pauses_counts_when_the_run_is_resumed(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let pause = EnrollmentPause { enrollment: waiting.id, reason: PauseReason::Manual, until: None };
        world.app.run(&world.system(), pause.clone()).await.unwrap();
        let token = claim(&world, &sdr, &task).await;
        let told = complete(&world, &sdr, &task, token, Some(TaskOutcome::NoAnswer)).await.unwrap();
        assert_eq!(told.state, EnrollmentState::Paused(PauseReason::Manual));
        world.pass(TimeDelta::days(6)).await;
        assert!(tags(&world, waiting.contact).await.is_empty(), "paused");
        world.app.run(&world.system(), EnrollmentResume { enrollment: waiting.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter"]);
        // Paused over the time-out: the run does not wait any longer once it is resumed.
        let sequence: Sequence = world.app.store.find(waiting.sequence).await.unwrap().unwrap();
        let again = enroll(&world, &sequence, &contact(&world, waiting.contact).await, None).await;
        world.run_due_jobs().await;
        world.app.run(&world.system(), EnrollmentPause { enrollment: again.id, ..pause }).await.unwrap();
        world.pass(TimeDelta::days(6)).await;
        world.app.run(&world.system(), EnrollmentResume { enrollment: again.id }).await.unwrap();
        world.run_due_jobs().await;
        assert_eq!(tags(&world, waiting.contact).await, ["a-letter", "slow"]);
    }

    async fn a_run_that_ended_leaves_its_task_to_nobody_and_hears_nothing_of_it(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        let token = claim(&world, &sdr, &task).await;
        let exit = EnrollmentExit { enrollment: waiting.id, reason: ExitReason::Manual };
        world.app.run(&world.system(), exit).await.unwrap();
        assert_eq!(complete(&world, &sdr, &task, token, None).await, None, "its holder finishes it all the same");
        let ended = run(&world, waiting.id).await;
        assert_eq!((ended.state, ended.keeps_the_law()), (EnrollmentState::Exited(ExitReason::Manual), true));
    }

    async fn the_end_of_a_task_and_the_end_of_the_wait_at_one_moment_are_one_of_the_two(world: World) {
        let (waiting, task, sdr) = waiting(&world).await;
        world.clock.advance(TimeDelta::days(5));
        let token = claim(&world, &sdr, &task).await;
        let (app, call) = (world.app.clone(), world.system());
        let step = EnrollmentAdvance { enrollment: waiting.id, visit: waiting.visit };
        let late = tokio::spawn(async move { app.run(&call, step).await });
        let (app, sdr) = (world.app.clone(), sdr.clone());
        let done = TaskComplete { item: task.id, token, outcome: Some(TaskOutcome::NoAnswer), note: None };
        let done = tokio::spawn(async move { app.run(&sdr, done).await });
        let (late, done) = (late.await.unwrap(), done.await.unwrap().unwrap());
        world.run_due_jobs().await;
        let expected = if done.1.is_some() { "a-letter" } else { "slow" };
        // Where the task came first, the timer took the step that the task led to.
        assert!(late.is_ok() || matches!(&late, Err(error) if error.code().starts_with("ENROLLMENT_")), "{late:?}");
        assert_eq!(tags(&world, waiting.contact).await, [expected]);
        assert!(!run(&world, waiting.id).await.state.is_live());
    }
}
