//! The return and its review.

use super::definitions::find_pool;
use super::opening::BY_HAND;
use super::{HandoffMoved, Scene, follow, join, with_opportunity};
use crate::{AppError, Call, Command, Env, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tandem_domain::decision::Decision;
use tandem_domain::handoff::{self, Handoff, NewHandoff, Reason, ReviewVerdict};
use tandem_domain::id::{HandoffId, PoolId};
use tandem_domain::lead;
use tandem_domain::opportunity;
use tandem_domain::verification::{self, Cause};
use tandem_store::Tx;

/// Gives an opportunity back. A manager reviews it.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffReturn {
    /// The handoff.
    pub handoff: HandoffId,
    /// Why.
    pub reason: Reason,
    /// More about it.
    pub note: Option<String>,
}

impl Command for HandoffReturn {
    const NAME: &'static str = "handoffReturn";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        let scene = Scene::load(tx, self.handoff).await?;
        let (terms, note) = (scene.terms(), self.note.clone());
        let decision = handoff::give_back(scene.handoff.clone(), by, self.reason, note, terms, now)?;
        follow(decision.map(HandoffMoved::new), scene.lead, now)
    }
}

/// A manager says what becomes of a return.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffReviewReturn {
    /// The handoff.
    pub handoff: HandoffId,
    /// What becomes of it.
    pub verdict: ReviewVerdict,
    /// More about it.
    pub note: Option<String>,
    /// For a re-route: the pool in which somebody else is looked for; none means the same.
    pub pool: Option<PoolId>,
    /// For nurture: when the lead comes back; none means as long as other recycled leads.
    pub until: Option<DateTime<Utc>>,
}

impl Command for HandoffReviewReturn {
    const NAME: &'static str = "handoffReviewReturn";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let (now, by) = (call.now(env), call.actor.person()?);
        // An item is locked before its lead.
        let seen: Handoff =
            tx.get(self.handoff).await?.ok_or(AppError::NotFound { what: "Handoff", id: self.handoff.into() })?;
        let item = match self.verdict {
            ReviewVerdict::ToSdr => tx.verification_of(seen.lead).await?,
            _ => None,
        };
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::review(scene.handoff.clone(), self.verdict, by, self.note.clone(), scene.terms(), now)?;
        let decision = decision.map(|(handoff, pool)| HandoffMoved { pool, ..HandoffMoved::new(handoff) });
        let reason = scene.handoff.reason.map_or("RETURNED", Reason::as_str);
        match self.verdict {
            ReviewVerdict::Refuse => return follow(decision, scene.lead, now),
            ReviewVerdict::ReRoute => {
                let route = if self.pool.is_some() { BY_HAND } else { scene.handoff.route.as_str() }.to_owned();
                let pool = find_pool(tx, self.pool.unwrap_or(scene.handoff.pool)).await?;
                let Handoff { opportunity, lead, account, .. } = scene.handoff;
                let new = NewHandoff { id: env.id(now), opportunity, lead, account, by, route };
                let next = handoff::dispatch(new, &pool, Some(&decision.next.handoff), now);
                let routed = opportunity::re_route(scene.opportunity, next.next.id)?;
                let decision = join(decision, next, |moved, next| HandoffMoved { next: Some(next), ..moved });
                return follow(with_opportunity(decision, routed), scene.lead, now);
            }
            ReviewVerdict::ToSdr | ReviewVerdict::ToNurture | ReviewVerdict::Close => {}
        }
        let decision = with_opportunity(decision, opportunity::close(scene.opportunity, reason, now)?);
        let (lead, policy) = (scene.lead, &env.queue.policy);
        // A lead that was ended meanwhile stays ended; the return is still on record.
        if !lead.stage.is_with_sales() {
            return Ok(decision);
        }
        Ok(match self.verdict {
            ReviewVerdict::ToSdr => {
                let cause = Cause::ReturnedBySales;
                let queued = verification::enqueue(lead, item, env.id(now), cause, Some(reason), policy, now)?;
                join(decision, queued, |moved, (item, lead)| HandoffMoved {
                    item: Some(item),
                    lead: Some(lead),
                    ..moved
                })
            }
            ReviewVerdict::ToNurture => {
                let until = self.until.unwrap_or_else(|| policy.patience.recycle(now));
                let recycled = lead::recycle(lead, reason, until, now)?;
                join(decision, recycled, |moved, lead| HandoffMoved { lead: Some(lead), ..moved })
            }
            _ => {
                let closed = lead::close(lead, reason, now)?;
                join(decision, closed, |moved, lead| HandoffMoved { lead: Some(lead), ..moved })
            }
        })
    }
}
