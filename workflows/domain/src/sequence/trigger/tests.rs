use super::kinds::{FieldName, FieldOwner};
use super::*;
use crate::decision::Fact;
use crate::id::{AccountId, ContactId, InteractionId, LeadId, ListId};
use crate::ledger::{Entry, Stamp};
use crate::sequence::validate::{self, read};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn stamp(request_id: &str) -> Stamp {
    let now = at("2026-03-02T09:00:00Z");
    Stamp {
        actor: None,
        role: "SYSTEM".to_owned(),
        side: None,
        at: now,
        recorded_at: now,
        request_id: request_id.to_owned(),
        idempotency_key: None,
        trace: None,
    }
}

fn entry(fact: &Fact) -> Entry {
    Entry::new(7, &stamp("r"), fact)
}

fn triggers(list: &str) -> Vec<Trigger> {
    let source =
        format!("key: test\nname: Test\nsubject: contact\ntriggers:\n{list}steps: [{{id: done, kind: end}}]\n");
    match read(&source) {
        Ok(definition) => definition.header.triggers,
        Err(problems) => panic!("{problems:?}"),
    }
}

fn trigger(line: &str) -> Trigger {
    triggers(&format!("  - {line}\n")).pop().unwrap()
}

fn problems(line: &str) -> Vec<validate::Problem> {
    let source =
        format!("key: test\nname: Test\nsubject: contact\ntriggers:\n  - {line}\nsteps: [{{id: done, kind: end}}]\n");
    read(&source).unwrap_err()
}

fn who(trigger: &Trigger, fact: &Fact) -> Option<Who> {
    let lists = [("key-accounts".to_owned(), ListId(Uuid::from_u128(9)))].into();
    meant(trigger, "test", &entry(fact), &lists).map(|meant| meant.who)
}

fn contact() -> ContactId {
    ContactId(Uuid::from_u128(1))
}

fn lead() -> LeadId {
    LeadId(Uuid::from_u128(2))
}

fn account() -> AccountId {
    AccountId(Uuid::from_u128(3))
}

#[test]
fn each_kind_is_set_off_by_its_facts_and_by_no_others() {
    let changed = Fact::ledger("contact.changed", contact()).with("fields", ["title", "custom", "custom.budget"]);
    let graded = Fact::ledger("lead.graded", lead()).lead(lead()).with("from", "C3").with("to", "A1");
    let returned = Fact::ledger("handoff.returned", lead()).lead(lead()).because("BAD_TIMING");
    let form = Fact::ledger("interaction.recorded", InteractionId(Uuid::from_u128(4))).with("kind", "FORM");
    let joined = Fact::ledger("list.change_approved", account())
        .account(account())
        .with("list", ListId(Uuid::from_u128(9)))
        .with("membership", ("PARTIALLY_APPROVED", "ACTIVE"));
    let stays = Fact::ledger("list.change_approved", account())
        .account(account())
        .with("list", ListId(Uuid::from_u128(9)))
        .with("membership", ("REMOVAL_PROPOSED", "ACTIVE"));
    let tier = Fact::ledger("account.changed", account())
        .with("changes", json!({"tier": ["B", "A"], "custom": [{"x": 1, "y": 1}, {"x": 1, "y": 2}]}));
    let facts = [&changed, &graded, &returned, &form, &joined, &stays, &tier];
    let of_contact = Some(Who::Contact(contact()));
    let of_lead = Some(Who::Lead(lead()));
    let of_account = Some(Who::Account(account()));
    let did = Some(Who::Doers(vec![InteractionId(Uuid::from_u128(4))]));
    let cases: [(&str, [&Option<Who>; 7]); 11] = [
        ("{kind: field, field: contact.title}", [&of_contact, &None, &None, &None, &None, &None, &None]),
        ("{kind: field, field: contact.custom.budget}", [&of_contact, &None, &None, &None, &None, &None, &None]),
        ("{kind: field, field: contact.custom.other}", [&None; 7]),
        ("{kind: field, field: account.tier}", [&None, &None, &None, &None, &None, &None, &of_account]),
        ("{kind: field, field: account.custom.y}", [&None, &None, &None, &None, &None, &None, &of_account]),
        ("{kind: field, field: account.custom.x}", [&None; 7]),
        ("{kind: field, field: lead.grade}", [&None, &of_lead, &None, &None, &None, &None, &None]),
        ("{kind: grade, to: [A1, A2]}", [&None, &of_lead, &None, &None, &None, &None, &None]),
        ("{kind: return, reasons: [BAD_TIMING]}", [&None, &None, &of_lead, &None, &None, &None, &None]),
        ("{kind: event, event: [FORM]}", [&None, &None, &None, &did, &None, &None, &None]),
        ("{kind: list, list: key-accounts}", [&None, &None, &None, &None, &of_account, &None, &None]),
    ];
    for (line, expected) in cases {
        let trigger = trigger(line);
        for (fact, expected) in facts.iter().zip(expected) {
            assert_eq!(&who(&trigger, fact), expected, "{line} and {}", fact.kind);
        }
    }
    assert_eq!(who(&trigger("{kind: grade, to: [B1]}"), &graded), None);
    assert_eq!(who(&trigger("{kind: grade, from: [C3]}"), &graded), of_lead);
    assert_eq!(who(&trigger("{kind: return, reasons: [NO_NEED]}"), &returned), None);
}

