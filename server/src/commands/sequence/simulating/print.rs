//! A simulation as tables, and as JSON.

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tandem_app::sequence::Simulated;
use tandem_domain::sequence::simulation::{Difference, Hold, Mark, Simulation};

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
        println!("{} {}", plan.contact, plan.name.as_deref().unwrap_or_default());
        for line in &plan.lines {
            let at = line.at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M");
            println!("  day {:>3}  {at}  {:<20} {}", line.day, line.step, line.what);
        }
    }
    if let Some((rule, difference)) = against {
        differs(rule, &simulation.rule, difference, zone);
    }
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
    println!("{:<24} {:<12} {:>8} {:>8} {:>8}", "queue", "day", "tasks", "capacity", "left");
    for load in &simulation.queues {
        let capacity = load.capacity.map_or_else(|| "-".to_owned(), |most| most.to_string());
        let left = if load.capacity.is_some() { load.left.to_string() } else { "-".to_owned() };
        let over = if load.over { "  over" } else { "" };
        let team = load.team.as_deref().unwrap_or("everybody");
        println!("{team:<24} {:<12} {:>8} {capacity:>8} {left:>8}{over}", load.date, load.tasks);
    }
}

fn holds(simulation: &Simulation) {
    let held = &simulation.holds;
    let caps = held.caps.iter().map(|cap| (cap.rule.as_str(), cap.hold));
    let others = [
        ("the send window", held.window),
        ("the pace of mailboxes", held.mailbox),
        ("no active mailbox", held.pool),
        ("consent or address not known", held.consent),
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

fn differs(before: &str, after: &str, difference: &Difference, zone: Tz) {
    println!();
    println!("{before} against {after}: something else happens for {} people", difference.people);
    let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    println!("{:<36} {before:>20} {after:>20}", "");
    if let (Some(was), Some(is)) = (&difference.totals.before, &difference.totals.after) {
        let rows = [("e-mails", was.emails, is.emails), ("tasks", was.tasks, is.tasks), ("ended", was.ended, is.ended)];
        for (what, was, is) in rows {
            println!("{what:<36} {was:>20} {is:>20}");
        }
    }
    for step in &difference.steps {
        let of = step.after.as_ref().or(step.before.as_ref());
        let done = |count: &Option<tandem_domain::sequence::simulation::StepCount>| {
            number(count.as_ref().map(|count| count.done))
        };
        let name = of.map_or("", |count| count.step.as_str());
        println!("{:<36} {:>20} {:>20}", format!("step {name}, done"), done(&step.before), done(&step.after));
    }
    for day in &difference.days {
        let date = day.after.as_ref().or(day.before.as_ref()).map_or(NaiveDate::MIN, |day| day.date);
        let emails = |count: &Option<tandem_domain::sequence::simulation::DayCount>| {
            number(count.as_ref().map(|count| count.emails))
        };
        println!("{:<36} {:>20} {:>20}", format!("e-mails on {date}"), emails(&day.before), emails(&day.after));
    }
    for plan in difference.plans.iter().take(MOST_PRINTED) {
        println!();
        println!("{} {}", plan.contact, plan.name.as_deref().unwrap_or_default());
        marks(before, &plan.before, zone);
        marks(after, &plan.after, zone);
    }
}

fn marks(rule: &str, marks: &[Mark], zone: Tz) {
    println!("  {rule}");
    for mark in marks {
        let at = mark.at.with_timezone(&zone).format("%a %Y-%m-%d %H:%M");
        println!("    {at}  {:<20} {:<10} {}", mark.step, mark.what, mark.detail);
    }
}
