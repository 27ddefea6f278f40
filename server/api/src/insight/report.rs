//! Types of the numbers of a sequence.

use async_graphql::{Enum, Object, SimpleObject};
use tandem_app::insight::{Outcome, ReportKey, ReportLine};
use tandem_domain::sequence::report;

/// What the rows of a report are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "report::ReportGroup")]
pub enum SequenceReportGroup {
    /// A version of the sequence.
    Version,
    /// A step, whichever version it is in.
    Step,
    /// A variant that a split chose.
    Variant,
    /// The week (ISO 8601, in UTC) in which runs began.
    CohortWeek,
}

/// How many runs passed a step without its effect.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceReportSkip {
    /// The code of the reason.
    reason: String,
    /// How many runs.
    runs: i64,
}

/// How many runs ended in a way.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceReportEnd {
    /// The state, e.g. `FINISHED`.
    state: String,
    /// The code of the reason, where the state has one.
    reason: Option<String>,
    /// How many runs.
    runs: i64,
}

/// One row of the numbers of a sequence. A run is once in each column, however often it went that way; `sent`, `delivered`,
/// `opened` and `clicked` count e-mails.
pub struct SequenceReportRow(pub ReportLine);

impl SequenceReportRow {
    fn outcome(&self, outcome: Outcome) -> i64 {
        self.0.counts.outcomes.get(&outcome).copied().unwrap_or_default()
    }
}

/// One row of the numbers of a sequence. A run is once in each column, however often it went that way; `sent`, `delivered`,
/// `opened` and `clicked` count e-mails.
#[Object]
impl SequenceReportRow {
    /// What to call it: `welcome@3`, the step, the step and its variant, or the week, e.g. `2026-W10`.
    async fn label(&self) -> &str {
        &self.0.label
    }
    /// The number of the version, where rows are versions.
    async fn version(&self) -> Option<i64> {
        if let ReportKey::Version(number) = self.0.key { Some(number) } else { None }
    }
    /// The step, where rows are steps or variants.
    async fn step(&self) -> Option<&str> {
        match &self.0.key {
            ReportKey::Step(step) | ReportKey::Variant(step, _) => Some(step),
            ReportKey::Version(_) | ReportKey::Week(_) => None,
        }
    }
    /// The variant, where rows are variants.
    async fn variant(&self) -> Option<&str> {
        if let ReportKey::Variant(_, variant) = &self.0.key { Some(variant) } else { None }
    }
    /// Runs that began; for a step, those that came to it; for a variant, those that got it.
    async fn entered(&self) -> i64 {
        self.0.counts.entered
    }
    /// Of these, runs that are not over; for a step, those whose next step it is.
    async fn waiting(&self) -> i64 {
        self.0.counts.waiting
    }
    /// Runs that finished; for a step, those that took it with its effect.
    async fn done(&self) -> i64 {
        self.0.counts.done
    }
    /// Runs in which a step was passed without its effect, by reason.
    async fn skipped(&self) -> Vec<SequenceReportSkip> {
        let skip = |(reason, runs): (&String, &i64)| SequenceReportSkip { reason: reason.clone(), runs: *runs };
        self.0.counts.skipped.iter().map(skip).collect()
    }
    /// Runs that are over, by state and reason; for a step, those that ended at it.
    async fn ended(&self) -> Vec<SequenceReportEnd> {
        let end = |((state, reason), runs): (&(String, String), &i64)| SequenceReportEnd {
            state: state.clone(),
            reason: Some(reason.clone()).filter(|reason| !reason.is_empty()),
            runs: *runs,
        };
        self.0.counts.ended.iter().map(end).collect()
    }
    /// E-mails that were handed to a mail server, whatever it said.
    async fn sent(&self) -> i64 {
        self.0.counts.sent
    }
    /// Of these, e-mails that did not come back.
    async fn delivered(&self) -> i64 {
        self.0.counts.delivered
    }
    /// E-mails that a person opened.
    async fn opened(&self) -> i64 {
        self.0.counts.opened
    }
    /// E-mails of which a person followed a link.
    async fn clicked(&self) -> i64 {
        self.0.counts.clicked
    }
    /// Runs that are credited with an answer.
    async fn replied(&self) -> i64 {
        self.outcome(Outcome::Replied)
    }
    /// Runs that are credited with a meeting.
    async fn met(&self) -> i64 {
        self.outcome(Outcome::Met)
    }
    /// Runs that are credited with a lead that went to the SDRs.
    async fn qualified(&self) -> i64 {
        self.outcome(Outcome::Qualified)
    }
    /// Runs that are credited with a lead that was handed to sales.
    async fn dispatched(&self) -> i64 {
        self.outcome(Outcome::Dispatched)
    }
    /// Runs that are credited with a sale.
    async fn won(&self) -> i64 {
        self.outcome(Outcome::Won)
    }
}

/// The numbers of a sequence.
#[derive(SimpleObject)]
pub struct SequenceReport {
    /// What the rows are.
    pub(super) group_by: SequenceReportGroup,
    /// The rows: steps in the order of the definition, every other kind in the order of its key.
    pub(super) rows: Vec<SequenceReportRow>,
}
