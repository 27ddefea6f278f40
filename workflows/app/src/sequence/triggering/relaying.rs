//! From the ledger to the sequences that listen.
//!
//! Of several nodes that read on at once, one moves the mark, and what follows is written with it. Which version's triggers an
//! entry meets is decided by its place: those of the version that was the newest there, while the sequence was active.

use super::hearing::concerns_a_run;
use crate::jobs::cron::Cron;
use crate::{App, Result};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::decision::Job;
use tandem_domain::id::{ListId, SequenceId};
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::trigger::matching::{KINDS, OF_SEQUENCES, doers};
use tandem_domain::sequence::trigger::{Cause, Reign, TriggerKind, meant, reigns};
use tandem_domain::sequence::{Sequence, SequenceState, SequenceVersion};
use tandem_store::jobs::{NewJob, Schedule};
use tandem_store::trigger::Told;

/// How many places of the ledger one look reads at most.
const AT_ONCE: i64 = 1_000;
/// How many interactions the entries of one look name before it ends: one entry names hundreds where a site sends many at once.
const DEEDS_AT_ONCE: usize = 1_000;
/// How far ahead dates are looked for: longer than from one daily look to the next, also where that is late.
pub(super) const AHEAD: TimeDelta = TimeDelta::hours(36);

/// A version over a stretch of the ledger, in which its triggers listened.
struct Listening {
    key: String,
    version: SequenceVersion,
    from: i64,
    to: i64,
}

/// The first millisecond of an entry's moment.
fn moment(entry: &Entry) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(entry.at).unwrap_or_default()
}

/// A job that the relay plans.
pub(super) fn planned(job: &Job, due: DateTime<Utc>, request_id: String) -> Option<NewJob> {
    // Every job has a JSON form; one that had none would be left out by the relay of every node alike.
    let payload = serde_json::to_string(job).ok()?;
    let (priority, ordering_key) = (job.priority(), job.ordering_key());
    Some(NewJob { priority, ordering_key, request_id, ..NewJob::new(job.queue(), job.kind(), payload, due) })
}

/// Cuts a look off where its entries name enough interactions. Gives how far it goes then.
fn cut_off(entries: &mut Vec<Entry>, to: i64, most: usize) -> i64 {
    let mut named = 0_usize;
    let enough = entries.iter().position(|entry| {
        named = named.saturating_add(doers(entry).map_or(0, |deeds| deeds.len()));
        named >= most
    });
    let Some(last) = enough.filter(|last| last + 1 < entries.len()) else { return to };
    entries.truncate(last + 1);
    entries.last().map_or(to, |entry| entry.seq)
}

impl App {
    /// Tells sequences of a part of what the ledger has grown by. Gives how many places were looked at: none where there was
    /// nothing to do, or another node did it.
    pub async fn relay_to_sequences(&self) -> Result<usize> {
        let from = self.store.sequences_heard().await?;
        let head = self.store.ledger_head().await?.0;
        if from >= head {
            return Ok(0);
        }
        // Asked behind the head: what is published later is told from there.
        let told = if self.store.has_sequences().await? {
            let to = head.min(from.saturating_add(AT_ONCE));
            let mut entries = self.store.ledger_between(from, to, &KINDS).await?;
            let to = cut_off(&mut entries, to, DEEDS_AT_ONCE);
            self.follows(from, to, &entries).await?
        } else {
            Told { from, to: head, jobs: Vec::new(), schedules: Vec::new() }
        };
        let looked = usize::try_from(told.to - from).unwrap_or(usize::MAX);
        Ok(if self.store.tell_sequences(told).await? { looked } else { 0 })
    }

