//! Traces: the spans of this process, sent to an OpenTelemetry collector, and tied to those of others by the `traceparent`
//! of W3C Trace Context.

use crate::config;
use anyhow::Context;
use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Request, Response};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;
use tandem_app::Traces;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

const TRACEPARENT: &str = "traceparent";
/// How long the collector may take for a batch of spans.
const PATIENCE: Duration = Duration::from_secs(10);

/// What sends the spans, to be told when the process ends.
static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// The traces of this process.
#[derive(Debug, Clone, Copy)]
pub struct OtelTraces;

impl Traces for OtelTraces {
    fn current(&self) -> Option<String> {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
        carrier.remove(TRACEPARENT)
    }

    fn resume(&self, span: &Span, traceparent: &str) {
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        let parent = TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &carrier);
        // It is refused where nothing is traced, which is as it should be.
        let _ = span.set_parent(parent);
    }
}

/// The layer that sends our own spans, and what happened in them, if an address is set.
pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(
    settings: &config::Traces,
) -> anyhow::Result<Option<impl Layer<S> + use<S>>> {
    if settings.endpoint.is_empty() {
        return Ok(None);
    }
    let client = reqwest::Client::builder().timeout(PATIENCE).build().context("cannot make an HTTP client")?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { client, runtime: tokio::runtime::Handle::current() })
        .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
        .with_timeout(PATIENCE)
        .build()
        .context("cannot send traces to traces.endpoint")?;
    // A trace that began elsewhere was chosen there.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.share)));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler)
        .with_resource(Resource::builder().with_service_name(settings.service_name.clone()).build())
        .build();
    let tracer = PROVIDER.get_or_init(|| provider).tracer("tandem");
    let ours = Targets::new().with_target("tandem", LevelFilter::INFO);
    Ok(Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)))
}

/// Sends what is still here. That some of it did not arrive is in the log of the exporter.
pub async fn stop() {
    let Some(provider) = PROVIDER.get() else { return };
    // It waits for a thread that waits for the runtime.
    if let Ok(Err(error)) = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(PATIENCE)).await {
        tracing::warn!(%error, "the last traces were not sent");
    }
}

/// Sends spans by our own HTTP client, from a thread that is outside of the runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let sent = self.runtime.spawn(async move {
            let response = client.execute(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        });
        let (status, headers, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
