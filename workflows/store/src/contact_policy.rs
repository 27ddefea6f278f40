//! The contact policy, and the e-mails that count for its caps.

use crate::stored::stored;
use crate::{Result, Store, Tx, ms};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement, Value};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tandem_domain::contact_policy::{CapScope, ContactPolicy, Counted, Reach};
use tandem_domain::email::Email;
use tandem_domain::id::{AccountId, ContactId};
use uuid::Uuid;

// The same key each time, under a unique index: a second policy cannot be.
stored!(ContactPolicy, "ContactPolicy", "contact_policy", |_policy| { key: String = "default".to_owned() },
    save_parts = changed);

/// Whoever asks again in this transaction asks the database.
async fn changed(_: &ContactPolicy, tx: &Tx) -> Result<()> {
    let mut ahead = tx.ahead();
    ahead.once.policy = None;
    ahead.counted = Default::default();
    drop(ahead);
    Ok(())
}

/// Which e-mails count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those that were begun, and those that are planned.
    AlsoPlanned,
    /// Those that were begun.
    Begun,
}

/// How many ids one statement asks for at most.
const CHUNK: usize = 200;

impl Tx {
    /// The policy, to change it.
    pub async fn contact_policy_to_change(&self) -> Result<Option<ContactPolicy>> {
        Ok(self.select(row::Entity::find()).await?.pop())
    }

    /// The policy, only to be read: at most one statement a transaction.
    pub async fn contact_policy(&self) -> Result<Option<Arc<ContactPolicy>>> {
        let held = self.ahead().once.policy.clone();
        if let Some(held) = held {
            return Ok(held);
        }
        let found = self.read::<ContactPolicy>(row::Entity::find()).await?.pop().map(Arc::new);
        self.ahead().once.policy = Some(found.clone());
        Ok(found)
    }

    /// Reads what [`Tx::counted_for_plan`] is going to be asked for: a statement for the people and one for the accounts, and
    /// none where the policy caps neither.
    pub async fn counted_ahead(
        &self,
        policy: &ContactPolicy,
        contacts: impl IntoIterator<Item = ContactId>,
        accounts: impl IntoIterator<Item = AccountId>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if let Some(reach) = policy.reach(CapScope::Person) {
            let contacts: BTreeSet<Uuid> = contacts.into_iter().map(Uuid::from).collect();
            let found = self.counted("contact_id", contacts, reach, Which::AlsoPlanned, now).await?;
            self.ahead().counted.people.extend(found);
        }
        if let Some(reach) = policy.reach(CapScope::Account) {
            let accounts: BTreeSet<Uuid> = accounts.into_iter().map(Uuid::from).collect();
            let found = self.counted("account_id", accounts, reach, Which::AlsoPlanned, now).await?;
            self.ahead().counted.accounts.extend(found);
        }
        Ok(())
    }

    /// The e-mails to a person, and to everybody of an account, that count for whoever plans another one: those that were
    /// begun, and those that are planned, which are going to be.
    pub async fn counted_for_plan(
        &self,
        policy: &ContactPolicy,
        contact: ContactId,
        account: Option<AccountId>,
        now: DateTime<Utc>,
    ) -> Result<Counted> {
        let held = |people: &HashMap<Uuid, Vec<DateTime<Utc>>>, id: Uuid| people.get(&id).cloned();
        let (person, company) = {
            let ahead = self.ahead();
            let company = account.map(|account| held(&ahead.counted.accounts, account.into()));
            (held(&ahead.counted.people, contact.into()), company)
        };
        let missing =
            (person.is_none().then_some(contact), company.as_ref().is_some_and(Option::is_none).then_some(account));
        self.counted_ahead(policy, missing.0, missing.1.flatten(), now).await?;
        let ahead = self.ahead();
        let people = held(&ahead.counted.people, contact.into()).unwrap_or_default();
        let accounts = account.and_then(|account| held(&ahead.counted.accounts, account.into())).unwrap_or_default();
        drop(ahead);
        Ok(Counted { person: people, account: accounts })
    }

