//! What an effect is called in a line, and what it does to what is known of the person.

use super::told::moment;
use crate::contact::ConsentState;
use crate::custom_field::{self, CustomField, Values};
use crate::lead::{Stage, USUAL_PRIORITY};
use crate::normalise;
use crate::sequence::calling::Request;
use crate::sequence::steps::set_field::PlannedField;
use crate::sequence::steps::{Effect, Failure, Record};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What happens, in one line. Moments are told in a zone.
pub(super) fn describe(effect: &Effect, zone: Tz) -> String {
    match effect {
        Effect::SendEmail(email) => format!("send e-mail \"{}\"", email.subject),
        Effect::CreateTask(task) => {
            format!("create task \"{}\", due {}", task.title, moment(task.due_at, zone))
        }
        Effect::SetField(field) => format!("set {} to {}", field.key, field.value),
        Effect::Tag(tags) => {
            let signed = |sign, tags: &[String]| tags.iter().map(|tag| format!("{sign}{tag}")).collect::<Vec<_>>();
            let both = [signed('+', &tags.add), signed('-', &tags.remove)].concat();
            format!("tag the {}: {}", tags.of.name(), both.join(" "))
        }
        Effect::Consent(consent) => format!("record consent {} from \"{}\"", consent.state, consent.source),
        Effect::Propose(proposal) => format!("propose the account for the list {}", proposal.list),
        Effect::HandToSdr(handover) => match &handover.team {
            Some(team) => format!("hand the lead to the SDRs of {team}"),
            None => "hand the lead to the SDRs".to_owned(),
        },
        Effect::StartSequence(start) => format!("start the sequence {}", start.sequence),
        Effect::StopSequence(stop) => format!("end the runs through the sequence {}", stop.sequence),
        Effect::Call(call) => match &call.request {
            Request::Message { title, text, .. } => {
                format!("tell {} \"{}\"", call.channel, title.as_deref().unwrap_or(text))
            }
            Request::Http { method, .. } => format!("call {} by {method}", call.channel),
        },
    }
}

/// The values of the record's custom fields once one is set, as they are kept: by the rule of production where it is known which
/// fields there are, else as they come. None where there is no such record.
fn with_field(
    field: &PlannedField,
    data: &Value,
    fields: Option<&[CustomField]>,
) -> Result<Option<Values>, custom_field::Refusal> {
    let custom = data.get(field.owner.name()).and_then(|record| record.get("custom")).and_then(Value::as_object);
    let Some(custom) = custom else { return Ok(None) };
    let mut values: Values = custom.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    match (fields, &field.value) {
        (Some(fields), value) => {
            let change = Values::from([(field.key.clone(), value.clone())]);
            custom_field::apply(fields, field.owner.entity(), &mut values, &change)?;
        }
        (None, Value::Null) => drop(values.remove(&field.key)),
        (None, value) => drop(values.insert(field.key.clone(), value.clone())),
    }
    Ok(Some(values))
}

/// Why the effect cannot be had, so that the run fails instead. `fields` are the custom fields; none where nobody knows them, and any
/// value fits.
pub(super) fn refusal(effect: &Effect, data: &Value, fields: Option<&[CustomField]>) -> Option<Failure> {
    let of = match effect {
        Effect::SetField(field) => field.owner,
        Effect::Tag(tags) => tags.of,
        _ => return None,
    };
    if of == Record::Lead && data.get("lead").is_none_or(Value::is_null) {
        let message = "the enrolment has no lead that the step could change; enrol the lead instead of the contact";
        return Some(Failure::new("ENROLLMENT_LEAD_MISSING", message));
    }
    match effect {
        Effect::SetField(field) => match field.priority() {
            Some(priority) => priority.err(),
            None => with_field(field, data, fields).err().map(|no| Failure::new(no.code(), no.to_string())),
        },
        _ => None,
    }
}

/// Whether a lead that is handed to the SDRs comes to them: one that is made, or that nobody has.
pub(super) fn hands_over(data: &Value) -> bool {
    let Some(lead) = data.get("lead").filter(|lead| !lead.is_null()) else { return true };
    let stage = lead.get("stage").and_then(Value::as_str).and_then(|stage| stage.parse().ok());
    matches!(stage, Some(Stage::Received | Stage::Nurturing | Stage::Recycled))
}

fn set(data: &mut Value, record: Record, field: &str, value: Value) {
    if let Some(Value::Object(record)) = data.get_mut(record.name()) {
        record.insert(field.to_owned(), value);
    }
}

/// Does to the data what the effect does at a moment; whether the person may not be written to any more. `fields` as for
/// [`refusal`].
pub(super) fn apply(effect: &Effect, data: &mut Value, fields: Option<&[CustomField]>, now: DateTime<Utc>) -> bool {
    match effect {
        Effect::SetField(field) => {
            if let Some(priority) = field.priority() {
                // As it is kept: a number, also where it was written as a text.
                set(data, Record::Lead, "priority", json!(priority.ok()));
            } else if let Ok(Some(values)) = with_field(field, data, fields) {
                set(data, field.owner, "custom", json!(values));
            }
        }
        Effect::Tag(tags) => {
            let known = data.pointer(&format!("/{}/tags", tags.of.name())).and_then(Value::as_array);
            let mut known: BTreeSet<String> =
                known.into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
            known.extend(normalise::tags(&tags.add).unwrap_or_default());
            let removed = normalise::tags(&tags.remove).unwrap_or_default();
            let left: Vec<_> = known.difference(&removed).collect();
            if let Some(Value::Object(record)) = data.get_mut(tags.of.name()) {
                record.insert("tags".to_owned(), json!(left));
            }
        }
        Effect::Consent(consent) => {
            set(data, Record::Contact, "consent", json!(consent.state));
            return consent.state == ConsentState::Withdrawn;
        }
        Effect::HandToSdr(handover) => {
            if data.get("lead").is_none_or(Value::is_null) {
                data["lead"] = json!({
                    "id": Uuid::nil(),
                    "stage": Stage::Queued,
                    "source": handover.source,
                    "grade": null,
                    "priority": handover.priority.unwrap_or(USUAL_PRIORITY),
                    "received_at": now.to_rfc3339(),
                    "reason": null,
                    "tags": [],
                    "custom": {},
                });
                return false;
            }
            // One that the SDRs or sales have already stays where it is.
            if hands_over(data)
                && let Some(Value::Object(lead)) = data.get_mut("lead")
            {
                lead.insert("stage".to_owned(), json!(Stage::Queued));
                if let Some(priority) = handover.priority {
                    lead.insert("priority".to_owned(), json!(priority));
                }
            }
        }
        Effect::SendEmail(_)
        | Effect::CreateTask(_)
        | Effect::Propose(_)
        | Effect::StartSequence(_)
        | Effect::StopSequence(_)
        | Effect::Call(_) => {}
    }
    false
}
