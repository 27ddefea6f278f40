//! Why something about a list is refused.

use super::{MOST_AT_ONCE, MembershipState, RequestState};
use crate::access::Side;
use crate::decision::known_as;
use crate::id::{AccountId, ChangeRequestId};
use chrono::{DateTime, Utc};

/// Why a command about a target-account list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key has another form.
    #[error("`{key}` is not a list key; use 1 to 64 lower-case letters, digits and inner hyphens")]
    BadKey {
        /// What was given.
        key: String,
    },
    /// The key belongs to another list.
    #[error("a list with the key `{key}` exists; choose another key")]
    KeyTaken {
        /// The key.
        key: String,
    },
    /// The name is blank or too long.
    #[error("a list needs a name of 1 to 120 characters")]
    BadName,
    /// The life of change requests is out of range.
    #[error("change requests stay open for 1 to 90 days, not {given}")]
    BadRequestDays {
        /// What was given.
        given: u32,
    },
    /// The length of suspensions is out of range.
    #[error("an emergency suspension lasts 1 to 720 hours, not {given}")]
    BadSuspensionHours {
        /// What was given.
        given: u32,
    },
    /// A command over no accounts.
    #[error("nothing was named; give at least one account or request")]
    Empty,
    /// A command over too many accounts.
    #[error("{given} were named, at most {MOST_AT_ONCE} go into one command; split it")]
    TooMany {
        /// How many were given.
        given: usize,
    },
    /// An account named twice in one command.
    #[error("account {account} is named twice; name it once", account = known_as(.account))]
    AccountTwice {
        /// The account.
        account: AccountId,
    },
    /// A request named twice in one command.
    #[error("change request {request} is named twice; name it once", request = known_as(.request))]
    RequestTwice {
        /// The request.
        request: ChangeRequestId,
    },
    /// A request of another list.
    #[error("change request {request} belongs to another list; approve it there", request = known_as(.request))]
    OtherList {
        /// The request.
        request: ChangeRequestId,
    },
    /// No reason was given.
    #[error("give at least one reason for the change about account {account}", account = known_as(.account))]
    NoReason {
        /// The account.
        account: AccountId,
    },
    /// Too much or too long evidence, or an address that is none.
    #[error("evidence is at most 20 notes of 1 to 2,000 characters, each with at most one http or https address")]
    BadEvidence {
        /// The account.
        account: AccountId,
    },
    /// Too many words.
    #[error("write at most 2,000 characters")]
    TooLong {
        /// The input field.
        field: &'static str,
    },
    /// Adding or re-tiering without a tier.
    #[error("name the tier for account {account}", account = known_as(.account))]
    NoTier {
        /// The account.
        account: AccountId,
    },
    /// Removing with a tier.
    #[error("a removal takes no tier; leave it out for account {account}", account = known_as(.account))]
    TierNotWanted {
        /// The account.
        account: AccountId,
    },
    /// The account has the tier already.
    #[error("account {account} has the tier {tier} already", account = known_as(.account))]
    SameTier {
        /// The account.
        account: AccountId,
        /// The tier.
        tier: String,
    },
    /// The account is on the list.
    #[error(
        "account {account} is on the list already ({state}); propose a change of tier or a removal instead",
        account = known_as(.account)
    )]
    AlreadyListed {
        /// The account.
        account: AccountId,
        /// Its membership's state.
        state: MembershipState,
    },
    /// The account is not on the list.
    #[error("account {account} is not on the list; propose to add it first", account = known_as(.account))]
    NotListed {
        /// The account.
        account: AccountId,
    },
    /// Another request about the account is open.
    #[error(
        "a change request about account {account} is open; approve, edit, reject or withdraw it first",
        account = known_as(.account)
    )]
    RequestOpen {
        /// The account.
        account: AccountId,
        /// The open request.
        request: ChangeRequestId,
    },
    /// The account is suspended.
    #[error("account {account} is suspended; restore it first", account = known_as(.account))]
    Suspended {
        /// The account.
        account: AccountId,
    },
    /// Only an active account can be suspended.
    #[error(
        "account {account} is {state}, and only an active one can be suspended; decide the open request first",
        account = known_as(.account)
    )]
    NotActive {
        /// The account.
        account: AccountId,
        /// Its membership's state.
        state: MembershipState,
    },
    /// Only a suspended account can be restored or suspended for good.
    #[error(
        "account {account} is {state}, not suspended; there is nothing to end or to make permanent",
        account = known_as(.account)
    )]
    NotSuspended {
        /// The account.
        account: AccountId,
        /// Its membership's state.
        state: MembershipState,
    },
    /// The suspension is permanent.
    #[error("the suspension of account {account} is permanent already", account = known_as(.account))]
    AlreadyPermanent {
        /// The account.
        account: AccountId,
    },
    /// The suspension has run out.
    #[error("the suspension of account {account} ended at {at}; suspend it again", account = known_as(.account))]
    SuspensionOver {
        /// The account.
        account: AccountId,
        /// When.
        at: DateTime<Utc>,
    },
    /// The end of a suspension has passed or lies too far ahead.
    #[error("an emergency suspension of this list ends within {hours} hours from now; choose an earlier moment ahead")]
    BadSuspensionEnd {
        /// The most hours.
        hours: u32,
    },
    /// The request was decided before.
    #[error("change request {request} is {state}; make a new one", request = known_as(.request))]
    RequestClosed {
        /// The request.
        request: ChangeRequestId,
        /// Its state.
        state: RequestState,
    },
    /// The request ran out.
    #[error("change request {request} ran out at {at}; make a new one", request = known_as(.request))]
    RequestExpired {
        /// The request.
        request: ChangeRequestId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A timer came before its moment.
    #[error("the moment for this has not come; it is due at {at}")]
    NotDue {
        /// When it is due.
        at: DateTime<Utc>,
    },
    /// The thing changed since it was read.
    #[error(
        "this was changed since you read it (you saw revision {seen}, it is at {current}); read it again, then decide"
    )]
    StaleRevision {
        /// The revision the caller saw.
        seen: u32,
        /// The revision it has.
        current: u32,
    },
    /// A version that was not made.
    #[error("the newest version of this list is {newest}; {given} is not there yet")]
    VersionUnknown {
        /// What was given.
        given: u32,
        /// The number of the newest version.
        newest: u32,
    },
    /// Somebody without a side.
    #[error("only a person of marketing or of sales holds a key; ask one of them")]
    NoSide,
    /// The side's key has been turned.
    #[error("the key of {side} has been turned; a person from the other side must turn the second one")]
    SameSide {
        /// The side.
        side: Side,
    },
    /// One person for both sides.
    #[error("you have turned the other side's key; the second one must be turned by another person")]
    SamePerson,
    /// The proposer on the other side.
    #[error("whoever proposed a change for {side} cannot approve it for the other side; ask another person")]
    ProposerOtherSide {
        /// The side it was proposed for.
        side: Side,
    },
    /// The proposer rejects the proposal.
    #[error("this is your own proposal; withdraw it instead of rejecting it")]
    OwnRequest,
    /// Somebody else withdraws the proposal.
    #[error("only the proposer, or a colleague from the proposer's side, withdraws a proposal; reject it instead")]
    NotProposer,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKey { .. } => "LIST_BAD_KEY",
            Self::KeyTaken { .. } => "LIST_KEY_TAKEN",
            Self::BadName => "LIST_BAD_NAME",
            Self::BadRequestDays { .. } => "LIST_BAD_REQUEST_DAYS",
            Self::BadSuspensionHours { .. } => "LIST_BAD_SUSPENSION_HOURS",
            Self::Empty => "LIST_EMPTY_COMMAND",
            Self::TooMany { .. } => "LIST_TOO_MANY",
            Self::AccountTwice { .. } => "LIST_ACCOUNT_TWICE",
            Self::RequestTwice { .. } => "LIST_REQUEST_TWICE",
            Self::OtherList { .. } => "LIST_OTHER_LIST",
            Self::NoReason { .. } => "LIST_NO_REASON",
            Self::BadEvidence { .. } => "LIST_BAD_EVIDENCE",
            Self::TooLong { .. } => "LIST_TEXT_TOO_LONG",
            Self::NoTier { .. } => "LIST_NO_TIER",
            Self::TierNotWanted { .. } => "LIST_TIER_NOT_WANTED",
            Self::SameTier { .. } => "LIST_SAME_TIER",
            Self::AlreadyListed { .. } => "LIST_ALREADY_LISTED",
            Self::NotListed { .. } => "LIST_NOT_LISTED",
            Self::RequestOpen { .. } => "LIST_REQUEST_OPEN",
            Self::Suspended { .. } => "LIST_SUSPENDED",
            Self::NotActive { .. } => "LIST_NOT_ACTIVE",
            Self::NotSuspended { .. } => "LIST_NOT_SUSPENDED",
            Self::AlreadyPermanent { .. } => "LIST_ALREADY_PERMANENT",
            Self::SuspensionOver { .. } => "LIST_SUSPENSION_OVER",
            Self::BadSuspensionEnd { .. } => "LIST_BAD_SUSPENSION_END",
            Self::RequestClosed { .. } => "LIST_REQUEST_CLOSED",
            Self::RequestExpired { .. } => "LIST_REQUEST_EXPIRED",
            Self::NotDue { .. } => "LIST_NOT_DUE",
            Self::StaleRevision { .. } => "LIST_STALE_REVISION",
            Self::VersionUnknown { .. } => "LIST_VERSION_UNKNOWN",
            Self::NoSide => "LIST_NO_SIDE",
            Self::SameSide { .. } => "LIST_SAME_SIDE",
            Self::SamePerson => "LIST_SAME_PERSON",
            Self::ProposerOtherSide { .. } => "LIST_PROPOSER_OTHER_SIDE",
            Self::OwnRequest => "LIST_OWN_REQUEST",
            Self::NotProposer => "LIST_NOT_PROPOSER",
        }
    }

    /// The input field concerned, where there is one.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadKey { .. } | Self::KeyTaken { .. } => Some("key"),
            Self::BadName => Some("name"),
            Self::BadRequestDays { .. } => Some("requestDays"),
            Self::BadSuspensionHours { .. } => Some("suspensionHours"),
            Self::NoReason { .. } => Some("reasons"),
            Self::BadEvidence { .. } => Some("evidence"),
            Self::TooLong { field } => Some(field),
            Self::NoTier { .. } | Self::TierNotWanted { .. } | Self::SameTier { .. } => Some("tier"),
            Self::AccountTwice { .. } | Self::AlreadyListed { .. } | Self::NotListed { .. } => Some("accountId"),
            Self::RequestTwice { .. }
            | Self::OtherList { .. }
            | Self::RequestClosed { .. }
            | Self::RequestExpired { .. } => Some("changeRequestId"),
            Self::BadSuspensionEnd { .. } => Some("until"),
            Self::StaleRevision { .. } => Some("revision"),
            _ => None,
        }
    }

    /// The account it is about, where a command over many is refused for one of them.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::AccountTwice { account }
            | Self::NoReason { account }
            | Self::BadEvidence { account }
            | Self::NoTier { account }
            | Self::TierNotWanted { account }
            | Self::SameTier { account, .. }
            | Self::AlreadyListed { account, .. }
            | Self::NotListed { account }
            | Self::RequestOpen { account, .. }
            | Self::Suspended { account }
            | Self::NotActive { account, .. } => Some(*account),
            _ => None,
        }
    }

    /// The request it is about, where a command over many is refused for one of them.
    pub const fn request(&self) -> Option<ChangeRequestId> {
        match self {
            Self::RequestTwice { request }
            | Self::OtherList { request }
            | Self::RequestClosed { request, .. }
            | Self::RequestExpired { request, .. } => Some(*request),
            _ => None,
        }
    }
}
