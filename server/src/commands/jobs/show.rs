//! Tables for people, JSON for programs.

use crate::commands::Outcome;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use std::io::Write;
use tandem_store::PageOf;
use tandem_store::jobs::{Archived, Depth, JobState, Limits, Node, Queue, Schedule, Waiting};

/// How much of an error a table shows.
const SHOWN: usize = 60;

/// Writes to standard output. Whoever reads may stop early (`| head`); that is no failure.
fn put(text: &str) -> anyhow::Result<Outcome> {
    match std::io::stdout().write_all(format!("{}\n", text.trim_end()).as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(Outcome::Done),
    }
}

fn put_json(value: &Value) -> anyhow::Result<Outcome> {
    put(&serde_json::to_string_pretty(value)?)
}

/// A text without what would move the cursor of a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn short(text: &str) -> String {
    let text = plain(text);
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN - 1).chain(['…']).collect() }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Everything of one thing, a line a field.
fn details(fields: &Value) -> String {
    let mut text = String::new();
    for (name, value) in fields.as_object().into_iter().flatten() {
        let shown = match value {
            Value::Null => "-".to_owned(),
            Value::String(value) => plain(value),
            value => value.to_string(),
        };
        text.push_str(&format!("{name:<12} {shown}\n"));
    }
    text
}