    /// The e-mails that count for whoever begins this one: those that were begun. Until this transaction ends nobody begins
    /// another one for the person, whose row the caller has locked, nor for the account, whose turn is taken here where the
    /// policy caps accounts: two nodes cannot both see the last free place.
    pub async fn counted_for_begin(
        &self,
        policy: &ContactPolicy,
        email: &Email,
        now: DateTime<Utc>,
    ) -> Result<Counted> {
        let mut counted = Counted::default();
        if let Some(reach) = policy.reach(CapScope::Person) {
            let id = Uuid::from(email.contact);
            let mut found = self.counted("contact_id", [id].into(), reach, Which::Begun, now).await?;
            counted.person = found.remove(&id).unwrap_or_default();
        }
        if let (Some(reach), Some(account)) = (policy.reach(CapScope::Account), email.account) {
            let id = Uuid::from(account);
            self.take_turns("account cap", &[id.to_string()]).await?;
            let mut found = self.counted("account_id", [id].into(), reach, Which::Begun, now).await?;
            counted.account = found.remove(&id).unwrap_or_default();
        }
        Ok(counted)
    }

    /// The newest moments that count, of each owner in `column`: from an index, as many as the reach asks for.
    async fn counted(
        &self,
        column: &str,
        owners: BTreeSet<Uuid>,
        reach: Reach,
        which: Which,
        now: DateTime<Utc>,
    ) -> Result<HashMap<Uuid, Vec<DateTime<Utc>>>> {
        let connection = self.connection().await?;
        counted(connection, self.backend(), column, owners, reach, which, now).await
    }
}

/// The newest moments that count, of each owner in `column`: from an index, as many as the reach asks for.
async fn counted(
    connection: &impl ConnectionTrait,
    backend: DbBackend,
    column: &str,
    owners: BTreeSet<Uuid>,
    reach: Reach,
    which: Which,
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, Vec<DateTime<Utc>>>> {
    let mut counted: HashMap<Uuid, Vec<DateTime<Utc>>> = owners.iter().map(|owner| (*owner, Vec::new())).collect();
    let begun = match which {
        Which::AlsoPlanned => "",
        Which::Begun => " AND state NOT IN ('PLANNED', 'DEFERRED')",
    };
    let since = now.checked_sub_signed(reach.window).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let owners: Vec<Uuid> = owners.into_iter().collect();
    for owners in owners.chunks(CHUNK) {
        let places: Vec<String> = (0..owners.len()).map(|place| format!("${}", place + 3)).collect();
        let sql = format!(
            "SELECT owner, counted_at FROM (SELECT {column} AS owner, counted_at, ROW_NUMBER() OVER (PARTITION BY \
             {column} ORDER BY counted_at DESC) AS place FROM email WHERE {column} IN ({}) AND counted_at > $1{begun}) \
             AS newest WHERE place <= $2 ORDER BY owner, counted_at DESC",
            places.join(", ")
        );
        let values: Vec<Value> = [Value::from(ms(since)), i64::from(reach.most).into()]
            .into_iter()
            .chain(owners.iter().map(|owner| Value::from(*owner)))
            .collect();
        let statement = Statement::from_sql_and_values(backend, sql, values);
        for row in connection.query_all_raw(statement).await? {
            let owner: Uuid = row.try_get("", "owner")?;
            let at = DateTime::from_timestamp_millis(row.try_get("", "counted_at")?);
            counted.entry(owner).or_default().extend(at);
        }
    }
    Ok(counted)
}

/// The moments that count for caps, newest first, by the ids of people and of companies.
pub type CountedOf = (HashMap<Uuid, Vec<DateTime<Utc>>>, HashMap<Uuid, Vec<DateTime<Utc>>>);

impl Store {
    /// The policy, once there is one.
    pub async fn contact_policy(&self) -> Result<Option<ContactPolicy>> {
        Ok(self.all(row::Entity::find()).await?.pop())
    }

    /// The e-mails to these people, and to everybody of these companies, that count for whoever plans another one at the moment,
    /// as they are seen without a lock: as far as the policy reaches.
    pub async fn counted_of(
        &self,
        policy: &ContactPolicy,
        contacts: BTreeSet<Uuid>,
        accounts: BTreeSet<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<CountedOf> {
        let mut found = CountedOf::default();
        let (reader, backend) = (self.reader(), self.reader().get_database_backend());
        if let Some(reach) = policy.reach(CapScope::Person) {
            found.0 = counted(reader, backend, "contact_id", contacts, reach, Which::AlsoPlanned, now).await?;
        }
        if let Some(reach) = policy.reach(CapScope::Account) {
            found.1 = counted(reader, backend, "account_id", accounts, reach, Which::AlsoPlanned, now).await?;
        }
        Ok(found)
    }
}
