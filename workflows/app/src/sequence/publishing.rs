//! What people do with definitions: check, simulate, save, publish, pause, resume, archive.

use super::naming::{check_names, not_there};
use crate::email_template::library_for;
use crate::reading::Reading;
use crate::{Actor, App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;
use tandem_domain::calendar::Calendars;
use tandem_domain::decision::Decision;
use tandem_domain::email_template::Library;
use tandem_domain::id::{SequenceId, SequenceVersionId};
use tandem_domain::sequence::backlog::Wish;
use tandem_domain::sequence::publishing::{self, By, Refusal};
use tandem_domain::sequence::simulation::{self, Line};
use tandem_domain::sequence::{Definition, Problem, Sequence, SequenceVersion, lint, schema, validate};
use tandem_store::Tx;

pub(super) fn by(call: &Call, env: &Env) -> By {
    let now = call.now(env);
    By { sequence: env.id(now), version: env.id(now), user: call.actor.user }
}

/// The key that a definition names. Who cannot be read has none; the domain then says what is wrong.
fn key(source: &str, library: &Library) -> Option<String> {
    validate::read_with(source, library).ok().map(|definition| definition.header.key)
}

async fn existing(reading: &Reading<'_>, source: &str, library: &Library) -> Result<Option<Sequence>> {
    match key(source, library) {
        Some(key) => reading.sequence_to_publish(&key).await,
        None => Ok(None),
    }
}

/// The newest version of a sequence; none while it is a draft.
pub(super) async fn newest(reading: &Reading<'_>, sequence: &Sequence) -> Result<Option<SequenceVersion>> {
    match sequence.latest_version {
        Some(latest) => reading.find(latest).await,
        None => Ok(None),
    }
}

pub(super) async fn load(tx: &Tx, id: SequenceId) -> Result<Sequence> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "Sequence", id: id.into() })
}

/// Saves a definition without publishing it.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceDraft {
    /// The definition, in YAML or JSON.
    pub source: String,
}

impl Command for SequenceDraft {
    const NAME: &'static str = "sequenceDraft";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        let reading = Reading::Within(tx);
        let library = library_for(&reading, &self.source).await?;
        let existing = existing(&reading, &self.source, &library).await?;
        Ok(publishing::save_draft(existing, &self.source, &library, by(call, env), call.now(env))?)
    }
}

/// Publishes a definition as the next version of the sequence of its key, which it makes where there is none. Who runs stays
/// on their version; see [`SequenceReplace`](super::SequenceReplace).
#[derive(Debug, Clone, Serialize)]
pub struct SequencePublish {
    /// The definition, in YAML or JSON.
    pub source: String,
}

impl Command for SequencePublish {
    const NAME: &'static str = "sequencePublish";
    type Output = (Sequence, SequenceVersion);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        decide_publication(&Reading::Within(tx), &self.source, by(call, env), call.now(env)).await
    }
}

