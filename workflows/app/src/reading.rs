//! Reads that are the same within a transaction, which decides something, and apart from one, where somebody only looks.

use crate::Result;
use std::sync::Arc;
use tandem_domain::access::{Team, User};
use tandem_domain::calendar::Calendars;
use tandem_domain::custom_field::CustomField;
use tandem_domain::email_template::{EmailTemplate, EmailTemplateVersion};
use tandem_domain::id::EmailTemplateId;
use tandem_domain::outbound::OutboundChannel;
use tandem_domain::sending_mailbox::SendingMailbox;
use tandem_domain::sequence::Sequence;
use tandem_domain::taxonomy::Taxonomies;
use tandem_store::{Page, Store, Stored, Tx};
use uuid::Uuid;

/// Where something is looked up.
pub(crate) enum Reading<'a> {
    /// In a transaction that relies on what it finds.
    Within(&'a Tx),
    /// Without one: nothing is locked, and nobody waits.
    Apart(&'a Store),
}

impl Reading<'_> {
    /// An aggregate, only to be read.
    pub(crate) async fn find<T: Stored>(&self, id: impl Into<Uuid>) -> Result<Option<T>> {
        Ok(match self {
            Self::Within(tx) => tx.peek(id).await?,
            Self::Apart(store) => store.find(id).await?,
        })
    }

    /// The sequence with this key, locked where there is a transaction: whoever publishes is alone.
    pub(crate) async fn sequence_to_publish(&self, key: &str) -> Result<Option<Sequence>> {
        Ok(match self {
            Self::Within(tx) => tx.sequence_with_key(key).await?,
            Self::Apart(store) => store.sequence_by_key(key).await?,
        })
    }

    pub(crate) async fn has_sequence(&self, key: &str) -> Result<bool> {
        Ok(match self {
            Self::Within(tx) => tx.peek_sequence_with_key(key).await?.is_some(),
            Self::Apart(store) => store.sequence_by_key(key).await?.is_some(),
        })
    }

    pub(crate) async fn has_list(&self, key: &str) -> Result<bool> {
        Ok(match self {
            Self::Within(tx) => tx.list_with_key(key).await?.is_some(),
            Self::Apart(store) => store.list_by_key(key).await?.is_some(),
        })
    }

    pub(crate) async fn team(&self, name: &str) -> Result<Option<Team>> {
        Ok(match self {
            Self::Within(tx) => tx.team_with_name(name).await?,
            Self::Apart(store) => store.team_by_name(name).await?,
        })
    }

    pub(crate) async fn user(&self, email: &str) -> Result<Option<User>> {
        Ok(match self {
            Self::Within(tx) => tx.user_with_email(email).await?,
            Self::Apart(store) => store.user_by_email(email).await?,
        })
    }

    pub(crate) async fn taxonomies(&self) -> Result<Taxonomies> {
        Ok(match self {
            Self::Within(tx) => tx.taxonomies().await?,
            Self::Apart(store) => store.taxonomies().await?,
        })
    }

    pub(crate) async fn custom_fields(&self) -> Result<Vec<CustomField>> {
        Ok(match self {
            Self::Within(tx) => tx.custom_fields().await?,
            Self::Apart(store) => store.custom_fields().await?,
        })
    }

    pub(crate) async fn channel(&self, key: &str) -> Result<Option<OutboundChannel>> {
        Ok(match self {
            Self::Within(tx) => tx.outbound_channel_with_key(key).await?,
            Self::Apart(store) => store.outbound_channel_by_key(key).await?,
        })
    }

    pub(crate) async fn calendars(&self) -> Result<Arc<Calendars>> {
        Ok(match self {
            Self::Within(tx) => tx.calendars_by_key().await?,
            Self::Apart(store) => Arc::new(store.calendars().await?),
        })
    }

    pub(crate) async fn mailboxes(&self) -> Result<Arc<Vec<SendingMailbox>>> {
        Ok(match self {
            Self::Within(tx) => tx.sending_mailboxes().await?,
            Self::Apart(store) => Arc::new(store.mailboxes_and_paces().await?.0),
        })
    }

    /// The keys of up to `limit` sequences.
    pub(crate) async fn sequence_keys(&self, limit: u64) -> Result<Vec<String>> {
        Ok(match self {
            Self::Within(tx) => tx.sequence_keys(limit).await?,
            Self::Apart(store) => {
                let page = store.sequence_page(&[], &Page::first(limit)).await?;
                page.items.into_iter().map(|sequence| sequence.key).collect()
            }
        })
    }

    /// The keys of up to `limit` target lists.
    pub(crate) async fn list_keys(&self, limit: u64) -> Result<Vec<String>> {
        Ok(match self {
            Self::Within(tx) => tx.list_keys(limit).await?,
            Self::Apart(store) => {
                store.list_page(&Page::first(limit)).await?.items.into_iter().map(|list| list.key).collect()
            }
        })
    }

    /// The names of up to `limit` teams.
    pub(crate) async fn team_names(&self, limit: u64) -> Result<Vec<String>> {
        Ok(match self {
            Self::Within(tx) => tx.team_names(limit).await?,
            Self::Apart(store) => {
                store.team_page(&Page::first(limit)).await?.items.into_iter().map(|team| team.name).collect()
            }
        })
    }

    /// The templates of e-mails with these keys. In a transaction they stay as they are until its end.
    pub(crate) async fn email_templates(&self, keys: &[&str]) -> Result<Vec<EmailTemplate>> {
        Ok(match self {
            Self::Within(tx) => tx.share_email_templates(keys).await?,
            Self::Apart(store) => store.email_templates_with_keys(keys).await?,
        })
    }

    /// Versions of templates of e-mails, by template and number.
    pub(crate) async fn email_template_versions(
        &self,
        wanted: &[(EmailTemplateId, u32)],
    ) -> Result<Vec<EmailTemplateVersion>> {
        Ok(match self {
            Self::Within(tx) => tx.email_template_versions_numbered(wanted).await?,
            Self::Apart(store) => store.email_template_versions_numbered(wanted).await?,
        })
    }

    /// Up to `limit` templates of e-mails that are not archived.
    pub(crate) async fn active_email_templates(&self, limit: u64) -> Result<Vec<EmailTemplate>> {
        Ok(match self {
            Self::Within(tx) => tx.active_email_templates(limit).await?,
            Self::Apart(store) => store.active_email_templates(limit).await?,
        })
    }
}
