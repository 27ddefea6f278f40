//! `tandem worker`: workers without an API.

use super::Outcome;
use crate::config::Settings;
use crate::http::{self, Http};
use crate::shutdown;
use crate::wiring::{self, Migrate};
use anyhow::Context;
use std::future::IntoFuture;
use std::io::Write;
use tokio::net::TcpListener;

/// Options of `tandem worker`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bring the tables up to date first; on SQLite this happens anyway
    #[arg(long)]
    migrate: bool,

    /// Where to answer /healthz, /readyz and /metrics, for example 0.0.0.0:9100. None: nowhere
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

/// Runs workers until a signal.
pub(super) async fn run(mut settings: Settings, args: Args) -> anyhow::Result<Outcome> {
    let (trigger, shutdown) = shutdown::channel();
    shutdown::on_signals(trigger)?;
    let migrate = if args.migrate { Migrate::Always } else { Migrate::WhereSafe };
    let store = wiring::open(&settings, migrate).await?;
    let app = wiring::app(&settings, store).await?;
    // They are for those who ask; a worker answers probes alone.
    settings.server.trusted_documents.clear();
    settings.server.only_trusted_documents = false;
    let http = Http::new(&settings, app.clone(), shutdown.clone())?;
    let metrics = http.job_metrics();
    let probes = match args.listen {
        None => None,
        Some(listen) => {
            let bound = TcpListener::bind(listen.as_str()).await;
            let listener = bound.with_context(|| format!("cannot listen on {listen} (--listen)"))?;
            // Standard output, like the address of `tandem serve`: what somebody who started this waits for.
            writeln!(std::io::stdout(), "answering probes on http://{}", listener.local_addr()?)
                .context("cannot write to standard output")?;
            Some(tokio::spawn(axum::serve(listener, http::probes(http)).into_future()))
        }
    };
    wiring::work(&settings, app, "worker", metrics, shutdown).await;
    // Until the last job has ended: somebody may want to know how that goes.
    if let Some(probes) = probes {
        probes.abort();
    }
    Ok(Outcome::Done)
}
