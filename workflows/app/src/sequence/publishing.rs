//! What people do with definitions: check, simulate, save, publish, pause, resume, archive.

use super::naming::check_names;
use crate::email_template::library_in;
use crate::{App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use serde_json::Value;
use tandem_domain::calendar::Calendars;
use tandem_domain::decision::Decision;
use tandem_domain::email_template::Library;
use tandem_domain::id::{SequenceId, SequenceVersionId};
use tandem_domain::nearest::nearest;
use tandem_domain::outbound::channel;
use tandem_domain::sequence::backlog::Wish;
use tandem_domain::sequence::publishing::{self, By, Refusal};
use tandem_domain::sequence::simulation::{self, Line};
use tandem_domain::sequence::steps::StepKind;
use tandem_domain::sequence::{Definition, Problem, Sequence, SequenceVersion, lint, schema, validate};
use tandem_store::Tx;

fn by(call: &Call, env: &Env) -> By {
    let now = call.now(env);
    By { sequence: env.id(now), version: env.id(now), user: call.actor.user }
}

/// The key that a definition names. Who cannot be read has none; the domain then says what is wrong.
fn key(source: &str, library: &Library) -> Option<String> {
    validate::read_with(source, library).ok().map(|definition| definition.header.key)
}

async fn existing(tx: &Tx, source: &str, library: &Library) -> Result<Option<Sequence>> {
    match key(source, library) {
        Some(key) => Ok(tx.sequence_with_key(&key).await?),
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
        let library = library_in(tx, &self.source).await?;
        let existing = existing(tx, &self.source, &library).await?;
        Ok(publishing::save_draft(existing, &self.source, &library, by(call, env), call.now(env))?)
    }
}

/// Refuses a definition whose steps name channels that are not there, or are for other steps: so no run fails for that.
async fn channels_are_there(tx: &Tx, definition: &Definition) -> Result<()> {
    for (at, step) in definition.steps.iter().enumerate() {
        let (key, chat) = match &step.kind {
            StepKind::Notify(config) => (&config.channel, true),
            StepKind::CallWebhook(config) => (&config.channel, false),
            _ => continue,
        };
        let refusal = match tx.outbound_channel_with_key(key).await? {
            Some(channel) if channel.provider.is_chat() == chat => continue,
            Some(channel) => channel::Refusal::OtherKind { key: key.clone(), provider: channel.provider },
            None => channel::Refusal::Unknown { key: key.clone() },
        };
        let message = format!("steps[{at}].channel: {refusal}");
        return Err(AppError::refused(refusal.code(), message, Some("source")));
    }
    Ok(())
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
        decide_publication(tx, &self.source, call, env).await
    }
}

/// The decision to publish a definition. The sequence is locked where there is one.
pub(super) async fn decide_publication(
    tx: &Tx,
    source: &str,
    call: &Call,
    env: &Env,
) -> Result<Decision<(Sequence, SequenceVersion)>> {
    // Before the sequence is: what is taken from a template does not change until the version is there.
    let library = library_in(tx, source).await?;
    let existing = match existing(tx, source, &library).await? {
        Some(sequence) => {
            let latest = match sequence.latest_version {
                Some(latest) => tx.peek::<SequenceVersion>(latest).await?,
                None => None,
            };
            Some((sequence, latest))
        }
        None => None,
    };
    if let Ok(definition) = validate::read_with(source, &library) {
        check_names(tx, call, source, &definition).await?;
    }
    let published = publishing::publish_with(existing, source, &library, by(call, env), call.now(env))?;
    channels_are_there(tx, &published.next.1.definition).await?;
    knows_what_it_names(tx, &published.next.1.definition).await?;
    Ok(published)
}

/// Refuses a definition that names a working calendar or a pool of mailboxes that is not there.
async fn knows_what_it_names(tx: &Tx, definition: &Definition) -> Result<()> {
    let named = definition.calendars();
    if !named.is_empty() {
        let calendars = tx.calendars_by_key().await?;
        if let Some(key) = named.into_iter().find(|key| !calendars.contains_key(*key)) {
            let known = calendars.keys().map(String::as_str);
            let message = format!("there is no working calendar `{key}`; save one under this key{}", meant(key, known));
            return Err(AppError::refused("SEQUENCE_CALENDAR_UNKNOWN", message, Some("source")));
        }
    }
    let named = definition.mailbox_pools();
    if !named.is_empty() {
        let mailboxes = tx.sending_mailboxes().await?;
        let known = || mailboxes.iter().map(|mailbox| mailbox.pool.as_str());
        if let Some(key) = named.into_iter().find(|key| known().all(|pool| pool != *key)) {
            let message = format!("no mailbox is in the pool `{key}`; save one with this pool{}", meant(key, known()));
            return Err(AppError::refused("SEQUENCE_POOL_UNKNOWN", message, Some("source")));
        }
    }
    Ok(())
}

/// What was likely meant.
fn meant<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(key, known).map(|near| format!(", or name `{near}`")).unwrap_or_default()
}

/// Pauses a sequence: it takes no enrolments, and its own pause as they fall due.
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

/// The day-by-day plan of a definition for a sample subject in `zone`, from `start` on. `data` replaces whole parts
/// of the usual sample: `contact`, `account`, `lead`, `sender`, `lists`; of `interactions`, the fields that it names.
/// `library` and `calendars` have what it may name.
pub fn sequence_simulate(
    source: &str,
    library: &Library,
    data: Option<&Value>,
    zone: Tz,
    start: DateTime<Utc>,
    calendars: &Calendars,
) -> Result<Vec<Line>, Vec<Problem>> {
    let definition = validate::read_with(source, library)?;
    let mut sample = simulation::sample();
    if let (Some(sample), Some(Value::Object(data))) = (sample.as_object_mut(), data) {
        let (done, replaced): (Vec<_>, Vec<_>) = data.iter().partition(|(key, _)| *key == "interactions");
        sample.extend(replaced.into_iter().map(|(key, value)| (key.clone(), value.clone())));
        for (_, done) in done {
            simulation::set_interactions(sample, done);
        }
    }
    Ok(simulation::simulate(&definition, &sample, zone, start, calendars))
}

impl App {
    /// Publishes a definition unless the newest version says the same: applying it again changes nothing.
    pub async fn sequence_apply(&self, call: &Call, source: String) -> Result<Applied> {
        match self.run(call, SequencePublish { source: source.clone() }).await {
            Ok((_, version)) => Ok(Applied::Published(version)),
            Err(AppError::Refused { code, message, field }) if code == UNCHANGED => {
                let library = self.library(&source).await?;
                let latest = match key(&source, &library) {
                    Some(key) => self.store.sequence_by_key(&key).await?.and_then(|sequence| sequence.latest_version),
                    None => None,
                };
                let version: Option<SequenceVersion> = match latest {
                    Some(latest) => self.store.find::<SequenceVersion>(latest).await?,
                    None => None,
                };
                version.map(Applied::Unchanged).ok_or(AppError::Refused { code, message, field })
            }
            Err(error) => Err(error),
        }
    }
}

const UNCHANGED: &str = Refusal::Unchanged { number: 0 }.code();

/// The id of a version whose number is known; none where there is no such version.
pub async fn version_of(tx: &Tx, sequence: &Sequence) -> Result<SequenceVersion> {
    let missing = |id: SequenceVersionId| AppError::NotFound { what: "SequenceVersion", id: id.into() };
    match sequence.latest_version {
        Some(id) => tx.peek(id).await?.ok_or_else(|| missing(id)),
        None => Err(tandem_domain::sequence::enrollment::Refusal::SequenceNotActive { state: sequence.state }.into()),
    }
}
