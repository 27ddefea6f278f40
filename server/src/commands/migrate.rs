//! `tandem migrate`: brings the tables up to date, or shows what is missing.

use super::Outcome;
use crate::config::Settings;
use crate::wiring;
use clap::{Subcommand, ValueEnum};

/// Options of `tandem migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, Subcommand, ValueEnum)]
enum What {
    /// Apply what is missing (the default). On PostgreSQL, processes take turns by an advisory lock
    Up,
    /// List the migrations; exit code 1 when some are missing
    Status,
}

/// Runs the command.
pub(super) async fn run(settings: &Settings, args: Args) -> anyhow::Result<Outcome> {
    let store = wiring::connect(settings).await?;
    if let What::Up = args.what.unwrap_or(What::Up) {
        store.migrate().await?;
    }
    let mut missing = 0;
    for (name, applied) in store.migrations().await? {
        println!("{}  {name}", if applied { "applied" } else { "missing" });
        missing += usize::from(!applied);
    }
    Ok(if missing == 0 { Outcome::Done } else { Outcome::Failed })
}
