//! The ledger's table: appended to inside every commit, read in pages, verified and exported as a stream.

use crate::page::{Page, PageOf};
use crate::{Result, Store, bulk, enrollment_step};
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, ConnectionTrait, QueryOrder, QuerySelect, Statement};
use tandem_domain::decision::Fact;
use tandem_domain::ledger::{Break, Chain, Entry, Stamp, canonical};

/// An entry and its two links.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The entry.
    pub entry: Entry,
    /// The hash of the entry before; empty for the first.
    pub previous: String,
    /// The hash of this entry.
    pub hash: String,
}

/// Which entries to read. Every condition given must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// About this thing.
    pub subject: Option<Uuid>,
    /// Concerning this lead.
    pub lead: Option<Uuid>,
    /// Concerning this account.
    pub account: Option<Uuid>,
    /// By this user.
    pub actor: Option<Uuid>,
    /// Of this kind, e.g. `handoff.accepted`; with a trailing dot, of this family, e.g. `handoff.`.
    pub kind: Option<String>,
    /// `LEDGER` or `AUDIT`.
    pub book: Option<String>,
}

mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "ledger_entry")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        pub at: i64,
        pub recorded_at: i64,
        pub book: String,
        pub kind: String,
        pub subject_kind: String,
        pub subject_id: Uuid,
        pub lead_id: Option<Uuid>,
        pub account_id: Option<Uuid>,
        pub actor_id: Option<Uuid>,
        pub actor_role: String,
        pub side: Option<String>,
        pub state_before: Option<String>,
        pub state_after: Option<String>,
        pub reason: Option<String>,
        pub rule: Option<String>,
        pub request_id: String,
        pub idempotency_key: Option<String>,
        /// The canonical JSON of the details, as text: a JSON column may re-order keys and re-write numbers.
        pub detail: String,
        pub previous: String,
        pub hash: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<row::Model> for Link {
    fn from(row: row::Model) -> Self {
        // A detail that is not the canonical form of what it says was tampered with, even where that is what it said
        // before: it reads as a value that cannot give the hash.
        let detail = serde_json::from_str(&row.detail)
            .ok()
            .filter(|detail| canonical(detail) == row.detail)
            .unwrap_or_else(|| [("unreadable".to_owned(), serde_json::Value::from(row.detail))].into_iter().collect());
        let entry = Entry {
            seq: row.seq,
            at: row.at,
            recorded_at: row.recorded_at,
            book: row.book,
            kind: row.kind,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            lead_id: row.lead_id,
            account_id: row.account_id,
            actor_id: row.actor_id,
            actor_role: row.actor_role,
            side: row.side,
            state_before: row.state_before,
            state_after: row.state_after,
            reason: row.reason,
            rule: row.rule,
            request_id: row.request_id,
            idempotency_key: row.idempotency_key,
            detail,
        };
        Self { entry, previous: row.previous, hash: row.hash }
    }
}

/// Links as they are stored, for queries that choose entries by what other tables say.
pub(crate) async fn links(connection: &impl ConnectionTrait, statement: Statement) -> Result<Vec<Link>> {
    let rows = row::Entity::find().from_raw_sql(statement).all(connection).await?;
    Ok(rows.into_iter().map(Link::from).collect())
}

fn active(link: Link) -> row::ActiveModel {
    let Link { entry, previous, hash } = link;
    row::ActiveModel {
        seq: Set(entry.seq),
        at: Set(entry.at),
        recorded_at: Set(entry.recorded_at),
        book: Set(entry.book),
        kind: Set(entry.kind),
        subject_kind: Set(entry.subject_kind),
        subject_id: Set(entry.subject_id),
        lead_id: Set(entry.lead_id),
        account_id: Set(entry.account_id),
        actor_id: Set(entry.actor_id),
        actor_role: Set(entry.actor_role),
        side: Set(entry.side),
        state_before: Set(entry.state_before),
        state_after: Set(entry.state_after),
        reason: Set(entry.reason),
        rule: Set(entry.rule),
        request_id: Set(entry.request_id),
        idempotency_key: Set(entry.idempotency_key),
        detail: Set(canonical(&entry.detail)),
        previous: Set(previous),
        hash: Set(hash),
    }
}

async fn head(connection: &impl ConnectionTrait, lock: bool) -> Result<(i64, String)> {
    let sql = if lock {
        "SELECT seq, hash FROM ledger_head WHERE id = 1 FOR UPDATE"
    } else {
        "SELECT seq, hash FROM ledger_head WHERE id = 1"
    };
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    match connection.query_one_raw(statement).await? {
        Some(row) => Ok((row.try_get("", "seq")?, row.try_get("", "hash")?)),
        None => Ok((0, String::new())),
    }
}

/// Appends facts to the chain, each under the stamp of its decision.
///
/// The head's row lock makes writers on PostgreSQL take turns; SQLite has one writer.
pub(crate) async fn append(
    connection: &impl ConnectionTrait,
    lock: bool,
    facts: impl ExactSizeIterator<Item = (&Stamp, &Fact)>,
) -> Result<()> {
    if facts.len() == 0 {
        return Ok(());
    }
    let (mut seq, mut previous) = head(connection, lock).await?;
    let mut rows = Vec::with_capacity(facts.len());
    let mut steps = Vec::new();
    for (stamp, fact) in facts {
        seq += 1;
        let entry = Entry::new(seq, stamp, fact);
        let hash = entry.hash(&previous);
        steps.extend(enrollment_step::of(&entry));
        rows.push(active(Link { entry, previous, hash: hash.clone() }));
        previous = hash;
    }
    for rows in rows.chunks(500) {
        connection.execute_raw(bulk::insert(connection.get_database_backend(), rows, None)?).await?;
    }
    enrollment_step::add(connection, &steps).await?;
    let statement = Statement::from_sql_and_values(
        connection.get_database_backend(),
        "UPDATE ledger_head SET seq = $1, hash = $2 WHERE id = 1",
        [seq.into(), previous.into()],
    );
    connection.execute_raw(statement).await?;
    Ok(())
}

