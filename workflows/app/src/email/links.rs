//! The links that Tandem puts into e-mails.

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
    /// The signing key is refused.
    #[error("links.secret: {0}")]
    Key(#[from] Refusal),
}

impl Links {
    /// Links that begin with `base` (an address without a final slash) and are signed with `secret`, of at least 32
    /// bytes.
    pub fn new(base: &str, secret: &[u8]) -> Result<Self, LinkError> {
        let whole = base.starts_with("https://") || base.starts_with("http://");
        if !whole || !base.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\",".contains(&byte)) {
            return Err(LinkError::Base);
        }
        Ok(Self { keys: KeyRing::single(secret)?, base: base.trim_end_matches('/').to_owned() })
    }

    /// The address by which the recipient of an e-mail unsubscribes: for texts and headers.
    pub fn unsubscribe_url(&self, email: EmailId, contact: ContactId) -> String {
        format!("{}/u/{}", self.base, self.keys.sign(Link::Unsubscribe { email, contact }))
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
    fn an_address_that_cannot_stand_in_a_header_is_refused() {
        for bad in ["", "tandem.example", "https://täm.example", "https://a b", "https://a>\r\nX: y"] {
            assert_eq!(Links::new(bad, &[7; 32]).unwrap_err(), LinkError::Base, "{bad}");
        }
        assert!(matches!(Links::new("https://a", b"short"), Err(LinkError::Key(_))));
    }
}
