//! The settings of each kind of trigger, their checks, and the moment of a date.

use super::cron_fields::CronFields;
use crate::expression::typing::suggestion;
use crate::handoff::Reason;
use crate::interaction::InteractionKind;
use crate::lead::Grade;
use crate::sequence::definition::is_name;
use crate::sequence::span::{Span, TimeOfDay};
use crate::sequence::steps::wait::existing;
use crate::sequence::validate::{Check, Rule};
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// An account becomes active on a target list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// The key of the list.
    #[schemars(length(min = 1, max = 64))]
    pub list: String,
}

impl List {
    pub(super) fn check(&self, check: &mut Check<'_, '_>) {
        if self.list.is_empty() || self.list.len() > 64 {
            check.problem("list", Rule::Shape, "a list is named by its key, 1 to 64 characters; write that");
        }
    }
}

/// The condition begins to hold for a contact.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    /// Whether those for whom it holds already when it is published are meant too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub existing: bool,
}

/// A person does something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnEvent {
    /// What: one of these.
    #[schemars(length(min = 1))]
    pub event: Vec<InteractionKind>,
}

impl OnEvent {
    pub(super) fn check(&self, check: &mut Check<'_, '_>) {
        if self.event.is_empty() {
            check.problem("event", Rule::Shape, "no kind of event is named; name one, e.g. `[FORM]`");
        }
    }
}

/// Whose field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldOwner {
    /// The person's.
    Contact,
    /// The company's.
    Account,
    /// The lead's.
    Lead,
}

impl FieldOwner {
    /// As it is written in front of the field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Account => "account",
            Self::Lead => "lead",
        }
    }

    /// The fields whose changes are on record by name.
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Contact => {
                &["account", "consent", "email", "locale", "name", "phone", "source", "tags", "time_zone", "title"]
            }
            Self::Account => &["country", "domains", "industry", "name", "tags", "territory", "tier"],
            Self::Lead => &["grade", "priority", "stage"],
        }
    }
}

/// A field by its name: `account.tier`, `contact.custom.renewal_on`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldName {
    /// Whose it is.
    pub owner: FieldOwner,
    /// Its name, or the key of the custom field.
    pub name: String,
    /// Whether it is a custom field.
    pub custom: bool,
}

impl FieldName {
    /// Reads a name as it is written.
    pub fn read(text: &str) -> Option<Self> {
        let (owner, rest) = text.split_once('.')?;
        let owner =
            [FieldOwner::Contact, FieldOwner::Account, FieldOwner::Lead].into_iter().find(|o| o.as_str() == owner)?;
        let (name, custom) = rest.strip_prefix("custom.").map_or((rest, false), |key| (key, true));
        is_name(name).then(|| Self { owner, name: name.to_owned(), custom })
    }

    /// The value in the data of a sequence's subject; null where there is none.
    pub fn value<'d>(&self, data: &'d Value) -> &'d Value {
        let owner = &data[self.owner.as_str()];
        if self.custom { &owner["custom"][self.name.as_str()] } else { &owner[self.name.as_str()] }
    }
}

/// A field changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Which.
    pub field: String,
}

impl Field {
    pub(super) fn check(&self, check: &mut Check<'_, '_>) {
        match FieldName::read(&self.field) {
            None => {
                let message = "a field is written `contact.<name>`, `account.<name>` or `lead.<name>`, a custom one \
                               `contact.custom.<key>`; write it so";
                check.problem("field", Rule::Shape, message);
            }
            Some(field) if !field.custom && !field.owner.fields().contains(&field.name.as_str()) => {
                let owner = field.owner.as_str();
                let hint = suggestion(&field.name, field.owner.fields());
                check.problem(
                    "field",
                    Rule::Shape,
                    format!("changes of `{owner}.{}` are not on record{hint}", field.name),
                );
            }
            Some(_) => {}
        }
    }
}

/// The grade of a lead changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grading {
    /// To one of these; without them, to any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Grade>,
    /// From one of these; without them, from any or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<Grade>,
}

/// Sales gives an opportunity back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Return {
    /// For one of these reasons.
    #[schemars(length(min = 1))]
    pub reasons: Vec<Reason>,
}

