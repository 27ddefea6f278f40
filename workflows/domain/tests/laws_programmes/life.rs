//! One person with some runs, everything around them that moves them, and the laws that are held against each beat.
//!
//! It stands in for the application: it plays the jobs in the order in which they fall due, keeps e-mails, calls and tasks, and
//! does to the person's data what effects do.

mod mails;

use crate::choices::Choices;
use crate::oracle::{is_within_hours, reach, would_be_too_many};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use tandem_domain::calendar::Calendars;
use tandem_domain::contact::ConsentState;
use tandem_domain::contact_policy::ContactPolicy;
use tandem_domain::decision::{Decision, Job};
use tandem_domain::email::{Email, Outlook};
use tandem_domain::id::{ContactId, EnrollmentId, LeadId, SendingMailboxId, SequenceId, SequenceVersionId};
use tandem_domain::normalise;
use tandem_domain::sending_mailbox::{MailboxState, SendingMailbox};
use tandem_domain::sequence::calling::Request;
use tandem_domain::sequence::enrollment::{
    self, Answered, Candidate, Enrollment, EnrollmentState, TaskEnd, WaitReason, answered, task_settled,
};
use tandem_domain::sequence::hearing::{Heard, hear};
use tandem_domain::sequence::publishing::{self, By, Sequence, SequenceState, SequenceVersion};
use tandem_domain::sequence::simulation::sample;
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::sequence::steps::{Failure, Record};
use tandem_domain::sequence::{Definition, Effect, SubjectKind, validate};
use tandem_domain::standing::Standing;
use uuid::Uuid;

/// An effect, and when it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    pub at: DateTime<Utc>,
    pub effect: Effect,
}

/// One run, and what it left behind.
pub struct Run {
    pub enrollment: Enrollment,
    pub versions: Vec<SequenceVersion>,
    /// The place of its version.
    pub on: usize,
    pub sequence: SequenceState,
    pub effects: Vec<Happened>,
    /// The steps whose effect it left out since it was behind, and when.
    pub left_out: Vec<(DateTime<Utc>, String)>,
    /// The visits of the calls and of the tasks that it asked for.
    pub calls: Vec<u32>,
    pub tasks: Vec<u32>,
    /// Whether no version has a way back and nobody allowed a repetition: then no step has two effects.
    pub once: bool,
    /// Whether it came to where it is by its version alone: it was not moved, and left nothing out of a backlog.
    pub usual: bool,
}

/// Something that falls due. At one moment, people come before timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Task { run: usize, visit: u32 },
    Answer { run: usize, visit: u32 },
    Advance { run: usize, visit: u32 },
    Wake { run: usize, visit: u32 },
    Deliver { email: usize },
}

/// One person.
pub struct Person {
    pub runs: Vec<Run>,
    pub now: DateTime<Utc>,
    pub zone: Tz,
    pub standing: Standing,
    pub data: Value,
    pub policy: ContactPolicy,
    pub mailbox: SendingMailbox,
    pub emails: Vec<Email>,
    /// What mail servers answer; used up, everything is taken.
    pub fates: Choices,
    /// Whether calls are answered, and tasks done in time, by themselves.
    pub helpful: bool,
    pub place: i64,
    calendars: &'static Calendars,
    due: BTreeMap<(DateTime<Utc>, bool, usize), Due>,
    order: usize,
}

/// The versions of a sequence with these sources, as they would be stored. The subject is that of the first.
pub fn versions(sources: &[String]) -> (Sequence, Vec<SequenceVersion>) {
    let first: Value = serde_json::from_str(&sources[0]).unwrap();
    let nil = By { sequence: SequenceId(Uuid::nil()), version: SequenceVersionId(Uuid::nil()), user: None };
    let now = DateTime::UNIX_EPOCH;
    let sequence = publishing::publish(None, &sources[0], nil, now).unwrap().next.0;
    let version = |(source, number): (&String, u32)| {
        let mut source: Value = serde_json::from_str(source).unwrap();
        source["subject"] = first["subject"].clone();
        let source = source.to_string();
        let definition = validate::read(&source).unwrap_or_else(|problems| panic!("{problems:#?}\n{source}"));
        SequenceVersion {
            id: SequenceVersionId(Uuid::from_u128(number.into())),
            sequence: sequence.id,
            number,
            hash: publishing::hash(&definition),
            definition,
            source,
            published_by: None,
            published_at: now,
        }
    };
    let all = sources.iter().zip(1..).map(version).collect();
    (sequence, all)
}

