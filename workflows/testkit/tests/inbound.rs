//! Inbound webhooks through the real commands and jobs, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tandem_app::custom_fields::CustomFieldDefine;
use tandem_app::written::Outcome as Was;
use tandem_app::{
    Actor, Call, InboundDeliveryReceive, InboundDeliveryReplay, InboundWebhookRotateSecret, InboundWebhookSave,
    JobsCancel, SequencePublish, TargetListCreate, TaxonomyLibraryInstall, UserChange,
};
use tandem_domain::access::{Role, Side, User};
use tandem_domain::contact::Contact;
use tandem_domain::custom_field::{Entity, Kind};
use tandem_domain::id::{ContactId, InboundDeliveryId};
use tandem_domain::inbound::{
    ActionDraft, ActionKind, Draft, End, InboundDelivery, InboundWebhook, Outcome, Raw, Scheme, State, Verdict,
    signature::SecretUsed,
};
use tandem_domain::lead::{Lead, Stage};
use tandem_domain::sequence::Enrollment;
use tandem_domain::target_list::RequestState;
use tandem_store::Page;
use tandem_store::jobs::JobFilter;
use tandem_store::lead::LeadFilter;
use tandem_store::target_list::RequestFilter;
use tandem_testkit::{World, on_both_databases};

fn action(kind: ActionKind, values: &[(&str, &str)]) -> ActionDraft {
    let values = values.iter().map(|(field, text)| ((*field).to_owned(), (*text).to_owned())).collect();
    ActionDraft { kind, when: None, values, optional: false }
}

/// A form tool: the person, and a lead where a demo is asked for.
fn form(machine: &User) -> Draft {
    let person = [
        ("email", "payload.email"),
        ("name", "payload.name"),
        ("phone", "has(payload.phone) ? payload.phone : null"),
        ("accountDomain", "payload.company"),
        ("consent", "payload.agrees ? 'GRANTED' : 'UNKNOWN'"),
        ("consentSource", "'form'"),
    ];
    let lead = [("source", "'Form'"), ("grade", "'A1'"), ("tags", "payload.topics"), ("priority", "80")];
    let lead = ActionDraft { when: Some("payload.demo".to_owned()), ..action(ActionKind::LeadReceive, &lead) };
    let account = [("name", "payload.company"), ("domains", "payload.company")];
    Draft {
        key: "form".to_owned(),
        name: "Form tool".to_owned(),
        scheme: Scheme::StandardWebhooks,
        acts_as: machine.id,
        phone_region: Some("US".to_owned()),
        delivery_id: None,
        filter: Some("payload.type == 'form'".to_owned()),
        actions: vec![action(ActionKind::AccountUpsert, &account), action(ActionKind::ContactUpsert, &person), lead],
        active: true,
    }
}

fn filled(email: &str, demo: bool) -> Value {
    json!({
        "type": "form", "email": email, "name": "Ann Example", "phone": "(212) 555-0123", "company": "acme.example",
        "agrees": true, "demo": demo, "topics": ["pricing", "security"],
    })
}

struct Desk {
    ops: Call,
    machine: User,
}

async fn desk(world: &World) -> Desk {
    let (_, ops) = world.user("otto", Role::SalesOps, None).await;
    let (machine, _) = world.user("machine", Role::Integration, Some(Side::Marketing)).await;
    Desk { ops, machine }
}

async fn saved(world: &World, desk: &Desk, draft: Draft) -> InboundWebhook {
    world.app.run(&desk.ops, InboundWebhookSave { draft, secret: None }).await.unwrap()
}

async fn arrives(world: &World, webhook: &InboundWebhook, key: &str, payload: &Value) -> (Was, InboundDeliveryId) {
    let verdict = Verdict { scheme: webhook.scheme, secret: SecretUsed::Current, signed_at: None };
    let raw = Raw { headers: BTreeMap::new(), body: payload.to_string() };
    let receive =
        InboundDeliveryReceive { webhook: webhook.id, key: Some(key.to_owned()), id_fault: None, verdict, raw };
    let stored = world.app.run(&world.system(), receive).await.unwrap();
    (stored.outcome, stored.record.id)
}

