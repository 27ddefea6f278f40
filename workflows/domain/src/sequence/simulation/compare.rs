//! What differs between two simulations of the same people: of two versions, or of the same one under other rules.
//!
//! Two steps are the same where they have the same id, as in [`crate::sequence::diff`].

use super::outcome::{DayCount, MailboxLoad, Mark, Simulation, StepCount, Totals};
use crate::id::{ContactId, LeadId, SendingMailboxId};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The most people whose two plans are given.
pub const MOST_CHANGED: usize = 100;

/// One thing in both; none where one of them does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Both<T> {
    /// In the first.
    pub before: Option<T>,
    /// In the second.
    pub after: Option<T>,
}

/// Somebody for whom something else happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanChange {
    /// The person.
    pub contact: ContactId,
    /// The lead, where leads run through the sequence.
    pub lead: Option<LeadId>,
    /// The name, where it is known.
    pub name: Option<String>,
    /// What happens in the first.
    pub before: Vec<Mark>,
    /// What happens in the second.
    pub after: Vec<Mark>,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// How much of each there was in both.
    pub totals: Both<Totals>,
    /// Days that differ, in order.
    pub days: Vec<Both<DayCount>>,
    /// Days of mailboxes that differ.
    pub mailboxes: Vec<Both<MailboxLoad>>,
    /// Steps that differ: those of the second in its order, then those that are gone.
    pub steps: Vec<Both<StepCount>>,
    /// For how many people something else happens.
    pub people: u64,
    /// The first of them, in the order of their ids.
    pub plans: Vec<PlanChange>,
}

fn pairs<T: Clone + PartialEq, K: Ord>(before: &[T], after: &[T], key: impl Fn(&T) -> K) -> Vec<Both<T>> {
    let mut both: BTreeMap<K, Both<T>> = BTreeMap::new();
    for one in before {
        both.entry(key(one)).or_insert(Both { before: None, after: None }).before = Some(one.clone());
    }
    for one in after {
        both.entry(key(one)).or_insert(Both { before: None, after: None }).after = Some(one.clone());
    }
    both.into_values().filter(|both| both.before != both.after).collect()
}

/// Compares two simulations; gives the plans of at most `most` people that differ, [`MOST_CHANGED`] if that is more. Somebody who takes part in one
/// of them alone counts as differing.
pub fn compare(before: &Simulation, after: &Simulation, most: usize) -> Difference {
    let plans = |simulation: &Simulation| -> BTreeMap<(ContactId, Option<LeadId>), usize> {
        simulation.plans.iter().enumerate().map(|(place, plan)| ((plan.contact, plan.lead), place)).collect()
    };
    let (was, is) = (plans(before), plans(after));
    let everybody: BTreeSet<_> = was.keys().chain(is.keys()).copied().collect();
    let (mut people, mut changed) = (0_u64, Vec::new());
    for key in everybody {
        let one = was.get(&key).and_then(|place| before.plans.get(*place));
        let other = is.get(&key).and_then(|place| after.plans.get(*place));
        let marks = |plan: Option<&super::PersonPlan>| plan.map(|plan| plan.marks.clone());
        if one.map(|plan| &plan.marks) == other.map(|plan| &plan.marks) {
            continue;
        }
        people += 1;
        if changed.len() < most.min(MOST_CHANGED) {
            let (before, after) = (marks(one).unwrap_or_default(), marks(other).unwrap_or_default());
            let name = other.or(one).and_then(|plan| plan.name.clone());
            changed.push(PlanChange { contact: key.0, lead: key.1, name, before, after });
        }
    }
    let mailbox = |load: &MailboxLoad| -> (String, Option<SendingMailboxId>, NaiveDate) {
        (load.address.clone(), load.mailbox, load.date)
    };
    let place = |count: &StepCount| after.steps.iter().position(|step| step.step == count.step);
    let steps = pairs(&before.steps, &after.steps, |count| (place(count).unwrap_or(usize::MAX), count.step.clone()));
    Difference {
        totals: Both { before: Some(before.totals.clone()), after: Some(after.totals.clone()) },
        days: pairs(&before.days, &after.days, |day| day.date),
        mailboxes: pairs(&before.mailboxes, &after.mailboxes, mailbox),
        steps,
        people,
        plans: changed,
    }
}
