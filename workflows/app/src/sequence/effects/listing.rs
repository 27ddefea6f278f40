//! A proposal for a target list.

use super::{Acted, Acting, Made, Refusal};
use crate::actor::roles_for;
use crate::target_list::{Change, ChangeRequestPropose};
use crate::{Actor, Command, Result};
use serde_json::json;
use tandem_domain::access::{Role, User};
use tandem_domain::sequence::steps::propose::PlannedProposal;
use tandem_domain::target_list::{ChangeKind, Evidence};

/// Whether somebody may propose changes of lists, and so may be named as who proposes what a sequence does.
pub(crate) fn may_propose(user: &User) -> bool {
    let roles = roles_for(ChangeRequestPropose::NAME);
    user.active && user.roles.iter().any(|role| roles.contains(role))
}

impl Acting<'_> {
    /// Proposes the account. A membership or a request that is there already, and every other refusal, is put on record.
    pub(super) async fn propose(&self, planned: &PlannedProposal) -> Result<Acted> {
        let Some(account) = &self.subject.account else { return Ok(Acted::refused(&Refusal::NoAccount)) };
        let proposer = match (&planned.proposer, self.version.published_by) {
            (Some(email), _) => self.tx.user_with_email(&email.trim().to_lowercase()).await?,
            (None, Some(user)) => self.tx.peek::<User>(user).await?,
            (None, None) => None,
        };
        let Some(proposer) = proposer.filter(may_propose) else {
            return Ok(Acted::refused(&Refusal::NoProposer));
        };
        let Some(list) = self.tx.list_with_key(&planned.list).await? else {
            return Ok(Acted::refused(&Refusal::ListUnknown { key: planned.list.clone() }));
        };
        // A machine that acts in somebody's name turns no key: it stands on no side.
        let call = self.call.by(Actor::user(proposer.id, Role::Integration, None));
        let change = Change {
            account: account.id,
            kind: ChangeKind::Add,
            tier: Some(planned.tier.clone()),
            reasons: planned.reasons.clone(),
            evidence: vec![Evidence { note: planned.note.clone(), url: None }],
        };
        let command = ChangeRequestPropose { list, changes: vec![change] };
        match command.decide(self.tx, &call, self.env).await {
            Ok(mut proposed) => {
                for fact in &mut proposed.facts {
                    *fact = fact.clone().with("enrollment", planned.origin.enrollment).with("proposer", proposer.id);
                }
                let requests: Vec<_> = proposed.next.requests.iter().map(|request| request.id).collect();
                let made = proposed.map(|proposal| Made { proposal: Some(proposal), ..Made::default() });
                Ok(Acted::of(made).saying(json!({ "requests": requests })))
            }
            Err(error) => Acted::going_on(error),
        }
    }
}
