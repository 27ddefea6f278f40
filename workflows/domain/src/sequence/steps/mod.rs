//! The kinds of steps: one file each. A new kind is a file and one line in the list below.
//!
//! A kind is a module with a `Config` (its settings, as written in the definition) that implements [`Kind`].

use super::calling::{On, PlannedCall, Request};
use super::definition::{Header, Step};
use super::enrollment::{Enrollment, FinishReason, WaitReason};
use super::names::Named;
use super::stepper::Context;
use super::validate::Check;
use crate::custom_field::Entity;
use crate::expression::{self, Expression};
use crate::id::EnrollmentId;
use crate::sequence::template::{self, Form};
use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Makes the list of kinds: their modules, the enum of their settings, and its ways into each of them.
macro_rules! kinds {
    ($($variant:ident = $module:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// What a step does, with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum StepKind { $(
            #[doc = concat!("See [`", stringify!($module), "`].")]
            $variant($module::Config),
        )+ }

        /// The names of the kinds, as written in a definition.
        pub const NAMES: &[&str] = &[$(stringify!($module)),+];

        /// The schema of the settings of each kind, by its name.
        pub(crate) fn schemas(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
            vec![$((stringify!($module), $module::Config::json_schema(generator))),+]
        }

        impl StepKind {
            /// The name of the kind, as written in a definition.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($module)),+ }
            }

            /// Reads the settings of the kind `name`; none if there is no such kind, else they or the inner path and
            /// the message of what is wrong with them.
            pub(crate) fn decode(name: &str, settings: Value) -> Option<Result<Self, (String, String)>> {
                $(if name == stringify!($module) {
                    let decoded = serde_path_to_error::deserialize::<_, $module::Config>(settings);
                    return Some(decoded.map(Self::$variant).map_err(|e| (e.path().to_string(), e.inner().to_string())));
                })+
                None
            }

            fn kind(&self) -> &dyn Kind {
                match self { $(Self::$variant(config) => config),+ }
            }
        }
    };
}

kinds! {
    SendEmail = send_email,
    Wait = wait,
    Branch = branch,
    CreateTask = create_task,
    SetField = set_field,
    End = end,
    Tag = tag,
    Consent = consent,
    Propose = propose,
    HandToSdr = hand_to_sdr,
    StartSequence = start_sequence,
    StopSequence = stop_sequence,
    CheckGoal = check_goal,
    Split = split,
    Notify = notify,
    CallWebhook = call_webhook,
    WaitFor = wait_for,
}

use consent::PlannedConsent;
use hand_to_sdr::PlannedHandover;
use propose::PlannedProposal;
use start_sequence::PlannedStart;
use stop_sequence::PlannedStop;
use tag::PlannedTags;

/// What every kind of step can do.
pub trait Kind {
    /// Reports everything that is wrong with the settings.
    fn check(&self, check: &mut Check<'_, '_>);

    /// Decides what the step does now. It must give the same for the same run.
    fn plan(&self, run: &Run<'_>) -> Result<Next, Failure>;

    /// The steps that the settings name, each with the field that names it.
    fn targets(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// Whether the enrolment goes on to the next step of the list, or to `next`.
    fn goes_on(&self) -> bool {
        true
    }

    /// Whether time passes in the step, so that a loop through it is harmless.
    fn waits(&self) -> bool {
        false
    }

    /// Whether the enrolment ends in the step.
    fn ends(&self) -> bool {
        false
    }

    /// Whether the step may ask for an effect, which must not happen twice because somebody moved a run. A kind that does
    /// not say otherwise does.
    fn acts(&self) -> bool {
        true
    }

    /// What decided that `next` follows, for the record: a few fields beside the step's name, and none of the person's data.
    fn because(&self, _next: &Next) -> Option<serde_json::Map<String, Value>> {
        None
    }

    /// What the settings name that lives outside the definition: whoever publishes it looks whether it is there.
    fn names(&self) -> Vec<Named<'_>> {
        Vec::new()
    }

    /// The ways that follow once it is known how the step's call ended; none for a step that calls nobody.
    fn on(&self) -> Option<&On> {
        None
    }

    /// The key of the working calendar that the settings name.
    fn calendar(&self) -> Option<&str> {
        None
    }

    /// Whether the step counts on a working calendar: its own, or that of the sequence.
    fn needs_calendar(&self) -> bool {
        false
    }

    /// The key of the pool of mailboxes that the settings name.
    fn mailbox_pool(&self) -> Option<&str> {
        None
    }
}

/// Whose data a step changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The person's.
    #[default]
    Contact,
    /// The lead's.
    Lead,
    /// The company's.
    Account,
}