#[test]
fn a_contact_that_changes_the_company_tells_both() {
    let on = trigger("{kind: field, field: contact.account, when: change.new != null && change.old != change.new}");
    let (old, new) = (AccountId(Uuid::from_u128(5)), account());
    for (before, after) in [(None, Some(new)), (Some(old), Some(new)), (Some(old), None)] {
        let fact =
            Fact::ledger("contact.changed", contact()).with("fields", ["account"]).with("account", (before, after));
        let meant = meant(&on, "test", &entry(&fact), &BTreeMap::new()).unwrap();
        assert_eq!(meant.who, Who::Contact(contact()));
        let field = ["contact", "account"].join(".");
        let change = json!({"field": field, "old": before, "new": after});
        assert_eq!(meant.seen, Some(("change", change.clone())));
        let variables = completed(&on, meant.seen, &json!({"contact": {}, "account": {"id": new}}));
        assert_eq!(variables["change"], change);
    }
    // Another change of the person is none of the company.
    let fact = Fact::ledger("contact.changed", contact()).with("fields", ["title"]);
    assert_eq!(who(&on, &fact), None);
}

#[test]
fn a_sequence_never_starts_itself_and_the_past_starts_nothing() {
    let trigger = trigger("{kind: field, field: contact.title}");
    let fact = Fact::ledger("contact.changed", contact()).with("fields", ["title"]);
    assert!(who(&trigger, &fact).is_some());
    assert!(who(&trigger, &fact.clone().under("sequence:other@3")).is_some());
    assert_eq!(who(&trigger, &fact.clone().under("sequence:test@3")), None);
    let past = Stamp { at: at("2026-02-27T09:00:00Z"), ..stamp("r") };
    assert_eq!(meant(&trigger, "test", &Entry::new(7, &past, &fact), &BTreeMap::new()), None);
}

#[test]
fn a_chain_of_starts_grows_by_one_and_is_told_by_its_request() {
    let first = next_in_chain("req-1", Some(40));
    let second = next_in_chain(&first, Some(52));
    assert_eq!((first.as_str(), second.as_str()), ("trigger:1:ledger-40", "trigger:2:ledger-52"));
    assert_eq!([chain_of("req-1"), chain_of(&first), chain_of(&second), chain_of("trigger:x")], [0, 1, 2, 0]);
    assert_eq!(chain_of(&next_in_chain("schedule:weekly", None)), 1);
}

#[test]
fn the_key_of_a_trigger_is_of_what_it_says() {
    let one = trigger("{kind: event, event: [FORM], when: \"event.name == 'x'\"}");
    let with_values = trigger("{kind: event, event: [FORM], when: \"event.name == 'x'\", vars: {form: event.name}}");
    let other = trigger("{kind: event, event: [FORM], when: \"event.name == 'y'\"}");
    assert_eq!(one.key(), with_values.key());
    assert_ne!(one.key(), other.key());
    assert!(one.key().starts_with("event_"));
    // Stored and read again it is the same.
    let stored: Trigger = serde_json::from_value(json!(with_values)).unwrap();
    assert_eq!(stored, with_values);
}

#[test]
fn what_is_wrong_with_a_trigger_has_its_place() {
    for (line, rule, column, part) in [
        ("{kind: evnt, event: [FORM]}", "SEQUENCE_SHAPE", 12, "did you mean `event`"),
        ("{kind: event, event: [FROM]}", "SEQUENCE_SHAPE", 27, "did you mean `FORM`"),
        ("{kind: event, event: [FORM], when: event.nmae == 'x'}", "EXPRESSION_UNDEFINED", 46, "did you mean `name`"),
        ("{kind: segment}", "SEQUENCE_SHAPE", 5, "write it as `when`"),
        ("{kind: segment, when: enrollment.visit > 1}", "EXPRESSION_UNDEFINED", 27, "enrollment"),
        ("{kind: field, field: contact.titel}", "SEQUENCE_SHAPE", 26, "did you mean `title`"),
        ("{kind: date, field: contact.title}", "SEQUENCE_SHAPE", 25, "contact.custom.<key>"),
        ("{kind: date, field: contact.custom.day, offset: 90m}", "SEQUENCE_SHAPE", 53, "whole days"),
        ("{kind: cron, cron: '0 9 * *'}", "SEQUENCE_SHAPE", 24, "five fields"),
        ("{kind: cron, cron: '0 9 * * 1', zone: Mars/Base}", "SEQUENCE_SHAPE", 43, "Europe/Berlin"),
        ("{kind: return, reasons: [BAD_TIMNG]}", "SEQUENCE_SHAPE", 30, "did you mean `BAD_TIMING`"),
        ("{kind: list, lst: x}", "SEQUENCE_SHAPE", 18, "unknown field"),
        ("{kind: list, list: x, vars: {a: contact.nmae}}", "EXPRESSION_UNDEFINED", 45, "did you mean `name`"),
    ] {
        let found = problems(line);
        let problem = &found[0];
        assert_eq!((problem.rule.as_str(), problem.line), (rule, Some(5)), "{line}: {found:?}");
        assert!(problem.message.contains(part), "{line}: {}", problem.message);
        assert_eq!(problem.column, Some(column), "{line}: {}", problem.message);
    }
    let twice = "  - {kind: event, event: [FORM]}\n  - {kind: event, event: [FORM]}\n";
    let source = format!("key: t\nname: T\nsubject: contact\ntriggers:\n{twice}steps: [{{id: done, kind: end}}]\n");
    assert_eq!(read(&source).unwrap_err()[0].rule.as_str(), "SEQUENCE_TRIGGER_DUPLICATE");
}

