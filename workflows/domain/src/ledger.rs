//! The ledger's entries, their canonical form, and the chain that makes a change to any of them visible.
//!
//! Each entry's hash covers the hash before it and the entry's canonical JSON (RFC 8785), its place in the chain
//! included. Whoever changes, removes, inserts or re-orders an entry breaks the chain at that place.

use crate::decision::{Book, Fact};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Who acted, when, and in answer to what. It is stamped on every entry of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The user who acted; none for Tandem itself.
    pub actor: Option<Uuid>,
    /// The role acted in, or `SYSTEM`.
    pub role: String,
    /// The side the actor stands on.
    pub side: Option<String>,
    /// When it happened, to the millisecond. A recorded past keeps its own moments.
    pub at: DateTime<Utc>,
    /// When Tandem wrote it down, to the millisecond.
    pub recorded_at: DateTime<Utc>,
    /// The request that led to it.
    pub request_id: String,
    /// The idempotency key given with the request.
    pub idempotency_key: Option<String>,
    /// The W3C trace context that jobs planned here continue. It is for operators, and no part of the record.
    pub trace: Option<String>,
}

/// One entry, as it is stored, exported and verified. All moments are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The place in the chain, from 1, without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: i64,
    /// When it was written down.
    pub recorded_at: i64,
    /// `LEDGER` or `AUDIT`.
    pub book: String,
    /// What happened, e.g. `handoff.accepted`.
    pub kind: String,
    /// The type of what it is about.
    pub subject_kind: String,
    /// The id of what it is about.
    pub subject_id: Uuid,
    /// The lead concerned.
    pub lead_id: Option<Uuid>,
    /// The account concerned.
    pub account_id: Option<Uuid>,
    /// The user who acted.
    pub actor_id: Option<Uuid>,
    /// The role acted in, or `SYSTEM`.
    pub actor_role: String,
    /// The actor's side.
    pub side: Option<String>,
    /// The state before, for a transition.
    pub state_before: Option<String>,
    /// The state after, for a transition.
    pub state_after: Option<String>,
    /// The reason code.
    pub reason: Option<String>,
    /// The version of the rule that decided.
    pub rule: Option<String>,
    /// The request that led to it.
    pub request_id: String,
    /// The idempotency key of the request.
    pub idempotency_key: Option<String>,
    /// Everything else.
    pub detail: Map<String, Value>,
}

impl Entry {
    /// The entry for a fact at a place in the chain.
    pub fn new(seq: i64, stamp: &Stamp, fact: &Fact) -> Self {
        let (state_before, state_after) = fact.moved.clone().unzip();
        Self {
            seq,
            at: stamp.at.timestamp_millis(),
            recorded_at: stamp.recorded_at.timestamp_millis(),
            book: match fact.book {
                Book::Ledger => "LEDGER".to_owned(),
                Book::Audit => "AUDIT".to_owned(),
            },
            kind: fact.kind.to_owned(),
            subject_kind: fact.subject.kind.to_owned(),
            subject_id: fact.subject.id,
            lead_id: fact.lead.map(Into::into),
            account_id: fact.account.map(Into::into),
            actor_id: stamp.actor,
            actor_role: stamp.role.clone(),
            side: stamp.side.clone(),
            state_before,
            state_after,
            reason: fact.reason.clone(),
            rule: fact.rule.clone(),
            request_id: stamp.request_id.clone(),
            idempotency_key: stamp.idempotency_key.clone(),
            detail: fact.detail.clone(),
        }
    }

    /// The canonical JSON of the entry (RFC 8785). Empty where the entry holds a number that JSON has no form for,
    /// which serde's JSON values cannot.
    pub fn canonical(&self) -> String {
        canonical(self)
    }

    /// The hash that links this entry to the one before: SHA-256 of the previous hash and the canonical form,
    /// in lower-case hexadecimal.
    pub fn hash(&self, previous: &str) -> String {
        sha256_hex(&[previous.as_bytes(), b"\n", self.canonical().as_bytes()])
    }
}

/// The canonical JSON (RFC 8785) of any value that serialises.
pub fn canonical(value: &impl Serialize) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_default()
}

/// SHA-256 over the parts, in lower-case hexadecimal.
pub fn sha256_hex(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first place where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An entry's content does not give its hash.
    #[error("entry {seq} was changed: its content does not give its hash")]
    Changed {
        /// The entry.
        seq: i64,
    },
    /// An entry names another predecessor than the one it stands behind.
    #[error("entry {seq} does not follow entry {after}: it was inserted or moved, or its predecessor was replaced")]
    Misplaced {
        /// The entry.
        seq: i64,
        /// The entry it stands behind.
        after: i64,
    },
    /// A place in the chain is empty.
    #[error("entry {seq} is missing: the next one found is {found}")]
    Missing {
        /// The first missing place.
        seq: i64,
        /// The next place that is taken.
        found: i64,
    },
    /// The chain ends before the head that was recorded.
    #[error("entry {seq} is missing: the chain ends at {last}, its head says {head}")]
    Truncated {
        /// The first missing place.
        seq: i64,
        /// The last entry found.
        last: i64,
        /// The place the head names.
        head: i64,
    },
    /// Entries stand behind the recorded head, or the head's hash is another.
    #[error("entry {seq} is not what the head of the chain says (place {head}): it was added or replaced")]
    BeyondHead {
        /// The last entry found.
        seq: i64,
        /// The place the head names.
        head: i64,
    },
}