impl Person {
    /// Somebody with these data, in nothing.
    pub fn new(
        data: Value,
        zone: Tz,
        now: DateTime<Utc>,
        policy: ContactPolicy,
        calendars: &'static Calendars,
    ) -> Self {
        let mailbox = SendingMailbox {
            id: SendingMailboxId(Uuid::nil()),
            address: data["sender"]["email"].as_str().unwrap().to_owned(),
            name: data["sender"]["name"].as_str().map(str::to_owned),
            reply_to: None,
            pool: "outreach".to_owned(),
            zone: Tz::UTC,
            daily_cap: 1,
            ramp_up: None,
            interval: 0,
            state: MailboxState::Active,
            version: 1,
        };
        Self {
            runs: Vec::new(),
            now,
            zone,
            standing: Standing::Allowed,
            data,
            policy,
            mailbox,
            emails: Vec::new(),
            fates: Choices::new(Vec::new()),
            helpful: true,
            place: 0,
            calendars,
            due: BTreeMap::new(),
            order: 0,
        }
    }

    /// Enrols the person in the first of these versions.
    pub fn enroll(&mut self, id: EnrollmentId, (sequence, versions): (Sequence, Vec<SequenceVersion>)) {
        let lead = (versions[0].definition.header.subject == SubjectKind::Lead).then(|| LeadId(Uuid::nil()));
        let candidate = Candidate { id, contact: ContactId(Uuid::nil()), lead, account: None, vars: Map::new() };
        let begun = {
            let context = self.context(&self.data, SequenceState::Active);
            enrollment::enroll(candidate, &sequence, &versions[0], None, &context, self.now).unwrap()
        };
        let once = versions.iter().all(|version| !has_loops(version));
        self.runs.push(Run {
            enrollment: begun.next.clone(),
            versions,
            on: 0,
            sequence: SequenceState::Active,
            effects: Vec::new(),
            left_out: Vec::new(),
            calls: Vec::new(),
            tasks: Vec::new(),
            once,
            usual: true,
        });
        self.took(self.runs.len() - 1, begun);
    }

    fn context<'a>(&'a self, data: &'a Value, sequence: SequenceState) -> Context<'a> {
        Context {
            data,
            zone: self.zone,
            standing: self.standing,
            replied: false,
            meeting_booked: false,
            sequence,
            calendars: self.calendars,
            mailboxes: std::slice::from_ref(&self.mailbox),
            capped: None,
        }
    }

    /// The data of this moment, as the application makes them.
    fn seen(&self, run: usize) -> Value {
        let mut data = self.data.clone();
        data["enrollment"] = self.runs[run].enrollment.data();
        data["now"] = json!(self.now.to_rfc3339());
        data
    }

    fn plan(&mut self, at: DateTime<Utc>, due: Due) {
        self.order += 1;
        let timer = !matches!(due, Due::Task { .. } | Due::Answer { .. });
        self.due.insert((at, timer, self.order), due);
    }

    fn plan_jobs(&mut self, run: Option<usize>, email: Option<usize>, decision: &[tandem_domain::decision::Planned]) {
        for planned in decision {
            let due = match (&planned.job, run, email) {
                (Job::AdvanceEnrollment { visit, .. }, Some(run), _) => Due::Advance { run, visit: *visit },
                (Job::WakeEnrollment { visit, .. }, Some(run), _) => Due::Wake { run, visit: *visit },
                (Job::DeliverEmail { .. }, _, Some(email)) => Due::Deliver { email },
                other => unreachable!("{other:?}"),
            };
            self.plan(planned.due, due);
        }
    }

