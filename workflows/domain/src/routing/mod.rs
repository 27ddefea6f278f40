//! Who gets an opportunity: the table that chooses a pool, and the pool's round robin that chooses a person.
//!
//! Owns the definitions (pool, table), the turn of each member, and the receipt that every choice leaves. What becomes
//! of an offer belongs to [`crate::handoff`].

mod pool;
mod receipt;
mod round_robin;
mod table;

pub(crate) use pool::minutes;
pub use pool::{Absence, Member, MemberDraft, Pool, PoolDraft, save_pool, set_out_of_office};
pub use receipt::{Considered, Receipt, Skip};
pub use round_robin::{Barred, Choice, Field, HeldFor, Standing, Verdict, choose};
pub use table::{Route, RoutingRule, RoutingTable, TableDraft, save_table};

use crate::decision::known_as;
use chrono::{DateTime, Utc};

/// Why a pool, a table or an absence is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key is not one.
    #[error("`{given}` is not a key; use 1 to 60 of a-z, 0-9, _ and -")]
    Key {
        /// What was given.
        given: String,
    },
    /// The name is empty or too long.
    #[error("the name needs 1 to 200 characters")]
    Name,
    /// A pool of nobody.
    #[error("the pool needs at least one member")]
    NoMembers,
    /// More members than a pool may hold.
    #[error("a pool holds at most {most} members; split it by territory or segment")]
    TooManyMembers {
        /// The most.
        most: usize,
    },
    /// The same person twice.
    #[error("the user {user} is in the pool twice; keep one entry and add the weights", user = known_as(.user))]
    MemberTwice {
        /// The person.
        user: crate::id::UserId,
    },
    /// A weight outside 1..=100.
    #[error("the weight {given} is not between 1 and 100; remove the member to give no turns")]
    Weight {
        /// What was given.
        given: u32,
    },
    /// A capacity outside 1..=10000.
    #[error("the capacity {given} is not between 1 and 10000; set out-of-office to give nothing for a time")]
    Capacity {
        /// What was given.
        given: u32,
    },
    /// A promise that cannot be kept or means nothing.
    #[error("{what} is {given} minutes; it must be between 1 and 60000 working minutes")]
    Minutes {
        /// The input field.
        what: &'static str,
        /// What was given.
        given: u32,
    },
    /// Attempts outside 1..=20.
    #[error("the number of attempts {given} is not between 1 and 20")]
    Attempts {
        /// What was given.
        given: u32,
    },
    /// A cool-down longer than a year.
    #[error("a cool-down of {given} days is longer than a year; take at most 365")]
    Cooldown {
        /// What was given.
        given: u32,
    },
    /// An absence that ends before it begins, or has passed.
    #[error("an absence from {from} to {to} cannot be; the end must be after the beginning and in the future")]
    Absence {
        /// Its beginning.
        from: DateTime<Utc>,
        /// Its end.
        to: DateTime<Utc>,
    },
    /// More absences than one plans.
    #[error("at most {most} absences can be planned at a time; leave out those that have passed")]
    TooManyAbsences {
        /// The most.
        most: usize,
    },
    /// The person has no turns in this pool.
    #[error("the user {user} is not in the pool `{pool}`", user = known_as(.user))]
    NotAMember {
        /// The person.
        user: crate::id::UserId,
        /// The pool's key.
        pool: String,
    },
    /// A rule without a name, or with the name of another.
    #[error(
        "the rule name `{name}` is empty, too long or used twice; give each rule its own name of 1 to 60 characters"
    )]
    RuleName {
        /// What was given.
        name: String,
    },
    /// More rules than a table may hold.
    #[error("a routing table holds at most {most} rules")]
    TooManyRules {
        /// The most.
        most: usize,
    },
    /// A condition that cannot be read.
    #[error("the condition of the rule `{rule}` cannot be read: {because}")]
    Condition {
        /// The rule's name.
        rule: String,
        /// What is wrong with it.
        because: String,
    },
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Key { .. } => "POOL_KEY_INVALID",
            Self::Name => "POOL_NAME_INVALID",
            Self::NoMembers => "POOL_WITHOUT_MEMBERS",
            Self::TooManyMembers { .. } => "POOL_TOO_MANY_MEMBERS",
            Self::MemberTwice { .. } => "POOL_MEMBER_TWICE",
            Self::Weight { .. } => "POOL_WEIGHT_OUT_OF_RANGE",
            Self::Capacity { .. } => "POOL_CAPACITY_OUT_OF_RANGE",
            Self::Minutes { .. } => "POOL_MINUTES_OUT_OF_RANGE",
            Self::Attempts { .. } => "POOL_ATTEMPTS_OUT_OF_RANGE",
            Self::Cooldown { .. } => "POOL_COOLDOWN_OUT_OF_RANGE",
            Self::Absence { .. } => "OUT_OF_OFFICE_INVALID",
            Self::TooManyAbsences { .. } => "OUT_OF_OFFICE_TOO_MANY",
            Self::NotAMember { .. } => "POOL_NOT_A_MEMBER",
            Self::RuleName { .. } => "ROUTING_RULE_NAME_INVALID",
            Self::TooManyRules { .. } => "ROUTING_TOO_MANY_RULES",
            Self::Condition { .. } => "ROUTING_CONDITION_INVALID",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Key { .. } => Some("key"),
            Self::Name => Some("name"),
            Self::NoMembers
            | Self::TooManyMembers { .. }
            | Self::MemberTwice { .. }
            | Self::Weight { .. }
            | Self::Capacity { .. } => Some("members"),
            Self::Minutes { what, .. } => Some(what),
            Self::Attempts { .. } => Some("maxAttempts"),
            Self::Cooldown { .. } => Some("cooldownDays"),
            Self::Absence { .. } | Self::TooManyAbsences { .. } => Some("absences"),
            Self::NotAMember { .. } => Some("userId"),
            Self::RuleName { .. } | Self::TooManyRules { .. } | Self::Condition { .. } => Some("rules"),
        }
    }
}
