//! Changes of the contact policy and of mailboxes.

use super::types::{CapScope, ContactPolicyNode, SendingMailboxNode};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::payload::payload;
use crate::scalars::{Date, EmailAddress};
use async_graphql::{Context, ID, InputObject, Object};
use tandem_app::{AppError, ContactPolicySave, SendingMailboxPause, SendingMailboxResume, SendingMailboxSave};
use tandem_domain::contact_policy::{self, PolicyDraft};
use tandem_domain::email::Mailbox;
use tandem_domain::sending_mailbox::{self, MailboxDraft};

/// At most so many e-mails in every span of so many hours.
#[derive(InputObject)]
pub struct FrequencyCapInput {
    /// Over whom it counts.
    scope: CapScope,
    /// How many e-mails, 1 to 1000.
    most: u32,
    /// In how many hours, 1 to 2160; a day is 24 of them, a week 168.
    hours: u32,
}

/// The contact policy to save.
#[derive(InputObject)]
pub struct ContactPolicySaveInput {
    /// The caps, at most 20, in place of those before; none lifts all of them.
    caps: Vec<FrequencyCapInput>,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A name and an address.
#[derive(InputObject)]
pub struct MailboxInput {
    /// The name to show.
    name: Option<String>,
    /// The address.
    address: EmailAddress,
}

/// How a new mailbox grows up to its daily cap.
#[derive(InputObject)]
pub struct RampUpInput {
    /// The first day, in the mailbox's zone.
    from: Date,
    /// How many e-mails on that day, 1 to the daily cap.
    start: u32,
    /// How many more on each day after, at least 1.
    per_day: u32,
}

/// A mailbox to save under its address.
#[derive(InputObject)]
pub struct SendingMailboxSaveInput {
    /// The address. What is there under it becomes the next version.
    address: EmailAddress,
    /// The name that people see.
    name: Option<String>,
    /// Where answers go; null for where they go otherwise.
    reply_to: Option<MailboxInput>,
    /// The key of the pool that it belongs to: 1 to 60 of a-z, 0-9, _ and -. Steps of sequences name it.
    pool: String,
    /// The IANA name of the time zone in which its days begin and end.
    #[graphql(default_with = "\"UTC\".to_owned()")]
    time_zone: String,
    /// The most e-mails on a day, 1 to 100000.
    daily_cap: u32,
    /// How it grows up to that; null for at once.
    ramp_up: Option<RampUpInput>,
    /// The least seconds between two e-mails, 0 to 3600.
    #[graphql(default = 0)]
    interval_seconds: u32,
    /// Repeats of the same key and input within 24 hours give the same payload.
    idempotency_key: Option<String>,
}

/// A mailbox to pause.
#[derive(InputObject)]
pub struct SendingMailboxPauseInput {
    /// The mailbox.
    sending_mailbox_id: ID,
}

/// A mailbox to resume.
#[derive(InputObject)]
pub struct SendingMailboxResumeInput {
    /// The mailbox.
    sending_mailbox_id: ID,
}

payload! {
    /// What `contactPolicySave` did.
    ContactPolicySavePayload {
        /// The policy as saved.
        contact_policy: ContactPolicyNode,
    }
    /// What `sendingMailboxSave` did.
    SendingMailboxSavePayload {
        /// The mailbox as saved.
        sending_mailbox: SendingMailboxNode,
    }
    /// What `sendingMailboxPause` did.
    SendingMailboxPausePayload {
        /// The mailbox.
        sending_mailbox: SendingMailboxNode,
    }
    /// What `sendingMailboxResume` did.
    SendingMailboxResumePayload {
        /// The mailbox.
        sending_mailbox: SendingMailboxNode,
    }
}

fn draft(input: SendingMailboxSaveInput) -> Result<MailboxDraft, AppError> {
    let zone = input.time_zone.parse().map_err(|_| {
        let message =
            format!("`{}` is not in the IANA time zone database; an example is Asia/Shanghai", input.time_zone);
        AppError::refused("TIME_ZONE_UNKNOWN", message, Some("timeZone"))
    })?;
    Ok(MailboxDraft {
        address: input.address.0,
        name: input.name,
        reply_to: input.reply_to.map(|to| Mailbox { name: to.name, address: to.address.0 }),
        pool: input.pool,
        zone,
        daily_cap: input.daily_cap,
        ramp_up: input.ramp_up.map(|ramp_up| sending_mailbox::RampUp {
            from: ramp_up.from.0,
            start: ramp_up.start,
            per_day: ramp_up.per_day,
        }),
        interval: input.interval_seconds,
    })
}

/// Changes of the contact policy and of mailboxes.
#[derive(Default)]
pub struct SendingMutation;

#[Object]
impl SendingMutation {
    /// Saves how often people may be written to, of which there is one policy. What is planned already is looked at again under
    /// it before it goes out; steps that wait for a cap keep the moment they wait for.
    async fn contact_policy_save(
        &self,
        ctx: &Context<'_>,
        input: ContactPolicySaveInput,
    ) -> Result<ContactPolicySavePayload, ApiError> {
        let caps = input.caps.into_iter().map(|cap| contact_policy::FrequencyCap {
            scope: cap.scope.into(),
            most: cap.most,
            hours: cap.hours,
        });
        let draft = PolicyDraft { caps: caps.collect() };
        let done = ctx.run(input.idempotency_key, ContactPolicySave { draft }).await;
        ContactPolicySavePayload::of(done.map(ContactPolicyNode))
    }

    /// Saves a mailbox that e-mails are sent from. What waits in its line finds it as saved.
    async fn sending_mailbox_save(
        &self,
        ctx: &Context<'_>,
        input: SendingMailboxSaveInput,
    ) -> Result<SendingMailboxSavePayload, ApiError> {
        let done = async {
            let key = input.idempotency_key.clone();
            ctx.run(key, SendingMailboxSave { draft: draft(input)? }).await
        };
        SendingMailboxSavePayload::of(done.await.map(|(mailbox, _)| SendingMailboxNode(mailbox)))
    }

    /// Pauses a mailbox: it sends nothing until it is resumed, and new people get another one of its pool.
    async fn sending_mailbox_pause(
        &self,
        ctx: &Context<'_>,
        input: SendingMailboxPauseInput,
    ) -> Result<SendingMailboxPausePayload, ApiError> {
        let done = async {
            let mailbox = local(&input.sending_mailbox_id, "sendingMailboxId")?;
            ctx.run(None, SendingMailboxPause { mailbox }).await
        };
        SendingMailboxPausePayload::of(done.await.map(SendingMailboxNode))
    }

    /// Resumes a mailbox, and what waits in its line.
    async fn sending_mailbox_resume(
        &self,
        ctx: &Context<'_>,
        input: SendingMailboxResumeInput,
    ) -> Result<SendingMailboxResumePayload, ApiError> {
        let done = async {
            let mailbox = local(&input.sending_mailbox_id, "sendingMailboxId")?;
            ctx.run(None, SendingMailboxResume { mailbox }).await
        };
        SendingMailboxResumePayload::of(done.await.map(|(mailbox, _)| SendingMailboxNode(mailbox)))
    }
}
