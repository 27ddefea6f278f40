//! What the numbers of a sequence count: which facts, and whom they are credited to.

use crate::codes;
use chrono::TimeDelta;

codes! {
    /// What the rows of a report are.
    pub enum ReportGroup("report group") {
        /// A version of the sequence.
        Version = "VERSION",
        /// A step, whichever version it is in.
        Step = "STEP",
        /// A variant that a split chose.
        Variant = "VARIANT",
        /// The week (ISO 8601, in UTC) in which runs began.
        CohortWeek = "COHORT_WEEK",
    }
}

codes! {
    /// What a person or a lead came to, that a run is credited with.
    pub enum Outcome("outcome of a run") {
        /// The person answered.
        Replied = "REPLIED",
        /// A meeting was booked or held.
        Met = "MET",
        /// The lead went to the SDRs.
        Qualified = "QUALIFIED",
        /// The lead was handed to sales.
        Dispatched = "DISPATCHED",
        /// It was sold.
        Won = "WON",
    }
}

/// How long after its end a run is still credited with what happens.
pub const CREDITED_AFTER: TimeDelta = TimeDelta::days(30);

/// The kinds of steps by which a run touches the person. What happens is credited to the run that touched the person last; the
/// start of a run counts as a touch, too.
pub const TOUCHES: [&str; 2] = ["send_email", "create_task"];
