//! Company names.

use super::{Refusal, comparison_key, excerpt};

/// Legal forms as they appear at the end of a name, after [`comparison_key`]. Single words.
const SUFFIXES: &[&str] = &[
    "inc",
    "incorporated",
    "corp",
    "corporation",
    "co",
    "company",
    "companies",
    "ltd",
    "limited",
    "llc",
    "llp",
    "lp",
    "plc",
    "pllc",
    "gmbh",
    "ag",
    "kg",
    "kgaa",
    "ohg",
    "ug",
    "se",
    "sa",
    "sas",
    "sarl",
    "sasu",
    "sl",
    "slu",
    "srl",
    "spa",
    "sapa",
    "nv",
    "bv",
    "cv",
    "ab",
    "as",
    "asa",
    "aps",
    "oy",
    "oyj",
    "ou",
    "sia",
    "uab",
    "kft",
    "zrt",
    "nyrt",
    "doo",
    "dd",
    "ad",
    "sp",
    "zoo",
    "sro",
    "pte",
    "pty",
    "pvt",
    "private",
    "bhd",
    "sdn",
    "berhad",
    "tbk",
    "pt",
    "kk",
    "gk",
    "ltda",
    "eireli",
    "sab",
    "cvs",
    "holdings",
    "holding",
    "group",
    "jsc",
    "ojsc",
    "pjsc",
    "ooo",
    "oao",
    "zao",
    "ao",
    "and",
];
/// Legal forms written onto the end of a name without a space.
const JOINED: &[&str] = &[
    "股份有限公司",
    "有限责任公司",
    "有限公司",
    "股份公司",
    "集团公司",
    "公司",
    "集团",
    "有限責任公司",
    "股份有限公司",
    "集團",
    "株式会社",
    "合同会社",
    "주식회사",
];
/// Legal forms written before a name.
const LEADING: &[&str] = &["株式会社", "合同会社", "주식회사"];

/// The key by which company names are compared: [`comparison_key`] without legal forms at its end, `the` at its
/// beginning, and the parts `and`, `group`, `holdings` that come and go. Something is always left.
///
/// Refuses a name without a letter or a digit.
pub fn company_name(text: &str) -> Result<String, Refusal> {
    let bounded: String = text.chars().take(400).collect();
    let folded = comparison_key(&bounded);
    if folded.is_empty() {
        return Err(Refusal::Name { given: excerpt(text) });
    }
    let mut words: Vec<&str> = folded.split(' ').collect();
    while let Some(fewer) = shorten(&words) {
        words = fewer;
    }
    Ok(words.join(" "))
}

/// One legal form or article less, or nothing where none is left (or nothing else is).
fn shorten<'a>(words: &[&'a str]) -> Option<Vec<&'a str>> {
    let (first, last) = (*words.first()?, *words.last()?);
    if words.len() > 1 {
        if first == "the" || LEADING.contains(&first) {
            return Some(words[1..].to_vec());
        }
        if SUFFIXES.contains(&last) || JOINED.contains(&last) {
            return Some(words[..words.len() - 1].to_vec());
        }
        // Letters set apart: S. A., L L C.
        for count in [2, 3] {
            let Some(at) = words.len().checked_sub(count).filter(|at| *at > 0) else { continue };
            let letters = &words[at..];
            if letters.iter().all(|word| word.chars().count() == 1) && SUFFIXES.contains(&letters.concat().as_str()) {
                return Some(words[..at].to_vec());
            }
        }
    }
    if let Some(rest) = JOINED.iter().find_map(|form| last.strip_suffix(form)).filter(|rest| !rest.is_empty()) {
        let mut fewer = words[..words.len() - 1].to_vec();
        fewer.push(rest);
        return Some(fewer);
    }
    if let Some(rest) = LEADING.iter().find_map(|form| first.strip_prefix(form)).filter(|rest| !rest.is_empty()) {
        let mut fewer = words.to_vec();
        fewer[0] = rest;
        return Some(fewer);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_forms_case_and_punctuation_do_not_count() {
        for (text, key) in [
            ("Example, Inc.", "example"),
            ("THE EXAMPLE COMPANY", "example"),
            ("Example GmbH & Co. KG", "example"),
            ("Exámple S.A.", "example"),
            ("Example S. p. A.", "example"),
            ("Example Holdings Pte. Ltd.", "example"),
            ("A. O. Example", "a o example"),
            ("Example & Sons Ltd", "example and sons"),
            ("O'Example Corp", "oexample"),
            ("示例科技（北京）有限公司", "示例科技 北京"),
            ("示例集团股份有限公司", "示例"),
            ("株式会社サンプル", "サンプル"),
        ] {
            assert_eq!(company_name(text).unwrap(), key, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_only_a_legal_form_stays() {
        assert_eq!(company_name("Limited").unwrap(), "limited");
        assert_eq!(company_name("The Company").unwrap(), "company");
        assert_eq!(company_name("有限公司").unwrap(), "有限公司");
    }

    #[test]
    fn a_name_of_punctuation_is_refused() {
        assert_eq!(company_name(" ?! ").unwrap_err().code(), "NAME_INVALID");
    }
}
