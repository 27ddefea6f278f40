//! Changes of e-mails and suppressions.

use super::types::{EmailNode, EmailResolution, SuppressionKind, SuppressionNode, SuppressionReason};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::{EmailResolve, SuppressionAdd, SuppressionLift};

/// What a person found out about an e-mail of unknown fate.
#[derive(InputObject)]
pub struct EmailResolveInput {
    /// The e-mail; its state must be `UNKNOWN`.
    email_id: ID,
    /// That it went out, or that it shall be sent again.
    resolution: EmailResolution,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// An address or a domain to suppress.
#[derive(InputObject)]
pub struct SuppressionAddInput {
    /// Whether `value` is an address or a domain.
    kind: SuppressionKind,
    /// The address or the domain, in any spelling.
    value: String,
    /// Why.
    reason: SuppressionReason,
    /// Where the wish came from, at most 200 characters.
    source: String,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A suppression to lift.
#[derive(InputObject)]
pub struct SuppressionLiftInput {
    /// The suppression.
    suppression_id: ID,
    /// Why that is right, e.g. where the person's new consent is recorded, 1 to 500 characters. It stays in the ledger.
    because: String,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

payload! {
    /// What `emailResolve` did.
    EmailResolvePayload {
        /// The e-mail.
        email: EmailNode,
    }
    /// What `suppressionAdd` did.
    SuppressionAddPayload {
        /// The suppression.
        suppression: SuppressionNode,
    }
    /// What `suppressionLift` did.
    SuppressionLiftPayload {
        /// The suppression, lifted.
        suppression: SuppressionNode,
    }
}

/// Changes of e-mails and suppressions.
#[derive(Default)]
pub struct EmailMutation;

#[Object]
impl EmailMutation {
    /// Records what a person found out about an e-mail of unknown fate, or has it sent again.
    async fn email_resolve(
        &self,
        ctx: &Context<'_>,
        input: EmailResolveInput,
    ) -> Result<EmailResolvePayload, ApiError> {
        let done = async {
            let command =
                EmailResolve { email: local(&input.email_id, "emailId")?, resolution: input.resolution.into() };
            ctx.run(input.idempotency_key, command).await
        };
        EmailResolvePayload::of(done.await.map(EmailNode))
    }

    /// Suppresses an address or a domain: from this moment nothing is sent there.
    async fn suppression_add(
        &self,
        ctx: &Context<'_>,
        input: SuppressionAddInput,
    ) -> Result<SuppressionAddPayload, ApiError> {
        let command = SuppressionAdd {
            kind: input.kind.into(),
            value: input.value,
            reason: input.reason.into(),
            source: input.source,
        };
        let done = ctx.run(input.idempotency_key, command).await;
        SuppressionAddPayload::of(done.map(SuppressionNode))
    }

    /// Lifts a suppression.
    async fn suppression_lift(
        &self,
        ctx: &Context<'_>,
        input: SuppressionLiftInput,
    ) -> Result<SuppressionLiftPayload, ApiError> {
        let done = async {
            let command =
                SuppressionLift { suppression: local(&input.suppression_id, "suppressionId")?, because: input.because };
            ctx.run(input.idempotency_key, command).await
        };
        SuppressionLiftPayload::of(done.await.map(SuppressionNode))
    }
}
