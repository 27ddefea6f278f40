//! Runs hear of what happened: a goal or an exit ends them now, an event that they wait for lets them go on.

use super::PartEnd;
use crate::sequence::advance::read_ahead;
use crate::sequence::enrolling::{LetGo, let_go};
use crate::sequence::subject::{Subject, Surroundings};
use crate::{App, AppError, Call, Command, Env, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_domain::decision::{Decision, Job};
use tandem_domain::id::EnrollmentId;
use tandem_domain::interaction::Interaction;
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::hearing::{Heard, concern, hear};
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::trigger::matching::KINDS;
use tandem_domain::sequence::trigger::{Event, Who, chain_of};
use tandem_domain::sequence::{Enrollment, Sequence, SequenceVersion};
use tandem_store::Tx;
use tandem_store::trigger::RunOf;
use uuid::Uuid;

/// How many runs hear in one transaction at most.
const AT_ONCE: u64 = 200;

/// Something that happened, and whom it concerns.
#[derive(Debug, Clone)]
struct News {
    seq: i64,
    of: (RunOf, Uuid),
    heard: Heard,
    /// How far into a chain of starts it is.
    chain: u32,
}

/// What entries say to runs, in their order. What people did is looked up, for one or all.
async fn news(app: &App, entries: &[Entry]) -> Result<Vec<(News, i32)>> {
    let concerns: Vec<(&Entry, Who, i32)> =
        entries.iter().filter_map(|entry| concern(entry).map(|(who, hears)| (entry, who, hears))).collect();
    let deeds: BTreeSet<Uuid> = concerns
        .iter()
        .flat_map(|(_, who, _)| if let Who::Doers(ids) = who { ids.as_slice() } else { &[] })
        .map(|id| Uuid::from(*id))
        .collect();
    let deeds: Vec<Interaction> = app.store.find_many(deeds).await?;
    let deeds: BTreeMap<Uuid, Interaction> = deeds.into_iter().map(|deed| (deed.id.into(), deed)).collect();
    let mut news = Vec::new();
    for (entry, who, hears) in concerns {
        let chain = chain_of(&entry.request_id);
        let mut tell = |of: (RunOf, Uuid), heard: Heard| news.push((News { seq: entry.seq, of, heard, chain }, hears));
        let change = || if entry.kind == "opportunity.opened" { Heard::Opportunity } else { Heard::Change };
        match who {
            Who::Contact(id) => tell((RunOf::Contact, id.into()), change()),
            Who::Lead(id) => tell((RunOf::Lead, id.into()), change()),
            Who::Account(id) => tell((RunOf::Account, id.into()), change()),
            Who::Doers(ids) => {
                for deed in ids.into_iter().filter_map(|id| deeds.get(&Uuid::from(id))) {
                    if let (Some(contact), Some(event)) = (deed.contact, Event::of(deed)) {
                        tell((RunOf::Contact, contact.into()), Heard::Event(event));
                    }
                }
            }
        }
    }
    Ok(news)
}

async fn hearers(
    app: &App,
    news: &[(News, i32)],
    after: Option<EnrollmentId>,
    limit: u64,
) -> Result<Vec<EnrollmentId>> {
    let mut asked: BTreeMap<(RunOf, i32), BTreeSet<Uuid>> = BTreeMap::new();
    for (news, hears) in news {
        asked.entry((news.of.0, *hears)).or_default().insert(news.of.1);
    }
    let mut found = BTreeSet::new();
    for ((by, hears), ids) in asked {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        found.extend(app.store.hearing_runs(by, &ids, hears, after.map(Uuid::from), limit).await?);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(found.into_iter().take(limit).map(EnrollmentId).collect())
}

/// Up to `limit` live runs behind one that may have something to do about these entries.
pub(super) async fn runs_concerned(
    app: &App,
    entries: &[Entry],
    after: Option<EnrollmentId>,
    limit: u64,
) -> Result<Vec<EnrollmentId>> {
    let news = news(app, entries).await?;
    hearers(app, &news, after, limit).await
}

impl App {
    /// Lets runs hear of a stretch of the ledger: a part of them, in one transaction with the end of the job, and plans the
    /// rest. Whether there was anybody to tell.
    pub async fn hear_facts(&self, call: &Call, from: i64, to: i64, after: Option<EnrollmentId>) -> Result<bool> {
        let entries = self.store.ledger_between(from, to, &KINDS).await?;
        let news = news(self, &entries).await?;
        let runs = hearers(self, &news, after, AT_ONCE).await?;
        if runs.is_empty() {
            return Ok(false);
        }
        let news: Arc<[News]> = news.into_iter().map(|(news, _)| news).collect();
        let own = call.without_job();
        let mut batch = self.batch().await?;
        let read = read_ahead(batch.tx(), runs.iter().map(|run| (*run).into()).collect(), self.env.now()).await;
        batch.note(read)?;
        for run in &runs {
            let Some(enrollment): Option<Enrollment> = batch.tx().peek(*run).await? else { continue };
            let of = |by: RunOf| match by {
                RunOf::Contact => Some(enrollment.contact.into()),
                RunOf::Lead => enrollment.lead.map(Uuid::from),
                RunOf::Account => enrollment.account.map(Uuid::from),
            };
            let concerning = |news: &&News| of(news.of.0) == Some(news.of.1);
            let chain = news.iter().filter(concerning).map(|news| news.chain).max().unwrap_or(0);
            let request_id = if chain == 0 { own.request_id.clone() } else { format!("trigger:{chain}:ledger-{to}") };
            let hears = RunHear { enrollment: *run, news: news.iter().filter(concerning).cloned().collect() };
            let heard = batch.run(&own.in_answer_to(request_id), &hears).await;
            match heard {
                Ok(_) => {}
                Err(error) if error.is_refusal() && !batch.is_broken() => {
                    tracing::debug!(enrollment = %run, %error, "a run could not hear of something");
                }
                Err(error) => return Err(error),
            }
        }
        let full = runs.len() as u64 == AT_ONCE;
        let next = runs.last().filter(|_| full).map(|last| Job::HearFacts { from, to, after: Some(*last) });
        let end = PartEnd { notes: None, next: next.map(|job| (job, call.now(&self.env))) };
        batch.run(&own, &end).await?;
        if let Some(lease) = call.job {
            batch.finish_job(lease);
        }
        batch.commit().await?;
        Ok(true)
    }
}

/// A run hears of what happened. Tandem's own.
#[derive(Serialize)]
struct RunHear {
    enrollment: EnrollmentId,
    #[serde(skip)]
    news: Vec<News>,
}

impl Command for RunHear {
    const NAME: &'static str = "enrollmentHear";
    type Output = Option<LetGo>;

    async fn decide(&self, tx: &Tx, call: &Call, env: &Env) -> Result<Decision<Option<LetGo>>> {
        let now = call.now(env);
        let missing = || AppError::NotFound { what: "Enrollment", id: self.enrollment.into() };
        let mut enrollment: Enrollment = tx.get(self.enrollment).await?.ok_or_else(missing)?;
        let missing = || AppError::NotFound { what: "Sequence", id: enrollment.sequence.into() };
        let sequence: Sequence = tx.peek(enrollment.sequence).await?.ok_or_else(missing)?;
        let missing = || AppError::NotFound { what: "SequenceVersion", id: enrollment.version.into() };
        let version: SequenceVersion = tx.peek(enrollment.version).await?.ok_or_else(missing)?;
        let mut subject = Subject::load(tx, enrollment.contact, enrollment.lead).await?;
        subject.see(tx, &Reads::of_version(&version), now).await?;
        let surroundings = Surroundings::default();
        let (mut facts, mut jobs) = (Vec::new(), Vec::new());
        // What conditions read is the same for every change: one look is enough.
        let mut looked = false;
        for news in &self.news {
            if news.heard == Heard::Change && std::mem::replace(&mut looked, true) {
                continue;
            }
            let data = subject.data(env, Some(&enrollment), now);
            let context = subject.context(&data, sequence.state, &surroundings);
            let told = (&news.heard, news.seq);
            if let Some(decision) = hear(enrollment.clone(), &version.definition, &context, told, now) {
                enrollment = decision.next;
                facts.extend(decision.facts);
                jobs.extend(decision.jobs);
            }
        }
        if facts.is_empty() {
            return Ok(Decision::unchanged(None));
        }
        let decision = let_go(tx, Decision { next: enrollment, facts, jobs }, subject.lead, env, now).await?;
        Ok(super::made_by_run(decision, |(enrollment, _)| enrollment).map(Some))
    }
}
