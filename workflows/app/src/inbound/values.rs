//! The values that a payload gave for the fields of one action, read as what the fields are.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tandem_domain::account::AccountPatch;
use tandem_domain::contact::{ConsentGiven, ContactPatch};
use tandem_domain::edit::Edit;
use tandem_domain::inbound::{Fault, Step};

use crate::contacts::ContactRow;

pub(super) type Read<T> = std::result::Result<T, Fault>;

/// The values of a step whose condition held.
pub(super) struct Values<'a> {
    place: usize,
    values: &'a BTreeMap<String, Value>,
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl<'a> Values<'a> {
    pub(super) fn of(step: &'a Step) -> Option<Self> {
        Some(Self { place: step.place, values: step.values.as_ref()? })
    }

    /// The action's place.
    pub(super) const fn place(&self) -> usize {
        self.place
    }

    /// A fault at a field.
    pub(super) fn fault(&self, field: &str, code: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault::new(format!("actions.{}.values.{field}", self.place), code, message)
    }

    /// A fault of the whole action.
    pub(super) fn fault_of_all(&self, code: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault::new(format!("actions.{}", self.place), code, message)
    }

    fn wrong(&self, field: &str, expected: &str) -> Fault {
        self.fault(field, "INBOUND_VALUE_INVALID", format!("the expression must give {expected}"))
    }

    /// A text; numbers and truth values are written out.
    pub(super) fn text(&self, field: &str) -> Read<Option<String>> {
        let Some(value) = self.values.get(field) else { return Ok(None) };
        scalar(value).map(Some).ok_or_else(|| self.wrong(field, "a text, a number, true or false"))
    }

    /// A text that the definition's check made sure of.
    pub(super) fn needed(&self, field: &str) -> Read<String> {
        self.text(field)?.ok_or_else(|| self.fault(field, "INBOUND_VALUE_MISSING", format!("`{field}` is needed")))
    }

    /// A value of a closed set, written in any case.
    pub(super) fn code<T: std::str::FromStr<Err: std::fmt::Display>>(&self, field: &str) -> Read<Option<T>> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        text.to_uppercase()
            .parse()
            .map(Some)
            .map_err(|error: T::Err| self.fault(field, tandem_domain::code::UnknownCode::CODE, error.to_string()))
    }

    /// Several texts: a list, or one.
    pub(super) fn list(&self, field: &str) -> Read<Option<Vec<String>>> {
        let Some(value) = self.values.get(field) else { return Ok(None) };
        let items = match value {
            Value::Array(items) => items.iter().map(scalar).collect(),
            one => scalar(one).map(|one| vec![one]),
        };
        items.map(Some).ok_or_else(|| self.wrong(field, "a text or a list of texts"))
    }

    fn edit(&self, field: &str) -> Read<Edit<String>> {
        Ok(Edit::given(self.text(field)?))
    }

    fn family(&self, family: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.values.iter().filter_map(move |(field, value)| Some((field.strip_prefix(family)?, value)))
    }

    /// The values of custom fields, whose definitions check them.
    pub(super) fn custom(&self) -> BTreeMap<String, Value> {
        self.family("custom.").map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// The values that an enrolment takes along.
    pub(super) fn vars(&self) -> Map<String, Value> {
        self.family("vars.").map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// What else is told of something that was done.
    pub(super) fn properties(&self) -> Map<String, Value> {
        self.family("properties.").map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// A moment: RFC 3339.
    pub(super) fn moment(&self, field: &str) -> Read<Option<DateTime<Utc>>> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let moment = DateTime::parse_from_rfc3339(&text).map(|moment| moment.to_utc());
        moment.map(Some).map_err(|_| self.wrong(field, "a moment as of RFC 3339, such as 2026-03-01T09:30:00Z"))
    }

    /// A whole number from 0.
    pub(super) fn count(&self, field: &str) -> Read<Option<u32>> {
        let Some(text) = self.text(field)? else { return Ok(None) };
        let number = text.parse::<f64>().ok().filter(|number| (0.0..=f64::from(u32::MAX)).contains(number));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        number.map(|number| Some(number as u32)).ok_or_else(|| self.wrong(field, "a number from 0"))
    }

    fn external(&self) -> Read<BTreeMap<String, Option<String>>> {
        self.family("external.")
            .map(|(system, value)| {
                let id =
                    scalar(value).ok_or_else(|| self.wrong(&format!("external.{system}"), "a text or a number"))?;
                Ok((system.to_owned(), Some(id)))
            })
            .collect()
    }

    /// An account, as the payload describes it.
    pub(super) fn account(&self) -> Read<AccountPatch> {
        Ok(AccountPatch {
            name: self.text("name")?,
            domains: self.list("domains")?,
            registry_number: self.edit("registryNumber")?,
            external_ids: self.external()?,
            tier: self.edit("tier")?,
            industry: self.edit("industry")?,
            territory: self.edit("territory")?,
            country: self.edit("country")?,
            tags: self.list("tags")?,
            custom: self.custom(),
            source: self.edit("source")?,
        })
    }

    /// The company that is named beside something else; none where none is.
    pub(super) fn company(&self) -> Read<Option<AccountPatch>> {
        let patch = AccountPatch {
            name: self.text("account")?,
            domains: self.list("accountDomain")?,
            registry_number: self.edit("accountRegistryNumber")?,
            ..AccountPatch::default()
        };
        Ok(Some(patch).filter(|patch| *patch != AccountPatch::default()))
    }

    /// A contact and its company, as the payload describes them.
    pub(super) fn contact(&self) -> Read<ContactRow> {
        let state = self.code("consent")?;
        let source = self.text("consentSource")?;
        let contact = ContactPatch {
            name: self.edit("name")?,
            title: self.edit("title")?,
            locale: self.edit("locale")?,
            time_zone: self.edit("timeZone")?,
            consent: state.map(|state| ConsentGiven { state, source, at: None }),
            tags: self.list("tags")?,
            custom: self.custom(),
            source: self.edit("source")?,
            ..self.person()?
        };
        Ok(ContactRow { contact, account: self.company()? })
    }

    /// The keys of a contact alone.
    pub(super) fn person(&self) -> Read<ContactPatch> {
        Ok(ContactPatch {
            email: self.edit("email")?,
            phone: self.edit("phone")?,
            external_ids: self.external()?,
            ..ContactPatch::default()
        })
    }
}
