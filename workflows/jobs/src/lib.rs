//! The durable runner: apalis runs the workers, Tandem's transactional `job` table feeds them.
//!
//! A job is handed to its handler, and finished inside the handler's own commit. What the handler could not finish is
//! put back, put off, put aside, or found obsolete; see [`Disposition`]. Nothing here decides business: a handler runs
//! a command.

mod backend;
mod disposition;
mod handler;
mod handlers;
mod maintenance;
mod metrics;
mod node;
mod relay;
mod runner;
pub mod schedule;
mod trace;

pub use disposition::{Disposition, backoff};
pub use handler::{Handler, Handlers};
pub use handlers::TURN_PATIENCE;
pub use metrics::Metrics;
pub use node::run_workers;
pub use runner::{Runner, Settings};
