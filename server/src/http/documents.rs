//! Trusted documents: operations that clients name by the SHA-256 of their text instead of sending it.
//!
//! They are read from a file at the start, in the form in which the common tools write it: a JSON object of hash to
//! document, or the manifest of Apollo. A server can be told to execute nothing else.

use crate::config::Server;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use tandem_domain::ledger::sha256_hex;

/// The documents that are known here.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    by_hash: Arc<HashMap<String, String>>,
    /// Whether nothing else is executed.
    only: bool,
}

/// Why there is no document to execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoDocument {
    /// Neither a text nor a hash was sent.
    #[error("`query` is missing")]
    Missing,
    /// No trusted document has the hash. Some clients know this by its code, others by this very word; both send the text then.
    #[error("PersistedQueryNotFound")]
    Unknown,
    /// The text is not that of the hash that was sent with it.
    #[error("the hash is not the SHA-256 of `query`")]
    Mismatch,
    /// The text is none of the trusted ones.
    #[error("this server executes trusted documents alone, and this is none of them")]
    Untrusted,
}

impl NoDocument {
    /// The code of the answer.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Missing | Self::Mismatch => "BAD_USER_INPUT",
            Self::Unknown | Self::Untrusted => "PERSISTED_QUERY_NOT_FOUND",
        }
    }
}

/// The two forms of the file.
#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Manifest { operations: Vec<Operation> },
    Map(HashMap<String, String>),
}

/// An operation in a manifest.
#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

fn hash_of(text: &str) -> String {
    sha256_hex(&[text.as_bytes()])
}

impl Documents {
    /// Reads the file that the settings name, if they name one.
    pub(super) fn read(settings: &Server) -> Result<Self> {
        let only = settings.only_trusted_documents;
        if settings.trusted_documents.is_empty() {
            ensure!(!only, "server.only_trusted_documents: name the file of them in server.trusted_documents");
            return Ok(Self::default());
        }
        let path = Path::new(&settings.trusted_documents);
        let read = || -> Result<Self> {
            let text = std::fs::read_to_string(path)?;
            Self::parse(&text, only)
        };
        read().with_context(|| format!("server.trusted_documents: {}", path.display()))
    }

    fn parse(text: &str, only: bool) -> Result<Self> {
        let file = serde_json::from_str(text).context(
            "it must be a JSON object of hash to document, or a manifest with `operations` of `id` and `body`",
        )?;
        let pairs: Vec<(String, String)> = match file {
            File::Map(map) => map.into_iter().collect(),
            File::Manifest { operations } => operations.into_iter().map(|one| (one.id, one.body)).collect(),
        };
        let mut by_hash = HashMap::with_capacity(pairs.len());
        for (id, body) in pairs {
            let hash = bare(&id).to_ascii_lowercase();
            // A name that is no hash of its text would let one text stand for another.
            if hash != hash_of(&body) {
                bail!("`{id}` is not the SHA-256 of its document");
            }
            by_hash.insert(hash, body);
        }
        Ok(Self { by_hash: Arc::new(by_hash), only })
    }

    /// The document to execute, of what a request sent of text and hash. Beside a hash an empty text is none: a client whose
    /// type of a request always has one sends that.
    pub(super) fn choose(&self, query: Option<String>, hash: Option<&str>) -> Result<String, NoDocument> {
        match (query.filter(|query| hash.is_none() || !query.is_empty()), hash) {
            (None, None) => Err(NoDocument::Missing),
            (None, Some(hash)) => {
                self.by_hash.get(&bare(hash).to_ascii_lowercase()).cloned().ok_or(NoDocument::Unknown)
            }
            (Some(query), hash) => {
                if hash.is_none() && !self.only {
                    return Ok(query);
                }
                let own = hash_of(&query);
                if hash.is_some_and(|hash| !bare(hash).eq_ignore_ascii_case(&own)) {
                    return Err(NoDocument::Mismatch);
                }
                if self.only && !self.by_hash.contains_key(&own) {
                    return Err(NoDocument::Untrusted);
                }
                Ok(query)
            }
        }
    }
}

/// A hash without the name of its function.
fn bare(hash: &str) -> &str {
    hash.strip_prefix("sha256:").unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TEXT: &str = "{ viewer { id } }";

    fn known(only: bool) -> Documents {
        Documents::parse(&json!({ hash_of(TEXT): TEXT }).to_string(), only).unwrap()
    }

    #[test]
    fn a_hash_stands_for_its_text_and_for_no_other() {
        let (hash, text) = (hash_of(TEXT), Some(TEXT.to_owned()));
        let documents = known(false);
        assert_eq!(documents.choose(None, Some(&hash)), Ok(TEXT.to_owned()));
        assert_eq!(documents.choose(None, Some(&format!("sha256:{}", hash.to_uppercase()))), Ok(TEXT.to_owned()));
        assert_eq!(documents.choose(text.clone(), Some(&hash)), Ok(TEXT.to_owned()));
        assert_eq!(documents.choose(text, Some("00")), Err(NoDocument::Mismatch));
        assert_eq!(documents.choose(None, Some("00")), Err(NoDocument::Unknown));
        assert_eq!(documents.choose(Some(String::new()), Some(&hash)), Ok(TEXT.to_owned()));
        assert_eq!(documents.choose(Some(String::new()), None), Ok(String::new()));
        assert_eq!(documents.choose(None, None), Err(NoDocument::Missing));
        assert_eq!(documents.choose(Some("{ other }".to_owned()), None), Ok("{ other }".to_owned()));
    }

    #[test]
    fn nothing_else_is_executed_where_that_is_asked_for() {
        let documents = known(true);
        assert_eq!(documents.choose(Some(TEXT.to_owned()), None), Ok(TEXT.to_owned()));
        assert_eq!(documents.choose(Some("{ other }".to_owned()), None), Err(NoDocument::Untrusted));
        let other = "{ other }".to_owned();
        assert_eq!(documents.choose(Some(other.clone()), Some(&hash_of(&other))), Err(NoDocument::Untrusted));
    }

    #[test]
    fn both_forms_of_the_file_are_read_and_a_wrong_hash_is_refused() {
        let manifest = json!({
            "format": "apollo-persisted-query-manifest", "version": 1,
            "operations": [{ "id": hash_of(TEXT), "name": "Viewer", "type": "query", "body": TEXT }],
        });
        assert!(Documents::parse(&manifest.to_string(), false).unwrap().choose(None, Some(&hash_of(TEXT))).is_ok());
        assert!(Documents::parse(&json!({ "00": TEXT }).to_string(), false).is_err());
        assert!(Documents::parse("[]", false).is_err());
    }
}
