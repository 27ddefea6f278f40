//! The mailbox as the application looks into it.

use super::{Cursor, ImapInbox};
use chrono::{DateTime, Utc};
use tandem_app::email::port::PortFuture;
use tandem_app::received::port::{Inbox, Look, Message};

/// How many messages one look gives at most.
const AT_ONCE: usize = 50;

impl Inbox for ImapInbox {
    fn name(&self) -> String {
        format!("imap:{}:{}:{}", self.settings.username, self.settings.place(), self.settings.folder)
    }

    fn look(&self, after: Option<String>, since: DateTime<Utc>) -> PortFuture<'_, Result<Look, String>> {
        Box::pin(async move {
            // A cursor that cannot be read is none: what is brought again is known.
            let after = after.and_then(|text| serde_json::from_str::<Cursor>(&text).ok());
            let look = Self::look(self, after, since, AT_ONCE).await.map_err(|error| error.to_string())?;
            let messages = look.messages.into_iter();
            Ok(Look {
                messages: messages.map(|found| Message { raw: found.raw, arrived_at: found.arrived_at }).collect(),
                cursor: serde_json::to_string(&look.cursor).map_err(|error| error.to_string())?,
                more: look.more,
            })
        })
    }

    fn check(&self) -> PortFuture<'_, Result<String, String>> {
        Box::pin(async { Self::check(self).await.map_err(|error| error.to_string()) })
    }
}
