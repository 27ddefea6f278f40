//! Requests to change a list: proposed by anybody who may, agreed with two keys.

use super::{
    ChangeReason, EntryChange, EntryChangeKind, Keys, ListMembership, MOST_AT_ONCE, MembershipState, Outcome, Party,
    RULE, Refusal, TargetAccountList, next_version,
};
use crate::access::Side;
use crate::codes;
use crate::decision::{Decision, Fact, Job};
use crate::id::{AccountId, ChangeRequestId, ListId, ListVersionId, MembershipId, UserId};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

codes! {
    /// What a request asks for.
    pub enum ChangeKind("change kind") {
        /// Put the account on the list.
        Add = "ADD",
        /// Take it off the list.
        Remove = "REMOVE",
        /// Move it to another tier.
        Retier = "RETIER",
    }
}

codes! {
    /// Where a request stands.
    pub enum RequestState("change request state") {
        /// Nobody's key has been turned.
        Proposed = "PROPOSED",
        /// One side agreed.
        PartiallyApproved = "PARTIALLY_APPROVED",
        /// Both sides agreed, and the list was changed. Final.
        Agreed = "AGREED",
        /// One side said no. Final.
        Rejected = "REJECTED",
        /// The proposer took it back. Final.
        Withdrawn = "WITHDRAWN",
        /// The sides did not agree in time. Final.
        Expired = "EXPIRED",
    }
}

impl RequestState {
    /// Whether it can still be decided.
    pub const fn open(self) -> bool {
        matches!(self, Self::Proposed | Self::PartiallyApproved)
    }
}

/// What speaks for a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// In words; 1 to 2,000 characters.
    pub note: String,
    /// Where to read more; an http or https address.
    pub url: Option<String>,
}

/// A request to change a list for one account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// Its id.
    pub id: ChangeRequestId,
    /// The list.
    pub list: ListId,
    /// The account.
    pub account: AccountId,
    /// The account's membership.
    pub membership: MembershipId,
    /// What is asked for.
    pub kind: ChangeKind,
    /// The code of the tier asked for; none for a removal.
    pub tier: Option<String>,
    /// Why: at least one, each once.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// Who proposed it.
    pub proposer: UserId,
    /// The side it was proposed for; none where the proposer has no side.
    pub side: Option<Side>,
    /// The keys turned for its present revision.
    pub approvals: Keys,
    /// Counts the edits, from 1. An approval names the revision it was given for.
    pub revision: u32,
    /// Where it stands.
    pub state: RequestState,
    /// Why it was rejected, in words; empty otherwise.
    pub verdict: String,
    /// When it ends by itself if it is not decided.
    pub expires_at: DateTime<Utc>,
    /// When it was proposed.
    pub created_at: DateTime<Utc>,
    /// When it was decided.
    pub closed_at: Option<DateTime<Utc>>,
}

/// What is proposed for one account.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The id for the request.
    pub id: ChangeRequestId,
    /// The id for the membership, used where the proposal begins one.
    pub membership: MembershipId,
    /// The account.
    pub account: AccountId,
    /// What is asked for.
    pub kind: ChangeKind,
    /// The code of the tier; needed unless it is a removal.
    pub tier: Option<String>,
    /// Why.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// The account's live membership of the list, if it has one.
    pub live: Option<ListMembership>,
}

/// What an edit puts in the place of what was proposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The code of the tier; needed unless it is a removal.
    pub tier: Option<String>,
    /// Why.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
}

/// A request that is being decided, with its membership and what the caller has seen of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The request.
    pub request: ChangeRequest,
    /// Its membership.
    pub membership: ListMembership,
    /// The revision of the request that the caller read.
    pub seen: u32,
}

impl ChangeRequest {
    /// Refuses what was decided before or has run out: the timer may be late, the moment holds all the same.
    fn check_open(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        if !self.state.open() {
            return Err(Refusal::RequestClosed { request: self.id, state: self.state });
        }
        if self.expires_at <= now {
            return Err(Refusal::RequestExpired { request: self.id, at: self.expires_at });
        }
        Ok(())
    }

    fn check_revision(&self, seen: u32) -> Result<(), Refusal> {
        if seen == self.revision { Ok(()) } else { Err(Refusal::StaleRevision { seen, current: self.revision }) }
    }

    fn fact(&self, kind: &'static str) -> Fact {
        let fact = Fact::ledger(kind, self.id)
            .account(self.account)
            .under(RULE)
            .with("list", self.list)
            .with("change", self.kind)
            .with("tier", &self.tier)
            .with("reasons", &self.reasons)
            .with("revision", self.revision);
        // The record has one reason per entry; the first is the one it is read by.
        match self.reasons.first() {
            Some(reason) => fact.because(reason),
            None => fact,
        }
    }

