//! The law of memory of templates: whatever is let through is filled within what the module promises.
//!
//! It is measured, and so has a process of its own: the peak of what the system gave it.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tandem_domain::sequence::template::{Form, check, render};

/// What the module promises, in KiB.
const PROMISED: u64 = 32 * 1024;

/// A figure of the process, in KiB; none where the system does not tell it.
fn figure(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// By how many KiB the memory of the process grew at most while it did something.
fn growth(work: impl FnOnce()) -> Option<u64> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    let before = figure("VmRSS")?;
    work();
    Some(figure("VmHWM")?.saturating_sub(before))
}

fn data() -> Value {
    json!({
        "contact": {
            "name": "ŉ".repeat(200), "tags": (0..100).map(|n| format!("tag {n}")).collect::<Vec<_>>(),
            "custom": {"note": "<&ΐ".repeat(5_000)},
        },
        "now": "2026-03-02T09:00:00Z",
    })
}

/// Checks a template and fills what is let through; whether it was.
fn within_what_is_promised(source: &str) -> Result<bool, TestCaseError> {
    let data = data();
    for form in [Form::Html, Form::Text] {
        let mut passed = false;
        let grew = growth(|| {
            passed = check(source, form).is_ok();
            if passed {
                let _ = render(source, form, &data);
            }
        });
        let start: String = source.chars().take(300).collect();
        prop_assert!(grew.is_none_or(|grew| grew < PROMISED), "{grew:?} KiB: {start}");
        if !passed {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Values, some of which make much of little.
fn value() -> impl Strategy<Value = String> {
    let small = prop::sample::select(vec![
        "contact",
        "contact.custom.note",
        "contact.tags",
        "now",
        "v0",
        "v1",
        "v2",
        "['a', 'b']",
        "'LONG'",
    ]);
    let much = prop::sample::select(vec![
        "{'a':{'b':1}} ~ 'x' * 100000000",
        "'x' * 100000000",
        "{'a':{'b':1}}",
        "{'a':v0,'b':v0}",
        "[v0, v0, v0, v0]",
        "loop(v0)",
    ]);
    let leaf = prop_oneof![40 => small, 1 => much];
    let many = |sign: &'static str| (leaf.clone(), 1_usize..24).prop_map(move |(part, n)| vec![part; n].join(sign));
    prop_oneof![
        4 => leaf.clone().prop_map(str::to_owned),
        2 => many(" ~ "),
        1 => many(" + "),
        1 => many(" * "),
        1 => (leaf.clone(), prop::sample::select(vec!["upper", "join(contact.custom.note)", "title", "last"]))
            .prop_map(|(part, filter)| format!("({part})|{filter}")),
        1 => leaf.clone().prop_map(|part| format!("'}}}}' ~ ({part})[::-1]")),
        1 => (leaf.clone(), 1_usize..150).prop_map(|(part, n)| format!("now|default({})", vec![format!("{part}|upper"); n].join(","))),
    ]
}

fn template() -> impl Strategy<Value = String> {
    let parts = (prop::collection::vec(value(), 0..5), prop::collection::vec(value(), 1..4), 1_usize..2_500);
    (parts, prop::sample::select(vec!["", "{{ '{#' }}", "{# a #}", "{{- 1 -}}", "{% if 1 %}{% endif %}"])).prop_map(
        |((loops, values, long), first)| {
            let mut source = first.to_owned();
            for (at, value) in loops.iter().enumerate() {
                let list = if value.starts_with('\'') { format!("[{value}]") } else { value.clone() };
                source.push_str(&format!("{{% for v{at} in {list} %}}"));
            }
            for value in &values {
                source.push_str(&format!("{{% if {value} == 1 %}}{{% endif %}}{{{{ {value} }}}}"));
            }
            source.push_str(&"{% endfor %}".repeat(loops.len()));
            source.replace("LONG", &"ŉ".repeat(long))
        },
    )
}

#[test]
fn what_is_let_through_is_filled_within_the_memory_that_is_promised() {
    // As much as the bounds allow: the longest text there can be, summed, in the deepest loops, and as often as a tag can name it.
    let long = "ΐ".repeat(2_000);
    let summed = ["s"; 17].join(" ~ ");
    let often = vec!["s|upper"; 90].join(", ");
    let loops = format!("{{% for a in ({summed})|upper %}}").repeat(3);
    let worst = format!(
        "{{% for s in ['{long}'] %}}{loops}{{% if now|default({often}) %}}{{% endif %}}{}{{% endfor %}}",
        "{% endfor %}".repeat(3)
    );
    assert!(within_what_is_promised(&worst).unwrap());
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(384) });
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..384 {
        let source = template().new_tree(&mut runner).unwrap().current();
        match within_what_is_promised(&source).unwrap() {
            true => passed += 1,
            false => refused += 1,
        }
    }
    assert!(passed > 20 && refused > 20, "{passed} passed, {refused} refused: it says something of both");
}
