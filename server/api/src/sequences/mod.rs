//! Sequences, their versions, and enrolments.

pub mod migrations;
pub mod mutation;
pub mod query;
pub mod simulation;
pub mod subscription;
pub mod triggers;
pub mod types;
pub mod versions;

pub use migrations::{SequenceMigrationMutation, SequenceVersionQuery};
pub use mutation::SequenceMutation;
pub use query::SequenceQuery;
pub use simulation::SequenceSimulationQuery;
pub use subscription::SequenceSubscription;
pub use triggers::{TriggerQuery, TriggerSkipNode};
pub use types::{EnrollmentNode, SequenceNode, SequenceVersionNode};
pub use versions::SequenceMigrationNode;
