//! An enrolment's story: the entries of the ledger about the run, its e-mails, its tasks, and what the person did with the e-mails.

use crate::page::{Page, PageOf};
use crate::{Result, Store, ledger};
use sea_orm::{ConnectionTrait, Statement, Value};
use std::collections::BTreeMap;
use tandem_domain::id::{EmailId, EnrollmentId};
use uuid::Uuid;

/// What people did with one e-mail. Machines are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmailFate {
    /// When it was first opened, in milliseconds since 1970.
    pub opened_at: Option<i64>,
    /// When a link of it was first followed.
    pub clicked_at: Option<i64>,
    /// When it was first answered.
    pub replied_at: Option<i64>,
}

impl Store {
    /// A page of an enrolment's story, in the order of the ledger: one statement, whatever the run did.
    pub async fn story_page(&self, of: EnrollmentId, page: &Page<i64>) -> Result<PageOf<ledger::Link>> {
        let (order, limit) = (if page.backward { "DESC" } else { "ASC" }, page.limit.saturating_add(1));
        let sql = format!(
            "SELECT * FROM ledger_entry WHERE seq > $2 AND seq < $3 AND subject_id IN (\
             SELECT id FROM enrollment WHERE id = $1 \
             UNION ALL SELECT id FROM email WHERE enrollment_id = $1 \
             UNION ALL SELECT id FROM work_item WHERE enrollment_id = $1 \
             UNION ALL SELECT interaction.id FROM email JOIN interaction ON interaction.email_id = email.id \
             AND interaction.email_id IS NOT NULL WHERE email.enrollment_id = $1) \
             ORDER BY seq {order} LIMIT {limit}"
        );
        let values: [Value; 3] =
            [Uuid::from(of).into(), page.after.unwrap_or(i64::MIN).into(), page.before.unwrap_or(i64::MAX).into()];
        let reader = self.reader();
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), sql, values);
        Ok(PageOf::cut(ledger::links(reader, statement).await?, page))
    }

    /// What people did with these e-mails; those with which nobody did anything are left out.
    pub async fn email_fates(&self, emails: &[EmailId]) -> Result<BTreeMap<EmailId, EmailFate>> {
        let mut fates = BTreeMap::new();
        let backend = self.reader().get_database_backend();
        let automated = self.json_text("interaction", "automated");
        for emails in emails.chunks(500) {
            let marks = (1..=emails.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let first = |kind: &str| format!("MIN(CASE WHEN kind = '{kind}' THEN occurred_at END)");
            let sql = format!(
                "SELECT email_id, {} AS opened_at, {} AS clicked_at, {} AS replied_at FROM interaction \
                 WHERE email_id IN ({marks}) AND email_id IS NOT NULL AND {automated} IS NULL GROUP BY email_id",
                first("EMAIL_OPEN"),
                first("EMAIL_CLICK"),
                first("EMAIL_REPLY"),
            );
            let values = emails.iter().map(|email| Value::from(Uuid::from(*email)));
            for row in self.reader().query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
                let fate = EmailFate {
                    opened_at: row.try_get("", "opened_at")?,
                    clicked_at: row.try_get("", "clicked_at")?,
                    replied_at: row.try_get("", "replied_at")?,
                };
                fates.insert(EmailId(row.try_get("", "email_id")?), fate);
            }
        }
        Ok(fates)
    }

    /// A field of the JSON in a table's column `body`, as a text; null where there is none.
    pub(crate) fn json_text(&self, table: &str, field: &str) -> String {
        match self.is_sqlite() {
            true => format!("json_extract({table}.body, '$.{field}')"),
            false => format!("({table}.body ->> '{field}')"),
        }
    }
}
