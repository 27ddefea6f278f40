//! A world for tests: a manual clock, seeded ids, and a database of its own on SQLite or PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot set up its world fails")]

mod faults;
mod inbox;
mod mailer;
mod postgres;
mod receiver;
mod world;

pub use faults::Fault;
pub use inbox::FakeInbox;
pub use mailer::FakeMailer;
pub use postgres::Cluster;
pub use receiver::FakeReceiver;
pub use world::World;

/// Defines tests that each run on SQLite and on PostgreSQL.
///
/// ```ignore
/// on_both_databases! {
///     async fn a_name_that_states_the_law(world: World) { ... }
/// }
/// ```
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident : World) $body:block)+) => { $(
        mod $name {
            use super::*;

            async fn law($world: $crate::World) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                law($crate::World::sqlite().await).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(world) = $crate::World::postgres().await {
                    law(world).await;
                }
            }
        }
    )+ };
}
