//! The clock that is played: what falls due when, and what follows from it.
//!
//! Everything that happens is a beat. Beats come in the order of their moments; of one moment, first what is due and then
//! what is heard of, each in the order in which it was planned. That is the order of production, where the record is read to
//! runs once nothing is due.

mod advancing;
mod beats;
mod entering;
mod sending;

use super::letters::Letters;
use super::outcome::{PersonPlan, Simulation};
use super::people::{Participant, People, Run};
use super::population::{Entering, MOST_DAYS, Person, Plan, Programme, Surroundings};
use super::sample::{Line, MAX_LINES, day_of};
use super::tally::Tally;
use super::touches::Touches;
use crate::decision::{Decision, Job, Planned};
use crate::expression::{Broken, Refusal, with_stack_for_many};
use crate::interaction::InteractionKind;
use crate::sending_mailbox::pace::MailboxPace;
use crate::sequence::definition::Definition;
use crate::sequence::enrollment::{self, Enrollment, EnrollmentState, WaitReason, task_settled};
use crate::sequence::hearing::{EVENTS, Heard, MEETINGS, listens};
use crate::sequence::publishing::{Sequence, SequenceState};
use crate::sequence::steps::Effect;
use crate::sequence::trigger::Event;
use crate::sequence::window::SendWindow;
use crate::standing::Standing;
use beats::{Beat, Deed, Due};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Map;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Plays a programme over people. Given the same people, in whatever order, surroundings and plan it gives the same.
///
/// It is as if nobody had run through the sequence before. Refused is only a lack of threads, which says nothing about the
/// programme ([`Refusal::NoThread`]), or a panic ([`Refusal::Failed`]).
pub fn simulate_many(
    programme: &Programme<'_>,
    people: &[Person],
    around: &Surroundings,
    plan: &Plan,
) -> Result<Simulation, Refusal> {
    let played = with_stack_for_many(|| Engine::new(programme, people, around, plan).play());
    played.map_err(|broken| match broken {
        Broken::NoThread => Refusal::NoThread,
        Broken::Panicked => Refusal::Failed {
            source_text: programme.version.definition.header.key.clone(),
            message: "the simulation broke off".to_owned(),
        },
    })
}

struct Engine<'a> {
    programme: &'a Programme<'a>,
    definition: &'a Definition,
    sequence: Sequence,
    around: &'a Surroundings,
    plan: &'a Plan,
    window: Option<SendWindow>,
    hears: i32,
    triggered: bool,
    /// Whether a condition or a template may read `enrollment`, and `now`: what nobody looks at need not be made.
    reads_enrollment: bool,
    reads_now: bool,
    end: DateTime<Utc>,
    people: People<'a>,
    runs: Vec<Run>,
    queue: BinaryHeap<Reverse<Due>>,
    /// How many beats were planned.
    planned: u64,
    /// The last place of the record.
    place: i64,
    touches: Touches<'a>,
    letters: Letters<'a>,
    tally: Tally,
    lines: Vec<Option<Vec<Line>>>,
}

impl<'a> Engine<'a> {
    fn new(programme: &'a Programme<'a>, people: &'a [Person], around: &'a Surroundings, plan: &'a Plan) -> Self {
        let definition = &programme.version.definition;
        let header = &definition.header;
        let companies_change = definition.steps.iter().any(|step| step.kind.changes_accounts());
        let people = People::new(people, companies_change);
        let calendar = header.window_calendar().map(str::to_owned);
        let accounts = around.accounts.iter().map(|(id, touched)| (*id, touched.clone()));
        let followed = |(place, one): (usize, &Participant<'_>)| {
            (place < plan.follow.first || plan.follow.people.contains(&one.is.contact)).then(Vec::new)
        };
        // Where a name stands in none of its texts, nothing reads it. `since: enrollment` is the one setting of that name.
        let text = serde_json::to_string(definition).map(|text| text.replace("\"since\":\"enrollment\"", ""));
        let text = text.unwrap_or_else(|_| "enrollment now".to_owned());
        let days = i64::from(plan.days.clamp(1, MOST_DAYS));
        Self {
            programme,
            definition,
            sequence: Sequence { state: SequenceState::Active, ..programme.sequence.clone() },
            around,
            plan,
            window: header.send_window.clone().map(|window| SendWindow { calendar, ..window }),
            hears: listens(definition),
            triggered: plan.entering == Entering::Triggered,
            reads_enrollment: text.contains("enrollment"),
            reads_now: text.contains("now"),
            end: plan.start.checked_add_signed(TimeDelta::days(days)).unwrap_or(DateTime::<Utc>::MAX_UTC),
            touches: Touches::new(
                around.policy.as_ref(),
                people.all.iter().map(|one| one.is.touched.clone()),
                accounts,
            ),
            letters: Letters::new(&around.mailboxes, &around.paces, plan.start),
            tally: Tally::new(definition, plan, people.all.len()),
            lines: people.all.iter().enumerate().map(followed).collect(),
            runs: Vec::with_capacity(people.all.len()),
            queue: BinaryHeap::new(),
            planned: 0,
            place: 0,
            people,
        }
    }

