//! Subscriptions over the store's feed: each event is the thing as it is then, never as it was told of.

use crate::context::ContextExt;
use crate::error::ApiError;
use async_graphql::futures_util::stream::{self, Stream, StreamExt};
use async_graphql::{Context, Error, ErrorExtensions};
use std::collections::{HashMap, VecDeque};
use tandem_app::AppError;
use tandem_domain::ledger::sha256_hex;
use tandem_store::feed::{BACKLOG, Changes, TooSlow};
use tandem_store::{Store, Stored};
use uuid::Uuid;

/// What an event is, or why there are no more.
pub(crate) type Event<T> = Result<T, Error>;

/// A subscription that goes on.
struct Live {
    store: Store,
    changes: Changes,
    told: Told,
}

/// How the things were that were read of late. One that changes while it is read is called again, behind all that waits, and is
/// then as it was: so as many are known as can wait, and one more.
#[derive(Default)]
struct Told {
    readings: u64,
    last: HashMap<Uuid, (u64, String)>,
    order: VecDeque<(u64, Uuid)>,
}

impl Told {
    /// Whether a thing is to be told: not where it is as it was when it was read last.
    fn is_news(&mut self, id: Uuid, now: &[u8]) -> bool {
        let hash = sha256_hex(&[now]);
        self.readings += 1;
        self.order.push_back((self.readings, id));
        let before = self.last.insert(id, (self.readings, hash.clone()));
        if self.order.len() > BACKLOG + 1
            && let Some((reading, oldest)) = self.order.pop_front()
            && self.last.get(&oldest).is_some_and(|(last, _)| *last == reading)
        {
            self.last.remove(&oldest);
        }
        before.is_none_or(|(_, before)| before != hash)
    }
}

impl Live {
    async fn of<T: Stored>(ctx: &Context<'_>, only: Option<Uuid>) -> Result<Self, ApiError> {
        let store = ctx.app().store.clone();
        let changes = store.changes::<T>(only).await?;
        Ok(Self { store, changes, told: Told::default() })
    }

    fn is_news<T: Stored>(&mut self, thing: &T) -> bool {
        serde_json::to_vec(thing).map_or(true, |now| self.told.is_news(thing.key(), &now))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_that_was_read_after_its_second_change_is_not_told_again_behind_the_others() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut told = Told::default();
        assert!(told.is_news(one, b"done") && told.is_news(other, b"new"));
        assert!(!told.is_news(one, b"done"));
        assert!(told.is_news(one, b"undone") && told.is_news(one, b"done"));
    }

    #[test]
    fn no_more_is_kept_than_can_wait() {
        let mut told = Told::default();
        for n in 0..10_000 {
            assert!(told.is_news(Uuid::from_u128(n), b"new"));
        }
        assert_eq!((told.last.len(), told.order.len()), (BACKLOG + 1, BACKLOG + 1));
        assert!(!told.is_news(Uuid::from_u128(9_999), b"new"));
        for _ in 0..10_000 {
            told.is_news(Uuid::from_u128(1), b"new");
        }
        assert_eq!(told.last.len(), 1);
    }
}
