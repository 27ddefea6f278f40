//! What the tests of steps have in common.

pub use chrono::TimeDelta;
pub use serde_json::{Map, Value, json};
pub use std::collections::{BTreeMap, BTreeSet};
pub use tandem_app::custom_fields::CustomFieldDefine;
pub use tandem_app::{
    AccountCreate, Actor, AppError, Call, ContactCreate, EnrollmentAdvance, EnrollmentCreate, EnrollmentExit,
    EnrollmentPause, EnrollmentResume, LeadClose, LeadQualify, LeadReceive, SequenceDraft, SequencePublish,
    TargetListCreate, TaskCancel, TaskComplete, TaxonomyLibraryInstall, TeamCreate, WorkItemClaim,
};
pub use tandem_domain::access::{Role, Side};
pub use tandem_domain::account::Account;
pub use tandem_domain::contact::{ConsentState, Contact, ContactPatch};
pub use tandem_domain::custom_field::{Entity, Kind};
pub use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SequenceId};
pub use tandem_domain::lead::{Lead, Owner, Stage};
pub use tandem_domain::ledger::Entry;
pub use tandem_domain::sequence::Sequence;
pub use tandem_domain::sequence::enrollment::{
    Enrollment, EnrollmentState, ExitReason, FinishReason, PauseReason, TaskEnd, WaitReason,
};
pub use tandem_domain::target_list::{ChangeRequest, RequestState};
pub use tandem_domain::work_item::{ItemKind, ItemState, TaskChannel, TaskOutcome, WorkItem};
pub use tandem_store::Page;
pub use tandem_store::sequence::EnrollmentFilter;
pub use tandem_store::target_list::RequestFilter;
pub use tandem_store::work_item::WorkItemFilter;
pub use tandem_testkit::{World, on_both_databases};

pub async fn publish_as(world: &World, call: &Call, source: &str) -> Result<Sequence, AppError> {
    let published = world.app.run(call, SequencePublish { source: source.to_owned() }).await;
    published.map(|(sequence, _)| sequence)
}

pub async fn publish(world: &World, source: &str) -> Sequence {
    publish_as(world, &world.system(), source).await.unwrap_or_else(|refused| panic!("{refused}\n{source}"))
}

/// A sequence for contacts with these steps, and an end.
pub fn steps(key: &str, steps: &str) -> String {
    let lines: String = steps.lines().map(|line| format!("  {}\n", line.trim_start())).collect();
    format!("key: {key}\nname: Steps\nsubject: contact\nsteps:\n{lines}  - {{id: done, kind: end}}\n")
}

pub async fn field(world: &World, entity: Entity, key: &str) {
    let (key, label) = (key.to_owned(), key.to_owned());
    let command = CustomFieldDefine { entity, key, label, kind: Kind::Text, choices: Vec::new(), required: false };
    world.app.run(&world.system(), command).await.unwrap();
}

/// A person at a company, who agreed to be written to.
pub async fn colleague(world: &World, name: &str) -> (Contact, Account) {
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

pub async fn lead_of(world: &World, contact: &Contact) -> Lead {
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

pub fn of(sequence: &Sequence, contact: ContactId, lead: Option<LeadId>) -> EnrollmentCreate {
    EnrollmentCreate { sequence: sequence.id, contact: Some(contact), lead, vars: Map::new() }
}

pub async fn enroll(world: &World, sequence: &Sequence, contact: &Contact, lead: Option<LeadId>) -> Enrollment {
    world.app.run(&world.system(), of(sequence, contact.id, lead)).await.unwrap().0
}

pub async fn run(world: &World, id: EnrollmentId) -> Enrollment {
    world.app.store.find(id).await.unwrap().unwrap()
}

pub async fn contact(world: &World, id: ContactId) -> Contact {
    world.app.store.find(id).await.unwrap().unwrap()
}

pub async fn lead(world: &World, id: LeadId) -> Lead {
    world.app.store.find(id).await.unwrap().unwrap()
}

pub async fn items(world: &World, kind: ItemKind) -> Vec<WorkItem> {
    let filter = WorkItemFilter { kind: Some(kind), ..Default::default() };
    world.app.store.work_item_page(&filter, &Page::first(50)).await.unwrap().items
}

pub async fn runs(world: &World, sequence: SequenceId) -> Vec<Enrollment> {
    let filter = EnrollmentFilter { sequence: Some(sequence), ..Default::default() };
    world.app.store.enrollment_page(&filter, &Page::first(50)).await.unwrap().items
}

pub async fn entries(world: &World, kind: &str) -> Vec<Entry> {
    world.ledger().await.into_iter().map(|link| link.entry).filter(|entry| entry.kind == kind).collect()
}

/// What the record of a run says came of its effects, in their order.
pub async fn came_of(world: &World, id: EnrollmentId) -> Vec<Value> {
    let advanced = entries(world, "enrollment.advanced").await.into_iter();
    let own = advanced.filter(|entry| entry.subject_id == id.0);
    own.filter_map(|entry| entry.detail.get("came_of").cloned()).collect()
}

/// Everything that later tests of one world need: fields, a team, a list with tiers, another sequence.
pub async fn furnish(world: &World) -> Call {
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

pub async fn tags(world: &World, contact: ContactId) -> Vec<String> {
    self::contact(world, contact).await.tags.into_iter().collect()
}
