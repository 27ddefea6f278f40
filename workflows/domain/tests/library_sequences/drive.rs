//! Leads a sample person through a programme by the rules of production: what the person and the team do is a script.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value, json};
use tandem_domain::calendar::Calendars;
use tandem_domain::id::{
    ContactId, EnrollmentId, InteractionId, LeadId, SendingMailboxId, SequenceId, SequenceVersionId,
};
use tandem_domain::interaction::InteractionKind;
use tandem_domain::sending_mailbox::{MailboxState, SendingMailbox};
use tandem_domain::sequence::SubjectKind;
use tandem_domain::sequence::calling::Request;
use tandem_domain::sequence::enrollment::{
    self, Answered, Candidate, Enrollment, EnrollmentState, FinishReason, TaskEnd, answered, email_settled,
    task_settled,
};
use tandem_domain::sequence::hearing::{Heard, hear};
use tandem_domain::sequence::library::Programme;
use tandem_domain::sequence::publishing::{self, By, SequenceState, SequenceVersion};
use tandem_domain::sequence::simulation::sample;
use tandem_domain::sequence::stepper::{Context, advance};
use tandem_domain::sequence::steps::{Effect, Failure};
use tandem_domain::sequence::trigger::Event;
use tandem_domain::standing::Standing;
use uuid::Uuid;

static NO_CALENDARS: Calendars = Calendars::new();
/// A Monday.
const START: &str = "2026-03-02T09:00:00Z";
/// How long after a step began the script goes on, where nothing else says when.
const AFTER: TimeDelta = TimeDelta::hours(2);

/// Who the sample person is.
#[derive(Debug, Clone, Copy)]
pub struct Locale {
    pub locale: &'static str,
    zone: Tz,
    name: &'static str,
    first_name: &'static str,
    account: &'static str,
}

pub const ENGLISH: Locale =
    Locale { locale: "en-GB", zone: Tz::Europe__Berlin, name: "Sam Sample", first_name: "Sam", account: "Example Ltd" };
const CHINESE: Locale =
    Locale { locale: "zh-CN", zone: Tz::Asia__Shanghai, name: "张三", first_name: "张三", account: "示例科技" };
pub const LOCALES: [Locale; 2] = [ENGLISH, CHINESE];