    async fn follows(&self, from: i64, to: i64, entries: &[Entry]) -> Result<Told> {
        let mut told = Told { from, to, jobs: Vec::new(), schedules: Vec::new() };
        if entries.is_empty() {
            return Ok(told);
        }
        // Read behind the entries: a version that was published before one of them is among these.
        let mut listeners = self.store.triggering_sequences().await?;
        // Read behind the listeners, and to the end: what made them what they are may lie far behind this part.
        let turns = self.store.ledger_between(from, i64::MAX, &OF_SEQUENCES).await?;
        let mut by_sequence: BTreeMap<SequenceId, Vec<&Entry>> = BTreeMap::new();
        for entry in &turns {
            by_sequence.entry(entry.subject_id.into()).or_default().push(entry);
        }
        let known: BTreeSet<SequenceId> = listeners.iter().map(|(sequence, _)| sequence.id).collect();
        for id in by_sequence.keys().filter(|id| !known.contains(id)) {
            listeners.extend(self.newest_version(*id).await?);
        }
        let request = format!("ledger-{to}");
        let now = self.env.now();
        let mut listening = Vec::new();
        for (sequence, version) in listeners {
            let turns = by_sequence.get(&sequence.id).map_or(&[][..], Vec::as_slice);
            let here: Vec<&Entry> = turns.iter().copied().take_while(|entry| entry.seq <= to).collect();
            self.begins(&mut told, (&sequence, &version), &here, &request, now).await?;
            listening.extend(self.listening(&sequence, version, turns, (from, to)).await?);
        }
        let lists = self.lists_of(&listening.iter().map(|one| &one.version).collect::<Vec<_>>()).await?;
        for Listening { key, version, from, to } in listening {
            let heard: Vec<&Entry> = entries.iter().filter(|entry| from < entry.seq && entry.seq <= to).collect();
            for trigger in &version.definition.header.triggers {
                if !heard.iter().any(|entry| meant(trigger, &key, entry, &lists).is_some()) {
                    continue;
                }
                let job = start(&version, trigger.key(), Cause::Entries { from, to });
                told.jobs.extend(planned(&job, now, request.clone()));
            }
        }
        if concerns_a_run(self, entries).await? {
            told.jobs.extend(planned(&Job::HearFacts { from, to, after: None }, now, request));
        }
        Ok(told)
    }

    /// A sequence and its newest version; none for one that has none.
    async fn newest_version(&self, id: SequenceId) -> Result<Option<(Sequence, SequenceVersion)>> {
        let Some(sequence) = self.store.find::<Sequence>(id).await? else { return Ok(None) };
        let Some(version) = sequence.latest_version else { return Ok(None) };
        Ok(self.store.find::<SequenceVersion>(version).await?.map(|version| (sequence, version)))
    }

    /// The ids of the lists that triggers name. One that does not exist yet means nobody.
    pub(super) async fn lists_of(&self, versions: &[&SequenceVersion]) -> Result<BTreeMap<String, ListId>> {
        let mut lists = BTreeMap::new();
        let triggers = versions.iter().flat_map(|version| &version.definition.header.triggers);
        let keys: BTreeSet<&str> = triggers
            .filter_map(
                |trigger| if let TriggerKind::List(list) = &trigger.kind { Some(list.list.as_str()) } else { None },
            )
            .collect();
        for key in keys {
            if let Some(list) = self.store.list_by_key(key).await? {
                lists.insert(key.to_owned(), list.id);
            }
        }
        Ok(lists)
    }

    /// Which versions' triggers met the entries of a stretch.
    async fn listening(
        &self,
        sequence: &Sequence,
        newest: SequenceVersion,
        turns: &[&Entry],
        stretch: (i64, i64),
    ) -> Result<Vec<Listening>> {
        let mut listening = Vec::new();
        for Reign { number, from, to } in reigns(turns, (sequence.state, newest.number), stretch) {
            let version = if number == newest.number {
                Some(newest.clone())
            } else {
                self.store.sequence_version_numbered(sequence.id, number).await?
            };
            let key = sequence.key.clone();
            listening.extend(version.map(|version| Listening { key, version, from, to }));
        }
        Ok(listening)
    }

