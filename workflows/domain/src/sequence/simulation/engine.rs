//! The clock that is played: what falls due when, and what follows from it.
//!
//! Everything that happens is a beat. Beats come in the order of their moments; of one moment, first what is due and then
//! what is heard of, each in the order in which it was planned. That is the order of production, where the record is read to
//! runs once nothing is due.

use super::assumptions::Lot;
use super::effects::{apply, describe};
use super::letters::{Letters, Tried};
use super::outcome::{PersonPlan, Simulation};
use super::people::{Participant, People, Run};
use super::population::{Entering, MOST_DAYS, Person, Plan, Programme, Surroundings};
use super::sample::{Line, MAX_LINES};
use super::tally::{Reason, Tally};
use super::touches::Touches;
use crate::contact::ConsentState;
use crate::decision::{Decision, Job, Planned};
use crate::email::{Email, Outlook};
use crate::expression::{Broken, Refusal, with_stack_for_many};
use crate::id::{EmailId, EnrollmentId, InteractionId};
use crate::interaction::InteractionKind;
use crate::sending_mailbox::pace::MailboxPace;
use crate::sequence::calling::Request;
use crate::sequence::definition::{Definition, StopOnReply};
use crate::sequence::enrollment::{
    self, Answered, Candidate, Enrollment, EnrollmentState, FinishReason, TaskEnd, WaitReason, answered, email_settled,
    reentry_key, task_settled,
};
use crate::sequence::hearing::{CONDITIONS, EVENTS, Heard, MEETINGS, hear, listens};
use crate::sequence::publishing::{Sequence, SequenceState};
use crate::sequence::stepper::{Context, advance, wait_on};
use crate::sequence::steps::{Effect, Failure, Record, StepKind};
use crate::sequence::trigger::{Event, TriggerKind};
use crate::sequence::window::{Hours, SendWindow};
use crate::standing::Standing;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use uuid::Uuid;

/// What happens at a moment.
#[derive(Debug)]
enum Beat {
    /// Somebody is to be taken into the sequence.
    Enter(usize),
    /// A run falls due.
    Advance(usize, u32),
    /// An e-mail is to go out.
    Deliver(EmailId),
    /// A round of a mailbox.
    Round(crate::id::SendingMailboxId, u32),
    /// A task that a run waits for comes to its end.
    TaskEnds(usize, u32, TaskEnd),
    /// Somebody does something: the number of the deed, and the run whose e-mail it answers.
    Happens(usize, Deed, Option<usize>),
    /// Somebody unsubscribes.
    Unsubscribes(usize),
    /// What somebody did is heard of; it has that place on the record.
    Heard(usize, Deed, i64),
    /// Something changed that conditions read.
    Changed(usize),
}

/// What somebody does: the number of one of the recorded past, or of one that was drawn.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Recorded(usize),
    Drawn(usize),
}

