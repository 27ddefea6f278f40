//! The links that Tandem puts into e-mails.

use std::collections::BTreeMap;
use tandem_domain::id::{ContactId, EmailId};
use tandem_domain::link::{KeyRing, Link, Refusal};

/// Makes and checks signed links under one public address. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links {
    keys: KeyRing,
    base: String,
}

/// Why links cannot be made with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The public address cannot stand in a header.
    #[error("server.public_url must begin with https:// or http:// and be plain ASCII without spaces")]
    Base,
    /// A signing key is refused.
    #[error("links.secret or links.old_secrets: {0}")]
    Key(#[from] Refusal),
    /// A key's number is one byte.
    #[error("links.old_secrets names more than {MAX_OLD} secrets; their links are too old to matter: begin anew")]
    TooManyOld,
}

/// The most secrets that were used before.
const MAX_OLD: u8 = 254;

impl Links {
    /// Links that begin with `base` (an address without a final slash) and are signed with `secret`, of at least 32
    /// bytes.
    pub fn new(base: &str, secret: &[u8]) -> Result<Self, LinkError> {
        Self::after(base, secret, "")
    }

    /// As [`Self::new`], and what was signed with an earlier secret still opens. `old` has those secrets, the oldest
    /// first, separated by white space. A secret's place is its number, which stands in every link: one that shall open
    /// nothing any more is not taken out but replaced by `-`.
    pub fn after(base: &str, secret: &[u8], old: &str) -> Result<Self, LinkError> {
        let whole = base.starts_with("https://") || base.starts_with("http://");
        if !whole || !base.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\",".contains(&byte)) {
            return Err(LinkError::Base);
        }
        let mut keys = BTreeMap::new();
        let mut current = 1;
        for old in old.split_whitespace() {
            if old != "-" {
                keys.insert(current, old.as_bytes().to_vec());
            }
            current = if current > MAX_OLD { return Err(LinkError::TooManyOld) } else { current + 1 };
        }
        keys.insert(current, secret.to_vec());
        Ok(Self { keys: KeyRing::new(current, keys)?, base: base.trim_end_matches('/').to_owned() })
    }

    /// The address by which the recipient of an e-mail unsubscribes: for texts and headers.
    pub fn unsubscribe_url(&self, email: EmailId, contact: ContactId) -> String {
        format!("{}/u/{}", self.base, self.unsubscribe_token(email, contact))
    }

    /// A text without the tokens in it that open something here: whoever reads what somebody answers must not be able to follow
    /// the links in what is quoted.
    pub fn hide(&self, text: &str) -> String {
        let part_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(part_of_token) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !part_of_token(c)).unwrap_or(from.len()));
            shown.push_str(before);
            shown.push_str(if word.len() >= 64 && self.open(word).is_ok() { "…" } else { word });
            rest = after;
        }
        shown + rest
    }

    /// The token in that address alone, for the subject of an e-mail that unsubscribes.
    pub fn unsubscribe_token(&self, email: EmailId, contact: ContactId) -> String {
        self.keys.sign(&Link::Unsubscribe { email, contact })
    }

    /// The address of the picture that tells that an e-mail was opened.
    pub fn open_url(&self, email: EmailId, contact: ContactId) -> String {
        format!("{}/t/o/{}", self.base, self.keys.sign(&Link::Open { email, contact }))
    }

    /// The address that leads on to where a link of an e-mail leads.
    pub fn click_url(&self, email: EmailId, contact: ContactId, url: &str) -> String {
        format!("{}/t/c/{}", self.base, self.keys.sign(&Link::Click { email, contact, url: url.to_owned() }))
    }

    /// What a token asks for.
    pub fn open(&self, token: &str) -> Result<Link, Refusal> {
        self.keys.open(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_link_holds_no_address_and_opens_to_its_ids() {
        let links = Links::new("https://tandem.example/", &[7; 32]).unwrap();
        let (email, contact) = (EmailId(Uuid::from_u128(1)), ContactId(Uuid::from_u128(2)));
        let url = links.unsubscribe_url(email, contact);
        let token = url.strip_prefix("https://tandem.example/u/").unwrap();
        assert_eq!(links.open(token), Ok(Link::Unsubscribe { email, contact }));
    }

    #[test]
    fn what_is_quoted_leads_nowhere() {
        let links = Links::new("https://tandem.example", &[7; 32]).unwrap();
        let (email, contact) = (EmailId(Uuid::from_u128(1)), ContactId(Uuid::from_u128(2)));
        let (url, other) = (links.unsubscribe_url(email, contact), "a".repeat(90));
        let quoted = format!("Yes.\n> Stop: <{url}>, {url}?a=1 退订 {other}");
        let hidden = links.hide(&quoted);
        assert_eq!(
            hidden,
            format!("Yes.\n> Stop: <https://tandem.example/u/…>, https://tandem.example/u/…?a=1 退订 {other}")
        );
        assert_eq!(links.hide(""), "");
    }

    #[test]
    fn a_link_outlives_the_change_of_its_secret_until_that_is_struck_out() {
        let base = "https://tandem.example";
        let (email, contact) = (EmailId(Uuid::from_u128(1)), ContactId(Uuid::from_u128(2)));
        let [first, second, third] = ["1", "2", "3"].map(|digit| digit.repeat(32));
        let ring = |secret: &str, old: &str| Links::after(base, secret.as_bytes(), old).unwrap();
        let token = |links: &Links| links.unsubscribe_url(email, contact).rsplit_once('/').unwrap().1.to_owned();
        let [one, two] = [token(&Links::new(base, first.as_bytes()).unwrap()), token(&ring(&second, &first))];
        let now = ring(&third, &format!("{first}\n{second}\n"));
        for sent in [one.clone(), two.clone(), token(&now)] {
            assert_eq!(now.open(&sent), Ok(Link::Unsubscribe { email, contact }));
        }
        let struck = ring(&third, &format!("- {second}"));
        assert_eq!(struck.open(&one), Err(Refusal::KeyRetired));
        assert!(struck.open(&two).is_ok() && struck.open(&token(&now)).is_ok());
        assert!(matches!(Links::after(base, third.as_bytes(), "short"), Err(LinkError::Key(Refusal::KeyTooShort))));
        let many = "- ".repeat(255);
        assert_eq!(Links::after(base, third.as_bytes(), &many).unwrap_err(), LinkError::TooManyOld);
        assert!(Links::after(base, third.as_bytes(), &many[2..]).is_ok());
    }

    #[test]
    fn an_address_that_cannot_stand_in_a_header_is_refused() {
        for bad in ["", "tandem.example", "https://täm.example", "https://a b", "https://a>\r\nX: y"] {
            assert_eq!(Links::new(bad, &[7; 32]).unwrap_err(), LinkError::Base, "{bad}");
        }
        assert!(matches!(Links::new("https://a", b"short"), Err(LinkError::Key(_))));
    }
}
