//! Commands on target-account lists.
//!
//! Each locks the list first, so that commands on one list take turns and its versions have no gaps.

use crate::{App, AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use tandem_domain::access::Role;
use tandem_domain::account::Account;
use tandem_domain::decision::Decision;
use tandem_domain::id::{AccountId, ChangeRequestId, ListId, MembershipId};
use tandem_domain::target_list::{
    self, ChangeKind, ChangeReason, ChangeRequest, Edit, Emergency, Evidence, ListMembership, MOST_AT_ONCE, Outcome,
    Party, Proposal, REQUEST_DAYS, Refusal, Review, SUSPENSION_HOURS, TargetAccountList,
};
use tandem_domain::taxonomy::Taxonomy;
use tandem_store::Tx;

/// Whoever acts, as the domain sees a holder of a key.
fn party(call: &Call) -> Result<Party> {
    // Machines propose, and turn no key: two people agree on a list.
    let side = call.actor.side.filter(|_| call.actor.role != Some(Role::Integration));
    Ok(Party { user: call.actor.person()?, side })
}

async fn list(tx: &Tx, id: ListId) -> Result<TargetAccountList> {
    tx.get(id).await?.ok_or(AppError::NotFound { what: "TargetAccountList", id: id.into() })
}

/// Locks the list of a membership, then the membership.
async fn listed(tx: &Tx, id: MembershipId) -> Result<(TargetAccountList, ListMembership)> {
    let missing = || AppError::NotFound { what: "ListMembership", id: id.into() };
    let seen: ListMembership = tx.peek(id).await?.ok_or_else(missing)?;
    let list = list(tx, seen.list).await?;
    Ok((list, tx.get(id).await?.ok_or_else(missing)?))
}

/// Locks the list of a request, then the request and its membership.
async fn review(tx: &Tx, id: ChangeRequestId, seen: u32) -> Result<(TargetAccountList, Review)> {
    let (list, mut reviews) = reviews(tx, &[Seen { request: id, revision: seen }]).await?;
    let review = reviews.pop().ok_or(AppError::NotFound { what: "ChangeRequest", id: id.into() })?;
    Ok((list, review))
}

/// Locks the list of the first request, then all the requests and their memberships.
async fn reviews(tx: &Tx, seen: &[Seen]) -> Result<(TargetAccountList, Vec<Review>)> {
    let first = seen.first().ok_or(Refusal::Empty)?.request;
    let missing = |id: ChangeRequestId| AppError::NotFound { what: "ChangeRequest", id: id.into() };
    let request: ChangeRequest = tx.peek(first).await?.ok_or_else(|| missing(first))?;
    let list = list(tx, request.list).await?;
    let ids = seen.iter().map(|seen| seen.request.into());
    let requests: HashMap<_, _> =
        tx.get_many::<ChangeRequest>(ids).await?.into_iter().map(|request| (request.id, request)).collect();
    let members: Vec<_> = requests.values().map(|request| request.membership.into()).collect();
    let members: HashMap<_, _> =
        tx.get_many::<ListMembership>(members).await?.into_iter().map(|member| (member.id, member)).collect();
    let mut reviews = Vec::with_capacity(seen.len());
    for seen in seen {
        let request = requests.get(&seen.request).ok_or_else(|| missing(seen.request))?.clone();
        let id = request.membership;
        let membership = members.get(&id).ok_or(AppError::NotFound { what: "ListMembership", id: id.into() })?.clone();
        reviews.push(Review { request, membership, seen: seen.revision });
    }
    Ok((list, reviews))
}

/// Refuses unless each of these accounts is there.
async fn check_accounts(tx: &Tx, ids: &[AccountId]) -> Result<()> {
    // Beyond the limit the domain refuses, and nothing needs to be read for it.
    let ids = ids.get(..MOST_AT_ONCE).unwrap_or(ids);
    let found: HashSet<AccountId> =
        tx.peek_many::<Account>(ids.iter().map(|id| (*id).into())).await?.into_iter().map(|found| found.id).collect();
    match ids.iter().find(|id| !found.contains(id)) {
        Some(missing) => Err(AppError::NotFound { what: "Account", id: (*missing).into() }),
        None => Ok(()),
    }
}

/// The codes that the tiers, as somebody wrote them, stand for. `field` gives the path of the one at a place.
async fn tier_codes(
    tx: &Tx,
    written: Vec<Option<&str>>,
    field: impl Fn(usize) -> String,
) -> Result<Vec<Option<String>>> {
    let said = |text: &str| !text.trim().is_empty();
    if !written.iter().flatten().any(|text| said(text)) {
        return Ok(vec![None; written.len()]);
    }
    let taxonomies = tx.taxonomies().await?;
    let code = |(place, text): (usize, Option<&str>)| match text.filter(|text| said(text)) {
        None => Ok(None),
        Some(text) => match taxonomies.resolve(Taxonomy::Tier, text) {
            Ok(code) => Ok(Some(code.to_owned())),
            Err(unknown) => Err(AppError::refused(unknown.code(), unknown.to_string(), Some(&field(place)))),
        },
    };
    written.into_iter().enumerate().map(code).collect()
}

/// The refusal of a command over many, with the place of the one that it is about in its field's path.
fn at_place(list: &str, place: Option<usize>, refusal: Refusal) -> AppError {
    let (code, message) = (refusal.code(), refusal.to_string());
    let path = match (place, refusal.field()) {
        (Some(place), Some(field)) => Some(format!("{list}.{place}.{field}")),
        (Some(place), None) => Some(format!("{list}.{place}")),
        (None, field) => field.map(str::to_owned),
    };
    AppError::refused(code, message, path.as_deref())
}

/// Makes a list.
#[derive(Debug, Clone, Serialize)]
pub struct TargetListCreate {
    /// Its short name, unique: lower-case letters, digits, hyphens.
    pub key: String,
    /// The name to show.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Days that a change request stays open; by default 14.
    pub request_days: Option<u32>,
    /// Hours that an emergency suspension lasts at most; by default 72.
    pub suspension_hours: Option<u32>,
}

impl Command for TargetListCreate {
    const NAME: &'static str = "targetListCreate";
    type Output = TargetAccountList;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<TargetAccountList>> {
        let now = call.now(env);
        let list = TargetAccountList {
            id: env.id(now),
            key: self.key.trim().to_owned(),
            name: self.name.trim().to_owned(),
            description: self.description.trim().to_owned(),
            request_days: self.request_days.unwrap_or(REQUEST_DAYS),
            suspension_hours: self.suspension_hours.unwrap_or(SUSPENSION_HOURS),
            version: 0,
            version_at: None,
            created_at: now,
        };
        if tx.list_with_key(&list.key).await?.is_some() {
            return Err(Refusal::KeyTaken { key: list.key }.into());
        }
        Ok(target_list::create(list)?)
    }
}

/// What is proposed for one account.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// The account.
    pub account: AccountId,
    /// What is asked for.
    pub kind: ChangeKind,
    /// The tier, as a code, name or alias of the taxonomy; needed unless it is a removal.
    pub tier: Option<String>,
    /// Why.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
}

