//! The adapters behind the application's ports: how Tandem reaches the world outside.
//!
//! Nothing here decides anything: a connector does one thing once and says exactly what became of it.

pub mod imap;
pub mod sink;
pub mod smtp;
pub mod webhook;
