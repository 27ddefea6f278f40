//! Phone numbers, in the form of E.164.

use super::{Refusal, excerpt};
use phonenumber::{Mode, country};
use unicode_normalization::UnicodeNormalization;

/// A phone number as E.164: `+`, country code, number, digits only.
///
/// `default_region` is the ISO 3166-1 code of the country that numbers without a country code are dialled from;
/// without one such a number is refused. An extension (`ext`, `x`, `#`, `转`) is left out. Letters are refused.
pub fn phone(text: &str, default_region: Option<&str>) -> Result<String, Refusal> {
    let refusal = |why| Refusal::Phone { given: excerpt(text), why };
    if text.len() > 200 {
        return Err(refusal("it is too long"));
    }
    let digits = dialled(text).map_err(refusal)?;
    let region = default_region.map(super::country).transpose()?.and_then(|code| code.parse::<country::Id>().ok());
    if region.is_none() && !digits.starts_with('+') {
        return Err(refusal(
            "it has no country code and there is no default region; begin it with + and the country code",
        ));
    }
    let number = parse(region, &digits).ok_or_else(|| refusal("no country has such a number"))?;
    // The normal form must read back as itself, or two spellings of one number would not be equal.
    if parse(None, &number).as_ref() != Some(&number) {
        return Err(refusal("no country has such a number"));
    }
    Ok(number)
}

/// The digits, with a `+` before them where there was one or an international prefix `00`.
fn dialled(text: &str) -> Result<String, &'static str> {
    let plain: String = text.trim().nfkc().collect::<String>().to_lowercase();
    let plain = plain.strip_prefix("tel:").unwrap_or(&plain);
    let end = ["ext", "x", "#", ";", "转"].iter().filter_map(|mark| plain.find(mark)).min().unwrap_or(plain.len());
    let mut digits = String::new();
    for c in plain[..end].chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() => digits.push(c),
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}' | '\u{a0}' => {}
            _ => return Err("it has something other than digits and separators"),
        }
    }
    match digits.trim_start_matches('+').len() {
        0 => Err("it has no digit"),
        1..=5 => Err("it is too short"),
        18.. => Err("it is too long"),
        _ => Ok(digits),
    }
}

fn parse(region: Option<country::Id>, digits: &str) -> Option<String> {
    let number = phonenumber::parse(region, digits).ok().filter(phonenumber::is_valid)?;
    // A national number may begin with zeros that count (Italy); the formatter knows.
    let text = number.format().mode(Mode::E164).to_string();
    let fits = text.len() <= 16 && text.starts_with('+') && text[1..].bytes().all(|b| b.is_ascii_digit());
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_number_gives_one_form() {
        for text in [
            "+1 212 555 0123",
            "(212) 555-0123",
            "212.555.0123 ext. 7",
            "tel:+1-212-555-0123",
            "＋１ ２１２ ５５５ ０１２３",
            "1 212 555 0123",
        ] {
            assert_eq!(phone(text, Some("US")).unwrap(), "+12125550123", "{text}");
        }
        assert_eq!(phone("010 6552 9988", Some("CN")).unwrap(), "+861065529988");
        assert_eq!(phone("138 0013 8000", Some("cn")).unwrap(), "+8613800138000");
        assert_eq!(phone("020 7946 0958", Some("GB")).unwrap(), "+442079460958");
        assert_eq!(phone("+39 06 6982", None).unwrap(), "+39066982");
    }

    #[test]
    fn what_cannot_be_dialled_is_refused_by_name() {
        for (text, word) in [
            ("", "no digit"),
            ("12", "too short"),
            ("call me", "other than digits"),
            ("1-800-FLOWERS", "other than digits"),
            ("2125550123", "no default region"),
            ("+999 12345678", "no country"),
            ("+1 234567890123456789", "too long"),
        ] {
            let refusal = phone(text, None).unwrap_err();
            assert_eq!(refusal.code(), "PHONE_INVALID");
            assert!(refusal.to_string().contains(word), "{text}: {refusal}");
        }
    }
}
