//! What the person in sales and the manager do with a handoff, other than returning it.

use super::{HandoffMoved, Scene, follow, join, with_opportunity};
use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use tandem_domain::access::{self, User};
use tandem_domain::decision::Decision;
use tandem_domain::handoff::{self, Reason};
use tandem_domain::id::{HandoffId, UserId};
use tandem_domain::opportunity::{self, Change, Money};
use tandem_store::Tx;

/// Takes an offer. Only the person it was made to may.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffAccept {
    /// The handoff.
    pub handoff: HandoffId,
}

impl Command for HandoffAccept {
    const NAME: &'static str = "handoffAccept";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::accept(scene.handoff.clone(), by, scene.terms(), now)?.map(HandoffMoved::new);
        let decision = with_opportunity(decision, opportunity::take(scene.opportunity, by)?);
        follow(decision, scene.lead, now)
    }
}

/// Does not take an offer; it goes to the next in the pool.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffReject {
    /// The handoff.
    pub handoff: HandoffId,
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub note: Option<String>,
}

impl Command for HandoffReject {
    const NAME: &'static str = "handoffReject";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let (terms, note) = (scene.terms(), self.note.clone());
        let decision = handoff::reject(scene.handoff.clone(), by, self.reason, note, terms, now)?;
        follow(decision.map(HandoffMoved::new), scene.lead, now)
    }
}

/// Begins to work on what was accepted.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffStart {
    /// The handoff.
    pub handoff: HandoffId,
}

impl Command for HandoffStart {
    const NAME: &'static str = "handoffStart";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::start(scene.handoff.clone(), by, scene.terms(), now)?;
        follow(decision.map(HandoffMoved::new), scene.lead, now)
    }
}

/// Gives a sign of progress, which starts the clock again.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffProgress {
    /// The handoff.
    pub handoff: HandoffId,
    /// What happened.
    pub note: Option<String>,
    /// The stage of the sale, where it changed.
    pub stage: Option<String>,
    /// What it is worth, where that changed.
    pub amount: Option<Money>,
}

impl Command for HandoffProgress {
    const NAME: &'static str = "handoffProgress";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::progress(scene.handoff.clone(), by, self.note.clone(), scene.terms(), now)?;
        let mut decision = decision.map(HandoffMoved::new);
        let change = Change { stage: self.stage.clone(), amount: self.amount.clone() };
        if change != Change::default() {
            decision = with_opportunity(decision, opportunity::change(scene.opportunity, change)?);
        }
        follow(decision, scene.lead, now)
    }
}

/// Records the sale.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffConvert {
    /// The handoff.
    pub handoff: HandoffId,
    /// What it was sold for; none keeps what was said before.
    pub amount: Option<Money>,
}

impl Command for HandoffConvert {
    const NAME: &'static str = "handoffConvert";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::convert(scene.handoff, by, now)?.map(HandoffMoved::new);
        let details = Change { stage: None, amount: self.amount.clone() };
        let decision = with_opportunity(decision, opportunity::win(scene.opportunity, details, now)?);
        follow(decision, scene.lead, now)
    }
}

/// Records that it was worked and not sold.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffLose {
    /// The handoff.
    pub handoff: HandoffId,
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub note: Option<String>,
}

impl Command for HandoffLose {
    const NAME: &'static str = "handoffLose";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::lose(scene.handoff, by, self.reason, self.note.clone(), now)?.map(HandoffMoved::new);
        let lost = opportunity::lose(scene.opportunity, self.reason.as_str(), now)?;
        follow(with_opportunity(decision, lost), scene.lead, now)
    }
}

/// A manager takes it back from whoever has it; it goes to the next in the pool.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffReclaim {
    /// The handoff.
    pub handoff: HandoffId,
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub note: Option<String>,
}

impl Command for HandoffReclaim {
    const NAME: &'static str = "handoffReclaim";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let (terms, note) = (scene.terms(), self.note.clone());
        let decision = handoff::reclaim(scene.handoff.clone(), by, self.reason, note, terms, now)?;
        follow(decision.map(HandoffMoved::new), scene.lead, now)
    }
}

/// A manager gives it to somebody by hand, in the pool or not.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffAssign {
    /// The handoff.
    pub handoff: HandoffId,
    /// To whom.
    pub user: UserId,
}

impl Command for HandoffAssign {
    const NAME: &'static str = "handoffAssign";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let user = tx.peek::<User>(self.user).await?;
        let user = user.ok_or(AppError::NotFound { what: "User", id: self.user.into() })?;
        if !user.active {
            return Err(access::Refusal::UserInactive.into());
        }
        let decision = handoff::assign(scene.handoff.clone(), user.id, by, scene.terms(), now)?;
        let decision = decision.map(|(handoff, pool)| HandoffMoved { pool, ..HandoffMoved::new(handoff) });
        let taken = opportunity::take(scene.opportunity, user.id)?;
        let decision = join(decision, taken, |moved, one| HandoffMoved { opportunity: Some(one), ..moved });
        follow(decision, scene.lead, now)
    }
}
