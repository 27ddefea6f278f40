//! Mailboxes that e-mails are sent from, their pace, and the e-mails that wait in their lines.

use crate::page::{Page, PageOf};
use crate::stored::stored;
use crate::{Result, Store, Tx};
use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};
use std::sync::Arc;
use tandem_domain::id::{EmailId, SendingMailboxId, SequenceId};
use tandem_domain::sending_mailbox::SendingMailbox;
use tandem_domain::sending_mailbox::pace::{InLine, MailboxPace};
use uuid::Uuid;

stored!(SendingMailbox, "SendingMailbox", "sending_mailbox", |mailbox| {
    address: String = mailbox.address.clone(),
    pool: String = mailbox.pool.clone(),
    state: String = mailbox.state.to_string(),
}, save_parts = changed);

/// Whoever asks again in this transaction asks the database.
async fn changed(_: &SendingMailbox, tx: &Tx) -> Result<()> {
    tx.ahead().once.mailboxes = None;
    Ok(())
}

mod pace {
    //! The row of a mailbox's pace, under the mailbox's id.
    use crate::stored::stored;
    use tandem_domain::sending_mailbox::pace::MailboxPace;
    stored!(MailboxPace, "MailboxPace", "mailbox_pace", |_pace| {});
}

impl Tx {
    /// The mailbox with this address, to change it.
    pub async fn sending_mailbox_with_address(&self, address: &str) -> Result<Option<SendingMailbox>> {
        Ok(self.select(row::Entity::find().filter(row::Column::Address.eq(address))).await?.pop())
    }

    /// Every mailbox, only to be read: at most one statement a transaction. There are few, so all are read.
    pub async fn sending_mailboxes(&self) -> Result<Arc<Vec<SendingMailbox>>> {
        let held = self.ahead().once.mailboxes.clone();
        if let Some(held) = held {
            return Ok(held);
        }
        let found: Arc<Vec<SendingMailbox>> = Arc::new(self.read(row::Entity::find()).await?);
        self.ahead().once.mailboxes = Some(found.clone());
        Ok(found)
    }

    /// The pace of a mailbox, to change it: whoever begins an e-mail from it waits here for the others. It is made with the
    /// mailbox.
    pub async fn mailbox_pace(&self, mailbox: SendingMailboxId) -> Result<Option<MailboxPace>> {
        self.get(mailbox).await
    }

    /// The e-mails in the line of a mailbox: of each sequence those that have waited longest, at most `each`. One statement,
    /// however many wait.
    pub async fn mailbox_line(&self, mailbox: SendingMailboxId, each: u32) -> Result<Vec<InLine>> {
        let sql = "SELECT id, sequence_id, queued_at FROM (SELECT email.id AS id, enrollment.sequence_id AS sequence_id, \
                   email.queued_at AS queued_at, ROW_NUMBER() OVER (PARTITION BY enrollment.sequence_id ORDER BY \
                   email.queued_at, email.id) AS place FROM email LEFT JOIN enrollment ON enrollment.id = \
                   email.enrollment_id WHERE email.mailbox_id = $1 AND email.queued_at IS NOT NULL) AS line \
                   WHERE place <= $2 ORDER BY queued_at, id";
        let values = [Uuid::from(mailbox).into(), i64::from(each).into()];
        let statement = Statement::from_sql_and_values(self.backend(), sql, values);
        let rows = self.connection().await?.query_all_raw(statement).await?;
        let mut line = Vec::with_capacity(rows.len());
        for row in rows {
            let since: i64 = row.try_get("", "queued_at")?;
            line.push(InLine {
                email: EmailId(row.try_get("", "id")?),
                sequence: row.try_get::<Option<Uuid>>("", "sequence_id")?.map(SequenceId),
                since: DateTime::from_timestamp_millis(since).unwrap_or(DateTime::<Utc>::MIN_UTC),
            });
        }
        Ok(line)
    }
}

impl Store {
    /// Every mailbox with its pace, as they are seen without a lock: there are few.
    pub async fn mailboxes_and_paces(&self) -> Result<(Vec<SendingMailbox>, Vec<MailboxPace>)> {
        let mailboxes: Vec<SendingMailbox> = self.all(row::Entity::find()).await?;
        let paces = self.find_many(mailboxes.iter().map(|mailbox| mailbox.id.into())).await?;
        Ok((mailboxes, paces))
    }

    /// A page of mailboxes, of one pool or of all.
    pub async fn sending_mailbox_page(&self, pool: Option<&str>, page: &Page<Uuid>) -> Result<PageOf<SendingMailbox>> {
        let mut query = row::Entity::find();
        if let Some(pool) = pool {
            query = query.filter(row::Column::Pool.eq(pool));
        }
        self.page(query, page).await
    }

    /// How many e-mails wait in the line of a mailbox.
    pub async fn mailbox_line_length(&self, mailbox: SendingMailboxId) -> Result<i64> {
        let sql = "SELECT COUNT(*) AS waiting FROM email WHERE mailbox_id = $1 AND queued_at IS NOT NULL";
        let backend = self.reader().get_database_backend();
        let statement = Statement::from_sql_and_values(backend, sql, [Uuid::from(mailbox).into()]);
        let row = self.reader().query_one_raw(statement).await?;
        row.map_or(Ok(0), |row| Ok(row.try_get("", "waiting")?))
    }
}
