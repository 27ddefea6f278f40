//! Sequences, their versions, and enrolments.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::SequenceMutation;
pub use query::SequenceQuery;
pub use types::{EnrollmentNode, SequenceNode, SequenceVersionNode};
