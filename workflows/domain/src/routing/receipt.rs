//! The receipt of a choice: who was considered, who was skipped and why, who was chosen and by which rule.

use crate::codes;
use crate::id::{HandoffId, PoolId, ReceiptId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

codes! {
    /// Why a member of the pool was not offered the opportunity this time.
    pub enum Skip("reason to skip a member") {
        /// The member rejected this opportunity, let its offer run out, or had it taken back.
        AlreadyTried = "ALREADY_TRIED",
        /// The member returned this opportunity, and the cool-down has not passed.
        CoolDown = "COOL_DOWN",
        /// The user may not act any more.
        Inactive = "INACTIVE",
        /// The member is out of office.
        OutOfOffice = "OUT_OF_OFFICE",
        /// The member is outside working hours.
        OutOfHours = "OUT_OF_HOURS",
        /// The member holds as many open opportunities as the pool allows.
        AtCapacity = "AT_CAPACITY",
    }
}

/// One member as the choice saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Who.
    pub user: UserId,
    /// The member's weight.
    pub weight: u32,
    /// The credit before the choice.
    pub credit: i64,
    /// The credit with which the member stood in the choice.
    pub stake: i64,
    /// How many open opportunities the member held.
    pub open: u32,
    /// Why the member was skipped; none for those who could have been chosen.
    pub skipped: Option<Skip>,
    /// Until when that lasts, where that is known.
    pub until: Option<DateTime<Utc>>,
}

/// What a choice decided and why. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its id.
    pub id: ReceiptId,
    /// The handoff it was made for.
    pub handoff: HandoffId,
    /// The pool.
    pub pool: PoolId,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// When.
    pub at: DateTime<Utc>,
    /// The version of the rule that decided, e.g. `pool:enterprise@3`.
    pub rule: String,
    /// Every member, in the pool's order.
    pub considered: Vec<Considered>,
    /// What came out.
    pub verdict: super::Verdict,
}
