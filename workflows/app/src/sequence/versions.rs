//! Publishing over what runs: what a definition changes, who stands where, and what becomes of them.

use super::naming::not_there;
use super::publishing::{Applied, UNCHANGED, by, decide_publication, load, problems_of, publication};
use crate::email_template::library_for;
use crate::reading::Reading;
use crate::{Actor, App, AppError, Call, Command, Env, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use tandem_domain::decision::Decision;
use tandem_domain::id::{SequenceId, SequenceVersionId};
use tandem_domain::sequence::diff::{Diff, diff};
use tandem_domain::sequence::migration::preview::{Crowd, Preview, judge, preview};
use tandem_domain::sequence::migration::{self, MigrationState, NewMigration, Policy, Refusal, Running, map};
use tandem_domain::sequence::publishing::{self, By};
use tandem_domain::sequence::{Definition, Problem, Sequence, SequenceMigration, SequenceVersion, validate};
use tandem_store::Tx;
use uuid::Uuid;

/// A sequence after its publication, the new version, and the migration that it led to: none where nobody is moved or ended.
pub type Replaced = (Sequence, SequenceVersion, Option<SequenceMigration>);

/// Publishes a definition as [`SequencePublish`](super::SequencePublish) does, and says what becomes of those who run on older
/// versions. Where the map does not say what becomes of somebody, nothing is published.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceReplace {
    /// The definition, in YAML or JSON.
    pub source: String,
    /// What becomes of those who run.
    pub running: Running,
}

impl Command for SequenceReplace {
    const NAME: &'static str = "sequencePublish";
    type Output = Replaced;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Replaced>> {
        let (by, now) = (by(call, env), call.now(env));
        let mut published = decide_publication(&Reading::Within(tx), &self.source, by, now).await?;
        let policy = self.running.policy;
        published.facts = published.facts.into_iter().map(|fact| fact.with("running", policy)).collect();
        let target = published.next.1.clone();
        if policy == Policy::Stay {
            if let Some(problem) = map::problems(&self.running, &[], &target).into_iter().next() {
                return Err(problem.into());
            }
            return Ok(published.map(|(sequence, version)| (sequence, version, None)));
        }
        match begin(tx, &target, &self.running, call, env).await {
            Ok(begun) => {
                Ok(published.and(begun).map(|((sequence, version), migration)| (sequence, version, Some(migration))))
            }
            // Nobody runs, so nobody needs to be moved.
            Err(AppError::Refused { code, .. }) if code == NOTHING => {
                Ok(published.map(|(sequence, version)| (sequence, version, None)))
            }
            Err(error) => Err(error),
        }
    }
}

const NOTHING: &str = Refusal::Nothing { number: 0 }.code();
const OPEN: &str = Refusal::Open { number: 0, state: MigrationState::Pending }.code();

/// Moves those who run on older versions to the newest, or ends them.
#[derive(Debug, Clone, Serialize)]
pub struct SequenceMigrate {
    /// The sequence.
    pub sequence: SequenceId,
    /// What becomes of those who run; not STAY.
    pub running: Running,
}

impl Command for SequenceMigrate {
    const NAME: &'static str = "sequenceMigrate";
    type Output = SequenceMigration;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<SequenceMigration>> {
        let sequence = load(tx, self.sequence).await?;
        if sequence.state == tandem_domain::sequence::SequenceState::Archived {
            let hint = "what runs in it ends by itself";
            return Err(publishing::Refusal::NotAllowed { state: sequence.state, hint }.into());
        }
        let target = super::publishing::version_of(tx, &sequence).await?;
        begin(tx, &target, &self.running, call, env).await
    }
}

/// Begins a migration to `target`, whose sequence is locked.
async fn begin(
    tx: &Tx,
    target: &SequenceVersion,
    running: &Running,
    call: &Call,
    env: &Env,
) -> Result<Decision<SequenceMigration>> {
    let now = call.now(env);
    if let Some(open) = tx.open_migration_of(target.sequence).await? {
        return Err(Refusal::Open { number: open.number, state: open.state }.into());
    }
    let crowds = tx.crowds(target.sequence, Some(target.id)).await?;
    let older = tx.sequence_versions(versions_in(&crowds)).await?;
    let shown = preview(running, target, &older, &crowds);
    judge(&shown)?;
    let new = NewMigration {
        id: env.id(now),
        sequence: target.sequence,
        target: target.id,
        number: target.number,
        running: running.clone(),
        left: (shown.versions.iter().map(|version| version.version).collect(), shown.count),
        by: call.actor.user,
    };
    Ok(migration::begin(new, now)?)
}

fn versions_in(crowds: &[Crowd]) -> Vec<SequenceVersionId> {
    crowds.iter().map(|crowd| crowd.version).collect::<BTreeSet<_>>().into_iter().collect()
}

/// What a definition, or a version, changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What it was compared with; none where there was nothing, so that everything is new.
    pub against: Option<SequenceVersion>,
    /// What changed.
    pub diff: Diff,
}