    fn expiry(&self) -> Job {
        Job::ExpireChangeRequest { request: self.id }
    }
}

/// When a request made or edited at `now` ends by itself. Timers are kept to the millisecond: a finer end would still be
/// ahead when its one timer comes.
fn life(list: &TargetAccountList, now: DateTime<Utc>) -> DateTime<Utc> {
    (now + TimeDelta::days(list.request_days.into())).trunc_subsecs(3)
}

fn check_count(given: usize) -> Result<(), Refusal> {
    match given {
        0 => Err(Refusal::Empty),
        1..=MOST_AT_ONCE => Ok(()),
        _ => Err(Refusal::TooMany { given }),
    }
}

fn check_case(account: AccountId, reasons: &mut Vec<ChangeReason>, evidence: &[Evidence]) -> Result<(), Refusal> {
    if reasons.is_empty() {
        return Err(Refusal::NoReason { account });
    }
    reasons.sort_unstable();
    reasons.dedup();
    let web = |url: &String| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        url.len() <= 2_000 && rest.is_some_and(|rest| !rest.is_empty()) && !url.contains(char::is_whitespace)
    };
    let sound = |item: &Evidence| {
        !item.note.trim().is_empty() && item.note.chars().count() <= 2_000 && item.url.as_ref().is_none_or(web)
    };
    if evidence.len() > 20 || !evidence.iter().all(sound) {
        return Err(Refusal::BadEvidence { account });
    }
    Ok(())
}

fn check_tier(
    kind: ChangeKind,
    account: AccountId,
    tier: Option<String>,
    present: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let tier = tier.filter(|tier| !tier.trim().is_empty());
    match (kind, tier) {
        (ChangeKind::Remove, Some(_)) => Err(Refusal::TierNotWanted { account }),
        (ChangeKind::Remove, None) => Ok(None),
        (_, None) => Err(Refusal::NoTier { account }),
        (ChangeKind::Retier, Some(tier)) if present == Some(tier.as_str()) => Err(Refusal::SameTier { account, tier }),
        (_, tier) => Ok(tier),
    }
}

