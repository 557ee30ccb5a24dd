//! Settings of a transcoder.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, request::Parts};
use prost_reflect::MethodDescriptor;

/// Decides by rpc.
pub type MethodFilter = Arc<dyn Fn(&MethodDescriptor) -> bool + Send + Sync>;
/// Says by rpc how its stream resumes.
pub type ResumeOf = Arc<dyn Fn(&MethodDescriptor) -> Option<Resume> + Send + Sync>;
/// Finds the id under which logs know a request.
pub type CorrelationOf = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;
/// Gives the machine-readable reason of an error that arises before any service is asked.
pub type ReasonOf = Arc<dyn Fn(Fault) -> Option<String> + Send + Sync>;

/// Settings of a transcoder. `..Options::default()` fills in the rest.
#[derive(Clone)]
pub struct Options {
    /// Longest request body in bytes; longer ones get 413 before they are parsed. 1 MiB.
    pub max_body: usize,
    /// Deepest nesting of objects and lists in a body, at most 127. 64.
    pub max_depth: usize,
    /// Longest message of an answer in bytes. 4 MiB.
    pub max_message: usize,
    /// Takes JSON only in the spelling in which it is printed (and proto names for fields): no numbers in quotes, no
    /// 64-bit numbers without, no null for "absent", no enum numbers. The OpenAPI page follows: strict, it is exact and
    /// plain; otherwise it lists all spellings that proto JSON allows. Off.
    pub strict: bool,
    /// Time for a call that brings no `Request-Timeout`. 30 s.
    pub timeout: Duration,
    /// The longest time a caller may ask for; more is cut down to it. 5 min.
    pub max_timeout: Duration,
    /// Request headers that reach the service as metadata. Trace context, request id, idempotency key, language and
    /// `authorization`.
    pub request_headers: Vec<HeaderName>,
    /// Metadata of an answer that reaches the caller as headers. None.
    pub response_headers: Vec<HeaderName>,
    /// Silence after which an event stream gets a comment. 15 s.
    pub heartbeat: Duration,
    /// What event streams tell their readers to wait before they come back. 2 s.
    pub retry: Duration,
    /// Shows the text of internal errors to callers. For development. Off.
    pub show_internal: bool,
    /// Which rpcs are routed, among those that have an http rule. All.
    pub filter: MethodFilter,
    /// How streams resume. None does.
    pub resume: ResumeOf,
    /// The id of a request. Its `x-request-id` header.
    pub correlation: CorrelationOf,
    /// The reason of errors that arise here. None.
    pub reason: ReasonOf,
}

/// How a server stream resumes: which field takes the position in, and which gives it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Field of the request that takes the `Last-Event-ID` header; a proto name, a string.
    pub request_field: String,
    /// Field of each response that becomes the `id:` of its event; a proto name, a string. Empty: no id.
    pub response_field: String,
}

/// Errors that arise in the transcoder itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// No route has this path.
    NoRoute,
    /// The path is there, not under this method.
    WrongMethod,
    /// The body is not of a type that is read here.
    UnsupportedMediaType,
    /// No type that is written here is accepted by the caller.
    NotAcceptable,
    /// The body is too long.
    BodyTooLarge,
    /// Path, query, header or body do not fit the request message.
    BadInput,
    /// The time given to the call ran out.
    Timeout,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_body: 1 << 20,
            max_depth: 64,
            max_message: 4 << 20,
            strict: false,
            timeout: Duration::from_secs(30),
            max_timeout: Duration::from_mins(5),
            request_headers: [
                "authorization",
                "traceparent",
                "tracestate",
                "x-request-id",
                "idempotency-key",
                "accept-language",
            ]
            .map(HeaderName::from_static)
            .to_vec(),
            response_headers: Vec::new(),
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            show_internal: false,
            filter: Arc::new(|_| true),
            resume: Arc::new(|_| None),
            correlation: Arc::new(|parts| {
                let id = parts.headers.get("x-request-id")?;
                id.to_str().ok().map(str::to_owned)
            }),
            reason: Arc::new(|_| None),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_body", &self.max_body)
            .field("max_depth", &self.max_depth)
            .field("max_message", &self.max_message)
            .field("strict", &self.strict)
            .field("timeout", &self.timeout)
            .field("max_timeout", &self.max_timeout)
            .field("request_headers", &self.request_headers)
            .field("response_headers", &self.response_headers)
            .finish_non_exhaustive()
    }
}
