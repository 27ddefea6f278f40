//! The durable runner: apalis runs the workers, Tandem's transactional `job` table feeds them.
//!
//! A job is decoded, handed to its handler, and finished inside the handler's own commit. What the handler could not
//! finish is put back, put aside, or found obsolete; see [`Disposition`]. Nothing here decides business: a handler runs
//! a command.

mod backend;
mod disposition;
mod handlers;
mod runner;

pub use backend::run_workers;
pub use disposition::{Disposition, backoff};
pub use runner::{Runner, Settings};
