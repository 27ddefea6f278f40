//! An e-mail is to go out, and what comes of it.

use super::Engine;
use super::beats::{Beat, Deed};
use crate::email::{Email, Gate, Outlook};
use crate::id::{EmailId, InteractionId};
use crate::interaction::InteractionKind;
use crate::sequence::enrollment::{self, email_settled};
use crate::sequence::simulation::Reaction;
use crate::sequence::simulation::assumptions::Lot;
use crate::sequence::simulation::letters::Tried;
use crate::sequence::simulation::tally::Reason;
use crate::sequence::simulation::told::moment;
use crate::sequence::trigger::Event;
use crate::standing::Standing;
use chrono::{DateTime, Utc};
use serde_json::Map;
use uuid::Uuid;

impl Engine<'_> {
    pub(super) fn deliver(&mut self, id: EmailId, now: DateTime<Utc>) {
        let Some((person, run)) = self.letters.whose(id) else { return };
        let one = &self.people.all[person];
        let gate = Gate::of(&self.runs[run].enrollment);
        let bounces = !self.plan.assumptions.emails.is_empty() && {
            let step = self.letters.get(id).map(|email| email.step.clone()).unwrap_or_default();
            let round = self.runs[run].rounds.get(&(step.as_str().into(), "email")).copied().unwrap_or_default();
            self.lot(person, &step, round, Reaction::Bounce).is_some()
        };
        let (touches, standing) = (&self.touches, one.standing);
        let capped = |email: &Email| touches.holds(person, email.account, true, now);
        let Some(tried) = self.letters.deliver(id, (standing, gate), capped, &self.around.calendars, bounces, now)
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
                        let until = until.map_or_else(String::new, |until| format!(" until {}", moment(until, zone)));
                        let what = format!("the e-mail waits ({}){until}", reason.word());
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

    pub(super) fn lot(&self, person: usize, step: &str, round: u32, reaction: Reaction) -> Option<Lot> {
        let rate = *self.plan.assumptions.emails.get(&reaction)?;
        let lot = Lot::draw(self.plan.seed, self.people.subject(person), step, round, reaction.as_str());
        lot.is_in(rate).then_some(lot)
    }

    /// Draws what comes of an e-mail that was sent.
    pub(super) fn react(&mut self, person: usize, run: usize, step: &str, round: u32, now: DateTime<Utc>) {
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
    pub(super) fn follow(&mut self, run: usize, email: &Email, now: DateTime<Utc>) {
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

    pub(super) fn drawn(&mut self, person: usize, kind: InteractionKind, at: DateTime<Utc>, answers: Option<usize>) {
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
}
