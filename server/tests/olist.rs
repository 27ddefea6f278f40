//! A real funnel of 8,000 leads, imported and reported: every number must be the file's own.
//!
//! The data may not be part of the project. The test runs over it where `TANDEM_OLIST_DIR` names its folder, or where it
//! lies in `../shared/data/olist`; a small file of the same shape is always there.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tandem_api::Caller;
use tandem_app::Actor;
use tandem_app::import::{Job, Mapping, Silent, Summary};
use tandem_store::jobs::Now;
use tandem_testkit::{World, on_both_databases};

/// Leads and wins.
type Counts = BTreeMap<String, (u64, u64)>;

/// What the files say, by the simplest reading: none of their cells is quoted.
struct Expected {
    by_origin: Counts,
    by_sdr: BTreeMap<String, u64>,
    by_rep: BTreeMap<String, u64>,
    wins: u64,
    impossible: u64,
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    let row = |line: &str| line.trim_end_matches('\r').split(',').take(5).map(str::to_owned).collect::<Vec<_>>();
    text.lines().skip(1).filter(|line| !line.is_empty()).map(row).collect()
}

fn expect(leads: &Path, deals: &Path) -> Expected {
    let mut expected =
        Expected { by_origin: Counts::new(), by_sdr: BTreeMap::new(), by_rep: BTreeMap::new(), wins: 0, impossible: 0 };
    let mut received = BTreeMap::new();
    for row in rows(leads) {
        let origin = if row[3].is_empty() { "not given" } else { &row[3] };
        expected.by_origin.entry(origin.to_owned()).or_default().0 += 1;
        received.insert(row[0].clone(), (row[1].clone(), origin.to_owned()));
    }
    for row in rows(deals) {
        let (first_contact, origin) = &received[&row[0]];
        if row[4][..10] < first_contact[..] {
            expected.impossible += 1;
            continue;
        }
        expected.by_origin.entry(origin.clone()).or_default().1 += 1;
        *expected.by_sdr.entry(row[2].clone()).or_default() += 1;
        *expected.by_rep.entry(row[3].clone()).or_default() += 1;
        expected.wins += 1;
    }
    expected
}

async fn import(world: &World, file: &Path, mapping: &str) -> Summary {
    let mapping = Mapping::parse(mapping).unwrap();
    world.app.import_history(&world.system(), &Job::new(file).mapped(mapping), &Silent).await.unwrap()
}

async fn both(world: &World, leads: &Path, deals: &Path) -> (Summary, Summary) {
    let leads = import(world, leads, include_str!("olist/leads.yaml")).await;
    let deals = import(world, deals, include_str!("olist/deals.yaml")).await;
    (leads, deals)
}

/// The report by GraphQL: label -> leads, verified, dispatched, accepted, won.
async fn report(world: &World, group: &str) -> BTreeMap<String, [u64; 5]> {
    let schema = tandem_api::schema(Some(world.app.clone()));
    let caller = Caller { actor: Actor::system(), request_id: "report".to_owned() };
    let query = format!(
        "{{ funnelReport(groupBy: {group}) {{ total {{ leads won }} rows {{ key label leads verified dispatched accepted won }} }} }}"
    );
    let response = tandem_api::execute(&schema, &world.app, caller, query.into()).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let data = response.data.into_json().unwrap();
    let report = &data["funnelReport"];
    let columns = ["leads", "verified", "dispatched", "accepted", "won"];
    let rows: BTreeMap<String, [u64; 5]> = report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["label"].as_str().unwrap().to_owned(), columns.map(|column| row[column].as_u64().unwrap())))
        .collect();
    assert_eq!(report["total"]["leads"].as_u64().unwrap(), rows.values().map(|row| row[0]).sum::<u64>());
    assert_eq!(report["total"]["won"].as_u64().unwrap(), rows.values().map(|row| row[4]).sum::<u64>());
    rows
}

