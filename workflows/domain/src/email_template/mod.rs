//! Templates of e-mails that sequences share: their versions, and what people do with them.
//!
//! ```text
//! document (YAML) --publish--> EmailTemplateVersion 1, 2, 3 ... (immutable)     ACTIVE -archive-> ARCHIVED
//!                                       |
//! sequence: `template: welcome_mail` ---+--> its texts become a part of the sequence's version
//! ```
//!
//! A new version of a template changes no sequence: whoever publishes the sequence again takes the newest, unless its document
//! asks for a certain one.

pub mod definition;
pub mod library;

pub use definition::TemplateDefinition;
pub use library::Library;

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{EmailTemplateId, EmailTemplateVersionId, SequenceId, SequenceVersionId, UserId};
use crate::sequence::validate::Problem;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

codes! {
    /// Where a template is.
    pub enum EmailTemplateState("template state") {
        /// Sequences can take it.
        Active = "ACTIVE",
        /// Nothing new takes it. What took it before keeps its texts.
        Archived = "ARCHIVED",
    }
}

/// A template of e-mails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmailTemplate {
    /// Its id.
    pub id: EmailTemplateId,
    /// Its stable name; unique.
    pub key: String,
    /// The name to show: that of the newest version.
    pub name: String,
    /// Where it is.
    pub state: EmailTemplateState,
    /// The newest version.
    pub latest_version: EmailTemplateVersionId,
    /// The number of the newest version, from 1.
    pub latest_number: u32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// One published version of a template. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmailTemplateVersion {
    /// Its id.
    pub id: EmailTemplateVersionId,
    /// The template.
    pub template: EmailTemplateId,
    /// Counted from 1.
    pub number: u32,
    /// What it says, with its snippets in place.
    pub definition: TemplateDefinition,
    /// The text it was read from.
    pub source: String,
    /// Lower-case hexadecimal SHA-256 of the definition in canonical form (RFC 8785), so that a change of comments or layout
    /// alone makes no version.
    pub hash: String,
    /// Who published it; none for the installation itself.
    pub published_by: Option<UserId>,
    /// When it was published.
    pub published_at: DateTime<Utc>,
}

/// A version of a sequence that took its e-mails from a version of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// The sequence.
    pub sequence: SequenceId,
    /// Its version.
    pub version: SequenceVersionId,
    /// The number of that.
    pub number: u32,
    /// The number of the template's version.
    pub template_number: u32,
    /// Whether the document of the sequence asks for that version everywhere.
    pub pinned: bool,
    /// Whether this is what starts now: the newest version of a sequence that is not archived.
    pub current: bool,
    /// How many live runs it has.
    pub live_runs: u64,
}

impl Usage {
    /// Whether the template has a newer version than this one took.
    pub const fn is_behind(&self, newest: u32) -> bool {
        self.template_number < newest
    }

    /// Whether publishing the sequence again, as it is written, takes a newer version.
    pub const fn would_take(&self, newest: u32) -> bool {
        self.current && !self.pinned && self.is_behind(newest)
    }
}

/// The longest reason for archiving, in characters.
pub const LONGEST_REASON: usize = 500;

/// Why a template does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The document breaks rules.
    #[error("the template has {} problem(s), first: {}", .problems.len(), .problems.first().map(ToString::to_string).unwrap_or_default())]
    Invalid {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The document says the same as the newest version.
    #[error("version {number} says the same already; nothing needs to be published")]
    Unchanged {
        /// The newest version.
        number: u32,
    },
    /// It is archived.
    #[error("the template `{key}` is archived; publish it under another key")]
    Archived {
        /// Its key.
        key: String,
    },
    /// It was archived before.
    #[error("the template is archived already; nothing needs to be done")]
    ArchivedAlready,
    /// Sequences could not be published again as they are written.
    #[error("{} take(s) it; publish them without it first, or give a reason and archive it all the same", .sequences.join(", "))]
    InUse {
        /// The keys of the sequences whose newest version takes it.
        sequences: Vec<String>,
    },
    /// The reason says nothing, or too much.
    #[error("a reason has 1 to 500 characters")]
    ReasonInvalid,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "EMAIL_TEMPLATE_INVALID",
            Self::Unchanged { .. } => "EMAIL_TEMPLATE_UNCHANGED",
            Self::Archived { .. } => "EMAIL_TEMPLATE_ARCHIVED",
            Self::ArchivedAlready => "EMAIL_TEMPLATE_ARCHIVED_ALREADY",
            Self::InUse { .. } => "EMAIL_TEMPLATE_IN_USE",
            Self::ReasonInvalid => "EMAIL_TEMPLATE_REASON_INVALID",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { .. } | Self::Unchanged { .. } | Self::Archived { .. } => Some("source"),
            Self::InUse { .. } | Self::ReasonInvalid => Some("reason"),
            Self::ArchivedAlready => None,
        }
    }
}