impl App {
    /// Publishes a definition over what runs, as [`SequenceReplace`] does. Where the newest version says the same, those who run on
    /// older ones are moved or ended all the same: applying it again changes nothing more. Also gives the migration, whether it
    /// began now or is under way since the same was asked for; none where nobody is moved or ended.
    pub async fn sequence_replace(
        &self,
        call: &Call,
        source: String,
        running: Running,
    ) -> Result<(Applied, Option<SequenceMigration>)> {
        let replace = SequenceReplace { source: source.clone(), running: running.clone() };
        let refused = match self.run(call, replace).await {
            Ok((_, version, migration)) => return Ok((Applied::Published(version), migration)),
            Err(refused) if refused.code() == UNCHANGED => refused,
            Err(error) => return Err(error),
        };
        let newest = self.newest_of(&source).await?.ok_or(refused)?;
        if running.policy == Policy::Stay {
            return match map::problems(&running, &[], &newest).into_iter().next() {
                Some(problem) => Err(problem.into()),
                None => Ok((Applied::Unchanged(newest), None)),
            };
        }
        let migration =
            match self.run(call, SequenceMigrate { sequence: newest.sequence, running: running.clone() }).await {
                Ok(migration) => Some(migration),
                Err(refused) if refused.code() == NOTHING => None,
                Err(refused) if refused.code() == OPEN => {
                    let open = self.store.open_migration_of(newest.sequence).await?;
                    Some(open.filter(|open| open.does(&running, newest.id)).ok_or(refused)?)
                }
                Err(error) => return Err(error),
            };
        Ok((Applied::Unchanged(newest), migration))
    }

    /// Who runs on older versions, and what would become of them if an actor published `source` now, or everything that is wrong
    /// with it. Where the newest version says the same already, it is that one they would be moved to. What a publication would be
    /// refused for, this is; that a migration is under way is a problem of the preview, unless it is the one that is asked for.
    pub async fn sequence_preview(
        &self,
        actor: &Actor,
        source: &str,
        running: &Running,
    ) -> Result<std::result::Result<Preview, Vec<Problem>>> {
        let reading = Reading::Apart(&self.store);
        if validate::read_with(source, &library_for(&reading, source).await?).is_err() {
            return Ok(Err(problems_of(&reading, actor, source).await?));
        }
        // Nothing is made, so that nothing needs an id.
        let by = By { sequence: Uuid::nil().into(), version: Uuid::nil().into(), user: actor.user };
        let target = match publication(&reading, source, by, self.env.now()).await {
            Ok(published) => {
                let target = published.next.1;
                let problems = not_there(&reading, actor.user, source, &target.definition).await?;
                if !problems.is_empty() {
                    return Ok(Err(problems));
                }
                target
            }
            Err(refused) if refused.code() == UNCHANGED => self.newest_of(source).await?.ok_or(refused)?,
            Err(error) => return Err(error),
        };
        let crowds = self.store.crowds(target.sequence, Some(target.id)).await?;
        let older = versions_in(&crowds).into_iter().map(Uuid::from);
        let older: Vec<SequenceVersion> = self.store.find_many(older).await?;
        let mut shown = preview(running, &target, &older, &crowds);
        if running.policy != Policy::Stay
            && let Some(open) = self.store.open_migration_of(target.sequence).await?
            && !open.does(running, target.id)
        {
            shown.problems.push(Refusal::Open { number: open.number, state: open.state });
        }
        Ok(Ok(shown))
    }

    /// What a definition changes against a version, or against the newest version of its key.
    pub async fn sequence_diff(&self, source: &str, against: Option<SequenceVersionId>) -> Result<Compared> {
        let definition = self.read(source).await?;
        let against = match against {
            Some(id) => Some(self.version(id).await?),
            None => {
                let sequence = self.store.sequence_by_key(&definition.header.key).await?;
                match sequence.and_then(|sequence| sequence.latest_version) {
                    Some(latest) => Some(self.version(latest).await?),
                    None => None,
                }
            }
        };
        Ok(compared(against, &definition))
    }

    /// What a version changed against another, or against the one before it.
    pub async fn sequence_version_diff(
        &self,
        version: SequenceVersionId,
        against: Option<SequenceVersionId>,
    ) -> Result<Compared> {
        let version = self.version(version).await?;
        let against = match (against, version.number.checked_sub(1)) {
            (Some(id), _) => Some(self.version(id).await?),
            (None, Some(before)) => self.store.sequence_version_numbered(version.sequence, before).await?,
            (None, None) => None,
        };
        Ok(compared(against, &version.definition))
    }

    async fn read(&self, source: &str) -> Result<Definition> {
        let library = self.library(source).await?;
        let definition = validate::read_with(source, &library);
        Ok(definition.map_err(|problems| publishing::Refusal::Invalid { problems })?)
    }

    async fn version(&self, id: SequenceVersionId) -> Result<SequenceVersion> {
        self.store.find(id).await?.ok_or(AppError::NotFound { what: "SequenceVersion", id: id.into() })
    }
}

fn compared(against: Option<SequenceVersion>, after: &Definition) -> Compared {
    let diff = match &against {
        Some(version) => diff(&version.definition, after),
        None => tandem_domain::sequence::diff::all(after),
    };
    Compared { against, diff }
}
