//! What differs between a simulation and that of another version.

use super::{SequenceSimulationDay, SequenceSimulationMailboxDay, SequenceSimulationStep, whole};
use async_graphql::SimpleObject;
use tandem_domain::sequence::simulation::{Both, Difference};

/// What differs from the version that a simulation is compared with.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationDifference {
    /// That version, e.g. `welcome@3`.
    rule: String,
    /// For how many people something else happens.
    people: i64,
    /// The days that differ, in order.
    days: Vec<SequenceSimulationDayChange>,
    /// The days of mailboxes that differ.
    mailboxes: Vec<SequenceSimulationMailboxDayChange>,
    /// The steps that differ: in the order of the definition, then those that it does not have.
    steps: Vec<SequenceSimulationStepChange>,
}

/// A day in both.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationDayChange {
    /// In the version that it is compared with; null where nothing happens on it.
    before: Option<SequenceSimulationDay>,
    /// In the definition; null where nothing happens on it.
    after: Option<SequenceSimulationDay>,
}

/// A day of a mailbox in both.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationMailboxDayChange {
    /// In the version that it is compared with; null where it sends nothing.
    before: Option<SequenceSimulationMailboxDay>,
    /// In the definition; null where it sends nothing.
    after: Option<SequenceSimulationMailboxDay>,
}

/// A step in both.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationStepChange {
    /// In the version that it is compared with; null where that does not have it.
    before: Option<SequenceSimulationStep>,
    /// In the definition; null where that does not have it.
    after: Option<SequenceSimulationStep>,
}

fn both<T, N: for<'t> From<&'t T>>(both: &Both<T>) -> (Option<N>, Option<N>) {
    (both.before.as_ref().map(Into::into), both.after.as_ref().map(Into::into))
}

impl From<(String, Difference)> for SequenceSimulationDifference {
    fn from((rule, difference): (String, Difference)) -> Self {
        let days =
            difference.days.iter().map(both).map(|(before, after)| SequenceSimulationDayChange { before, after });
        let mailboxes = difference.mailboxes.iter().map(both);
        let mailboxes = mailboxes.map(|(before, after)| SequenceSimulationMailboxDayChange { before, after });
        let steps =
            difference.steps.iter().map(both).map(|(before, after)| SequenceSimulationStepChange { before, after });
        Self {
            rule,
            people: whole(difference.people),
            days: days.collect(),
            mailboxes: mailboxes.collect(),
            steps: steps.collect(),
        }
    }
}
