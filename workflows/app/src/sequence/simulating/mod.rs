//! A sequence simulated over the people of the installation. Nothing is stored or sent, and nobody waits for it: what is read
//! is read page by page and without a lock, so that it is as of a few moments, not of one.

mod people;
mod refusal;

pub use people::Who;
pub use refusal::Refusal;

use super::naming::not_there;
use crate::reading::Reading;
use crate::{App, AppError, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use people::{Found, Wanted};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_domain::access::Role;
use tandem_domain::id::{SequenceId, SequenceVersionId, UserId};
use tandem_domain::sequence::publishing::{self, Sequence, SequenceState, SequenceVersion};
use tandem_domain::sequence::simulation::{
    Assumptions, Difference, Entering, Follow, MOST_CHANGED, Person, Plan, Programme, Simulation, Surroundings,
    compare, of_answers, simulate_many,
};
use tandem_domain::sequence::{Definition, Problem, validate};
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// What is asked.
#[derive(Debug, Clone)]
pub struct SimulationAsk {
    /// The definition (YAML or JSON).
    pub source: String,
    /// A published version to compare with: its sequence's key, and its number; none for the newest.
    pub against: Option<(String, Option<u32>)>,
    /// Whom it is about.
    pub who: Who,
    /// The most people; more are left out, which is said.
    pub most: u64,
    /// The beginning; none for now.
    pub start: Option<DateTime<Utc>>,
    /// How many days.
    pub days: u32,
    /// What lots are drawn from.
    pub seed: u64,
    /// The zone in which days are counted.
    pub zone: Tz,
    /// When people begin.
    pub entering: Entering,
    /// What people do beside what is recorded.
    pub assumptions: Assumptions,
    /// What calls keep of their answers: a map of steps. None for nothing.
    pub answers: Option<Value>,
    /// Who would publish the definition; none for the system.
    pub publisher: Option<UserId>,
    /// A stretch of the recorded past that people live through again, moved so that its beginning is that of the simulation.
    pub history: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// How many tasks somebody of the SDRs does on a day; none where that is not known.
    pub tasks_a_day: Option<u32>,
    /// Whose plans are written out.
    pub follow: Follow,
    /// After so many moments at which something happened it is cut off; none for never.
    pub most_beats: Option<u64>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Of the definition.
    pub simulation: Simulation,
    /// The version that it is compared with, as `key@number`, and what differs: it is the first, the definition the second.
    pub against: Option<(String, Difference)>,
    /// What the definition names and is not there, or does not fit: it would not be published so.
    pub missing: Vec<Problem>,
    /// Whether there are people whom it would concern too, and who were left out since they are too many: those of the greatest
    /// ids, who came last.
    pub left_out: bool,
}

/// One version as it would run.
#[derive(Clone)]
struct Run {
    sequence: Sequence,
    version: SequenceVersion,
}

impl App {
    /// Simulates a definition over people as they are now, and compares it with a published version where that is asked for; or
    /// gives everything that is wrong with the definition.
    ///
    /// It is as if nobody had run through the sequence before, in the version that is given: experiments that were decided
    /// are not looked at. See [`Refusal`] for what is refused.
    pub async fn sequence_simulate_contacts(
        &self,
        ask: &SimulationAsk,
    ) -> Result<std::result::Result<Simulated, Vec<Problem>>> {
        let library = self.library(&ask.source).await?;
        let definition = match validate::read_with(&ask.source, &library) {
            Ok(definition) => definition,
            Err(problems) => return Ok(Err(problems)),
        };
        let now = self.env.now();
        let start = ask.start.unwrap_or(now);
        if (start - now).num_days().abs() > 36_525 {
            return Err(Refusal::Start.into());
        }
        let missing = not_there(&Reading::Apart(&self.store), ask.publisher, &ask.source, &definition).await?;
        let run = self.as_published(definition, &ask.source, now).await?;
        let against = match &ask.against {
            Some((key, number)) => Some(self.published(key, *number).await?),
            None => None,
        };
        let definitions = || std::iter::once(&run).chain(&against).map(|run| &run.version.definition);
        let mut around = self.surroundings(definitions(), ask.tasks_a_day).await?;
        if let Some(given) = &ask.answers {
            let known: Vec<&Definition> = definitions().collect();
            around.answers = of_answers(given, &known).map_err(|faults| Refusal::data("answers", &faults))?;
        }
        let wanted = Wanted::by(definitions());
        let found = self.found(ask, (&run.version.definition, &wanted), (start, now), &mut around).await?;
        let Found { people, left_out } = found;
        let plan = Plan {
            start,
            days: ask.days,
            seed: ask.seed,
            zone: ask.zone,
            entering: ask.entering,
            assumptions: ask.assumptions.clone(),
            follow: ask.follow.clone(),
            most_beats: ask.most_beats,
        };
        let (people, around, plan) = (Arc::new(people), Arc::new(around), Arc::new(plan));
        let play = |run: Run| {
            let (people, around, plan) = (people.clone(), around.clone(), plan.clone());
            async move { played(run, people, around, plan).await }
        };
        let simulation = play(run).await?;
        let against = match against {
            Some(other) => {
                let before = play(other).await?;
                let rule = before.rule.clone();
                let difference = compare(&before, &simulation, MOST_CHANGED);
                Some((rule, difference))
            }
            None => None,
        };
        Ok(Ok(Simulated { simulation, against, missing, left_out }))
    }

    /// The definition as the version that it would be: the newest one where it says the same, else the one after it.
    async fn as_published(&self, definition: Definition, source: &str, now: DateTime<Utc>) -> Result<Run> {
        let hash = publishing::hash(&definition);
        let existing = self.store.sequence_by_key(&definition.header.key).await?;
        if let Some(latest) = existing.as_ref().and_then(|sequence| sequence.latest_version) {
            let latest: Option<SequenceVersion> = self.store.find(latest).await?;
            if let (Some(version), Some(sequence)) = (latest.filter(|version| version.hash == hash), &existing) {
                return Ok(Run { sequence: sequence.clone(), version });
            }
        }
        // One that was never published has no id; the same stands for it each time, since mailboxes are chosen by it.
        let sequence = existing.unwrap_or_else(|| Sequence {
            id: SequenceId(Uuid::nil()),
            key: definition.header.key.clone(),
            name: definition.header.name.clone(),
            state: SequenceState::Active,
            latest_version: None,
            latest_number: 0,
            draft: None,
            revision: 0,
            created_at: now,
            paused_until: None,
            resumption: None,
        });
        let version = SequenceVersion {
            id: SequenceVersionId(Uuid::nil()),
            sequence: sequence.id,
            number: sequence.latest_number.saturating_add(1),
            definition,
            source: source.to_owned(),
            hash,
            published_by: None,
            published_at: now,
        };
        Ok(Run { sequence, version })
    }

    async fn published(&self, key: &str, number: Option<u32>) -> Result<Run> {
        let sequence = self.store.sequence_by_key(key).await?;
        let sequence = sequence.ok_or_else(|| Refusal::SequenceUnknown { given: key.to_owned() })?;
        let version = match number {
            None => match sequence.latest_version {
                Some(latest) => self.store.find(latest).await?,
                None => None,
            },
            Some(number) => self.store.sequence_version_numbered(sequence.id, number).await?,
        };
        let missing = || Refusal::VersionUnknown { key: key.to_owned(), number, latest: sequence.latest_number };
        let version = version.ok_or_else(missing)?;
        Ok(Run { sequence, version })
    }

    /// What is around the people, but for what was written to their companies.
    async fn surroundings(
        &self,
        definitions: impl Iterator<Item = &Definition> + Clone,
        tasks_a_day: Option<u32>,
    ) -> Result<Surroundings> {
        let calendars = definitions.clone().any(|definition| !definition.calendars().is_empty());
        let pools = definitions.clone().any(|definition| !definition.mailbox_pools().is_empty());
        let mut capacities = BTreeMap::new();
        if let Some(each) = tasks_a_day {
            let mut all = 0_u32;
            for (team, users) in self.store.active_by_team(Role::Sdr).await? {
                let people = u32::try_from(users.len()).unwrap_or(u32::MAX);
                all = all.saturating_add(people);
                if !team.is_empty() {
                    capacities.insert(team, people.saturating_mul(each));
                }
            }
            // The queue without a team is everybody's.
            capacities.insert(String::new(), all.saturating_mul(each));
        }
        let (mailboxes, paces) = if pools { self.store.mailboxes_and_paces().await? } else { Default::default() };
        Ok(Surroundings {
            policy: self.store.contact_policy().await?,
            accounts: BTreeMap::new(),
            mailboxes,
            paces: paces.into_iter().map(|pace| (pace.id, pace)).collect(),
            calendars: if calendars { self.store.calendars().await? } else { Default::default() },
            capacities,
            sender: self.env.mail.from.clone(),
            answers: Map::new(),
            fields: Some(self.store.custom_fields().await?),
        })
    }
}

async fn played(run: Run, people: Arc<Vec<Person>>, around: Arc<Surroundings>, plan: Arc<Plan>) -> Result<Simulation> {
    let playing = spawn_blocking(move || {
        let programme = Programme { sequence: &run.sequence, version: &run.version };
        simulate_many(&programme, &people, &around, &plan)
    });
    match playing.await {
        Ok(played) => played.map_err(|refusal| AppError::refused(refusal.code(), refusal.to_string(), None)),
        Err(error) => {
            tracing::error!(%error, "a simulation broke off");
            Err(Refusal::BrokeOff.into())
        }
    }
}
