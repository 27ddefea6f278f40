//! The relays of a node: they tell webhooks and sequences of what the ledger has new, each at a pace of its own.
//!
//! Commits wake them, on PostgreSQL those of other processes too; a look now and then finds what they did not hear of.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::time::Duration;
use tandem_app::{App, AppError};

/// How long what happens is gathered before it is told.
const PACE: Duration = Duration::from_millis(50);
/// How long a node that hears of no commit waits before it looks all the same.
const NET: Duration = Duration::from_secs(5);

/// Tells webhooks, for as long as it runs.
pub(crate) async fn to_webhooks(app: App) {
    run(&app, "webhooks", |app| app.relay_events().map(|told| told.map(|told| told > 0)).boxed()).await;
}

/// Tells sequences, for as long as it runs.
pub(crate) async fn to_sequences(app: App) {
    run(&app, "sequences", |app| app.relay_to_sequences().map(|told| told.map(|told| told > 0)).boxed()).await;
}

/// Tells one part of what there is to tell; whether there was anything.
type Tell = for<'a> fn(&'a App) -> BoxFuture<'a, Result<bool, AppError>>;

async fn run(app: &App, whom: &'static str, tell: Tell) {
    loop {
        // Registered before the look, so that nothing that is committed in between is slept over.
        let grown = app.store.ledger_grown().notified();
        tokio::pin!(grown);
        grown.as_mut().enable();
        match tell(app).await {
            Ok(false) => {}
            Ok(true) => continue,
            Err(error) => tracing::error!(%error, "{whom} could not be told; they are told by the next look"),
        }
        tokio::select! {
            () = grown => tokio::time::sleep(PACE).await,
            () = tokio::time::sleep(NET) => {}
        }
    }
}
