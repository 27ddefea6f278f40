//! The person's e-mails: planned, begun and settled by the rules of the application, with whatever a mail server answers.

use super::{Due, Person};
use crate::oracle::{is_within_hours, would_be_too_many};
use chrono::{DateTime, TimeDelta, Utc};
use tandem_domain::contact_policy::Counted;
use tandem_domain::decision::Decision;
use tandem_domain::email::{self, Delivery, Draft, Email, EmailState, Gate, Known, Mailbox, Outlook, Room};
use tandem_domain::id::EmailId;
use tandem_domain::sequence::Definition;
use tandem_domain::sequence::enrollment::{self, Enrollment, EnrollmentState, email_settled};
use tandem_domain::sequence::publishing::SequenceState;
use tandem_domain::sequence::stepper::wait_on;
use tandem_domain::sequence::steps::send_email::PlannedEmail;
use tandem_domain::sequence::window::{Hours, SendWindow};
use tandem_domain::standing::Standing;
use uuid::Uuid;

impl Person {
    /// Plans the e-mail that a step asks for.
    pub(super) fn write(&mut self, run: usize, planned: &PlannedEmail, definition: &Definition) {
        let header = &definition.header;
        let calendar = header.window_calendar().map(str::to_owned);
        let window = header.send_window.clone().map(|window| SendWindow { calendar, ..window });
        let hours = window.map(|window| Hours { window, zone: self.zone }).filter(|_| !planned.transactional);
        let draft = Draft {
            id: EmailId(Uuid::from_u128(self.emails.len() as u128)),
            origin: (Some(planned.enrollment), planned.step.clone(), planned.visit),
            contact: planned.contact,
            lead: planned.lead,
            account: planned.account,
            to: Mailbox::bare("sam@example.com"),
            from: Mailbox::bare("us@example.com"),
            reply_to: None,
            subject: planned.subject.clone(),
            text: planned.text.clone(),
            html: planned.html.clone(),
            hours,
            transactional: planned.transactional,
            mailbox: planned.mailbox,
        };
        let known = self.known(run);
        let email = email::plan(draft, Known { enrollment: Gate::Open, ..known }, self.now).unwrap();
        self.emails.push(email.next);
        self.plan_jobs(None, Some(self.emails.len() - 1), &email.jobs);
    }

    pub(super) fn counted(&self, begun_alone: bool) -> Counted {
        let waits = |email: &&Email| matches!(email.state, EmailState::Planned | EmailState::Deferred);
        let counts = self.emails.iter().filter(|email| !(begun_alone && waits(email)));
        let mut moments: Vec<DateTime<Utc>> = counts.filter_map(Email::counts_at).collect();
        moments.sort_unstable_by(|a, b| b.cmp(a));
        Counted { person: moments.clone(), account: moments }
    }

    /// When the e-mails were begun that may have reached the person. One that a mail server put off has not; it is begun again.
    pub(super) fn begun(&self) -> Vec<DateTime<Utc>> {
        let sent = [EmailState::Sending, EmailState::Sent, EmailState::Bounced, EmailState::Unknown];
        let counts = self.emails.iter().filter(|email| !email.transactional && sent.contains(&email.state));
        counts.filter_map(|email| email.begun_at).collect()
    }

    /// The e-mail that a run waits for is itself held up: then the run waits on.
    pub(super) fn waits_on(&self, run: usize) -> Option<Decision<Enrollment>> {
        let before = &self.runs[run].enrollment;
        let visit = before.awaits.filter(|_| before.due_at.is_some_and(|at| at <= self.now))?;
        let email = self.emails.iter().find(|it| it.enrollment == Some(before.id) && it.visit == visit)?;
        if let Some(until) = email.is_held(self.now) {
            return wait_on(before.clone(), until, self.now);
        }
        let key = email.hours.as_ref().and_then(|hours| hours.window.calendar.as_ref());
        let by = email.settled_by(key.map(|key| &self.calendars[key]));
        let waits = email.outlook() == Outlook::Wait && by > self.now;
        waits.then(|| enrollment::waits_on(before.clone(), by))
    }

    pub(super) fn known(&self, run: usize) -> Known {
        let enrollment = &self.runs[run].enrollment;
        Known {
            standing: self.standing,
            contact_current: true,
            enrollment: Gate::of(enrollment).within(enrollment.sequence, self.runs[run].sequence),
            held_until: enrollment.held.and_then(|held| held.until),
        }
    }

