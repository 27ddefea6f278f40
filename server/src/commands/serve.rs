//! `tandem serve`: the API, and the workers unless told otherwise, in one process.

use super::Outcome;
use crate::config::Settings;
use crate::http::{self, Http};
use crate::shutdown;
use crate::wiring::{self, Migrate};
use anyhow::Context;
use std::future::IntoFuture;
use std::io::Write;
use std::time::Duration;
use tandem_app::App;
use tokio::net::TcpListener;

/// Options of `tandem serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The API alone; `tandem worker` must run somewhere else
    #[arg(long)]
    no_workers: bool,

    /// Bring the tables up to date first; on SQLite this happens anyway
    #[arg(long)]
    migrate: bool,
}

/// Serves until a signal.
pub(super) async fn run(mut settings: Settings, args: Args) -> anyhow::Result<Outcome> {
    settings.jobs.workers &= !args.no_workers;
    let (trigger, shutdown) = shutdown::channel();
    shutdown::on_signals(trigger)?;
    let listener = bind(&mut settings).await?;
    let migrate = if args.migrate { Migrate::Always } else { Migrate::WhereSafe };
    let store = wiring::open(&settings, migrate).await?;
    let app = wiring::app(&settings, store).await?;
    serve(settings, app, listener, shutdown).await?;
    Ok(Outcome::Done)
}

/// Binds the configured address. With port 0 the settings then hold the port that was given.
pub async fn bind(settings: &mut Settings) -> anyhow::Result<TcpListener> {
    let listen = &settings.server.listen;
    let listener = TcpListener::bind(listen.as_str())
        .await
        .with_context(|| format!("cannot listen on {listen} (server.listen)"))?;
    settings.server.listen = listener.local_addr()?.to_string();
    Ok(listener)
}

/// Serves on a listener until the shutdown begins; then lets requests and jobs in hand finish, for at most
/// `server.shutdown_grace_seconds`.
pub async fn serve(
    settings: Settings,
    app: App,
    listener: TcpListener,
    shutdown: shutdown::Shutdown,
) -> anyhow::Result<()> {
    let grace = Duration::from_secs(settings.server.shutdown_grace_seconds);
    let http = Http::new(&settings, app.clone(), shutdown.clone())?;
    let metrics = http.job_metrics();
    let router = http::router(http.clone());
    let workers = tokio::spawn({
        let (settings, shutdown) = (settings.clone(), shutdown.clone());
        async move {
            if settings.jobs.workers {
                wiring::work(&settings, app, "serve", metrics, shutdown).await;
            }
        }
    });
    let address = listener.local_addr()?;
    // Standard output, not the log: this is what a person or a script that started the server waits for.
    writeln!(std::io::stdout(), "listening on http://{address}").context("cannot write to standard output")?;
    tracing::info!(%address, workers = settings.jobs.workers, "serving");
    let stop = shutdown.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stop.begun().await });
    let overdue = async {
        shutdown.begun().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        ended = serving.into_future() => ended.context("the HTTP server failed")?,
        () = overdue => tracing::warn!("requests were cut off at the end of the grace period"),
    }
    workers.await.context("the workers failed")?;
    // Operations over a socket end with it; what was committed by then stays.
    let _ = tokio::time::timeout(grace, http.sockets_closed()).await;
    tracing::info!("stopped");
    Ok(())
}
