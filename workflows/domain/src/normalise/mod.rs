//! One form for each thing that people write in many ways: domains, e-mail addresses, phone numbers, names.
//!
//! Each function takes what was typed, and gives the one form that is stored and compared, or a refusal that
//! names the rule. All are idempotent (`f(f(x)) == f(x)`), and none panics whatever it is given.

mod company;
mod net;
mod phone;

pub use company::company_name;
pub use net::{domain, email};
pub use phone::phone;

use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;

/// Why a text has no normal form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not an e-mail address that Tandem can write to.
    #[error("`{given}` is not an e-mail address: {why}")]
    Email {
        /// What was given, at most 80 characters.
        given: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a domain on the public internet.
    #[error("`{given}` is not a domain: {why}")]
    Domain {
        /// What was given, at most 80 characters.
        given: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a phone number.
    #[error("`{given}` is not a phone number: {why}")]
    Phone {
        /// What was given, at most 80 characters.
        given: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A name without a letter or digit.
    #[error("`{given}` is not a name; a name needs a letter or a digit")]
    Name {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// Not a country.
    #[error("`{given}` is not a country; give the two letters of ISO 3166-1, such as US or CN")]
    Country {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// Not a language tag.
    #[error("`{given}` is not a locale; give a language tag such as en, en-US or zh-CN")]
    Locale {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// Not a tag.
    #[error("`{given}` is not a tag; use 1 to {MAX_TAG} letters, digits, spaces or one of - _ . : /")]
    Tag {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// More tags than a record holds.
    #[error("a record holds at most {MAX_TAGS} tags; remove one first")]
    TooManyTags,
    /// Not the number of a company register.
    #[error("`{given}` is not a registry number; it needs a letter or a digit and has at most 64 of them")]
    Registry {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// Not the name of another system, or not an id in it.
    #[error("`{given}` is not an external id; write system and id, e.g. crm and 42, each of at most 200 characters")]
    ExternalId {
        /// What was given, at most 80 characters.
        given: String,
    },
    /// A text longer than its field holds.
    #[error("{field} holds at most {max} characters; shorten it")]
    TooLong {
        /// The input field.
        field: &'static str,
        /// The limit in characters.
        max: usize,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Email { .. } => "EMAIL_INVALID",
            Self::Domain { .. } => "DOMAIN_INVALID",
            Self::Phone { .. } => "PHONE_INVALID",
            Self::Name { .. } => "NAME_INVALID",
            Self::Country { .. } => "COUNTRY_INVALID",
            Self::Locale { .. } => "LOCALE_INVALID",
            Self::Tag { .. } => "TAG_INVALID",
            Self::TooManyTags => "TAGS_TOO_MANY",
            Self::Registry { .. } => "REGISTRY_NUMBER_INVALID",
            Self::ExternalId { .. } => "EXTERNAL_ID_INVALID",
            Self::TooLong { .. } => "TEXT_TOO_LONG",
        }
    }

    /// The input field concerned.
    pub const fn field(&self) -> Option<&'static str> {
        Some(match self {
            Self::Email { .. } => "email",
            Self::Domain { .. } => "domains",
            Self::Phone { .. } => "phone",
            Self::Name { .. } => "name",
            Self::Country { .. } => "country",
            Self::Locale { .. } => "locale",
            Self::Tag { .. } | Self::TooManyTags => "tags",
            Self::Registry { .. } => "registryNumber",
            Self::ExternalId { .. } => "externalIds",
            Self::TooLong { field, .. } => field,
        })
    }
}

/// The longest tag, in characters.
pub const MAX_TAG: usize = 50;
/// The most tags on one record.
pub const MAX_TAGS: usize = 50;

/// The beginning of a text, for a message: at most 80 characters, none of them a control character.
pub(crate) fn excerpt(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(80).collect()
}

/// One line of text: compatibility forms composed (NFKC), control characters and runs of white space made one
/// space, trimmed; refused when longer than `max` characters. An empty result is not refused here.
pub fn line(field: &'static str, text: &str, max: usize) -> Result<String, Refusal> {
    // Bounded before the work, not after it: no field is worth normalising a megabyte.
    if text.len() > max.saturating_mul(16) {
        return Err(Refusal::TooLong { field, max });
    }
    let joined = one_line(text);
    if joined.chars().count() > max {
        return Err(Refusal::TooLong { field, max });
    }
    Ok(joined)
}

fn one_line(text: &str) -> String {
    let spaced: String = text.nfkc().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of a text in the form of [`line()`], at most `max` characters of it: for what others wrote, which is not
/// refused for its length. Give it no more than is worth normalising.
pub fn cut_line(text: &str, max: usize) -> String {
    let cut: String = one_line(text).chars().take(max).collect();
    cut.trim_end().to_owned()
}

/// Refuses a text of more than `max` characters that is otherwise kept as it is.
pub fn at_most(field: &'static str, text: &str, max: usize) -> Result<(), Refusal> {
    if text.chars().count() > max { Err(Refusal::TooLong { field, max }) } else { Ok(()) }
}

/// The form in which two texts are compared whatever their case, accents, spacing and punctuation:
/// letters and digits in lower case, words separated by one space. Empty when there is no letter or digit.
pub fn comparison_key(text: &str) -> String {
    let mut key = fold(text);
    // Lower-casing can give a character that folds again (a capital dotted I, for one); two rounds reach rest.
    for _ in 0..4 {
        let again = fold(&key);
        if again == key {
            break;
        }
        key = again;
    }
    key
}

fn fold(text: &str) -> String {
    let plain = |c: &char| !('\u{300}'..='\u{36f}').contains(c);
    let lower: String = text.nfkd().filter(plain).flat_map(char::to_lowercase).collect();
    let mut words = String::with_capacity(lower.len());
    for c in lower.nfkd().filter(plain) {
        match c {
            // Dots and apostrophes bind what they stand between: S.A. is SA, O'Neil is ONeil.
            '.' | '\'' | '\u{2019}' => {}
            '&' => words.push_str(" and "),
            '+' => words.push_str(" plus "),
            c if c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c) => words.push(c),
            _ => words.push(' '),
        }
    }
    words.nfc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An ISO 3166-1 country code of two letters, in upper case.
pub fn country(text: &str) -> Result<String, Refusal> {
    let code = text.trim().to_ascii_uppercase();
    let known = code.len() == 2 && code.parse::<phonenumber::country::Id>().is_ok();
    if known { Ok(code) } else { Err(Refusal::Country { given: excerpt(text) }) }
}

/// A language tag (the usual part of BCP 47): language in lower case, script in title case, region in upper case.
pub fn locale(text: &str) -> Result<String, Refusal> {
    let refusal = || Refusal::Locale { given: excerpt(text) };
    let mut parts = Vec::new();
    for (index, part) in text.trim().split(['-', '_']).enumerate() {
        let letters = part.chars().all(|c| c.is_ascii_alphabetic());
        let usual = part.chars().all(|c| c.is_ascii_alphanumeric());
        parts.push(match (index, part.len()) {
            (0, 2 | 3) if letters => part.to_ascii_lowercase(),
            (1.., 2) if letters => part.to_ascii_uppercase(),
            (1.., 3) if part.chars().all(|c| c.is_ascii_digit()) => part.to_owned(),
            (1.., 4) if letters => {
                let lower = part.to_ascii_lowercase();
                lower[..1].to_ascii_uppercase() + &lower[1..]
            }
            (1.., 4..=8) if usual => part.to_ascii_lowercase(),
            _ => return Err(refusal()),
        });
    }
    if parts.len() > 4 { Err(refusal()) } else { Ok(parts.join("-")) }
}

/// A tag: lower case, words joined by a hyphen, 1 to [`MAX_TAG`] characters.
pub fn tag(text: &str) -> Result<String, Refusal> {
    let refusal = || Refusal::Tag { given: excerpt(text) };
    let mut tag = text.to_owned();
    for _ in 0..4 {
        let lower = line("tags", &tag, MAX_TAG).map_err(|_| refusal())?.to_lowercase();
        let again = lower.split_whitespace().collect::<Vec<_>>().join("-").nfkc().collect::<String>();
        if again == tag {
            break;
        }
        tag = again;
    }
    let usual = |c: char| {
        c.is_alphanumeric()
            || unicode_normalization::char::is_combining_mark(c)
            || matches!(c, '-' | '_' | '.' | ':' | '/')
    };
    let fits = (1..=MAX_TAG).contains(&tag.chars().count()) && tag.chars().any(char::is_alphanumeric);
    if fits && tag.chars().all(usual) { Ok(tag) } else { Err(refusal()) }
}

/// Each text as a tag.
pub fn tags(texts: &[String]) -> Result<BTreeSet<String>, Refusal> {
    texts.iter().map(|text| tag(text)).collect()
}

/// Refuses more than [`MAX_TAGS`] tags.
pub fn few_enough(tags: &BTreeSet<String>) -> Result<(), Refusal> {
    if tags.len() > MAX_TAGS { Err(Refusal::TooManyTags) } else { Ok(()) }
}

/// The number of a company in its register: letters and digits alone, in upper case, at most 64.
pub fn registry_number(text: &str) -> Result<String, Refusal> {
    let number: String = text.chars().take(1_000).filter(char::is_ascii_alphanumeric).collect();
    let number = number.to_ascii_uppercase();
    let letters = text.chars().all(|c| c.is_ascii() || c.is_whitespace());
    if letters && (1..=64).contains(&number.len()) && text.len() < 1_000 {
        Ok(number)
    } else {
        Err(Refusal::Registry { given: excerpt(text) })
    }
}

/// The name of another system: lower case, of letters, digits, `-` and `_`, at most 50.
pub fn external_system(text: &str) -> Result<String, Refusal> {
    let system = text.trim().to_ascii_lowercase();
    let usual = system.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if usual && (1..=50).contains(&system.len()) {
        Ok(system)
    } else {
        Err(Refusal::ExternalId { given: excerpt(text) })
    }
}

/// An id in another system: kept as it is but for white space around it; case counts; 1 to 200 characters.
pub fn external_id(text: &str) -> Result<String, Refusal> {
    let id = text.trim();
    let fits = (1..=200).contains(&id.chars().count()) && !id.chars().any(char::is_control);
    if fits { Ok(id.to_owned()) } else { Err(Refusal::ExternalId { given: excerpt(text) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Normaliser = fn(&str) -> Result<String, Refusal>;

    fn phone_of_the_us(text: &str) -> Result<String, Refusal> {
        phone(text, Some("US"))
    }

    fn phone_of_nowhere(text: &str) -> Result<String, Refusal> {
        phone(text, None)
    }

    const ALL: &[(&str, Normaliser)] = &[
        ("domain", domain),
        ("email", email),
        ("phone", phone_of_the_us),
        ("phone without a region", phone_of_nowhere),
        ("company", company_name),
        ("country", country),
        ("locale", locale),
        ("tag", tag),
        ("registry", registry_number),
        ("system", external_system),
        ("external id", external_id),
    ];

    fn hold(text: &str) -> Result<(), TestCaseError> {
        for (name, normalise) in ALL {
            if let Ok(once) = normalise(text) {
                let twice = normalise(&once);
                prop_assert_eq!(twice.as_ref(), Ok(&once), "{} of {:?}", name, text);
            }
        }
        let once = comparison_key(text);
        prop_assert_eq!(comparison_key(&once), once, "key of {:?}", text);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn normalising_twice_is_normalising_once_for_any_text(text in any::<String>()) {
            hold(&text)?;
        }

        #[test]
        fn normalising_twice_is_normalising_once_for_addresses(
            text in "(https?://|mailto:|//)?(www\\.)?[a-zA-Z0-9.üß中_-]{1,12}[@.][a-zA-Z0-9.-]{1,10}\\.(com|de|中国|香港|CN)[.:/]?[0-9a-z]{0,4}"
        ) {
            hold(&text)?;
        }

        #[test]
        fn normalising_twice_is_normalising_once_for_numbers(text in "(\\+|00|tel:|\\(|＋)?[0-9０-９() ./-]{3,18}( ?(ext|x|#)[0-9]{1,4})?") {
            hold(&text)?;
        }

        #[test]
        fn normalising_twice_is_normalising_once_for_names(
            text in "(The |株式会社)?[A-Za-zÀ-ÿİı&. '中文]{1,16},? (Inc|LTD|S\\.A\\.|s p a|GmbH & Co\\. KG|有限公司|（集团）股份有限公司|Co)?[.!]?"
        ) {
            hold(&text)?;
        }
    }

    #[test]
    fn locales_take_their_usual_case() {
        assert_eq!(locale("ZH_cn").unwrap(), "zh-CN");
        assert_eq!(locale("zh-hans-cn").unwrap(), "zh-Hans-CN");
        for wrong in ["", "english", "e", "en-", "zh--CN"] {
            assert_eq!(locale(wrong).unwrap_err().code(), "LOCALE_INVALID", "{wrong}");
        }
    }

    #[test]
    fn countries_are_codes_of_iso_3166() {
        assert_eq!(country(" us ").unwrap(), "US");
        for wrong in ["", "USA", "ZZ", "U1", "中国"] {
            assert_eq!(country(wrong).unwrap_err().code(), "COUNTRY_INVALID", "{wrong}");
        }
    }

    #[test]
    fn tags_are_lower_case_and_hyphenated() {
        assert_eq!(tag("  Trade  Show 2026 ").unwrap(), "trade-show-2026");
        assert_eq!(tag("重点 客户").unwrap(), "重点-客户");
        for wrong in ["", "--", "a,b", &"x".repeat(51)] {
            assert_eq!(tag(wrong).unwrap_err().code(), "TAG_INVALID", "{wrong}");
        }
    }

    #[test]
    fn a_line_longer_than_its_field_is_refused_by_name() {
        assert_eq!(line("title", "  Head \n of\tSales ", 20).unwrap(), "Head of Sales");
        let refusal = line("title", &"x".repeat(21), 20).unwrap_err();
        assert_eq!((refusal.code(), refusal.field()), ("TEXT_TOO_LONG", Some("title")));
    }
}
