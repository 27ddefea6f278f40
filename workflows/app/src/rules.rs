//! What sales ops set once for all leads: the checklist, and how long things may take.

use tandem_domain::verification::{Checklist, ChecklistRefusal, Policy};

/// The rules of the SDR queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRules {
    /// What must be confirmed of a lead before it may be dispatched.
    pub checklist: Checklist,
    /// How long leads may stay where they are, and how long claims last.
    pub policy: Policy,
}

impl QueueRules {
    /// The shipped checklist with the default policy.
    pub fn shipped() -> Result<Self, ChecklistRefusal> {
        Ok(Self { checklist: Checklist::from_yaml(Checklist::SHIPPED)?, policy: Policy::default() })
    }
}
