//! Filling templates, and what they may be made of.

use super::*;
use crate::expression::with_stack;
use proptest::prelude::*;
use serde_json::json;

fn text(source: &str, data: &Value) -> Result<String, Refusal> {
    render(source, Form::Text, data)
}

#[test]
fn values_are_filled_in_and_html_is_escaped() {
    let data = json!({"contact": {"first_name": "A<b>", "tags": ["x", "y"]}});
    assert_eq!(text("Hi {{ contact.first_name }}!", &data).unwrap(), "Hi A<b>!");
    assert_eq!(render("<p>{{ contact.first_name }}</p>", Form::Html, &data).unwrap(), "<p>A&lt;b&gt;</p>");
    assert_eq!(text("{% for t in contact.tags %}{{ t|upper }}{% endfor %}", &data).unwrap(), "XY");
    assert_eq!(text("{{ contact.tags|join(', ') }}", &data).unwrap(), "x, y");
    assert_eq!(text("{{ contact.phone|default('none') }}", &data).unwrap(), "none");
    assert_eq!(text("{% if contact.phone is defined %}y{% else %}n{% endif %}", &data).unwrap(), "n");
}

#[test]
fn whatever_way_a_part_is_read_it_is_there() {
    let data = json!({
        "contact": {"first_name": "Ann", "custom": {"plan": "gold"}}, "now": "2026-03-02T09:00:00Z", "which": "first_name",
    });
    for (source, expected) in [
        ("{{ now[:10] }}", "2026-03-02"),
        ("{{ contact.first_name[:2] }}", "An"),
        ("{{ contact['first_name'] }}", "Ann"),
        ("{{ contact[which] }}", "Ann"),
        ("{{ contact.custom['plan'] }}", "gold"),
        ("{{ contact['custom'].plan }} {{ contact.first_name }}", "gold Ann"),
        ("{{ (contact).first_name }}", "Ann"),
        ("{% for key in contact %}{{ key }} {% endfor %}", "custom first_name "),
        ("{% if contact.custom.plan == 'gold' %}{{ contact.custom.plan | upper }}{% endif %}", "GOLD"),
    ] {
        assert_eq!(text(source, &data).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_line_break_in_a_value_cannot_forge_a_header() {
    let data = json!({"contact": {"first_name": "A\r\nBcc: all@example.com"}});
    let subject = render("Hi {{ contact.first_name }}", Form::Line, &data).unwrap();
    assert_eq!(subject, "Hi A Bcc: all@example.com");
}

#[test]
fn an_undefined_variable_is_named_with_its_line() {
    let refusal = text("Hi\n{{ contact.fist_name }}", &json!({"contact": {"fist_name": null}})).unwrap_err();
    assert_eq!(refusal, Refusal::Undefined { variable: "contact.fist_name".to_owned(), line: 2 });
}

#[test]
fn who_has_no_company_is_greeted_by_the_default() {
    let data = json!({"account": null});
    for source in [
        "{{ account.name | default('yours', true) }}",
        "{% if account.name is defined %}{{ account.name }}{% else %}yours{% endif %}",
        "{% if account %}{{ account.name }}{% else %}yours{% endif %}",
        "{% if account is defined %}{{ account.name }}{% else %}yours{% endif %}",
        "{% if account is undefined %}yours{% else %}{{ account.name }}{% endif %}",
        "{{ account | default('yours') }}",
        "{{ account.custom.plan | default('yours', true) }}",
        "{% if account.custom.plan is defined %}{{ account.custom.plan }}{% else %}yours{% endif %}",
    ] {
        assert_eq!(text(source, &data).unwrap(), "yours", "{source}");
    }
    for source in
        ["{{ account.name }}", "{{ account }}", "{{ account.name | upper }}", "{{ account.custom.plan | upper }}"]
    {
        assert_eq!(text(source, &data).unwrap_err().code(), "TEMPLATE_UNDEFINED", "{source}");
    }
    assert_eq!(text("{{ account.name | default }}.", &data).unwrap(), ".");
    let refused = text("{{ account.custom.plan }}", &data).unwrap_err();
    assert_eq!(refused, Refusal::Undefined { variable: "account.custom.plan".to_owned(), line: 1 });
    // What a run heard while it waited, where it heard nothing.
    let silent = json!({"enrollment": {"step": "a", "event": null, "vars": {"x": null}}});
    assert_eq!(text("{{ enrollment.event.name | default('nothing') }}", &silent).unwrap(), "nothing");
    assert_eq!(
        text("{% if enrollment.event is defined %}{{ enrollment.event.name }}{% endif %}", &silent).unwrap(),
        ""
    );
    assert_eq!(text("{{ enrollment.step }}{{ enrollment.vars.x | default('-') }}", &silent).unwrap(), "a-");
    assert!(text("{{ enrollment.event.name }}", &silent).is_err());
    let there = json!({"account": {"name": "Acme", "tier": null}});
    for source in ["{{ account.name | default('yours') }}", "{% if account is defined %}{{ account.name }}{% endif %}"]
    {
        assert_eq!(text(source, &there).unwrap(), "Acme", "{source}");
    }
}

#[test]
fn names_that_do_not_exist_are_found_without_data() {
    let contact = Shape::Record(vec![("first_name", Shape::Text), ("custom", Shape::Map)]);
    let known = Shape::Record(vec![("contact", contact), ("list", Shape::List(Box::new(Shape::Text)))]);
    let found = |source: &str| unknown(source, Form::Text, &known);
    assert_eq!(
        found("Hi\n{{ contcat.first_name }}"),
        [(6, "there is no variable `contcat`; did you mean `contact`?".to_owned())]
    );
    let said = "`contact` has no `fist_name`; did you mean `first_name`?".to_owned();
    assert_eq!(found("Hi {{ contact.fist_name }}, {{ contact.fist_name | upper }}"), [(14, said)]);
    for right in [
        "{{ contact.custom.anything.at_all }}",
        "{% for one in list %}{{ one }}{% endfor %}",
        "{{ contact.first_name|default('x') }}",
    ] {
        assert_eq!(found(right), [], "{right}");
    }
    assert_eq!(found("{{ f }}").len(), 1);
}

#[test]
fn what_is_not_a_template_is_refused() {
    for source in [
        "{{ contact",
        "{% if a %}",
        "{{ a|nosuch }}",
        "{% set a = 1 %}",
        "{% include 'x' %}",
        "{{ a|safe }}",
        "{% macro m() %}{% endmacro %}",
    ] {
        let refusal = text(source, &json!({"a": 1, "contact": 1})).unwrap_err();
        assert_eq!(refusal.code(), "TEMPLATE_SYNTAX", "{source}: {refusal}");
        assert_eq!(check(source, Form::Text).unwrap_err().code(), "TEMPLATE_SYNTAX", "{source}");
    }
}

#[test]
fn time_and_size_are_bounded() {
    let data = json!({"list": (0..1000).collect::<Vec<_>>(), "long": "x".repeat(5000)});
    let twice = "{% for a in list %}{% for b in list %}{{ a }}{% endfor %}{% endfor %}";
    assert_eq!(text(twice, &data).unwrap_err().code(), "TEMPLATE_FAILED");
    assert_eq!(text("{% for a in list %}{{ long }}{% endfor %}", &data).unwrap_err().code(), "TEMPLATE_FAILED");
    assert_eq!(text("{{ list|join(long) }}", &data).unwrap_err().code(), "TEMPLATE_FAILED");
    assert_eq!(text(&"x".repeat(MAX_SOURCE + 1), &data).unwrap_err().code(), "TEMPLATE_SYNTAX");
    assert!(text(&format!("{{{{ {} }}}}", "(".repeat(30_000)), &data).is_err());
    assert!(text(&"{% if 1 %}".repeat(6_000), &data).is_err());
}

#[test]
fn what_makes_much_of_little_is_refused_wherever_it_stands() {
    let much = "'x' * 100000000";
    for source in [
        format!("{{{{ {much} }}}}"),
        // Behind what looks like the end of a tag, or like a comment, and is none.
        format!("{{{{ {{'a':{{'b':1}}}} ~ {much} }}}}"),
        format!("{{% if {{'a':{{'b':1}}}} ~ {much} %}}{{% endif %}}"),
        format!("{{{{ '{{#' }}}}{{{{ {much} }}}}"),
        format!("{{{{ '}}}}' ~ {much} }}}}"),
        format!("{{{{ 'a\\'}}}}' ~ {much} }}}}"),
        format!("{{{{ contact['%}}'] ~ {much} }}}}"),
        format!("{{{{- 1 -}}}}{{{{- {much} -}}}}"),
        format!("{{%- if 1 -%}}{{{{+ {much} }}}}{{%+ endif +%}}"),
        format!("{{#- a #}}{{{{ {much} }}}}"),
        format!("{{%raw%}}{{%endraw%}}{{{{ {much} }}}}"),
        format!("{{{{ 1 if 0x1or [{much}] else 2 }}}}"),
        format!("{{{{ (1, {much}) }}}}"),
        // What loops would make of it, level by level.
        "{% for a in [contact] %}{% for b in [[a, a]] %}{{ b }}{% endfor %}{% endfor %}".to_owned(),
        "{% for a in ['x'] %}{% for b in [a ~ a] %}{{ b }}{% endfor %}{% endfor %}".to_owned(),
        "{% if 1.or [contact] %}{% endif %}".to_owned(),
        "{% if 1.e5or [contact] %}{% endif %}".to_owned(),
        "{% if 1 not in [contact] %}{% endif %}".to_owned(),
        "{% for a in contact recursive %}{{ loop(contact) }}{% endfor %}".to_owned(),
        "{{ loop.cycle(1, 2) }}".to_owned(),
        "{{ (loop)(1) }}".to_owned(),
        "{% for a in 'ab' %}".repeat(5) + &"{% endfor %}".repeat(5),
        format!("{{{{ 'a' {} }}}}", "~ 'a'".repeat(17)),
        format!("{{% for a in ['{}'] %}}{{% endfor %}}", "x".repeat(2_001)),
        "{% for a in ['a' 'b'] %}{% endfor %}".to_owned(),
        format!("{{{{ 1 {} }}}}", "- 1".repeat(400)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 2 %}".repeat(201)),
    ] {
        let refused = check(&source, Form::Text).map_err(|refusal| refusal.code());
        assert_eq!(refused, Err("TEMPLATE_SYNTAX"), "{source}");
        assert_eq!(
            text(&source, &json!({"contact": {}})).map_err(|refusal| refusal.code()),
            refused.map(|()| String::new())
        );
        assert_eq!(unknown(&source, Form::Text, &Shape::Record(Vec::new())), [], "{source}");
    }
}

#[test]
fn what_would_fail_in_every_run_is_refused() {
    for source in [
        "{{ {'a':{}}|nosuch }}",
        "{{ '}}'|nosuch }}",
        "{{ '{#' }}{{ 1|nosuch }}",
        "{{ 1|upper.nosuch }}",
        "{{ 1 is defined.nosuch }}",
        "{{ 1 is even }}",
        "{{ 1 is defined 2 }}",
        "{{ 1 is defined(2) }}",
        "{{ 1 is not defined - 2 }}",
        "{{ 'a'.upper() }}",
        "{{ range(3) }}",
    ] {
        assert_eq!(check(source, Form::Text).map_err(|refusal| refusal.code()), Err("TEMPLATE_SYNTAX"), "{source}");
    }
}

#[test]
fn what_people_write_is_let_through() {
    let data = json!({"contact": {"name": "Sam", "tags": ["a", "b"], "in": 1, "pairs": [[1, 2]]}, "account": null, "now": "2026-03-02"});
    for (source, expected) in [
        ("{{- contact.name -}}", "Sam"),
        ("{{ '}}' ~ \"{{ %} {# '\" }}", "}}{{ %} {# '"),
        ("{{ 'it\\'s' }} { {} }} %} #}", "it's { {} }} %} #}"),
        ("{# {{ 1|nosuch }} #}{{ now[:4] }}", "2026"),
        (
            "{% if contact.name in ['Sam', \"Alex\"] and not (1 == 2.5 or 1 > 3) %}y{% elif 1 %}n{% else %}n{% endif %}",
            "y",
        ),
        ("{% if contact.name not in ['Alex', -1, none] %}y{% endif %}", "y"),
        ("{{ contact.in }}{{ contact['name'] }}{{ contact.tags.0 }}{{ contact.tags[1] | upper }}", "1SamaB"),
        ("{{ contact.pairs.0.1 }}", ""),
        ("{% for tag in contact.tags if tag != 'a' %}{{ loop.index }}{{ tag }}{% endfor %}", "1b"),
        ("{% for a, b in contact.pairs %}{{ a + b }}{% endfor %}", "3"),
        ("{{ 'x' if account is not defined else 'y' }}", "x"),
        ("{{ account.name | default('your ' ~ 'company', true) | title }}", "Your Company"),
        ("{{ contact.tags|join(', ')|default(\"none\") }}", "a, b"),
        ("{% if account is defined -%} a {%- endif %}b", "b"),
    ] {
        if expected.is_empty() {
            assert!(check(source, Form::Text).is_err(), "the engine takes `0.1` for a number: {source}");
            continue;
        }
        assert_eq!(check(source, Form::Text), Ok(()), "{source}");
        assert_eq!(text(source, &data).as_deref(), Ok(expected), "{source}");
    }
}

fn soup() -> impl Strategy<Value = String> {
    let parts = vec![
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "{{-",
        "-}}",
        "{%-",
        "-%}",
        "+}}",
        "{",
        "}",
        "'",
        "\"",
        "\\",
        " ",
        "\n",
        "if ",
        " else ",
        "elif ",
        "endif",
        "for x in ",
        "endfor",
        "raw",
        "endraw",
        " in ",
        " not ",
        " and ",
        " or ",
        " is ",
        "defined",
        "even",
        "1",
        "0x1",
        "1.5",
        ".",
        "e5",
        "a",
        "a.b",
        "x",
        "(",
        ")",
        "[",
        "]",
        ",",
        ":",
        "|upper",
        "|nosuch",
        "|nosuch",
        "upper",
        "f()",
        "a.b()",
        "~",
        "+",
        "-",
        "=",
        "==",
        "{'a':{'b':1}}",
        "{{ {'a':{'b':1}}|nosuch }}",
        "{{ '{#' }}",
        "{{ 1|nosuch }}",
        "{{ a }}",
        "{% if a %}",
        "{% endif %}",
        "{% for x in a %}",
        "{% endfor %}",
        "'x'",
        "\"}}\"",
        "é",
    ];
    prop::collection::vec(prop::sample::select(parts), 0..14).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_tag_is_taken_apart_as_the_engine_does(source in soup(), wrapped in any::<bool>()) {
        let source = if wrapped { format!("{{{{ {source} }}}}{{{{ 1|nosuch }}}}") } else { source };
        let data = json!({"a": {"b": ["c", 1]}, "x": "y"});
        // The engine alone, which looks for a name once it comes to it.
        let met = with_stack(|| engine(Form::Text).render_str(&source, &data).map_err(|error| error.kind()));
        let missing =
            [ErrorKind::UnknownFilter, ErrorKind::UnknownTest, ErrorKind::UnknownFunction, ErrorKind::UnknownMethod];
        if let Ok(Err(kind)) = met && missing.contains(&kind) {
            prop_assert!(check(&source, Form::Text).is_err(), "{kind:?} in {source}");
        }
        if check(&source, Form::Text).is_ok() {
            let code = text(&source, &data).map_err(|refusal| refusal.code());
            prop_assert_ne!(code, Err("TEMPLATE_SYNTAX"), "{}", source);
        }
    }
}