async fn handled(world: &World, webhook: &InboundWebhook, key: &str, payload: &Value) -> InboundDelivery {
    let (_, id) = arrives(world, webhook, key, payload).await;
    world.run_due_jobs().await;
    world.app.store.find(id).await.unwrap().unwrap()
}

async fn contact(world: &World, email: &str) -> Option<Contact> {
    let id = world.app.store.identity_owner("contact.email", email).await.unwrap()?;
    world.app.store.find(ContactId(id)).await.unwrap()
}

async fn leads(world: &World) -> Vec<Lead> {
    world.app.store.lead_page(&LeadFilter::default(), &Page::first(100)).await.unwrap().items
}

fn outcomes(delivery: &InboundDelivery) -> Vec<Outcome> {
    delivery.done.iter().map(|done| done.outcome).collect()
}

fn fault(delivery: &InboundDelivery) -> (&str, &str) {
    let fault = delivery.fault.as_ref().unwrap();
    (&fault.place, &fault.code)
}

on_both_databases! {
    async fn a_form_becomes_account_contact_and_lead_once(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let payload = filled("ann@acme.example", true);
        let (first, id) = arrives(&world, &webhook, "m1", &payload).await;
        let (second, same) = arrives(&world, &webhook, "m1", &payload).await;
        assert_eq!((first, second, id), (Was::Created, Was::Unchanged, same));
        world.run_due_jobs().await;
        let delivery: InboundDelivery = world.app.store.find(id).await.unwrap().unwrap();
        assert_eq!(outcomes(&delivery), [Outcome::Created; 3]);
        assert_eq!((delivery.state, delivery.under), (State::Done, Some(1)));
        let ann = contact(&world, "ann@acme.example").await.unwrap();
        assert_eq!(ann.phone.as_deref(), Some("+12125550123"));
        assert!(ann.account.is_some(), "the account of the first action");
        let lead = leads(&world).await.remove(0);
        assert_eq!((lead.contact, lead.account, lead.stage), (ann.id, ann.account, Stage::Received));
        assert_eq!((lead.external_id.as_deref(), lead.priority, lead.tags.len()), (Some("form:m1"), 80, 2));
        // Who did it is the machine, and the delivery is in the same record.
        let ledger = world.ledger().await;
        let received = ledger.iter().find(|link| link.entry.kind == "lead.received").unwrap();
        assert_eq!((received.entry.actor_id, received.entry.actor_role.as_str()), (Some(desk.machine.id.into()), "INTEGRATION"));
        assert!(ledger.iter().any(|link| link.entry.kind == "inbound_delivery.settled"));
        // Nothing is left to do, and a copy that comes later changes nothing.
        arrives(&world, &webhook, "m1", &payload).await;
        assert_eq!(world.run_due_jobs().await, 0);
        assert_eq!(leads(&world).await.len(), 1);
    }

    async fn what_does_not_pass_the_filter_is_kept_and_not_acted_on(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let delivery = handled(&world, &webhook, "m1", &json!({"type": "ping"})).await;
        assert_eq!((delivery.state, delivery.done.len()), (State::Filtered, 0));
        let delivery = handled(&world, &webhook, "m2", &filled("b@acme.example", false)).await;
        assert_eq!(outcomes(&delivery), [Outcome::Created, Outcome::Created, Outcome::Skipped]);
        assert!(leads(&world).await.is_empty());
    }

    async fn all_is_done_or_nothing_and_a_mended_definition_can_be_replayed(world: World) {
        let desk = desk(&world).await;
        let mut draft = form(&desk.machine);
        draft.actions[2].values.insert("grade".to_owned(), "'Z9'".to_owned());
        let webhook = saved(&world, &desk, draft).await;
        let failed = handled(&world, &webhook, "m1", &filled("ann@acme.example", true)).await;
        assert_eq!((failed.state, fault(&failed).0), (State::Failed, "actions.2.values.grade"));
        assert!(contact(&world, "ann@acme.example").await.is_none(), "the actions before it are undone");
        saved(&world, &desk, form(&desk.machine)).await;
        let replayed = world.app.run(&desk.ops, InboundDeliveryReplay { delivery: failed.id }).await.unwrap();
        assert_eq!((replayed.state, replayed.round), (State::Received, 2));
        // Once more before it was handled: the job before has nothing to do then.
        let again = world.app.run(&desk.ops, InboundDeliveryReplay { delivery: failed.id }).await.unwrap();
        assert_eq!((again.state, again.round), (State::Received, 3));
        world.run_due_jobs().await;
        let done: InboundDelivery = world.app.store.find(failed.id).await.unwrap().unwrap();
        assert_eq!((done.state, done.under, done.fault), (State::Done, Some(2), None));
        // Once more finds everything as it is.
        world.app.run(&desk.ops, InboundDeliveryReplay { delivery: failed.id }).await.unwrap();
        world.run_due_jobs().await;
        let twice: InboundDelivery = world.app.store.find(failed.id).await.unwrap().unwrap();
        assert_eq!(outcomes(&twice), [Outcome::Unchanged; 3]);
        assert_eq!(leads(&world).await.len(), 1);
    }

    async fn an_optional_action_that_is_refused_costs_the_others_nothing(world: World) {
        let desk = desk(&world).await;
        let mut draft = form(&desk.machine);
        let enroll = action(ActionKind::EnrollmentCreate, &[("sequence", "'nothing'"), ("vars.topic", "payload.topics[0]")]);
        draft.actions.push(ActionDraft { optional: true, ..enroll });
        let webhook = saved(&world, &desk, draft).await;
        let delivery = handled(&world, &webhook, "m1", &filled("ann@acme.example", true)).await;
        assert_eq!(outcomes(&delivery)[3], Outcome::Refused);
        assert_eq!(delivery.done[3].fault.as_ref().unwrap().code, "INBOUND_SEQUENCE_UNKNOWN");
        assert_eq!(leads(&world).await.len(), 1);
    }

    async fn a_booking_enrols_and_a_machines_proposal_turns_no_key(world: World) {
        let desk = desk(&world).await;
        world.app.run(&desk.ops, TaxonomyLibraryInstall).await.unwrap();
        let source = include_str!("../../library/sequences/welcome.yaml").to_owned();
        let (sequence, _) = world.app.run(&desk.ops, SequencePublish { source }).await.unwrap();
        let list = TargetListCreate {
            key: "strategic".to_owned(),
            name: "Strategic".to_owned(),
            description: String::new(),
            request_days: None,
            suspension_hours: None,
        };
        let list = world.app.run(&desk.ops, list).await.unwrap();
        let mut draft = form(&desk.machine);
        draft.key = "booking".to_owned();
        draft.actions.pop();
        let key = format!("'{}'", sequence.key);
        draft.actions.push(action(ActionKind::EnrollmentCreate, &[("sequence", &key)]));
        draft.actions.push(action(ActionKind::ChangeRequestPropose, &[
            ("list", "'strategic'"), ("change", "'add'"), ("tier", "'T2'"), ("reasons", "['INTENT_SURGE']"),
        ]));
        let webhook = saved(&world, &desk, draft).await;
        let delivery = handled(&world, &webhook, "m1", &filled("ann@acme.example", true)).await;
        assert_eq!((delivery.state, &delivery.fault), (State::Done, &None));
        let ann = contact(&world, "ann@acme.example").await.unwrap();
        let enrolled = world.ledger_kinds().await;
        assert!(enrolled.iter().any(|kind| kind == "enrollment.started"), "{enrolled:?}");
        let filter = RequestFilter { list: Some(list.id), ..RequestFilter::default() };
        let requests = world.app.store.change_request_page(&filter, &Page::first(10)).await.unwrap().items;
        assert_eq!((requests.len(), requests[0].account), (1, ann.account.unwrap()));
        // The machine's user stands on a side, and yet both keys are still to be turned.
        assert_eq!((requests[0].state, requests[0].side), (RequestState::Proposed, None));
    }

    async fn what_is_changed_must_be_there(world: World) {
        let desk = desk(&world).await;
        let change = action(ActionKind::ContactChange, &[("email", "payload.email"), ("title", "payload.title")]);
        let webhook = saved(&world, &desk, Draft { actions: vec![change], filter: None, ..form(&desk.machine) }).await;
        let payload = json!({"email": "ann@acme.example", "title": "CFO"});
        let failed = handled(&world, &webhook, "m1", &payload).await;
        assert_eq!(fault(&failed), ("actions.0", "INBOUND_CONTACT_UNKNOWN"));
        world.contact("ann@acme.example").await;
        let done = handled(&world, &webhook, "m2", &payload).await;
        assert_eq!(outcomes(&done), [Outcome::Changed]);
        assert_eq!(contact(&world, "ann@acme.example").await.unwrap().title.as_deref(), Some("CFO"));
    }

    async fn values_that_cannot_be_are_faults_at_their_place(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let with = |field: &str, value: Value| {
            let mut payload = filled("ann@acme.example", true);
            payload[field] = value;
            payload
        };
        let cases = [
            (with("email", json!({"a": 1})), "actions.1.values.email", "INBOUND_VALUE_INVALID"),
            (with("name", json!("A\u{0}B")), "actions.1.values.name", "INBOUND_VALUE_INVALID"),
            (with("demo", json!("yes")), "actions.2.when", "EXPRESSION_NOT_BOOLEAN"),
            (with("topics", json!([["deep"]])), "actions.2.values.tags", "INBOUND_VALUE_INVALID"),
        ];
        for (number, (payload, place, code)) in cases.into_iter().enumerate() {
            let failed = handled(&world, &webhook, &format!("m{number}"), &payload).await;
            assert_eq!(fault(&failed), (place, code));
        }
        let bad = handled(&world, &webhook, "m9", &with("email", json!("nobody"))).await;
        assert_eq!((fault(&bad).0, bad.state), ("actions.1.values.email", State::Failed));
    }

    async fn a_trial_shows_everything_and_does_nothing(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let before = (world.ledger().await.len(), world.job_kinds().await);
        let payload = filled("ann@acme.example", true).as_object().unwrap().clone();
        let tried = world.app.try_inbound(&desk.ops, &webhook, BTreeMap::new(), payload).await.unwrap();
        let done = match &tried.end {
            End::Done(done) => done.iter().map(|done| done.outcome).collect(),
            End::Filtered | End::Failed(_) => Vec::new(),
        };
        assert_eq!(done, [Outcome::Created; 3], "{tried:?}");
        assert_eq!(tried.steps[1].values.as_ref().unwrap()["email"], json!("ann@acme.example"));
        let tried = world.app.try_inbound(&desk.ops, &webhook, BTreeMap::new(), Map::new()).await.unwrap();
        assert!(matches!(tried.end, End::Failed(fault) if fault.place == "filter"));
        assert!(contact(&world, "ann@acme.example").await.is_none());
        assert_eq!((world.ledger().await.len(), world.job_kinds().await), before);
    }

    async fn a_webhook_acts_for_a_machine_and_for_nobody_else(world: World) {
        let desk = desk(&world).await;
        let (person, _) = world.user("ada", Role::Admin, None).await;
        let save = InboundWebhookSave { draft: form(&person), secret: None };
        assert_eq!(world.app.run(&desk.ops, save).await.unwrap_err().code(), "INBOUND_ACTOR_UNFIT");
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let (_, id) = arrives(&world, &webhook, "m1", &filled("ann@acme.example", true)).await;
        let retire = UserChange { user: desk.machine.id, name: None, roles: None, active: Some(false), time_zone: None };
        world.app.run(&world.system(), retire).await.unwrap();
        world.run_due_jobs().await;
        let failed: InboundDelivery = world.app.store.find(id).await.unwrap().unwrap();
        assert_eq!(fault(&failed), ("actsAs", "INBOUND_ACTOR_UNFIT"));
        let sdr = Call::new(Actor::user(desk.machine.id, Role::Sdr, None), "test");
        let save = InboundWebhookSave { draft: form(&desk.machine), secret: None };
        assert_eq!(world.app.run(&sdr, save).await.unwrap_err().code(), "FORBIDDEN");
    }

    async fn secrets_are_kept_and_rotated_and_are_in_no_book(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let save = InboundWebhookSave { draft: form(&desk.machine), secret: Some("whsec_x".to_owned()) };
        assert_eq!(world.app.run(&desk.ops, save).await.unwrap_err().code(), "INBOUND_SECRET_SET");
        let again = saved(&world, &desk, form(&desk.machine)).await;
        assert_eq!(again.secrets(world.now()), webhook.secrets(world.now()));
        let rotate = async |end_previous| {
            let rotate = InboundWebhookRotateSecret { webhook: webhook.id, secret: None, overlap_hours: 168, end_previous };
            world.app.run(&desk.ops, rotate).await
        };
        let first = rotate(false).await.unwrap();
        let refused = rotate(false).await.unwrap_err();
        let until = (world.now() + TimeDelta::hours(168)).to_string();
        assert_eq!(refused.code(), "INBOUND_SECRET_OVERLAP");
        assert!(refused.to_string().contains(&until) && refused.to_string().contains("endPrevious"), "{refused}");
        let found = world.app.store.inbound_webhook_by_key("form").await.unwrap().unwrap();
        assert_eq!(found.secrets(world.now()), [first.secrets(world.now())[0], webhook.secrets(world.now())[0]]);
        world.clock.advance(TimeDelta::hours(168));
        rotate(false).await.unwrap();
        let rotated = rotate(true).await.unwrap();
        assert_eq!(rotated.secrets(world.now()).len(), 2);
        let found = world.app.store.inbound_webhook_by_key("form").await.unwrap().unwrap();
        assert_eq!(found.secrets(world.now()), rotated.secrets(world.now()));
        let written = format!("{:?}", world.ledger().await);
        assert!(rotated.secrets(world.now()).iter().all(|secret| !written.contains(secret.reveal())));
    }

    async fn what_arrived_is_forgotten_after_a_while_once_it_was_handled(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let old = handled(&world, &webhook, "m1", &filled("ann@acme.example", false)).await;
        let (_, waiting) = arrives(&world, &webhook, "m2", &filled("ben@acme.example", false)).await;
        world.clock.advance(TimeDelta::days(91));
        assert_eq!(world.app.store.prune_inbound(world.now() - TimeDelta::days(90), 100).await.unwrap(), 1);
        assert!(world.app.store.inbound_raw(old.id).await.unwrap().is_none());
        assert!(world.app.store.find::<InboundDelivery>(old.id).await.unwrap().is_none());
        assert!(world.app.store.inbound_raw(waiting).await.unwrap().is_some(), "it is still to be handled");
    }

    async fn a_delivery_whose_job_was_called_off_is_done_by_a_replay(world: World) {
        let desk = desk(&world).await;
        let webhook = saved(&world, &desk, form(&desk.machine)).await;
        let (_, id) = arrives(&world, &webhook, "m1", &filled("ann@acme.example", true)).await;
        let cancel = JobsCancel { filter: JobFilter::default(), reason: "a test".to_owned(), limit: 10 };
        world.app.run(&desk.ops, cancel).await.unwrap();
        assert_eq!(world.run_due_jobs().await, 0);
        world.app.run(&desk.ops, InboundDeliveryReplay { delivery: id }).await.unwrap();
        world.run_due_jobs().await;
        let done: InboundDelivery = world.app.store.find(id).await.unwrap().unwrap();
        assert_eq!((done.state, done.round), (State::Done, 2));
    }

    async fn whom_an_action_names_is_meant_and_nobody_else(world: World) {
        let desk = desk(&world).await;
        let source = include_str!("../../library/sequences/welcome.yaml").to_owned();
        let (sequence, _) = world.app.run(&desk.ops, SequencePublish { source }).await.unwrap();
        let mut draft = form(&desk.machine);
        let key = format!("'{}'", sequence.key);
        draft.actions.push(action(ActionKind::EnrollmentCreate, &[("sequence", &key), ("email", "payload.colleague")]));
        let webhook = saved(&world, &desk, draft).await;
        let mut payload = filled("ann@acme.example", true);
        payload["colleague"] = json!("ben@acme.example");
        let failed = handled(&world, &webhook, "m1", &payload).await;
        assert_eq!(fault(&failed), ("actions.3", "INBOUND_CONTACT_UNKNOWN"));
        assert!(!world.ledger_kinds().await.iter().any(|kind| kind == "enrollment.started"));
        let ben = world.contact("ben@acme.example").await;
        let done = handled(&world, &webhook, "m2", &payload).await;
        assert_eq!(done.state, State::Done, "{:?}", done.fault);
        let started = world.ledger().await.into_iter().find(|link| link.entry.kind == "enrollment.started").unwrap();
        let enrolled: Enrollment = world.app.store.find(started.entry.subject_id).await.unwrap().unwrap();
        assert_eq!(enrolled.contact, ben.id);
    }

    async fn a_source_that_gives_two_people_one_id_is_told_so_and_a_replay_knows_the_account(world: World) {
        let desk = desk(&world).await;
        world.app.run(&desk.ops, TaxonomyLibraryInstall).await.unwrap();
        let list = TargetListCreate {
            key: "strategic".to_owned(),
            name: "Strategic".to_owned(),
            description: String::new(),
            request_days: None,
            suspension_hours: None,
        };
        world.app.run(&desk.ops, list).await.unwrap();
        let mut draft = form(&desk.machine);
        draft.actions[2].values.insert("externalId".to_owned(), "'one'".to_owned());
        let webhook = saved(&world, &desk, draft).await;
        handled(&world, &webhook, "m1", &filled("ann@acme.example", true)).await;
        let other = handled(&world, &webhook, "m2", &filled("ben@acme.example", true)).await;
        assert_eq!(fault(&other), ("actions.2.values.externalId", "INBOUND_LEAD_OTHER"));
        // A webhook that names the lead's person alone knows the account by the lead, the first time and again.
        let lead = [("source", "'Form'"), ("email", "payload.email"), ("externalId", "'two'")];
        let propose = action(ActionKind::ChangeRequestPropose, &[
            ("list", "'strategic'"), ("change", "'add'"), ("tier", "'T2'"), ("reasons", "['INTENT_SURGE']"),
        ]);
        let propose = ActionDraft { optional: true, ..propose };
        let actions = vec![action(ActionKind::LeadReceive, &lead), propose];
        let draft = Draft { key: "leads".to_owned(), filter: None, actions, ..form(&desk.machine) };
        let webhook = saved(&world, &desk, draft).await;
        let first = handled(&world, &webhook, "m1", &json!({"email": "ann@acme.example"})).await;
        assert_eq!(outcomes(&first), [Outcome::Created, Outcome::Created]);
        world.app.run(&desk.ops, InboundDeliveryReplay { delivery: first.id }).await.unwrap();
        world.run_due_jobs().await;
        let again: InboundDelivery = world.app.store.find(first.id).await.unwrap().unwrap();
        assert_eq!(outcomes(&again)[0], Outcome::Unchanged);
        // Its account was found: it is refused since the first request is still open, or made again.
        assert!(again.done[1].fault.as_ref().is_none_or(|fault| fault.code != "INBOUND_ACCOUNT_UNKNOWN"), "{again:?}");
    }

    async fn a_lead_that_is_known_is_brought_up_to_date(world: World) {
        let desk = desk(&world).await;
        let field = CustomFieldDefine {
            entity: Entity::Lead,
            key: "budget".to_owned(),
            label: "Budget".to_owned(),
            kind: Kind::Text,
            choices: Vec::new(),
            required: false,
        };
        world.app.run(&world.system(), field).await.unwrap();
        let mut draft = form(&desk.machine);
        draft.actions[2].values.insert("externalId".to_owned(), "payload.id".to_owned());
        draft.actions[2].values.insert("custom.budget".to_owned(), "has(payload.budget) ? payload.budget : null".to_owned());
        draft.actions[2].values.insert("grade".to_owned(), "payload.grade".to_owned());
        let webhook = saved(&world, &desk, draft).await;
        let of = |grade: &str, topics: &[&str], budget: Value| {
            let mut payload = filled("ann@acme.example", true);
            payload["id"] = json!("one");
            payload["grade"] = json!(grade);
            payload["topics"] = json!(topics);
            payload["budget"] = budget;
            payload
        };
        handled(&world, &webhook, "m1", &of("C3", &["pricing"], Value::Null)).await;
        let before = world.ledger_kinds().await.len();
        let second = handled(&world, &webhook, "m2", &of("A1", &["security"], json!("50k"))).await;
        assert_eq!(outcomes(&second), [Outcome::Unchanged, Outcome::Unchanged, Outcome::Changed], "{second:?}");
        let [lead] = leads(&world).await.try_into().unwrap();
        assert_eq!(lead.grade.map(|grade| grade.to_string()).as_deref(), Some("A1"));
        assert_eq!((lead.tags.len(), lead.custom.get("budget")), (2, Some(&json!("50k"))));
        let facts = world.ledger_kinds().await.split_off(before);
        assert!(facts.iter().any(|kind| kind == "lead.changed") && facts.iter().any(|kind| kind == "lead.graded"), "{facts:?}");
        let again = handled(&world, &webhook, "m3", &of("A1", &["security"], json!("50k"))).await;
        assert_eq!(outcomes(&again), [Outcome::Unchanged; 3]);
        // The same by its keys alone; one that nobody knows is refused.
        let values = [("leadSource", "'form'"), ("leadExternalId", "payload.id"), ("tags", "['vip']"), ("grade", "'b2'")];
        let actions = vec![action(ActionKind::LeadChange, &values)];
        let webhook = saved(&world, &desk, Draft { key: "crm".to_owned(), filter: None, actions, ..form(&desk.machine) }).await;
        let done = handled(&world, &webhook, "m1", &json!({"id": "one"})).await;
        assert_eq!(outcomes(&done), [Outcome::Changed]);
        let [lead] = leads(&world).await.try_into().unwrap();
        assert_eq!(lead.grade.map(|grade| grade.to_string()).as_deref(), Some("B2"));
        assert!(lead.tags.contains("vip"));
        let unknown = handled(&world, &webhook, "m2", &json!({"id": "two"})).await;
        assert_eq!(fault(&unknown), ("actions.0.values.leadExternalId", "INBOUND_LEAD_UNKNOWN"));
    }

    async fn what_could_never_work_is_refused_when_it_is_saved_and_is_not_there_then(world: World) {
        let desk = desk(&world).await;
        let good = form(&desk.machine);
        let mut unknown = good.clone();
        unknown.actions[1].values.insert("name".to_owned(), "nofn(payload.x)".to_owned());
        let cases = [
            (unknown, "INBOUND_BAD_EXPRESSION", "actions.1.values.name"),
            (Draft { filter: Some("1".to_owned()), ..good.clone() }, "INBOUND_BAD_EXPRESSION", "filter"),
            (Draft { phone_region: Some("ZZ".to_owned()), ..good }, "INBOUND_BAD_REGION", "phoneRegion"),
        ];
        for (draft, code, place) in cases {
            let refused = world.app.run(&desk.ops, InboundWebhookSave { draft, secret: None }).await.unwrap_err();
            let names = matches!(&refused, tandem_app::AppError::Refused { field, .. } if field.as_deref() == Some(place));
            assert!(refused.code() == code && names, "{place}: {refused:?}");
            assert!(world.app.store.inbound_webhook_by_key("form").await.unwrap().is_none());
        }
        assert!(!world.ledger_kinds().await.iter().any(|kind| kind == "inbound_webhook.saved"));
    }
}
