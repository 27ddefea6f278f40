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
use tandem_domain::id::{ContactId, EnrollmentId, InteractionId};
use tandem_domain::interaction::{Interaction, InteractionKind};
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::hearing::{DEEDS, EVENTS, Heard, MEETINGS, concern, hear};
use tandem_domain::sequence::reads::Reads;
use tandem_domain::sequence::trigger::matching::KINDS;
use tandem_domain::sequence::trigger::{Event, Who, chain_of};
use tandem_domain::sequence::{Enrollment, Sequence, SequenceVersion};
use tandem_store::Tx;
use tandem_store::interaction::Deed;
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

/// The same before it is read: what a person did is only named, since most of it is nothing to anybody.
#[derive(Debug, Clone)]
struct Tiding {
    seq: i64,
    of: (RunOf, Uuid),
    what: What,
    chain: u32,
    /// Which runs it is something to: those that hear of one of these parts.
    hears: i32,
}

#[derive(Debug, Clone)]
enum What {
    Heard(Heard),
    Did(InteractionId),
}

/// What entries say to runs, in their order, as far as any live run hears of such things.
async fn tidings(app: &App, entries: &[Entry]) -> Result<Vec<Tiding>> {
    let mut concerns: Vec<(&Entry, Who, i32)> =
        entries.iter().filter_map(|entry| concern(entry).map(|(who, hears)| (entry, who, hears))).collect();
    if concerns.is_empty() {
        return Ok(Vec::new());
    }
    // Asked behind the entries: a run that begins later has them behind it.
    let heard = app.store.heard_by_runs().await?;
    concerns.iter_mut().for_each(|(_, _, hears)| *hears &= heard);
    concerns.retain(|(_, _, hears)| *hears != 0);
    let named = concerns.iter().flat_map(|(_, who, _)| if let Who::Doers(ids) = who { ids.as_slice() } else { &[] });
    let named: BTreeSet<InteractionId> = named.copied().collect();
    let named: Vec<InteractionId> = named.into_iter().collect();
    // Sequences end with a meeting unless they say otherwise; that alone is no reason to look at every page somebody reads.
    let kinds: &[InteractionKind] = if heard & (EVENTS | DEEDS) == 0 { &[InteractionKind::Meeting] } else { &[] };
    let deeds = app.store.deeds(&named, kinds).await?;
    let deeds: BTreeMap<InteractionId, Deed> = deeds.into_iter().map(|deed| (deed.id, deed)).collect();
    let mut tidings = Vec::new();
    for (entry, who, hears) in concerns {
        let chain = chain_of(&entry.request_id);
        let mut tell = |of, what, hears| tidings.push(Tiding { seq: entry.seq, of, what, chain, hears });
        let change =
            || What::Heard(if entry.kind == "opportunity.opened" { Heard::Opportunity } else { Heard::Change });
        match who {
            Who::Contact(id) => tell((RunOf::Contact, id.into()), change(), hears),
            Who::Lead(id) => tell((RunOf::Lead, id.into()), change(), hears),
            Who::Account(id) => tell((RunOf::Account, id.into()), change(), hears),
            Who::Doers(ids) => {
                for deed in ids.into_iter().filter_map(|id| deeds.get(&id)) {
                    let hears = if deed.kind == InteractionKind::Meeting { hears } else { hears & !MEETINGS };
                    tell((RunOf::Contact, deed.contact.into()), What::Did(deed.id), hears);
                }
            }
        }
    }
    tidings.retain(|tiding| tiding.hears != 0);
    Ok(tidings)
}

async fn hearers(
    app: &App,
    tidings: &[Tiding],
    after: Option<EnrollmentId>,
    limit: u64,
) -> Result<Vec<(EnrollmentId, ContactId)>> {
    let mut asked: BTreeMap<(RunOf, i32), BTreeSet<Uuid>> = BTreeMap::new();
    for tiding in tidings {
        asked.entry((tiding.of.0, tiding.hears)).or_default().insert(tiding.of.1);
    }
    let mut found = BTreeSet::new();
    for ((by, hears), ids) in asked {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        found.extend(app.store.hearing_runs(by, &ids, hears, after.map(Uuid::from), limit).await?);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(found.into_iter().take(limit).map(|(run, contact)| (EnrollmentId(run), contact)).collect())
}

/// Whether a live run may have something to do about these entries.
pub(super) async fn concerns_a_run(app: &App, entries: &[Entry]) -> Result<bool> {
    let tidings = tidings(app, entries).await?;
    Ok(!hearers(app, &tidings, None, 1).await?.is_empty())
}

/// What these people hear: what they did themselves is read now, whole, and what others did is left out.
async fn news(app: &App, tidings: Vec<Tiding>, people: &BTreeSet<Uuid>) -> Result<Arc<[News]>> {
    let did = tidings.iter().filter(|tiding| people.contains(&tiding.of.1)).filter_map(|tiding| match tiding.what {
        What::Did(id) => Some(Uuid::from(id)),
        What::Heard(_) => None,
    });
    let did: BTreeSet<Uuid> = did.collect();
    let did: Vec<Interaction> = app.store.find_many(did).await?;
    let did: BTreeMap<InteractionId, Event> = did.iter().filter_map(|deed| Some((deed.id, Event::of(deed)?))).collect();
    let news = tidings.into_iter().filter_map(|Tiding { seq, of, what, chain, .. }| {
        let heard = match what {
            What::Heard(heard) => heard,
            What::Did(id) => Heard::Event(did.get(&id)?.clone()),
        };
        Some(News { seq, of, heard, chain })
    });
    Ok(news.collect())
}

impl App {
    /// Lets runs hear of a stretch of the ledger: a part of them, in one transaction with the end of the job, and plans the
    /// rest. Whether there was anybody to tell.
    pub async fn hear_facts(&self, call: &Call, from: i64, to: i64, after: Option<EnrollmentId>) -> Result<bool> {
        let entries = self.store.ledger_between(from, to, &KINDS).await?;
        let tidings = tidings(self, &entries).await?;
        let runs = hearers(self, &tidings, after, AT_ONCE).await?;
        if runs.is_empty() {
            return Ok(false);
        }
        let news = news(self, tidings, &runs.iter().map(|(_, contact)| (*contact).into()).collect()).await?;
        let runs: Vec<EnrollmentId> = runs.into_iter().map(|(run, _)| run).collect();
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
