//! The e-mails of a simulation on their way, and the mailboxes that they go out from, by the rules of production.

use super::tally::Reason;
use crate::calendar::Calendars;
use crate::contact_policy::Capped;
use crate::decision::{Decision, Planned};
use crate::email::{
    self, Delivery, Draft, Email, EmailState, Gate, HeldFor, Known, Mailbox, Refusal, Room, begin, give_slot, settle,
};
use crate::id::{EmailId, SendingMailboxId};
use crate::sending_mailbox::SendingMailbox;
use crate::sending_mailbox::pace::{InLine, MailboxPace, hand_out, plan_round, round_size, take};
use crate::sequence::steps::send_email::{Address, PlannedEmail};
use crate::sequence::window::Hours;
use crate::standing::Standing;
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// An e-mail that is not settled.
#[derive(Debug)]
struct Letter {
    email: Email,
    person: usize,
    run: usize,
    in_line_since: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Line<'a> {
    mailbox: &'a SendingMailbox,
    pace: MailboxPace,
    line: BTreeSet<(DateTime<Utc>, EmailId)>,
}

/// What came of a try.
pub(super) enum Tried {
    /// It waits.
    Held { email: Box<Email>, jobs: Vec<Planned>, reason: Option<Reason>, until: Option<DateTime<Utc>> },
    /// It is not sent.
    Refused { email: Box<Email> },
    /// It went out, from a mailbox on a date there.
    Went {
        begun: Box<Email>,
        settled: Box<Email>,
        mailbox: Option<(SendingMailboxId, NaiveDate)>,
        in_line_since: Option<DateTime<Utc>>,
    },
}

/// An e-mail that was given its moment, whose it is, its run, and the jobs that follow.
pub(super) type Slotted = (Option<Email>, Option<usize>, usize, Vec<Planned>);

/// All of them.
#[derive(Debug)]
pub(super) struct Letters<'a> {
    open: HashMap<EmailId, Letter>,
    made: u64,
    lines: BTreeMap<SendingMailboxId, Line<'a>>,
}

fn mailbox_of(address: Address) -> Mailbox {
    Mailbox { name: address.name, address: address.address }
}

