//! Accounts and contacts.

pub mod account_row {
    //! The account's row.
    use crate::stored::stored;
    use tandem_domain::account::Account;
    stored!(Account, "Account", "account", |account| {
        name_key: String = account.name_key.clone(),
        tier: Option<String> = account.tier.clone(),
        industry: Option<String> = account.industry.clone(),
        territory: Option<String> = account.territory.clone(),
        country: Option<String> = account.country.clone(),
    }, known_by = crate::identity::KnownBy::of);
}

pub mod contact_row {
    //! The contact's row.
    use crate::stored::stored;
    use tandem_domain::contact::Contact;
    stored!(Contact, "Contact", "contact", |contact| {
        account_id: Option<Uuid> = contact.account.map(Into::into),
        name_key: String = contact.name_key(),
        phone: Option<String> = contact.phone.clone(),
        consent: String = contact.consent.state.to_string(),
    }, known_by = crate::identity::KnownBy::of);
}

use crate::identity::tag;
use crate::page::{Page, PageOf};
use crate::{Result, Store, Stored, Tx};
use account_row::row as account;
use contact_row::row as contact;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement, Value};
use tandem_domain::account::Account;
use tandem_domain::contact::{ConsentState, Contact};
use tandem_domain::id::AccountId;
use tandem_domain::normalise::comparison_key;
use uuid::Uuid;

/// Which accounts to read. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// With this tier.
    pub tier: Option<String>,
    /// With this industry.
    pub industry: Option<String>,
    /// With this territory.
    pub territory: Option<String>,
    /// With this country.
    pub country: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// With this domain, normalised.
    pub domain: Option<String>,
    /// Whose name begins with this; case, accents and punctuation do not count.
    pub name_prefix: Option<String>,
}

/// Which contacts to read. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// With this e-mail address, normalised.
    pub email: Option<String>,
    /// With this consent.
    pub consent: Option<ConsentState>,
    /// With this tag.
    pub tag: Option<String>,
    /// Whose name begins with this; case, accents and punctuation do not count.
    pub name_prefix: Option<String>,
}

/// How many values one statement binds in a list.
const CHUNK: usize = 500;

fn tagged(tag: &str) -> sea_orm::sea_query::SelectStatement {
    tag::Entity::find().select_only().column(tag::Column::OwnerId).filter(tag::Column::Tag.eq(tag)).into_query()
}

impl Tx {
    /// The accounts with one of these compared names.
    pub async fn accounts_named(&self, name_keys: &[String]) -> Result<Vec<Account>> {
        let mut found = Vec::new();
        for keys in name_keys.chunks(CHUNK) {
            let query = account::Entity::find().filter(account::Column::NameKey.is_in(keys));
            found.extend(self.read(query.order_by_asc(account::Column::Id)).await?);
        }
        Ok(found)
    }

    /// The contacts with one of these phone numbers.
    pub async fn contacts_by_phone(&self, phones: &[String]) -> Result<Vec<Contact>> {
        let mut found = Vec::new();
        for phones in phones.chunks(CHUNK) {
            let query = contact::Entity::find().filter(contact::Column::Phone.is_in(phones));
            found.extend(self.read(query.order_by_asc(contact::Column::Id)).await?);
        }
        Ok(found)
    }
}

impl Store {
    /// A page of accounts.
    pub async fn account_page(&self, filter: &AccountFilter, page: &Page<Uuid>) -> Result<PageOf<Account>> {
        use account::Column;
        let mut query = account::Entity::find();
        for (column, value) in [
            (Column::Tier, &filter.tier),
            (Column::Industry, &filter.industry),
            (Column::Territory, &filter.territory),
            (Column::Country, &filter.country),
        ] {
            if let Some(value) = value {
                query = query.filter(column.eq(value));
            }
        }
        if let Some(tag) = &filter.tag {
            query = query.filter(Column::Id.in_subquery(tagged(tag)));
        }
        if let Some(domain) = &filter.domain {
            let owner = self.identity_owner(tandem_domain::account::BY_DOMAIN, domain).await?;
            query = query.filter(Column::Id.eq(owner.unwrap_or_default()));
        }
        if let Some(prefix) = &filter.name_prefix {
            // A compared name has no character that means something to LIKE.
            query = query.filter(Column::NameKey.starts_with(comparison_key(prefix)));
        }
        self.page(query, page).await
    }

    /// A page of contacts.
    pub async fn contact_page(&self, filter: &ContactFilter, page: &Page<Uuid>) -> Result<PageOf<Contact>> {
        use contact::Column;
        let mut query = contact::Entity::find();
        if let Some(account) = filter.account {
            query = query.filter(Column::AccountId.eq(Uuid::from(account)));
        }
        if let Some(email) = &filter.email {
            let owner = self.identity_owner(tandem_domain::contact::BY_EMAIL, email).await?;
            query = query.filter(Column::Id.eq(owner.unwrap_or_default()));
        }
        if let Some(consent) = filter.consent {
            query = query.filter(Column::Consent.eq(consent.as_str()));
        }
        if let Some(tag) = &filter.tag {
            query = query.filter(Column::Id.in_subquery(tagged(tag)));
        }
        if let Some(prefix) = &filter.name_prefix {
            // A compared name has no character that means something to LIKE.
            query = query.filter(Column::NameKey.starts_with(comparison_key(prefix)));
        }
        self.page(query, page).await
    }

    /// Up to `limit` contacts of each of these accounts, in the order of creation: one query for a whole page.
    pub async fn contacts_of(&self, accounts: &[AccountId], limit: u64) -> Result<Vec<Contact>> {
        let mut found = Vec::new();
        for accounts in accounts.chunks(CHUNK) {
            let marks = (2..accounts.len() + 2).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY id) AS place FROM contact \
                 WHERE account_id IN ({marks})) AS ranked WHERE place <= $1 ORDER BY id"
            );
            let mut values: Vec<Value> = vec![i64::try_from(limit).unwrap_or(i64::MAX).into()];
            values.extend(accounts.iter().map(|account| Value::from(Uuid::from(*account))));
            let backend = self.reader().get_database_backend();
            let statement = Statement::from_sql_and_values(backend, sql, values);
            let rows = contact::Entity::find().from_raw_sql(statement).all(self.reader()).await?;
            found.extend(
                rows.into_iter()
                    .map(|row| Contact::parts(row).map(|(contact, _)| contact))
                    .collect::<Result<Vec<_>>>()?,
            );
        }
        Ok(found)
    }
}