/// The decision to publish a definition whose names are all there. In a transaction the sequence is locked where there is one.
pub(super) async fn decide_publication(
    reading: &Reading<'_>,
    source: &str,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<(Sequence, SequenceVersion)>> {
    let published = publication(reading, source, by, now).await?;
    check_names(reading, by.user, source, &published.next.1.definition).await?;
    Ok(published)
}

/// The same before it is known whether what the definition names is there.
pub(super) async fn publication(
    reading: &Reading<'_>,
    source: &str,
    by: By,
    now: DateTime<Utc>,
) -> Result<Decision<(Sequence, SequenceVersion)>> {
    // Before the sequence is: what is taken from a template does not change until the version is there.
    let library = library_for(reading, source).await?;
    let existing = match existing(reading, source, &library).await? {
        Some(sequence) => {
            let latest = newest(reading, &sequence).await?;
            Some((sequence, latest))
        }
        None => None,
    };
    Ok(publishing::publish_with(existing, source, &library, by, now)?)
}

/// Publishes the newest version of a sequence again, as it is written, so that its e-mails take what their templates say now. A
/// draft stays as it is.
#[derive(Debug, Clone, Serialize)]
pub struct SequencePublishAgain {
    /// The sequence.
    pub sequence: SequenceId,
    /// The version that was looked at: where it is not the newest any more, nothing is published.
    pub version: SequenceVersionId,
}

impl Command for SequencePublishAgain {
    const NAME: &'static str = "sequencePublish";
    type Output = (Sequence, SequenceVersion);

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Self::Output>> {
        let missing = || AppError::NotFound { what: "SequenceVersion", id: self.version.into() };
        // A version never changes, so that it can be read before the sequence is locked; the templates are shared first, as in
        // every publication.
        let seen: SequenceVersion = tx.peek(self.version).await?.ok_or_else(missing)?;
        let (reading, source) = (Reading::Within(tx), seen.source.clone());
        let library = library_for(&reading, &source).await?;
        let sequence = load(tx, self.sequence).await?;
        let by = by(call, env);
        let published = publishing::publish_again(sequence, seen, &library, by, call.now(env))?;
        check_names(&reading, by.user, &source, &published.next.1.definition).await?;
        Ok(published)
    }
}

/// Pauses a sequence: it takes no enrolments, its own pause as they fall due, and nothing of it goes out.
#[derive(Debug, Clone, Serialize)]
pub struct SequencePause {
    /// The sequence.
    pub sequence: SequenceId,
}

impl Command for SequencePause {
    const NAME: &'static str = "sequencePause";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        Ok(publishing::pause(load(tx, self.sequence).await?, None, call.now(env))?)
    }
}

/// Pauses a sequence until a moment, at which it goes on by itself.
#[derive(Debug, Clone, Serialize)]
pub struct SequencePauseUntil {
    /// The sequence.
    pub sequence: SequenceId,
    /// When it goes on.
    pub until: DateTime<Utc>,
}

impl Command for SequencePauseUntil {
    const NAME: &'static str = "sequencePause";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        Ok(publishing::pause(load(tx, self.sequence).await?, Some(self.until), call.now(env))?)
    }
}

/// Resumes a sequence, and the enrolments that paused with it: at once, or over a day where they are many.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceResume {
    /// The sequence.
    pub sequence: SequenceId,
}

impl Command for SequenceResume {
    const NAME: &'static str = "sequenceResume";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        resumed(tx, self.sequence, None, call.now(env)).await
    }
}

/// Resumes a sequence, and says what becomes of the enrolments that fell due while it was paused.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceCatchUp {
    /// The sequence.
    pub sequence: SequenceId,
    /// What becomes of them.
    pub wish: Wish,
}

impl Command for SequenceCatchUp {
    const NAME: &'static str = "sequenceResume";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        resumed(tx, self.sequence, Some(self.wish), call.now(env)).await
    }
}

async fn resumed(tx: &Tx, id: SequenceId, wish: Option<Wish>, now: DateTime<Utc>) -> Result<Decision<Sequence>> {
    let sequence = load(tx, id).await?;
    let runs = tx.count_paused_with(id).await?;
    Ok(publishing::resume(sequence, wish, runs, now)?)
}

/// Archives a sequence for good.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceArchive {
    /// The sequence.
    pub sequence: SequenceId,
}

impl Command for SequenceArchive {
    const NAME: &'static str = "sequenceArchive";
    type Output = Sequence;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Sequence>> {
        Ok(publishing::archive(load(tx, self.sequence).await?, call.now(env))?)
    }
}

/// What applying a definition came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// It is a new version.
    Published(SequenceVersion),
    /// The newest version, which is given, says the same already.
    Unchanged(SequenceVersion),
}

/// Reads and checks a definition: every problem at once, with path, rule and line. `library` has the stored templates that it may
/// name.
pub fn sequence_validate(source: &str, library: &Library) -> Result<Definition, Vec<Problem>> {
    validate::read_with(source, library)
}

