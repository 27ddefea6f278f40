//! Kills real processes, and asks whether anything was lost or done twice: the demo at random moments of its month (here),
//! and workers under load (`storm.rs`).
//!
//! `TANDEM_CRASH_KILLS` sets how often the month is killed (default 8), `TANDEM_CRASH_BLOWS` how many blows fall in a storm
//! (default 6) and `TANDEM_CRASH_PEOPLE` on how many people's e-mails (default 150); `TANDEM_CRASH_SEED` repeats a run, and
//! is printed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod proxy;
mod storm;

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use storm::{Blow, Storm, setting};
use tandem_domain::ledger::sha256_hex;
use tandem_testkit::{Cluster, World, on_both_databases};

/// The hours of the month, each of which the process announces with a line.
const HOURS: u64 = 30 * 24;

fn seed() -> String {
    std::env::var("TANDEM_CRASH_SEED").unwrap_or_else(|_| std::process::id().to_string())
}

fn demo(dir: &Path, database: Option<&str>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(["demo", "--no-serve", "--json", "--start", "2026-03-02", "--dir"]).arg(dir);
    command.env_remove("TANDEM_CONFIG").env("TANDEM__LOG__FILTER", "error");
    if let Some(url) = database {
        command.env("TANDEM__DATABASE__URL", url);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Lets the process run until it ends by itself; gives its report.
fn to_the_end(dir: &Path, database: Option<&str>) -> Value {
    let output = demo(dir, database).wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", errors.lines().rev().take(5).collect::<Vec<_>>().join("\n"));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Kills the process after it has announced `hours`, and a random part of the next; whether it was alive to be killed.
fn kill_after(hours: u64, moment: u64, dir: &Path, database: Option<&str>) -> bool {
    let mut child = demo(dir, database);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for _ in 0..hours {
        if !lines.next().is_some_and(|line| line.unwrap().starts_with("hour ")) {
            break;
        }
    }
    // Not a wait: the process goes on meanwhile, and is hit wherever it is.
    for _ in 0..moment {
        std::hint::spin_loop();
    }
    let alive = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    alive && rest.is_empty()
}

fn count(report: &Value, part: &str, name: &str) -> i64 {
    report[part][name].as_i64().unwrap_or(0)
}

/// Every message that reached the mail server in any of the process's lives, by its Message-ID.
fn messages(dir: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(dir.join("mail.ndjson")).unwrap();
    let id = |line: &str| {
        // The last line may have been cut off by a kill; then its message was not answered either.
        let message: Value = serde_json::from_str(line).ok()?;
        Some(message["message_id"].as_str()?.to_owned())
    };
    log.lines().filter_map(id).collect()
}

fn the_month_survives(database: impl Fn(&str) -> Option<String>) {
    let kills: u64 = std::env::var("TANDEM_CRASH_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let seed = seed();
    println!("TANDEM_CRASH_SEED={seed} TANDEM_CRASH_KILLS={kills}");
    let lot = |kill: u64, what: &str| {
        u64::from_str_radix(&sha256_hex(&[format!("{seed} {kill} {what}").as_bytes()])[..12], 16).unwrap()
    };

    let calm_dir = tempfile::tempdir().unwrap();
    let calm = to_the_end(calm_dir.path(), database("calm").as_deref());
    assert_eq!(calm["ledgerBroken"], Value::Null);

    let (dir, url) = (tempfile::tempdir().unwrap(), database("killed"));
    let mut killed = 0;
    for kill in 0..kills {
        // The kills are spread over the first four fifths of the month, so that the last still finds the process alive.
        let hours = lot(kill, "hours") % (3 * HOURS / 2 / (kills + 1)).max(1);
        killed += u64::from(kill_after(hours, lot(kill, "moment") % 20_000_000, dir.path(), url.as_deref()));
    }
    println!("killed alive: {killed} of {kills}");
    let report = to_the_end(dir.path(), url.as_deref());

    for part in ["accounts", "contacts", "accountsAgreed", "leads", "handoffs", "enrollments", "from", "to"] {
        assert_eq!(report[part], calm[part], "{part}");
    }
    assert_eq!(report["ledgerBroken"], Value::Null);
    let (sent, unknown) = (count(&report, "emails", "SENT"), count(&report, "emails", "UNKNOWN"));
    assert_eq!(sent + unknown, count(&calm, "emails", "SENT"), "e-mails: {report}");
    assert!(unknown <= i64::try_from(kills).unwrap(), "a kill can leave one e-mail undecided: {unknown}");

    let messages = messages(dir.path());
    let different: BTreeSet<_> = messages.iter().collect();
    assert_eq!(messages.len(), different.len(), "no message arrived twice");
    let arrived = i64::try_from(messages.len()).unwrap();
    assert!((sent..=sent + unknown).contains(&arrived), "{arrived} arrived, {sent} sent, {unknown} unknown");
    println!("e-mails: {sent} sent, {unknown} unknown, {arrived} arrived");
}

#[test]
fn a_month_that_is_killed_again_and_again_comes_to_the_same_end_on_sqlite() {
    the_month_survives(|_| None);
}

#[test]
fn a_month_that_is_killed_again_and_again_comes_to_the_same_end_on_postgres() {
    let Some(cluster) = Cluster::start() else { return };
    the_month_survives(|name| {
        cluster.create_database(name);
        Some(cluster.url(name))
    });
}

async fn a_storm_of(world: World, workers: usize, kinds: &[Blow]) {
    let blows = kinds.iter().copied().cycle().take(setting("BLOWS", 6)).collect();
    storm::pass(world, Storm { workers, people: setting("PEOPLE", 150), blows, seed: seed() }).await;
}

on_both_databases! {
    async fn one_worker_that_is_killed_again_and_again_loses_nothing_and_repeats_nothing(world: World) {
        a_storm_of(world, 1, &[Blow::Kill]).await;
    }

    async fn three_workers_that_are_killed_lose_nothing_and_repeat_nothing(world: World) {
        a_storm_of(world, 3, &[Blow::Kill]).await;
    }

    async fn four_workers_that_are_frozen_cut_off_and_killed_lose_nothing_and_repeat_nothing(world: World) {
        a_storm_of(world, 4, &[Blow::Freeze, Blow::Cut, Blow::Stall, Blow::Kill]).await;
    }
}
