//! What happens to a person and the runs, in any order.

use crate::choices::Choices;
use crate::life::Person;
use crate::moves;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use tandem_domain::id::InteractionId;
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sending_mailbox::MailboxState;
use tandem_domain::sequence::backlog::Way;
use tandem_domain::sequence::enrollment::{self, EnrollmentState, ExitReason, FinishReason, PauseReason, TaskEnd};
use tandem_domain::sequence::hearing::Heard;
use tandem_domain::sequence::publishing::SequenceState;
use tandem_domain::sequence::trigger::Event;
use tandem_domain::standing::Standing;
use uuid::Uuid;

/// Which events there are beside the usual ones.
#[derive(Debug, Clone, Copy)]
pub struct Events {
    /// Whether runs are moved between versions, and little else ends them.
    pub moves: bool,
}

fn hours(choices: &mut Choices, most: usize) -> TimeDelta {
    TimeDelta::minutes(i64::try_from(choices.below(most * 60)).unwrap())
}

/// Lets as much happen as there are choices for.
pub fn happen(person: &mut Person, choices: &mut Choices, events: Events) {
    // The simplest choice is that nothing happens; those that are used up are all of that kind.
    for _ in 0..60 {
        let run = choices.below(person.runs.len());
        match choices.below(18) {
            0 => {}
            1..=3 => person.pass(hours(choices, 60)),
            4 => {
                let next = person.next_due().unwrap_or(person.now);
                person.pass((next - person.now).max(TimeDelta::zero()));
            }
            5 => settle(person, choices, run),
            6 => hear(person, choices, run),
            7 => change(person, choices),
            8 => pause(person, choices, run),
            9 => resume(person, choices, run),
            10 => pause_sequence(person, choices, run),
            // A timer of any visit fires, as after a crash.
            11 => {
                let visit = u32::try_from(choices.below(person.runs[run].enrollment.visit as usize + 1)).unwrap();
                person.advance(run, visit);
            }
            12 if !events.moves => end(person, choices, run),
            13 if !events.moves => standing(person, choices),
            12..=15 if events.moves => moves::go(person, choices, run),
            16 => {
                pause_sequence(person, choices, run);
                person.pass(hours(choices, 900));
                pause_sequence(person, choices, run);
            }
            17 => {
                pause(person, choices, run);
                person.pass(hours(choices, 900));
                resume(person, choices, run);
            }
            14 => {
                let state = if choices.once_in(2) { MailboxState::Paused } else { MailboxState::Active };
                person.mailbox.state = state;
            }
            _ => person.pass(hours(choices, 700)),
        }
        person.pass(TimeDelta::zero());
    }
}

/// The answer to some call, or the end of some task: of this visit or of another, once or again.
fn settle(person: &mut Person, choices: &mut Choices, run: usize) {
    let calls = person.runs[run].calls.clone();
    let tasks = person.runs[run].tasks.clone();
    if !calls.is_empty() {
        let newest = calls.len() - 1 - choices.below(calls.len());
        let taken = !choices.once_in(3);
        person.answer(run, calls[newest], taken);
    }
    if !tasks.is_empty() {
        let newest = tasks.len() - 1 - choices.below(tasks.len());
        let end = *choices.of(TaskEnd::ALL);
        person.end_task(run, tasks[newest], end);
    }
}

fn hear(person: &mut Person, choices: &mut Choices, run: usize) {
    let (kind, name) = *choices.of(&[
        (InteractionKind::Download, "Paper"),
        (InteractionKind::Page, "Pricing"),
        (InteractionKind::Form, "Demo"),
        (InteractionKind::Page, "Home"),
        (InteractionKind::Meeting, "Call"),
    ]);
    let event = done(person, kind, name);
    match choices.below(6) {
        5 => person.hear(run, &Heard::Opportunity),
        4 => person.hear(run, &Heard::Change),
        _ => person.hear(run, &Heard::Event(event)),
    }
}

