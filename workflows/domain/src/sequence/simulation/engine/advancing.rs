//! A run falls due: its steps, and what they do.

use super::Engine;
use super::beats::Beat;
use crate::contact::ConsentState;
use crate::decision::Decision;
use crate::email::Outlook;
use crate::sequence::calling::Request;
use crate::sequence::enrollment::{self, Answered, Enrollment, EnrollmentState, WaitReason, answered};
use crate::sequence::hearing::CONDITIONS;
use crate::sequence::simulation::assumptions::Lot;
use crate::sequence::simulation::effects::{apply, describe, hands_over, refusal};
use crate::sequence::simulation::tally::Reason;
use crate::sequence::simulation::told::{Told, moment, told, waits_at};
use crate::sequence::stepper::{advance, wait_on};
use crate::sequence::steps::send_email::POOL_WITHOUT_MAILBOX;
use crate::sequence::steps::{Effect, Failure, Record, StepKind};
use crate::sequence::window::Hours;
use crate::standing::Standing;
use chrono::{DateTime, Utc};

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

impl Engine<'_> {
    /// Whether a run whose time to go on without word of its e-mail has come has reason to wait on, as the application decides.
    fn waits_on(&self, run: usize, before: &Enrollment, now: DateTime<Utc>) -> Option<Decision<Enrollment>> {
        before.due_at.filter(|at| *at <= now)?;
        before.awaits?;
        let email = self.letters.get(self.runs[run].email?)?;
        if let Some(until) = email.is_held(now) {
            return wait_on(before.clone(), until, now);
        }
        let key = email.hours.as_ref().and_then(|hours| hours.window.calendar.as_deref());
        let by = email.settled_by(key.and_then(|key| self.around.calendars.get(key)));
        (email.outlook() == Outlook::Wait && by > now).then(|| enrollment::waits_on(before.clone(), by))
    }

    pub(super) fn advance(&mut self, run: usize, visit: u32, now: DateTime<Utc>) {
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
        let Told { taken, capped_by, held_by } = told(decision.facts);
        let effect = decision.next.effect;
        let mut after = decision.next.enrollment;
        let began_to_wait = match &mut after.hearing.awaited {
            Some(awaited) if awaited.since.is_none() && !awaited.met => {
                awaited.since = Some(self.place);
                Some(awaited.until)
            }
            _ => None,
        };
        let waits_in = after.hearing.awaited.as_ref().is_some_and(|awaited| {
            awaited.step == after.step && taken.last().is_some_and(|last| last.step == after.step)
        });
        let took = taken.len() - usize::from(waits_in);
        for one in taken.iter().take(took) {
            self.tally.done(&one.step);
        }
        for one in &taken {
            if let Some(variant) = &one.variant {
                self.line(person, now, &one.step, one.visit, format!("variant {variant}"), None);
            }
        }
        let not_taken = taken.last().is_none_or(|last| last.step != after.step);
        let hold = Self::hold(&after, capped_by, held_by.as_deref());
        let before_held = self.runs[run].held.take();
        // It is told of once, however often it is looked at.
        let told_already = hold.as_ref().is_some_and(|hold| {
            matches!(hold, Reason::Pool | Reason::Consent)
                && before_held.is_some_and(|(step, word)| step == after.step && word == hold.word())
        });
        let mut jobs = decision.jobs;
        if let Some(reason) = hold {
            let mut until = after.due_at.unwrap_or(now);
            if reason == Reason::Pool && self.has_no_mailbox(&after.step) {
                // It is published once there is such a pool, and in a simulation there never is.
                jobs.clear();
                until = self.end;
            }
            self.runs[run].held = Some((after.step.clone(), reason.word()));
            if told_already {
                self.tally.held_longer(reason, now, until);
            } else {
                self.tally.held(person, &after.step, reason, (now, until));
            }
        }
        let after_state = after.state;
        let before = std::mem::replace(&mut self.runs[run].enrollment, after);
        self.plan_jobs(run, jobs);
        let mut tells_wait =
            !told_already && !matches!(after_state, EnrollmentState::Waiting(WaitReason::Email | WaitReason::Answer));
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
                let after = &self.runs[run].enrollment;
                let (step, visit) =
                    waits_at(&before, after, &taken, held_by.is_some() || self.runs[run].held.is_some());
                let until = moment(after.due_at.unwrap_or(now), self.zone_of(run));
                // What keeps a step from being taken says more than that it waits for it.
                let held = self.runs[run].held.as_ref().filter(|(_, word)| *word == Reason::Pool.word());
                let what = match (held, held_by) {
                    (Some((_, word)), _) => format!("wait ({word})"),
                    (None, Some(held_by)) => format!("wait ({held_by}) until {until}"),
                    (None, None) => format!("wait ({reason}) until {until}"),
                };
                self.line(person, now, &step, visit, what, None);
            }
            state if !state.is_live() => self.ended(run, not_taken, now),
            _ => {}
        }
    }

    /// What holds a run up before its step, as far as that is counted.
    fn hold(run: &Enrollment, capped_by: Option<String>, held_by: Option<&str>) -> Option<Reason> {
        let EnrollmentState::Waiting(reason) = run.state else { return None };
        match (reason, held_by) {
            (WaitReason::Cap, _) => Some(Reason::Cap(capped_by.unwrap_or_default())),
            (WaitReason::Window, _) => Some(Reason::Window),
            (WaitReason::Event, Some("CONSENT_UNKNOWN")) => Some(Reason::Consent),
            (WaitReason::Event, Some(POOL_WITHOUT_MAILBOX)) => Some(Reason::Pool),
            _ => None,
        }
    }

    /// Whether the pool that a step names has no mailbox at all, not even one that is paused.
    fn has_no_mailbox(&self, step: &str) -> bool {
        let pool = self.definition.step(step).and_then(|(_, step)| step.kind.mailbox_pool());
        pool.is_some_and(|pool| self.around.mailboxes.iter().all(|mailbox| mailbox.pool != pool))
    }

    /// Does what a step asks for.
    fn act(&mut self, run: usize, effect: Effect, before: &Enrollment, now: DateTime<Utc>) -> Acted {
        let person = self.runs[run].person;
        let (step, visit) = effect.origin();
        let (step, visit) = (step.to_owned(), visit);
        if let Some(failure) = refusal(&effect, &self.people.all[person].data, self.around.fields.as_deref()) {
            return self.failed(run, before, failure, now);
        }
        if self.is_followed(person) {
            let what = describe(&effect, self.zone_of(run));
            self.line(person, now, &step, visit, what, Some(effect.clone()));
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
                        return self.failed(run, before, failure, now);
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
                        let until = moment(task.due_at, self.zone_of(run));
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
                        let answer = self.around.answers.get(&step).cloned();
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
                if let Effect::HandToSdr(handover) = &effect
                    && hands_over(&self.people.all[person].data)
                {
                    self.tally.handed(handover.team.as_deref(), now);
                }
                self.change(person, &effect, now);
            }
        }
        Acted::Done
    }

    /// An effect could not be had: the run failed before it.
    fn failed(&mut self, run: usize, before: &Enrollment, failure: Failure, now: DateTime<Utc>) -> Acted {
        if let Ok(failed) = enrollment::fail(before.clone(), failure, now) {
            self.runs[run].enrollment = failed.next;
        }
        Acted::Failed
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
            apply(effect, found.data.to_mut(), self.around.fields.as_deref(), now);
            if let Effect::Consent(consent) = effect {
                found.standing = match (consent.state, found.standing) {
                    (ConsentState::Withdrawn, Standing::Allowed | Standing::Unknown | Standing::Bounced) => {
                        Standing::Withdrawn
                    }
                    (ConsentState::Granted, Standing::Unknown) if found.text("email").is_some() => Standing::Allowed,
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
}