/// Proposes changes of a list for one or many accounts, all or none of them.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequestPropose {
    /// The list.
    pub list: ListId,
    /// At most 1,000.
    pub changes: Vec<Change>,
}

impl Command for ChangeRequestPropose {
    const NAME: &'static str = "changeRequestPropose";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let (now, by) = (call.now(env), party(call)?);
        let list = list(tx, self.list).await?;
        let accounts: Vec<_> = self.changes.iter().map(|change| change.account).collect();
        check_accounts(tx, &accounts).await?;
        let tiers = self.changes.iter().map(|change| change.tier.as_deref()).collect();
        let tiers = tier_codes(tx, tiers, |place| format!("changes.{place}.tier")).await?;
        let mut live: HashMap<_, _> =
            tx.live_memberships(list.id, &accounts).await?.into_iter().map(|member| (member.account, member)).collect();
        let mut proposals = Vec::with_capacity(self.changes.len());
        for (change, tier) in self.changes.iter().zip(tiers) {
            proposals.push(Proposal {
                id: env.id(now),
                membership: env.id(now),
                account: change.account,
                kind: change.kind,
                tier,
                reasons: change.reasons.clone(),
                evidence: change.evidence.clone(),
                live: live.remove(&change.account),
            });
        }
        target_list::propose(list, proposals, by, now).map_err(|refusal| {
            let place = |account| self.changes.iter().rposition(|change| change.account == account);
            at_place("changes", refusal.account().and_then(place), refusal)
        })
    }
}

