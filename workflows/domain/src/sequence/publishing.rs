//! A sequence, its versions, and what people do with them: save a draft, publish, pause, resume, archive.
//!
//! ```text
//! DRAFT -publish-> ACTIVE <-> PAUSED
//!   \________________|__________|--> ARCHIVED
//! ```
//!
//! A published version never changes. Running enrolments stay on theirs until somebody moves them; new ones take the newest.

use super::backlog::{self, Resumption, Wish};
use super::definition::Definition;
use super::validate::{self, Problem, Rule};
use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::email_template::Library;
use crate::id::{SequenceId, SequenceVersionId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

codes! {
    /// Where a sequence is.
    pub enum SequenceState("sequence state") {
        /// Nothing is published yet.
        Draft = "DRAFT",
        /// It takes enrolments, and they run.
        Active = "ACTIVE",
        /// It takes no enrolments, and none runs.
        Paused = "PAUSED",
        /// It is over for good: what ran in it is ended, and nothing of it goes out any more.
        Archived = "ARCHIVED",
    }
}

/// A nurture programme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its id.
    pub id: SequenceId,
    /// Its stable name; unique.
    pub key: String,
    /// The name to show: that of the newest version, or of the draft.
    pub name: String,
    /// Where it is.
    pub state: SequenceState,
    /// The newest version; none while it is a draft.
    pub latest_version: Option<SequenceVersionId>,
    /// The number of the newest version; 0 while it is a draft.
    pub latest_number: u32,
    /// A definition that was saved and not published yet, as written.
    #[serde(default)]
    pub draft: Option<String>,
    /// Counts the pauses and resumptions: work planned under another count does nothing.
    #[serde(default)]
    pub revision: u32,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// While it is paused: when it goes on by itself; none where somebody must resume it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<DateTime<Utc>>,
    /// After a pause: what becomes of the runs that fell due meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumption: Option<Resumption>,
}

/// One published version. It never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequenceVersion {
    /// Its id.
    pub id: SequenceVersionId,
    /// The sequence.
    pub sequence: SequenceId,
    /// Counted from 1.
    pub number: u32,
    /// What it says.
    pub definition: Definition,
    /// The text it was read from.
    pub source: String,
    /// Lower-case hexadecimal SHA-256 of the definition in canonical form (RFC 8785), so that a change of comments or
    /// layout alone makes no version.
    pub hash: String,
    /// Who published it; none for the installation itself.
    pub published_by: Option<UserId>,
    /// When it was published.
    pub published_at: DateTime<Utc>,
}

/// Why a sequence does not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The definition breaks rules.
    #[error("the definition has {} problem(s), first: {}", .problems.len(), .problems.first().map(ToString::to_string).unwrap_or_default())]
    Invalid {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The definition names what does not exist.
    #[error("the definition names what does not exist: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    ReferenceUnknown {
        /// All such names.
        problems: Vec<Problem>,
    },
    /// The definition names what does not exist, all of it of one kind that has a rule of its own.
    #[error("the definition names what does not exist: {}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NamesUnknown {
        /// The rule that all of them break.
        rule: Rule,
        /// All such names.
        problems: Vec<Problem>,
    },
    /// The definition says the same as the newest version.
    #[error("version {number} says the same already; nothing needs to be published")]
    Unchanged {
        /// The newest version.
        number: u32,
    },
    /// The definition belongs to another sequence.
    #[error("the definition has the key `{given}`, the sequence has `{expected}`; a key never changes")]
    KeyChanged {
        /// The sequence's key.
        expected: String,
        /// The definition's key.
        given: String,
    },
    /// Live enrolments rely on what runs through it.
    #[error("what runs through a sequence cannot change; publish it under another key")]
    SubjectChanged,
    /// The state has no such arrow.
    #[error("the sequence is {state}; {hint}")]
    NotAllowed {
        /// The state it is in.
        state: SequenceState,
        /// What to do instead.
        hint: &'static str,
    },
    /// A pause that is over before it begins.
    #[error("a pause ends in the future, and {until} is not; give a later moment, or leave it out")]
    PauseOver {
        /// The end given.
        until: DateTime<Utc>,
    },
    /// The pause was ended or begun anew since its end was planned.
    #[error("the sequence does not come to the end of this pause; nothing needs to be done")]
    PauseEnded,
    /// Somebody published since the version was looked at.
    #[error("version {newest} was published since somebody looked at version {seen}; look at what it says first")]
    NotNewest {
        /// The number of the version that was looked at.
        seen: u32,
        /// The number of the newest version.
        newest: u32,
    },
    /// What is wanted of the backlog cannot be had.
    #[error(transparent)]
    Backlog(#[from] backlog::Refusal),
}

