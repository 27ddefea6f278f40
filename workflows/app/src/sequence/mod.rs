//! Commands on sequences and enrolments.
//!
//! Locks are taken in one order: the enrolment (of one person, all that are
//! live), its sequence where that is paused, the contact, the lead, the account where a
//! step changes it, the tasks that the enrolment made. What a step reaches beyond that (a target list, another run of the
//! person, the item that verifies the lead) is locked last; should two commands then wait for each other, PostgreSQL gives
//! one of them up, and it is tried again. A sequence is only read by those who enrol: whether it was paused meanwhile is
//! looked at again before every step. Whoever enrols shares the sequence's row, so that a publication sees them, or they it.

mod advance;
mod effects;
mod enrolling;
mod migrating;
mod naming;
mod preview;
mod publishing;
mod resuming;
mod simulating;
mod subject;
mod tasks;
mod triggering;
mod versions;

pub use advance::{Advanced, EnrollmentAdvance};
pub use effects::{Made, Refusal as StepRefusal};
pub use enrolling::{
    Enrolled, EnrollmentCreate, EnrollmentExit, EnrollmentFinish, EnrollmentPause, EnrollmentResume, EnrollmentWake,
    LetGo,
};
pub(crate) use enrolling::{lead_of, let_go};
pub use migrating::{
    SequenceMigrationCancel, SequenceMigrationPart, SequenceMigrationPause, SequenceMigrationResume, SequenceWake,
    WentOn,
};
pub use publishing::{
    Applied, SequenceArchive, SequenceCatchUp, SequenceDraft, SequencePause, SequencePauseUntil, SequencePublish,
    SequencePublishAgain, SequenceResume, sequence_advice, sequence_schema, sequence_schema_text, sequence_simulate,
    sequence_validate,
};
pub(crate) use publishing::{UNCHANGED, version_of};
pub use resuming::{EnrollmentsResume, Resumed};
pub use simulating::{Refusal as SimulationRefusal, Simulated, SimulationAsk, Who};
pub(crate) use subject::Subject;
pub(crate) use tasks::{run_of_task, task_closed};
pub use triggering::TriggerStart;
pub use versions::{Compared, Replaced, SequenceMigrate, SequenceReplace};