#[derive(Debug)]
struct Due {
    key: (DateTime<Utc>, u8, u64),
    beat: Beat,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

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
            let day = (at - self.plan.start).num_days() + 1;
            lines.push(Line { day, at, step: step.to_owned(), visit, what, effect });
        }
    }

    fn is_followed(&self, person: usize) -> bool {
        self.lines.get(person).is_some_and(Option::is_some)
    }

    fn see(&mut self, person: usize, enrollment: Option<Value>, event: Option<&Event>, now: DateTime<Utc>) {
        if let Some(Value::Object(data)) = self.people.all.get_mut(person).map(|found| &mut found.data) {
            if let Some(enrollment) = enrollment {
                data.insert("enrollment".to_owned(), enrollment);
            }
            if self.reads_now {
                data.insert("now".to_owned(), json!(now.to_rfc3339()));
            }
            match event {
                Some(event) => data.insert("event".to_owned(), event.data()),
                None => data.remove("event"),
            };
        }
    }

    /// What conditions and templates see of a run, where they look.
    fn seen_of(&self, run: &Enrollment) -> Option<Value> {
        self.reads_enrollment.then(|| run.data())
    }

    fn context<'s>(&'s self, person: &'s Participant<'_>) -> Context<'s> {
        Context {
            data: &person.data,
            zone: person.zone(),
            standing: person.standing,
            replied: false,
            meeting_booked: false,
            sequence: SequenceState::Active,
            calendars: &self.around.calendars,
            mailboxes: &self.around.mailboxes,
            capped: None,
        }
    }

    /// Takes somebody into the sequence, or says why not.
    fn enter(&mut self, person: usize, vars: Map<String, Value>, event: Option<&Event>, now: DateTime<Utc>) {
        let Programme { version, .. } = *self.programme;
        let is = self.people.all[person].is;
        let number = u64::try_from(self.runs.len()).unwrap_or(u64::MAX);
        let candidate = Candidate {
            id: EnrollmentId(Uuid::from_u64_pair(self.plan.seed, number)),
            contact: is.contact,
            lead: is.lead,
            account: is.account,
            vars,
        };
        self.see(person, Some(candidate.data(&self.sequence, version, now)), event, now);
        let found = &self.people.all[person];
        let context = self.context(found);
        let entered = reentry_key(version, context.data).and_then(|key| {
            let runs = found.runs.iter().rev().filter_map(|run| self.runs.get(*run)).map(|run| &run.enrollment);
            let previous = { runs }.find(|run| run.reentry_key == key);
            enrollment::enroll(candidate, &self.sequence, version, previous, &context, now)
        });
        match entered {
            Err(refusal) => {
                self.line(person, now, "", 0, format!("not taken in: {} {refusal}", refusal.code()), None);
                self.tally.refused(person, refusal.code(), now);
            }
            Ok(Decision { next: mut enrollment, jobs, .. }) => {
                enrollment.hearing.since = Some(self.place);
                self.tally.began(person, &enrollment.step, now);
                let run = self.runs.len();
                let rounds = Default::default();
                self.runs.push(Run { person, enrollment, email: None, wrote: false, rounds });
                self.people.all[person].runs.push(run);
                self.plan_jobs(run, jobs);
            }
        }
    }

    /// Starts whoever a deed sets a trigger off for, by the rules of triggers.
    fn set_off(&mut self, person: usize, event: &Event, now: DateTime<Utc>) {
        let definition = self.definition;
        for trigger in &definition.header.triggers {
            let TriggerKind::Event(on) = &trigger.kind else { continue };
            if !on.event.contains(&event.kind) {
                continue;
            }
            self.see(person, Some(Value::Null), Some(event), now);
            let data = &self.people.all[person].data;
            match trigger.holds(data).and_then(|holds| holds.then(|| trigger.values(data)).transpose()) {
                Ok(Some(vars)) => self.enter(person, vars, Some(event), now),
                Ok(None) => {}
                Err(refusal) => self.tally.refused(person, refusal.code(), now),
            }
        }
    }

    /// Somebody answers: what waits for that ends.
    fn replies(&mut self, person: usize, answers: Option<usize>, now: DateTime<Utc>) {
        for run in self.people.all[person].runs.clone() {
            let answered = answers.map_or(self.runs[run].wrote, |to| to == run);
            let ends = match self.definition.header.stop_on_reply {
                StopOnReply::Any => true,
                StopOnReply::Sequence => answered,
                StopOnReply::Never => false,
            };
            if ends
                && let Some(Ok(ended)) =
                    self.live(run).map(|before| enrollment::finish(before, FinishReason::Replied, now))
            {
                self.keep(run, ended, now);
            }
        }
    }

    fn hear(&mut self, person: usize, heard: &Heard, seq: i64, now: DateTime<Utc>) {
        let wanted = match heard {
            Heard::Event(event) if event.kind == InteractionKind::Meeting => EVENTS | MEETINGS,
            Heard::Event(_) => EVENTS,
            Heard::Change | Heard::Opportunity => CONDITIONS,
        };
        if self.hears & wanted == 0 {
            return;
        }
        for run in self.people.all[person].runs.clone() {
            let Some(before) = self.live(run) else { continue };
            let seen = self.seen_of(&before);
            self.see(person, seen, None, now);
            let context = self.context(&self.people.all[person]);
            let (step, visit) = (before.step.clone(), before.visit);
            if let Some(decision) = hear(before, self.definition, &context, (heard, seq), now) {
                if decision.next.state == EnrollmentState::Active {
                    let what = match heard {
                        Heard::Event(event) => format!("hears of {}", event.kind),
                        Heard::Change | Heard::Opportunity => "the condition holds".to_owned(),
                    };
                    self.line(person, now, &step, visit, what, None);
                }
                self.keep(run, decision, now);
            }
        }
    }

    /// Whether a run whose time to go on without word of its e-mail has come has reason to wait on, as the application decides.
    fn waits_on(&self, run: usize, before: &Enrollment, now: DateTime<Utc>) -> Option<Decision<Enrollment>> {
        before.due_at.filter(|at| *at <= now)?;
        before.awaits?;
        let email = self.letters.get(self.runs[run].email?)?;
        if let Some(until) = email.is_held(now) {
            return wait_on(before.clone(), until, now);
        }
        let by = email.settled_by();
        (email.outlook() == Outlook::Wait && by > now).then(|| enrollment::waits_on(before.clone(), by))
    }

    fn advance(&mut self, run: usize, visit: u32, now: DateTime<Utc>) {
        let person = self.runs[run].person;
        let before = &self.runs[run].enrollment;
        if !before.state.is_live() || before.visit != visit {
            return;
        }
        if let Some(waits) = self.waits_on(run, before, now) {
            return self.keep(run, waits, now);
        }
        let seen = self.seen_of(before);
        self.see(person, seen, None, now);
        let before = &self.runs[run].enrollment;
        let mut context = self.context(&self.people.all[person]);
        let Ok(mut decision) = advance(before, self.definition, &context, now) else { return };
        if decision.next.effect.as_ref().is_some_and(Effect::keeps_hours) {
            context.capped = self.touches.holds(person, before.account, false, now);
            if context.capped.is_some()
                && let Ok(capped) = advance(before, self.definition, &context, now)
            {
                decision = capped;
            }
        }
        let mut taken: Vec<String> = Vec::new();
        let (mut capped_by, mut held_by) = (None, None);
        for fact in decision.facts {
            let mut detail = fact.detail;
            let text = |value: Option<Value>| match value {
                Some(Value::String(text)) => Some(text),
                _ => None,
            };
            capped_by = text(detail.remove("capped_by")).or(capped_by);
            held_by = text(detail.remove("held_by")).or(held_by);
            if let Some(Value::Array(steps)) = detail.remove("taken") {
                taken.extend(steps.into_iter().filter_map(|mut step| text(step.get_mut("step").map(Value::take))));
            }
        }
        let effect = decision.next.effect;
        let mut after = decision.next.enrollment;
        let began_to_wait = match &mut after.hearing.awaited {
            Some(awaited) if awaited.since.is_none() && !awaited.met => {
                awaited.since = Some(self.place);
                Some(awaited.until)
            }
            _ => None,
        };
        let waits_in =
            after.hearing.awaited.as_ref().is_some_and(|awaited| {
                awaited.step == after.step && taken.last().is_some_and(|last| *last == after.step)
            });
        let took = taken.len() - usize::from(waits_in);
        for step in taken.iter().take(took) {
            self.tally.done(step);
        }
        let not_taken = taken.last().is_none_or(|last| *last != after.step);
        if let EnrollmentState::Waiting(reason) = after.state
            && taken.is_empty()
        {
            let until = after.due_at.unwrap_or(now);
            let sends = || matches!(self.definition.step(&after.step), Some((_, step)) if matches!(step.kind, StepKind::SendEmail(_)));
            let reason = match (reason, held_by.as_deref()) {
                (WaitReason::Cap, _) => Some(Reason::Cap(capped_by.unwrap_or_default())),
                (WaitReason::Window, _) => Some(Reason::Window),
                (WaitReason::Event, Some("CONSENT_UNKNOWN")) => Some(Reason::Consent),
                (WaitReason::Event, None) if sends() => Some(Reason::Pool),
                _ => None,
            };
            if let Some(reason) = reason {
                self.tally.held(person, &after.step, reason, (now, until));
            }
        }
        let after_state = after.state;
        let before = std::mem::replace(&mut self.runs[run].enrollment, after);
        self.plan_jobs(run, decision.jobs);
        let mut tells_wait = !matches!(after_state, EnrollmentState::Waiting(WaitReason::Email | WaitReason::Answer));
        if let Some(effect) = effect {
            match self.act(run, effect, &before, now) {
                Acted::WaitIsTold => tells_wait = false,
                Acted::Done => {}
                Acted::Failed => return self.ended(run, true, now),
            }
        }
        if let Some(until) = began_to_wait {
            self.draw_events(run, now, until);
        }
        match after_state {
            EnrollmentState::Waiting(reason) if tells_wait && self.is_followed(person) => {
                let until = self.runs[run].enrollment.due_at.unwrap_or(now).with_timezone(&self.zone_of(run));
                let what = format!("wait ({reason}) until {}", until.format("%a %Y-%m-%d %H:%M %Z"));
                self.line(person, now, &before.step, before.visit, what, None);
            }
            state if !state.is_live() => self.ended(run, not_taken, now),
            _ => {}
        }
    }

    /// Does what a step asks for.
    fn act(&mut self, run: usize, effect: Effect, before: &Enrollment, now: DateTime<Utc>) -> Acted {
        let person = self.runs[run].person;
        let (step, visit) = effect.origin();
        let (step, visit) = (step.to_owned(), visit);
        if self.is_followed(person) {
            self.line(person, now, &step, visit, describe(&effect), Some(effect.clone()));
        }
        match effect {
            Effect::SendEmail(planned) => {
                let one = &self.people.all[person];
                let hours = self.window.clone().filter(|_| !planned.transactional);
                let hours = hours.map(|window| Hours { window, zone: one.zone() });
                let to = (one.text("name"), one.text("email").unwrap_or_default());
                match self.letters.plan(planned, to, (one.standing, hours), &self.around.sender, (person, run), now) {
                    Ok((email, jobs)) => {
                        self.runs[run].email = Some(email.id);
                        self.touches.note(person, &email);
                        self.plan_jobs(run, jobs);
                    }
                    Err(refusal) => {
                        let failure = Failure::new(refusal.code(), refusal.to_string());
                        if let Ok(failed) = enrollment::fail(before.clone(), failure, now) {
                            self.runs[run].enrollment = failed.next;
                        }
                        return Acted::Failed;
                    }
                }
            }
            Effect::CreateTask(task) => {
                self.tally.task(person, &step, task.team.as_deref(), now);
                if let Some(wait) = &task.wait {
                    let round = self.runs[run].round(&step, "task");
                    let subject = self.people.subject(person);
                    let end = self.plan.assumptions.task(self.plan.seed, subject, &step, round);
                    if let Some(end) = end.filter(|_| task.due_at <= wait.until) {
                        let until = task.due_at.with_timezone(&self.zone_of(run)).format("%a %Y-%m-%d %H:%M %Z");
                        let what = format!("wait (TASK) until {until}, when it is {end}");
                        self.line(person, now, &step, visit, what, None);
                        self.later(task.due_at, 0, Beat::TaskEnds(run, visit, end));
                        return Acted::WaitIsTold;
                    }
                }
            }
            Effect::Call(call) => {
                self.tally.effect(person, &step, Effect::Call(call.clone()).name(), now);
                let keep = match &call.request {
                    Request::Http { keep: Some(keep), .. } => {
                        let answer = self.people.all[person].data.pointer(&format!("/answers/{step}")).cloned();
                        Some((keep.name.clone(), answer.unwrap_or_default()))
                    }
                    _ => None,
                };
                let after = self.runs[run].enrollment.clone();
                if let Some(settled) = answered(after, self.definition, visit, Answered::Success(keep), now) {
                    self.keep(run, settled, now);
                }
            }
            effect => {
                self.tally.effect(person, &step, effect.name(), now);
                self.change(person, &effect, now);
            }
        }
        Acted::Done
    }

    /// Lets an effect change what is known of the person, and of everybody else whom it concerns.
    fn change(&mut self, person: usize, effect: &Effect, now: DateTime<Utc>) {
        let of_company = match effect {
            Effect::Tag(tags) => tags.of == Record::Account,
            Effect::SetField(field) => field.owner.name() == Record::Account.name(),
            Effect::Consent(_) | Effect::HandToSdr(_) => false,
            _ => return,
        };
        let concerned = if of_company { self.people.colleagues(person) } else { vec![person] };
        for one in concerned {
            let Some(found) = self.people.all.get_mut(one) else { continue };
            apply(effect, &mut found.data);
            if let Effect::Consent(consent) = effect {
                found.standing = match (consent.state, found.standing) {
                    (ConsentState::Withdrawn, Standing::Allowed | Standing::Unknown | Standing::Bounced) => {
                        Standing::Withdrawn
                    }
                    (ConsentState::Granted, Standing::Unknown | Standing::Withdrawn)
                        if found.text("email").is_some() =>
                    {
                        Standing::Allowed
                    }
                    (_, standing) => standing,
                };
            }
            if self.hears & CONDITIONS != 0 {
                self.later(now, 1, Beat::Changed(one));
            }
        }
    }

    /// Draws whether somebody does what the run has just begun to wait for.
    fn draw_events(&mut self, run: usize, now: DateTime<Utc>, until: DateTime<Utc>) {
        let plan = self.plan;
        if plan.assumptions.events.is_empty() {
            return;
        }
        let definition = self.definition;
        let (person, step) = (self.runs[run].person, self.runs[run].enrollment.step.clone());
        let Some((_, StepKind::WaitFor(config))) = definition.step(&step).map(|(at, step)| (at, &step.kind)) else {
            return;
        };
        let round = self.runs[run].round(&step, "event");
        for kind in &config.event {
            let Some(rate) = plan.assumptions.events.get(kind) else { continue };
            let lot = Lot::draw(plan.seed, self.people.subject(person), &step, round, kind.as_str());
            if lot.is_in(*rate) {
                self.drawn(person, *kind, now + lot.within(until - now), None);
            }
        }
    }

    fn drawn(&mut self, person: usize, kind: InteractionKind, at: DateTime<Utc>, answers: Option<usize>) {
        let deeds = &mut self.people.all[person].deeds;
        let number = u64::try_from(deeds.len()).unwrap_or(u64::MAX);
        let event = Event {
            id: InteractionId(Uuid::from_u64_pair(u64::try_from(person).unwrap_or(u64::MAX), number)),
            kind,
            name: kind.as_str().to_owned(),
            url: None,
            seconds: None,
            occurred_at: at,
            properties: Map::new(),
        };
        deeds.push(event);
        let deed = Deed::Drawn(deeds.len() - 1);
        self.later(at, 0, Beat::Happens(person, deed, answers));
    }

    fn deliver(&mut self, id: EmailId, now: DateTime<Utc>) {
        let Some((person, run)) = self.letters.whose(id) else { return };
        let one = &self.people.all[person];
        let state = self.runs[run].enrollment.state;
        let bounces = !self.plan.assumptions.emails.is_empty() && {
            let step = self.letters.get(id).map(|email| email.step.clone()).unwrap_or_default();
            let round = self.runs[run].rounds.get(&(step.as_str().into(), "email")).copied().unwrap_or_default();
            self.lot(person, &step, round, super::Reaction::Bounce).is_some()
        };
        let (touches, standing) = (&self.touches, one.standing);
        let capped = |email: &Email| touches.holds(person, email.account, true, now);
        let Some(tried) = self.letters.deliver(id, (standing, state), capped, &self.around.calendars, bounces, now)
        else {
            return;
        };
        match tried {
            Tried::Held { email, jobs, reason, until } => {
                self.touches.note(person, &email);
                self.plan_jobs(run, jobs);
                let step = email.step.clone();
                if let Some(reason) = reason {
                    if self.is_followed(person) {
                        let zone = self.zone_of(run);
                        let until =
                            until.map(|until| until.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %Z").to_string());
                        let until = until.map_or_else(String::new, |until| format!(" until {until}"));
                        let what = format!("the e-mail waits ({}){until}", reason.code());
                        self.line(person, now, &step, email.visit, what, None);
                    }
                    // How long a mailbox holds it up is known once it goes.
                    let until = if reason == Reason::Mailbox { now } else { until.unwrap_or(now) };
                    self.tally.held(person, &step, reason, (now, until));
                }
            }
            Tried::Refused { email } => {
                self.touches.note(person, &email);
                self.follow(run, &email, now);
            }
            Tried::Went { begun, settled, mailbox, in_line_since } => {
                self.touches.note(person, &begun);
                if let Some(since) = in_line_since {
                    self.tally.held_longer(Reason::Mailbox, since, now);
                }
                if begun.planned_at != now {
                    self.line(person, now, &begun.step, begun.visit, "the e-mail goes out".to_owned(), None);
                }
                self.tally.email(person, &begun.step, mailbox, now);
                self.runs[run].wrote = true;
                if !self.plan.assumptions.emails.is_empty() {
                    let round = self.runs[run].round(&begun.step, "email");
                    if settled.outlook() == Outlook::GoOn {
                        self.react(person, run, &begun.step, round, now);
                    }
                }
                self.follow(run, &settled, now);
            }
        }
    }

    fn lot(&self, person: usize, step: &str, round: u32, reaction: super::Reaction) -> Option<Lot> {
        let rate = *self.plan.assumptions.emails.get(&reaction)?;
        let lot = Lot::draw(self.plan.seed, self.people.subject(person), step, round, reaction.as_str());
        lot.is_in(rate).then_some(lot)
    }

    /// Draws what comes of an e-mail that was sent.
    fn react(&mut self, person: usize, run: usize, step: &str, round: u32, now: DateTime<Utc>) {
        use super::Reaction;
        let plan = self.plan;
        for reaction in plan.assumptions.emails.keys() {
            let Some(lot) = self.lot(person, step, round, *reaction) else { continue };
            let at = now + lot.within(reaction.within());
            let kind = match reaction {
                Reaction::Open => InteractionKind::EmailOpen,
                Reaction::Click => InteractionKind::EmailClick,
                Reaction::Reply => InteractionKind::EmailReply,
                Reaction::Bounce => continue,
                Reaction::Unsubscribe => {
                    self.later(at, 0, Beat::Unsubscribes(person));
                    continue;
                }
            };
            self.drawn(person, kind, at, Some(run));
        }
    }

    /// What an e-mail's fate does to the run that planned it.
    fn follow(&mut self, run: usize, email: &Email, now: DateTime<Utc>) {
        let person = self.runs[run].person;
        if email.outlook() == Outlook::Bounced
            && let Some(found) = self.people.all.get_mut(person)
            && matches!(found.standing, Standing::Allowed | Standing::Unknown)
        {
            found.standing = Standing::Bounced;
        }
        let Some(before) = self.live(run) else { return };
        let decision = match email.outlook() {
            Outlook::Wait => None,
            Outlook::GoOn => email_settled(before, email.visit, now),
            Outlook::Bounced => enrollment::bounce(before, now).ok(),
            Outlook::OptedOut => enrollment::opt_out(before, now).ok(),
        };
        if let Some(decision) = decision {
            self.keep(run, decision, now);
        }
    }

    fn result(mut self, cut_at: Option<DateTime<Utc>>) -> Simulation {
        for run in &self.runs {
            if run.enrollment.state.is_live() {
                self.tally.stands(&run.enrollment.step, run.enrollment.state.to_string());
            }
        }
        let mut plans = Vec::with_capacity(self.people.all.len());
        for (person, (one, lines)) in self.people.all.iter().zip(self.lines).enumerate() {
            plans.push(PersonPlan {
                contact: one.is.contact,
                lead: one.is.lead,
                name: one.text("name"),
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

/// What came of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acted {
    /// It happened.
    Done,
    /// It happened, and the wait that follows is told of when it ends.
    WaitIsTold,
    /// It could not be had, and the run failed.
    Failed,
}
