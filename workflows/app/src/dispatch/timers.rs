//! What the timers of a handoff do. A timer whose moment has passed answers with [`TIMER_STALE`] and changes nothing.

use super::{HandoffMoved, Scene, follow};
use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use tandem_domain::decision::Decision;
use tandem_domain::handoff::{self, Handoff, Terms};
use tandem_domain::id::{HandoffId, UserId};
use tandem_domain::lead::Lead;
use tandem_domain::routing::{Choice, Field, Pool, Standing, Verdict, choose};
use tandem_store::Tx;

/// The code of the refusal of a timer that has nothing left to do.
pub const TIMER_STALE: &str = "HANDOFF_TIMER_STALE";

fn stale() -> AppError {
    AppError::refused(TIMER_STALE, "the handoff has moved on since this timer was set", None)
}

/// Looks for somebody in the pool: an offer, a wait, or an escalation.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffMatch {
    /// The handoff.
    pub handoff: HandoffId,
    /// The attempt it was planned for.
    pub attempt: u32,
}

impl Command for HandoffMatch {
    const NAME: &'static str = "handoffMatch";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let now = call.now(env);
        let missing = |what, id| move || AppError::NotFound { what, id };
        let handoff: Handoff = tx.get(self.handoff).await?.ok_or_else(missing("Handoff", self.handoff.into()))?;
        if !handoff.is_looking(self.attempt, now) {
            return Err(stale());
        }
        let lead: Lead = tx.get(handoff.lead).await?.ok_or_else(missing("Lead", handoff.lead.into()))?;
        // The pool is locked: two choices at once would play the same turn.
        let pool: Pool = tx.get(handoff.pool).await?.ok_or_else(missing("Pool", handoff.pool.into()))?;
        let calendars = tx.calendars(pool.calendars()).await?;
        let members: Vec<UserId> = pool.members.iter().map(|member| member.user).collect();
        let standings: BTreeMap<UserId, Standing> = tx
            .open_opportunities_of(&members)
            .await?
            .into_iter()
            .map(|(user, open)| (user.id, Standing { active: user.active, open }))
            .collect();
        let field = Field {
            receipt: env.id(now),
            handoff: handoff.id,
            attempt: handoff.attempt,
            barred: &handoff.barred(now),
            standings: &standings,
            calendars: &calendars,
        };
        let Choice { receipt, pool: after } = choose(&pool, &field, now);
        let terms = Terms { pool: &pool, calendars: &calendars };
        let decision = handoff::matched(handoff, &receipt, terms, now)?.ok_or_else(stale)?;
        let played = matches!(receipt.verdict, Verdict::Chosen { .. });
        // A wait that goes on decided nothing new, hour after hour.
        let decided = !decision.facts.is_empty();
        let decision = decision.map(|handoff| HandoffMoved {
            pool: played.then_some(after),
            receipt: decided.then_some(receipt),
            ..HandoffMoved::new(handoff)
        });
        follow(decision, lead, now)
    }
}

/// Takes back an offer that nobody answered in time.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffExpireOffer {
    /// The handoff.
    pub handoff: HandoffId,
    /// The attempt whose offer runs out.
    pub attempt: u32,
}

impl Command for HandoffExpireOffer {
    const NAME: &'static str = "handoffExpireOffer";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let now = call.now(env);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::expire(scene.handoff.clone(), self.attempt, scene.terms(), now)?.ok_or_else(stale)?;
        follow(decision.map(HandoffMoved::new), scene.lead, now)
    }
}

/// Takes back what was accepted and not worked on in time, or records that an escalation or a review is overdue.
#[derive(Debug, Clone, Serialize)]
pub struct HandoffCheckSla {
    /// The handoff.
    pub handoff: HandoffId,
    /// The revision whose clock runs out.
    pub revision: u32,
}

impl Command for HandoffCheckSla {
    const NAME: &'static str = "handoffCheckSla";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let now = call.now(env);
        let scene = Scene::load(tx, self.handoff).await?;
        let decision = handoff::check_sla(scene.handoff.clone(), self.revision, scene.terms(), now)?;
        follow(decision.ok_or_else(stale)?.map(HandoffMoved::new), scene.lead, now)
    }
}