/// What comes about while a run stands at a step.
#[derive(Debug, Clone)]
pub enum Happens {
    /// The task that it waits for comes to its end.
    Task(TaskEnd),
    /// The person does something.
    Did(InteractionKind, &'static str),
    /// The person answers an e-mail.
    Replies,
    /// Something that conditions read becomes something else.
    Becomes(&'static str, Value),
    /// The call is not taken.
    CallFails,
    /// An opportunity is opened at the company.
    Opportunity,
    /// The person unsubscribes.
    Unsubscribes,
}

/// One subject: who it is, what a trigger said, and what comes about at which step.
#[derive(Debug, Clone)]
pub struct Subject {
    pub name: &'static str,
    /// Values by pointer, e.g. `/contact/phone`.
    pub data: Vec<(&'static str, Value)>,
    pub vars: Value,
    pub script: Vec<(&'static str, Happens)>,
}

pub struct Sent {
    pub step: String,
    pub at: DateTime<Utc>,
    pub text: String,
    pub transactional: bool,
}

/// What became of it.
pub struct Ran {
    pub subject: &'static str,
    pub locale: &'static str,
    pub zone: Tz,
    pub lines: Vec<String>,
    pub taken: Vec<String>,
    pub emails: Vec<Sent>,
    pub state: EnrollmentState,
}

struct Drive<'a> {
    version: &'a SequenceVersion,
    data: Value,
    zone: Tz,
    script: Vec<(&'static str, Happens)>,
    run: Enrollment,
    mailboxes: Vec<SendingMailbox>,
    ran: Ran,
}

fn of_person(subject: &Subject, locale: Locale) -> Value {
    let mut data = sample();
    let contact = &mut data["contact"];
    contact["name"] = json!(locale.name);
    contact["first_name"] = json!(locale.first_name);
    contact["locale"] = json!(locale.locale);
    data["account"]["name"] = json!(locale.account);
    data["lead"] = Value::Null;
    for (pointer, value) in &subject.data {
        if pointer.starts_with("/lead/") && data["lead"].is_null() {
            data["lead"] = sample()["lead"].take();
        }
        set(&mut data, pointer, value.clone());
    }
    data
}

fn set(data: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    data.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
}

/// Runs a subject through a programme until it is over.
pub fn run(programme: &Programme, subject: &Subject, locale: Locale) -> Ran {
    let start: DateTime<Utc> = START.parse().unwrap();
    let by = By { sequence: SequenceId(Uuid::nil()), version: SequenceVersionId(Uuid::nil()), user: None };
    let (sequence, version) =
        publishing::publish(None, programme.source, by, start).unwrap_or_else(|refusal| panic!("{refusal}")).next;
    let data = of_person(subject, locale);
    let lead = (version.definition.header.subject == SubjectKind::Lead).then(|| LeadId(Uuid::nil()));
    let vars = subject.vars.as_object().cloned().unwrap_or_default();
    // People are told apart by their names, so that a split gives each the same variant every time.
    let contact = ContactId(Uuid::from_u128(subject.name.bytes().map(u128::from).sum()));
    let candidate = Candidate { id: EnrollmentId(Uuid::nil()), contact, lead, account: None, vars };
    let mut asked = data.clone();
    asked["enrollment"] = candidate.data(&sequence, &version, start);
    asked["now"] = json!(start.to_rfc3339());
    let mailbox = |pool: &str| SendingMailbox {
        id: SendingMailboxId(Uuid::nil()),
        address: "kim@example.com".to_owned(),
        name: Some("Kim".to_owned()),
        reply_to: None,
        pool: pool.to_owned(),
        zone: Tz::UTC,
        daily_cap: 100,
        ramp_up: None,
        interval: 0,
        state: MailboxState::Active,
        version: 1,
    };
    let mailboxes: Vec<_> = version.definition.mailbox_pools().into_iter().map(mailbox).collect();
    let context = context(&asked, locale.zone, &mailboxes);
    let started = enrollment::enroll(candidate, &sequence, &version, None, &context, start)
        .unwrap_or_else(|refusal| panic!("{}: {}: {refusal}", programme.key, subject.name));
    let ran = Ran {
        subject: subject.name,
        locale: locale.locale,
        zone: locale.zone,
        lines: Vec::new(),
        taken: Vec::new(),
        emails: Vec::new(),
        state: started.next.state,
    };
    let script = subject.script.clone();
    let mut drive = Drive { version: &version, data, zone: locale.zone, script, run: started.next, mailboxes, ran };
    while let Some(now) = drive.run.due_at {
        assert!(drive.ran.lines.len() < 200, "{}: {}: {:#?}", programme.key, subject.name, drive.ran.lines);
        drive.step(now);
    }
    assert!(drive.script.is_empty(), "{}: {}: {:?} never came about", programme.key, subject.name, drive.script);
    drive.ran.state = drive.run.state;
    drive.ran
}

fn context<'a>(data: &'a Value, zone: Tz, mailboxes: &'a [SendingMailbox]) -> Context<'a> {
    let standing = match data["contact"]["consent"].as_str() {
        Some("GRANTED") => Standing::Allowed,
        Some("WITHDRAWN") => Standing::Withdrawn,
        _ => Standing::Unknown,
    };
    Context {
        data,
        zone,
        standing,
        replied: false,
        meeting_booked: false,
        sequence: SequenceState::Active,
        calendars: &NO_CALENDARS,
        mailboxes,
        capped: None,
    }
}

impl Drive<'_> {
    fn say(&mut self, at: DateTime<Utc>, step: &str, what: &str) {
        let start: DateTime<Utc> = START.parse().unwrap();
        let local = at.with_timezone(&self.zone);
        let day = (at - start).num_days() + 1;
        self.ran.lines.push(format!("{day:>3}  {}  {step:<14}  {what}", local.format("%a %m-%d %H:%M")));
    }

    fn seen(&self, now: DateTime<Utc>) -> Value {
        let mut data = self.data.clone();
        data["enrollment"] = self.run.data();
        data["now"] = json!(now.to_rfc3339());
        data
    }

    /// What the script has for a step, once.
    fn next_at(&mut self, step: &str, is: impl Fn(&Happens) -> bool) -> Option<Happens> {
        let at = self.script.iter().position(|(place, happens)| *place == step && is(happens))?;
        Some(self.script.remove(at).1)
    }

    fn step(&mut self, now: DateTime<Utc>) {
        let data = self.seen(now);
        let decision =
            advance(&self.run, &self.version.definition, &context(&data, self.zone, &self.mailboxes), now).unwrap();
        let taken = decision.facts.iter().filter_map(|fact| fact.detail.get("taken")?.as_array());
        let taken: Vec<Value> = taken.flatten().cloned().collect();
        for entry in &taken {
            let step = entry["step"].as_str().unwrap().to_owned();
            if let Some(variant) = entry["variant"].as_str() {
                self.say(now, &step, &format!("is given the variant {variant}"));
            } else if let Some(held) = entry["held"].as_bool() {
                self.say(now, &step, if held { "yes" } else { "no" });
            }
            self.ran.taken.push(step);
        }
        self.run = decision.next.enrollment;
        let last = taken.last().and_then(|entry| entry["step"].as_str()).unwrap_or(&self.run.step).to_owned();
        if let Some(effect) = decision.next.effect {
            self.take(&effect, now);
        }
        if self.run.state.is_live() {
            self.go_on(&last, now);
        }
        if !self.run.state.is_live() {
            let why = self.run.failure.as_ref().map(|f| format!(": {} {}", f.code, f.message)).unwrap_or_default();
            let (at, state) = (self.run.ended_at.unwrap_or(now), self.run.state);
            self.say(at, &last, &format!("the end: {state}{why}"));
        }
    }

    /// An effect happens, and is settled at once where it is not for somebody to do.
    fn take(&mut self, effect: &Effect, now: DateTime<Utc>) {
        let definition = &self.version.definition;
        let (step, visit) = effect.origin();
        let step = step.to_owned();
        match effect {
            Effect::SendEmail(email) => {
                self.say(now, &step, &format!("e-mail \"{}\"", email.subject));
                let text = email.text.clone();
                self.ran.emails.push(Sent { step, at: now, text, transactional: email.transactional });
                self.run = email_settled(self.run.clone(), visit, now).unwrap().next;
            }
            Effect::CreateTask(task) => {
                let due = task.due_at - now;
                let due = if due < TimeDelta::hours(1) {
                    format!("{} min", due.num_minutes())
                } else if due < TimeDelta::days(1) {
                    format!("{} h", due.num_hours())
                } else {
                    format!("{} d", due.num_days())
                };
                let channel = task.channel.map(|channel| format!(" ({channel})")).unwrap_or_default();
                self.say(now, &step, &format!("task \"{}\"{channel}, due in {due}", task.title));
                if task.wait.is_some()
                    && let Some(Happens::Task(end)) = self.next_at(&step, |it| matches!(it, Happens::Task(_)))
                {
                    let at = task.due_at.min(now + AFTER);
                    self.say(at, &step, &format!("the task ends as {end}"));
                    self.run = task_settled(self.run.clone(), definition, visit, end, at).unwrap().next;
                }
            }
            Effect::Call(call) => {
                let fails = self.next_at(&step, |it| matches!(it, Happens::CallFails)).is_some();
                let what = match &call.request {
                    Request::Message { title, .. } => {
                        format!("tells {} \"{}\"", call.channel, title.as_deref().unwrap_or_default())
                    }
                    Request::Http { body, .. } => {
                        format!("calls {} with {}", call.channel, body.as_deref().unwrap_or("nothing"))
                    }
                };
                self.say(now, &step, &format!("{what}{}", if fails { ", in vain" } else { "" }));
                let how = if fails {
                    Answered::Failure(Failure::new("CALL_NOT_TAKEN", "in vain"))
                } else {
                    Answered::Success(None)
                };
                self.run = answered(self.run.clone(), definition, visit, how, now).unwrap().next;
            }
            Effect::SetField(field) => {
                self.say(now, &step, &format!("sets {}.{} to {}", field.owner.name(), field.key, field.value));
                let custom = if field.key == "priority" { "" } else { "/custom" };
                set(&mut self.data, &format!("/{}{custom}/{}", field.owner.name(), field.key), field.value.clone());
            }
            Effect::Tag(tags) => {
                let signed =
                    |sign: &str, all: &[String]| all.iter().map(|tag| format!("{sign}{tag}")).collect::<Vec<_>>();
                let both = [signed("+", &tags.add), signed("-", &tags.remove)].concat().join(" ");
                self.say(now, &step, &format!("tags the {}: {both}", tags.of.name()));
            }
            Effect::Propose(proposal) => self.say(now, &step, &format!("proposes the company for {}", proposal.list)),
            Effect::HandToSdr(hand) => {
                self.say(now, &step, &format!("hands the lead over: {}", hand.notes.as_deref().unwrap_or_default()));
                if self.data["lead"].is_null() {
                    self.data["lead"] = sample()["lead"].take();
                }
                self.data["lead"]["stage"] = json!("QUEUED");
            }
            Effect::Consent(_) | Effect::StartSequence(_) | Effect::StopSequence(_) => {
                self.say(now, &step, effect.name());
            }
        }
    }

    /// What the script has for the step that the run waits in.
    fn go_on(&mut self, step: &str, now: DateTime<Utc>) {
        let Some(happens) = self.next_at(step, |it| !matches!(it, Happens::Task(_) | Happens::CallFails)) else {
            return;
        };
        // What comes later than the run goes on comes before it.
        let at = self.run.due_at.map_or(now + AFTER, |due| due.min(now + AFTER));
        let ended = match happens {
            Happens::Did(kind, name) => {
                self.say(at, step, &format!("the person: {kind} \"{name}\""));
                self.hear(Heard::Event(event(kind, name, at)), at);
                None
            }
            Happens::Opportunity => {
                self.say(at, step, "an opportunity is opened at the company");
                self.hear(Heard::Opportunity, at);
                None
            }
            Happens::Becomes(pointer, value) => {
                self.say(at, step, &format!("{} becomes {value}", pointer.trim_start_matches('/').replace('/', ".")));
                set(&mut self.data, pointer, value);
                self.hear(Heard::Change, at);
                None
            }
            Happens::Replies => {
                self.say(at, step, "the person answers");
                Some(enrollment::finish(self.run.clone(), FinishReason::Replied, at))
            }
            Happens::Unsubscribes => {
                self.say(at, step, "the person unsubscribes");
                Some(enrollment::opt_out(self.run.clone(), at))
            }
            Happens::Task(_) | Happens::CallFails => None,
        };
        if let Some(ended) = ended {
            self.run = ended.unwrap().next;
        }
    }

    fn hear(&mut self, heard: Heard, at: DateTime<Utc>) {
        let data = self.seen(at);
        let context = context(&data, self.zone, &self.mailboxes);
        if let Some(decision) = hear(self.run.clone(), &self.version.definition, &context, (&heard, 1), at) {
            self.run = decision.next;
        }
    }
}

fn event(kind: InteractionKind, name: &str, at: DateTime<Utc>) -> Event {
    Event {
        id: InteractionId(Uuid::nil()),
        kind,
        name: name.to_owned(),
        url: None,
        seconds: None,
        occurred_at: at,
        properties: Map::new(),
    }
}