    fn later(&mut self, at: DateTime<Utc>, rank: u8, beat: Beat) {
        if at < self.end {
            self.planned += 1;
            self.queue.push(Reverse(Due { key: (at, rank, self.planned), beat }));
        }
    }

    fn plan_jobs(&mut self, run: usize, jobs: Vec<Planned>) {
        for Planned { job, due, .. } in jobs {
            match job {
                Job::AdvanceEnrollment { visit, .. } => self.later(due, 0, Beat::Advance(run, visit)),
                Job::DeliverEmail { email } => self.later(due, 0, Beat::Deliver(email)),
                Job::SpreadMailbox { mailbox, round } => self.later(due, 0, Beat::Round(mailbox, round)),
                _ => {}
            }
        }
    }

    fn play(mut self) -> Simulation {
        self.begin();
        let (mut beats, mut cut_at) = (0_u64, None);
        while let Some(Reverse(due)) = self.queue.pop() {
            beats += 1;
            if self.plan.most_beats.is_some_and(|most| beats > most) {
                cut_at = Some(due.key.0);
                break;
            }
            self.beat(due.beat, due.key.0);
        }
        self.result(cut_at)
    }

    /// Plans what is known from the beginning.
    fn begin(&mut self) {
        let (start, count) = (self.plan.start, i64::try_from(self.people.all.len()).unwrap_or(i64::MAX).max(1));
        for (place, person) in (0_i64..).zip(0..self.people.all.len()) {
            match self.plan.entering {
                Entering::AtOnce => self.later(start, 0, Beat::Enter(person)),
                Entering::Over(days) => {
                    let span = i64::from(days.clamp(1, MOST_DAYS)) * 86_400;
                    let after = TimeDelta::seconds(span.saturating_mul(place) / count);
                    self.later(start + after, 0, Beat::Enter(person));
                }
                Entering::Triggered => {}
            }
        }
        // What nobody hears of changes nothing.
        let all = self.triggered || self.hears & (EVENTS | MEETINGS) != 0;
        for person in 0..self.people.all.len() {
            let history: &'a [Event] = &self.people.all[person].is.history;
            let mut order: Vec<usize> = (0..history.len()).collect();
            order.sort_by_key(|at| (history[*at].occurred_at, history[*at].id));
            for at in order {
                let event = &history[at];
                if event.occurred_at >= start && (all || event.kind == InteractionKind::EmailReply) {
                    self.later(event.occurred_at, 0, Beat::Happens(person, Deed::Recorded(at), None));
                }
            }
        }
    }

    fn beat(&mut self, beat: Beat, now: DateTime<Utc>) {
        match beat {
            Beat::Enter(person) => self.enter(person, Map::new(), None, now),
            Beat::Advance(run, visit) => self.advance(run, visit, now),
            Beat::Deliver(email) => self.deliver(email, now),
            Beat::Round(mailbox, round) => {
                for (email, person, run, jobs) in self.letters.round(mailbox, round, now) {
                    if let Some((email, person)) = email.zip(person) {
                        self.touches.note(person, &email);
                    }
                    self.plan_jobs(run, jobs);
                }
            }
            Beat::TaskEnds(run, visit, end) => {
                let Some(before) = self.live(run) else { return };
                if let Some(settled) = task_settled(before, self.definition, visit, end, now) {
                    self.keep(run, settled, now);
                }
            }
            Beat::Happens(person, deed, answers) => {
                self.place += 1;
                if self.deed(person, deed).kind == InteractionKind::EmailReply {
                    self.replies(person, answers, now);
                }
                self.later(now, 1, Beat::Heard(person, deed, self.place));
            }
            Beat::Unsubscribes(person) => {
                if let Some(found) = self.people.all.get_mut(person) {
                    found.standing = Standing::OptedOut;
                }
                for run in self.people.all[person].runs.clone() {
                    if let Some(Ok(ended)) = self.live(run).map(|before| enrollment::opt_out(before, now)) {
                        self.keep(run, ended, now);
                    }
                }
            }
            Beat::Heard(person, deed, seq) => {
                let event = self.deed(person, deed);
                if self.triggered {
                    self.set_off(person, &event, now);
                }
                self.hear(person, &Heard::Event(event), seq, now);
            }
            Beat::Changed(person) => {
                self.place += 1;
                self.hear(person, &Heard::Change, self.place, now);
            }
        }
    }