/// What the person does now.
pub fn done(person: &Person, kind: InteractionKind, name: &str) -> Event {
    Event {
        id: InteractionId(Uuid::from_u128(u128::try_from(person.place).unwrap())),
        kind,
        name: name.to_owned(),
        url: None,
        seconds: None,
        occurred_at: person.now,
        properties: Map::new(),
    }
}

/// Somebody changes the person's data, and the runs hear of it or find it out for themselves.
fn change(person: &mut Person, choices: &mut Choices) {
    let contact = &mut person.data["contact"];
    match choices.below(6) {
        1 => contact["phone"] = Value::Null,
        2 => contact["tags"] = json!(["vip"]),
        3 => contact["custom"]["bought"] = json!("yes"),
        4 => contact["tags"] = json!(["gone"]),
        5 => contact["time_zone"] = json!("Europe/Berlin"),
        _ => contact["phone"] = json!("+49 30 901820"),
    }
    if choices.once_in(2) {
        (0..person.runs.len()).for_each(|run| person.hear(run, &Heard::Change));
    }
}

fn pause(person: &mut Person, choices: &mut Choices, run: usize) {
    let enrollment = person.runs[run].enrollment.clone();
    let until = person.now + TimeDelta::hours(1) + hours(choices, 300);
    let paused = match choices.below(3) {
        1 => enrollment::away(enrollment, until, person.now),
        2 => enrollment::pause(enrollment, PauseReason::Ops, Some(until), person.now).ok(),
        _ => enrollment::pause(enrollment, PauseReason::Manual, None, person.now).ok(),
    };
    if let Some(paused) = paused {
        person.took(run, paused);
    }
}

fn resume(person: &mut Person, choices: &mut Choices, run: usize) {
    let enrollment = person.runs[run].enrollment.clone();
    let EnrollmentState::Paused(reason) = enrollment.state else { return };
    if reason == PauseReason::Sequence && person.runs[run].sequence == SequenceState::Paused {
        return;
    }
    let resumed = match reason {
        PauseReason::Sequence => {
            let way = *choices.of(&[None, Some(Way::Skip), Some(Way::Latest)]);
            let turn = person.now + hours(choices, 48);
            person.runs[run].usual &= way.is_none();
            enrollment::resume_from_backlog(enrollment, turn, way, person.now)
        }
        _ => enrollment::resume(enrollment, person.now),
    };
    person.took(run, resumed.unwrap());
}

fn pause_sequence(person: &mut Person, choices: &mut Choices, run: usize) {
    let to = match person.runs[run].sequence {
        SequenceState::Active => SequenceState::Paused,
        SequenceState::Paused => SequenceState::Active,
        other => other,
    };
    person.runs[run].sequence = if choices.once_in(40) { SequenceState::Archived } else { to };
    if person.runs[run].sequence != SequenceState::Paused {
        resume(person, choices, run);
        let turn = person.now + hours(choices, 48);
        person.let_emails_go(run, (!choices.once_in(3)).then_some(turn));
    }
}

/// The run ends for a reason outside of it.
fn end(person: &mut Person, choices: &mut Choices, run: usize) {
    let enrollment = person.runs[run].enrollment.clone();
    let ended = match choices.below(8) {
        1 => enrollment::exit(enrollment, ExitReason::Manual, person.now),
        2 => enrollment::finish(enrollment, FinishReason::Replied, person.now),
        3 => enrollment::exit(enrollment, ExitReason::ListRemoved, person.now),
        4 => enrollment::finish(enrollment, FinishReason::Goal, person.now),
        5 => enrollment::exit(enrollment, ExitReason::Rule, person.now),
        _ => return,
    };
    if let Ok(ended) = ended {
        person.took(run, ended);
    }
}

/// Whether the person may be written to changes. Who is suppressed or withdrew the consent stays so.
fn standing(person: &mut Person, choices: &mut Choices) {
    if !matches!(person.standing, Standing::Allowed | Standing::Unknown) {
        return;
    }
    let for_good = [Standing::Suppressed, Standing::Withdrawn, Standing::OptedOut, Standing::Bounced];
    person.standing = match choices.below(8) {
        1 => *choices.of(&for_good),
        2 | 3 => Standing::Unknown,
        _ => Standing::Allowed,
    };
}
