//! A sequence simulated over the people of the installation.

mod difference;

use super::types::{SequencePlanLine, SequenceProblem};
use crate::context::ContextExt;
use crate::error::ApiError;
use crate::ids::local;
use crate::scalars::Date;
use async_graphql::{Context, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use difference::SequenceSimulationDifference;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use tandem_app::AppError;
use tandem_app::sequence::{Simulated, SimulationAsk, SimulationRefusal, Who};
use tandem_domain::code::UnknownCode;
use tandem_domain::email_template::library::Reference;
use tandem_domain::id::ContactId;
use tandem_domain::sequence::simulation::{
    Assumed, Assumptions, DayCount, Entering, Follow, MOST_DAYS, MailboxLoad, Rate, RateUnreadable, Simulation,
    StepCount,
};

/// The most people of one request: it has to answer in time. The command line takes more.
const MOST_PEOPLE: u64 = 2_000;
/// After so many moments at which something happens a simulation is cut off.
const MOST_BEATS: u64 = 150_000;
/// The most people whose plans are given in full.
const MOST_FOLLOWED: u32 = 20;
/// The most tasks that an SDR does on a day.
const MOST_TASKS: u32 = 10_000;

/// Whom a simulation is about: everything that is given must not be more than one; nothing means everybody.
#[derive(InputObject, Default)]
pub struct SequenceSimulationPeopleInput {
    /// The key of a target list: those at companies that are active on it.
    list: Option<String>,
    /// The key of a sequence: those who run through it now.
    sequence: Option<String>,
    /// A condition in CEL, as for a segment: those for whom it holds.
    condition: Option<String>,
    /// These people.
    contact_ids: Option<Vec<ID>>,
}

/// How often people are assumed to do something.
#[derive(InputObject)]
pub struct SequenceSimulationAssumptionInput {
    /// What: `OPEN`, `CLICK`, `REPLY`, `BOUNCE` or `UNSUBSCRIBE` of e-mails; `TASK.` and the end of a task, such as `TASK.DONE` (what
    /// is left of all tasks is not done); `EVENT.` and the kind of an interaction, such as `EVENT.DOWNLOAD`, of what is waited for.
    what: String,
    /// The share, 0 to 1.
    share: f64,
}

/// A stretch of the recorded past that people live through again, from the beginning of the simulation on.
#[derive(InputObject)]
pub struct SequenceSimulationHistoryInput {
    /// Its beginning.
    from: DateTime<Utc>,
    /// Its end.
    to: DateTime<Utc>,
    /// Whether people begin where what they did sets off a trigger of the sequence, and not before.
    #[graphql(default)]
    triggers: bool,
}

/// When people begin, and what they do.
#[derive(InputObject, Default)]
pub struct SequenceSimulationCourseInput {
    /// Over how many days people begin, evenly, 1 to 732; absent means all of them at once.
    enter_over_days: Option<i32>,
    /// What of the recorded past people live through again; absent for nothing.
    history: Option<SequenceSimulationHistoryInput>,
    /// How often people do things beside what is recorded.
    #[graphql(default)]
    assumptions: Vec<SequenceSimulationAssumptionInput>,
    /// What calls keep of their answers, the same for everybody: a map of the ids of steps to answers, such as
    /// `{"score": {"points": 70}}`. Absent for nothing.
    answers: Option<Json<Value>>,
}

/// How many there are of something.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationCount {
    /// The code: of a refusal, of a state with its reason, or the rule that holds e-mails up.
    code: String,
    /// How many.
    count: i64,
}

/// One simulated day.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationDay {
    /// The date, in UTC.
    date: Date,
    /// Runs that began.
    began: i64,
    /// E-mails that went out.
    emails: i64,
    /// Tasks that were made.
    tasks: i64,
    /// Runs that ended.
    ended: i64,
}

/// One simulated day of a mailbox.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationMailboxDay {
    /// Its address; for e-mails without a pool, the sender of the installation.
    address: String,
    /// The date in its zone.
    date: Date,
    /// E-mails that went out, with those that had before the simulation.
    emails: i64,
    /// How many it may send on that day; null where nothing limits it.
    cap: Option<i64>,
}

