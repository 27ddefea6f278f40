//! What is asked about sequences: the story of a run, the numbers of a sequence, and experiments.

pub mod experiments;
pub mod mutation;
pub mod query;
pub mod report;
pub mod story;

pub use experiments::ExperimentNode;
pub use mutation::InsightMutation;
pub use query::InsightQuery;