/// The hash of a definition, as in [`EmailTemplateVersion::hash`].
pub fn hash(definition: &TemplateDefinition) -> String {
    // Every definition has a JSON form; were there none, its debug form would tell versions apart as well.
    let canonical =
        serde_json_canonicalizer::to_vec(definition).unwrap_or_else(|_| format!("{definition:?}").into_bytes());
    Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ids for whatever a publication makes, and who gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The id of the template, where it is new.
    pub template: EmailTemplateId,
    /// The id of the version.
    pub version: EmailTemplateVersionId,
    /// Who; none for the installation itself.
    pub user: Option<UserId>,
}

/// Publishes a document as the next version. `existing` is the template of the document's key and its newest version, where
/// there are such.
pub fn publish(
    existing: Option<(EmailTemplate, Option<EmailTemplateVersion>)>,
    source: &str,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<(EmailTemplate, EmailTemplateVersion)>, Refusal> {
    let definition = definition::read(source).map_err(|problems| Refusal::Invalid { problems })?;
    let hash = hash(&definition);
    let name = definition.name.trim().to_owned();
    let template = match existing {
        Some((template, latest)) => {
            if template.state == EmailTemplateState::Archived {
                return Err(Refusal::Archived { key: template.key });
            }
            if let Some(latest) = latest.filter(|latest| latest.hash == hash) {
                return Err(Refusal::Unchanged { number: latest.number });
            }
            let latest_number = template.latest_number.saturating_add(1);
            EmailTemplate { name, latest_version: by.version, latest_number, ..template }
        }
        None => EmailTemplate {
            id: by.template,
            key: definition.key.clone(),
            name,
            state: EmailTemplateState::Active,
            latest_version: by.version,
            latest_number: 1,
            created_at: now,
        },
    };
    let version = EmailTemplateVersion {
        id: by.version,
        template: template.id,
        number: template.latest_number,
        definition,
        source: source.to_owned(),
        hash,
        published_by: by.user,
        published_at: now,
    };
    let fact = Fact::audit("email_template.published", template.id)
        .with("key", &template.key)
        .with("number", version.number)
        .with("hash", &version.hash);
    Ok(Decision::new((template, version), fact))
}

/// Archives a template for good: nothing new takes it, and what took it keeps its texts. `sequences` are the keys of those whose
/// newest version takes it: they could not be published again as they are written, so then it needs a reason.
pub fn archive(
    mut template: EmailTemplate,
    sequences: Vec<String>,
    reason: Option<&str>,
) -> Result<Decision<EmailTemplate>, Refusal> {
    if template.state == EmailTemplateState::Archived {
        return Err(Refusal::ArchivedAlready);
    }
    let reason = reason.map(str::trim);
    if reason.is_some_and(|reason| reason.is_empty() || reason.chars().count() > LONGEST_REASON) {
        return Err(Refusal::ReasonInvalid);
    }
    if !sequences.is_empty() && reason.is_none() {
        return Err(Refusal::InUse { sequences });
    }
    let fact = Fact::audit("email_template.archived", template.id)
        .moved(template.state, EmailTemplateState::Archived)
        .with("key", &template.key)
        .with("why", reason)
        .with("taken_by", sequences);
    template.state = EmailTemplateState::Archived;
    Ok(Decision::new(template, fact))
}
