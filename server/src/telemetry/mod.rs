//! The log and the traces: set up once per process. Every line written while a request or a job runs carries its span,
//! and the span of both carries the request id.

mod traces;

pub use traces::{OtelTraces, stop};

use crate::config::{Log, LogFormat, Settings};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard error, and sending traces where an address for them is set. A second call in one process
/// (tests) changes nothing.
pub fn start(settings: &Settings) -> anyhow::Result<()> {
    let Log { format, filter } = &settings.log;
    let filter = EnvFilter::builder().parse_lossy(filter);
    let lines =
        fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.compact().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    let traces = traces::layer(&settings.traces)?;
    if tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).try_init().is_ok() {
        log_panics();
    }
    Ok(())
}

/// A panic is a failure like any other: it goes to the log, once, inside the span it happened in.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("not a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message, "panic");
    }));
}
