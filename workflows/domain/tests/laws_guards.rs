//! What is read without a guard is told, and what has one fails for nobody.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tandem_domain::expression::Expression;
use tandem_domain::expression::guards::{Bare, Doubts, bare};

fn doubts() -> Doubts<'static> {
    Doubts {
        may_be_null: &|name| ["lead", "account", "account.tier", "contact.title", "lead.grade"].contains(&name),
        is_open: &|name| ["contact.custom", "account.custom", "enrollment.vars"].contains(&name),
    }
}

fn names(source: &str) -> Vec<String> {
    assert!(Expression::parse(source).is_ok(), "{source}");
    bare(source, None, doubts(), false).into_iter().map(|bare| bare.name).collect()
}

#[test]
fn what_may_be_missing_needs_a_guard() {
    for (source, expected) in [
        ("lead.stage == 'ACCEPTED'", vec!["lead"]),
        ("contact.custom.plan == 'x'", vec!["contact.custom.plan"]),
        ("contact.custom['plan'] == 'x'", vec!["contact.custom.plan"]),
        ("enrollment.vars.x == 'x'", vec!["enrollment.vars.x"]),
        ("account.custom.plan == 'x'", vec!["account.custom.plan"]),
        ("has(account.custom.plan)", vec!["account"]),
        ("has(lead.custom) && lead.stage == 'x'", vec!["lead"]),
        ("contact.title.contains('x')", vec!["contact.title"]),
        ("contact.title + 'x' == 'y'", vec!["contact.title"]),
        ("lead != null && lead.grade < 'B'", vec!["lead.grade"]),
        ("lead == null && lead.stage == 'x'", vec!["lead"]),
        ("lead != null || lead.stage == 'x'", vec!["lead"]),
        ("has(contact.custom.a) && contact.custom.b == 1", vec!["contact.custom.b"]),
        ("lead != null ? true : lead.stage == 'x'", vec!["lead"]),
        ("contact.tags.exists(t, t == account.tier)", vec!["account"]),
        ("!(lead != null && lead.stage == 'x') && account.tier == 'x'", vec!["account"]),
        ("lead.stage == 'x' && lead.grade == 'y'", vec!["lead"]),
        ("has(lead.custom.a) && has(lead.custom.b)", vec!["lead"]),
        ("enrollment.vars.x == 'a' && enrollment.vars.x == 'b'", vec!["enrollment.vars.x"]),
        ("size(contact.title) > 2 && account.tier == 'x'", vec!["contact.title", "account"]),
        ("contact.title in account.tags", vec!["account"]),
        // Null that is only compared does not fail.
        ("contact.title == 'x' && contact.title in ['a', 'b'] && contact.title != null", vec![]),
        ("lead == null || lead.stage == 'x'", vec![]),
        ("lead != null && lead.stage == 'x'", vec![]),
        ("lead.stage == 'x' && lead != null", vec![]),
        ("lead.stage == 'x' || lead == null", vec![]),
        ("!(lead == null) && lead.stage == 'x'", vec![]),
        ("!has(contact.custom.plan) || contact.custom.plan == 'x'", vec![]),
        ("has(contact.custom.plan) && contact.custom.plan == 'x'", vec![]),
        ("'plan' in contact.custom && contact.custom.plan == 'x'", vec![]),
        ("has(contact.custom.plan) ? contact.custom.plan == 'x' : false", vec![]),
        ("account == null ? false : account.tier == 'x'", vec![]),
        ("(account != null ? account.tier == 'x' : false) && account.custom != {}", vec![]),
        ("account != null && has(account.custom.plan) && account.custom.plan == 'x'", vec![]),
        ("contact.title == 'CEO' && contact.title.contains('E')", vec![]),
        ("type(contact.title) == string && contact.title.contains('E')", vec![]),
        ("account != null && (account.tier == 'x' || account.name == 'y')", vec![]),
        ("(lead != null && lead.stage == 'x') || (account != null && account.name == 'y')", vec![]),
        ("contact.tags.exists(t, t == 'x') && contact.custom.all(k, k != '')", vec![]),
    ] {
        assert_eq!(names(source), expected, "{source}");
    }
}