/// A list: JSON, every field of those that were named, or a table.
fn list<T, const N: usize>(
    page: PageOf<T>,
    named: bool,
    as_json: bool,
    fields: impl Fn(&T) -> Value,
    head: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> anyhow::Result<Outcome> {
    let values = || page.items.iter().map(&fields).collect::<Vec<_>>();
    let done = if as_json {
        put_json(&Value::Array(values()))
    } else if page.items.is_empty() {
        put("no jobs")
    } else if named {
        put(&values().iter().map(details).collect::<Vec<_>>().join("\n"))
    } else {
        put(&table(head, page.items.iter().map(row)))
    };
    if page.has_next {
        eprintln!("there are more; --limit shows more of them");
    }
    done
}

/// A payload that is not JSON was written by hand; it is shown as it is.
fn input(payload: &str) -> Value {
    serde_json::from_str(payload).unwrap_or_else(|_| payload.into())
}

pub(super) fn jobs(page: PageOf<Waiting>, named: bool, as_json: bool) -> anyhow::Result<Outcome> {
    let state = |job: &Waiting| match job.state {
        JobState::Due => "DUE",
        JobState::Running => "RUNNING",
        JobState::Waiting => "WAITING",
    };
    let fields = |job: &Waiting| {
        json!({
            "id": job.id, "queue": job.queue, "kind": job.kind, "state": job.state, "dueAt": time(job.due_at),
            "claimableAt": time(job.visible_at), "attempt": job.attempt, "maxAttempts": job.max_attempts,
            "uniqueKey": job.unique_key, "orderingKey": job.ordering_key, "node": job.leased_by,
            "lastError": job.last_error, "requestId": job.request_id, "input": input(&job.payload),
        })
    };
    let row = |job: &Waiting| {
        [
            job.id.to_string(),
            plain(&job.queue),
            plain(&job.kind),
            state(job).to_owned(),
            time(job.due_at),
            time(job.visible_at),
            format!("{}/{}", job.attempt, job.max_attempts),
            or_dash(job.leased_by.as_deref().map(plain)),
            or_dash(job.last_error.as_deref().map(short)),
        ]
    };
    let head = ["ID", "QUEUE", "KIND", "STATE", "DUE", "CLAIMABLE", "ATTEMPT", "NODE", "LAST ERROR"];
    list(page, named, as_json, fields, head, row)
}

pub(super) fn archived(page: PageOf<Archived>, named: bool, as_json: bool) -> anyhow::Result<Outcome> {
    let fields = |job: &Archived| {
        json!({
            "id": job.id, "queue": job.queue, "kind": job.kind, "outcome": job.outcome, "reason": job.reason,
            "dueAt": time(job.due_at), "endedAt": time(job.ended_at), "attempt": job.attempt,
            "requestId": job.request_id, "input": input(&job.payload),
        })
    };
    let row = |job: &Archived| {
        [
            job.id.to_string(),
            plain(&job.queue),
            plain(&job.kind),
            job.outcome.as_str().to_owned(),
            job.attempt.to_string(),
            time(job.ended_at),
            short(&job.reason),
        ]
    };
    list(page, named, as_json, fields, ["ID", "QUEUE", "KIND", "OUTCOME", "ATTEMPTS", "ENDED", "REASON"], row)
}

pub(super) fn queues(queues: &[Queue], depths: &[Depth], as_json: bool) -> anyhow::Result<Outcome> {
    let depth = |queue: &Queue| depths.iter().find(|depth| depth.queue == queue.name).cloned().unwrap_or_default();
    if as_json {
        let value = queues.iter().map(|queue| {
            let (depth, limits) = (depth(queue), &queue.limits);
            json!({
                "name": queue.name, "paused": queue.paused,
                "depth": { "due": depth.due, "running": depth.running, "waiting": depth.waiting },
                "oldestDue": depth.oldest_due.map(time),
                "limits": {
                    "maxRunning": limits.max_running, "maxRunningPerKey": limits.max_running_per_key,
                    "perMinute": limits.per_minute, "perMinutePerKey": limits.per_minute_per_key,
                },
            })
        });
        return put_json(&value.collect());
    }
    let rows = queues.iter().map(|queue| {
        let depth = depth(queue);
        [
            plain(&queue.name),
            if queue.paused { "paused" } else { "-" }.to_owned(),
            depth.due.to_string(),
            depth.running.to_string(),
            depth.waiting.to_string(),
            or_dash(depth.oldest_due.map(time)),
            limits(&queue.limits),
        ]
    });
    put(&table(["QUEUE", "PAUSED", "DUE", "RUNNING", "WAITING", "OLDEST DUE", "LIMITS"], rows))
}

/// The limits there are, in words.
fn limits(limits: &Limits) -> String {
    let Limits { max_running, max_running_per_key, per_minute, per_minute_per_key } = limits;
    let words = [
        max_running.map(|limit| format!("{limit} at once")),
        max_running_per_key.map(|limit| format!("{limit} at once per key")),
        per_minute.map(|limit| format!("{limit} a minute")),
        per_minute_per_key.map(|limit| format!("{limit} a minute per key")),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

pub(super) fn schedules(schedules: &[Schedule], as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        let value = schedules.iter().map(|schedule| {
            json!({
                "name": schedule.name, "cron": schedule.cron, "timeZone": schedule.zone, "missed": schedule.missed,
                "paused": schedule.paused, "nextAt": time(schedule.next_at), "lastAt": schedule.last_at.map(time),
                "job": input(&schedule.payload),
            })
        });
        return put_json(&value.collect());
    }
    if schedules.is_empty() {
        return put("no schedules; a node that runs jobs writes them when it starts");
    }
    let rows = schedules.iter().map(|schedule| {
        [
            plain(&schedule.name),
            plain(&schedule.cron),
            plain(&schedule.zone),
            if schedule.paused { "paused" } else { "-" }.to_owned(),
            time(schedule.next_at),
            or_dash(schedule.last_at.map(time)),
            schedule.missed.clone(),
        ]
    });
    put(&table(["SCHEDULE", "CRON", "ZONE", "PAUSED", "NEXT", "LAST", "MISSED"], rows))
}

pub(super) fn nodes(nodes: &[Node], now: DateTime<Utc>, as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        let value = nodes.iter().map(|node| {
            json!({
                "name": node.name, "version": node.version, "concurrency": node.concurrency, "running": node.running,
                "startedAt": time(node.started_at), "seenAt": time(node.seen_at),
            })
        });
        return put_json(&value.collect());
    }
    if nodes.is_empty() {
        return put("no node runs jobs: start `tandem serve` or `tandem worker`");
    }
    let rows = nodes.iter().map(|node| {
        let silent = (now - node.seen_at).max(TimeDelta::zero());
        [
            plain(&node.name),
            plain(&node.version),
            format!("{}/{}", node.running, node.concurrency),
            time(node.started_at),
            format!("{} s ago", silent.num_seconds()),
        ]
    });
    put(&table(["NODE", "VERSION", "RUNNING", "STARTED", "SEEN"], rows))
}

/// How many jobs a command changed.
pub(super) fn changed(done: &str, jobs: u64, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        return put_json(&json!({ "jobs": jobs }));
    }
    let more = if jobs == limit { "; there may be more: run it again, or with a larger --limit" } else { "" };
    put(&format!("{jobs} {} {done}{more}", if jobs == 1 { "job" } else { "jobs" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".to_owned(), "é".to_owned()], ["1000".to_owned(), String::new()]];
        assert_eq!(table(["ID", "B"], rows), "ID    B\n1     é\n1000\n");
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(short("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(short(&"x".repeat(100)).chars().count(), SHOWN);
    }
}