    /// Keeps what was decided about a run, and holds the law of due times against it.
    pub fn took(&mut self, run: usize, decision: Decision<Enrollment>) {
        self.plan_jobs(Some(run), None, &decision.jobs);
        let taken = decision.facts.iter().filter_map(|fact| fact.detail.get("taken")?.as_array()).flatten();
        let left_out = taken.filter(|step| step["skipped"] == "BACKLOG");
        let left_out = left_out.map(|step| (self.now, step["step"].as_str().unwrap().to_owned()));
        self.runs[run].left_out.extend(left_out);
        self.runs[run].enrollment = decision.next;
        self.holds(run);
    }

    /// Nothing waits for ever: a live run has a timer for its present visit, or a pause that says why. And one that stands in a
    /// wait of its sequence has caught up with whatever it missed.
    fn holds(&self, run: usize) {
        let enrollment = &self.runs[run].enrollment;
        assert!(enrollment.keeps_the_law(), "{enrollment:?}");
        let too_long = enrollment.failure.as_ref().is_some_and(|failure| failure.code == "ENROLLMENT_TOO_LONG");
        assert!(!too_long, "it came to no end: {enrollment:?}\n{}", self.runs[run].versions[self.runs[run].on].source);
        if let EnrollmentState::Waiting(reason) = enrollment.state {
            let stands = !matches!(reason, WaitReason::Backlog | WaitReason::Answer);
            assert!(!stands || enrollment.trail.catch_up.is_none(), "it is still behind: {enrollment:?}");
        }
        let (visit, state) = (enrollment.visit, enrollment.state);
        let has = |at: DateTime<Utc>, timer: Due| self.due.iter().any(|((due, ..), what)| *due == at && *what == timer);
        match (enrollment.due_at, enrollment.held) {
            (Some(at), _) => assert!(has(at, Due::Advance { run, visit }), "no timer: {enrollment:?}"),
            (None, Some(held)) => {
                if let Some(until) = held.until {
                    assert!(has(until, Due::Wake { run, visit }), "nobody ends the pause: {enrollment:?}");
                }
            }
            (None, None) => assert!(!state.is_live(), "{enrollment:?}"),
        }
    }

