//! Whom a simulation is about, and what is around them.

use super::assumptions::Assumptions;
use crate::calendar::Calendars;
use crate::contact_policy::ContactPolicy;
use crate::custom_field::CustomField;
use crate::email::Mailbox;
use crate::id::{AccountId, ContactId, LeadId, SendingMailboxId};
use crate::sending_mailbox::SendingMailbox;
use crate::sending_mailbox::pace::MailboxPace;
use crate::sequence::publishing::{Sequence, SequenceVersion};
use crate::sequence::trigger::Event;
use crate::standing::Standing;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The most days of a simulation: two years and a day to spare.
pub const MOST_DAYS: u32 = 732;

/// Somebody, as they are when the simulation begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    /// The person.
    pub contact: ContactId,
    /// The lead; needed where leads run through the sequence.
    pub lead: Option<LeadId>,
    /// The company: the lead's, else the person's.
    pub account: Option<AccountId>,
    /// The person's time zone.
    pub zone: Tz,
    /// Whether the person may be written to.
    pub standing: Standing,
    /// The variables of [`crate::sequence::environment`] but `enrollment` and `now`.
    pub data: Value,
    /// When e-mails to the person were begun that count for the caps; those older than the longest cap may be left out.
    pub touched: Vec<DateTime<Utc>>,
    /// What the person does, each at its `occurred_at`; what lies before the beginning is left out.
    pub history: Vec<Event>,
}

/// What runs.
#[derive(Debug, Clone, Copy)]
pub struct Programme<'a> {
    /// The sequence. Its id and key decide which mailbox writes to whom, and who is given which variant.
    pub sequence: &'a Sequence,
    /// The version.
    pub version: &'a SequenceVersion,
}

/// What is around the people when the simulation begins.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The rules on how often people are written to; none where there are none.
    pub policy: Option<ContactPolicy>,
    /// When e-mails to anybody of a company were begun that count for the caps, as in [`Person::touched`].
    pub accounts: BTreeMap<AccountId, Vec<DateTime<Utc>>>,
    /// The mailboxes of the pools.
    pub mailboxes: Vec<SendingMailbox>,
    /// What they have done today; one that is not named has sent nothing.
    pub paces: BTreeMap<SendingMailboxId, MailboxPace>,
    /// The working calendars.
    pub calendars: Calendars,
    /// How many tasks a day a queue can take, by the name of its team; the queue of everybody has the name "".
    pub capacities: BTreeMap<String, u32>,
    /// The sender of e-mails without one of their own.
    pub sender: Mailbox,
    /// What calls keep of their answers, by step: the same for everybody; null where nothing is given.
    pub answers: Map<String, Value>,
    /// The custom fields there are; none where nobody knows them, and any value fits.
    pub fields: Option<Vec<CustomField>>,
}

/// When people begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entering {
    /// All at the beginning.
    AtOnce,
    /// Evenly over so many days, in the order of their ids.
    Over(u32),
    /// When their recorded past sets off one of the sequence's triggers of the kind `event`.
    Triggered,
}

/// Whose plans are written out in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Follow {
    /// These people.
    pub people: BTreeSet<ContactId>,
    /// And the first so many, in the order of their ids.
    pub first: usize,
}

/// How it is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The beginning.
    pub start: DateTime<Utc>,
    /// How many days, 1 to [`MOST_DAYS`]; fewer and more count as these.
    pub days: u32,
    /// What the lots are drawn from.
    pub seed: u64,
    /// The zone in which days are counted, those of lines too, but for those of mailboxes, which have zones of their own.
    pub zone: Tz,
    /// When people begin.
    pub entering: Entering,
    /// What people do beside what is recorded.
    pub assumptions: Assumptions,
    /// Whose plans are written out.
    pub follow: Follow,
    /// After so many moments at which something happened it is cut off, so that it comes to an end in time; none for never.
    pub most_beats: Option<u64>,
}