/// Proposes changes for one or many accounts, all or none of them. Proposing turns the key of the proposer's side,
/// where the proposer has one. Each request ends by itself after the list's `request_days`.
pub fn propose(
    list: TargetAccountList,
    proposals: Vec<Proposal>,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    check_count(proposals.len())?;
    let mut named = HashSet::new();
    if let Some(twice) = proposals.iter().find(|proposal| !named.insert(proposal.account)) {
        return Err(Refusal::AccountTwice { account: twice.account });
    }
    let approvals = match by.side {
        Some(_) => Keys::default().turn(by, now)?,
        None => Keys::default(),
    };
    let expires_at = life(&list, now);
    let (mut requests, mut memberships, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    for mut proposal in proposals {
        check_case(proposal.account, &mut proposal.reasons, &proposal.evidence)?;
        let live = proposal.live.take().filter(|membership| membership.state.live());
        let present = live.as_ref().map(|membership| membership.tier.as_str());
        let tier = check_tier(proposal.kind, proposal.account, proposal.tier.take(), present)?;
        let before = live.as_ref().map(|membership| membership.state);
        let membership = place(&list, &proposal, live, tier.as_deref(), &approvals, now)?;
        let request = ChangeRequest {
            id: proposal.id,
            list: list.id,
            account: proposal.account,
            membership: membership.id,
            kind: proposal.kind,
            tier,
            reasons: proposal.reasons,
            evidence: proposal.evidence,
            proposer: by.user,
            side: by.side,
            approvals,
            revision: 1,
            state: if approvals.none() { RequestState::Proposed } else { RequestState::PartiallyApproved },
            verdict: String::new(),
            expires_at,
            created_at: now,
            closed_at: None,
        };
        let fact = request
            .fact("list.change_proposed")
            .moved(before.map_or("NONE", MembershipState::as_str), membership.state)
            .with("evidence", request.evidence.len())
            .with("expires_at", expires_at);
        facts.push(fact);
        requests.push(request);
        memberships.push(membership);
    }
    let expiries: Vec<_> = requests.iter().map(ChangeRequest::expiry).collect();
    decided(Outcome { list, requests, memberships, version: None }, facts, by.side)
        .map(|decision| expiries.into_iter().fold(decision, |decision, job| decision.plan(job, expires_at)))
}

/// Gives the membership that a proposal begins or concerns, with the request open on it.
fn place(
    list: &TargetAccountList,
    proposal: &Proposal,
    live: Option<ListMembership>,
    tier: Option<&str>,
    approvals: &Keys,
    now: DateTime<Utc>,
) -> Result<ListMembership, Refusal> {
    let (account, request) = (proposal.account, Some(proposal.id));
    if let Some(open) = live.as_ref().and_then(|membership| membership.request) {
        return Err(Refusal::RequestOpen { account, request: open });
    }
    match (proposal.kind, live) {
        (ChangeKind::Add, None) => Ok(ListMembership {
            id: proposal.membership,
            list: list.id,
            account,
            tier: tier.unwrap_or_default().to_owned(),
            state: if approvals.none() { MembershipState::Proposed } else { MembershipState::PartiallyApproved },
            revision: 1,
            keys: Keys::default(),
            suspension: None,
            request,
            active_since: None,
            created_at: now,
        }),
        (ChangeKind::Add, Some(membership)) => Err(Refusal::AlreadyListed { account, state: membership.state }),
        (ChangeKind::Remove | ChangeKind::Retier, None) => Err(Refusal::NotListed { account }),
        (kind, Some(membership)) => match (kind, membership.state) {
            (_, MembershipState::Suspended) => Err(Refusal::Suspended { account }),
            (ChangeKind::Retier, MembershipState::Active) => Ok(ListMembership { request, ..membership }),
            (ChangeKind::Remove, MembershipState::Active) => {
                let (state, revision) = (MembershipState::RemovalProposed, membership.revision + 1);
                Ok(ListMembership { state, revision, request, ..membership })
            }
            (_, state) => Err(Refusal::NotActive { account, state }),
        },
    }
}

fn decided(next: Outcome, facts: Vec<Fact>, side: Option<Side>) -> Result<Decision<Outcome>, Refusal> {
    let mut facts = facts.into_iter().map(|fact| fact.with("side", side));
    let first = facts.next().ok_or(Refusal::Empty)?;
    Ok(facts.fold(Decision::new(next, first), Decision::record))
}

/// Edits an open request. Every key turned for it is void, the editor's own included: what is agreed is what both
/// sides read. It stays open for a full life again.
pub fn edit(
    list: TargetAccountList,
    review: Review,
    edit: Edit,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    let Review { mut request, mut membership, seen } = review;
    let Edit { tier, mut reasons, evidence } = edit;
    request.check_open(now)?;
    request.check_revision(seen)?;
    check_case(request.account, &mut reasons, &evidence)?;
    let tier = check_tier(request.kind, request.account, tier, Some(&membership.tier))?;
    let before = request.state;
    let void = request.approvals;
    request = ChangeRequest {
        tier,
        reasons,
        evidence,
        approvals: Keys::default(),
        revision: request.revision + 1,
        state: RequestState::Proposed,
        expires_at: life(&list, now),
        ..request
    };
    if request.kind == ChangeKind::Add {
        membership.tier = request.tier.clone().unwrap_or_default();
        membership.state = MembershipState::Proposed;
        membership.revision += 1;
    }
    let fact = request
        .fact("list.change_edited")
        .moved(before, request.state)
        .with("voided", void)
        .with("expires_at", request.expires_at);
    let (job, due) = (request.expiry(), request.expires_at);
    let next = Outcome { list, requests: vec![request], memberships: vec![membership], version: None };
    Ok(decided(next, vec![fact], by.side)?.plan(job, due))
}

/// Turns the key of `by`'s side for one or many requests of `list`, all or none of them. Those that have both keys
/// then change the list, together, in one version with the id `version`.
pub fn approve(
    mut list: TargetAccountList,
    reviews: Vec<Review>,
    version: ListVersionId,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    check_count(reviews.len())?;
    let mut named = HashSet::new();
    if let Some(twice) = reviews.iter().find(|review| !named.insert(review.request.id)) {
        return Err(Refusal::RequestTwice { request: twice.request.id });
    }
    let (mut requests, mut memberships) = (Vec::new(), Vec::new());
    let (mut facts, mut changes) = (Vec::new(), Vec::new());
    for review in reviews {
        if review.request.list != list.id {
            return Err(Refusal::OtherList { request: review.request.id });
        }
        let (request, membership, fact, change) = turn_key(review, by, now)?;
        facts.push(fact);
        changes.extend(change);
        requests.push(request);
        memberships.push(membership);
    }
    let (version, made) = next_version(&mut list, version, Some(by), changes, now).unzip();
    facts.extend(made);
    decided(Outcome { list, requests, memberships, version }, facts, by.side)
}

fn turn_key(
    review: Review,
    by: Party,
    now: DateTime<Utc>,
) -> Result<(ChangeRequest, ListMembership, Fact, Option<EntryChange>), Refusal> {
    let Review { mut request, mut membership, seen } = review;
    let side = by.key()?;
    request.check_open(now)?;
    request.check_revision(seen)?;
    if membership.state == MembershipState::Suspended {
        return Err(Refusal::Suspended { account: membership.account });
    }
    // A proposer who changed sides in the meantime would otherwise be both of the people.
    if let Some(side) = request.side.filter(|own| by.user == request.proposer && *own != side) {
        return Err(Refusal::ProposerOtherSide { side });
    }
    let (before, stood) = (request.state, membership.state);
    request.approvals = request.approvals.turn(by, now)?;
    let mut change = None;
    if request.approvals.agreed() {
        request.state = RequestState::Agreed;
        request.closed_at = Some(now);
        membership.request = None;
        membership.revision += 1;
        let kind = match request.kind {
            ChangeKind::Add => {
                membership.state = MembershipState::Active;
                membership.active_since = Some(now);
                EntryChangeKind::Added
            }
            ChangeKind::Retier => EntryChangeKind::Retiered,
            ChangeKind::Remove => {
                membership.state = MembershipState::Removed;
                EntryChangeKind::Removed
            }
        };
        if let Some(tier) = &request.tier {
            membership.tier.clone_from(tier);
            membership.keys = request.approvals;
        }
        change = Some(membership.change(kind, Some(request.id)));
    } else {
        request.state = RequestState::PartiallyApproved;
        if request.kind == ChangeKind::Add {
            membership.state = MembershipState::PartiallyApproved;
            membership.revision += 1;
        }
    }
    let fact = request.fact("list.change_approved").moved(before, request.state);
    let fact = if stood == membership.state { fact } else { fact.with("membership", (stood, membership.state)) };
    Ok((request, membership, fact, change))
}

/// Says no to an open request: one key is enough, and the reasons are given in words.
pub fn reject(
    list: TargetAccountList,
    review: Review,
    verdict: String,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    by.key()?;
    review.request.check_open(now)?;
    review.request.check_revision(review.seen)?;
    if review.request.proposer == by.user {
        return Err(Refusal::OwnRequest);
    }
    if verdict.chars().count() > 2_000 {
        return Err(Refusal::TooLong { field: "verdict" });
    }
    let (mut next, fact) = closed(list, review, RequestState::Rejected, "list.change_rejected", now);
    let fact = fact.with("verdict", &verdict);
    for request in &mut next.requests {
        request.verdict.clone_from(&verdict);
    }
    decided(next, vec![fact], by.side)
}

/// Takes an open request back: the proposer, or a colleague of the side it was proposed for.
pub fn withdraw(
    list: TargetAccountList,
    review: Review,
    by: Party,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    review.request.check_open(now)?;
    review.request.check_revision(review.seen)?;
    let colleague = by.side.is_some() && by.side == review.request.side;
    if by.user != review.request.proposer && !colleague {
        return Err(Refusal::NotProposer);
    }
    let (next, fact) = closed(list, review, RequestState::Withdrawn, "list.change_withdrawn", now);
    decided(next, vec![fact], by.side)
}

/// Ends a request that was not decided in time.
pub fn expire(
    list: TargetAccountList,
    request: ChangeRequest,
    membership: ListMembership,
    now: DateTime<Utc>,
) -> Result<Decision<Outcome>, Refusal> {
    if !request.state.open() {
        return Err(Refusal::RequestClosed { request: request.id, state: request.state });
    }
    // An edit gives a full life again; the timer of the first one then comes too early.
    if request.expires_at > now {
        return Err(Refusal::NotDue { at: request.expires_at });
    }
    let seen = request.revision;
    let review = Review { request, membership, seen };
    let (next, fact) = closed(list, review, RequestState::Expired, "list.change_expired", now);
    decided(next, vec![fact], None)
}

/// Closes a request without a change of the list. A candidate's membership ends with it; an account whose removal was
/// asked for is active again; a suspension stays what it is.
fn closed(
    list: TargetAccountList,
    review: Review,
    state: RequestState,
    kind: &'static str,
    now: DateTime<Utc>,
) -> (Outcome, Fact) {
    let Review { mut request, mut membership, .. } = review;
    let (before, stood) = (request.state, membership.state);
    membership.request = None;
    membership.state = match (stood, state) {
        (MembershipState::Proposed | MembershipState::PartiallyApproved, RequestState::Rejected) => {
            MembershipState::Rejected
        }
        (MembershipState::Proposed | MembershipState::PartiallyApproved, RequestState::Withdrawn) => {
            MembershipState::Withdrawn
        }
        (MembershipState::Proposed | MembershipState::PartiallyApproved, _) => MembershipState::Expired,
        (MembershipState::RemovalProposed, _) => MembershipState::Active,
        (stays, _) => stays,
    };
    if membership.state != stood {
        membership.revision += 1;
    }
    (request.state, request.closed_at) = (state, Some(now));
    let fact = request.fact(kind).moved(before, state);
    let fact = if stood == membership.state { fact } else { fact.with("membership", (stood, membership.state)) };
    (Outcome { list, requests: vec![request], memberships: vec![membership], version: None }, fact)
}
