//! Resolvers that panic and resolvers that never end, and time that stands until a test lets it go.

#![expect(clippy::panic, reason = "what must be survived is a panic")]

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextResolve, ResolveInfo};
use async_graphql::{ServerResult, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

/// A schema with this resolves a field under the alias `panics` by a panic, and one under `hangs` never; the rest as ever.
#[derive(Clone, Default)]
pub struct Trouble(Arc<Notify>);

impl Trouble {
    /// Waits until a field hangs.
    pub async fn hangs(&self) {
        self.0.notified().await;
    }
}

impl ExtensionFactory for Trouble {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Extension for Trouble {
    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        match info.alias {
            Some("panics") => std::panic::panic_any("a resolver panics"),
            Some("hangs") => {
                self.0.notify_one();
                std::future::pending().await
            }
            _ => next.run(ctx, info).await,
        }
    }
}

/// How long time stands at most, by the machine's clock: then what a test waits for in vain comes to its end.
const MOST: Duration = Duration::from_secs(120);

/// Time that stands. A runtime whose time is paused moves it on where nothing is left to do, which a database at work on
/// threads of its own does not count as: so something is left to do until this is dropped.
pub struct Still(JoinHandle<()>);

impl Still {
    /// Time stands from here on; it must have been paused.
    pub fn begin() -> Self {
        Self(tokio::spawn(async {
            let began = Instant::now();
            while began.elapsed() < MOST {
                yield_now().await;
            }
        }))
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        self.0.abort();
    }
}
