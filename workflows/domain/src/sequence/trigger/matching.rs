//! Which entries of the ledger mean whom.

use super::kinds::{Field, FieldName, FieldOwner, Grading};
use super::{Trigger, TriggerKind, event};
use crate::expression::typing::Shape;
use crate::handoff::Reason;
use crate::id::{AccountId, ContactId, InteractionId, LeadId, ListId};
use crate::lead::Grade;
use crate::ledger::Entry;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// Whom an entry means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A person.
    Contact(ContactId),
    /// The person of a lead, with the lead.
    Lead(LeadId),
    /// The people at a company.
    Account(AccountId),
    /// Whoever did these.
    Doers(Vec<InteractionId>),
}

/// Whom an entry means, and what conditions see of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Meant {
    /// Whom.
    pub who: Who,
    /// The variable that the kind of trigger has beside the usual ones, with its value.
    pub seen: Option<(&'static str, Value)>,
}

/// The kinds of entries that may mean somebody, wake somebody or end a run, and those that tell of sequences themselves.
pub static KINDS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let leads = crate::outbound::types::EVENT_TYPES.iter().copied().filter(|kind| kind.starts_with("lead."));
    let others = [
        "contact.created",
        "contact.changed",
        "contact.consent_set",
        "account.changed",
        "visitor.identified",
        "list.account_suspended",
        "interaction.recorded",
        "events.applied",
        "list.change_approved",
        "list.account_restored",
        "list.suspension_ended",
        "handoff.returned",
        "opportunity.opened",
    ];
    leads.chain(others).chain(OF_SEQUENCES).collect()
});

/// The kinds of entries that tell of sequences themselves: which version listens from there on, or that none does.
pub const OF_SEQUENCES: [&str; 4] = ["sequence.published", "sequence.paused", "sequence.resumed", "sequence.archived"];

/// Whether an entry tells of the present. What is recorded more than a day after it happened, such as a past that is
/// imported, starts, wakes and ends nothing.
pub fn is_news(entry: &Entry) -> bool {
    entry.recorded_at.saturating_sub(entry.at) <= event::NEWS.num_milliseconds()
}

/// Whether a run of the sequence with this key made the entry.
fn is_of_sequence(entry: &Entry, key: &str) -> bool {
    let rule = entry.rule.as_deref().and_then(|rule| rule.strip_prefix("sequence:"));
    rule.and_then(|rule| rule.split_once('@')).is_some_and(|(made_by, _)| made_by == key)
}

pub(super) fn change_shape() -> Shape {
    Shape::Record(vec![("field", Shape::Text), ("old", Shape::Any), ("new", Shape::Any)])
}

pub(super) fn handoff_shape() -> Shape {
    let reasons = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    Shape::Record(vec![("reason", Shape::Code(reasons))])
}

pub(super) fn list_shape() -> Shape {
    Shape::Record(vec![("key", Shape::Text)])
}

fn change(field: &str, old: &Value, new: &Value) -> Option<(&'static str, Value)> {
    Some(("change", json!({ "field": field, "old": old, "new": new })))
}

