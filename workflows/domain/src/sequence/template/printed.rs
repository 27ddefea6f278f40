//! What the tags of a template do with a value, as far as it shows from how they are written: whether the link to unsubscribe
//! comes out as it went in, and whether a whole record is printed.

use super::scan::{Inside, tags};
use crate::expression::typing::Shape;

/// The filters that leave the link as it is.
const LEAVE: [&str; 2] = ["default", "trim"];
/// The filters that make one value of a list.
const ONE_OF_A_LIST: [&str; 4] = ["join", "length", "first", "last"];

/// A word or sign of a tag, and where it begins in the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl Token<'_> {
    fn is_name(self) -> bool {
        self.text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    }
}

/// The words and signs of a tag; a text in quotes is one.
fn tokens<'a>(tag: &Inside<'a>) -> Vec<Token<'a>> {
    let (mut found, mut rest) = (Vec::new(), tag.text);
    while let Some(c) = rest.chars().next() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = match c {
            '"' | '\'' => {
                let mut escaped = false;
                let end = rest[1..].find(|other: char| {
                    let closes = other == c && !escaped;
                    escaped = other == '\\' && !escaped;
                    closes
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            c if word(c) => rest.find(|c: char| !word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        if !c.is_ascii_whitespace() {
            found.push(Token { at: tag.at + tag.text.len() - rest.len(), text: &rest[..length] });
        }
        rest = &rest[length..];
    }
    found
}

/// Where a template does more with the link `name` than to print it, each with a sentence: what stands for the link is looked for
/// as the e-mail goes out, and would not be found.
pub(in crate::sequence) fn spoilt_link(source: &str, name: &str) -> Vec<(usize, String)> {
    if !source.contains(name) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for tag in tags(source) {
        let tokens = tokens(&tag);
        let names_it = |at: usize| tokens[at].text == name && (at == 0 || tokens[at - 1].text != ".");
        let Some(first) = (0..tokens.len()).find(|at| names_it(*at)) else { continue };
        let filter = tokens.windows(2).find(|pair| pair[0].text == "|" && !LEAVE.contains(&pair[1].text));
        let part = tokens.windows(2).any(|pair| pair[0].text == name && pair[1].text == "[");
        let why = match (tag.prints, filter) {
            (true, Some(filter)) => format!("`{}` changes it", filter[1].text),
            (true, None) if part => "a part of it leads nowhere".to_owned(),
            (false, _) if tokens.first().is_some_and(|word| word.text == "for") => {
                "it is one text, and nothing to go through".to_owned()
            }
            _ => continue,
        };
        let message = format!(
            "the link to unsubscribe is put in as it stands, and {why}, so that it leads nowhere; write `{{{{ {name} }}}}` alone"
        );
        found.push((tokens[first].at, message));
    }
    found
}

/// Where a template prints a whole record, map or list of `known`, each with a sentence.
pub(in crate::sequence) fn whole_records(source: &str, known: &Shape) -> Vec<(usize, String)> {
    let all = tags(source);
    // The variable of a loop hides what else has its name.
    let looped: Vec<&str> = all
        .iter()
        .filter(|tag| !tag.prints)
        .filter_map(|tag| {
            let tokens = tokens(tag);
            let first = tokens.iter().position(|word| word.text == "for")?;
            Some(tokens.get(first + 1)?.text)
        })
        .collect();
    let mut found = Vec::new();
    for tag in all.iter().filter(|tag| tag.prints) {
        let tokens = tokens(tag);
        let mut at = 0;
        while at < tokens.len() {
            let first = at;
            at += 1;
            let before = first.checked_sub(1).map(|before| tokens[before].text);
            // Printed is what begins the tag, a bracket, a part of a sum or the other choice.
            let begins = matches!(before, None | Some("(" | "~" | "+" | "else" | "-"));
            if !tokens[first].is_name() || looped.contains(&tokens[first].text) || !begins {
                continue;
            }
            let Some(mut shape) = known.field(tokens[first].text) else { continue };
            let mut path = tokens[first].text.to_owned();
            while let [dot, field, ..] = &tokens[at..]
                && dot.text == "."
                && let Some(inner) = shape.field(field.text)
            {
                path = format!("{path}.{}", field.text);
                (shape, at) = (inner, at + 2);
            }
            let filter = match &tokens[at..] {
                [bar, filter, ..] if bar.text == "|" => Some(filter.text),
                _ => None,
            };
            let goes_on = tokens.get(at).map(|next| next.text);
            if !matches!(goes_on, None | Some("|" | "~" | "+" | ")" | "if" | "-")) {
                continue;
            }
            let said = match shape {
                Shape::List(_) if filter.is_some_and(|filter| ONE_OF_A_LIST.contains(&filter)) => continue,
                Shape::Record(_) | Shape::Map if filter == Some("length") => continue,
                Shape::List(_) => {
                    format!("is a list, and is printed with brackets and quotes; write `{path} | join(\", \")`")
                }
                Shape::Record(fields) => {
                    let field = fields.iter().find(|(_, shape)| *shape == Shape::Text).map_or("...", |(name, _)| name);
                    let field = if fields.iter().any(|(name, _)| *name == "name") { "name" } else { field };
                    format!(
                        "is a whole record, and all that is known would be printed; name one field of it, e.g. `{path}.{field}`"
                    )
                }
                Shape::Map => format!(
                    "is a whole map, and all that is known would be printed; name one key of it, e.g. `{path}.plan`"
                ),
                _ => continue,
            };
            found.push((tokens[first].at, format!("`{path}` {said}")));
        }
    }
    found
}
