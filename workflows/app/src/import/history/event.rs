//! The timed events of a funnel that ran elsewhere, as lines of JSON or as rows of a CSV file with a mapping.

use crate::import::fault::Fault;
use crate::import::mapping::{Bound, Fields, Known, moment, short};
use crate::import::reader::Record;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};
use tandem_domain::codes;

codes! {
    /// What happened to a lead.
    pub enum EventKind("history event") {
        /// It came in.
        LeadReceived = "lead_received",
        /// An SDR checked and completed it.
        Verified = "verified",
        /// It was handed to a named person in sales.
        Dispatched = "dispatched",
        /// That person took it.
        Accepted = "accepted",
        /// It was sold.
        Won = "won",
        /// It was worked and not sold.
        Lost = "lost",
        /// Sales gave it back.
        Returned = "returned",
    }
}

/// The fields of an event.
pub const KNOWN: &[Known] = &[
    Known::required("lead"),
    Known::one("at"),
    Known::one("source"),
    Known::one("contact"),
    Known::one("contactName"),
    Known::one("contactEmail"),
    Known::one("contactPhone"),
    Known::one("contactTitle"),
    Known::one("account"),
    Known::one("accountName"),
    Known::one("accountDomain"),
    Known::one("sdr"),
    Known::one("rep"),
    Known::one("amount"),
    Known::one("currency"),
    Known::one("reason"),
    Known::text("note"),
];

/// One event of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: DateTime<Utc>,
    /// The lead's id where it came from.
    pub lead: String,
    /// Everything else.
    pub fields: Fields,
}

/// What one row of a file gives: its place, its events and, for the reject file, its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which it starts.
    pub line: u64,
    /// The cells, for the reject file.
    pub cells: Vec<String>,
    /// Its events, in the order of the mapping.
    pub events: Vec<Event>,
}

/// How rows become events.
pub enum Shape {
    /// Each line is a JSON object with `event`, `at`, `lead` and so on.
    Json,
    /// Each row of a CSV file gives the events of the mapping.
    Mapped(Vec<(EventKind, bool, Bound)>),
}

impl Shape {
    /// The events of a row, or what is wrong with it.
    pub fn events(&self, row: &Record) -> Result<Vec<Event>, Fault> {
        match self {
            Self::Json => json_event(row.cells.first().map_or("", String::as_str)).map(|event| vec![event]),
            Self::Mapped(events) => {
                let mut found = Vec::with_capacity(events.len());
                for (kind, optional, bound) in events {
                    let fields = bound.apply(row)?;
                    match fields.text("at") {
                        Some(at) => {
                            let at = bound.moment("at", at)?;
                            found.push(Event {
                                kind: *kind,
                                at,
                                lead: fields.owned("lead").unwrap_or_default(),
                                fields,
                            });
                        }
                        None if *optional => {}
                        None => {
                            let sentence = format!("`at` of the event `{kind}` is empty; say when it happened");
                            return Err(Fault::new(bound.column("at"), "IMPORT_VALUE_MISSING", sentence));
                        }
                    }
                }
                Ok(found)
            }
        }
    }

    /// The column that feeds a field, for messages.
    pub fn column(&self, field: &str) -> String {
        match self {
            Self::Json => field.to_owned(),
            Self::Mapped(events) => {
                let fed = events.iter().map(|(_, _, bound)| bound.column(field)).find(|column| column != field);
                fed.unwrap_or_else(|| field.to_owned())
            }
        }
    }
}

/// Reads `{"event": "won", "at": "2026-05-01T09:00:00Z", "lead": "L-1", ...}`. An inner object `contact` or
/// `account` gives `contactName`, `accountDomain` and so on.
fn json_event(text: &str) -> Result<Event, Fault> {
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        Fault::new("", "IMPORT_JSON", format!("the line is not a JSON object: {error}; each line holds one event"))
    })?;
    let mut fields = Fields::default();
    for (key, value) in &object {
        match value {
            Value::Object(inner) => {
                for (part, value) in inner {
                    let mut letters = part.chars();
                    let name: String = letters.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
                    put(&mut fields, &format!("{key}{name}{}", letters.as_str()), value)?;
                }
            }
            value => put(&mut fields, key, value)?,
        }
    }
    let need = |name: &str| {
        fields.owned(name).filter(|text| !text.is_empty()).ok_or_else(|| {
            Fault::new(name, "IMPORT_VALUE_MISSING", format!("`{name}` is missing and every event needs it"))
        })
    };
    let kind = need("event")?.parse().map_err(|error: tandem_domain::code::UnknownCode| {
        Fault::new("event", "HISTORY_EVENT_UNKNOWN", error.to_string())
    })?;
    let (at, lead) = (need("at")?, need("lead")?);
    let at = moment(&at, &[], Tz::UTC)
        .ok_or_else(|| Fault::new("at", "IMPORT_DATE", format!("`{}` is not a time; expected RFC 3339", short(&at))))?;
    Ok(Event { kind, at, lead, fields })
}

fn put(fields: &mut Fields, name: &str, value: &Value) -> Result<(), Fault> {
    if name != "event" && !KNOWN.iter().any(|known| known.name == name) {
        let known = KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", ");
        let sentence = format!("there is no field `{}`; an event has event, {known}", short(name));
        return Err(Fault::new(short(name), "IMPORT_FIELD_UNKNOWN", sentence));
    }
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            let sentence = format!("`{name}` must be a text or a number");
            return Err(Fault::new(name, "IMPORT_VALUE_INVALID", sentence));
        }
    };
    if text.contains('\0') {
        return Err(Fault::new(name, "IMPORT_CONTROL_CHARACTER", format!("`{name}` holds a NUL character; remove it")));
    }
    if !text.is_empty() {
        fields.set(name, text);
    }
    Ok(())
}