/// Whom an entry means to a trigger of the sequence with this key. `lists` has the ids of the lists that triggers name.
///
/// What a run of the same sequence did means nobody, so that a sequence never starts itself.
pub fn meant(trigger: &Trigger, sequence: &str, entry: &Entry, lists: &BTreeMap<String, ListId>) -> Option<Meant> {
    if !is_news(entry) || is_of_sequence(entry, sequence) {
        return None;
    }
    match &trigger.kind {
        TriggerKind::List(list) => listed(entry, *lists.get(&list.list)?, &list.list),
        TriggerKind::Segment(_) => {
            let deeds = || done(entry).filter(|_| trigger.reads("interactions"));
            let lists = || relisted(entry).filter(|_| trigger.reads("lists"));
            if let Some(who) = deeds().or_else(lists) {
                return Some(Meant { who, seen: None });
            }
            let who = touched(entry)?;
            // What the condition does not read cannot have made it true.
            let concerned = match who {
                Who::Account(_) => trigger.reads(FieldOwner::Account.as_str()),
                Who::Lead(_) => trigger.reads(FieldOwner::Lead.as_str()),
                Who::Contact(_) | Who::Doers(_) => true,
            };
            concerned.then_some(Meant { who, seen: None })
        }
        TriggerKind::Event(on) => {
            let doers = doers(entry)?;
            let kind = entry.detail.get("kind").and_then(Value::as_str);
            let wanted = kind.is_none_or(|kind| on.event.iter().any(|wanted| wanted.as_str() == kind));
            wanted.then_some(Meant { who: Who::Doers(doers), seen: None })
        }
        TriggerKind::Field(field) => changed(field, entry),
        TriggerKind::Grade(grading) => graded(grading, entry),
        TriggerKind::Return(back) => {
            let reason: Reason = entry.reason.as_deref()?.parse().ok()?;
            let wanted = entry.kind == "handoff.returned" && back.reasons.contains(&reason);
            let seen = Some(("handoff", json!({ "reason": reason })));
            wanted.then_some(Meant { who: Who::Lead(entry.lead_id?.into()), seen })
        }
        TriggerKind::Date(date) => {
            let owner = FieldName::read(&date.field)?.owner;
            let who = touched(entry)?;
            let concerned = match who {
                Who::Contact(_) => owner != FieldOwner::Lead,
                Who::Account(_) => owner == FieldOwner::Account,
                Who::Lead(_) => owner == FieldOwner::Lead,
                Who::Doers(_) => false,
            };
            concerned.then_some(Meant { who, seen: None })
        }
        TriggerKind::Cron(_) => None,
    }
}

/// Of whom an entry says that something conditions may read is not what it was.
pub fn touched(entry: &Entry) -> Option<Who> {
    match entry.kind.as_str() {
        "contact.created" | "contact.changed" | "contact.consent_set" => Some(Who::Contact(entry.subject_id.into())),
        "account.changed" => Some(Who::Account(entry.subject_id.into())),
        kind if kind.starts_with("lead.") => Some(Who::Lead(entry.lead_id?.into())),
        _ => None,
    }
}

/// The interactions that an entry tells of, as far as it is known who did them.
pub fn doers(entry: &Entry) -> Option<Vec<InteractionId>> {
    match entry.kind.as_str() {
        "interaction.recorded" => Some(vec![entry.subject_id.into()]),
        "events.applied" => {
            let heard = entry.detail.get("heard")?.as_array()?;
            let ids = heard.iter().filter_map(|id| id.as_str()?.parse::<Uuid>().ok()).map(InteractionId);
            Some(ids.collect::<Vec<_>>()).filter(|ids| !ids.is_empty())
        }
        _ => None,
    }
}

/// Of whom an entry says that they did something, or that it is known now who did.
pub fn done(entry: &Entry) -> Option<Who> {
    if entry.kind != "visitor.identified" {
        return doers(entry).map(Who::Doers);
    }
    let contact = entry.detail.get("contact")?.as_str()?.parse::<Uuid>().ok()?;
    Some(Who::Contact(contact.into()))
}

/// Of which company an entry says that it may be worked on for other lists than before.
pub fn relisted(entry: &Entry) -> Option<Who> {
    const KINDS: [&str; 4] =
        ["list.change_approved", "list.account_restored", "list.account_suspended", "list.suspension_ended"];
    let account = entry.account_id.filter(|_| KINDS.contains(&entry.kind.as_str()))?;
    Some(Who::Account(account.into()))
}

fn listed(entry: &Entry, list: ListId, key: &str) -> Option<Meant> {
    let on_list = entry.detail.get("list")?.as_str()?.parse::<Uuid>().ok()? == Uuid::from(list);
    let state = |at: usize| entry.detail.get("membership").and_then(|states| states[at].as_str());
    let becomes_active = match entry.kind.as_str() {
        // A removal that is not agreed to leaves the account what it was.
        "list.change_approved" => state(1) == Some("ACTIVE") && state(0) != Some("REMOVAL_PROPOSED"),
        "list.account_restored" | "list.suspension_ended" => true,
        _ => false,
    };
    let seen = Some(("list", json!({ "key": key })));
    (on_list && becomes_active).then_some(Meant { who: Who::Account(entry.account_id?.into()), seen })
}

