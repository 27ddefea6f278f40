//! Changes of leads outside their verification.

use super::types::LeadNode;
use crate::context::ContextExt;
use crate::error::{ApiError, named};
use crate::ids::{local, local_opt};
use crate::payload::payload;
use crate::queue::types::DispositionReason;
use async_graphql::{Context, ID, InputObject, Json, Object};
use serde_json::Value;
use std::collections::BTreeMap;
use tandem_app::{
    AppError, LeadChange, LeadClose, LeadDisqualify, LeadGrade, LeadMarkDuplicate, LeadPrioritise, LeadQualify,
    LeadReceive,
};
use tandem_domain::lead;

/// A lead that came in.
#[derive(InputObject)]
pub struct LeadReceiveInput {
    /// The person.
    contact_id: ID,
    /// The company; by default the person's.
    account_id: Option<ID>,
    /// Where it came from, 1 to 80 characters; case and surrounding space do not matter.
    source: String,
    /// The id that the source gave it, unique per source.
    external_id: Option<String>,
    /// Fit by intent, `A1` to `D4`.
    grade: Option<String>,
    /// How urgent it is, 0 to 100; by default 50.
    priority: Option<i32>,
    /// Free labels.
    #[graphql(default)]
    tags: Vec<String>,
    /// Values of custom fields, by key.
    custom: Option<Json<BTreeMap<String, Value>>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A lead to put into the SDR queue.
#[derive(InputObject)]
pub struct LeadQualifyInput {
    /// The lead.
    lead_id: ID,
    /// Its grade, `A1` to `D4`, where it is graded with this.
    grade: Option<String>,
    /// Its priority, 0 to 100, where it changes with this.
    priority: Option<i32>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A grade for a lead.
#[derive(InputObject)]
pub struct LeadGradeInput {
    /// The lead.
    lead_id: ID,
    /// Fit by intent, `A1` to `D4`.
    grade: String,
    /// The version of the rule that graded it, e.g. `scoring:default@3`, at most 200 characters.
    #[graphql(default = "manual")]
    rule: String,
}

/// A priority for a lead.
#[derive(InputObject)]
pub struct LeadPrioritiseInput {
    /// The lead.
    lead_id: ID,
    /// 0 (least urgent) to 100.
    priority: i32,
}

/// A lead that is not one.
#[derive(InputObject)]
pub struct LeadDisqualifyInput {
    /// The lead.
    lead_id: ID,
    /// Why.
    reason: DispositionReason,
}

/// A lead that repeats another.
#[derive(InputObject)]
pub struct LeadMarkDuplicateInput {
    /// The lead that ends.
    lead_id: ID,
    /// The lead that goes on.
    duplicate_of_id: ID,
}

/// A lead to end.
#[derive(InputObject)]
pub struct LeadCloseInput {
    /// The lead.
    lead_id: ID,
    /// A reason code.
    reason: String,
}

/// What changes of a lead.
#[derive(InputObject)]
pub struct LeadChangeInput {
    /// The lead.
    lead_id: ID,
    /// Labels to add.
    #[graphql(default)]
    tags: Vec<String>,
    /// Values of custom fields, by key; null takes one away.
    custom: Option<Json<BTreeMap<String, Value>>>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `leadReceive` did.
    LeadReceivePayload {
        /// The lead.
        lead: LeadNode,
    }
    /// What `leadQualify` did.
    LeadQualifyPayload {
        /// The lead in the queue.
        lead: LeadNode,
    }
    /// What `leadGrade` did.
    LeadGradePayload {
        /// The lead with its grade.
        lead: LeadNode,
    }
    /// What `leadChange` did.
    LeadChangePayload {
        /// The lead as it is now.
        lead: LeadNode,
    }
    /// What `leadPrioritise` did.
    LeadPrioritisePayload {
        /// The lead with its priority.
        lead: LeadNode,
    }
    /// What `leadDisqualify` did.
    LeadDisqualifyPayload {
        /// The lead at its end.
        lead: LeadNode,
    }
    /// What `leadMarkDuplicate` did.
    LeadMarkDuplicatePayload {
        /// The lead at its end.
        lead: LeadNode,
    }
    /// What `leadClose` did.
    LeadClosePayload {
        /// The lead at its end.
        lead: LeadNode,
    }
}

/// A priority as the domain takes it; what does not fit is refused as out of range.
pub(crate) fn priority(given: i32) -> Result<u8, AppError> {
    let most = if given < 0 { None } else { u8::try_from(given).ok().filter(|priority| *priority <= 100) };
    most.ok_or_else(|| {
        let message = format!("a priority is 0 (least urgent) to 100; {given} is not");
        AppError::refused("LEAD_PRIORITY_OUT_OF_RANGE", message, Some("priority"))
    })
}

fn grade(text: &str) -> Result<lead::Grade, AppError> {
    Ok(text.parse::<lead::Grade>()?)
}

/// Changes of leads outside their verification.
#[derive(Default)]
pub struct LeadMutation;

#[Object]
impl LeadMutation {
    /// Takes a lead in; marketing owns it first.
    async fn lead_receive(&self, ctx: &Context<'_>, input: LeadReceiveInput) -> Result<LeadReceivePayload, ApiError> {
        let done = async {
            let command = LeadReceive {
                contact: local(&input.contact_id, "contactId")?,
                account: local_opt(input.account_id.as_ref(), "accountId")?,
                source: input.source,
                external_id: input.external_id,
                grade: input.grade.as_deref().map(grade).transpose()?,
                priority: input.priority.map(priority).transpose()?,
                tags: input.tags.into_iter().collect(),
                custom: input.custom.map(|Json(values)| values).unwrap_or_default(),
            };
            ctx.run(input.idempotency_key, command).await
        };
        let done = done.await.map_err(|error| named(error, &[("customFields", "custom")]));
        LeadReceivePayload::of(done.map(LeadNode))
    }

