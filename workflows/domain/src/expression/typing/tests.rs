use super::*;

fn environment() -> Shape {
    let contact = Shape::Record(vec![
        ("email", Shape::Text),
        ("tags", Shape::List(Box::new(Shape::Text))),
        ("custom", Shape::Map),
    ]);
    let stages = vec!["RECEIVED", "ACCEPTED"];
    let lead = Shape::Record(vec![("stage", Shape::Code(stages)), ("priority", Shape::Number)]);
    Shape::Record(vec![("contact", contact), ("lead", lead), ("now", Shape::Text)])
}

#[test]
fn what_is_right_has_no_faults() {
    for source in [
        "contact.email != null && contact.email.endsWith('@acme.example')",
        "'vip' in contact.tags || contact.tags.exists(tag, tag.startsWith('event:'))",
        "has(contact.custom.seats) && contact.custom.seats > 100",
        "lead != null && lead.stage in ['RECEIVED', 'ACCEPTED'] && lead.priority >= 50",
        "contact.tags.filter(t, t != 'x').size() > 0",
        "contact['email'] == 'a' ? true : lead.priority == 1",
        "timestamp(now) - timestamp('2026-01-01T00:00:00Z') > duration('24h')",
        "contact.tags.all(a, a == 'x') && !contact.tags.exists_one(a, a == 'y')",
        "{'a': 1}['a'] == 1 && [1, 2].map(n, n * 2) == [2, 4]",
        "timestamp(now).getDayOfWeek() == 1",
    ] {
        assert_eq!(faults(source, &environment(), Purpose::Condition), [], "{source}");
    }
}

#[test]
fn what_is_wrong_is_found_where_it_is_with_what_is_meant() {
    for (source, at, said) in [
        ("contact.emial == 'x'", 8, "`contact` has no `emial`; did you mean `email`?"),
        ("true && contcat.email == 'x'", 8, "there is no variable `contcat`; did you mean `contact`?"),
        ("lead.stage == 'ACEPTED'", 14, "`lead.stage` is never 'ACEPTED'; did you mean `ACCEPTED`?"),
        ("lead.stage in ['RECEIVED', 'WON']", 27, "`lead.stage` is never 'WON'; there are RECEIVED, ACCEPTED"),
        ("contact.tags == 'vip'", 0, "a list and a text are never equal; write `'vip' in contact.tags`"),
        ("lead.priority > '50'", 0, "a number and a text have no order; write 50 without quotes"),
        ("lead.priority == '50'", 0, "a number and a text are never equal; write 50 without quotes"),
        ("contact.email", 0, "a condition is true or false, and this is a text; compare it with something"),
        ("contact.email && true", 0, "true or false is expected here, and this is a text; compare it with something"),
        (
            "contact.tags.contains('vip')",
            0,
            "`contains` is for a text, and this is a list; write `'vip' in contact.tags`",
        ),
        (
            "'x' in contact.email",
            7,
            "`in` looks into a list or a map, and this is a text; write `contact.email.contains(...)`",
        ),
        ("contact.email.startWith('x')", 14, "there is no function `startWith`; did you mean `startsWith`?"),
        (
            "now + duration('1h') > timestamp(now)",
            0,
            "`+` does not go between a text and a length of time; make the text a moment with `timestamp(...)`",
        ),
        ("contact.email.size == 3", 14, "`contact.email` is a text, which has no `size`"),
        ("contact.tags.exists(t, t > 3)", 23, "a text and a number have no order"),
    ] {
        let found = faults(source, &environment(), Purpose::Condition);
        assert_eq!(found.first().map(|fault| (fault.at, fault.message.as_str())), Some((at, said)), "{source}");
    }
}

#[test]
fn what_an_expression_is_for_says_what_it_may_give() {
    let said = |source: &str, purpose| {
        faults(source, &environment(), purpose).into_iter().map(|fault| fault.message).collect::<Vec<_>>()
    };
    for (source, text, scalar) in [
        ("contact['email']", None, None),
        ("lead['stage']", None, None),
        ("contact.custom.any", None, None),
        ("string(lead.priority)", None, None),
        (
            "lead['priority']",
            Some("a text is expected here, and this is a number; write `string(...)` around it"),
            None,
        ),
        (
            "lead.priority > 1",
            Some("a text is expected here, and this is true or false; write `... ? 'yes' : 'no'`"),
            None,
        ),
        ("null", Some("a text is expected here, and this is null; name one that is"), None),
        (
            "contact['tags']",
            Some("a text is expected here, and this is a list; name one that is"),
            Some("a text, a number, true or false is expected here, and this is a list; name one value of it"),
        ),
        (
            "contact",
            Some("a text is expected here, and this is a map; name one that is"),
            Some("a text, a number, true or false is expected here, and this is a map; name one value of it"),
        ),
    ] {
        assert_eq!(said(source, Purpose::Text), text.into_iter().collect::<Vec<_>>(), "{source}");
        assert_eq!(said(source, Purpose::Scalar), scalar.into_iter().collect::<Vec<_>>(), "{source}");
        assert!(said(source, Purpose::Value).is_empty(), "{source}");
    }
}

#[test]
fn every_function_that_is_named_is_one() {
    for name in FUNCTIONS {
        let call = match name {
            "contains" | "startsWith" | "endsWith" | "matches" => format!("'ab'.{name}('a')"),
            "timestamp" => "timestamp('2026-03-02T09:00:00Z')".to_owned(),
            "duration" => "duration('1h')".to_owned(),
            "bool" => "bool('true')".to_owned(),
            "int" | "uint" | "double" => format!("{name}('1')"),
            "size" | "string" | "bytes" | "type" | "dyn" => format!("{name}('a')"),
            get => format!("timestamp('2026-03-02T09:00:00Z').{get}()"),
        };
        let value = crate::expression::Expression::parse(&format!("{call} == {call}"))
            .unwrap()
            .evaluate(&serde_json::json!({}));
        assert_eq!(value, Ok(serde_json::Value::Bool(true)), "{name}");
    }
}

#[test]
fn every_type_that_is_named_is_a_value() {
    for name in TYPES {
        let source = format!("type({name}) == type");
        let value = crate::expression::Expression::parse(&source).unwrap().evaluate(&serde_json::json!({}));
        assert_eq!(value, Ok(serde_json::Value::Bool(true)), "{name}");
        assert_eq!(faults(&source, &Shape::Record(Vec::new()), Purpose::Condition), [], "{name}");
    }
    let seats = "type(contact.custom.seats) == int && duration('1h').getMilliseconds() > 0";
    let contact = Shape::Record(vec![("custom", Shape::Map)]);
    assert_eq!(faults(seats, &Shape::Record(vec![("contact", contact)]), Purpose::Condition), []);
}
