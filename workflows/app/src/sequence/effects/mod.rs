//! What the steps of an enrolment do, by concept. Each effect is a part of the commit that moves its enrolment on, so that
//! (enrolment, step, visit) happens once or not at all.
//!
//! What stands in the way of an effect ends the run as FAILED, or, where nothing about the person depends on it, is put on
//! the record of the step under `came_of`, and the run goes on.

mod handover;
mod listing;
mod messages;
mod outside;
mod records;
mod refusal;
mod runs;

pub use refusal::Refusal;

pub(crate) use listing::may_propose;

use super::subject::Subject;
use crate::{AppError, Call, Env, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tandem_domain::account::Account;
use tandem_domain::contact::Contact;
use tandem_domain::decision::Decision;
use tandem_domain::email::Email;
use tandem_domain::id::{LeadId, TeamId};
use tandem_domain::lead::Lead;
use tandem_domain::outbound::OutboundCall;
use tandem_domain::sequence::window::Hours;
use tandem_domain::sequence::{Effect, Enrollment, SequenceVersion};
use tandem_domain::target_list;
use tandem_domain::work_item::WorkItem;
use tandem_store::{Result as StoreResult, Save, Tx};

/// What came of a step's effect, or of the end of a run, beside the enrolment itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// The leads that were made or changed.
    pub leads: Vec<Lead>,
    /// The contact that changed.
    pub contact: Option<Contact>,
    /// The account that changed.
    pub account: Option<Account>,
    /// The e-mail that was planned.
    pub email: Option<Email>,
    /// The work items that were made or changed.
    pub items: Vec<WorkItem>,
    /// The proposal for a target list.
    pub proposal: Option<target_list::Outcome>,
    /// Other enrolments that began or ended.
    pub runs: Vec<Enrollment>,
    /// The call of another system that was planned.
    pub call: Option<OutboundCall>,
}

impl Save for Made {
    async fn save(&self, tx: &Tx) -> StoreResult<()> {
        // A work item comes after the lead that it is about.
        self.leads.save(tx).await?;
        self.contact.save(tx).await?;
        self.account.save(tx).await?;
        self.email.save(tx).await?;
        self.items.save(tx).await?;
        self.proposal.save(tx).await?;
        self.runs.save(tx).await?;
        self.call.save(tx).await
    }
}

/// A step that has an effect, and everything it is decided by.
pub(super) struct Acting<'a> {
    pub(super) tx: &'a Tx,
    pub(super) call: &'a Call,
    pub(super) env: &'a Env,
    pub(super) version: &'a SequenceVersion,
    pub(super) subject: &'a Subject,
    /// The enrolment as it is after the step.
    pub(super) run: &'a Enrollment,
    /// The hours that e-mails keep.
    pub(super) hours: Option<Hours>,
    pub(super) now: DateTime<Utc>,
}

/// What came of an effect.
pub(super) struct Acted {
    pub(super) made: Decision<Made>,
    /// What the record of the step says about it.
    came_of: Option<Value>,
    /// The lead that is the run's from now on.
    lead: Option<LeadId>,
}

impl Acted {
    fn of(made: Decision<Made>) -> Self {
        Self { made, came_of: None, lead: None }
    }

    /// Everything was as it should be already.
    fn unchanged() -> Self {
        Self::nothing(json!({ "unchanged": true }))
    }

    /// Nothing happened, and the run goes on.
    fn refused(refusal: &Refusal) -> Self {
        Self::nothing(json!({ "refused": refusal.code(), "message": refusal.to_string() }))
    }

    fn nothing(came_of: Value) -> Self {
        Self::of(Decision::unchanged(Made::default())).saying(came_of)
    }

    fn saying(self, came_of: Value) -> Self {
        Self { came_of: Some(came_of), ..self }
    }

    /// What was decided, or that nothing differs.
    fn changed<T>(decision: Option<Decision<T>>, made: impl FnOnce(T) -> Made) -> Self {
        decision.map_or_else(Self::unchanged, |decision| Self::of(decision.map(made)))
    }

    /// A refusal is put on record and the run goes on; what the world broke is passed on.
    fn going_on(error: AppError) -> Result<Self> {
        match error {
            AppError::Store(_) => Err(error),
            refusal => Ok(Self::nothing(json!({ "refused": refusal.code(), "message": refusal.to_string() }))),
        }
    }

    /// Joins it with the enrolment that goes on after it.
    pub(super) fn with(self, decision: Decision<Enrollment>) -> Decision<(Enrollment, Made)> {
        let Self { made, came_of, lead } = self;
        let mut decision = decision;
        for fact in decision.facts.iter_mut().filter(|fact| fact.kind == "enrollment.advanced") {
            if let Some(came_of) = &came_of {
                fact.detail.insert("came_of".to_owned(), came_of.clone());
            }
            fact.lead = lead.or(fact.lead);
        }
        decision.next.lead = lead.or(decision.next.lead);
        decision.and(made)
    }
}

/// Does what a step asks for. A refusal ends the run.
pub(super) async fn act(acting: &Acting<'_>, effect: &Effect) -> Result<Acted> {
    match effect {
        Effect::SendEmail(planned) => acting.send_email(planned).await,
        Effect::CreateTask(planned) => acting.create_task(planned).await,
        Effect::SetField(planned) => acting.set_field(planned).await,
        Effect::Tag(planned) => acting.tag(planned).await,
        Effect::Consent(planned) => acting.consent(planned),
        Effect::Propose(planned) => acting.propose(planned).await,
        Effect::HandToSdr(planned) => acting.hand_to_sdr(planned).await,
        Effect::StartSequence(planned) => acting.start_sequence(planned).await,
        Effect::StopSequence(planned) => acting.stop_sequence(planned).await,
        Effect::Call(planned) => acting.call_out(planned).await,
    }
}

impl Acting<'_> {
    /// The lead of the run; a step that needs one cannot be taken without.
    fn lead(&self) -> Result<&Lead> {
        self.subject.lead.as_ref().ok_or_else(|| {
            let message = "the enrolment has no lead that the step could change; enrol the lead instead of the contact";
            AppError::refused("ENROLLMENT_LEAD_MISSING", message, None)
        })
    }

    /// The person's company, locked. Many people have none that is known.
    async fn account(&self) -> Result<Option<Account>> {
        match &self.subject.account {
            Some(account) => Ok(self.tx.get(account.id).await?),
            None => Ok(None),
        }
    }

    /// The team of this name; none is asked for where none is named.
    async fn team(&self, name: Option<&str>) -> Result<Option<TeamId>> {
        let Some(name) = name else { return Ok(None) };
        let unknown = || Refusal::TeamUnknown { name: name.to_owned() };
        Ok(Some(self.tx.team_with_name(name).await?.ok_or_else(unknown)?.id))
    }
}