    /// The three beats of an e-mail, of which the last may not come.
    pub(super) fn deliver(&mut self, at: usize) {
        let email = self.emails[at].clone();
        let run = self.runs.iter().position(|run| Some(run.enrollment.id) == email.enrollment).unwrap();
        if email.state == EmailState::Sending {
            self.settle(at, run, email::recover(email, self.now).unwrap());
            return;
        }
        let capped = self.policy.holds(&self.counted(true), self.now);
        let calendar = email.hours.as_ref().and_then(|hours| hours.window.calendar.as_ref());
        let room = Room { calendar: calendar.map(|key| &self.calendars[key]), capped, turn: None };
        let known = self.known(run);
        let Ok(begun) = email::begin(email, known, &room, self.now) else { return };
        if begun.next.state != EmailState::Sending {
            self.settle(at, run, begun);
            return;
        }
        self.may_still_be_written(run);
        let transactional = begun.next.transactional;
        assert_eq!((known.standing, known.enrollment), (Standing::Allowed, Gate::Open));
        // Whichever version planned it: the hours are those of that version.
        if let Some(hours) = begun.next.hours.as_ref().filter(|_| !transactional) {
            let version = self.runs[run].versions.iter().find(|version| {
                version.definition.header.send_window.as_ref().is_some_and(|window| {
                    let calendar = version.definition.header.window_calendar().map(str::to_owned);
                    SendWindow { calendar, ..window.clone() } == hours.window
                })
            });
            assert!(
                is_within_hours(version.unwrap(), self.calendars, self.now, self.zone),
                "{} {}",
                self.now,
                self.zone
            );
        }
        let many = would_be_too_many(&self.policy, &self.begun(), self.now);
        assert!(transactional || !many, "begun although it is too many: {:?}", begun.next);
        let attempts = begun.next.attempts;
        self.emails[at] = begun.next.clone();
        let fate = match self.fates.below(10) {
            1 | 2 => Delivery::Deferred { code: 451, response: "later".to_owned() },
            3 => Delivery::Unreached { error: "no way".to_owned() },
            4 => Delivery::Rejected { code: 554, response: "5.7.1 policy".to_owned(), recipient: false },
            5 => Delivery::Unknown { error: "reset".to_owned() },
            // The process dies, and the job runs again once its lease is over.
            6 => return self.plan(self.now + TimeDelta::seconds(30), Due::Deliver { email: at }),
            _ => Delivery::Accepted { response: "ok".to_owned() },
        };
        let settled = email::settle(begun.next, attempts, &fate, self.now).unwrap();
        self.settle(at, run, settled);
    }

    /// No e-mail goes out after the exit of its run, however long it waited: only one that came to its end by its own steps, or
    /// could not take a step, leaves what it planned.
    fn may_still_be_written(&self, run: usize) {
        let enrollment = &self.runs[run].enrollment;
        let left_alone = enrollment.memory.ended_by_step || enrollment.state == EnrollmentState::Failed;
        assert!(enrollment.state.is_live() || left_alone, "an e-mail after the exit: {enrollment:?}");
        let sequence = self.runs[run].sequence;
        assert_eq!(sequence, SequenceState::Active, "an e-mail of a sequence that somebody stopped: {enrollment:?}");
    }

    /// What becomes of the e-mails that a sequence held, now that it goes on or never will.
    pub fn let_emails_go(&mut self, run: usize, turn: Option<DateTime<Utc>>) {
        let (id, archived) = (self.runs[run].enrollment.id, self.runs[run].sequence == SequenceState::Archived);
        for at in 0..self.emails.len() {
            if self.emails[at].enrollment != Some(id) {
                continue;
            }
            let email = self.emails[at].clone();
            let decision = match turn {
                _ if archived => email::withdraw(email, self.now),
                Some(turn) => email::release(email, turn),
                None => email::skip(email, self.now),
            };
            if let Some(decision) = decision {
                self.settle(at, run, decision);
            }
        }
    }

    pub(super) fn settle(&mut self, at: usize, run: usize, decision: Decision<Email>) {
        self.plan_jobs(None, Some(at), &decision.jobs);
        self.emails[at] = decision.next;
        let (email, enrollment) = (&self.emails[at], self.runs[run].enrollment.clone());
        if !enrollment.state.is_live() {
            return;
        }
        let followed = match email.outlook() {
            Outlook::Wait => None,
            Outlook::GoOn => email_settled(enrollment, email.visit, self.now),
            Outlook::Bounced => enrollment::bounce(enrollment, self.now).ok(),
            Outlook::OptedOut => enrollment::opt_out(enrollment, self.now).ok(),
        };
        if let Some(followed) = followed {
            self.took(run, followed);
        }
    }
}
