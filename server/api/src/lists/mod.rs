//! Target-account lists: memberships, change requests, versions.

mod history;
pub mod mutation;
pub mod query;
pub mod subscription;
pub mod types;
pub mod version_types;

pub use mutation::ListMutation;
pub use query::ListQuery;
pub use subscription::ListSubscription;
pub use types::{ChangeRequestNode, ListMembershipNode, TargetAccountListNode};
pub use version_types::ListVersionNode;
