//! Users, teams and access tokens.

pub mod mutation;
pub mod query;
pub mod types;

pub use mutation::AccessMutation;
pub use query::AccessQuery;
pub use types::{AccessTokenNode, TeamNode, UserNode};