impl Return {
    pub(super) fn check(&self, check: &mut Check<'_, '_>) {
        if self.reasons.is_empty() {
            check.problem("reasons", Rule::Shape, "no reason is named; name one, e.g. `[BAD_TIMING]`");
        }
    }
}

/// A number of days before (`-30d`, `-2w`) or after (`14d`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offset {
    days: i64,
}

impl std::str::FromStr for Offset {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown: String = text.chars().take(40).collect();
            format!("`{shown}` is no number of days; write `-30d` for before, `14d` for after, in whole days or weeks")
        };
        let (sign, rest) =
            text.strip_prefix('-').map_or((1, text.strip_prefix('+').unwrap_or(text)), |rest| (-1, rest));
        if rest == "0d" {
            return Ok(Self { days: 0 });
        }
        let span: Span = rest.parse().map_err(|_| wrong())?;
        let minutes = span.delta().num_minutes();
        if minutes % (24 * 60) == 0 { Ok(Self { days: sign * (minutes / (24 * 60)) }) } else { Err(wrong()) }
    }
}

impl Serialize for Offset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}d", self.days))
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A moment before, on or after a date in a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Date {
    /// Which field: a custom field, or `lead.received_at`.
    pub field: String,
    /// How many days before or after; without it, on the day.
    #[serde(default, skip_serializing_if = "is_on_the_day")]
    #[schemars(extend("default" = "0d"))]
    pub offset: Offset,
    /// The time of that day where the contact lives; without it, 09:00.
    #[serde(default = "in_the_morning")]
    pub at: TimeOfDay,
}

fn is_on_the_day(offset: &Offset) -> bool {
    offset.days == 0
}

fn in_the_morning() -> TimeOfDay {
    TimeOfDay(chrono::NaiveTime::from_hms_opt(9, 0, 0).unwrap_or_default())
}

impl Date {
    pub(super) fn check(&self, check: &mut Check<'_, '_>) {
        let field = FieldName::read(&self.field);
        let has_dates =
            |field: &FieldName| field.custom || (field.owner == FieldOwner::Lead && field.name == "received_at");
        if !field.as_ref().is_some_and(has_dates) {
            let message = "dates are in custom fields and in `lead.received_at`; write `contact.custom.<key>`, \
                           `account.custom.<key>` or `lead.custom.<key>`";
            check.problem("field", Rule::Shape, message);
        }
    }

    /// The date in the field of a subject with these data, in the zone where it lives: `YYYY-MM-DD`, or the day of a moment.
    pub fn date(&self, data: &Value, zone: Tz) -> Option<NaiveDate> {
        let field = FieldName::read(&self.field)?;
        let text = field.value(data).as_str()?;
        match DateTime::parse_from_rfc3339(text) {
            Ok(moment) => Some(moment.with_timezone(&zone).date_naive()),
            Err(_) => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
        }
    }

    /// The moment for a date; none where the calendar ends before it.
    pub fn moment(&self, date: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
        let days = Days::new(self.offset.days.unsigned_abs());
        let day = if self.offset.days < 0 { date.checked_sub_days(days) } else { date.checked_add_days(days) }?;
        // What lies beyond has no moment in milliseconds, and nobody waits for it.
        let far = |day: NaiveDate| !(1900..=9000).contains(&chrono::Datelike::year(&day));
        if far(day) { None } else { existing(day.and_time(self.at.0), zone) }
    }
}

/// A time of day, week or month.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cron {
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The IANA zone in which they are meant; without it, UTC.
    #[serde(default = "utc", with = "zone_by_name")]
    #[schemars(with = "String", extend("default" = "UTC"))]
    pub zone: Tz,
}

const fn utc() -> Tz {
    Tz::UTC
}

impl Cron {
    pub(super) fn check(&self, check: &mut Check<'_, '_>) {
        if let Err(message) = self.cron.parse::<CronFields>() {
            check.problem("cron", Rule::Shape, message);
        }
    }
}

mod zone_by_name {
    use super::{Deserialize, Deserializer, Serializer, Tz};

    pub(super) fn serialize<S: Serializer>(zone: &Tz, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(zone.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Tz, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(|_| {
            let shown: String = name.chars().take(60).collect();
            serde::de::Error::custom(format!(
                "`{shown}` is no zone of the IANA database; write one such as Europe/Berlin"
            ))
        })
    }
}