impl Refusal {
    /// The refusal of a definition for names behind which there is nothing: under the code of their rule where all break one.
    pub fn unknown(problems: Vec<Problem>) -> Self {
        match problems.first().map(|problem| problem.rule) {
            Some(rule) if rule != Rule::ReferenceUnknown && problems.iter().all(|problem| problem.rule == rule) => {
                Self::NamesUnknown { rule, problems }
            }
            _ => Self::ReferenceUnknown { problems },
        }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "SEQUENCE_INVALID",
            Self::ReferenceUnknown { .. } => "SEQUENCE_REFERENCE_UNKNOWN",
            Self::NamesUnknown { rule, .. } => rule.as_str(),
            Self::Unchanged { .. } => "SEQUENCE_UNCHANGED",
            Self::KeyChanged { .. } => "SEQUENCE_KEY_CHANGED",
            Self::SubjectChanged => "SEQUENCE_SUBJECT_CHANGED",
            Self::NotAllowed { .. } => "SEQUENCE_NOT_ALLOWED",
            Self::PauseOver { .. } => "SEQUENCE_PAUSE_OVER",
            Self::PauseEnded => "SEQUENCE_PAUSE_ENDED",
            Self::NotNewest { .. } => "SEQUENCE_NOT_NEWEST",
            Self::Backlog(refusal) => refusal.code(),
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { .. }
            | Self::ReferenceUnknown { .. }
            | Self::NamesUnknown { .. }
            | Self::Unchanged { .. }
            | Self::KeyChanged { .. }
            | Self::SubjectChanged => Some("source"),
            Self::PauseOver { .. } => Some("until"),
            Self::Backlog(refusal) => refusal.field(),
            Self::NotAllowed { .. } | Self::PauseEnded | Self::NotNewest { .. } => None,
        }
    }
}

/// The hash of a definition, as in [`SequenceVersion::hash`].
pub fn hash(definition: &Definition) -> String {
    // Every definition has a JSON form; were there none, its debug form would tell versions apart as well.
    let canonical =
        serde_json_canonicalizer::to_vec(definition).unwrap_or_else(|_| format!("{definition:?}").into_bytes());
    Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ids for whatever a command makes, and who gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The id of the sequence, where it is new.
    pub sequence: SequenceId,
    /// The id of the version, where one is made.
    pub version: SequenceVersionId,
    /// Who; none for the installation itself.
    pub user: Option<UserId>,
}

fn read(source: &str, library: &Library) -> Result<Definition, Refusal> {
    validate::read_with(source, library).map_err(|problems| Refusal::Invalid { problems })
}

fn open(
    existing: Option<Sequence>,
    definition: &Definition,
    by: By,
    now: DateTime<Utc>,
) -> Result<(Sequence, bool), Refusal> {
    let (key, name) = (&definition.header.key, definition.header.name.trim());
    match existing {
        Some(sequence) if sequence.key != *key => {
            Err(Refusal::KeyChanged { expected: sequence.key, given: key.clone() })
        }
        Some(Sequence { state: SequenceState::Archived, .. }) => {
            let hint = "publish it under another key";
            Err(Refusal::NotAllowed { state: SequenceState::Archived, hint })
        }
        Some(sequence) => Ok((sequence, false)),
        None => {
            let sequence = Sequence {
                id: by.sequence,
                key: key.clone(),
                name: name.to_owned(),
                state: SequenceState::Draft,
                latest_version: None,
                latest_number: 0,
                draft: None,
                revision: 0,
                created_at: now,
                paused_until: None,
                resumption: None,
            };
            Ok((sequence, true))
        }
    }
}