impl Record {
    /// The name of the variable that has its data.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Lead => "lead",
            Self::Account => "account",
        }
    }

    /// What its custom fields belong to.
    pub const fn entity(self) -> Entity {
        match self {
            Self::Contact => Entity::Contact,
            Self::Lead => Entity::Lead,
            Self::Account => Entity::Account,
        }
    }

    /// Whether it is the person, which need not be said.
    pub(crate) const fn is_contact(&self) -> bool {
        matches!(self, Self::Contact)
    }
}

/// Which step of which run asks for an effect. It names the effect uniquely, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The enrolment.
    pub enrollment: EnrollmentId,
    /// The step.
    pub step: String,
    /// The visit.
    pub visit: u32,
}

/// What a step sees when it runs.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The enrolment, at this step and visit.
    pub enrollment: &'a Enrollment,
    /// The step.
    pub step: &'a Step,
    /// What the definition says before its steps.
    pub header: &'a Header,
    /// Everything about the subject.
    pub context: &'a Context<'a>,
    /// The moment.
    pub now: DateTime<Utc>,
}

impl Run<'_> {
    /// What names an effect of this step.
    pub fn origin(&self) -> Origin {
        Origin { enrollment: self.enrollment.id, step: self.step.id.clone(), visit: self.enrollment.visit }
    }

    /// The key of the sequence.
    pub fn sequence_key(&self) -> &str {
        self.enrollment.rule.rsplit_once('@').map_or(&*self.enrollment.rule, |(key, _)| key)
    }

    /// Whether a condition holds for the subject.
    pub fn holds(&self, condition: &str) -> Result<bool, Failure> {
        Ok(Expression::parse(condition)?.holds(self.context.data)?)
    }

    /// A template filled with the subject's data.
    pub fn render(&self, source: &str, form: Form) -> Result<String, Failure> {
        Ok(template::render(source, form, self.context.data)?)
    }
}

/// What follows from a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The following step, at once.
    GoOn,
    /// The step of that id, at once.
    GoTo(String),
    /// The following step, not before a moment.
    Wait(WaitReason, DateTime<Utc>),
    /// The same step again once what it waits for has come, at the latest at a moment.
    Await(DateTime<Utc>),
    /// Nothing happened: this step again, at a moment and under a new visit. The last says what puts it off, where the reason does
    /// not.
    Later(WaitReason, DateTime<Utc>, &'static str),
    /// Something must happen; then the following step.
    Act(Box<Effect>),
    /// The end, as finished.
    Finish(FinishReason),
    /// The end, as exited by a rule.
    Exit,
    /// The step of a variant, at once; the run remembers which one it was given.
    Split {
        /// The key of the variant.
        variant: String,
        /// The step.
        to: String,
    },
}

/// Something that must happen because of a step. (enrollment, step, visit) names it uniquely, for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// An e-mail to plan.
    SendEmail(send_email::PlannedEmail),
    /// A task to create.
    CreateTask(create_task::PlannedTask),
    /// A field to set.
    SetField(set_field::PlannedField),
    /// Tags to add and to take away.
    Tag(tag::PlannedTags),
    /// A consent to record.
    Consent(consent::PlannedConsent),
    /// An account to propose for a target list.
    Propose(propose::PlannedProposal),
    /// A lead to hand to the SDRs.
    HandToSdr(hand_to_sdr::PlannedHandover),
    /// A run through another sequence to start.
    StartSequence(start_sequence::PlannedStart),
    /// Runs through another sequence to end.
    StopSequence(stop_sequence::PlannedStop),
    /// A call of another system to plan.
    Call(PlannedCall),
}

impl Effect {
    /// Whether it reaches the person, so that consent must be known for it.
    pub const fn reaches_the_person(&self) -> bool {
        matches!(self, Self::SendEmail(_))
    }

    /// Whether it waits for the hours in which the person may be written to.
    pub const fn keeps_hours(&self) -> bool {
        matches!(self, Self::SendEmail(email) if !email.transactional)
    }

    /// Whether nobody notices it: it only keeps a value that later steps may read. Such an effect happens also where what
    /// fell due during a pause is skipped.
    pub const fn is_bookkeeping(&self) -> bool {
        matches!(self, Self::SetField(_) | Self::Tag(_) | Self::Consent(_))
    }