    /// Qualifies a lead (MQL): it enters the SDR queue.
    async fn lead_qualify(&self, ctx: &Context<'_>, input: LeadQualifyInput) -> Result<LeadQualifyPayload, ApiError> {
        let done = async {
            let command = LeadQualify {
                lead: local(&input.lead_id, "leadId")?,
                grade: input.grade.as_deref().map(grade).transpose()?,
                priority: input.priority.map(priority).transpose()?,
            };
            ctx.run(input.idempotency_key, command).await
        };
        LeadQualifyPayload::of(done.await.map(|(_, lead)| LeadNode(lead)))
    }

    /// Grades a lead; a better grade brings a recycled lead back into the queue.
    async fn lead_grade(&self, ctx: &Context<'_>, input: LeadGradeInput) -> Result<LeadGradePayload, ApiError> {
        let done = async {
            let lead = local(&input.lead_id, "leadId")?;
            let command = LeadGrade { lead, grade: grade(&input.grade)?, rule: input.rule };
            ctx.run(None, command).await
        };
        LeadGradePayload::of(done.await.map(|(_, lead)| LeadNode(lead)))
    }

    /// Adds labels to a lead and sets values of its custom fields.
    async fn lead_change(&self, ctx: &Context<'_>, input: LeadChangeInput) -> Result<LeadChangePayload, ApiError> {
        let done = async {
            let lead = local(&input.lead_id, "leadId")?;
            let custom = input.custom.map(|custom| custom.0).unwrap_or_default();
            ctx.run(input.idempotency_key, LeadChange { lead, tags: input.tags, custom }).await
        };
        LeadChangePayload::of(done.await.map(|written| LeadNode(written.record)))
    }

    /// Changes how urgent a lead is.
    async fn lead_prioritise(
        &self,
        ctx: &Context<'_>,
        input: LeadPrioritiseInput,
    ) -> Result<LeadPrioritisePayload, ApiError> {
        let done = async {
            let lead = local(&input.lead_id, "leadId")?;
            let command = LeadPrioritise { lead, priority: priority(input.priority)? };
            ctx.run(None, command).await
        };
        LeadPrioritisePayload::of(done.await.map(|(_, lead)| LeadNode(lead)))
    }

    /// Ends a lead that is not one. A lead that an SDR holds is the SDR's to judge.
    async fn lead_disqualify(
        &self,
        ctx: &Context<'_>,
        input: LeadDisqualifyInput,
    ) -> Result<LeadDisqualifyPayload, ApiError> {
        let done = async {
            let command = LeadDisqualify { lead: local(&input.lead_id, "leadId")?, reason: input.reason.into() };
            ctx.run(None, command).await
        };
        LeadDisqualifyPayload::of(done.await.map(|((_, lead), _)| LeadNode(lead)))
    }

    /// Ends a lead that repeats another, which goes on.
    async fn lead_mark_duplicate(
        &self,
        ctx: &Context<'_>,
        input: LeadMarkDuplicateInput,
    ) -> Result<LeadMarkDuplicatePayload, ApiError> {
        let done = async {
            let lead = local(&input.lead_id, "leadId")?;
            let command = LeadMarkDuplicate { lead, duplicate_of: local(&input.duplicate_of_id, "duplicateOfId")? };
            ctx.run(None, command).await
        };
        LeadMarkDuplicatePayload::of(done.await.map(|(_, lead)| LeadNode(lead)))
    }

    /// Ends a lead for a reason that is none of the other ends.
    async fn lead_close(&self, ctx: &Context<'_>, input: LeadCloseInput) -> Result<LeadClosePayload, ApiError> {
        let done = async {
            let command = LeadClose { lead: local(&input.lead_id, "leadId")?, reason: input.reason };
            ctx.run(None, command).await
        };
        LeadClosePayload::of(done.await.map(|(_, lead)| LeadNode(lead)))
    }
}
