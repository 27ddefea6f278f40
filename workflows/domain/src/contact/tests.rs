use super::*;
use serde_json::json;
use uuid::Uuid;

fn words() -> Vocabulary {
    Vocabulary { default_region: Some("US".to_owned()), ..Vocabulary::default() }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn id(n: u128) -> ContactId {
    Uuid::from_u128(n).into()
}

fn patch(value: Value) -> ContactPatch {
    serde_json::from_value(value).unwrap()
}

fn contact(n: u128, value: Value) -> Contact {
    create(id(n), patch(value), &words(), at(0)).unwrap().next
}

#[test]
fn a_new_contact_is_stored_in_its_normal_form() {
    let given = patch(json!({
        "name": " Ann  Example ", "email": "Ann@Example.COM", "phone": "(212) 555-0123", "locale": "zh_cn",
        "time_zone": "Asia/Shanghai", "external_ids": {"CRM": " 42 "},
        "consent": {"state": "GRANTED", "source": "newsletter form"}
    }));
    let decision = create(id(1), given, &words(), at(5)).unwrap();
    let contact = &decision.next;
    assert_eq!(contact.name.as_deref(), Some("Ann Example"));
    assert_eq!(contact.phone.as_deref(), Some("+12125550123"));
    assert_eq!((contact.locale.as_deref(), contact.time_zone), (Some("zh-CN"), Some(chrono_tz::Asia::Shanghai)));
    assert_eq!((contact.consent.state, contact.consent.at), (ConsentState::Granted, at(5)));
    let keys: Vec<String> = contact.identities().iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["contact.email ann@example.com", "contact.external:crm 42"]);
}

#[test]
fn the_record_of_facts_holds_no_personal_data() {
    let before = contact(1, json!({"name": "Ann Example", "email": "ann@example.com"}));
    let given = patch(json!({"name": "Ann Sample", "email": "ann@example.org", "phone": "+12125550123"}));
    let decision = change(&before, given, &words(), at(1)).unwrap().unwrap();
    assert_eq!(decision.facts[0].detail["fields"], json!(["email", "name", "phone"]));
    let written = format!("{:?}", decision.facts);
    assert!(!written.contains("Ann") && !written.contains("ann@") && !written.contains("555"), "{written}");
}

#[test]
fn each_bad_value_is_refused_by_the_name_of_its_field() {
    for (given, code, field) in [
        (json!({"name": "Ann"}), "CONTACT_UNIDENTIFIED", "email"),
        (json!({"email": "ann"}), "EMAIL_INVALID", "email"),
        (json!({"phone": "12"}), "PHONE_INVALID", "phone"),
        (json!({"email": "ann@example.com", "time_zone": "Mars"}), "TIME_ZONE_UNKNOWN", "timeZone"),
        (json!({"email": "ann@example.com", "locale": "english"}), "LOCALE_INVALID", "locale"),
        (json!({"email": "ann@example.com", "title": "x".repeat(201)}), "TEXT_TOO_LONG", "title"),
        (json!({"email": "ann@example.com", "consent": {"state": "GRANTED"}}), "CONSENT_SOURCE_MISSING", "consent"),
        (
            json!({"email": "ann@example.com", "consent": {"state": "WITHDRAWN", "at": "2099-01-01T00:00:00Z"}}),
            "CONSENT_AHEAD",
            "consent",
        ),
    ] {
        let refusal = create(id(1), patch(given), &words(), at(0)).unwrap_err();
        assert_eq!((refusal.code(), refusal.field()), (code, Some(field)));
    }
}

#[test]
fn a_merge_never_undoes_a_withdrawal() {
    let before = contact(1, json!({"email": "ann@example.com", "consent": {"state": "WITHDRAWN"}}));
    let granted = json!({"email": "ann@example.com", "consent": {"state": "GRANTED", "source": "old file"}});
    assert_eq!(merge(&before, patch(granted.clone()), &words(), at(9)).unwrap(), None);
    let fresh = contact(2, json!({"email": "bo@example.com"}));
    let given = json!({"consent": {"state": "GRANTED", "source": "form"}});
    let after = merge(&fresh, patch(given.clone()), &words(), at(9)).unwrap().unwrap().next;
    assert_eq!(after.consent.state, ConsentState::Granted);
    assert_eq!(merge(&after, patch(given), &words(), at(10)).unwrap(), None);
}

#[test]
fn consent_is_set_with_its_transition_on_record() {
    let before = contact(1, json!({"email": "ann@example.com"}));
    let given = |state, source: Option<&str>| ConsentGiven { state, source: source.map(str::to_owned), at: None };
    let granted = set_consent(&before, given(ConsentState::Granted, Some("call")), at(3)).unwrap().unwrap();
    assert_eq!(granted.facts[0].moved, Some(("UNKNOWN".to_owned(), "GRANTED".to_owned())));
    assert_eq!(set_consent(&granted.next, given(ConsentState::Granted, Some("call")), at(4)).unwrap(), None);
    let withdrawn = set_consent(&granted.next, given(ConsentState::Withdrawn, None), at(5)).unwrap().unwrap().next;
    assert_eq!(withdrawn.consent.at, at(5));
    assert!(set_consent(&withdrawn, given(ConsentState::Granted, Some("call again")), at(6)).unwrap().is_some());
}

#[test]
fn a_phone_number_is_a_key_only_with_the_name_and_without_a_better_one() {
    let words = words();
    let ann = contact(1, json!({"name": "Ann", "phone": "+12125550123"}));
    let keyed = contact(2, json!({"name": "Ann", "phone": "+12125550123", "email": "ann@example.com"}));
    let bo = seek(&patch(json!({"name": "Bo", "phone": "+12125550123"})), &words).unwrap();
    let again = seek(&patch(json!({"name": "ANN", "phone": "212 555 0123"})), &words).unwrap();
    let other =
        seek(&patch(json!({"name": "Ann", "phone": "212 555 0123", "email": "a@example.org"})), &words).unwrap();
    assert_eq!(ann.identities(), again.identities);
    assert_eq!(matching(&bo, &[], std::slice::from_ref(&ann)).unwrap(), None);
    assert_eq!(matching(&again, &[], std::slice::from_ref(&keyed)).unwrap(), Some(id(2)));
    assert_eq!(matching(&other, &[], std::slice::from_ref(&keyed)).unwrap(), None);
    assert_eq!(matching(&again, &[], &[ann, keyed]).unwrap_err().code(), "CONTACT_PHONE_AMBIGUOUS");
}

#[test]
fn keys_of_two_contacts_are_refused() {
    let given = patch(json!({"email": "ann@example.com", "external_ids": {"crm": "42"}}));
    let sought = seek(&given, &words()).unwrap();
    let owners = [(sought.identities[0].clone(), id(1)), (sought.identities[1].clone(), id(2))];
    assert_eq!(matching(&sought, &owners, &[]).unwrap_err().code(), "CONTACT_IDENTITIES_DIFFER");
    assert_eq!(matching(&sought, &owners[..1], &[]).unwrap(), Some(id(1)));
    assert_eq!(sought.duplicate(id(1), &owners).field(), Some("email"));
}