async fn the_report_is_the_files(world: &World, leads: &Path, deals: &Path) {
    let expected = expect(leads, deals);
    let (received, won) = both(world, leads, deals).await;
    assert_eq!(received.rejected, 0, "{received:?}");
    assert_eq!((won.created, won.rejected), (expected.wins, expected.impossible), "{won:?}");

    let by_source = report(world, "SOURCE").await;
    let counts: Counts = by_source.iter().map(|(label, row)| (label.clone(), (row[0], row[4]))).collect();
    assert_eq!(counts, expected.by_origin);
    for row in by_source.values() {
        assert!(row[1..].iter().all(|count| *count == row[4]), "each won lead went each step once: {row:?}");
    }
    let people = |rows: BTreeMap<String, [u64; 5]>| -> BTreeMap<String, u64> {
        rows.into_iter().filter(|(label, _)| label != "(none)").map(|(label, row)| (label, row[4])).collect()
    };
    assert_eq!(people(report(world, "SDR").await), expected.by_sdr);
    assert_eq!(people(report(world, "SALES_REP").await), expected.by_rep);

    let rejects = fs::read_to_string(won.rejects.expect("one deal was won before its lead came in")).unwrap();
    assert_eq!(rejects.matches("HISTORY_BEFORE_LEAD").count() as u64, expected.impossible);

    let verified = world.app.store.verify_ledger().await.unwrap();
    assert_eq!(verified.broken, None);
    assert!(verified.entries > 0);

    let jobs = world.app.store.job_depths(Now::At(world.now())).await.unwrap();
    assert!(jobs.iter().all(|queue| queue.due == 0), "the past sets off nothing today: {jobs:?}");

    let (received, won) = both(world, leads, deals).await;
    assert_eq!((received.created, received.changed, won.created, won.changed), (0, 0, 0, 0));
    assert_eq!(won.rejected, expected.impossible);
    let again = world.app.store.verify_ledger().await.unwrap();
    assert_eq!((again.entries, again.head), (verified.entries, verified.head), "the second run wrote nothing");
}

/// Eighty leads and twenty deals, with the holes and the one impossible deal of the real files.
fn invented(folder: &Path) -> (PathBuf, PathBuf) {
    let origins = ["organic search", "Paid Search", "social", "unknown", "", "direct traffic"];
    let mut leads = "mql_id,first_contact_date,landing_page_id,origin\n".to_owned();
    let mut deals = "mql_id,seller_id,sdr_id,sr_id,won_date,business_segment,lead_type\n".to_owned();
    for n in 0..80 {
        let (day, origin) = (1 + n % 28, origins[n % origins.len()].to_lowercase());
        leads += &format!("mql-{n:04x},2025-03-{day:02},page-{},{origin}\n", n % 3);
        if n % 4 == 0 {
            // The third is won on the day before its first contact.
            let won =
                if n == 8 { "2025-03-08 12:00:00".to_owned() } else { format!("2025-04-{day:02} 0{}:30:00", n % 10) };
            let segment = if n % 8 == 0 { "" } else { "pet" };
            // The first two are both: they verify, and they sell.
            deals += &format!("mql-{n:04x},s-{n},sdr{},{},{won},{segment},\n", n % 5, ["sdr0", "rep1", "rep2"][n % 3]);
        }
    }
    let paths = (folder.join("leads.csv"), folder.join("deals.csv"));
    fs::write(&paths.0, leads).unwrap();
    fs::write(&paths.1, deals).unwrap();
    paths
}

on_both_databases! {
    async fn an_invented_funnel_of_the_same_shape_is_reported_as_its_file_says(world: World) {
        let folder = tempfile::tempdir().unwrap();
        let (leads, deals) = invented(folder.path());
        the_report_is_the_files(&world, &leads, &deals).await;
    }
}

/// A copy of the real files in a folder that can be written to: reject files are put beside what is imported.
fn real(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let given = std::env::var_os("TANDEM_OLIST_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/olist");
    let dir = given.unwrap_or(beside);
    let names = ["marketing_qualified_leads.csv", "closed_deals.csv"];
    if !names.iter().all(|name| dir.join(name).is_file()) {
        eprintln!("SKIPPED: no real funnel in {}; set TANDEM_OLIST_DIR to the folder that has it", dir.display());
        return None;
    }
    let [leads, deals] = names.map(|name| {
        let copy = folder.join(name);
        fs::write(&copy, fs::read(dir.join(name)).unwrap()).unwrap();
        copy
    });
    Some((leads, deals))
}

on_both_databases! {
    async fn the_real_funnel_is_reported_as_its_files_say(world: World) {
        let folder = tempfile::tempdir().unwrap();
        if let Some((leads, deals)) = real(folder.path()) {
            the_report_is_the_files(&world, &leads, &deals).await;
        }
    }
}
