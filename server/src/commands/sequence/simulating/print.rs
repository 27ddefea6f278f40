//! A simulation as tables, and as JSON.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tandem_app::sequence::Simulated;
use tandem_domain::sequence::simulation::{
    Both, DayCount, Difference, Hold, MailboxLoad, Mark, Simulation, StepCount, Totals, What,
};

/// The most people whose changed plans are printed.
const MOST_PRINTED: usize = 5;

/// Everything as one object.
pub(super) fn as_json(simulated: &Simulated) -> Value {
    let followed: Vec<_> = simulated.simulation.followed().collect();
    json!({
        "simulation": simulated.simulation,
        "people": followed,
        "missing": simulated.missing,
        "left_out": simulated.left_out,
        "against": simulated.against.as_ref().map(|(rule, difference)| json!({"rule": rule, "difference": difference})),
    })
}

/// Everything to read.
pub(super) fn tables(file: &Path, simulated: &Simulated, zone: Tz) {
    let Simulated { simulation, against, missing, left_out } = simulated;
    for problem in missing {
        println!("{}: {problem}", file.display());
    }
    if !missing.is_empty() {
        println!("{}: it would not be published so", file.display());
        println!();
    }
    let more = if *left_out { ", and more whom --most leaves out" } else { "" };
    println!("{} over {} people{more}, seed {}", simulation.rule, simulation.people, simulation.seed);
    println!("from {} to {}", simulation.start.with_timezone(&zone), simulation.end.with_timezone(&zone));
    if let Some(at) = simulation.cut_at {
        println!("cut off at {at}: too much happened");
    }
    let totals = &simulation.totals;
    println!();
    println!(
        "began {}   e-mails {}   tasks {}   other effects {}   ended {}   running {}   not taken {}",
        totals.began, totals.emails, totals.tasks, totals.effects, totals.ended, totals.running, totals.not_taken
    );
    days(simulation);
    mailboxes(simulation);
    queues(simulation);
    holds(simulation);
    counts("not taken", &simulation.not_taken);
    counts("ended", &simulation.ends);
    counts("running at the end", &simulation.running);
    println!();
    println!("{:<24} {:<14} {:>8} {:>8} {:>8} {:>8}", "step", "kind", "entered", "done", "waiting", "left");
    for step in &simulation.steps {
        let kind = step.kind;
        println!(
            "{:<24} {kind:<14} {:>8} {:>8} {:>8} {:>8}",
            step.step, step.entered, step.done, step.waiting, step.left
        );
    }
    for plan in simulation.followed() {
        println!();
        println!("{} {} ({})", plan.contact, plan.name.as_deref().unwrap_or_default(), plan.zone.name());
        for line in &plan.lines {
            println!("  day {:>3}  {}  {:<20} {}", line.day, moment(line.at, plan.zone), line.step, line.what);
        }
    }
    if let Some((rule, difference)) = against {
        differs(rule, &simulation.rule, difference, zone);
    }
}

/// A moment in a zone, with the distance from UTC.
fn moment(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M %:z").to_string()
}

fn days(simulation: &Simulation) {
    println!();
    println!("{:<12} {:>8} {:>8} {:>8} {:>8}", "day", "began", "e-mails", "tasks", "ended");
    for day in &simulation.days {
        println!("{:<12} {:>8} {:>8} {:>8} {:>8}", day.date, day.began, day.emails, day.tasks, day.ended);
    }
}

fn mailboxes(simulation: &Simulation) {
    if simulation.mailboxes.is_empty() {
        return;
    }
    println!();
    println!("{:<32} {:<12} {:>8} {:>8}", "mailbox", "day", "e-mails", "cap");
    for load in &simulation.mailboxes {
        let cap = load.cap.map_or_else(|| "-".to_owned(), |cap| cap.to_string());
        println!("{:<32} {:<12} {:>8} {cap:>8}", load.address, load.date, load.emails + load.before);
    }
}

fn queues(simulation: &Simulation) {
    if simulation.queues.is_empty() {
        return;
    }
    println!();
    println!("{:<24} {:<12} {:>8} {:>8} {:>8} {:>8}", "queue", "day", "leads", "tasks", "capacity", "left");
    for load in &simulation.queues {
        let capacity = load.capacity.map_or_else(|| "-".to_owned(), |most| most.to_string());
        let left = if load.capacity.is_some() { load.left.to_string() } else { "-".to_owned() };
        let over = if load.over { "  over" } else { "" };
        let team = load.team.as_deref().unwrap_or("everybody");
        let (leads, tasks) = (load.leads, load.tasks);
        println!("{team:<24} {:<12} {leads:>8} {tasks:>8} {capacity:>8} {left:>8}{over}", load.date);
    }
}