#[test]
fn it_is_told_where_it_stands_with_all_that_it_needs() {
    let found = bare("contact.tags == [] || account.custom.plan == 'x'", None, doubts(), false);
    let guards = vec!["account != null".to_owned(), "has(account.custom.plan)".to_owned()];
    assert_eq!(found, [Bare { at: 22, name: "account.custom.plan".to_owned(), guards }]);
    let found = bare("contact.custom['a b'] == 1", None, doubts(), false);
    assert_eq!(found[0].guards, ["'a b' in contact.custom"]);
    assert_eq!(bare("contact.title", None, doubts(), true)[0].guards, ["contact.title != null"]);
    assert_eq!(bare("contact.title", None, doubts(), false), []);
    // What held before counts too.
    let given = Some("contact.title != null && (lead == null || account != null)");
    let names = |source| bare(source, given, doubts(), false).into_iter().map(|bare| bare.name).collect::<Vec<_>>();
    assert_eq!(names("contact.title.contains('x') && account.tier == 'x'"), ["account"]);
}

/// Everybody there may be: each of what may be missing is there, or is not.
fn people() -> Vec<Value> {
    let mut all = Vec::new();
    for bits in 0..64_u32 {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let custom = |there: bool| if there { json!({"plan": "x"}) } else { json!({}) };
        let tier = if has(4) { json!("T1") } else { Value::Null };
        let grade = if has(5) { json!("B") } else { Value::Null };
        all.push(json!({
            "contact": {"title": if has(0) { json!("CEO") } else { Value::Null }, "custom": custom(has(1)), "tags": ["a"]},
            "account": if has(2) { json!({"tier": tier, "custom": custom(has(1)), "name": "A", "tags": []}) } else { Value::Null },
            "lead": if has(3) { json!({"stage": "NEW", "grade": grade}) } else { Value::Null },
            "enrollment": {"vars": custom(has(1))},
        }));
    }
    all
}

fn condition() -> impl Strategy<Value = String> {
    let atom = prop::sample::select(vec![
        "lead != null",
        "lead == null",
        "account != null",
        "contact.title != null",
        "has(contact.custom.plan)",
        "'plan' in contact.custom",
        "lead.stage == 'NEW'",
        "lead.grade == 'B'",
        "lead.grade < 'C'",
        "account.tier == 'T1'",
        "account.custom.plan == 'x'",
        "has(account.custom.plan)",
        "contact.custom.plan == 'x'",
        "contact.custom.plan != null",
        "contact.title.contains('E')",
        "contact.title in ['CEO', 'CFO']",
        "contact.title == 'CEO'",
        "type(contact.title) == string",
        "contact.tags.exists(t, t == account.tier)",
        "true",
        "false",
    ]);
    atom.prop_map(str::to_owned).prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// What gets no advice fails for nobody; and what the advice tells to write gets none.
    #[test]
    fn what_is_guarded_fails_for_nobody(source in condition()) {
        let expression = Expression::parse(&source).unwrap();
        let found = bare(&source, None, doubts(), false);
        if found.is_empty() {
            for person in people() {
                prop_assert!(expression.evaluate(&person).is_ok(), "{}: {}", source, person);
            }
        }
        // Before the whole, a guard may need another one.
        let (mut source, mut told, mut told_now) = (source, BTreeSet::new(), found);
        while !told_now.is_empty() {
            for bare in &told_now {
                prop_assert!(told.insert(bare.name.clone()), "{} again: {}", bare.name, source);
            }
            let guards: Vec<String> = told_now.iter().flat_map(|bare| bare.guards.clone()).collect();
            source = format!("{} && ({source})", guards.join(" && "));
            told_now = bare(&source, None, doubts(), false);
        }
    }
}