fn changed(field: &Field, entry: &Entry) -> Option<Meant> {
    let name = FieldName::read(&field.field)?;
    let who = touched(entry)?;
    let (old, new) = match (&who, name.owner) {
        (Who::Contact(_), FieldOwner::Contact) => contact_change(&name, entry)?,
        (Who::Account(_), FieldOwner::Account) => {
            let changes = entry.detail.get("changes")?;
            let pair = |key: &str| changes.get(key).map(|pair| (pair[0].clone(), pair[1].clone()));
            if name.custom {
                let (old, new) = pair("custom")?;
                let (old, new) = (old[name.name.as_str()].clone(), new[name.name.as_str()].clone());
                Some((old, new)).filter(|(old, new)| old != new)?
            } else {
                pair(&name.name)?
            }
        }
        (Who::Lead(_), FieldOwner::Lead) => lead_change(&name, entry)?,
        _ => return None,
    };
    Some(Meant { who, seen: change(&field.field, &old, &new) })
}

/// The record has the names of a contact's fields and not their values, which concern a person; but for the consent, and for
/// the company, which it has by its id.
fn contact_change(name: &FieldName, entry: &Entry) -> Option<(Value, Value)> {
    let consent = !name.custom && name.name == "consent";
    if consent && entry.kind == "contact.consent_set" {
        return Some((json!(entry.state_before), json!(entry.state_after)));
    }
    if entry.kind != "contact.changed" {
        return None;
    }
    // Of what is no secret of the person the values are kept too.
    if !name.custom
        && ["account", "consent"].contains(&name.name.as_str())
        && let Some(values) = entry.detail.get(&name.name)
    {
        return Some((values[0].clone(), values[1].clone()));
    }
    let fields = entry.detail.get("fields")?.as_array()?;
    let written = if name.custom { format!("custom.{}", name.name) } else { name.name.clone() };
    fields.iter().any(|field| field.as_str() == Some(&written)).then_some((Value::Null, Value::Null))
}

fn lead_change(name: &FieldName, entry: &Entry) -> Option<(Value, Value)> {
    if name.custom {
        let fields = entry.detail.get("fields")?.as_array()?;
        let written = format!("custom.{}", name.name);
        return fields.iter().any(|field| field.as_str() == Some(&written)).then_some((Value::Null, Value::Null));
    }
    let told = |kind: &str| {
        let value = |key: &str| entry.detail.get(key).cloned().unwrap_or_default();
        (entry.kind == kind).then(|| (value("from"), value("to")))
    };
    let (old, new) = match name.name.as_str() {
        "stage" => (json!(entry.state_before.as_ref()?), json!(entry.state_after.as_ref()?)),
        "grade" => told("lead.graded")?,
        "priority" => told("lead.prioritised")?,
        _ => return None,
    };
    (old != new).then_some((old, new))
}

fn graded(grading: &Grading, entry: &Entry) -> Option<Meant> {
    if entry.kind != "lead.graded" {
        return None;
    }
    let value = |key: &str| entry.detail.get(key).cloned().unwrap_or_default();
    let (old, new) = (value("from"), value("to"));
    let grade = |value: &Value| value.as_str().and_then(|text| text.parse::<Grade>().ok());
    let among = |grades: &[Grade], grade: Option<Grade>| {
        grades.is_empty() || grade.is_some_and(|grade| grades.contains(&grade))
    };
    let wanted = old != new && among(&grading.to, grade(&new)) && among(&grading.from, grade(&old));
    let seen = change("grade", &old, &new);
    wanted.then_some(Meant { who: Who::Lead(entry.lead_id?.into()), seen })
}

/// The variable of a trigger with what the record leaves out: the new value of a field is the one that it has.
pub fn completed(trigger: &Trigger, seen: Option<(&'static str, Value)>, data: &Value) -> Map<String, Value> {
    let mut variables = Map::new();
    let Some((name, mut value)) = seen else { return variables };
    if let (TriggerKind::Field(field), "change") = (&trigger.kind, name)
        && let Some(field) = FieldName::read(&field.field)
        && value["new"].is_null()
        && value["old"].is_null()
    {
        value["new"] = field.value(data).clone();
    }
    variables.insert(name.to_owned(), value);
    variables
}