fn holds(simulation: &Simulation) {
    let held = &simulation.holds;
    let caps = held.caps.iter().map(|cap| (cap.rule.as_str(), cap.hold));
    let others = [
        (holder("WINDOW"), held.window),
        (holder("MAILBOX"), held.mailbox),
        (holder("POOL_WITHOUT_MAILBOX"), held.pool),
        (holder("CONSENT_UNKNOWN"), held.consent),
    ];
    let all: Vec<(&str, Hold)> = caps.chain(others).filter(|(_, hold)| hold.times > 0).collect();
    if all.is_empty() {
        return;
    }
    println!();
    println!("{:<44} {:>8} {:>8} {:>10}", "held up by", "people", "times", "hours");
    for (by, hold) in all {
        println!("{by:<44} {:>8} {:>8} {:>10.1}", hold.people, hold.times, hold.minutes as f64 / 60.0);
    }
}

fn counts(title: &str, counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    println!();
    println!("{title}");
    for (what, count) in counts {
        println!("  {what:<42} {count:>8}");
    }
}

/// What differs, and nothing that does not.
fn differs(before: &str, after: &str, difference: &Difference, zone: Tz) {
    println!();
    println!("{before} against {after}: something else happens for {} people", difference.people);
    let mut rows: Vec<(String, Option<u64>, Option<u64>)> = Vec::new();
    let totals: [Column<Totals>; 7] = [
        ("began", |it| it.began),
        ("e-mails", |it| it.emails),
        ("tasks", |it| it.tasks),
        ("other effects", |it| it.effects),
        ("ended", |it| it.ended),
        ("running", |it| it.running),
        ("not taken", |it| it.not_taken),
    ];
    let steps: [Column<StepCount>; 4] =
        [("entered", |it| it.entered), ("done", |it| it.done), ("waiting", |it| it.waiting), ("left", |it| it.left)];
    let days: [Column<DayCount>; 4] =
        [("began", |it| it.began), ("e-mails", |it| it.emails), ("tasks", |it| it.tasks), ("ended", |it| it.ended)];
    let mailboxes: [Column<MailboxLoad>; 1] = [("e-mails", |it| u64::from(it.emails) + u64::from(it.before))];
    rows_of(&mut rows, &difference.totals, &totals, |what, _| what.to_owned());
    for step in &difference.steps {
        rows_of(&mut rows, step, &steps, |what, count| format!("step {}, {what}", count.step));
    }
    for day in &difference.days {
        rows_of(&mut rows, day, &days, |what, count| format!("{what} on {}", count.date));
    }
    for load in &difference.mailboxes {
        rows_of(&mut rows, load, &mailboxes, |what, load| format!("{what} from {} on {}", load.address, load.date));
    }
    if !rows.is_empty() {
        println!("{:<52} {before:>18} {after:>18}", "");
    }
    let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    for (name, was, is) in rows {
        println!("{name:<52} {:>18} {:>18}", number(was), number(is));
    }
    let shown = difference.plans.len().min(MOST_PRINTED);
    if difference.people > 0 {
        println!();
        let json = if difference.plans.len() > shown {
            format!("; --json gives those of the first {}", difference.plans.len())
        } else {
            String::new()
        };
        println!("both plans of {shown} of the {} people for whom something else happens{json}", difference.people);
    }
    for plan in difference.plans.iter().take(shown) {
        println!();
        println!("{} {}", plan.contact, plan.name.as_deref().unwrap_or_default());
        marks(before, &plan.before, zone);
        marks(after, &plan.after, zone);
    }
}

/// What a number is called, and how it is read.
type Column<T> = (&'static str, fn(&T) -> u64);

/// The numbers that are not the same in both; of what only one of them has, all that are not zero.
fn rows_of<T>(
    rows: &mut Vec<(String, Option<u64>, Option<u64>)>,
    both: &Both<T>,
    columns: &[Column<T>],
    name: impl Fn(&str, &T) -> String,
) {
    let Some(one) = both.after.as_ref().or(both.before.as_ref()) else { return };
    for (what, number) in columns {
        let (was, is) = (both.before.as_ref().map(number), both.after.as_ref().map(number));
        if was.unwrap_or_default() != is.unwrap_or_default() {
            rows.push((name(what, one), was, is));
        }
    }
}

fn marks(rule: &str, marks: &[Mark], zone: Tz) {
    println!("  {rule}");
    for mark in marks {
        println!("    {}  {:<20} {}", moment(mark.at, zone), mark.step, happened(mark));
    }
}

/// What happened, in the words of the tables.
fn happened(mark: &Mark) -> String {
    let detail = mark.detail.as_ref();
    match mark.what {
        What::Began => "began".to_owned(),
        What::NotTaken => format!("not taken: {detail}"),
        What::Email => "e-mail".to_owned(),
        What::Task if detail.is_empty() => "task of everybody".to_owned(),
        What::Task => format!("task of {detail}"),
        What::Effect => detail.replace('_', " "),
        What::Held => format!("held up by {}", holder(detail)),
        What::Ended => format!("ended: {detail}"),
    }
}

/// What holds an e-mail up, by its code; a cap is called by its rule.
fn holder(code: &str) -> &str {
    match code {
        "WINDOW" => "the send window",
        "MAILBOX" => "the pace of mailboxes",
        "POOL_WITHOUT_MAILBOX" => "no active mailbox",
        "CONSENT_UNKNOWN" => "consent or address not known",
        rule => rule,
    }
}
