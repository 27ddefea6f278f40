//! The dispatch: a verified lead becomes an opportunity, and a handoff looks for somebody in sales.

use super::definitions::find_pool;
use super::{HandoffMoved, join};
use crate::{AppError, Call, Command, Env, Result};
use serde::Serialize;
use serde_json::json;
use tandem_domain::access::Role;
use tandem_domain::account::Account;
use tandem_domain::decision::Decision;
use tandem_domain::handoff::{self, NewHandoff};
use tandem_domain::id::{LeadId, OpportunityId, PoolId};
use tandem_domain::lead::{self, Lead, Stage};
use tandem_domain::opportunity::{self, Money, NewOpportunity};
use tandem_domain::routing::Route;
use tandem_store::Tx;

/// Dispatches a verified lead: by the SDR who verified it, or by somebody who may dispatch any.
#[derive(Debug, Clone, Serialize)]
pub struct OpportunityDispatch {
    /// The lead, which must be VERIFIED.
    pub lead: LeadId,
    /// What the opportunity is called; none names it after the company, or the lead's source.
    pub name: Option<String>,
    /// What it is worth, where that is known.
    pub amount: Option<Money>,
    /// A pool chosen by hand in place of the routing table; not by an SDR.
    pub pool: Option<PoolId>,
}

/// The version of the rule of a pool that was chosen by hand.
pub(super) const BY_HAND: &str = "routing:by-hand";

impl Command for OpportunityDispatch {
    const NAME: &'static str = "opportunityDispatch";
    type Output = HandoffMoved;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<HandoffMoved>> {
        let now = call.now(env);
        let by = call.actor.person()?;
        let lead: Lead = tx.get(self.lead).await?.ok_or(AppError::NotFound { what: "Lead", id: self.lead.into() })?;
        if lead.stage != Stage::Verified {
            return Err(lead::Refusal::NotAllowed { from: lead.stage, to: Stage::Dispatched }.into());
        }
        if call.actor.role == Some(Role::Sdr) {
            if lead.owner.user() != Some(by) {
                let message = "another SDR verified this lead and dispatches it; claim a lead of your own";
                return Err(AppError::refused("OPPORTUNITY_LEAD_NOT_YOURS", message, Some("leadId")));
            }
            if self.pool.is_some() {
                return Err(AppError::Forbidden {
                    needed: "SALES_MANAGER, SALES_OPS, ADMIN to choose the pool".to_owned(),
                });
            }
        }
        let account: Option<Account> = match lead.account {
            Some(account) => tx.peek(account).await?,
            None => None,
        };
        let name = self.name.clone().unwrap_or_else(|| match &account {
            Some(account) => account.name.clone(),
            None => format!("Opportunity from {}", lead.source),
        });
        let (id, handoff_id) = (env.id::<OpportunityId>(now), env.id(now));
        let opened = opportunity::open(
            NewOpportunity {
                id,
                lead: lead.id,
                account: lead.account,
                contact: lead.contact,
                name,
                amount: self.amount.clone(),
                by,
                handoff: handoff_id,
            },
            now,
        )?;
        let route = match self.pool {
            Some(pool) => Route { pool, rule: BY_HAND.to_owned(), failed: [].into() },
            None => {
                let table = tx.routing_table().await?.ok_or_else(|| {
                    let message =
                        "there is no routing table yet; sales ops must save one before anything is dispatched";
                    AppError::refused("ROUTING_TABLE_MISSING", message, None)
                })?;
                // An unknown company has no fields: a condition on one does not hold.
                let account = account.as_ref().map_or_else(|| json!({}), |account| json!(account));
                table.route(&json!({ "opportunity": opened.next, "lead": lead, "account": account }))
            }
        };
        let pool = find_pool(tx, route.pool).await?;
        let earlier = tx.last_handoff_of(lead.id).await?;
        let new =
            NewHandoff { id: handoff_id, opportunity: id, lead: lead.id, account: lead.account, by, route: route.rule };
        let mut begun = handoff::dispatch(new, &pool, earlier.as_ref(), now);
        if let Some(fact) = begun.facts.first_mut().filter(|_| !route.failed.is_empty()) {
            fact.detail.insert("rules_failed".to_owned(), json!(route.failed));
        }
        let step = begun.next.step();
        let both = join(opened, begun, |opportunity, handoff| HandoffMoved {
            opportunity: Some(opportunity),
            ..HandoffMoved::new(handoff)
        });
        let Some(step) = step else { return Ok(both) };
        let lead = lead::follow_handoff(lead, &step, now)?;
        Ok(join(both, lead, |moved, lead| HandoffMoved { lead: Some(lead), ..moved }))
    }
}
