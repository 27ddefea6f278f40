//! The lead follows its handoff: from the dispatch to the sale, or back.

use super::{Lead, Owner, Refusal, Stage};
use crate::decision::Decision;
use crate::id::UserId;
use chrono::{DateTime, Utc};

/// What became of a lead's handoff, in the words of the lead. `due` is when the handoff's own timer runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandoffStep {
    /// It was handed to routing, or went back there (rejected, timed out, reclaimed, re-routed).
    Dispatched {
        /// When routing must have found somebody.
        due: DateTime<Utc>,
    },
    /// Somebody took it.
    Accepted {
        /// Who.
        by: UserId,
        /// When work on it must have begun.
        due: DateTime<Utc>,
    },
    /// Work on it began, or goes on after a refused return.
    Working {
        /// Who works on it.
        by: UserId,
        /// When it must be decided.
        due: DateTime<Utc>,
    },
    /// It was given back; the return is under review.
    Returned {
        /// The reason code.
        reason: String,
        /// When the review must be over.
        due: DateTime<Utc>,
    },
    /// It was sold.
    Won {
        /// By whom.
        by: UserId,
    },
    /// It was not sold.
    Lost {
        /// Who worked on it.
        by: UserId,
        /// The reason code.
        reason: String,
    },
}

/// The lead follows its handoff. Its due time is the handoff's, so the handoff's timers move it.
pub fn follow_handoff(lead: Lead, step: &HandoffStep, now: DateTime<Utc>) -> Result<Decision<Lead>, Refusal> {
    use Stage::{Accepted, Dispatched, Lost, Returned, Verified, Won, Working};
    let from = lead.stage;
    let (to, allowed, kind): (_, &[Stage], _) = match step {
        HandoffStep::Dispatched { .. } => {
            (Dispatched, &[Verified, Dispatched, Accepted, Working, Returned], "lead.dispatched")
        }
        HandoffStep::Accepted { .. } => (Accepted, &[Dispatched], "lead.accepted"),
        HandoffStep::Working { .. } => (Working, &[Accepted, Working, Returned], "lead.worked"),
        HandoffStep::Returned { .. } => (Returned, &[Accepted, Working, Returned], "lead.returned"),
        HandoffStep::Won { .. } => (Won, &[Accepted, Working], "lead.won"),
        HandoffStep::Lost { .. } => (Lost, &[Accepted, Working], "lead.lost"),
    };
    lead.check_from(to, allowed)?;
    let (owner, due, seller, reason) = match step {
        HandoffStep::Dispatched { due } => (Owner::Routing, Some(*due), None, None),
        HandoffStep::Accepted { by, due } | HandoffStep::Working { by, due } => {
            (Owner::Sales(*by), Some(*due), Some(*by), None)
        }
        HandoffStep::Returned { reason, due } => (Owner::Routing, Some(*due), None, Some(reason.clone())),
        HandoffStep::Won { by } => (Owner::Nobody, None, Some(*by), None),
        HandoffStep::Lost { by, reason } => (Owner::Nobody, None, Some(*by), Some(reason.clone())),
    };
    // The handoff's own facts tell what happened between; the lead's tell when it got another stage or owner.
    let stays = from == to && lead.owner == owner;
    let mut lead = lead.moved(to, owner, due, now);
    lead.overdue = 0;
    lead.sold_by = seller.or(lead.sold_by);
    if stays {
        return Ok(Decision { next: lead, facts: Vec::new(), jobs: Vec::new() });
    }
    let mut fact = lead.fact(kind).moved(from, to).with("sales", seller);
    if let Some(reason) = reason {
        fact = fact.because(&reason);
        lead.reason = Some(reason);
    }
    Ok(Decision::new(lead, fact))
}
