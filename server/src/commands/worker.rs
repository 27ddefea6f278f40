//! `tandem worker`: workers without an API.

use super::Outcome;
use crate::config::Settings;
use crate::shutdown;
use crate::wiring::{self, Migrate};

/// Options of `tandem worker`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bring the tables up to date first; on SQLite this happens anyway
    #[arg(long)]
    migrate: bool,
}

/// Runs workers until a signal.
pub(super) async fn run(settings: Settings, args: Args) -> anyhow::Result<Outcome> {
    let (trigger, shutdown) = shutdown::channel();
    shutdown::on_signals(trigger)?;
    let migrate = if args.migrate { Migrate::Always } else { Migrate::WhereSafe };
    let store = wiring::open(&settings, migrate).await?;
    let app = wiring::app(&settings, store).await?;
    wiring::work(&settings, app, shutdown).await;
    Ok(Outcome::Done)
}
