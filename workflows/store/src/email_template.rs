//! Templates of e-mails, their versions, and the versions of sequences that took their e-mails from them.

pub mod template_row {
    //! The template's row.
    use crate::stored::stored;
    use tandem_domain::email_template::EmailTemplate;
    stored!(EmailTemplate, "EmailTemplate", "email_template", |template| {
        key: String = template.key.clone(),
        state: String = template.state.to_string(),
    });
}

pub mod template_version_row {
    //! The version's row, which is written once.
    use crate::stored::stored;
    use tandem_domain::email_template::EmailTemplateVersion;
    stored!(EmailTemplateVersion, "EmailTemplateVersion", "email_template_version", |version| {
        template_id: Uuid = version.template.into(),
        number: i32 = i32::try_from(version.number).unwrap_or(i32::MAX),
        hash: String = version.hash.clone(),
    });
}

use crate::page::{Page, PageOf};
use crate::{Result, Store, StoreError, Tx};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Select, Statement,
};
use std::collections::BTreeMap;
use tandem_domain::email_template::{EmailTemplate, EmailTemplateState, EmailTemplateVersion, Usage};
use tandem_domain::id::EmailTemplateId;
use tandem_domain::sequence::SequenceVersion;
use template_row::row as template;
use template_version_row::row as version;
use uuid::Uuid;

/// The most usages that are read of one template.
const MOST_USAGES: u64 = 1_000;

#[derive(FromQueryResult)]
struct Row {
    sequence_id: Uuid,
    version_id: Uuid,
    number: i32,
    template_number: i32,
    pinned: i64,
    current: i64,
    live_runs: i64,
}

/// Writes which templates the e-mails of a new version were taken from.
pub(crate) async fn save_uses(of: &SequenceVersion, tx: &Tx) -> Result<()> {
    let mut taken: BTreeMap<(&str, u32), bool> = BTreeMap::new();
    for uses in of.definition.templates() {
        // Where one step asks for the version and another does not, the next publication may take a newer one.
        let pinned = taken.entry((&uses.template, uses.version)).or_insert(true);
        *pinned = *pinned && uses.pinned;
    }
    let sql = "INSERT INTO email_template_use (version_id, template_key, number, pinned) VALUES ($1, $2, $3, $4)";
    for ((key, number), pinned) in taken {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let values = [Uuid::from(of.id).into(), key.into(), number.into(), pinned.into()];
        let statement = Statement::from_sql_and_values(tx.backend(), sql, values);
        let written = tx.inner().execute_raw(statement).await;
        written.map_err(|error| StoreError::writing(error, "SequenceVersion"))?;
    }
    Ok(())
}

/// The versions of sequences that took e-mails from the template with this key: those that start runs now first, then those
/// that have live runs, and of both the newest first.
async fn usages<C: ConnectionTrait>(connection: &C, key: &str) -> Result<Vec<Usage>> {
    let sql = "SELECT * FROM (SELECT version.sequence_id, taken.version_id, version.number, taken.number AS template_number, \
               CAST(CASE WHEN taken.pinned THEN 1 ELSE 0 END AS BIGINT) AS pinned, \
               CAST(CASE WHEN sequence.state <> 'ARCHIVED' AND version.number = (SELECT MAX(other.number) \
               FROM sequence_version AS other WHERE other.sequence_id = version.sequence_id) THEN 1 ELSE 0 END AS BIGINT) \
               AS current, \
               (SELECT COUNT(*) FROM enrollment WHERE enrollment.version_id = taken.version_id AND live) AS live_runs \
               FROM email_template_use AS taken JOIN sequence_version AS version ON version.id = taken.version_id \
               JOIN sequence ON sequence.id = version.sequence_id WHERE taken.template_key = $1) AS found \
               WHERE current = 1 OR live_runs > 0 ORDER BY current DESC, version_id DESC, template_number LIMIT $2";
    let values = [key.into(), i64::try_from(MOST_USAGES).unwrap_or(i64::MAX).into()];
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let rows = Row::find_by_statement(statement).all(connection).await?;
    let usage = |row: Row| Usage {
        sequence: row.sequence_id.into(),
        version: row.version_id.into(),
        number: u32::try_from(row.number).unwrap_or(0),
        template_number: u32::try_from(row.template_number).unwrap_or(0),
        pinned: row.pinned == 1,
        current: row.current == 1,
        live_runs: u64::try_from(row.live_runs).unwrap_or(0),
    };
    Ok(rows.into_iter().map(usage).collect())
}