/// One simulated day of a queue of tasks.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationQueueDay {
    /// The name of the team; null for the queue of everybody.
    team: Option<String>,
    /// The date, in UTC.
    date: Date,
    /// Tasks that came in.
    tasks: i64,
    /// Leads that were handed to the SDRs; they are no tasks, and count neither for `over` nor for `left`.
    leads: i64,
    /// How many tasks a day it can take; null where that was not given.
    capacity: Option<i64>,
    /// Whether more tasks came in than it can take.
    over: bool,
    /// How many tasks are left at the end of the day.
    left: i64,
}

/// What became of one step.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationStep {
    /// Its id.
    step: String,
    /// Its kind.
    kind: String,
    /// How often a run came to it.
    entered: i64,
    /// How often it was taken.
    done: i64,
    /// How many runs stand before it at the end.
    waiting: i64,
    /// How many runs ended before it.
    left: i64,
}

/// The plan of one person.
#[derive(Debug, Clone, SimpleObject)]
pub struct SequenceSimulationPerson {
    /// The person's id.
    contact_id: ID,
    /// The name, where it is known.
    name: Option<String>,
    /// What happens, in order.
    lines: Vec<SequencePlanLine>,
}

/// A definition simulated over the people of the installation, or why it is not.
#[derive(Debug, Clone, Default, SimpleObject)]
pub struct SequenceContactsSimulation {
    /// Everything that is wrong with the definition; where there is anything, all else is empty.
    problems: Vec<SequenceProblem>,
    /// What the definition names and is not there, or does not fit: it would not be published so, and what it names does nothing
    /// in the simulation.
    missing: Vec<SequenceProblem>,
    /// The sequence and the version that the definition is or would be, e.g. `welcome@3`.
    rule: Option<String>,
    /// How many people it is about.
    people: i64,
    /// Whether there are more people, who were left out.
    left_out: bool,
    /// When it was cut off since too much happened; null where it came to its end.
    cut_at: Option<DateTime<Utc>>,
    /// Day by day; days on which nothing happens are left out.
    days: Vec<SequenceSimulationDay>,
    /// E-mails per mailbox and day.
    mailboxes: Vec<SequenceSimulationMailboxDay>,
    /// Tasks and leads per queue and day.
    queues: Vec<SequenceSimulationQueueDay>,
    /// How often each thing holds e-mails up: each cap by its rule, `WINDOW`, `MAILBOX`, `POOL`, `CONSENT`.
    held: Vec<SequenceSimulationCount>,
    /// Who is not taken into the sequence, by the code of the refusal.
    not_taken: Vec<SequenceSimulationCount>,
    /// How runs end.
    ends: Vec<SequenceSimulationCount>,
    /// Where runs stand at the end; those that something holds up by that, e.g. `WAITING(CONSENT_UNKNOWN)`.
    running: Vec<SequenceSimulationCount>,
    /// Step by step.
    steps: Vec<SequenceSimulationStep>,
    /// The plans of those who are followed.
    followed: Vec<SequenceSimulationPerson>,
    /// For how many people something else happens than in the version it is compared with; null where none was named.
    changed_people: Option<i64>,
    /// What differs from the version it is compared with; null where none was named.
    difference: Option<SequenceSimulationDifference>,
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn counts(counts: &BTreeMap<String, u64>) -> Vec<SequenceSimulationCount> {
    counts.iter().map(|(code, count)| SequenceSimulationCount { code: code.clone(), count: whole(*count) }).collect()
}

fn held(simulation: &Simulation) -> Vec<SequenceSimulationCount> {
    let holds = &simulation.holds;
    let caps = holds.caps.iter().map(|cap| (cap.rule.clone(), cap.hold.times));
    let others =
        [("WINDOW", holds.window), ("MAILBOX", holds.mailbox), ("POOL", holds.pool), ("CONSENT", holds.consent)];
    let all = caps.chain(others.into_iter().map(|(code, hold)| (code.to_owned(), hold.times)));
    all.filter(|(_, times)| *times > 0)
        .map(|(code, times)| SequenceSimulationCount { code, count: whole(times) })
        .collect()
}

impl From<&DayCount> for SequenceSimulationDay {
    fn from(day: &DayCount) -> Self {
        Self {
            date: Date(day.date),
            began: whole(day.began),
            emails: whole(day.emails),
            tasks: whole(day.tasks),
            ended: whole(day.ended),
        }
    }
}

impl From<&MailboxLoad> for SequenceSimulationMailboxDay {
    fn from(load: &MailboxLoad) -> Self {
        Self {
            address: load.address.clone(),
            date: Date(load.date),
            emails: i64::from(load.emails) + i64::from(load.before),
            cap: load.cap.map(i64::from),
        }
    }
}

impl From<&StepCount> for SequenceSimulationStep {
    fn from(step: &StepCount) -> Self {
        Self {
            step: step.step.clone(),
            kind: step.kind.to_owned(),
            entered: whole(step.entered),
            done: whole(step.done),
            waiting: whole(step.waiting),
            left: whole(step.left),
        }
    }
}

impl From<Simulated> for SequenceContactsSimulation {
    fn from(simulated: Simulated) -> Self {
        let Simulated { simulation, against, missing, left_out } = simulated;
        let queues = simulation.queues.iter().map(|load| SequenceSimulationQueueDay {
            team: load.team.clone(),
            date: Date(load.date),
            tasks: whole(load.tasks),
            leads: whole(load.leads),
            capacity: load.capacity.map(i64::from),
            over: load.over,
            left: whole(load.left),
        });
        let followed = simulation.followed().map(|plan| SequenceSimulationPerson {
            contact_id: tandem_domain::id::global("Contact", plan.contact.into()).into(),
            name: plan.name.clone(),
            lines: plan.lines.iter().cloned().map(Into::into).collect(),
        });
        Self {
            problems: Vec::new(),
            missing: missing.into_iter().map(Into::into).collect(),
            rule: Some(simulation.rule.clone()),
            people: whole(simulation.people),
            left_out,
            cut_at: simulation.cut_at,
            days: simulation.days.iter().map(Into::into).collect(),
            mailboxes: simulation.mailboxes.iter().map(Into::into).collect(),
            queues: queues.collect(),
            held: held(&simulation),
            not_taken: counts(&simulation.not_taken),
            ends: counts(&simulation.ends),
            running: counts(&simulation.running),
            steps: simulation.steps.iter().map(Into::into).collect(),
            followed: followed.collect(),
            changed_people: against.as_ref().map(|(_, difference)| whole(difference.people)),
            difference: against.map(Into::into),
        }
    }
}

fn assumptions_of(given: Vec<SequenceSimulationAssumptionInput>) -> Result<Assumptions, ApiError> {
    let read = |assumed: SequenceSimulationAssumptionInput| {
        let refused =
            |message: String| AppError::refused("SIMULATION_ASSUMPTION_INVALID", message, Some("course.assumptions"));
        let what: Assumed = assumed.what.parse().map_err(|unknown: UnknownCode| refused(unknown.to_string()))?;
        let share: Rate = assumed.share.to_string().parse().map_err(|no: RateUnreadable| refused(no.to_string()))?;
        Ok((what, share))
    };
    let given = given.into_iter().map(read).collect::<Result<Vec<_>, AppError>>()?;
    Ok(Assumptions::of(given).map_err(|unfit| {
        AppError::refused("SIMULATION_ASSUMPTION_INVALID", unfit.to_string(), Some("course.assumptions"))
    })?)
}

fn who(people: SequenceSimulationPeopleInput) -> Result<Who, ApiError> {
    let SequenceSimulationPeopleInput { list, sequence, condition, contact_ids } = people;
    let contacts = contact_ids
        .map(|ids| ids.iter().map(|id| local(id, "people.contactIds")).collect::<Result<BTreeSet<ContactId>, _>>())
        .transpose()?;
    Ok(match (list, sequence, condition, contacts) {
        (None, None, None, None) => Who::Everybody,
        (Some(key), None, None, None) => Who::OnList(key),
        (None, Some(key), None, None) => Who::InSequence(key),
        (None, None, Some(condition), None) => Who::Where(condition),
        (None, None, None, Some(contacts)) => Who::These(contacts),
        _ => {
            let message = "people are named in one way; keep one of list, sequence, condition and contactIds";
            return Err(AppError::refused("SIMULATION_PEOPLE_TWICE", message, Some("people")).into());
        }
    })
}

/// A number that is asked for, where it is in its range.
fn within(given: i32, range: RangeInclusive<u32>, field: &'static str) -> Result<u32, ApiError> {
    u32::try_from(given).ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let message =
            format!("`{field}` is {} to {}, and not {given}; give another number", range.start(), range.end());
        AppError::refused("SIMULATION_OUT_OF_RANGE", message, Some(field)).into()
    })
}