    /// Lets time pass, with everything that falls due in it.
    pub fn pass(&mut self, time: TimeDelta) {
        let until = self.now + time;
        for beats in 0.. {
            assert!(beats < 20_000, "things fall due without end: {:?}", self.due);
            let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= until) else { break };
            let ((at, ..), due) = first.remove_entry();
            self.now = self.now.max(at);
            self.fire(due);
        }
        self.now = until;
    }

    fn fire(&mut self, due: Due) {
        match due {
            Due::Advance { run, visit } => {
                self.advance(run, visit);
                // A job may run again.
                self.advance(run, visit);
            }
            Due::Wake { run, visit } => {
                if let Ok(woken) = enrollment::wake(self.runs[run].enrollment.clone(), visit, self.now) {
                    self.took(run, woken);
                }
            }
            Due::Deliver { email } => self.deliver(email),
            Due::Task { run, visit } => self.end_task(run, visit, TaskEnd::Done),
            Due::Answer { run, visit } => self.answer(run, visit, true),
        }
    }

    /// When what is planned next falls due.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.due.keys().next().map(|(at, ..)| *at)
    }

    pub fn end_task(&mut self, run: usize, visit: u32, end: TaskEnd) {
        let Run { enrollment, versions, on, .. } = &self.runs[run];
        let settled = task_settled(enrollment.clone(), &versions[*on].definition, visit, end, self.now);
        if let Some(settled) = settled {
            self.took(run, settled);
        }
    }

    pub fn answer(&mut self, run: usize, visit: u32, taken: bool) {
        let Run { enrollment, versions, on, effects, .. } = &self.runs[run];
        let asked = effects.iter().find_map(|it| match &it.effect {
            Effect::Call(call) if call.visit == visit => Some(call),
            _ => None,
        });
        let Some(call) = asked else { return };
        let kept = match &call.request {
            Request::Http { keep: Some(keep), .. } => {
                Some((keep.name.clone(), self.data["answers"][&call.step].clone()))
            }
            _ => None,
        };
        let how = match taken {
            true => Answered::Success(kept),
            false => Answered::Failure(Failure::new("CALL_NOT_TAKEN", "no")),
        };
        if let Some(settled) = answered(enrollment.clone(), &versions[*on].definition, visit, how, self.now) {
            self.took(run, settled);
        }
    }

    pub fn hear(&mut self, run: usize, heard: &Heard) {
        self.place += 1;
        let data = self.seen(run);
        let Run { enrollment, versions, on, sequence, .. } = &self.runs[run];
        let context = self.context(&data, *sequence);
        let decision = hear(enrollment.clone(), &versions[*on].definition, &context, (heard, self.place), self.now);
        if let Some(decision) = decision {
            self.took(run, decision);
        }
    }

    /// A timer of a run fires.
    pub fn advance(&mut self, run: usize, visit: u32) {
        let before = self.runs[run].enrollment.clone();
        if before.visit != visit || before.due_at.is_none_or(|at| at > self.now) {
            return;
        }
        let sequence = self.runs[run].sequence;
        if sequence == SequenceState::Active
            && let Some(waits) = self.waits_on(run)
        {
            return self.took(run, waits);
        }
        let data = self.seen(run);
        let definition = self.runs[run].versions[self.runs[run].on].definition.clone();
        let mut context = self.context(&data, sequence);
        let decide = |context: &Context<'_>| {
            let once = advance(&before, &definition, context, self.now);
            // From the same row a repetition decides the same.
            assert_eq!(once, advance(&before, &definition, context, self.now));
            once.unwrap()
        };
        let mut decision = decide(&context);
        if decision.next.effect.as_ref().is_some_and(Effect::keeps_hours) {
            context.capped = self.policy.holds(&self.counted(false), self.now);
            decision = decide(&context);
        }
        let Some(effect) = decision.next.effect.clone() else {
            return self.took(run, decision.map(|it| it.enrollment));
        };
        self.is_lawful(run, &before, &effect);
        match self.act(run, &effect, &definition) {
            Ok(()) => {
                self.runs[run].effects.push(Happened { at: self.now, effect });
                self.took(run, decision.map(|it| it.enrollment));
            }
            Err(failure) => {
                let failed = enrollment::fail(before, failure, self.now).unwrap();
                self.took(run, failed);
            }
        }
    }

    /// What holds for every effect that a run asks for.
    fn is_lawful(&self, run: usize, before: &Enrollment, effect: &Effect) {
        let (step, visit) = effect.origin();
        let Run { versions, on, effects, once, .. } = &self.runs[run];
        assert!(before.state.is_live(), "an effect after the end: {effect:?}");
        assert!(matches!(self.standing, Standing::Allowed | Standing::Unknown), "{}: {effect:?}", self.standing);
        assert!(visit >= before.visit, "{effect:?}");
        for earlier in effects {
            let (had, at) = earlier.effect.origin();
            assert!((had, at) != (step, visit), "the same effect twice: {effect:?}");
            assert!(had != step || !once, "`{step}` came again: {effect:?} after {earlier:?}");
        }
        let open = |email: &&Email| email.enrollment == Some(before.id) && email.outlook() == Outlook::Wait;
        let early = self.emails.iter().find(open);
        assert_eq!(early.map(|email| (&email.step, &email.state)), None, "`{step}` came before the e-mail");
        if let Effect::SendEmail(email) = effect {
            assert_eq!(self.standing, Standing::Allowed);
            let hours = is_within_hours(&versions[*on], self.calendars, self.now, self.zone);
            assert!(email.transactional || hours, "outside its hours at {} in {}", self.now, self.zone);
            let many = would_be_too_many(&self.policy, &self.begun(), self.now);
            assert!(email.transactional || !many, "planned although it is too many");
        }
    }

    /// Does what a step asks for, or says why it cannot be had.
    fn act(&mut self, run: usize, effect: &Effect, definition: &Definition) -> Result<(), Failure> {
        let has_lead = !self.data["lead"].is_null();
        let no_lead = || {
            let message = "the enrolment has no lead that the step could change; enrol the lead instead of the contact";
            Failure::new("ENROLLMENT_LEAD_MISSING", message)
        };
        match effect {
            Effect::SetField(field) => {
                if field.owner == Record::Lead && !has_lead {
                    return Err(no_lead());
                }
                if let Some(priority) = field.priority() {
                    self.data["lead"]["priority"] = json!(priority?);
                } else if let Some(custom) = self.data[field.owner.name()]["custom"].as_object_mut() {
                    match &field.value {
                        Value::Null => drop(custom.remove(&field.key)),
                        value => drop(custom.insert(field.key.clone(), value.clone())),
                    }
                }
            }
            Effect::Tag(tags) => {
                if tags.of == Record::Lead && !has_lead {
                    return Err(no_lead());
                }
                if let Some(Value::Array(known)) = self.data[tags.of.name()].get_mut("tags") {
                    let gone = normalise::tags(&tags.remove).unwrap();
                    known.extend(normalise::tags(&tags.add).unwrap().into_iter().map(Value::from));
                    known.retain(|tag| !gone.contains(tag.as_str().unwrap()));
                    known.sort_by_key(Value::to_string);
                    known.dedup();
                }
            }
            Effect::Consent(consent) => {
                self.data["contact"]["consent"] = json!(consent.state);
                if consent.state == ConsentState::Withdrawn {
                    self.standing = Standing::Withdrawn;
                } else if self.standing == Standing::Unknown {
                    self.standing = Standing::Allowed;
                }
            }
            Effect::HandToSdr(handover) => {
                if self.data["lead"].is_null() {
                    self.data["lead"] = sample()["lead"].take();
                }
                if let Some(priority) = handover.priority {
                    self.data["lead"]["priority"] = json!(priority);
                }
            }
            Effect::SendEmail(planned) => {
                self.write(run, planned, definition);
            }
            Effect::CreateTask(task) => {
                self.runs[run].tasks.push(task.visit);
                let in_time = effect.task_to_wait_for().is_some_and(|wait| task.due_at <= wait.until);
                if self.helpful && in_time {
                    self.plan(task.due_at, Due::Task { run, visit: task.visit });
                }
            }
            Effect::Call(call) => {
                self.runs[run].calls.push(call.visit);
                if self.helpful {
                    self.plan(self.now, Due::Answer { run, visit: call.visit });
                }
            }
            Effect::Propose(_) | Effect::StartSequence(_) | Effect::StopSequence(_) => {}
        }
        Ok(())
    }

    /// Leaves the person alone until all runs are over. Whoever pauses is resumed first.
    pub fn finish(&mut self) {
        self.helpful = true;
        self.fates = Choices::new(Vec::new());
        self.mailbox.state = MailboxState::Active;
        if self.standing == Standing::Unknown {
            self.standing = Standing::Allowed;
        }
        for run in 0..self.runs.len() {
            if self.runs[run].sequence == SequenceState::Paused {
                self.runs[run].sequence = SequenceState::Active;
            }
            self.let_emails_go(run, Some(self.now));
            if matches!(self.runs[run].enrollment.state, EnrollmentState::Paused(_)) {
                let resumed = enrollment::resume(self.runs[run].enrollment.clone(), self.now).unwrap();
                self.took(run, resumed);
            }
            for visit in self.runs[run].calls.clone() {
                self.answer(run, visit, true);
            }
        }
        for _ in 0..400 {
            let live = self.runs.iter().any(|run| run.enrollment.state.is_live());
            let Some(next) = self.next_due().filter(|_| live) else { break };
            self.pass((next - self.now).max(TimeDelta::zero()));
        }
        for run in &self.runs {
            let state = run.enrollment.state;
            assert!(!state.is_live(), "it goes on for ever: {:?}\n{}", run.enrollment, run.versions[run.on].source);
            assert!(state != EnrollmentState::Waiting(WaitReason::Backlog));
        }
    }
}

/// Whether a run through the version can come to a step twice.
fn has_loops(version: &SequenceVersion) -> bool {
    let leads = |from: &str, to: &str| from != to && reach(version, from).contains(to);
    let steps = || version.definition.steps.iter().map(|step| step.id.as_str());
    steps().any(|one| steps().any(|other| leads(one, other) && leads(other, one)))
}
