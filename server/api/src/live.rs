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
    /// The last thing that was told, as it was then.
    last: Option<(Uuid, String)>,
}

impl Live {
    async fn of<T: Stored>(ctx: &Context<'_>, only: Option<Uuid>) -> Result<Self, ApiError> {
        let store = ctx.app().store.clone();
        let changes = store.changes::<T>(only).await?;
        Ok(Self { store, changes, last: None })
    }

    /// Whether a thing is to be told: not where it was the last to be told, and is as it was. It changed twice before it was
    /// read once.
    fn is_news<T: Stored>(&mut self, thing: &T) -> bool {
        let now = serde_json::to_string(thing).ok().map(|now| (thing.key(), now));
        let news = now.is_none() || now != self.last;
        self.last = now;
        news
    }

    /// The next thing of the kind that changed, as it is now.
    async fn next<T: Stored>(&mut self) -> Event<T> {
        loop {
            let id = self.changes.next().await.map_err(|slow| too_slow(&slow))?;
            if let Some(thing) = self.store.find(id).await.map_err(ApiError::from)?
                && self.is_news(&thing)
            {
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
    Ok(Live::of::<T>(ctx, None).await?.events())
}

/// One thing: as it is now, and then whenever it changes.
pub(crate) async fn watched<T: Stored>(
    ctx: &Context<'_>,
    id: Uuid,
) -> Result<impl Stream<Item = Event<T>> + Send + 'static + use<T>, ApiError> {
    // Listening begins before the first look, so that nothing falls between the two.
    let mut live = Live::of::<T>(ctx, Some(id)).await?;
    let now: T = live.store.find(id).await?.ok_or(AppError::NotFound { what: T::KIND, id })?;
    live.is_news(&now);
    Ok(stream::iter([Ok(now)]).chain(live.events()))
}
