//! How people come into the sequence, and what their runs hear of.

use super::Engine;
use crate::decision::Decision;
use crate::id::EnrollmentId;
use crate::interaction::InteractionKind;
use crate::sequence::definition::StopOnReply;
use crate::sequence::enrollment::{self, Candidate, Enrollment, EnrollmentState, FinishReason, reentry_key};
use crate::sequence::hearing::{CONDITIONS, EVENTS, Heard, MEETINGS, hear};
use crate::sequence::publishing::SequenceState;
use crate::sequence::simulation::people::{Participant, Run};
use crate::sequence::simulation::population::Programme;
use crate::sequence::stepper::Context;
use crate::sequence::trigger::{Event, TriggerKind};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

impl Engine<'_> {
    /// Takes somebody into the sequence, or says why not.
    pub(super) fn enter(&mut self, person: usize, vars: Map<String, Value>, event: Option<&Event>, now: DateTime<Utc>) {
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
        let seen = self.reads_enrollment.then(|| candidate.data(&self.sequence, version, now));
        self.see(person, seen, event, now);
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
                self.runs.push(Run { person, enrollment, email: None, wrote: false, held: None, rounds });
                self.people.all[person].runs.push(run);
                self.plan_jobs(run, jobs);
            }
        }
    }

    /// Starts whoever a deed sets a trigger off for, by the rules of triggers.
    pub(super) fn set_off(&mut self, person: usize, event: &Event, now: DateTime<Utc>) {
        let definition = self.definition;
        for trigger in &definition.header.triggers {
            let TriggerKind::Event(on) = &trigger.kind else { continue };
            if !on.event.contains(&event.kind) {
                continue;
            }
            self.see(person, Some(Value::Null), Some(event), now);
            let data = &*self.people.all[person].data;
            match trigger.holds(data).and_then(|holds| holds.then(|| trigger.values(data)).transpose()) {
                Ok(Some(vars)) => self.enter(person, vars, Some(event), now),
                Ok(None) => {}
                Err(refusal) => self.tally.refused(person, refusal.code(), now),
            }
        }
    }

    /// Somebody answers: what waits for that ends.
    pub(super) fn replies(&mut self, person: usize, answers: Option<usize>, now: DateTime<Utc>) {
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

    pub(super) fn hear(&mut self, person: usize, heard: &Heard, seq: i64, now: DateTime<Utc>) {
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

    pub(super) fn see(&mut self, person: usize, enrollment: Option<Value>, event: Option<&Event>, now: DateTime<Utc>) {
        let Some(found) = self.people.all.get_mut(person) else { return };
        let event = event.map(Event::data);
        if enrollment.is_none() && event.is_none() && !self.reads_now && found.data.get("event").is_none() {
            return;
        }
        let Value::Object(data) = found.data.to_mut() else { return };
        if let Some(enrollment) = enrollment {
            data.insert("enrollment".to_owned(), enrollment);
        }
        if self.reads_now {
            data.insert("now".to_owned(), json!(now.to_rfc3339()));
        }
        match event {
            Some(event) => data.insert("event".to_owned(), event),
            None => data.remove("event"),
        };
    }

    /// What conditions and templates see of a run, where they look.
    pub(super) fn seen_of(&self, run: &Enrollment) -> Option<Value> {
        self.reads_enrollment.then(|| run.data())
    }

    pub(super) fn context<'s>(&'s self, person: &'s Participant<'_>) -> Context<'s> {
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
}