/// Edits an open request, which voids the approvals given so far.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequestEdit {
    /// The request.
    pub request: ChangeRequestId,
    /// The revision that the editor read.
    pub revision: u32,
    /// The tier, as a code, name or alias of the taxonomy; needed unless it is a removal.
    pub tier: Option<String>,
    /// Why.
    pub reasons: Vec<ChangeReason>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
}

impl Command for ChangeRequestEdit {
    const NAME: &'static str = "changeRequestEdit";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let (list, review) = review(tx, self.request, self.revision).await?;
        let edit = Edit { tier: self.tier.clone(), reasons: self.reasons.clone(), evidence: self.evidence.clone() };
        Ok(target_list::edit(list, review, edit, party(call)?, call.now(env))?)
    }
}

/// A request, and the revision of it that the caller read.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Seen {
    /// The request.
    pub request: ChangeRequestId,
    /// The revision.
    pub revision: u32,
}

/// Turns the key of the caller's side for one or many requests of one list, all or none of them.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequestApprove {
    /// At most 1,000.
    pub requests: Vec<Seen>,
}

impl Command for ChangeRequestApprove {
    const NAME: &'static str = "changeRequestApprove";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let now = call.now(env);
        let (list, reviews) = reviews(tx, &self.requests).await?;
        // Requests are decided in their order, so that the first stale one is the one refused as stale.
        let stale = reviews.iter().position(|review| review.request.revision != review.seen);
        target_list::approve(list, reviews, env.id(now), party(call)?, now).map_err(|refusal| {
            let place = |request| self.requests.iter().rposition(|seen| seen.request == request);
            let place = match refusal {
                Refusal::StaleRevision { .. } => stale,
                _ => refusal.request().and_then(place),
            };
            at_place("changeRequests", place, refusal)
        })
    }
}

/// Says no to an open request.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequestReject {
    /// The request.
    pub request: ChangeRequestId,
    /// The revision that the caller read.
    pub revision: u32,
    /// Why, in words; may be empty.
    pub verdict: String,
}

impl Command for ChangeRequestReject {
    const NAME: &'static str = "changeRequestReject";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let (list, review) = review(tx, self.request, self.revision).await?;
        Ok(target_list::reject(list, review, self.verdict.trim().to_owned(), party(call)?, call.now(env))?)
    }
}

/// Takes an open request back.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequestWithdraw {
    /// The request.
    pub request: ChangeRequestId,
    /// The revision that the caller read.
    pub revision: u32,
}

impl Command for ChangeRequestWithdraw {
    const NAME: &'static str = "changeRequestWithdraw";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let (list, review) = review(tx, self.request, self.revision).await?;
        Ok(target_list::withdraw(list, review, party(call)?, call.now(env))?)
    }
}

/// Ends a request that was not decided in time. A timer runs it.
#[derive(Debug, Clone, Serialize)]
pub struct ChangeRequestExpire {
    /// The request.
    pub request: ChangeRequestId,
}

impl Command for ChangeRequestExpire {
    const NAME: &'static str = "changeRequestExpire";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let (list, Review { request, membership, .. }) = review(tx, self.request, 0).await?;
        Ok(target_list::expire(list, request, membership, call.now(env))?)
    }
}

