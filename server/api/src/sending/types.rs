//! Types of the contact policy and of mailboxes.

use crate::context::ContextExt;
use crate::emails::types::Mailbox;
use crate::error::ApiError;
use crate::ids::global;
use crate::scalars::{Date, EmailAddress};
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use tandem_domain::{contact_policy, sending_mailbox};

/// Over whom a cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "contact_policy::CapScope")]
pub enum CapScope {
    /// One person.
    Person,
    /// Everybody of one account together.
    Account,
}

/// At most so many e-mails in every span of so many hours.
#[derive(SimpleObject)]
pub struct FrequencyCap {
    /// Over whom it counts.
    pub scope: CapScope,
    /// How many e-mails.
    pub most: u32,
    /// In how many hours; a day is 24 of them.
    pub hours: u32,
}

/// How often people may be written to over all sequences. Transactional e-mails are exempt.
pub struct ContactPolicyNode(pub contact_policy::ContactPolicy);

/// How often people may be written to over all sequences. Transactional e-mails are exempt.
#[Object(name = "ContactPolicy")]
impl ContactPolicyNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Counts the definitions from 1.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// The caps; all of them hold.
    async fn caps(&self) -> Vec<FrequencyCap> {
        let caps = self.0.caps.iter();
        caps.map(|cap| FrequencyCap { scope: cap.scope.into(), most: cap.most, hours: cap.hours }).collect()
    }
}

/// Whether a mailbox sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "sending_mailbox::MailboxState")]
pub enum SendingMailboxState {
    /// It sends, and takes new people.
    Active,
    /// It sends nothing; what is planned from it waits.
    Paused,
}

/// How a new mailbox grows up to its daily cap.
#[derive(SimpleObject)]
pub struct RampUp {
    /// The first day, in the mailbox's zone.
    pub from: Date,
    /// How many e-mails on that day.
    pub start: u32,
    /// How many more on each day after.
    pub per_day: u32,
}

/// A mailbox that e-mails are sent from.
pub struct SendingMailboxNode(pub sending_mailbox::SendingMailbox);

/// A mailbox that e-mails are sent from.
#[Object(name = "SendingMailbox")]
impl SendingMailboxNode {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The address, unique among mailboxes.
    async fn address(&self) -> EmailAddress {
        EmailAddress(self.0.address.clone())
    }
    /// The name that people see.
    async fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }
    /// Where answers go; null for where they go otherwise.
    async fn reply_to(&self) -> Option<Mailbox> {
        self.0.reply_to.as_ref().map(Into::into)
    }
    /// The key of the pool that it belongs to.
    async fn pool(&self) -> &str {
        &self.0.pool
    }
    /// The IANA name of the time zone in which its days begin and end.
    async fn time_zone(&self) -> &'static str {
        self.0.zone.name()
    }
    /// The most e-mails on a day.
    async fn daily_cap(&self) -> u32 {
        self.0.daily_cap
    }
    /// How it grows up to that; null for at once.
    async fn ramp_up(&self) -> Option<RampUp> {
        let ramp_up = self.0.ramp_up?;
        Some(RampUp { from: Date(ramp_up.from), start: ramp_up.start, per_day: ramp_up.per_day })
    }
    /// The least seconds between two e-mails; 0 for none.
    async fn interval_seconds(&self) -> u32 {
        self.0.interval
    }
    /// Whether it sends.
    async fn state(&self) -> SendingMailboxState {
        self.0.state.into()
    }
    /// Counts the definitions from 1.
    async fn version(&self) -> u32 {
        self.0.version
    }
    /// How many e-mails it may send on a day: by default today, in its zone.
    async fn allowance(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The day, in the mailbox's zone.")] on: Option<Date>,
    ) -> u32 {
        let day = on.map_or_else(|| self.0.day(ctx.app().env.now()).date, |day| day.0);
        self.0.allowance(day)
    }
    /// How many e-mails wait in its line.
    async fn waiting(&self, ctx: &Context<'_>) -> Result<i64, ApiError> {
        Ok(ctx.app().store.mailbox_line_length(self.0.id).await?)
    }
}
