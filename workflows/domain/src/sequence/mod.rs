//! Sequences: nurture programmes, their published versions, and the runs of contacts and leads through them.
//!
//! ```text
//! source (YAML) --validate--> Definition --publish--> SequenceVersion (immutable)
//!                                                         |
//!                          Enrollment --stepper::advance--+--> next step, at most one effect, the next due time
//! ```
//!
//! Owns the language of the definitions, their checks, the state machine of an enrolment and the choice of its next
//! step. It sends nothing: an effect is described here and carried out by the application in the same transaction.

pub mod backlog;
pub mod calling;
pub mod definition;
pub mod diff;
pub mod enrollment;
pub mod environment;
pub mod hearing;
pub mod interactions;
pub mod library;
pub mod lint;
pub mod migration;
pub mod names;
pub mod publishing;
pub mod reads;
pub mod report;
pub mod schema;
pub mod simulation;
pub(crate) mod snippets;
pub mod span;
pub mod stepper;
pub mod steps;
pub mod story;
pub mod template;
pub mod trail;
pub(crate) mod tree;
pub mod trigger;
pub mod validate;
pub mod window;

pub use definition::{Definition, Step, StopOnReply, SubjectKind};
pub use enrollment::{Enrollment, EnrollmentState};
pub use migration::SequenceMigration;
pub use publishing::{Sequence, SequenceState, SequenceVersion};
pub use steps::Effect;
pub use validate::{Problem, Rule};
