//! What the traits of an identify and of a group say of a person and a company.
//!
//! Source of the names: the reserved traits of the Segment specification.

use super::Trust;
use super::event::id;
use super::source::EventSource;
use crate::account::AccountPatch;
use crate::contact::{Contact, ContactPatch};
use crate::custom_field::{CustomField, Entity};
use crate::edit::Edit;
use serde_json::{Map, Value};

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = match fields.get(name)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty() && !text.contains('\0'))
}

fn object<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    fields.get(name)?.as_object()
}

/// The traits of an event; senders put them in one of two places.
fn traits(event: &Map<String, Value>) -> Option<&Map<String, Value>> {
    object(event, "traits").or_else(|| object(object(event, "context")?, "traits"))
}

/// The values of custom fields among traits. A trait that is no field is left to the event.
fn custom(fields: &[CustomField], entity: Entity, traits: &Map<String, Value>) -> crate::custom_field::Values {
    let known = fields.iter().filter(|field| field.entity == entity && field.active);
    known.filter_map(|field| Some((field.key.clone(), traits.get(&field.key)?.clone()))).collect()
}

/// The person that an identify tells of; none where it has nothing by which a person is known.
pub fn person(source: &EventSource, fields: &[CustomField], event: &Map<String, Value>) -> Option<ContactPatch> {
    let empty = Map::new();
    let traits = traits(event).unwrap_or(&empty);
    let email = text(traits, "email");
    let user = id(event.get("userId"));
    // A phone number in a page's form is no proof of who somebody is.
    if email.is_none() && (source.trust == Trust::Browser || user.is_none()) {
        return None;
    }
    let name = text(traits, "name").or_else(|| {
        let parts = ["firstName", "lastName"].map(|part| text(traits, part));
        let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Some(name).filter(|name| !name.is_empty())
    });
    let context = object(event, "context");
    let locale = text(traits, "locale").or_else(|| text(context?, "locale"));
    let zone = text(traits, "timezone").or_else(|| text(context?, "timezone"));
    Some(ContactPatch {
        name: Edit::given(name),
        email: Edit::given(email),
        phone: Edit::given(text(traits, "phone")),
        title: Edit::given(text(traits, "title")),
        locale: Edit::given(locale),
        time_zone: Edit::given(zone),
        custom: custom(fields, Entity::Contact, traits),
        external_ids: user.map(|user| (source.user_system.clone(), Some(user))).into_iter().collect(),
        source: Edit::Set(source.key.clone()),
        ..ContactPatch::default()
    })
}

/// The company that a group tells of; none where it has neither name nor domain.
pub fn company(source: &EventSource, fields: &[CustomField], event: &Map<String, Value>) -> Option<AccountPatch> {
    let traits = traits(event)?;
    let domain = ["domain", "website", "url"].into_iter().find_map(|name| text(traits, name));
    let name = text(traits, "name");
    if domain.is_none() && name.is_none() {
        return None;
    }
    let external = id(event.get("groupId")).map(|group| (source.user_system.clone(), Some(group)));
    Some(AccountPatch {
        name,
        domains: domain.map(|domain| vec![domain]),
        external_ids: external.into_iter().collect(),
        industry: Edit::given(text(traits, "industry")),
        custom: custom(fields, Entity::Account, traits),
        source: Edit::Set(source.key.clone()),
        ..AccountPatch::default()
    })
}

/// What a sender that is not believed may say of a contact that is there: it fills blanks, and overwrites nothing.
pub fn fill(patch: ContactPatch, known: &Contact) -> ContactPatch {
    let blank = |edit: Edit<String>, is_known: bool| if is_known { Edit::Keep } else { edit };
    ContactPatch {
        name: blank(patch.name, known.name.is_some()),
        phone: blank(patch.phone, known.phone.is_some()),
        title: blank(patch.title, known.title.is_some()),
        locale: blank(patch.locale, known.locale.is_some()),
        time_zone: blank(patch.time_zone, known.time_zone.is_some()),
        custom: patch.custom.into_iter().filter(|(key, _)| !known.custom.contains_key(key)).collect(),
        // An id of ours elsewhere is a key: whoever could add one could become that person.
        external_ids: std::collections::BTreeMap::new(),
        ..patch
    }
}

/// The patch without the field that it was refused for; none where it cannot be without.
pub fn without(mut patch: ContactPatch, field: &str) -> Option<ContactPatch> {
    match field {
        "name" => patch.name = Edit::Keep,
        "phone" => patch.phone = Edit::Keep,
        "title" => patch.title = Edit::Keep,
        "locale" => patch.locale = Edit::Keep,
        "timeZone" => patch.time_zone = Edit::Keep,
        "customFields" => patch.custom.clear(),
        _ => return None,
    }
    Some(patch)
}

/// The same for a company.
pub fn company_without(mut patch: AccountPatch, field: &str) -> Option<AccountPatch> {
    match field {
        "industry" => patch.industry = Edit::Keep,
        "customFields" => patch.custom.clear(),
        _ => return None,
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::source;
    use super::*;
    use serde_json::json;

    fn read(trust: Trust, event: Value) -> Option<ContactPatch> {
        person(&EventSource { trust, ..source() }, &[], event.as_object().unwrap())
    }

    #[test]
    fn a_person_is_known_by_an_address_or_to_a_server_by_an_id() {
        let event = json!({ "userId": 7, "traits": { "firstName": "Ann", "lastName": "Example", "title": "" } });
        assert_eq!(read(Trust::Browser, event.clone()), None);
        let known = read(Trust::Server, event).unwrap();
        assert_eq!(known.name.value().map(String::as_str), Some("Ann Example"));
        assert_eq!(known.external_ids["app"].as_deref(), Some("7"));
        assert!(known.title.is_keep());
        let elsewhere =
            json!({ "anonymousId": "a", "context": { "traits": { "email": "a@acme.example" }, "locale": "de-DE" } });
        let known = read(Trust::Browser, elsewhere).unwrap();
        assert_eq!(known.email.value().map(String::as_str), Some("a@acme.example"));
        assert_eq!(known.locale.value().map(String::as_str), Some("de-DE"));
        assert!(known.external_ids.is_empty());
    }

    #[test]
    fn a_company_needs_a_name_or_a_domain() {
        let read = |event: Value| company(&source(), &[], event.as_object().unwrap());
        assert!(read(json!({ "groupId": "g", "traits": { "employees": 5 } })).is_none());
        let found = read(json!({ "groupId": "g", "traits": { "website": "https://acme.example" } })).unwrap();
        assert_eq!(found.external_ids["app"].as_deref(), Some("g"));
    }
}