fn entering(history: Option<&SequenceSimulationHistoryInput>, over: Option<i32>) -> Result<Entering, ApiError> {
    match (history.is_some_and(|history| history.triggers), over) {
        (true, Some(_)) => {
            let message =
                "people begin where the past sets off a trigger, or evenly over some days; leave one of the two out";
            Err(AppError::refused("SIMULATION_ENTERING_TWICE", message, Some("course.enterOverDays")).into())
        }
        (true, None) => Ok(Entering::Triggered),
        (false, Some(days)) => Ok(Entering::Over(within(days, 1..=MOST_DAYS, "course.enterOverDays")?)),
        (false, None) => Ok(Entering::AtOnce),
    }
}

fn against(given: String) -> Result<(String, Option<u32>), ApiError> {
    match Reference::parse(&given) {
        Some(Reference { key, number }) => Ok((key, number)),
        None => Err(AppError::from(SimulationRefusal::SequenceUnknown { given }).into()),
    }
}

/// The simulation over real people.
#[derive(Default)]
pub struct SequenceSimulationQuery;

#[Object]
impl SequenceSimulationQuery {
    /// Runs a definition (YAML or JSON) over the people of the installation, from `startAt` on, without saving or sending
    /// anything. People do what `course` says, without it nothing; tasks are then done when they are due. At most 2,000
    /// people take part, in the order of their ids.
    async fn sequence_simulate_contacts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The definition.")] source: String,
        #[graphql(desc = "Whom it is about; absent means everybody.", default)] people: SequenceSimulationPeopleInput,
        #[graphql(desc = "When it begins; absent means now.")] start_at: Option<DateTime<Utc>>,
        #[graphql(desc = "How many days, 1 to 732.", default = 90)] days: i32,
        #[graphql(desc = "What lots are drawn from: the same number gives the same result.", default = 1)] seed: i32,
        #[graphql(desc = "How many tasks each SDR does on a day, 0 to 10,000; absent where that is not known.")]
        tasks_a_day: Option<i32>,
        #[graphql(desc = "What it is compared with: the key of a sequence for its newest version, or `KEY@NUMBER`.")]
        against: Option<String>,
        #[graphql(desc = "How many people's plans are given in full, 0 to 20.", default = 0)] follow: i32,
        #[graphql(desc = "When people begin, and what they do; absent means all at once, and nothing.", default)]
        course: SequenceSimulationCourseInput,
    ) -> Result<SequenceContactsSimulation, ApiError> {
        let SequenceSimulationCourseInput { enter_over_days, history, assumptions, answers } = course;
        let ask = SimulationAsk {
            source,
            against: against.map(self::against).transpose()?,
            who: who(people)?,
            most: MOST_PEOPLE,
            start: start_at,
            days: within(days, 1..=MOST_DAYS, "days")?,
            seed: u64::from(seed.unsigned_abs()),
            zone: chrono_tz::Tz::UTC,
            entering: entering(history.as_ref(), enter_over_days)?,
            assumptions: assumptions_of(assumptions)?,
            answers: answers.map(|answers| answers.0),
            publisher: ctx.actor().user,
            history: history.map(|history| (history.from, history.to)),
            tasks_a_day: tasks_a_day.map(|tasks| within(tasks, 0..=MOST_TASKS, "tasksADay")).transpose()?,
            follow: Follow { people: BTreeSet::new(), first: within(follow, 0..=MOST_FOLLOWED, "follow")? as usize },
            most_beats: Some(MOST_BEATS),
        };
        Ok(match ctx.app().sequence_simulate_contacts(&ask).await? {
            Ok(simulated) => simulated.into(),
            Err(problems) => SequenceContactsSimulation {
                problems: problems.into_iter().map(Into::into).collect(),
                ..SequenceContactsSimulation::default()
            },
        })
    }
}
