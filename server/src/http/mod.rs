//! HTTP: the way into the process. Owns routing, limits, request ids and the shape of errors; decides nothing.

pub mod error;
pub mod guard;
pub mod request;