/// Saves a definition without publishing it. It must be valid: a draft that cannot be published helps nobody.
/// `existing` is the sequence of the definition's key, where there is one; `library` has the stored templates that it names.
pub fn save_draft(
    existing: Option<Sequence>,
    source: &str,
    library: &Library,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<Sequence>, Refusal> {
    let definition = read(source, library)?;
    let (mut sequence, new) = open(existing, &definition, by, now)?;
    if sequence.state == SequenceState::Draft {
        sequence.name = definition.header.name.trim().to_owned();
    }
    sequence.draft = Some(source.to_owned());
    let kind = if new { "sequence.drafted" } else { "sequence.draft_changed" };
    let fact = Fact::audit(kind, sequence.id).with("key", &sequence.key).with("hash", hash(&definition));
    Ok(Decision::new(sequence, fact))
}

/// Publishes a definition as the next version, as [`publish_with`] does, where no stored template is known.
pub fn publish(
    existing: Option<(Sequence, Option<SequenceVersion>)>,
    source: &str,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<(Sequence, SequenceVersion)>, Refusal> {
    publish_with(existing, source, &Library::closed(), by, now)
}

/// Publishes a definition as the next version. `existing` is the sequence of the definition's key and its newest
/// version, where there are such. What e-mails take from the stored templates of `library` becomes a part of the version.
pub fn publish_with(
    existing: Option<(Sequence, Option<SequenceVersion>)>,
    source: &str,
    library: &Library,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<(Sequence, SequenceVersion)>, Refusal> {
    let definition = read(source, library)?;
    let (existing, latest) = existing.map_or((None, None), |(sequence, latest)| (Some(sequence), latest));
    let (mut sequence, _) = open(existing, &definition, by, now)?;
    let hash = hash(&definition);
    if let Some(latest) = latest {
        if latest.hash == hash {
            return Err(Refusal::Unchanged { number: latest.number });
        }
        if latest.definition.header.subject != definition.header.subject {
            return Err(Refusal::SubjectChanged);
        }
    }
    let before = sequence.state;
    if before == SequenceState::Draft {
        sequence.state = SequenceState::Active;
    }
    sequence.name = definition.header.name.trim().to_owned();
    sequence.latest_version = Some(by.version);
    sequence.latest_number += 1;
    sequence.draft = None;
    let version = SequenceVersion {
        id: by.version,
        sequence: sequence.id,
        number: sequence.latest_number,
        definition,
        source: source.to_owned(),
        hash,
        published_by: by.user,
        published_at: now,
    };
    let fact = Fact::audit("sequence.published", sequence.id)
        .moved(before, sequence.state)
        .with("key", &sequence.key)
        .with("number", version.number)
        .with("hash", &version.hash);
    let templates = version.definition.templates();
    let fact = if templates.is_empty() { fact } else { fact.with("templates", templates) };
    Ok(Decision::new((sequence, version), fact))
}

/// Publishes the newest version again, as it is written, so that its e-mails take what `library` has now. `seen` is the version
/// that was looked at: where somebody published since, nothing is. A draft stays as it is.
pub fn publish_again(
    sequence: Sequence,
    seen: SequenceVersion,
    library: &Library,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<(Sequence, SequenceVersion)>, Refusal> {
    let number = seen.number;
    if sequence.latest_version != Some(seen.id) {
        return Err(Refusal::NotNewest { seen: number, newest: sequence.latest_number });
    }
    let (draft, source) = (sequence.draft.clone(), seen.source.clone());
    let mut decision = publish_with(Some((sequence, Some(seen))), &source, library, by, now)?;
    decision.next.0.draft = draft;
    decision.facts = decision.facts.into_iter().map(|fact| fact.with("again", number)).collect();
    Ok(decision)
}

fn turn(mut sequence: Sequence, state: SequenceState, kind: &'static str) -> Decision<Sequence> {
    let fact = Fact::audit(kind, sequence.id).moved(sequence.state, state).with("key", &sequence.key);
    sequence.state = state;
    sequence.revision += 1;
    sequence.paused_until = None;
    sequence.resumption = None;
    Decision::new(sequence, fact)
}

/// Pauses an active sequence: enrolments pause as they fall due, and e-mails are held as they are to go out. It goes on by itself at `until`, where that is given.
pub fn pause(
    sequence: Sequence,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Decision<Sequence>, Refusal> {
    if let Some(until) = until.filter(|until| *until <= now) {
        return Err(Refusal::PauseOver { until });
    }
    match sequence.state {
        SequenceState::Active => {
            let mut decision = turn(sequence, SequenceState::Paused, "sequence.paused");
            decision.next.paused_until = until;
            let (sequence, revision) = (decision.next.id, decision.next.revision);
            let Some(until) = until else { return Ok(decision) };
            decision.facts = decision.facts.into_iter().map(|fact| fact.with("until", until)).collect();
            Ok(decision.plan(Job::WakeSequence { sequence, revision }, until))
        }
        state => Err(Refusal::NotAllowed { state, hint: "only an ACTIVE one can be paused" }),
    }
}

/// Resumes a paused sequence, and with it (by a job) the enrolments that paused for it, of which there are `runs`. Without a
/// wish, what is best for so many becomes of them: see [`Resumption::new`].
pub fn resume(
    sequence: Sequence,
    wish: Option<Wish>,
    runs: u64,
    now: DateTime<Utc>,
) -> Result<Decision<Sequence>, Refusal> {
    match sequence.state {
        SequenceState::Paused => {
            let resumption = Resumption::new(wish, runs, now)?;
            let mut decision = turn(sequence, SequenceState::Active, "sequence.resumed");
            let said = |fact: Fact| {
                fact.with("backlog", resumption.backlog).with("days", resumption.days).with("runs", resumption.runs)
            };
            decision.facts = decision.facts.into_iter().map(said).collect();
            decision.next.resumption = Some(resumption);
            let (sequence, revision) = (decision.next.id, decision.next.revision);
            Ok(decision.plan(Job::ResumeEnrollments { sequence, revision, done: 0 }, now))
        }
        state => Err(Refusal::NotAllowed { state, hint: "only a PAUSED one can be resumed" }),
    }
}

/// Resumes a sequence whose pause came to its planned end, as [`resume`] without a wish. A pause that was ended since
/// refuses.
pub fn wake(sequence: Sequence, revision: u32, runs: u64, now: DateTime<Utc>) -> Result<Decision<Sequence>, Refusal> {
    let over = sequence.paused_until.is_some_and(|until| until <= now);
    if sequence.revision != revision || !over {
        return Err(Refusal::PauseEnded);
    }
    resume(sequence, None, runs, now)
}

/// Archives a sequence for good: what still runs ends, by a job.
pub fn archive(sequence: Sequence, now: DateTime<Utc>) -> Result<Decision<Sequence>, Refusal> {
    if sequence.state == SequenceState::Archived {
        return Err(Refusal::NotAllowed { state: sequence.state, hint: "nothing needs to be done" });
    }
    let decision = turn(sequence, SequenceState::Archived, "sequence.archived");
    let (sequence, revision) = (decision.next.id, decision.next.revision);
    Ok(decision.plan(Job::ResumeEnrollments { sequence, revision, done: 0 }, now))
}
