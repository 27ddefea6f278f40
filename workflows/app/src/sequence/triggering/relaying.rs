//! From the ledger to the sequences that listen.
//!
//! Of several nodes that read on at once, one moves the mark, and what follows is written with it. Which version's triggers an
//! entry meets is decided by its place: those of the version that was the newest there, while the sequence was active.

use super::hearing::runs_concerned;
use crate::jobs::cron::Cron;
use crate::{App, Result};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use tandem_domain::decision::Job;
use tandem_domain::id::{ListId, SequenceId};
use tandem_domain::ledger::Entry;
use tandem_domain::sequence::trigger::matching::KINDS;
use tandem_domain::sequence::trigger::{Cause, TriggerKind, meant};
use tandem_domain::sequence::{Sequence, SequenceState, SequenceVersion};
use tandem_store::jobs::{NewJob, Schedule};
use tandem_store::trigger::Told;

/// How many places of the ledger one look reads at most.
const AT_ONCE: i64 = 1_000;
/// How far ahead dates are looked for: longer than from one daily look to the next, also where that is late.
pub(super) const AHEAD: TimeDelta = TimeDelta::hours(36);

/// A version over a stretch of the ledger: behind one place, up to another.
struct Reign {
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

/// The stretches of `(from, to]` in which a sequence listened: those before a resumption it was paused in.
fn listening(told: &[&Entry], from: i64, to: i64) -> Vec<(i64, i64)> {
    let (mut stretches, mut open) = (Vec::new(), Some(from));
    for entry in told {
        match entry.kind.as_str() {
            "sequence.paused" | "sequence.archived" => {
                stretches.extend(open.take().map(|from| (from, entry.seq)));
            }
            "sequence.resumed" => {
                // Where the pause lies before all this, there was nothing to listen with until now.
                if stretches.is_empty() {
                    open = None;
                }
                open = open.or(Some(entry.seq));
            }
            _ => {}
        }
    }
    stretches.extend(open.map(|from| (from, to)));
    stretches
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
            let entries = self.store.ledger_between(from, to, &KINDS).await?;
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
        let mut by_sequence: BTreeMap<SequenceId, Vec<&Entry>> = BTreeMap::new();
        for entry in entries.iter().filter(|entry| entry.kind.starts_with("sequence.")) {
            by_sequence.entry(entry.subject_id.into()).or_default().push(entry);
        }
        // Read behind the entries: a version that was published before one of them is among these.
        let mut listeners = self.store.triggering_sequences().await?;
        let known: BTreeSet<SequenceId> = listeners.iter().map(|(sequence, _)| sequence.id).collect();
        for id in by_sequence.keys().filter(|id| !known.contains(id)) {
            listeners.extend(self.newest_version(*id).await?);
        }
        let request = format!("ledger-{to}");
        let now = self.env.now();
        for (sequence, version) in &listeners {
            let Some(entries) = by_sequence.get(&sequence.id) else { continue };
            self.begins(&mut told, (sequence, version), entries, &request, now).await?;
        }
        let lists = self.lists_of(&listeners).await?;
        for (sequence, version) in listeners.into_iter().filter(|(sequence, _)| sequence.state == SequenceState::Active)
        {
            let entries_of_it = by_sequence.get(&sequence.id).map_or(&[][..], Vec::as_slice);
            for reign in self.reigns(&sequence, version, entries_of_it, (from, to)).await? {
                let of_it: Vec<&Entry> =
                    entries.iter().filter(|entry| reign.from < entry.seq && entry.seq <= reign.to).collect();
                for trigger in &reign.version.definition.header.triggers {
                    if !of_it.iter().any(|entry| meant(trigger, &reign.key, entry, &lists).is_some()) {
                        continue;
                    }
                    let cause = Cause::Entries { from: reign.from, to: reign.to };
                    let job = start(&reign.version, trigger.key(), cause);
                    told.jobs.extend(planned(&job, now, request.clone()));
                }
            }
        }
        if !runs_concerned(self, entries, None, 1).await?.is_empty() {
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
    pub(super) async fn lists_of(&self, listeners: &[(Sequence, SequenceVersion)]) -> Result<BTreeMap<String, ListId>> {
        let mut lists = BTreeMap::new();
        let triggers = listeners.iter().flat_map(|(_, version)| &version.definition.header.triggers);
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

    /// Which version's triggers met the entries of a stretch: until a version was published, those of the one before it.
    async fn reigns(
        &self,
        sequence: &Sequence,
        newest: SequenceVersion,
        told: &[&Entry],
        (from, to): (i64, i64),
    ) -> Result<Vec<Reign>> {
        let mut reigns = Vec::new();
        for (from, to) in listening(told, from, to) {
            let published = told.iter().filter(|entry| entry.kind == "sequence.published");
            let published: Vec<(i64, u32)> = published
                .filter_map(|entry| {
                    let number = entry.detail.get("number")?.as_u64()?;
                    Some((entry.seq, u32::try_from(number).ok()?))
                })
                .filter(|(seq, _)| from < *seq && *seq <= to)
                .collect();
            let mut begin = from;
            for (seq, number) in published {
                if number > 1
                    && let Some(before) = self.store.sequence_version_numbered(sequence.id, number - 1).await?
                {
                    reigns.push(Reign { key: sequence.key.clone(), version: before, from: begin, to: seq });
                }
                begin = seq;
            }
            reigns.push(Reign { key: sequence.key.clone(), version: newest.clone(), from: begin, to });
        }
        Ok(reigns.into_iter().filter(|reign| reign.from < reign.to).collect())
    }

    /// What follows from a sequence being published, paused, resumed or archived: its schedules are those of its newest
    /// version while it is active, new segments note who is inside already, and new dates are looked ahead for.
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
        if sequence.state != SequenceState::Active {
            told.schedules.push((prefix, Vec::new()));
            return Ok(());
        }
        let schedules = triggers.iter().filter_map(|trigger| {
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
        let resumed = entries.iter().any(|entry| entry.kind == "sequence.resumed");
        let first = entries.iter().filter(|entry| entry.kind == "sequence.published").find_map(|entry| {
            let number = entry.detail.get("number")?.as_u64()?;
            u32::try_from(number).ok()
        });
        let before = match first {
            Some(number) if number > 1 => self.store.sequence_version_numbered(sequence.id, number - 1).await?,
            _ => None,
        };
        if !resumed && first.is_none() {
            return Ok(());
        }
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
    use tandem_domain::sequence::trigger::cron_fields::CronFields;

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
