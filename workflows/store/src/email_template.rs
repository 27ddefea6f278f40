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
use tandem_domain::id::{EmailTemplateId, SequenceVersionId};
use tandem_domain::sequence::SequenceVersion;
use template_row::row as template;
use template_version_row::row as version;
use uuid::Uuid;

/// The most versions of sequences that are told to whoever archives a template.
const MOST_USAGES: u64 = 1_000;

/// Which versions of sequences that took e-mails from a template are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Only those that took an older version of the template than the one with this number.
    pub before: Option<u32>,
    /// Only those that start runs now.
    pub current: bool,
}

/// The place of a usage among those of its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageCursor {
    /// The version of the sequence.
    pub version: SequenceVersionId,
    /// The number of the template's version.
    pub number: u32,
}

impl UsageCursor {
    /// The place of a usage.
    pub const fn of(usage: &Usage) -> Self {
        Self { version: usage.version, number: usage.template_number }
    }
}

impl std::fmt::Display for UsageCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", Uuid::from(self.version), self.number)
    }
}

/// A text that is not the place of a usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not the place of a usage")]
pub struct NotAUsage;

impl std::str::FromStr for UsageCursor {
    type Err = NotAUsage;

    fn from_str(text: &str) -> Result<Self, NotAUsage> {
        let (version, number) = text.split_once(':').ok_or(NotAUsage)?;
        let version: Uuid = version.parse().map_err(|_| NotAUsage)?;
        Ok(Self { version: version.into(), number: number.parse().map_err(|_| NotAUsage)? })
    }
}

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

/// The versions of sequences that took e-mails from the template with this key and that start runs now or have live ones, in
/// the order in which they were published: up to one more than the page has.
async fn usages<C: ConnectionTrait>(
    connection: &C,
    key: &str,
    filter: UsageFilter,
    page: &Page<UsageCursor>,
) -> Result<Vec<Usage>> {
    let before = filter.before.map_or(i64::MAX, i64::from);
    let mut values: Vec<sea_orm::Value> = vec![key.into(), before.into()];
    let mut sides = String::new();
    for (cursor, side) in [(page.after, ">"), (page.before, "<")] {
        let Some(UsageCursor { version, number }) = cursor else { continue };
        let at = values.len();
        sides.push_str(&format!(" AND (version_id, template_number) {side} (${}, ${})", at + 1, at + 2));
        values.extend([Uuid::from(version).into(), i32::try_from(number).unwrap_or(i32::MAX).into()]);
    }
    let wanted = if filter.current { "current = 1" } else { "(current = 1 OR live_runs > 0)" };
    let order = if page.backward { "DESC" } else { "ASC" };
    values.push(i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX).into());
    let limit = values.len();
    let sql = format!(
        "SELECT * FROM (SELECT version.sequence_id, taken.version_id, version.number, taken.number AS template_number, \
         CAST(CASE WHEN taken.pinned THEN 1 ELSE 0 END AS BIGINT) AS pinned, \
         CAST(CASE WHEN sequence.state <> 'ARCHIVED' AND version.number = (SELECT MAX(other.number) \
         FROM sequence_version AS other WHERE other.sequence_id = version.sequence_id) THEN 1 ELSE 0 END AS BIGINT) \
         AS current, \
         (SELECT COUNT(*) FROM enrollment WHERE enrollment.version_id = taken.version_id AND live) AS live_runs \
         FROM email_template_use AS taken JOIN sequence_version AS version ON version.id = taken.version_id \
         JOIN sequence ON sequence.id = version.sequence_id WHERE taken.template_key = $1) AS found \
         WHERE {wanted} AND template_number < $2{sides} \
         ORDER BY version_id {order}, template_number {order} LIMIT ${limit}"
    );
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

    /// The newest versions of sequences that took e-mails from the template with this key, of sequences that are not archived:
    /// the first 1,000.
    pub async fn email_template_takers(&self, key: &str) -> Result<Vec<Usage>> {
        let filter = UsageFilter { current: true, ..UsageFilter::default() };
        usages(self.connection().await?, key, filter, &Page::first(MOST_USAGES)).await
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

    /// A page of the versions of sequences that took e-mails from the template with this key, as far as they start runs now or
    /// have live ones, in the order in which they were published.
    pub async fn email_template_usage_page(
        &self,
        key: &str,
        filter: UsageFilter,
        page: &Page<UsageCursor>,
    ) -> Result<PageOf<Usage>> {
        Ok(PageOf::cut(usages(self.reader(), key, filter, page).await?, page))
    }
}
