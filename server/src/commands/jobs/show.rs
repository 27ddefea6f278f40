//! Tables for people, JSON for programs.

use crate::commands::Outcome;
use crate::commands::print::{list, or_dash, plain, put, put_json, short, table, time};
use serde_json::{Value, json};
use tandem_store::PageOf;
use tandem_store::jobs::{Archived, Depth, JobState, Limits, Node, Queue, Schedule, Waiting};

/// What is said of numbers that the table does not hold.
const GONE: &str = "no such jobs: they are done, or `tandem jobs dead --id` shows them; one that was brought back has a new \
                    number";

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
            "uniqueKey": job.unique_key, "orderingKey": job.ordering_key, "limitKey": job.limit_key, "node": job.leased_by,
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
    let none = if named { GONE } else { "no jobs" };
    list(page, named, as_json, none, fields, head, row)
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
    list(
        page,
        named,
        as_json,
        "no jobs",
        fields,
        ["ID", "QUEUE", "KIND", "OUTCOME", "ATTEMPTS", "ENDED", "REASON"],
        row,
    )
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

pub(super) fn nodes(nodes: &[Node], as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        let value = nodes.iter().map(|node| {
            json!({
                "name": node.name, "version": node.version, "concurrency": node.concurrency, "running": node.running,
                "startedAt": time(node.started_at), "seenAt": time(node.seen_at),
                "lost": node.lost(),
            })
        });
        return put_json(&value.collect());
    }
    if nodes.is_empty() {
        return put("no node runs jobs: start `tandem serve` or `tandem worker`");
    }
    let rows = nodes.iter().map(|node| {
        [
            plain(&node.name),
            plain(&node.version),
            format!("{}/{}", node.running, node.concurrency),
            time(node.started_at),
            format!("{} s ago{}", node.silent.num_seconds(), if node.lost() { ", lost" } else { "" }),
        ]
    });
    put(&table(["NODE", "VERSION", "RUNNING", "STARTED", "SEEN"], rows))
}

/// How many jobs a command changed.
pub(super) fn changed(done: &str, jobs: u64, limit: u64, as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        return put_json(&json!({ "jobs": jobs }));
    }
    let more = match jobs {
        0 => "; no job is there that the options name",
        jobs if jobs == limit => "; there may be more: run it again, or with a larger --limit",
        _ => "",
    };
    put(&format!("{jobs} {} {done}{more}", if jobs == 1 { "job" } else { "jobs" }))
}
