//! What is asked about sequences: the story of a run, the numbers of a sequence, and experiments.

pub mod experiments;
mod report;
mod story;

pub use experiments::{ExperimentChange, ExperimentDecide, ExperimentRegister, ExperimentStart};
pub use report::ReportLine;
pub use story::StoryEntry;
pub use tandem_domain::sequence::report::{Outcome, ReportGroup};
pub use tandem_store::views::sequence_report::{ReportAsk, ReportCounts, ReportKey};
pub use tandem_store::views::story::EmailFate;
