//! Opportunities, handoffs and their receipts; pools, working calendars and the routing table.

mod definition_types;
mod definitions;
mod mutation;
mod query;
mod types;

pub use definition_types::{PoolNode, RoutingTableNode, WorkingCalendarNode};
pub use definitions::DefinitionMutation;
pub use mutation::HandoffMutation;
pub use query::DispatchQuery;
pub use types::{HandoffNode, OpportunityNode};
