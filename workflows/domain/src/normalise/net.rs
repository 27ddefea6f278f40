//! Domains and e-mail addresses.

use super::{Refusal, excerpt};

const MAX_INPUT: usize = 2_048;

/// The registrable part is not looked for: `eu.example.com` and `example.com` are two domains.
///
/// Takes a bare domain or a URL, in any script; gives lower-case ASCII (IDNA) without scheme, user, `www.`, port,
/// path and final dot. Refuses IP addresses, localhost, single labels and e-mail addresses.
pub fn domain(text: &str) -> Result<String, Refusal> {
    let refusal = |why| Refusal::Domain { given: excerpt(text), why };
    let text = text.trim();
    if text.len() > MAX_INPUT {
        return Err(refusal("it is longer than any URL"));
    }
    let (had_scheme, rest) = match text.find("://") {
        Some(end) if is_scheme(&text[..end]) => (true, &text[end + 3..]),
        _ => match text.strip_prefix("//") {
            Some(rest) => (true, rest),
            None => (false, text),
        },
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = match authority.rsplit_once('@') {
        Some((_, host)) if had_scheme => host,
        Some(_) => return Err(refusal("it is an e-mail address; give the part after the @")),
        None => authority,
    };
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => host,
    };
    let mut name = host_to_ascii(host).map_err(refusal)?;
    while let Some(rest) = name.strip_prefix("www.").filter(|rest| rest.contains('.')) {
        name = rest.to_owned();
    }
    Ok(name)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// The ASCII form of a host name of at least two labels, or the rule it breaks.
fn host_to_ascii(host: &str) -> Result<String, &'static str> {
    let host = host.strip_suffix(['.', '\u{3002}', '\u{ff0e}']).unwrap_or(host);
    if host.is_empty() {
        return Err("there is nothing there");
    }
    if host.contains(['[', ']', ':']) {
        return Err("an IP address has no place here; give a name");
    }
    let ascii = idna::domain_to_ascii_strict(host)
        .map_err(|_| "a label is empty, too long, or has a character no domain may have")?;
    let Some((_, last)) = ascii.rsplit_once('.') else {
        return Err("it needs at least two labels, such as example.com");
    };
    if last == "localhost" || ascii == "localhost.localdomain" {
        return Err("localhost names no company");
    }
    if last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x") {
        return Err("an IP address has no place here; give a name");
    }
    let top_level = last.starts_with("xn--") || last.chars().all(|c| c.is_ascii_alphabetic());
    if !top_level || last.len() < 2 {
        return Err("its last label is not a top-level domain");
    }
    Ok(ascii)
}

/// An address as Tandem stores and compares it: trimmed, all in lower case, the domain in ASCII (IDNA).
///
/// The local part is of the characters that RFC 5321 allows without quotes; quoted and non-ASCII local parts are
/// refused, since few servers take them. At most 64 octets before the `@` and 254 in all.
pub fn email(text: &str) -> Result<String, Refusal> {
    let refusal = |why| Refusal::Email { given: excerpt(text), why };
    let text = text.trim();
    if text.is_empty() {
        return Err(refusal("there is nothing there"));
    }
    if text.len() > MAX_INPUT {
        return Err(refusal("it is longer than 254 characters"));
    }
    let Some((local, host)) = text.rsplit_once('@') else {
        return Err(refusal("it has no @"));
    };
    if local.is_empty() {
        return Err(refusal("there is nothing before the @"));
    }
    if local.len() > 64 {
        return Err(refusal("there are more than 64 characters before the @"));
    }
    if local.contains('@') {
        return Err(refusal("it has more than one @"));
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(refusal("a dot before the @ stands at an end or beside another dot"));
    }
    if !local.is_ascii() {
        return Err(refusal("the part before the @ has a character outside ASCII"));
    }
    if !local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b)) {
        return Err(refusal("the part before the @ has a space or a character that needs quotes"));
    }
    if host.ends_with(['.', '\u{3002}', '\u{ff0e}']) {
        return Err(refusal("it ends with a dot"));
    }
    let address = format!("{}@{}", local.to_ascii_lowercase(), host_to_ascii(host).map_err(refusal)?);
    if address.len() > 254 {
        return Err(refusal("it is longer than 254 characters"));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_a_domain_gives_one_form() {
        for text in [
            "example.com",
            " Example.COM. ",
            "www.example.com",
            "https://www.example.com:443/a/b?c=d#e",
            "http://user:secret@example.com/",
            "//example.com/x",
            "ｅｘａｍｐｌｅ．com",
        ] {
            assert_eq!(domain(text).unwrap(), "example.com", "{text}");
        }
        assert_eq!(domain("BÜCHER.example.org").unwrap(), "xn--bcher-kva.example.org");
        assert_eq!(domain("例子.中国").unwrap(), "xn--fsqu00a.xn--fiqs8s");
        assert_eq!(domain("www.com").unwrap(), "www.com");
    }

    #[test]
    fn what_names_no_company_on_the_internet_is_refused() {
        for text in [
            "",
            "localhost",
            "http://localhost:8080",
            "intranet",
            "10.0.0.1",
            "http://[::1]/",
            "1.2.3.0x1",
            "exa mple.com",
            "foo_bar.com",
            "-a.com",
            "a..com",
            "ann@example.com",
            "example.c",
            "example.123",
            "file:///etc/passwd",
            "app.localhost",
        ] {
            assert_eq!(domain(text).unwrap_err().code(), "DOMAIN_INVALID", "{text}");
        }
        assert!(domain(&"a".repeat(10_000)).is_err());
    }

    #[test]
    fn an_address_is_compared_in_lower_case_and_ascii() {
        assert_eq!(email("  Ann.Example+News@Example.COM ").unwrap(), "ann.example+news@example.com");
        assert_eq!(email("ann@BÜCHER.example").unwrap(), "ann@xn--bcher-kva.example");
        assert_eq!(email("ann@www.example.com").unwrap(), "ann@www.example.com");
    }

    #[test]
    fn each_rule_of_an_address_is_named() {
        let long = format!("{}@example.com", "a".repeat(65));
        for (text, word) in [
            ("", "nothing there"),
            ("ann", "no @"),
            ("@example.com", "nothing before"),
            ("ann@", "nothing there"),
            ("a@b@example.com", "more than one"),
            (".ann@example.com", "dot"),
            ("a..n@example.com", "dot"),
            ("ann lee@example.com", "space"),
            ("\"ann\"@example.com", "quotes"),
            ("änn@example.com", "ASCII"),
            ("ann@example", "two labels"),
            ("ann@[10.0.0.1]", "IP address"),
            ("ann@example.com.", "ends with a dot"),
            (long.as_str(), "64"),
        ] {
            let refusal = email(text).unwrap_err();
            assert_eq!((refusal.code(), refusal.field()), ("EMAIL_INVALID", Some("email")));
            assert!(refusal.to_string().contains(word), "{text}: {refusal}");
        }
    }
}
