//! Why something is not done with an experiment.

use super::{ExperimentState, Metric};
use crate::decision::known_as;
use crate::id::ExperimentId;

/// Why an experiment is refused, or a change to it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is compared where nothing is split.
    #[error("the newest version has no step `{step}` of the kind `split`; name one that splits its people")]
    NoSplit {
        /// The step given.
        step: String,
    },
    /// One experiment on a step at a time.
    #[error("experiment {experiment} on this step is {state}; {hint}", experiment = known_as(.experiment))]
    Exists {
        /// The open one.
        experiment: ExperimentId,
        /// The state it is in.
        state: ExperimentState,
        /// What to do with it.
        hint: &'static str,
    },
    /// All experiments of a sequence have one metric.
    #[error("the experiments of this sequence are measured by {expected}; take the same metric, or another sequence")]
    MetricDiffers {
        /// The metric of the others.
        expected: Metric,
    },
    /// What was registered stays.
    #[error(
        "the experiment has begun, so that its metric {metric} and its numbers stay; decide it, and register another"
    )]
    Started {
        /// The metric that stays.
        metric: Metric,
    },
    /// The state has no such arrow.
    #[error("the experiment is {state}; {hint}")]
    NotAllowed {
        /// The state it is in.
        state: ExperimentState,
        /// What to do instead.
        hint: &'static str,
    },
    /// The split is not the one that was registered.
    #[error("the step `{step}` of the newest version is not split as was registered; {hint}")]
    SplitChanged {
        /// The step.
        step: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// There is no such variant.
    #[error("the experiment has no variant `{given}`; one of {known} is expected")]
    VariantUnknown {
        /// The input field.
        field: &'static str,
        /// What was given.
        given: String,
        /// Every key, separated by a comma and a space.
        known: String,
    },
    /// A number does not fit.
    #[error("{field} is {rule}")]
    OutOfRange {
        /// The input field.
        field: &'static str,
        /// What fits.
        rule: &'static str,
    },
    /// A text is missing or too long.
    #[error("{field} needs 1 to 500 characters in one line")]
    WordsMissing {
        /// The input field.
        field: &'static str,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoSplit { .. } => "EXPERIMENT_NO_SPLIT",
            Self::Exists { .. } => "EXPERIMENT_EXISTS",
            Self::MetricDiffers { .. } => "EXPERIMENT_METRIC_DIFFERS",
            Self::Started { .. } => "EXPERIMENT_STARTED",
            Self::NotAllowed { .. } => "EXPERIMENT_NOT_ALLOWED",
            Self::SplitChanged { .. } => "EXPERIMENT_SPLIT_CHANGED",
            Self::VariantUnknown { .. } => "EXPERIMENT_VARIANT_UNKNOWN",
            Self::OutOfRange { .. } => "EXPERIMENT_OUT_OF_RANGE",
            Self::WordsMissing { .. } => "EXPERIMENT_WORDS_MISSING",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::NoSplit { .. } | Self::Exists { .. } => Some("step"),
            Self::MetricDiffers { .. } | Self::Started { .. } => Some("metric"),
            Self::VariantUnknown { field, .. } | Self::OutOfRange { field, .. } | Self::WordsMissing { field } => {
                Some(field)
            }
            Self::NotAllowed { .. } | Self::SplitChanged { .. } => None,
        }
    }
}
