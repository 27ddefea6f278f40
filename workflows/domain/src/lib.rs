//! What happens in Tandem, as pure functions: no input or output, no clock, no randomness.
//!
//! A rule takes the present state, a command and `now`, and gives a [`decision::Decision`] (the next state,
//! the facts that explain it and the jobs that follow) or a refusal with a stable code. Nothing here knows
//! that a database, a queue or a network exists.

pub mod access;
pub mod account;
pub mod calendar;
pub mod code;
pub mod contact;
pub mod contact_policy;
pub mod custom_field;
pub mod decision;
pub mod edit;
pub mod email;
pub mod email_template;
pub mod experiment;
pub mod expression;
pub mod handoff;
pub mod id;
pub mod identity;
pub mod inbound;
pub mod ingest;
pub mod interaction;
pub mod lead;
pub mod ledger;
pub mod link;
mod memo;
pub mod nearest;
pub mod normalise;
pub mod opportunity;
pub mod outbound;
pub mod received;
pub mod routing;
pub mod sending_mailbox;
pub mod sequence;
pub mod standing;
pub mod suppression;
pub mod target_list;
pub mod taxonomy;
pub mod verification;
pub mod work_item;
