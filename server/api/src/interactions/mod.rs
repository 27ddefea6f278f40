//! What people did.

pub mod mutation;
pub mod types;

pub use mutation::InteractionMutation;
pub use types::{InteractionKind, InteractionNode};
