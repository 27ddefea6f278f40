//! Commands on experiments.
//!
//! The sequence is locked by whoever registers or changes one: that all have the same metric is looked at across them.

use crate::sequence::version_of;
use crate::{App, AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::experiment::{self, Assessment, Design, Experiment, Proposal, Redesign, Variant, assess};
use tandem_domain::id::{ExperimentId, SequenceId};
use tandem_domain::sequence::{Definition, Enrollment, Sequence, SequenceVersion};
use tandem_store::Tx;

async fn locked(tx: &Tx, id: SequenceId) -> Result<Sequence> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "Sequence", id: id.into() })
}

async fn load(tx: &Tx, id: ExperimentId) -> Result<Experiment> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "Experiment", id: id.into() })
}

/// The variants of a step in the newest version of a sequence; none where it does not split.
async fn variants(tx: &Tx, sequence: &Sequence, step: &str) -> Result<Option<Vec<Variant>>> {
    match sequence.latest_version {
        Some(_) => Ok(experiment::variants_of(&version_of(tx, sequence).await?.definition, step)),
        None => Ok(None),
    }
}

/// Registers an experiment on a step that splits.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentRegister {
    /// The sequence.
    pub sequence: SequenceId,
    /// The step, of the kind `split`, in the newest version.
    pub step: String,
    /// The variant that the others are compared with; the first of the step where it is left out.
    pub control: Option<String>,
    /// What is measured.
    pub design: Design,
}

impl Command for ExperimentRegister {
    const NAME: &'static str = "experimentRegister";
    type Output = Experiment;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Experiment>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let sequence = locked(tx, self.sequence).await?;
        let proposal = Proposal {
            id: env.id(now),
            sequence: sequence.id,
            step: self.step.clone(),
            variants: variants(tx, &sequence, &self.step).await?,
            control: self.control.clone(),
            design: self.design.clone(),
            by,
        };
        Ok(experiment::register(proposal, &tx.experiments_of(sequence.id).await?, now)?)
    }
}

/// Changes what an experiment measures, before it is started, and takes over the split of the newest version.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentChange {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The variant that the others are compared with; the same as before where it is left out.
    pub control: Option<String>,
    /// What is measured instead.
    pub design: Redesign,
}

impl Command for ExperimentChange {
    const NAME: &'static str = "experimentChange";
    type Output = Experiment;

    async fn decide(&self, tx: &Tx, _: &Call, _: &Env) -> Result<Decision<Experiment>> {
        // The sequence never changes, so that it can be read before it is locked.
        let missing = || AppError::NotFound { what: "Experiment", id: self.experiment.into() };
        let sequence = tx.peek::<Experiment>(self.experiment).await?.ok_or_else(missing)?.sequence;
        let sequence = locked(tx, sequence).await?;
        let experiment = load(tx, self.experiment).await?;
        let variants = variants(tx, &sequence, &experiment.step).await?;
        let (redesign, control) = (self.design.clone(), self.control.clone());
        Ok(experiment::change(experiment, redesign, control, variants, &tx.experiments_of(sequence.id).await?)?)
    }
}

/// Starts an experiment: whom the step splits from now on is counted.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentStart {
    /// The experiment.
    pub experiment: ExperimentId,
}

impl Command for ExperimentStart {
    const NAME: &'static str = "experimentStart";
    type Output = Experiment;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Experiment>> {
        let experiment = load(tx, self.experiment).await?;
        let missing = || AppError::NotFound { what: "Sequence", id: experiment.sequence.into() };
        let sequence: Sequence = tx.peek(experiment.sequence).await?.ok_or_else(missing)?;
        let variants = variants(tx, &sequence, &experiment.step).await?;
        Ok(experiment::start(experiment, variants.as_deref(), call.now(env))?)
    }
}

/// Decides an experiment: the winner is what everybody new gets. Only a person can.
#[derive(Debug, Clone, Serialize)]
pub struct ExperimentDecide {
    /// The experiment.
    pub experiment: ExperimentId,
    /// The winner; none where the split shall go on as it is.
    pub winner: Option<String>,
    /// Why: 1 to 500 characters.
    pub why: String,
}

impl Command for ExperimentDecide {
    const NAME: &'static str = "experimentDecide";
    type Output = Experiment;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Experiment>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let experiment = load(tx, self.experiment).await?;
        let assessment = assess(&experiment, &tx.experiment_tallies(&experiment, now).await?);
        Ok(experiment::decide(experiment, self.winner.clone(), &self.why, &assessment, by, now)?)
    }
}

/// Reads what [`winners`] of runs of these versions will ask for, in one statement; in none where nothing splits.
pub(crate) async fn winners_ahead(tx: &Tx, versions: &[SequenceVersion]) -> Result<()> {
    let split = versions.iter().filter(|version| experiment::splits(&version.definition));
    Ok(tx.experiments_ahead(split.map(|version| version.sequence)).await?)
}

/// The definition that a run goes by, with the variants that were promoted; none where it is as it was published.
pub(crate) async fn winners(tx: &Tx, run: &Enrollment, version: &SequenceVersion) -> Result<Option<Definition>> {
    if !experiment::splits(&version.definition) {
        return Ok(None);
    }
    // A variant that the run has stays.
    let data = run.data();
    let keeps = |step: &str| data["variants"].get(step).is_some();
    Ok(experiment::with_winners(&version.definition, &tx.experiments_of(run.sequence).await?, keeps))
}

impl App {
    /// What the numbers of an experiment say now; of one that is decided, those of the people it was tried on until then, as far
    /// as is known now.
    pub async fn experiment_assessment(&self, experiment: &Experiment) -> Result<Assessment> {
        let tallies = self.store.experiment_tallies(experiment, self.env.now()).await?;
        Ok(assess(experiment, &tallies))
    }
}
