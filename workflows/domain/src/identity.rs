//! What makes two records one: keys that belong to at most one record, and the words sales ops defined.

use crate::custom_field::CustomField;
use crate::taxonomy::Taxonomies;
use serde::{Deserialize, Serialize};

/// A key by which one record is known; no two records of a kind share one. The database holds to that too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// What kind of key: `account.domain`, `account.registry`, `account.external:<system>`, `account.name`,
    /// `contact.email`, `contact.external:<system>` or `contact.phone`.
    pub kind: String,
    /// The key, normalised.
    pub value: String,
}

impl Identity {
    /// A key.
    pub fn new(kind: impl Into<String>, value: impl Into<String>) -> Self {
        Self { kind: kind.into(), value: value.into() }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.value)
    }
}

/// What sales ops defined, by which input is read.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// The governed taxonomies.
    pub taxonomies: Taxonomies,
    /// The custom fields of every entity.
    pub fields: Vec<CustomField>,
    /// The ISO 3166-1 country that phone numbers without a country code are dialled from.
    pub default_region: Option<String>,
}
