//! The process around Tandem: configuration, command line, HTTP, and the wiring of clock, ids, chance, store and workers.

pub mod commands;
pub mod config;
pub mod demo;
pub mod http;
pub mod shutdown;
pub mod telemetry;
pub mod wiring;