/// The JSON Schema of a definition, for editors.
pub fn sequence_schema() -> Value {
    schema::schema()
}

/// The same as the file that is published with the documentation.
pub fn sequence_schema_text() -> String {
    schema::text()
}

/// Advice on a definition that breaks no rule: what would go wrong for some of those who get its e-mails.
pub fn sequence_advice(source: &str, library: &Library) -> Vec<Problem> {
    lint::advice(source, library)
}

/// The day-by-day plan of a definition for a sample subject in `zone`, from `start` on; or everything that is wrong with it.
/// `data` takes the place of the usual sample, field by field; see [`simulation::sample_with`], and for what is refused
/// [`super::simulating::Refusal::Data`]. `library` and `calendars` have what it may name.
pub fn sequence_simulate(
    source: &str,
    library: &Library,
    data: Option<&Value>,
    zone: Tz,
    start: DateTime<Utc>,
    calendars: &Calendars,
) -> Result<std::result::Result<Vec<Line>, Vec<Problem>>> {
    let definition = match validate::read_with(source, library) {
        Ok(definition) => definition,
        Err(problems) => return Ok(Err(problems)),
    };
    let sample = match data {
        Some(data) => simulation::sample_with(data, &definition)
            .map_err(|faults| super::simulating::Refusal::data("data", &faults))?,
        None => simulation::sample(),
    };
    Ok(Ok(simulation::simulate(&definition, &sample, zone, start, calendars)))
}

/// Everything for which a definition cannot be published by an actor.
pub(super) async fn problems_of(reading: &Reading<'_>, actor: &Actor, source: &str) -> Result<Vec<Problem>> {
    let mut problems = match validate::read_with(source, &library_for(reading, source).await?) {
        Ok(definition) => return not_there(reading, actor.user, source, &definition).await,
        Err(problems) => problems,
    };
    // A template that is not there hides nothing else that is not.
    if let Ok(definition) = validate::read_with(source, &Library::unseen()) {
        problems.extend(not_there(reading, actor.user, source, &definition).await?);
        problems.sort_by_key(|problem| (problem.line, problem.column));
    }
    Ok(problems)
}

impl App {
    /// Everything for which a definition cannot be published by an actor: the rules that it breaks, or else what it names and is
    /// not there.
    pub async fn sequence_problems(&self, actor: &Actor, source: &str) -> Result<Vec<Problem>> {
        problems_of(&Reading::Apart(&self.store), actor, source).await
    }

    /// Publishes a definition unless the newest version says the same: applying it again changes nothing.
    pub async fn sequence_apply(&self, call: &Call, source: String) -> Result<Applied> {
        match self.run(call, SequencePublish { source: source.clone() }).await {
            Ok((_, version)) => Ok(Applied::Published(version)),
            Err(refused) if refused.code() == UNCHANGED => {
                self.newest_of(&source).await?.map(Applied::Unchanged).ok_or(refused)
            }
            Err(error) => Err(error),
        }
    }

    /// The newest version of the sequence whose key a definition has.
    pub(super) async fn newest_of(&self, source: &str) -> Result<Option<SequenceVersion>> {
        let reading = Reading::Apart(&self.store);
        let library = library_for(&reading, source).await?;
        match existing(&reading, source, &library).await? {
            Some(sequence) => newest(&reading, &sequence).await,
            None => Ok(None),
        }
    }
}

pub(crate) const UNCHANGED: &str = Refusal::Unchanged { number: 0 }.code();

/// The id of a version whose number is known; none where there is no such version.
pub async fn version_of(tx: &Tx, sequence: &Sequence) -> Result<SequenceVersion> {
    let missing = |id: SequenceVersionId| AppError::NotFound { what: "SequenceVersion", id: id.into() };
    match sequence.latest_version {
        Some(id) => tx.peek(id).await?.ok_or_else(|| missing(id)),
        None => Err(tandem_domain::sequence::enrollment::Refusal::not_active(sequence.state).into()),
    }
}
