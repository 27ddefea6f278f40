//! The two keys: one person from marketing and another from sales.

use super::Refusal;
use crate::access::Side;
use crate::id::UserId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Whoever acts on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// The person.
    pub user: UserId,
    /// The side whose key the person holds; none for administrators, machines and sales ops without a side.
    pub side: Option<Side>,
}

impl Party {
    /// The side whose key the person holds, or the refusal of somebody who holds none.
    pub(super) fn key(self) -> Result<Side, Refusal> {
        self.side.ok_or(Refusal::NoSide)
    }
}

/// One key, turned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who turned it.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

/// The keys turned so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keys {
    /// Marketing's key.
    pub marketing: Option<Approval>,
    /// Sales' key.
    pub sales: Option<Approval>,
}

impl Keys {
    /// The key of `side`, if it has been turned.
    pub const fn of(&self, side: Side) -> Option<Approval> {
        match side {
            Side::Marketing => self.marketing,
            Side::Sales => self.sales,
        }
    }

    /// Whether both sides agreed, through two different people.
    pub fn agreed(&self) -> bool {
        matches!((self.marketing, self.sales), (Some(marketing), Some(sales)) if marketing.by != sales.by)
    }

    /// Whether nobody has turned a key.
    pub const fn none(&self) -> bool {
        self.marketing.is_none() && self.sales.is_none()
    }

    /// Turns the key of `by`'s side. A side has one key, and a person turns at most one.
    pub fn turn(mut self, by: Party, now: DateTime<Utc>) -> Result<Self, Refusal> {
        let side = by.key()?;
        if self.of(side).is_some() {
            return Err(Refusal::SameSide { side });
        }
        if [self.marketing, self.sales].iter().flatten().any(|approval| approval.by == by.user) {
            return Err(Refusal::SamePerson);
        }
        let turned = Some(Approval { by: by.user, at: now });
        match side {
            Side::Marketing => self.marketing = turned,
            Side::Sales => self.sales = turned,
        }
        Ok(self)
    }
}
