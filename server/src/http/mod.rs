//! HTTP: the way into the process. Owns routing, limits, request ids and the shape of errors; decides nothing.

mod documents;
pub mod error;
mod graphql;
pub mod guard;
mod health;
mod ingest;
pub mod media;
mod metrics;
mod params;
mod rate;
pub mod request;
mod router;
mod tracking;
pub mod unsubscribe;
mod webhooks;
mod websocket;

pub use router::{Http, probes, router};
