//! Changes of experiments.

use super::experiments::{ExperimentMetric, ExperimentNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::{ExperimentChange, ExperimentDecide, ExperimentRegister, ExperimentStart};
use tandem_domain::experiment::{Design, Redesign};

/// An experiment to register.
#[derive(InputObject)]
pub struct ExperimentRegisterInput {
    /// The sequence.
    sequence_id: ID,
    /// The step, of the kind `split`, in the newest version.
    step: String,
    /// The variant that the others are compared with; the first of the step where it is left out.
    control: Option<String>,
    /// What is expected to happen, and why: 1 to 500 characters.
    hypothesis: String,
    /// What counts; the same for every experiment of the sequence.
    metric: ExperimentMetric,
    /// The share of the control that is expected to convert, between 0 and 1.
    baseline: f64,
    /// The smallest difference worth knowing, as a share: 0.02 for two points of a hundred.
    smallest_effect: f64,
    /// The probability of seeing a difference where there is none: 0.0001 to 0.2.
    #[graphql(default = 0.05)]
    alpha: f64,
    /// The probability of seeing the smallest effect where it is there: 0.5 to 0.99.
    #[graphql(default = 0.8)]
    power: f64,
    /// In how many days after the choice somebody converts: 1 to 365.
    #[graphql(default = 14)]
    window_days: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// What a registered experiment shall measure instead. What is left out stays as it was.
#[derive(InputObject)]
pub struct ExperimentChangeInput {
    /// The experiment.
    experiment_id: ID,
    /// The variant that the others are compared with. It must be named where the newest version does not have the one of before.
    control: Option<String>,
    /// What is expected to happen, and why: 1 to 500 characters.
    hypothesis: Option<String>,
    /// What counts; the same for every experiment of the sequence.
    metric: Option<ExperimentMetric>,
    /// The share of the control that is expected to convert, between 0 and 1.
    baseline: Option<f64>,
    /// The smallest difference worth knowing, as a share: 0.02 for two points of a hundred.
    smallest_effect: Option<f64>,
    /// The probability of seeing a difference where there is none: 0.0001 to 0.2.
    alpha: Option<f64>,
    /// The probability of seeing the smallest effect where it is there: 0.5 to 0.99.
    power: Option<f64>,
    /// In how many days after the choice somebody converts: 1 to 365.
    window_days: Option<u32>,
}

/// An experiment to start.
#[derive(InputObject)]
pub struct ExperimentStartInput {
    /// The experiment.
    experiment_id: ID,
}

/// An experiment to decide.
#[derive(InputObject)]
pub struct ExperimentDecideInput {
    /// The experiment.
    experiment_id: ID,
    /// The variant that everybody new gets; null where the split shall go on as it is.
    winner: Option<String>,
    /// Why: 1 to 500 characters. A person may decide against the numbers.
    why: String,
}

payload! {
    /// What `experimentRegister` did.
    ExperimentRegisterPayload {
        /// The new experiment.
        experiment: ExperimentNode,
    }
    /// What `experimentChange` did.
    ExperimentChangePayload {
        /// The experiment after the change.
        experiment: ExperimentNode,
    }
    /// What `experimentStart` did.
    ExperimentStartPayload {
        /// The experiment after the change.
        experiment: ExperimentNode,
    }
    /// What `experimentDecide` did.
    ExperimentDecidePayload {
        /// The experiment after the change.
        experiment: ExperimentNode,
    }
}

/// Changes of experiments.
#[derive(Default)]
pub struct InsightMutation;

#[Object]
impl InsightMutation {
    /// Registers an experiment on a step that splits: what is measured, and how sure the answer shall be. Nothing of that changes
    /// after the start, and all experiments of a sequence have one metric.
    async fn experiment_register(
        &self,
        ctx: &Context<'_>,
        input: ExperimentRegisterInput,
    ) -> Result<ExperimentRegisterPayload, ApiError> {
        let done = async {
            let command = ExperimentRegister {
                sequence: local(&input.sequence_id, "sequenceId")?,
                step: input.step,
                control: input.control,
                design: Design {
                    hypothesis: input.hypothesis,
                    metric: input.metric.into(),
                    baseline: input.baseline,
                    smallest_effect: input.smallest_effect,
                    alpha: input.alpha,
                    power: input.power,
                    window_days: input.window_days,
                },
            };
            ctx.run(input.idempotency_key, command).await
        };
        ExperimentRegisterPayload::of(done.await.map(ExperimentNode))
    }

    /// Changes what an experiment measures, before it is started. The experiment takes over the split of the newest version, so that
    /// it can be started on that.
    async fn experiment_change(
        &self,
        ctx: &Context<'_>,
        input: ExperimentChangeInput,
    ) -> Result<ExperimentChangePayload, ApiError> {
        let done = async {
            let command = ExperimentChange {
                experiment: local(&input.experiment_id, "experimentId")?,
                control: input.control,
                design: Redesign {
                    hypothesis: input.hypothesis,
                    metric: input.metric.map(Into::into),
                    baseline: input.baseline,
                    smallest_effect: input.smallest_effect,
                    alpha: input.alpha,
                    power: input.power,
                    window_days: input.window_days,
                },
            };
            ctx.run(None, command).await
        };
        ExperimentChangePayload::of(done.await.map(ExperimentNode))
    }

    /// Starts an experiment: whom the step splits from now on is counted.
    async fn experiment_start(
        &self,
        ctx: &Context<'_>,
        input: ExperimentStartInput,
    ) -> Result<ExperimentStartPayload, ApiError> {
        let done = async {
            let experiment = local(&input.experiment_id, "experimentId")?;
            ctx.run(None, ExperimentStart { experiment }).await
        };
        ExperimentStartPayload::of(done.await.map(ExperimentNode))
    }

    /// Decides an experiment: the winner is what the split gives to everybody new from now on. What the numbers say at this moment
    /// goes on the record with who decided and why.
    async fn experiment_decide(
        &self,
        ctx: &Context<'_>,
        input: ExperimentDecideInput,
    ) -> Result<ExperimentDecidePayload, ApiError> {
        let done = async {
            let experiment = local(&input.experiment_id, "experimentId")?;
            ctx.run(None, ExperimentDecide { experiment, winner: input.winner, why: input.why }).await
        };
        ExperimentDecidePayload::of(done.await.map(ExperimentNode))
    }
}
