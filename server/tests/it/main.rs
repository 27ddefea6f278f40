//! The HTTP surface in process: the real router over a world with a manual clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod abuse;
mod auth;
mod dispatch;
mod documents;
mod graphql;
mod guards;
mod health;
mod ingest;
mod metrics;
mod nodes;
mod patience;
mod plain;
mod received;
mod server;
mod socket;
mod statements;
mod subscriptions;
mod tracking;
mod trouble;
mod unsubscribe;
mod webhook_examples;
mod webhooks;
mod websocket;