    fn deed(&self, person: usize, deed: Deed) -> Event {
        let one = &self.people.all[person];
        match deed {
            Deed::Recorded(at) => one.is.history[at].clone(),
            Deed::Drawn(at) => one.deeds[at].clone(),
        }
    }

    /// The run where it is live.
    fn live(&self, run: usize) -> Option<Enrollment> {
        self.runs.get(run).map(|run| &run.enrollment).filter(|enrollment| enrollment.state.is_live()).cloned()
    }

    fn zone_of(&self, run: usize) -> chrono_tz::Tz {
        self.people.all[self.runs[run].person].zone()
    }

    /// Keeps what something outside its steps made of a run.
    fn keep(&mut self, run: usize, decision: Decision<Enrollment>, now: DateTime<Utc>) {
        let answered = self.runs[run].enrollment.state == EnrollmentState::Waiting(WaitReason::Answer);
        self.plan_jobs(run, decision.jobs);
        self.runs[run].enrollment = decision.next;
        if !self.runs[run].enrollment.state.is_live() {
            self.ended(run, !answered, now);
        }
    }

    fn ended(&mut self, run: usize, not_taken: bool, now: DateTime<Utc>) {
        let Run { person, enrollment, .. } = &self.runs[run];
        let (person, state, visit) = (*person, enrollment.state.to_string(), enrollment.visit);
        let step = enrollment.step.clone();
        let why = enrollment.failure.as_ref().map(|f| format!(": {} {}", f.code, f.message)).unwrap_or_default();
        self.line(person, now, &step, visit, format!("end: {state}{why}"), None);
        self.tally.ended(person, &step, state, not_taken, now);
    }

    fn line(&mut self, person: usize, at: DateTime<Utc>, step: &str, visit: u32, what: String, effect: Option<Effect>) {
        if let Some(Some(lines)) = self.lines.get_mut(person)
            && lines.len() < MAX_LINES
        {
            let day = day_of(at, self.plan.start, self.plan.zone);
            lines.push(Line { day, at, step: step.to_owned(), visit, what, effect });
        }
    }

    fn is_followed(&self, person: usize) -> bool {
        self.lines.get(person).is_some_and(Option::is_some)
    }

    fn result(mut self, cut_at: Option<DateTime<Utc>>) -> Simulation {
        for run in &self.runs {
            if run.enrollment.state.is_live() {
                // What holds it up says more than that it waits for something.
                let held = run.held.as_ref().filter(|(step, _)| {
                    run.enrollment.state == EnrollmentState::Waiting(WaitReason::Event) && *step == run.enrollment.step
                });
                let state = match held {
                    Some((_, code)) => format!("WAITING({code})"),
                    None => run.enrollment.state.to_string(),
                };
                self.tally.stands(&run.enrollment.step, state);
            }
        }
        let mut plans = Vec::with_capacity(self.people.all.len());
        for (person, (one, lines)) in self.people.all.iter().zip(self.lines).enumerate() {
            plans.push(PersonPlan {
                contact: one.is.contact,
                lead: one.is.lead,
                name: one.text("name"),
                zone: one.zone(),
                marks: self.tally.marks(person),
                lines: lines.unwrap_or_default(),
                state: one.runs.last().and_then(|run| self.runs.get(*run)).map(|run| run.enrollment.state.to_string()),
            });
        }
        let last = (self.end - TimeDelta::nanoseconds(1)).with_timezone(&self.plan.zone).date_naive();
        let known = |id: Option<crate::id::SendingMailboxId>, date| {
            let found = id.and_then(|id| self.around.mailboxes.iter().find(|mailbox| mailbox.id == id));
            let Some(mailbox) = found else { return (self.around.sender.address.clone(), 0, None) };
            let pace: Option<&MailboxPace> = self.around.paces.get(&mailbox.id);
            let before = pace.filter(|pace| pace.day == Some(date)).map_or(0, |pace| pace.sent);
            (mailbox.address.clone(), before, Some(mailbox.allowance(date)))
        };
        Simulation {
            rule: format!("{}@{}", self.sequence.key, self.programme.version.number),
            start: self.plan.start,
            end: self.end,
            seed: self.plan.seed,
            people: self.people.all.len() as u64,
            cut_at,
            totals: self.tally.totals.clone(),
            days: self.tally.days(),
            mailboxes: self.tally.mailboxes(known),
            queues: self.tally.queues(&self.around.capacities, last),
            holds: self.tally.holds(),
            steps: self.tally.steps(),
            not_taken: std::mem::take(&mut self.tally.not_taken),
            ends: std::mem::take(&mut self.tally.ends),
            running: std::mem::take(&mut self.tally.running),
            plans,
        }
    }
}
