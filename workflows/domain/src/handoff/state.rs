//! The states of a handoff, what it remembers, and the one place where a state gets its due time and its timer.

use crate::codes;
use crate::decision::{Decision, Fact, Job, Planned};
use crate::id::{AccountId, HandoffId, LeadId, OpportunityId, PoolId, UserId};
use crate::lead::HandoffStep;
use crate::routing::{Barred, HeldFor};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

codes! {
    /// Where a handoff is. Six of them are passed through within one decision and never stored: MATCHED, REJECTED,
    /// TIMED_OUT, RECLAIMED, RETURNED and RETURN_REFUSED. The ledger records every arrow.
    pub enum HandoffState("handoff state") {
        /// Somebody is looked for.
        Pending = "PENDING",
        /// Nobody can take it now; it is tried again at a known moment.
        Held = "HELD",
        /// Somebody was found.
        Matched = "MATCHED",
        /// It is offered to somebody, who has until the due time to answer.
        Offered = "OFFERED",
        /// The offer was rejected.
        Rejected = "REJECTED",
        /// The offer was not answered in time.
        TimedOut = "TIMED_OUT",
        /// Nobody in the pool took it; the escalation person has it, or a manager must assign it.
        Escalated = "ESCALATED",
        /// Somebody took it; work must begin by the due time.
        Accepted = "ACCEPTED",
        /// Somebody works on it; a sign of progress must come by the due time.
        Working = "WORKING",
        /// It was taken back from whoever had it.
        Reclaimed = "RECLAIMED",
        /// It was given back.
        Returned = "RETURNED",
        /// A manager must say by the due time what becomes of the return.
        ReturnReview = "RETURN_REVIEW",
        /// The return was refused: the same person works on.
        ReturnRefused = "RETURN_REFUSED",
        /// An end: sold.
        Converted = "CONVERTED",
        /// An end: worked and not sold.
        Lost = "LOST",
        /// An end: another handoff of the same opportunity goes on.
        ReRouted = "RE_ROUTED",
        /// An end: the lead went back to the SDR.
        ToSdr = "TO_SDR",
        /// An end: the lead went back to nurture.
        ToNurture = "TO_NURTURE",
        /// An end: nobody goes on with it.
        Closed = "CLOSED",
    }
}

impl HandoffState {
    /// Whether a handoff in this state is over.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Converted | Self::Lost | Self::ReRouted | Self::ToSdr | Self::ToNurture | Self::Closed)
    }

    /// Whether a handoff may be stored in this state.
    pub const fn is_resting(self) -> bool {
        !matches!(
            self,
            Self::Matched | Self::Rejected | Self::TimedOut | Self::Reclaimed | Self::Returned | Self::ReturnRefused
        )
    }

    /// Whether it counts against the capacity of the person who has it.
    pub const fn occupies(self) -> bool {
        matches!(self, Self::Offered | Self::Escalated | Self::Accepted | Self::Working)
    }
}

codes! {
    /// Why a handoff did not go on as it was.
    #[derive(schemars::JsonSchema)]
    pub enum Reason("handoff reason") {
        /// It belongs to another territory.
        WrongTerritory = "WRONG_TERRITORY",
        /// The account belongs to somebody else.
        WrongOwner = "WRONG_OWNER",
        /// Sales works on it already.
        ExistingOpportunity = "EXISTING_OPPORTUNITY",
        /// It should not have been verified.
        NotQualified = "NOT_QUALIFIED",
        /// The person cannot be reached with these data.
        BadContact = "BAD_CONTACT",
        /// There is no money.
        NoBudget = "NO_BUDGET",
        /// The person cannot decide.
        NoAuthority = "NO_AUTHORITY",
        /// There is no need.
        NoNeed = "NO_NEED",
        /// Later, perhaps.
        BadTiming = "BAD_TIMING",
        /// The person does not answer.
        NoResponse = "NO_RESPONSE",
        /// Sales has no time for it.
        Capacity = "CAPACITY",
        /// It may not be this person's.
        ConflictOfInterest = "CONFLICT_OF_INTEREST",
        /// A promise was broken.
        SlaBreach = "SLA_BREACH",
    }
}

/// What a reason is given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To reject an offer.
    Reject,
    /// To return work.
    Return,
    /// To record a loss.
    Lose,
    /// To take it back from somebody.
    Reclaim,
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Reject => "reject an offer",
            Self::Return => "return an opportunity",
            Self::Lose => "record a loss",
            Self::Reclaim => "reclaim an opportunity",
        })
    }
}