/// How many entries are read at a time to check them.
const VERIFIED_AT_ONCE: u64 = 1_000;

/// A check of the chain on its way: [`Store::begin_verification`].
#[derive(Debug, Clone)]
pub struct Verification {
    /// What was checked.
    pub chain: Chain,
    /// The hash of the entry that was the last one when the check began.
    pub head: String,
    last: i64,
    end: i64,
}

impl Verification {
    fn found(&self, broken: Option<Break>) -> Verified {
        Verified { entries: self.chain.checked(), head: self.head.clone(), broken }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries were checked.
    pub entries: i64,
    /// The hash of the last one: keep it elsewhere, and nobody can cut the end off unseen.
    pub head: String,
    /// The first broken place, if there is one.
    pub broken: Option<Break>,
}

impl crate::Tx {
    /// The place of the last entry that is committed, leaving alone what is still to be written: what this transaction records
    /// comes behind it.
    pub async fn ledger_place(&self) -> Result<i64> {
        Ok(head(self.inner(), false).await?.0)
    }

    /// The place of the last entry, which may be behind what is being written beside this transaction.
    pub async fn ledger_seq(&self) -> Result<i64> {
        Ok(head(self.connection().await?, false).await?.0)
    }
}

impl Store {
    /// A page of the ledger, in the order of the chain.
    pub async fn ledger_page(&self, filter: &Filter, page: &Page<i64>) -> Result<PageOf<Link>> {
        use row::Column;
        let mut query = row::Entity::find();
        for (column, value) in [
            (Column::SubjectId, filter.subject),
            (Column::LeadId, filter.lead),
            (Column::AccountId, filter.account),
            (Column::ActorId, filter.actor),
        ] {
            if let Some(value) = value {
                query = query.filter(column.eq(value));
            }
        }
        if let Some(kind) = &filter.kind {
            query = match kind.strip_suffix('.') {
                Some(family) => {
                    query.filter(Column::Kind.gte(format!("{family}."))).filter(Column::Kind.lt(format!("{family}/")))
                }
                None => query.filter(Column::Kind.eq(kind.as_str())),
            };
        }
        if let Some(book) = &filter.book {
            query = query.filter(Column::Book.eq(book.as_str()));
        }
        if let Some(after) = page.after {
            query = query.filter(Column::Seq.gt(after));
        }
        if let Some(before) = page.before {
            query = query.filter(Column::Seq.lt(before));
        }
        let order = if page.backward { sea_orm::Order::Desc } else { sea_orm::Order::Asc };
        let rows = query.order_by(Column::Seq, order).limit(page.limit + 1).all(self.reader()).await?;
        Ok(PageOf::cut(rows.into_iter().map(Link::from).collect(), page))
    }

    /// Reads up to `limit` links from after `seq`, in the order of the chain.
    pub async fn ledger_after(&self, seq: i64, limit: u64) -> Result<Vec<Link>> {
        let rows = row::Entity::find()
            .filter(row::Column::Seq.gt(seq))
            .order_by_asc(row::Column::Seq)
            .limit(limit)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(Link::from).collect())
    }

    /// The entries of these kinds behind one place and up to another, in the order of the chain.
    pub async fn ledger_between(&self, from: i64, to: i64, kinds: &[&str]) -> Result<Vec<Entry>> {
        let rows = row::Entity::find()
            .filter(row::Column::Seq.gt(from))
            .filter(row::Column::Seq.lte(to))
            .filter(row::Column::Kind.is_in(kinds.iter().copied()))
            .order_by_asc(row::Column::Seq)
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(|row| Link::from(row).entry).collect())
    }

    /// The place and hash of the last entry.
    pub async fn ledger_head(&self) -> Result<(i64, String)> {
        head(self.reader(), false).await
    }

    /// Checks the whole chain. Entries added meanwhile are not counted.
    pub async fn verify_ledger(&self) -> Result<Verified> {
        let mut verification = self.begin_verification(Chain::default()).await?;
        loop {
            if let Some(verified) = self.verify_on(&mut verification).await? {
                return Ok(verified);
            }
        }
    }

    /// Begins to check what follows on a chain, up to the entry that is the last one now.
    pub async fn begin_verification(&self, chain: Chain) -> Result<Verification> {
        let (end, head) = self.ledger_head().await?;
        // Before the first entry there is room for what should not be there.
        let last = if chain.checked() == 0 { i64::MIN } else { chain.checked() };
        Ok(Verification { chain, last, end, head })
    }

    /// Checks up to a thousand entries more; gives what was found once all of them are checked, or one is broken.
    pub async fn verify_on(&self, verification: &mut Verification) -> Result<Option<Verified>> {
        let Verification { chain, last, end, head } = verification;
        let links = self.ledger_after(*last, VERIFIED_AT_ONCE).await?;
        let full = links.len() as u64 == VERIFIED_AT_ONCE;
        for link in links {
            *last = link.entry.seq;
            // What stands behind the head is new, unless the database still has the head that we read.
            if link.entry.seq > *end && self.ledger_head().await?.0 > *end {
                let broken = chain.finish(*end, head).err();
                return Ok(Some(verification.found(broken)));
            }
            if let Err(broken) = chain.check(&link.entry, &link.previous, &link.hash) {
                return Ok(Some(verification.found(Some(broken))));
            }
        }
        if full {
            return Ok(None);
        }
        let broken = chain.finish(*end, head).err();
        Ok(Some(verification.found(broken)))
    }
}