/// Suspends an active account in an emergency.
#[derive(Debug, Clone, Serialize)]
pub struct ListMembershipSuspend {
    /// The membership.
    pub membership: MembershipId,
    /// Why.
    pub reason: ChangeReason,
    /// In words; may be empty.
    pub note: String,
    /// When it shall end by itself; by default as late as the list permits.
    pub until: Option<DateTime<Utc>>,
}

impl Command for ListMembershipSuspend {
    const NAME: &'static str = "listMembershipSuspend";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let now = call.now(env);
        let (list, member) = listed(tx, self.membership).await?;
        let emergency = Emergency { reason: self.reason, note: self.note.trim().to_owned(), until: self.until };
        Ok(target_list::suspend(list, member, emergency, env.id(now), party(call)?, now)?)
    }
}

/// Turns the second key of a suspension, which then stays until both sides end it.
#[derive(Debug, Clone, Serialize)]
pub struct ListMembershipMakePermanent {
    /// The membership.
    pub membership: MembershipId,
    /// The membership's revision that the caller read.
    pub revision: u32,
}

impl Command for ListMembershipMakePermanent {
    const NAME: &'static str = "listMembershipMakePermanent";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let (list, member) = listed(tx, self.membership).await?;
        Ok(target_list::make_permanent(list, member, self.revision, party(call)?, call.now(env))?)
    }
}

/// Ends a suspension: at once where it is temporary, with both keys where it is permanent.
#[derive(Debug, Clone, Serialize)]
pub struct ListMembershipRestore {
    /// The membership.
    pub membership: MembershipId,
    /// The membership's revision that the caller read.
    pub revision: u32,
}

impl Command for ListMembershipRestore {
    const NAME: &'static str = "listMembershipRestore";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let now = call.now(env);
        let (list, member) = listed(tx, self.membership).await?;
        Ok(target_list::restore(list, member, self.revision, env.id(now), party(call)?, now)?)
    }
}

/// Ends an emergency suspension whose time has run out. A timer runs it.
#[derive(Debug, Clone, Serialize)]
pub struct ListSuspensionEnd {
    /// The list.
    pub list: ListId,
    /// The suspended account.
    pub account: AccountId,
    /// The membership's revision that the timer was set for.
    pub revision: u32,
}

impl Command for ListSuspensionEnd {
    const NAME: &'static str = "listSuspensionEnd";
    type Output = Outcome;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Outcome>> {
        let now = call.now(env);
        let list = list(tx, self.list).await?;
        let live = tx.live_memberships(self.list, &[self.account]).await?.pop();
        // The account may have left the list since.
        let member = live.ok_or(Refusal::NotListed { account: self.account })?;
        Ok(target_list::end_suspension(list, member, self.revision, env.id(now), now)?)
    }
}

impl App {
    /// Proposes many accounts for a list at one tier for one reason, and gives the requests in the same order.
    pub async fn propose_accounts(
        &self,
        call: &Call,
        list: ListId,
        accounts: impl IntoIterator<Item = (AccountId, String)>,
        reason: ChangeReason,
    ) -> Result<Vec<ChangeRequest>> {
        let add = |(account, tier)| Change {
            account,
            kind: ChangeKind::Add,
            tier: Some(tier),
            reasons: vec![reason],
            evidence: Vec::new(),
        };
        let changes = accounts.into_iter().map(add).collect();
        Ok(self.run(call, ChangeRequestPropose { list, changes }).await?.requests)
    }

    /// Turns the caller's key for these requests as they are, and gives the list as it is then.
    pub async fn approve_requests(&self, call: &Call, requests: &[ChangeRequest]) -> Result<Outcome> {
        let requests =
            requests.iter().map(|request| Seen { request: request.id, revision: request.revision }).collect();
        self.run(call, ChangeRequestApprove { requests }).await
    }
}
