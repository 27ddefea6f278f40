//! The schema as a caller sees it, on both databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod accounts;
mod channels;
mod client;
mod doors;
mod email_templates;
mod emails;
mod insight;
mod jobs;
mod limits;
mod lists;
mod loading;
mod nulls;
mod queue;
mod schema;
mod sending;
mod sequences;
mod simulation;
mod versions;
