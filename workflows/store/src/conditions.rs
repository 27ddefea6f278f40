//! What conditions of sequences read beside the records of their subject: what people did, and the lists of their companies.
//! However many people are asked about, and whatever they did, it is one statement for each, and none reads more of an index
//! than its counts go.

use crate::ahead::Conditions;
use crate::{Result, Store, Tx, ms};
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::id::{AccountId, ContactId};
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sequence::interactions::{MOST_COUNTED, Tally, WINDOWS};
use uuid::Uuid;

/// How many people or companies one statement asks for at most.
const CHUNK: usize = 500;

/// What each of some people did of these kinds, counted at a moment.
pub type Tallies = BTreeMap<ContactId, Vec<Tally>>;
/// The keys of the lists for which each of some companies is worked on, in order.
pub type ListKeys = BTreeMap<AccountId, Vec<String>>;

impl Tx {
    /// Counts ahead what people did of these kinds, and looks up ahead the lists of companies: a statement for each.
    pub async fn conditions_ahead(
        &self,
        (contacts, kinds): (&[ContactId], BTreeSet<InteractionKind>),
        accounts: &[AccountId],
        now: DateTime<Utc>,
    ) -> Result<()> {
        let mut counted = tallies(self.inner(), contacts, &kinds, now).await?;
        let mut listed = list_keys(self.inner(), accounts).await?;
        let mut ahead = self.ahead();
        let asked = |contact: &ContactId| (*contact, counted.remove(contact).unwrap_or_default());
        let tallies = if kinds.is_empty() { Default::default() } else { contacts.iter().map(asked).collect() };
        let lists = accounts.iter().map(|account| (*account, listed.remove(account).unwrap_or_default())).collect();
        ahead.conditions = Conditions { kinds, tallies, lists };
        Ok(())
    }