#[test]
fn what_the_pages_show_can_be_published() {
    for page in ["triggers.md", "sequences.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/concepts").join(page);
        let text = std::fs::read_to_string(path).unwrap();
        let yaml = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let definition = read(yaml).unwrap_or_else(|problems| panic!("{page}: {problems:?}"));
        assert!(!definition.header.triggers.is_empty(), "{page}");
    }
}

#[test]
fn a_definition_without_triggers_keeps_its_hash() {
    let definition = read("{key: t, name: T, subject: contact, steps: [{id: done, kind: end}]}").unwrap();
    let stored = json!(definition);
    for field in ["triggers", "stop_on_meeting", "stop_on_opportunity"] {
        assert!(stored.get(field).is_none(), "{field}");
    }
}

#[test]
fn a_date_falls_due_where_the_person_lives() {
    let on = trigger("{kind: date, field: account.custom.renewal_on, offset: -30d, at: '08:30'}");
    let TriggerKind::Date(date) = &on.kind else { panic!("{on:?}") };
    let data = json!({"account": {"custom": {"renewal_on": "2026-04-28"}}});
    let day = date.date(&data, Tz::Asia__Tokyo).unwrap();
    assert_eq!(date.moment(day, Tz::Asia__Tokyo), Some(at("2026-03-28T23:30:00Z")));
    // In Berlin the clocks have changed by then.
    assert_eq!(date.moment(day, Tz::Europe__Berlin), Some(at("2026-03-29T06:30:00Z")));
    assert_eq!(date.date(&json!({"account": null}), Tz::UTC), None);
    assert_eq!(date.date(&json!({"account": {"custom": {"renewal_on": "soon"}}}), Tz::UTC), None);
    let received = trigger("{kind: date, field: lead.received_at, offset: 2w}");
    let TriggerKind::Date(date) = &received.kind else { panic!("{received:?}") };
    let data = json!({"lead": {"received_at": "2026-03-02T20:00:00+00:00"}});
    let day = date.date(&data, Tz::Asia__Tokyo).unwrap();
    assert_eq!(day.to_string(), "2026-03-03", "it is the next day there");
    assert_eq!(date.moment(day, Tz::Asia__Tokyo), Some(at("2026-03-17T00:00:00Z")));
}

#[test]
fn a_field_is_named_with_its_owner() {
    let name = FieldName::read(&["account", "custom", "renewal_on"].join(".")).unwrap();
    assert_eq!((name.owner, name.name.as_str(), name.custom), (FieldOwner::Account, "renewal_on", true));
    for wrong in ["title", "person.name", "contact.", "contact.custom.", "contact.Custom.x", "contact.a.b"] {
        assert_eq!(FieldName::read(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_date_and_no_offset_is_too_far(days in -20_000_i64..20_000, year in -9999_i32..9999, zone in 0..chrono_tz::TZ_VARIANTS.len()) {
        let line = format!("{{kind: date, field: contact.custom.day, offset: {}d}}", days.clamp(-700, 700));
        let on = trigger(&line);
        let TriggerKind::Date(date) = &on.kind else { panic!("{on:?}") };
        if let Some(day) = chrono::NaiveDate::from_ymd_opt(year, 6, 15)
            && let Some(moment) = date.moment(day, chrono_tz::TZ_VARIANTS[zone])
        {
            let apart = moment.date_naive() - day;
            prop_assert!((apart - TimeDelta::days(days.clamp(-700, 700))).num_days().abs() <= 1);
        }
    }

    #[test]
    fn nothing_that_is_written_as_cron_breaks_the_reader(text in "[ -~]{0,40}") {
        let _ = text.parse::<cron_fields::CronFields>();
    }
}
