//! Attempts as spans of the traces that led to them.

use tandem_app::Traces;
use tandem_store::jobs::Claimed;
use tracing::Span;

/// The span of an attempt, in the trace of whatever planned the job.
pub(crate) fn span(traces: &dyn Traces, job: &Claimed) -> Span {
    let Claimed { lease, kind, request_id, trace, .. } = job;
    let span = tracing::info_span!(
        "job",
        otel.name = kind,
        otel.kind = "consumer",
        otel.status_code = tracing::field::Empty,
        job = lease.job,
        request_id
    );
    if let Some(trace) = trace {
        traces.resume(&span, trace);
    }
    span
}

/// The attempt came to nothing.
pub(crate) fn failed(span: &Span) {
    span.record("otel.status_code", "error");
}