    /// What a person did of these kinds: as it was read ahead, else as this transaction sees it.
    pub async fn tallies(
        &self,
        contact: ContactId,
        kinds: &BTreeSet<InteractionKind>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Tally>> {
        let known = {
            let ahead = self.ahead();
            let Conditions { kinds: counted, tallies, .. } = &ahead.conditions;
            let known = tallies.get(&contact).filter(|_| counted.is_superset(kinds));
            known.map(|done| done.iter().filter(|tally| kinds.contains(&tally.kind)).cloned().collect())
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let mut found = tallies(self.inner(), &[contact], kinds, now).await?;
        Ok(found.remove(&contact).unwrap_or_default())
    }

    /// The keys of the lists for which a company is worked on: as they were read ahead, else as this transaction sees them.
    pub async fn list_keys_of(&self, account: AccountId) -> Result<Vec<String>> {
        let known = self.ahead().conditions.lists.get(&account).cloned();
        match known {
            Some(known) => Ok(known),
            None => Ok(list_keys(self.inner(), &[account]).await?.remove(&account).unwrap_or_default()),
        }
    }
}

impl Store {
    /// What some people did of these kinds. Who did none of them may be left out.
    pub async fn tallies(
        &self,
        contacts: &[ContactId],
        kinds: &BTreeSet<InteractionKind>,
        now: DateTime<Utc>,
    ) -> Result<Tallies> {
        tallies(self.reader(), contacts, kinds, now).await
    }

    /// The keys of the lists for which some companies are worked on. One that is on none is left out.
    pub async fn list_keys_of(&self, accounts: &[AccountId]) -> Result<ListKeys> {
        list_keys(self.reader(), accounts).await
    }
}

fn marks(from: usize, count: usize) -> String {
    (from..from + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// The statement that counts, for so many people: its first values are the beginnings of the [`WINDOWS`] in milliseconds, the
/// others are the people. Here so that its plan can be looked at.
pub fn counting(postgres: bool, kinds: &BTreeSet<InteractionKind>, people: usize) -> String {
    // The kinds are words of ours.
    let kinds = kinds.iter().map(|kind| format!("SELECT '{kind}' AS kind")).collect::<Vec<_>>().join(" UNION ALL ");
    // In the order of the index, which so is what the database reads, and no further than the limit.
    let newest = "ORDER BY d.occurred_at DESC, d.id DESC";
    let of = "FROM interaction d WHERE d.contact_id = c.id AND d.kind = k.kind AND d.automated IS NULL";
    let count = |more: &str| {
        format!("(SELECT COUNT(*) FROM (SELECT 1 AS one {of}{more} {newest} LIMIT {MOST_COUNTED}) AS few)")
    };
    let windows = WINDOWS.iter().zip(1..);
    let windows: Vec<String> = windows
        .map(|((name, _), place)| format!("{} AS {name}", count(&format!(" AND d.occurred_at > ${place}"))))
        .collect();
    let name = if postgres { "last.body ->> 'name'" } else { "json_extract(last.body, '$.name')" };
    let people = marks(WINDOWS.len() + 1, people);
    format!(
        "SELECT counted.*, last.occurred_at AS last_at, {name} AS last_name FROM (SELECT c.id AS contact_id, k.kind AS kind, \
         {} AS count, {}, (SELECT d.id {of} {newest} LIMIT 1) AS last_id \
         FROM contact c CROSS JOIN ({kinds}) AS k WHERE c.id IN ({people})) AS counted \
         LEFT JOIN interaction last ON last.id = counted.last_id",
        count(""),
        windows.join(", "),
    )
}

async fn tallies(
    connection: &impl ConnectionTrait,
    contacts: &[ContactId],
    kinds: &BTreeSet<InteractionKind>,
    now: DateTime<Utc>,
) -> Result<Tallies> {
    let mut found = Tallies::new();
    if kinds.is_empty() {
        return Ok(found);
    }
    let backend = connection.get_database_backend();
    let since = |days: i64| now.checked_sub_signed(TimeDelta::days(days)).unwrap_or(DateTime::<Utc>::MIN_UTC);
    for contacts in contacts.chunks(CHUNK) {
        let sql = counting(backend == DbBackend::Postgres, kinds, contacts.len());
        let windows = WINDOWS.iter().map(|(_, days)| Value::from(ms(since(*days))));
        let values = windows.chain(contacts.iter().map(|contact| Uuid::from(*contact).into()));
        for row in connection.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
            let kind: String = row.try_get("", "kind")?;
            let Some(kind) = kinds.iter().copied().find(|known| known.as_str() == kind) else { continue };
            let count = |name: &str| -> Result<u32> {
                let count: i64 = row.try_get("", name)?;
                Ok(u32::try_from(count).unwrap_or(MOST_COUNTED))
            };
            let [week, month, quarter] = WINDOWS.map(|(name, _)| count(name));
            let last_at: Option<i64> = row.try_get("", "last_at")?;
            let tally = Tally {
                kind,
                count: count("count")?,
                within: [week?, month?, quarter?],
                last_at: last_at.and_then(DateTime::from_timestamp_millis),
                last_name: row.try_get("", "last_name")?,
            };
            found.entry(ContactId(row.try_get("", "contact_id")?)).or_default().push(tally);
        }
    }
    Ok(found)
}

async fn list_keys(connection: &impl ConnectionTrait, accounts: &[AccountId]) -> Result<ListKeys> {
    let backend = connection.get_database_backend();
    let mut found = ListKeys::new();
    for accounts in accounts.chunks(CHUNK) {
        // Suspended accounts are listed, and nothing is done with them.
        let sql = format!(
            "SELECT m.account_id, l.key FROM list_membership m JOIN target_list l ON l.id = m.list_id \
             WHERE m.account_id IN ({}) AND m.live AND m.state IN ('ACTIVE', 'REMOVAL_PROPOSED') ORDER BY l.key",
            marks(1, accounts.len())
        );
        let values = accounts.iter().map(|account| Value::from(Uuid::from(*account)));
        for row in connection.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await? {
            found.entry(AccountId(row.try_get("", "account_id")?)).or_default().push(row.try_get("", "key")?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_counted_no_further_than_its_limit() {
        let sql = counting(false, &[InteractionKind::Form].into(), 2);
        assert_eq!(sql.matches("LIMIT 1000").count(), 1 + WINDOWS.len());
        assert!(sql.contains("c.id IN ($4, $5)") && sql.contains("SELECT 'FORM' AS kind"));
    }
}
