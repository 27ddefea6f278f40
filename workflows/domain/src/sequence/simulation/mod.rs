//! What a definition would do, by the very rules that production uses, on a clock that is played. Nothing is stored or sent.
//!
//! ```text
//! one sample person          --simulate-->      the day-by-day plan
//! many people + surroundings --simulate_many--> who gets what when; e-mails per mailbox, tasks per queue, what was held up
//! two versions, same people  --compare-->       what differs, and for whom
//! ```
//!
//! Owns no rule of a run: steps, caps, hours, mailboxes and events are decided by [`super::stepper`],
//! [`crate::contact_policy`], [`crate::email`], [`crate::sending_mailbox`] and [`super::hearing`]. What is decided here is what
//! nobody knows beforehand: what people do. That is either a recorded past ([`Person::history`]) or [`Assumptions`], drawn
//! by a stable hash. Law: the same people, surroundings and seed give the same result, in whatever order the people come.

mod assumptions;
mod compare;
mod effects;
mod engine;
mod given;
mod letters;
mod outcome;
mod people;
mod population;
mod sample;
mod tally;
mod told;
mod touches;

pub use assumptions::{Assumed, Assumptions, AssumptionsUnfit, Rate, RateUnreadable, Reaction};
pub use compare::{Both, Difference, MOST_CHANGED, PlanChange, compare};
pub use engine::simulate_many;
pub use given::{Fault, answers_alone, of_answers, sample_with};
pub use outcome::{
    CapHold, DayCount, Hold, Holds, MailboxLoad, Mark, PersonPlan, QueueLoad, Simulation, StepCount, Totals, What,
};
pub use population::{Entering, Follow, MOST_DAYS, Person, Plan, Programme, Surroundings};
pub use sample::{Line, MAX_LINES, sample, set_interactions, simulate};
