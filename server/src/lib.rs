//! The process around Tandem: configuration, command line, HTTP, and the wiring of clock, ids, chance, store and workers.

pub mod config;
pub mod http;
pub mod telemetry;