fn with_keys(keys: &[&str]) -> Select<template::Entity> {
    template::Entity::find()
        .filter(template::Column::Key.is_in(keys.iter().copied()))
        .order_by_asc(template::Column::Id)
}

fn numbered(wanted: &[(EmailTemplateId, u32)]) -> Option<Select<version::Entity>> {
    let mut any = Condition::any();
    for (of, number) in wanted {
        let number = i32::try_from(*number).ok()?;
        let this = Condition::all()
            .add(version::Column::TemplateId.eq(Uuid::from(*of)))
            .add(version::Column::Number.eq(number));
        any = any.add(this);
    }
    (!any.is_empty()).then(|| version::Entity::find().filter(any))
}

fn active(limit: u64) -> Select<template::Entity> {
    template::Entity::find()
        .filter(template::Column::State.eq(EmailTemplateState::Active.as_str()))
        .order_by_asc(template::Column::Id)
        .limit(limit)
}

impl Tx {
    /// The template with this key, locked.
    pub async fn email_template_with_key(&self, key: &str) -> Result<Option<EmailTemplate>> {
        Ok(self.select(with_keys(&[key])).await?.pop())
    }

    /// The templates with these keys, which are only read and kept from being published or archived until the end of the
    /// transaction: whoever takes one is either seen by that, or sees it. Several who take one do not wait for each other.
    pub async fn share_email_templates(&self, keys: &[&str]) -> Result<Vec<EmailTemplate>> {
        let query = with_keys(keys);
        let query = if self.is_postgres() { query.lock_shared() } else { query };
        self.read(query).await
    }

    /// Versions by template and number, to be read.
    pub async fn email_template_versions_numbered(
        &self,
        wanted: &[(EmailTemplateId, u32)],
    ) -> Result<Vec<EmailTemplateVersion>> {
        match numbered(wanted) {
            Some(query) => self.read(query).await,
            None => Ok(Vec::new()),
        }
    }

    /// Up to `limit` templates that are not archived.
    pub async fn active_email_templates(&self, limit: u64) -> Result<Vec<EmailTemplate>> {
        self.read(active(limit)).await
    }

    /// Who took e-mails from the template with this key, as [`Store::email_template_usages`] gives it.
    pub async fn email_template_usages(&self, key: &str) -> Result<Vec<Usage>> {
        usages(self.connection().await?, key).await
    }
}

impl Store {
    /// The template with this key.
    pub async fn email_template_by_key(&self, key: &str) -> Result<Option<EmailTemplate>> {
        Ok(self.all(with_keys(&[key])).await?.pop())
    }

    /// The templates with these keys.
    pub async fn email_templates_with_keys(&self, keys: &[&str]) -> Result<Vec<EmailTemplate>> {
        self.all(with_keys(keys)).await
    }

    /// Versions by template and number.
    pub async fn email_template_versions_numbered(
        &self,
        wanted: &[(EmailTemplateId, u32)],
    ) -> Result<Vec<EmailTemplateVersion>> {
        match numbered(wanted) {
            Some(query) => self.all(query).await,
            None => Ok(Vec::new()),
        }
    }

    /// Up to `limit` templates that are not archived.
    pub async fn active_email_templates(&self, limit: u64) -> Result<Vec<EmailTemplate>> {
        self.all(active(limit)).await
    }

    /// A page of templates, in these states; empty means any.
    pub async fn email_template_page(
        &self,
        states: &[EmailTemplateState],
        page: &Page<Uuid>,
    ) -> Result<PageOf<EmailTemplate>> {
        let mut query = template::Entity::find();
        if !states.is_empty() {
            query = query.filter(template::Column::State.is_in(states.iter().map(|state| state.as_str())));
        }
        self.page(query, page).await
    }

    /// A page of a template's versions.
    pub async fn email_template_version_page(
        &self,
        of: EmailTemplateId,
        page: &Page<Uuid>,
    ) -> Result<PageOf<EmailTemplateVersion>> {
        self.page(version::Entity::find().filter(version::Column::TemplateId.eq(Uuid::from(of))), page).await
    }

    /// The versions of sequences that took e-mails from the template with this key, as far as they start runs now or have live
    /// ones: at most 1,000, those that start runs now first, the newest first.
    pub async fn email_template_usages(&self, key: &str) -> Result<Vec<Usage>> {
        usages(self.reader(), key).await
    }
}
