//! Who takes part in a simulation, as it goes on.

use super::population::Person;
use crate::id::{AccountId, EmailId};
use crate::sequence::enrollment::Enrollment;
use crate::sequence::trigger::Event;
use crate::standing::Standing;
use chrono_tz::Tz;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use uuid::Uuid;

/// Somebody as they are at the moment.
#[derive(Debug)]
pub(super) struct Participant<'a> {
    pub(super) is: &'a Person,
    /// What is known of them; a copy once it is something else than what was given.
    pub(super) data: Cow<'a, Value>,
    pub(super) standing: Standing,
    /// Their runs, oldest first.
    pub(super) runs: Vec<usize>,
    /// What they do at one time or another.
    pub(super) deeds: Vec<Event>,
}

/// A run, and what it is known to have done.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) person: usize,
    pub(super) enrollment: Enrollment,
    /// The e-mail that it waits for.
    pub(super) email: Option<EmailId>,
    /// Whether an e-mail of it went out.
    pub(super) wrote: bool,
    /// What holds it up before which step.
    pub(super) held: Option<(String, &'static str)>,
    /// How often steps of which lots are drawn were taken.
    pub(super) rounds: HashMap<(Box<str>, &'static str), u32>,
}

impl Run {
    /// How often lots were drawn for a step and for this before.
    pub(super) fn round(&mut self, step: &str, what: &'static str) -> u32 {
        let round = self.rounds.entry((step.into(), what)).or_default();
        let now = *round;
        *round = round.saturating_add(1);
        now
    }
}

/// All of them, in the order of their ids, and who belongs to which company.
#[derive(Debug)]
pub(super) struct People<'a> {
    pub(super) all: Vec<Participant<'a>>,
    colleagues: HashMap<AccountId, Vec<usize>>,
}

impl<'a> People<'a> {
    /// In the order of their ids: in whatever order they were given, the same thing happens. Whoever is given twice takes part
    /// once.
    pub(super) fn new(given: &'a [Person], companies_change: bool) -> Self {
        let mut sorted: Vec<&Person> = given.iter().collect();
        sorted.sort_by_key(|person| (person.contact, person.lead));
        sorted.dedup_by_key(|person| (person.contact, person.lead));
        let mut colleagues: HashMap<AccountId, Vec<usize>> = HashMap::new();
        if companies_change {
            for (place, person) in sorted.iter().enumerate() {
                if let Some(account) = person.account {
                    colleagues.entry(account).or_default().push(place);
                }
            }
        }
        let participant = |is: &'a Person| Participant {
            is,
            data: Cow::Borrowed(&is.data),
            standing: is.standing,
            runs: Vec::new(),
            deeds: Vec::new(),
        };
        Self { all: sorted.into_iter().map(participant).collect(), colleagues }
    }

    /// Those of the same company, the person included.
    pub(super) fn colleagues(&self, person: usize) -> Vec<usize> {
        let account = self.all.get(person).and_then(|found| found.is.account);
        account.and_then(|account| self.colleagues.get(&account)).cloned().unwrap_or_else(|| vec![person])
    }

    /// Who lots are drawn for.
    pub(super) fn subject(&self, person: usize) -> Uuid {
        let is = self.all.get(person).map(|found| found.is);
        is.map_or(Uuid::nil(), |is| is.lead.map_or(is.contact.into(), Uuid::from))
    }
}

impl Participant<'_> {
    /// The zone that counts for hours.
    pub(super) fn zone(&self) -> Tz {
        self.is.zone
    }

    /// A text of what is known of the contact.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.data.get("contact")?.get(key)?.as_str().map(str::to_owned)
    }
}