impl<'a> Letters<'a> {
    /// None on its way. What waits in the lines of mailboxes already is not part of it.
    pub(super) fn new(
        mailboxes: &'a [SendingMailbox],
        paces: &BTreeMap<SendingMailboxId, MailboxPace>,
        start: DateTime<Utc>,
    ) -> Self {
        let line = |mailbox: &'a SendingMailbox| {
            let pace = paces.get(&mailbox.id).cloned().unwrap_or_else(|| MailboxPace::new(mailbox.id, start));
            let pace = MailboxPace { round_at: None, served: BTreeMap::new(), ..pace };
            (mailbox.id, Line { mailbox, pace, line: BTreeSet::new() })
        };
        Self { open: HashMap::new(), made: 0, lines: mailboxes.iter().map(line).collect() }
    }

    pub(super) fn get(&self, id: EmailId) -> Option<&Email> {
        self.open.get(&id).map(|letter| &letter.email)
    }

    /// The person and the run.
    pub(super) fn whose(&self, id: EmailId) -> Option<(usize, usize)> {
        self.open.get(&id).map(|letter| (letter.person, letter.run))
    }

    /// Plans an e-mail; gives it as it is on its way, and the jobs that follow.
    pub(super) fn plan(
        &mut self,
        planned: PlannedEmail,
        (name, address): (Option<String>, String),
        (standing, hours): (Standing, Option<Hours>),
        sender: &Mailbox,
        (person, run): (usize, usize),
        now: DateTime<Utc>,
    ) -> Result<(Email, Vec<Planned>), Refusal> {
        self.made += 1;
        let draft = Draft {
            // In the order in which they were planned.
            id: EmailId(Uuid::from_u64_pair(0, self.made)),
            origin: (Some(planned.enrollment), planned.step, planned.visit),
            contact: planned.contact,
            lead: planned.lead,
            account: planned.account,
            to: Mailbox { name, address },
            from: planned.from.map_or_else(|| sender.clone(), mailbox_of),
            reply_to: planned.reply_to.map(mailbox_of),
            subject: planned.subject,
            text: planned.text,
            html: planned.html,
            hours,
            transactional: planned.transactional,
            mailbox: planned.mailbox,
        };
        let known = Known { standing, contact_current: true, enrollment: Gate::Open, held_until: None };
        let Decision { next: mut email, jobs, .. } = email::plan(draft, known, now)?;
        // What is written is not needed any more, and takes room while it waits.
        (email.text, email.html) = (String::new(), None);
        let letter = Letter { email: email.clone(), person, run, in_line_since: None };
        self.open.insert(email.id, letter);
        Ok((email, jobs))
    }

    /// Tries to send an e-mail. None where it is not on its way.
    pub(super) fn deliver(
        &mut self,
        id: EmailId,
        (standing, gate): (Standing, Gate),
        capped: impl Fn(&Email) -> Option<Capped>,
        calendars: &Calendars,
        bounces: bool,
        now: DateTime<Utc>,
    ) -> Option<Tried> {
        let Letter { email, person, run, in_line_since } = self.open.remove(&id)?;
        let known = Known { standing, contact_current: true, enrollment: gate, held_until: None };
        let goes = known.obstacle().is_none() && standing == Standing::Allowed && known.enrollment == Gate::Open;
        let mut room = Room::default();
        let mut turn = None;
        if goes && !email.transactional {
            let key = email.hours.as_ref().and_then(|hours| hours.window.calendar.as_deref());
            room = Room { capped: capped(&email), calendar: key.and_then(|key| calendars.get(key)), turn: None };
            if room.opens(&email, now).is_none() {
                let line = email.mailbox.and_then(|id| self.lines.get(&id));
                turn = line.map(|line| take(line.mailbox, &line.pace, email.slot_at, now));
                room.turn = turn.as_ref().map(|(turn, ..)| *turn);
            }
        }
        let (was_held_for, mailbox) = (email.held_for, email.mailbox);
        let begun = begin(email, known, &room, now).ok()?;
        let in_line = begun.next.queued_at.is_some();
        let turn = turn.filter(|_| in_line || begun.next.state == EmailState::Sending);
        let begun = match &turn {
            Some((_, pace, true)) => plan_round(begun, pace),
            _ => begun,
        };
        if let (Some((_, pace, _)), Some(line)) = (turn, mailbox.and_then(|id| self.lines.get_mut(&id))) {
            line.pace = pace;
            if let Some(since) = begun.next.queued_at {
                line.line.insert((since, id));
            }
        }
        let Decision { next: email, facts, jobs } = begun;
        match email.state {
            EmailState::Sending => {
                let date = mailbox
                    .and_then(|id| self.lines.get(&id))
                    .map(|line| (line.mailbox.id, line.mailbox.day(now).date));
                let delivery = if bounces {
                    let response = "550 5.1.1 no such user".to_owned();
                    Delivery::Rejected { code: 550, response, recipient: true }
                } else {
                    Delivery::Accepted { response: "250 ok".to_owned() }
                };
                let settled = settle(email.clone(), email.attempts, &delivery, now).ok()?.next;
                let (begun, settled) = (Box::new(email), Box::new(settled));
                Some(Tried::Went { begun, settled, mailbox: date, in_line_since })
            }
            EmailState::Refused => Some(Tried::Refused { email: Box::new(email) }),
            _ => {
                let rule = facts.into_iter().find_map(|mut fact| fact.detail.remove("capped_by"));
                let rule = rule.and_then(|rule| rule.as_str().map(str::to_owned)).unwrap_or_default();
                let reason = match email.held_for {
                    // It is told of once, however often it is looked at.
                    Some(HeldFor::Consent) => (was_held_for != Some(HeldFor::Consent)).then_some(Reason::Consent),
                    Some(HeldFor::Hours) => Some(Reason::Window),
                    Some(HeldFor::Cap) => Some(Reason::Cap(rule)),
                    Some(HeldFor::Mailbox) => in_line_since.is_none().then_some(Reason::Mailbox),
                    Some(HeldFor::Pause) | None => None,
                };
                let until = email.expected_at;
                let in_line_since = in_line_since.or(email.queued_at);
                self.open.insert(id, Letter { email: email.clone(), person, run, in_line_since });
                Some(Tried::Held { email: Box::new(email), jobs, reason, until })
            }
        }
    }

    /// One round of a mailbox: the next e-mails of its line get their moments.
    pub(super) fn round(&mut self, mailbox: SendingMailboxId, round: u32, now: DateTime<Utc>) -> Vec<Slotted> {
        let Some(line) = self.lines.get_mut(&mailbox) else { return Vec::new() };
        let size = usize::try_from(round_size(line.mailbox)).unwrap_or(usize::MAX).saturating_add(1);
        let waiting: Vec<InLine> = line
            .line
            .iter()
            .take(size)
            .map(|(since, email)| InLine { email: *email, sequence: None, since: *since })
            .collect();
        let Ok(given) = hand_out(line.mailbox, &line.pace, round, &waiting, now) else { return Vec::new() };
        line.pace = given.next.pace;
        let mut slotted: Vec<Slotted> = vec![(None, None, 0, given.jobs)];
        for (id, at) in given.next.slots {
            let Some(letter) = self.open.get_mut(&id) else { continue };
            if let Some(since) = letter.email.queued_at {
                line.line.remove(&(since, id));
            }
            if let Some(decision) = give_slot(letter.email.clone(), at) {
                letter.email = decision.next.clone();
                slotted.push((Some(decision.next), Some(letter.person), letter.run, decision.jobs));
            }
        }
        slotted
    }
}
