//! Commands on sequences and enrolments.
//!
//! Locks are taken in one order: the enrolment (of one person, all that are live), its sequence where that is paused, the contact, the lead, the tasks that
//! the enrolment made. A sequence is only read by those who enrol: whether it was paused meanwhile is looked at again
//! before every step.

mod advance;
mod enrolling;
mod publishing;
mod subject;

pub use advance::{Advanced, EnrollmentAdvance, EnrollmentsResume};
pub use enrolling::{
    Enrolled, EnrollmentCreate, EnrollmentExit, EnrollmentFinish, EnrollmentPause, EnrollmentResume, EnrollmentWake,
    LetGo,
};
pub(crate) use enrolling::{lead_of, let_go};
pub use publishing::{
    Applied, SequenceArchive, SequenceDraft, SequencePause, SequencePublish, SequenceResume, sequence_simulate,
    sequence_validate,
};
