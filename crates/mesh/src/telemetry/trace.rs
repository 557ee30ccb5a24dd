//! Spans to a collector, and traces from process to process (W3C Trace Context).

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::TelemetrySettings;
use crate::config::BadSettings;

/// The header that names a trace.
const TRACEPARENT: &str = "traceparent";

/// What sends spans, where settings say to where. Sends in batches from a thread of its own; spans that find its queue of 2,048
/// full are dropped.
pub(super) fn provider(
    settings: &TelemetrySettings,
    service: &'static str,
) -> Result<Option<SdkTracerProvider>, BadSettings> {
    check(settings)?;
    let endpoint = settings.otlp_endpoint.as_str();
    if endpoint.is_empty() {
        return Ok(None);
    }
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|error| BadSettings::new("telemetry.otlp_endpoint", error))?;
    // Whoever began a trace has decided whether it is kept.
    let begun_here = Sampler::TraceIdRatioBased(settings.trace_share);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(begun_here)))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    Ok(Some(provider))
}

/// Checks to where spans are sent, and how many of them.
pub(super) fn check(settings: &TelemetrySettings) -> Result<(), BadSettings> {
    let endpoint = settings.otlp_endpoint.as_str();
    let is_url = || {
        let url = endpoint.parse::<Uri>();
        url.is_ok_and(|url| url.scheme_str() == Some("http") && url.host().is_some())
    };
    if !endpoint.is_empty() && !is_url() {
        let wrong =
            format!("must be like http://collector:4317 (gRPC without TLS), not \"{endpoint}\"");
        return Err(BadSettings::new("telemetry.otlp_endpoint", wrong));
    }
    if !(0.0..=1.0).contains(&settings.trace_share) {
        let wrong = format!("must be from 0 to 1, not {}", settings.trace_share);
        return Err(BadSettings::new("telemetry.trace_share", wrong));
    }
    Ok(())
}

/// Turns our spans into OpenTelemetry's.
pub(super) fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("guildhall"))
        .with_threads(false)
        .with_tracked_inactivity(false)
}

/// Makes `span` a child of the trace that came in with a request.
pub fn continue_trace(headers: &HeaderMap, span: &Span) {
    if !headers.contains_key(TRACEPARENT) {
        return;
    }
    let parent =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Incoming(headers));
    if parent.span().span_context().is_valid() {
        // Nobody listens to spans: then there is no trace to continue.
        let _ = span.set_parent(parent);
    }
}

/// Sends the current trace along. Takes away what stood there, so that a trace is continued by us or not at all.
pub fn pass_trace(headers: &mut HeaderMap) {
    headers.remove(TRACEPARENT);
    let context = Span::current().context();
    if context.span().span_context().is_valid() {
        TraceContextPropagator::new().inject_context(&context, &mut Outgoing(headers));
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        let header = (HeaderName::try_from(key), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = header {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use guildhall_kernel::SystemClock;
    use opentelemetry_proto::tonic::{
        collector::trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
        trace::v1::Span as Sent,
    };
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, Status, body::Body, transport::Server};
    use tower::{Service as _, service_fn};
    use tracing::{Instrument as _, instrument::WithSubscriber as _};

    use super::*;
    use crate::{Call, Link, Tasks, telemetry};

    const CLIENTS_TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[derive(Clone, Default)]
    struct Collector(Arc<Mutex<Vec<Sent>>>);

    #[tonic::async_trait]
    impl TraceService for Collector {
        async fn export(
            &self,
            request: Request<ExportTraceServiceRequest>,
        ) -> Result<Response<ExportTraceServiceResponse>, Status> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for resource in request.into_inner().resource_spans {
                all.extend(
                    resource
                        .scope_spans
                        .into_iter()
                        .flat_map(|scope| scope.spans),
                );
            }
            Ok(Response::new(ExportTraceServiceResponse::default()))
        }
    }

    async fn collector(tasks: &Tasks) -> (Collector, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let at = listener.local_addr().expect("bound");
        let collector = Collector::default();
        let server = Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tasks.spawn("collector", server);
        (collector, format!("http://{at}"))
    }

    /// A service that continues the trace of its caller, as the guard does it.
    fn callee() -> Link {
        Link::local(
            "gateway",
            service_fn(|request: http::Request<Body>| async move {
                let span = tracing::info_span!("callee");
                continue_trace(request.headers(), &span);
                async { Ok(http::Response::new(Body::empty())) }
                    .instrument(span)
                    .await
            }),
        )
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_collector_sees_one_trace_from_the_client_through_every_hop() {
        let tasks = Tasks::new();
        let (collector, otlp_endpoint) = collector(&tasks).await;
        let settings = TelemetrySettings {
            otlp_endpoint,
            ..TelemetrySettings::default()
        };
        let provider = provider(&settings, "guildhall").expect("good settings");
        let clock = Arc::new(SystemClock::new());
        let subscriber = telemetry::subscriber(&settings, provider.as_ref(), clock, std::io::sink);
        let mut headers = HeaderMap::new();
        let given = HeaderValue::try_from(format!("00-{CLIENTS_TRACE}-b7ad6b7169203331-01"));
        headers.insert(TRACEPARENT, given.expect("a header"));

        let call = tracing::subscriber::with_default(subscriber.expect("good settings"), || {
            let edge = tracing::info_span!("edge");
            continue_trace(&headers, &edge);
            let mut link = callee().as_service(&Call::own("c1", std::time::Duration::from_secs(5)));
            let called = async move { link.call(http::Request::new(Body::empty())).await };
            called.instrument(edge).with_current_subscriber()
        });
        call.await.expect("answers");
        telemetry::Telemetry { provider }.stop().await;

        let spans = collector
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let traces: Vec<_> = spans.iter().map(|span| hex(&span.trace_id)).collect();
        assert_eq!(traces, [CLIENTS_TRACE, CLIENTS_TRACE], "{spans:?}");
        let of = |name| spans.iter().find(|span| span.name == name).expect("sent");
        assert_eq!(of("callee").parent_span_id, of("edge").span_id);
        assert_eq!(hex(&of("edge").parent_span_id), "b7ad6b7169203331");
    }

    #[test]
    fn without_a_collector_a_trace_is_not_sent_along() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static("from a client"));

        pass_trace(&mut headers);

        assert!(headers.is_empty());
    }

    #[test]
    fn an_endpoint_or_share_that_makes_no_sense_is_refused_by_name() {
        for (otlp_endpoint, trace_share, named) in [
            ("collector:4317", 1.0, "telemetry.otlp_endpoint"),
            ("http://127.0.0.1:1", 1.5, "telemetry.trace_share"),
        ] {
            let settings = TelemetrySettings {
                otlp_endpoint: otlp_endpoint.into(),
                trace_share,
                ..TelemetrySettings::default()
            };

            let refused = provider(&settings, "guildhall")
                .expect_err("refused")
                .to_string();

            assert!(refused.contains(named), "{refused}");
        }
    }

    fn hex(bytes: &[u8]) -> String {
        let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.concat()
    }
}
