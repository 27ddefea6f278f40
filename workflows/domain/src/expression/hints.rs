//! What to do about an expression that has no value for some data, as far as the interpreter's words tell.

/// What helps, from a semicolon on; empty where it does not show.
pub(super) fn hint(message: &str) -> &'static str {
    let small = message.to_lowercase();
    let pairs = ["int", "uint", "double"].map(|number| [format!("(string, {number}"), format!("({number}, string")]);
    if small.starts_with("no such key") {
        "; it may be missing: write `has(...) && ` before it, as in `has(contact.custom.plan) && ...`"
    } else if small.contains("null_type") || small.contains("null(") || small.contains(" null") {
        "; something in it is null: write `... != null && ` before it, as in `lead != null && ...`"
    } else if small.starts_with("division by zero") || small.starts_with("remainder by zero") {
        "; write `... != 0 && ` before it"
    } else if pairs.iter().flatten().any(|pair| small.contains(pair.as_str())) {
        "; a text and a number do not go together: write `int(...)` or `double(...)` around the text"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use crate::expression::Expression;
    use serde_json::json;

    #[test]
    fn the_hint_is_the_one_that_helps() {
        let data = json!({"lead": null, "contact": {"title": null, "custom": {"seats": "5"}}, "n": 0});
        for (source, hint) in [
            ("lead.stage == 'x'", "`... != null && `"),
            ("contact.title.contains('x')", "`... != null && `"),
            ("contact.title > 'x'", "`... != null && `"),
            ("contact.custom.plan == 'x'", "`has(...) && `"),
            ("1 / n == 1", "`... != 0 && `"),
            ("contact.custom.seats > 5", "`int(...)`"),
        ] {
            let refusal = Expression::parse(source).unwrap().evaluate(&data).unwrap_err();
            assert_eq!(refusal.code(), "EXPRESSION_FAILED");
            let said = refusal.to_string();
            assert!(said.contains(hint), "{source}: {said}");
            assert_eq!(said.contains("has(...)"), hint.contains("has"), "{said}");
        }
    }
}