    /// What follows from a sequence being published, paused, resumed or archived: its schedules are those of its newest
    /// version while it is active, new segments note who is inside already, and new dates are looked ahead for, also where it
    /// is paused again by now: what it heard in between is told all the same.
    async fn begins(
        &self,
        told: &mut Told,
        (sequence, version): (&Sequence, &SequenceVersion),
        entries: &[&Entry],
        request: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let Some(last) = entries.last() else { return Ok(()) };
        let prefix = format!("sequence:{}:", sequence.key);
        let triggers = &version.definition.header.triggers;
        if sequence.state == SequenceState::Archived {
            told.schedules.push((prefix, Vec::new()));
            return Ok(());
        }
        let active = sequence.state == SequenceState::Active;
        let schedules = triggers.iter().filter(|_| active).filter_map(|trigger| {
            let (cron, zone) = trigger.schedule()?;
            let job = start(version, trigger.key(), Cause::Tick {});
            Some(Schedule {
                name: format!("{prefix}{}", trigger.key()),
                next_at: Cron::parse(&cron, &zone).ok()?.next(moment(last))?,
                cron,
                zone,
                payload: serde_json::to_string(&job).ok()?,
                // What was missed while nothing ran is made up for by one run.
                missed: "ONCE".to_owned(),
                paused: false,
                last_at: None,
            })
        });
        let schedules: Vec<Schedule> = schedules.collect();
        told.schedules.push((prefix, schedules));
        // One that is published while the sequence is paused begins when that goes on.
        let begun = |entry: &Entry| {
            entry.kind == "sequence.published" && entry.state_after.as_deref() == Some(SequenceState::Active.as_str())
        };
        let resumed = |entry: &Entry| entry.kind == "sequence.resumed";
        let Some(last) = entries.iter().rfind(|entry| begun(entry) || resumed(entry)) else { return Ok(()) };
        let resumed = entries.iter().any(|entry| resumed(entry));
        let first = entries.iter().find(|entry| begun(entry)).and_then(|entry| entry.detail.get("number")?.as_u64());
        let before = match first.and_then(|number| u32::try_from(number).ok()) {
            Some(number) if number > 1 => self.store.sequence_version_numbered(sequence.id, number - 1).await?,
            _ => None,
        };
        for trigger in triggers {
            let key = trigger.key();
            if !resumed && before.as_ref().is_some_and(|before| before.definition.trigger(&key).is_some()) {
                continue;
            }
            let cause = match trigger.kind {
                TriggerKind::Segment(_) => Cause::Baseline { before: last.at, resumed },
                TriggerKind::Date(_) => {
                    Cause::Dates { since: last.at, until: (moment(last) + AHEAD).timestamp_millis() }
                }
                _ => continue,
            };
            // Before everything that the trigger hears of from now on, with all its parts.
            let due = now - TimeDelta::milliseconds(1);
            told.jobs.extend(planned(&start(version, key, cause), due, request.to_owned()));
        }
        Ok(())
    }
}

pub(super) fn start(version: &SequenceVersion, trigger: String, cause: Cause) -> Job {
    Job::StartByTrigger { sequence: version.sequence, version: version.id, trigger, cause, after: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tandem_domain::sequence::trigger::cron_fields::CronFields;
    use uuid::Uuid;

    fn entry(seq: i64, kind: &str, heard: usize) -> Entry {
        let heard: Vec<Value> = (0..heard).map(|_| json!(Uuid::nil())).collect();
        Entry {
            seq,
            at: 0,
            recorded_at: 0,
            book: "LEDGER".to_owned(),
            kind: kind.to_owned(),
            subject_kind: "EventBatch".to_owned(),
            subject_id: Uuid::nil(),
            lead_id: None,
            account_id: None,
            actor_id: None,
            actor_role: "SYSTEM".to_owned(),
            side: None,
            state_before: None,
            state_after: None,
            reason: None,
            rule: None,
            request_id: "r".to_owned(),
            idempotency_key: None,
            detail: [("heard".to_owned(), json!(heard))].into_iter().collect(),
        }
    }

    #[test]
    fn a_look_ends_where_enough_interactions_are_named_and_never_before_its_first_entry() {
        let many =
            || vec![entry(3, "events.applied", 4), entry(5, "contact.changed", 9), entry(8, "events.applied", 4)];
        let cut = |mut entries: Vec<Entry>, most| {
            let to = cut_off(&mut entries, 12, most);
            (to, entries.len())
        };
        assert_eq!(cut(many(), 1), (3, 1));
        assert_eq!(cut(many(), 4), (3, 1));
        assert_eq!(cut(many(), 5), (12, 3), "the last one ends it where the look would have ended");
        assert_eq!(cut(many(), 9), (12, 3), "a change names nobody's deeds");
        assert_eq!(cut(Vec::new(), 1), (12, 0));
    }

    #[test]
    fn what_the_definition_may_say_the_runner_understands() {
        let parts = ["*", "7", "1-5", "*/2", "2-6/3", "1,3,5"];
        let months = ["*", "jan", "FEB-mar", "1-12/4"];
        let days = ["*", "0", "7", "mon", "MON-FRI", "1-5/2", "sun,sat", "0-6", "*/2"];
        for minute in parts {
            for month in months {
                for day in days {
                    let fields = format!("{minute} {minute} {minute} {month} {day}");
                    assert_eq!(fields.parse::<CronFields>(), Ok(CronFields), "{fields}");
                    assert!(Cron::parse(&fields, "UTC").is_ok(), "{fields}");
                }
            }
        }
    }
}