impl Reason {
    /// Whether the reason may be given for this.
    pub const fn serves(self, what: Use) -> bool {
        match what {
            // Nobody has worked on it yet, so nobody can have failed to answer.
            Use::Reject => !matches!(self, Self::SlaBreach | Self::NoResponse),
            Use::Return => !matches!(self, Self::SlaBreach),
            Use::Lose => !matches!(self, Self::SlaBreach | Self::Capacity | Self::WrongTerritory | Self::WrongOwner),
            Use::Reclaim => true,
        }
    }

    /// Whether a return for this reason gives the turn back: exactly when the offer should not have reached this person, or
    /// sales at all. What a buyer decides, and what sales has no time for, costs the turn.
    pub const fn gives_turn_back(self) -> bool {
        matches!(
            self,
            Self::WrongTerritory
                | Self::WrongOwner
                | Self::ExistingOpportunity
                | Self::NotQualified
                | Self::BadContact
                | Self::ConflictOfInterest
        )
    }
}

/// Somebody who had it offered or assigned and is not offered it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Who.
    pub user: UserId,
    /// How it ended: REJECTED, TIMED_OUT or RECLAIMED.
    pub outcome: HandoffState,
    /// Why, where a reason was given.
    pub reason: Option<Reason>,
    /// When.
    pub at: DateTime<Utc>,
}

/// Somebody who returned it and is not offered it again for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolDown {
    /// Who.
    pub user: UserId,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// The turn that the present person paid in the pool's round robin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who paid.
    pub user: UserId,
    /// How much credit.
    pub cost: i64,
}

/// One transfer of responsibility for an opportunity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handoff {
    /// Its id.
    pub id: HandoffId,
    /// The opportunity.
    pub opportunity: OpportunityId,
    /// The lead it came from.
    pub lead: LeadId,
    /// The company, where it is known.
    pub account: Option<AccountId>,
    /// The pool in which somebody is looked for.
    pub pool: PoolId,
    /// The version of the rule that chose the pool, e.g. `routing@3#enterprise`.
    pub route: String,
    /// Who dispatched it.
    pub dispatched_by: UserId,
    /// Where it is.
    pub state: HandoffState,
    /// Counts the offers from 1: the one that is out, or is looked for.
    pub attempt: u32,
    /// Counts the changes from 1: a timer planned under another revision does nothing.
    pub revision: u32,
    /// Who has the offer, in OFFERED and ESCALATED.
    pub offered_to: Option<UserId>,
    /// Who took it, from ACCEPTED on.
    pub assignee: Option<UserId>,
    /// What the present person paid for it.
    pub turn: Option<Turn>,
    /// Who is not offered it again.
    pub tried: Vec<Tried>,
    /// Who is not offered it again for a while.
    pub cool_downs: Vec<CoolDown>,
    /// What it waits for, in HELD.
    pub held_for: Option<HeldFor>,
    /// The reason of the last rejection, return, loss or reclaim.
    pub reason: Option<Reason>,
    /// What was said about it.
    pub note: Option<String>,
    /// When a timer moves it if nobody else does; none exactly in an end.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was dispatched.
    pub created_at: DateTime<Utc>,
    /// When the last offer was made.
    pub offered_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    pub accepted_at: Option<DateTime<Utc>>,
    /// When work began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was given back.
    pub returned_at: Option<DateTime<Utc>>,
    /// When it ended; none exactly while it goes on.
    pub ended_at: Option<DateTime<Utc>>,
    /// The handoff that was re-routed into this one.
    pub previous: Option<HandoffId>,
}

impl Handoff {
    /// The person who must act, where it is one: not in a review, which any manager may do.
    pub const fn holder(&self) -> Option<UserId> {
        match self.state {
            HandoffState::Offered | HandoffState::Escalated => self.offered_to,
            HandoffState::Accepted | HandoffState::Working => self.assignee,
            _ => None,
        }
    }

