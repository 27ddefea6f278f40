//! Subscriptions over the store's feed: each event is the thing as it is then, never as it was told of.

use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::futures_util::stream::{self, Stream, StreamExt};
use async_graphql::{Context, Error, ErrorExtensions};
use tandem_app::AppError;
use tandem_store::feed::{Changes, TooSlow};
use tandem_store::{Store, Stored};
use uuid::Uuid;

/// What an event is, or why there are no more.
pub(crate) type Event<T> = Result<T, Error>;

/// A subscription that goes on.
struct Live {
    store: Store,
    changes: Changes,
    /// Only this thing.
    only: Option<Uuid>,
}

impl Live {
    async fn of(ctx: &Context<'_>, only: Option<Uuid>) -> Result<Self, ApiError> {
        let store = ctx.app().store.clone();
        let changes = store.changes().await?;
        Ok(Self { store, changes, only })
    }

    /// The next thing of the kind that changed, as it is now.
    async fn next<T: Stored>(&mut self) -> Event<T> {
        loop {
            let change = self.changes.next().await.map_err(|slow| too_slow(&slow))?;
            if change.kind != T::KIND || self.only.is_some_and(|only| only != change.id) {
                continue;
            }
            if let Some(thing) = self.store.find(change.id).await.map_err(ApiError::from)? {
                return Ok(thing);
            }
        }
    }

    /// Everything that comes, up to the first error.
    fn events<T: Stored>(self) -> impl Stream<Item = Event<T>> + Send + 'static {
        stream::unfold(Some(self), async |live| {
            let mut live = live?;
            let event = live.next().await;
            let goes_on = event.is_ok();
            Some((event, goes_on.then_some(live)))
        })
    }
}

fn too_slow(slow: &TooSlow) -> Error {
    Error::new(format!("{slow}; subscribe again, and read what you missed"))
        .extend_with(|_, extensions| extensions.set("code", "TOO_SLOW"))
}

/// The things of one kind that change from now on.
pub(crate) async fn changed<T: Stored>(
    ctx: &Context<'_>,
) -> Result<impl Stream<Item = Event<T>> + Send + 'static + use<T>, ApiError> {
    Ok(Live::of(ctx, None).await?.events())
}

/// One thing: as it is now, and then whenever it changes.
pub(crate) async fn watched<T: Stored>(
    ctx: &Context<'_>,
    id: Uuid,
) -> Result<impl Stream<Item = Event<T>> + Send + 'static + use<T>, ApiError> {
    // Listening begins before the first look, so that nothing falls between the two.
    let live = Live::of(ctx, Some(id)).await?;
    let now: T = live.store.find(id).await?.ok_or(AppError::NotFound { what: T::KIND, id })?;
    Ok(stream::iter([Ok(now)]).chain(live.events()))
}
