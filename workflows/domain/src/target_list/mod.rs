//! Target-account lists, which marketing and sales own together.
//!
//! Owns the list, the membership machine, the change requests that move it, and the immutable versions that record
//! what was agreed. Every agreed change needs two keys: one person from marketing and another from sales.
//!
//! A membership is one candidacy of one account: `proposed -> partially_approved -> active`, `active <-> suspended`,
//! `active -> removal_proposed -> removed | active`, `proposed | partially_approved -> rejected | withdrawn | expired`.
//! Its ends are final: an account that comes back gets a new membership, so that the old one keeps its record.

mod change_request;
mod keys;
mod membership;
mod refusal;
mod version;

pub use change_request::{
    ChangeKind, ChangeRequest, Edit, Evidence, Proposal, RequestState, Review, approve, edit, expire, propose, reject,
    withdraw,
};
pub use keys::{Approval, Keys, Party};
pub use membership::{
    Emergency, ListMembership, MembershipState, Suspension, end_suspension, make_permanent, restore, suspend,
};
pub use refusal::Refusal;
pub use version::{
    Entries, Entry, EntryChange, EntryChangeKind, History, ListDiff, ListVersion, Retiered, Standing, as_of, diff, fold,
};

use crate::codes;
use crate::decision::{Decision, Fact};
use crate::id::{ListId, ListVersionId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The rule that decides every change of a list, as facts name it.
pub const RULE: &str = "two-keys@1";
/// How many accounts one command may propose or approve.
pub const MOST_AT_ONCE: usize = 1_000;
/// Days that a change request stays open unless the list says otherwise.
pub const REQUEST_DAYS: u32 = 14;
/// Hours that an emergency suspension lasts at most unless the list says otherwise.
pub const SUSPENSION_HOURS: u32 = 72;

codes! {
    /// Why an account is put on a list, taken off it, moved to another tier or suspended.
    #[derive(schemars::JsonSchema)]
    pub enum ChangeReason("target-list reason") {
        /// It matches the ideal customer profile.
        IcpFit = "ICP_FIT",
        /// It shows more interest than before.
        IntentSurge = "INTENT_SURGE",
        /// Sales asked for it.
        SalesNominated = "SALES_NOMINATED",
        /// It is a customer already.
        ExistingCustomer = "EXISTING_CUSTOMER",
        /// It competes with us.
        Competitor = "COMPETITOR",
        /// Nobody sells there.
        OutOfTerritory = "OUT_OF_TERRITORY",
        /// The law or a contract forbids it.
        LegalBlock = "LEGAL_BLOCK",
        /// The same company is listed under another record.
        Duplicate = "DUPLICATE",
        /// It became part of another company.
        Merged = "MERGED",
        /// It does not match the profile any more.
        NoLongerFit = "NO_LONGER_FIT",
    }
}

/// A list of accounts that both sides work on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetAccountList {
    /// Its id.
    pub id: ListId,
    /// Its short name in files and queries; unique; lower-case letters, digits and hyphens, at most 64.
    pub key: String,
    /// The name to show; at most 120 characters.
    pub name: String,
    /// What the list is for; may be empty.
    pub description: String,
    /// Days that a change request stays open, 1 to 90.
    pub request_days: u32,
    /// Hours that an emergency suspension lasts at most, 1 to 720.
    pub suspension_hours: u32,
    /// The number of the newest version; 0 before anything was agreed.
    pub version: u32,
    /// When the newest version was made.
    pub version_at: Option<DateTime<Utc>>,
    /// When the list was made.
    pub created_at: DateTime<Utc>,
}

/// What a decision about a list leaves behind; every part is to be saved together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The list.
    pub list: TargetAccountList,
    /// The change requests concerned, in the order of the command.
    pub requests: Vec<ChangeRequest>,
    /// The memberships concerned, in the order of the command.
    pub memberships: Vec<ListMembership>,
    /// The version that was made, where the agreed state changed.
    pub version: Option<ListVersion>,
}

/// Makes a list. The key is unique, which the caller has checked.
pub fn create(list: TargetAccountList) -> Result<Decision<TargetAccountList>, Refusal> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let key = &list.key;
    if key.is_empty() || key.len() > 64 || !key.chars().all(plain) || key.starts_with('-') || key.ends_with('-') {
        return Err(Refusal::BadKey { key: key.chars().take(80).collect() });
    }
    if list.name.trim().is_empty() || list.name.chars().count() > 120 {
        return Err(Refusal::BadName);
    }
    if !(1..=90).contains(&list.request_days) {
        return Err(Refusal::BadRequestDays { given: list.request_days });
    }
    if !(1..=720).contains(&list.suspension_hours) {
        return Err(Refusal::BadSuspensionHours { given: list.suspension_hours });
    }
    let fact = Fact::ledger("list.created", list.id)
        .with("key", &list.key)
        .with("name", &list.name)
        .with("request_days", list.request_days)
        .with("suspension_hours", list.suspension_hours);
    Ok(Decision::new(TargetAccountList { version: 0, version_at: None, ..list }, fact))
}

/// Makes the next version of `list` from `changes`, or none where nothing changed, and the fact that says so.
///
/// A version's time never lies before that of the version under it, even where two machines' clocks disagree:
/// otherwise the list "as of" a moment could show a state that never was.
fn next_version(
    list: &mut TargetAccountList,
    id: ListVersionId,
    by: Option<Party>,
    changes: Vec<EntryChange>,
    now: DateTime<Utc>,
) -> Option<(ListVersion, Fact)> {
    if changes.is_empty() {
        return None;
    }
    let at = list.version_at.map_or(now, |last| last.max(now));
    let number = list.version + 1;
    (list.version, list.version_at) = (number, Some(at));
    let count = |kind| changes.iter().filter(|change| change.kind == kind).count();
    let fact = Fact::ledger("list.version_made", list.id)
        .under(RULE)
        .with("number", number)
        .with("version", id)
        .with("added", count(EntryChangeKind::Added))
        .with("removed", count(EntryChangeKind::Removed))
        .with("retiered", count(EntryChangeKind::Retiered))
        .with("suspended", count(EntryChangeKind::Suspended))
        .with("restored", count(EntryChangeKind::Restored));
    let version = ListVersion { id, list: list.id, number, at, by: by.map(|party| party.user), changes };
    Some((version, fact))
}
