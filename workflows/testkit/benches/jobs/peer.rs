//! A well-known job runner on the same PostgreSQL.

use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

/// How many no-op jobs a second graphile-worker runs, in batches, with so many processes; none where it is not installed.
pub async fn graphile_worker(url: &str, jobs: usize, processes: usize) -> Option<f64> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/jobs/peer"));
    if !folder.join("node_modules").exists() {
        return None;
    }
    let mut command = Command::new("node");
    command.arg("graphile-worker.mjs").arg(url).arg(jobs.to_string()).arg(processes.to_string());
    let output = command.current_dir(folder).stderr(Stdio::inherit()).output().await.unwrap();
    assert!(output.status.success(), "graphile-worker.mjs failed");
    Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}
