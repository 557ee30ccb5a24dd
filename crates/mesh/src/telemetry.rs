//! What an operator reads: log lines on stderr, traces sent to a collector, metrics on the admin port.
//!
//! [`start`] is called once, by the process. [`continue_trace`] and [`pass_trace`] carry a trace through the guard and the links, so
//! that nobody else has to think of it.

use std::{io::IsTerminal as _, sync::Arc};

use guildhall_kernel::{Clock, Time};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Dispatch, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    fmt::{self, MakeWriter, format::Writer, time::FormatTime},
    layer::SubscriberExt as _,
};

use crate::config::BadSettings;

mod measure;
mod process;
mod trace;

pub use measure::{Metrics, metrics};
pub use trace::{continue_trace, pass_trace};

crate::settings! {
    /// What the process tells its operator.
    pub struct TelemetrySettings {
        /// Which log lines are written: a level, or levels by module as in "info,guildhall_mesh=debug".
        pub log: String = "info,sea_orm_migration=warn".into(),
        /// How a log line looks: "human" or "json".
        pub log_format: LogFormat = LogFormat::Human,
        /// Where traces are sent by OTLP over gRPC, as in "http://collector:4317"; empty: nowhere.
        pub otlp_endpoint: String = String::new(),
        /// Which share of the traces that begin here is sent, from 0 to 1.
        pub trace_share: f64 = 1.0,
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// An object a line, for machines.
    Json,
}

impl TelemetrySettings {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`BadSettings`] names the setting and says what it may be.
    pub fn check(&self) -> Result<(), BadSettings> {
        self.filter()?;
        trace::check(self)
    }

    fn filter(&self) -> Result<EnvFilter, BadSettings> {
        let filter = EnvFilter::builder().parse(&self.log);
        filter.map_err(|error| {
            let wrong = format!(
                "{error}; it is a level (error, warn, info, debug, trace), or levels by module as in \"info,guildhall_mesh=debug\""
            );
            BadSettings::new("telemetry.log", wrong)
        })
    }
}

/// The running telemetry of a process.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Begins to write logs and to send traces. Once a process, inside its runtime; `service` names the process in traces.
///
/// # Errors
/// [`BadSettings`] for a filter, endpoint or share that makes no sense, and when it was called before.
pub fn start(
    settings: &TelemetrySettings,
    service: &'static str,
    clock: Arc<dyn Clock>,
) -> Result<Telemetry, BadSettings> {
    let provider = trace::provider(settings, service)?;
    let dispatch = Dispatch::new(subscriber(
        settings,
        provider.as_ref(),
        clock,
        std::io::stderr,
    )?);
    tracing::dispatcher::set_global_default(dispatch)
        .map_err(|_| BadSettings::new("telemetry", "logs are being written already"))?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is still to be sent, for at most 5 s.
    pub async fn stop(self) {
        let Some(provider) = self.provider else {
            return;
        };
        // The exporter needs the runtime's threads while this one waits for it.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = stopped {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

fn subscriber<W>(
    settings: &TelemetrySettings,
    provider: Option<&SdkTracerProvider>,
    clock: Arc<dyn Clock>,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, BadSettings>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = settings.filter()?;
    let lines = fmt::layer().with_writer(writer).with_timer(ByClock(clock));
    let lines = match settings.log_format {
        LogFormat::Human if std::io::stderr().is_terminal() => lines.boxed(),
        LogFormat::Human => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .boxed(),
    };
    // Traces keep their spans when the log says little.
    let spans = provider.map(|provider| trace::layer(provider).with_filter(LevelFilter::INFO));
    Ok(Registry::default()
        .with(lines.with_filter(filter))
        .with(spans))
}

/// Stamps log lines by our clock, in RFC 3339.
struct ByClock(Arc<dyn Clock>);

impl FormatTime for ByClock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        // Whole milliseconds, three digits always, so that lines stay in columns.
        let now = self.0.now();
        let second = Time::from_micros(now.seconds() * 1_000_000).to_string();
        let second = second.trim_end_matches('Z');
        write!(line, "{second}.{:03}Z", now.nanos() / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Mutex, PoisonError},
    };

    use guildhall_kernel::SystemClock;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(settings: &TelemetrySettings) -> String {
        let paper = Paper::default();
        let page = paper.clone();
        let clock = Arc::new(SystemClock::new());
        let subscriber =
            subscriber(settings, None, clock, move || page.clone()).expect("good settings");
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("rpc", correlation = "c1").entered();
            tracing::info!(rows = 3, "kept");
            tracing::debug!("detail");
        });
        let bytes = paper.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_line_for_people_has_its_time_its_call_and_its_fields() {
        let text = written(&TelemetrySettings::default());

        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("20") && text.contains("Z  INFO"), "{text}");
        assert!(
            text.contains("correlation") && text.contains("rows"),
            "{text}"
        );
    }

    #[test]
    fn a_line_for_machines_is_one_object() {
        let text = written(&TelemetrySettings {
            log: "debug".into(),
            log_format: LogFormat::Json,
            ..TelemetrySettings::default()
        });

        let first: serde_json::Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("an object");

        assert_eq!(text.lines().count(), 2, "{text}");
        assert_eq!(first["message"], "kept");
        assert_eq!(first["rows"], 3);
        assert_eq!(first["spans"][0]["correlation"], "c1");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_by_name() {
        let settings = TelemetrySettings {
            log: "guildhall=loud".into(),
            ..TelemetrySettings::default()
        };

        let refused = subscriber(
            &settings,
            None,
            Arc::new(SystemClock::new()),
            std::io::stderr,
        );

        let text = refused.err().expect("refused").to_string();
        assert!(text.contains("telemetry.log"), "{text}");
    }
}