    /// The kind of step that it comes from.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SendEmail(_) => "send_email",
            Self::CreateTask(_) => "create_task",
            Self::SetField(_) => "set_field",
            Self::Tag(_) => "tag",
            Self::Consent(_) => "consent",
            Self::Propose(_) => "propose",
            Self::HandToSdr(_) => "hand_to_sdr",
            Self::StartSequence(_) => "start_sequence",
            Self::StopSequence(_) => "stop_sequence",
            Self::Call(PlannedCall { request: Request::Message { .. }, .. }) => "notify",
            Self::Call(PlannedCall { request: Request::Http { .. }, .. }) => "call_webhook",
        }
    }

    /// The step and the visit that it comes from.
    pub fn origin(&self) -> (&str, u32) {
        match self {
            Self::SendEmail(email) => (&email.step, email.visit),
            Self::CreateTask(task) => (&task.step, task.visit),
            Self::SetField(field) => (&field.step, field.visit),
            Self::Call(call) => (&call.step, call.visit),
            Self::Tag(PlannedTags { origin, .. })
            | Self::Consent(PlannedConsent { origin, .. })
            | Self::Propose(PlannedProposal { origin, .. })
            | Self::HandToSdr(PlannedHandover { origin, .. })
            | Self::StartSequence(PlannedStart { origin, .. })
            | Self::StopSequence(PlannedStop { origin, .. }) => (&origin.step, origin.visit),
        }
    }

    /// The wait that follows it, where the run waits for a task.
    pub fn task_to_wait_for(&self) -> Option<&create_task::TaskWait> {
        match self {
            Self::CreateTask(task) => task.wait.as_ref(),
            _ => None,
        }
    }
}

/// Why a step could not be taken: the enrolment fails with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// Whether the next try may well succeed, since it says something about the process and nothing about the step.
    #[serde(skip)]
    pub passing: bool,
}

impl Failure {
    /// A failure for good.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), passing: false }
    }
}

impl From<expression::Refusal> for Failure {
    fn from(refusal: expression::Refusal) -> Self {
        let passing = refusal == expression::Refusal::NoThread;
        Self { passing, ..Self::new(refusal.code(), refusal.to_string()) }
    }
}

impl From<template::Refusal> for Failure {
    fn from(refusal: template::Refusal) -> Self {
        let passing = refusal == template::Refusal::NoThread;
        Self { passing, ..Self::new(refusal.code(), refusal.to_string()) }
    }
}

impl StepKind {
    /// Whether the step changes the account: a row that many runs share.
    pub fn changes_accounts(&self) -> bool {
        match self {
            Self::Tag(tag) => tag.of == Record::Account,
            Self::SetField(field) => field.record() == Some(Record::Account),
            _ => false,
        }
    }

    /// See [`Kind::check`].
    pub fn check(&self, check: &mut Check<'_, '_>) {
        self.kind().check(check);
    }

    /// See [`Kind::plan`].
    pub fn plan(&self, run: &Run<'_>) -> Result<Next, Failure> {
        self.kind().plan(run)
    }

    /// See [`Kind::targets`].
    pub fn targets(&self) -> Vec<(&'static str, &str)> {
        self.kind().targets()
    }

    /// See [`Kind::goes_on`].
    pub fn goes_on(&self) -> bool {
        self.kind().goes_on()
    }

    /// See [`Kind::waits`].
    pub fn waits(&self) -> bool {
        self.kind().waits()
    }

    /// See [`Kind::because`].
    pub fn because(&self, next: &Next) -> Option<serde_json::Map<String, Value>> {
        self.kind().because(next)
    }

    /// See [`Kind::ends`].
    pub fn ends(&self) -> bool {
        self.kind().ends()
    }

    /// See [`Kind::acts`].
    pub fn acts(&self) -> bool {
        self.kind().acts()
    }

    /// See [`Kind::names`].
    pub fn names(&self) -> Vec<Named<'_>> {
        self.kind().names()
    }

    /// See [`Kind::on`].
    pub fn on(&self) -> Option<&On> {
        self.kind().on()
    }

    /// See [`Kind::calendar`].
    pub fn calendar(&self) -> Option<&str> {
        self.kind().calendar()
    }

    /// See [`Kind::needs_calendar`].
    pub fn needs_calendar(&self) -> bool {
        self.kind().needs_calendar()
    }

    /// Whether its effect waits for the hours in which the person may be written to, as [`Effect::keeps_hours`] says of it.
    pub const fn keeps_hours(&self) -> bool {
        matches!(self, Self::SendEmail(email) if !email.transactional)
    }

    /// See [`Kind::mailbox_pool`].
    pub fn mailbox_pool(&self) -> Option<&str> {
        self.kind().mailbox_pool()
    }
}
