//! Types of experiments.

use crate::access::UserNode;
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::global;
use crate::sequences::SequenceNode;
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use tandem_domain::experiment::{self, Assessment, Experiment};

/// What somebody has to do to count as converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "experiment::Metric")]
pub enum ExperimentMetric {
    /// Answered: an e-mail of the person, or of a colleague to an e-mail of the run.
    Replied,
    /// Booked or held a meeting.
    Meeting,
    /// Followed a link of an e-mail of the run; no machine did it.
    Clicked,
    /// Became a lead for the SDRs.
    Qualified,
    /// Bought.
    Won,
}

/// Where an experiment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "experiment::ExperimentState")]
pub enum ExperimentState {
    /// It is planned, and may still change.
    Registered,
    /// People are counted.
    Running,
    /// Somebody decided what comes of it.
    Decided,
}

/// One of the ways that a split gives people to.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExperimentVariant {
    /// Its key in the definition.
    key: String,
    /// How many people it gets, in proportion to the weights of the others.
    weight: u32,
}

/// How many people each variant needs.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExperimentSize {
    /// Until the test that may be looked at at any time is likely to see the smallest effect.
    pub(super) people: i64,
    /// For a test that is looked at once, at the end: what textbooks give.
    pub(super) people_for_one_look: i64,
}

impl ExperimentSize {
    pub(super) fn new((once, always): (u64, u64)) -> Self {
        let whole = |people: u64| i64::try_from(people).unwrap_or(i64::MAX);
        Self { people: whole(always), people_for_one_look: whole(once) }
    }
}

/// What the numbers say of one variant.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExperimentVariantResult {
    /// The variant.
    variant: String,
    /// Everybody who was given it.
    assigned: i64,
    /// Those of them whose days are over: only they are compared.
    counted: i64,
    /// Those of the counted who converted.
    converted: i64,
    /// The share that converted; null without people.
    share: Option<f64>,
    /// How it does beside the control; null for the control itself.
    compared: Option<ExperimentComparison>,
}

/// How a variant does beside the control.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExperimentComparison {
    /// The variant's share less the control's, as it was found.
    difference: f64,
    /// The smallest difference that the numbers leave possible: the true one is outside of the interval with a probability of at
    /// most alpha, however often it is looked at.
    low: f64,
    /// The largest.
    high: f64,
    /// The always-valid p-value of the statement that there is no difference.
    p_value: f64,
    /// Whether there is one, as sure as was registered.
    differs: bool,
}

/// What the numbers of an experiment say.
#[derive(Debug, Clone, SimpleObject)]
pub struct ExperimentResult {
    /// Of each variant, the control first.
    variants: Vec<ExperimentVariantResult>,
    /// The chi-square statistic of the numbers of people against the weights; null while there are too few.
    ratio_chi_square: Option<f64>,
    /// The probability of numbers that fit as badly by chance.
    ratio_p_value: Option<f64>,
    /// Whether people were not shared as the weights say: then the rest says nothing.
    ratio_mismatch: bool,
    /// The variant that is better than the control, or the control where it is better than every other, as sure as was registered;
    /// null while that is open.
    leader: Option<String>,
}

impl From<Assessment> for ExperimentResult {
    fn from(assessment: Assessment) -> Self {
        let whole = |people: u64| i64::try_from(people).unwrap_or(i64::MAX);
        let variant = |result: experiment::VariantResult| ExperimentVariantResult {
            variant: result.tally.variant,
            assigned: whole(result.tally.assigned),
            counted: whole(result.tally.counted),
            converted: whole(result.tally.converted),
            share: result.share,
            compared: result.compared.map(|compared| {
                let experiment::Comparison { difference, low, high, p_value, differs } = compared;
                ExperimentComparison { difference, low, high, p_value, differs }
            }),
        };
        let (ratio_chi_square, ratio_p_value) = assessment.ratio.unzip();
        Self {
            variants: assessment.variants.into_iter().map(variant).collect(),
            ratio_chi_square,
            ratio_p_value,
            ratio_mismatch: assessment.ratio_mismatch,
            leader: assessment.leader,
        }
    }
}

/// An experiment on a step that splits its people among variants.
pub struct ExperimentNode(pub Experiment);

/// An experiment on a step that splits its people among variants.
#[Object(name = "Experiment")]
impl ExperimentNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The sequence.
    async fn sequence(&self, ctx: &Context<'_>) -> Option<Result<SequenceNode, ApiError>> {
        let sequence = ctx.load(self.0.sequence).await.map_err(ApiError::from).transpose()?;
        Some(sequence.map(SequenceNode))
    }
    /// The step that splits.
    async fn step(&self) -> &str {
        &self.0.step
    }
    /// The variants as they were registered; the first is the control.
    async fn variants(&self) -> Vec<ExperimentVariant> {
        let variant = |one: &experiment::Variant| ExperimentVariant { key: one.key.clone(), weight: one.weight };
        self.0.variants.iter().map(variant).collect()
    }
    /// Where it is.
    async fn state(&self) -> ExperimentState {
        self.0.state.into()
    }
    /// What is expected to happen, and why.
    async fn hypothesis(&self) -> &str {
        &self.0.design.hypothesis
    }
    /// What counts; the same for every experiment of the sequence.
    async fn metric(&self) -> ExperimentMetric {
        self.0.design.metric.into()
    }
    /// The share of the control that is expected to convert.
    async fn baseline(&self) -> f64 {
        self.0.design.baseline
    }
    /// The smallest difference worth knowing, as a share.
    async fn smallest_effect(&self) -> f64 {
        self.0.design.smallest_effect
    }
    /// The probability of seeing a difference where there is none.
    async fn alpha(&self) -> f64 {
        self.0.design.alpha
    }
    /// The probability of seeing the smallest effect where it is there.
    async fn power(&self) -> f64 {
        self.0.design.power
    }
    /// In how many days after the choice somebody converts.
    async fn window_days(&self) -> u32 {
        self.0.design.window_days
    }
    /// How many people each variant needs.
    async fn size(&self) -> ExperimentSize {
        ExperimentSize::new(self.0.sizes())
    }
    /// What the numbers say now.
    async fn result(&self, ctx: &Context<'_>) -> Option<Result<ExperimentResult, ApiError>> {
        let assessment = ctx.app().experiment_assessment(&self.0).await.map_err(ApiError::from);
        Some(assessment.map(Into::into))
    }
    /// What everybody new gets, once that is decided; null where nothing was better. A version with other variants than those that
    /// were compared splits as it says.
    async fn winner(&self) -> Option<&str> {
        self.0.winner.as_deref()
    }
    /// Why that was decided.
    async fn why(&self) -> Option<&str> {
        self.0.why.as_deref()
    }
    /// Who registered it.
    async fn registered_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.registered_by).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When.
    async fn registered_at(&self) -> DateTime<Utc> {
        self.0.registered_at
    }
    /// When people began to be counted.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }
    /// Who decided.
    async fn decided_by(&self, ctx: &Context<'_>) -> Option<Result<UserNode, ApiError>> {
        let user = ctx.load(self.0.decided_by?).await.map_err(ApiError::from).transpose()?;
        Some(user.map(UserNode))
    }
    /// When.
    async fn decided_at(&self) -> Option<DateTime<Utc>> {
        self.0.decided_at
    }
}
