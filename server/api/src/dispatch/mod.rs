//! Opportunities, handoffs and their receipts; pools, working calendars and the routing table.

pub mod definition_types;
pub mod definitions;
pub mod mutation;
pub mod query;
pub mod subscription;
pub mod types;

pub use definition_types::{PoolNode, RoutingTableNode, WorkingCalendarNode};
pub use definitions::DefinitionMutation;
pub use mutation::HandoffMutation;
pub use query::DispatchQuery;
pub use subscription::DispatchSubscription;
pub use types::{HandoffNode, OpportunityNode};
