//! The lists and the custom fields that expressions and templates name.

use super::Thing;
use crate::sequence::definition::Definition;
use crate::sequence::interactions::places;
use crate::sequence::reads::{LISTS, expressions};
use crate::sequence::steps::Record;
use serde_json::Value;

/// Where a record has its custom fields.
const CUSTOM: &str = "custom";

/// Everything that expressions and templates of a definition name and that may not be there, each with the path of the text
/// that names it: lists, as in `'vip' in lists`, and custom fields, as in `contact.custom.size`. What an expression computes is not
/// among them.
pub fn read(definition: &Definition) -> Vec<(String, Thing, String)> {
    let mut found = Vec::new();
    let header = serde_json::to_value(&definition.header).unwrap_or_default();
    let steps = serde_json::to_value(&definition.steps).unwrap_or_default();
    look(&header, String::new(), &mut found);
    look(&steps, "steps".to_owned(), &mut found);
    found
}

fn look(value: &Value, path: String, found: &mut Vec<(String, Thing, String)>) {
    match value {
        Value::String(text) => found.extend(of(text).into_iter().map(|(thing, key)| (path.clone(), thing, key))),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| look(item, format!("{path}[{at}]"), found));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            look(field, if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
        }),
        _ => {}
    }
}

/// What one text names, each once.
fn of(text: &str) -> Vec<(Thing, String)> {
    let mut found: Vec<(Thing, String)> = Vec::new();
    if !text.contains(LISTS) && !text.contains(CUSTOM) {
        return found;
    }
    let records = [Record::Contact, Record::Lead, Record::Account];
    for part in expressions(text, &[LISTS, "contact", "lead", "account"]) {
        let mut take = |thing, key: &str| {
            if !found.iter().any(|(of, known)| *of == thing && known == key) {
                found.push((thing, key.to_owned()));
            }
        };
        lists(part).into_iter().for_each(|key| take(Thing::List, key));
        for record in records {
            custom_fields(part, record).for_each(|key| take(Thing::CustomField(record), key));
        }
    }
    found
}

/// The texts before `in lists`.
fn lists(expression: &str) -> Vec<&str> {
    let before = |after: &str| {
        let at = expression.len() - after.len() - LISTS.len();
        let text = expression[..at].trim_end().strip_suffix("in")?;
        let text = text.trim_end().strip_suffix(" not").unwrap_or(text).trim_end();
        let quote = text.chars().last().filter(|c| matches!(c, '\'' | '"'))?;
        let inside = &text[..text.len() - 1];
        Some(&inside[inside.rfind(quote)? + 1..])
    };
    // What is looked for in a part of `lists` is not looked for in the whole.
    let whole = |after: &&str| {
        let after = after.trim_start();
        !after.starts_with(['.', '[']) && (after.starts_with("||") || !after.starts_with('|'))
    };
    places(expression, LISTS).filter(whole).filter_map(before).collect()
}

/// The keys after `contact.custom.`, or in `contact.custom['...']`.
fn custom_fields(expression: &str, record: Record) -> impl Iterator<Item = &str> {
    places(expression, record.name()).filter_map(|after| {
        let rest = after.trim_start().strip_prefix('.')?.trim_start().strip_prefix(CUSTOM)?.trim_start();
        let rest = match rest.strip_prefix('.') {
            Some(rest) => rest.trim_start(),
            None => rest.strip_prefix('[')?.trim_start().strip_prefix(['\'', '"'])?,
        };
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        (end > 0).then_some(&rest[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_named_is_told_from_one_that_is_computed() {
        let of = |source: &str| lists(source).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(of("'vip' in lists || !(\"b-2\"  in  lists)"), ["vip", "b-2"]);
        assert_eq!(of("'a' not in lists and 'b' in lists"), ["a", "b"]);
        assert_eq!(of("['a', 'b'].exists(k, k in lists) && contact.name in lists && 'x' in contact.lists"), [""; 0]);
        assert_eq!(of("'a' in lists[0] || lists.size() > 1 || ('a' + contact.name) in lists || 'é' in lists"), ["é"]);
        assert_eq!(of("in lists"), [""; 0]);
    }

    #[test]
    fn custom_fields_are_found_in_expressions_and_in_templates_and_not_in_prose() {
        let of = |text: &str| of(text).into_iter().map(|(thing, key)| format!("{thing:?} {key}")).collect::<Vec<_>>();
        let of_contact = |key: &str| format!("CustomField(Contact) {key}");
        let both = [of_contact("size"), of_contact("lost_on")];
        assert_eq!(
            of("has(contact.custom.size) && contact.custom.size > 3 && contact . custom['lost_on'] != ''"),
            both
        );
        assert_eq!(
            of("{% if contact.custom.size is defined %}{{ contact.custom[\"lost_on\"] }}{% endif %} lead.custom.x"),
            both
        );
        assert_eq!(of("lead.custom.a == account.custom.b"), ["CustomField(Lead) a", "CustomField(Account) b"]);
        assert!(of("our custom lists: contact.custom.x, and more").is_empty());
        assert!(of("contact.custom[contact.name] == 'x' || has(contact.custom) || x.contact.custom.y").is_empty());
    }
}