    /// Whether it keeps the law: a state it can rest in, a due time exactly while it goes on, and somebody named exactly
    /// where the state has somebody.
    pub fn keeps_the_law(&self) -> bool {
        let end = self.state.is_end();
        let offered = matches!(self.state, HandoffState::Offered);
        let taken = matches!(self.state, HandoffState::Accepted | HandoffState::Working | HandoffState::ReturnReview);
        let looking = matches!(self.state, HandoffState::Pending | HandoffState::Held);
        self.state.is_resting()
            && self.due_at.is_none() == end
            && self.ended_at.is_some() == end
            && (!offered || self.offered_to.is_some())
            && (!taken || (self.assignee.is_some() && self.offered_to.is_none()))
            && (!looking || (self.assignee.is_none() && self.offered_to.is_none()))
            && self.held_for.is_some() == matches!(self.state, HandoffState::Held)
    }

    /// Who may not be offered it at `now`.
    pub fn barred(&self, now: DateTime<Utc>) -> Vec<Barred> {
        let tried = self.tried.iter().map(|tried| Barred { user: tried.user, until: None });
        let cooling = self.cool_downs.iter().filter(|cool| cool.until > now);
        tried.chain(cooling.map(|cool| Barred { user: cool.user, until: Some(cool.until) })).collect()
    }

    /// What the lead is told; none where the lead's next step is decided elsewhere (after a review).
    pub fn step(&self) -> Option<HandoffStep> {
        use HandoffState as S;
        let reason = || self.reason.map_or_else(String::new, |reason| reason.to_string());
        match self.state {
            S::Pending | S::Held | S::Offered | S::Escalated => Some(HandoffStep::Dispatched { due: self.due_at? }),
            S::Accepted => Some(HandoffStep::Accepted { by: self.assignee?, due: self.due_at? }),
            S::Working => Some(HandoffStep::Working { by: self.assignee?, due: self.due_at? }),
            S::ReturnReview => Some(HandoffStep::Returned { reason: reason(), due: self.due_at? }),
            S::Converted => Some(HandoffStep::Won { by: self.assignee? }),
            S::Lost => Some(HandoffStep::Lost { by: self.assignee?, reason: reason() }),
            _ => None,
        }
    }

    /// A fact about the arrow from the present state to `to`.
    pub(super) fn fact(&self, kind: &'static str, to: HandoffState) -> Fact {
        let fact = Fact::ledger(kind, self.id).lead(self.lead).account(self.account);
        fact.moved(self.state, to).with("opportunity", self.opportunity).with("attempt", self.attempt)
    }

    /// Passes through a state in which nothing rests, recording the arrow.
    pub(super) fn pass(&mut self, facts: &mut Vec<Fact>, fact: Fact, through: HandoffState) {
        facts.push(fact);
        self.state = through;
    }

    /// Comes to rest in `state` until `due` (an end has none).
    pub(super) fn rest(
        mut self,
        mut facts: Vec<Fact>,
        last: Fact,
        state: HandoffState,
        due: Option<DateTime<Utc>>,
    ) -> Decision<Self> {
        facts.push(last.with("due", due));
        self.state = state;
        self.due(facts, due)
    }

    /// Stays where it is until `due`: nothing happened that the ledger should hold.
    pub(super) fn wait_on(self, due: DateTime<Utc>) -> Decision<Self> {
        self.due(Vec::new(), Some(due))
    }

    /// The one place where a due time and its timer are set.
    fn due(mut self, facts: Vec<Fact>, due: Option<DateTime<Utc>>) -> Decision<Self> {
        self.due_at = due;
        self.revision = self.revision.saturating_add(1);
        let jobs = due.and_then(|due| Some(Planned::new(self.timer()?, due))).into_iter().collect();
        Decision { next: self, facts, jobs }
    }

    /// Comes to an end.
    pub(super) fn end(
        mut self,
        facts: Vec<Fact>,
        last: Fact,
        state: HandoffState,
        now: DateTime<Utc>,
    ) -> Decision<Self> {
        self.ended_at = Some(now);
        self.offered_to = None;
        self.rest(facts, last, state, None)
    }

    fn timer(&self) -> Option<Job> {
        use HandoffState as S;
        let (handoff, attempt, revision) = (self.id, self.attempt, self.revision);
        match self.state {
            S::Pending | S::Held => Some(Job::MatchHandoff { handoff, attempt }),
            S::Offered => Some(Job::ExpireOffer { handoff, attempt }),
            S::Escalated | S::Accepted | S::Working | S::ReturnReview => {
                Some(Job::CheckHandoffSla { handoff, revision })
            }
            _ => None,
        }
    }
}