/// Checks a chain entry by entry, in the order of `seq`, holding nothing but the last link.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    seq: i64,
    hash: String,
}

impl Chain {
    /// A chain that is known up to an entry, with its place and hash: what comes next must follow on it.
    pub const fn known_up_to(seq: i64, hash: String) -> Self {
        Self { seq, hash }
    }

    /// The hash of the last entry that has passed; empty before the first.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many entries have passed.
    pub const fn checked(&self) -> i64 {
        self.seq
    }

    /// Checks the next entry against the chain so far; `previous` and `hash` are what is stored beside it.
    pub fn check(&mut self, entry: &Entry, previous: &str, hash: &str) -> Result<(), Break> {
        if entry.seq > self.seq + 1 {
            return Err(Break::Missing { seq: self.seq + 1, found: entry.seq });
        }
        if entry.seq < self.seq + 1 || previous != self.hash {
            return Err(Break::Misplaced { seq: entry.seq, after: self.seq });
        }
        if entry.hash(previous) != hash {
            return Err(Break::Changed { seq: entry.seq });
        }
        self.seq = entry.seq;
        hash.clone_into(&mut self.hash);
        Ok(())
    }

    /// Checks that the chain ends where its head says.
    pub fn finish(&self, head_seq: i64, head_hash: &str) -> Result<(), Break> {
        if head_seq > self.seq {
            return Err(Break::Truncated { seq: self.seq + 1, last: self.seq, head: head_seq });
        }
        if head_seq < self.seq || head_hash != self.hash {
            return Err(Break::BeyondHead { seq: self.seq, head: head_seq });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LeadId;

    fn chain(length: i64) -> Vec<(Entry, String, String)> {
        let at = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let stamp = Stamp {
            actor: None,
            role: "SYSTEM".into(),
            side: None,
            at,
            recorded_at: at,
            request_id: "r".into(),
            idempotency_key: None,
            trace: None,
        };
        let mut previous = String::new();
        (1..=length)
            .map(|seq| {
                let fact = Fact::ledger("lead.received", LeadId(Uuid::from_u128(seq as u128))).with("n", seq);
                let entry = Entry::new(seq, &stamp, &fact);
                let hash = entry.hash(&previous);
                let link = (entry, previous.clone(), hash.clone());
                previous = hash;
                link
            })
            .collect()
    }

    fn verify(links: &[(Entry, String, String)], head: i64, head_hash: &str) -> Result<(), Break> {
        let mut chain = Chain::default();
        for (entry, previous, hash) in links {
            chain.check(entry, previous, hash)?;
        }
        chain.finish(head, head_hash)
    }

    #[test]
    fn an_untouched_chain_passes() {
        let links = chain(9);
        assert_eq!(verify(&links, 9, &links[8].2), Ok(()));
        assert_eq!(verify(&[], 0, ""), Ok(()));
    }

    #[test]
    fn every_kind_of_tampering_is_named() {
        let links = chain(9);
        let head = links[8].2.clone();

        let mut changed = links.clone();
        changed[3].0.reason = Some("NO_NEED".into());
        assert_eq!(verify(&changed, 9, &head), Err(Break::Changed { seq: 4 }));

        // Changed with its own hash made to fit: the next one gives it away.
        let mut rehashed = changed;
        rehashed[3].2 = rehashed[3].0.hash(&rehashed[3].1);
        assert_eq!(verify(&rehashed, 9, &head), Err(Break::Misplaced { seq: 5, after: 4 }));

        let mut removed = links.clone();
        removed.remove(4);
        assert_eq!(verify(&removed, 9, &head), Err(Break::Missing { seq: 5, found: 6 }));

        let mut reordered = links.clone();
        reordered.swap(2, 3);
        assert_eq!(verify(&reordered, 9, &head), Err(Break::Missing { seq: 3, found: 4 }));

        let mut inserted = links.clone();
        inserted.insert(5, links[4].clone());
        assert_eq!(verify(&inserted, 9, &head), Err(Break::Misplaced { seq: 5, after: 5 }));

        assert_eq!(verify(&links[..8], 9, &head), Err(Break::Truncated { seq: 9, last: 8, head: 9 }));
        assert_eq!(verify(&links, 8, &links[7].2), Err(Break::BeyondHead { seq: 9, head: 8 }));
    }
}
