//! Why a transcoder cannot be built.

/// A fault in the http rules of a descriptor set, found before anything is served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The set does not hold `google/api/annotations.proto`, or it lost its options on the way.
    #[error(
        "the descriptors hold no google.api.http option; encode the set with its custom options"
    )]
    NoHttpOption,
    /// A path template does not parse.
    #[error("{rpc}: path `{path}`: {why}")]
    Template {
        /// Full name of the rpc.
        rpc: String,
        /// The template as written.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A rule names a field that is not there or cannot serve.
    #[error("{rpc}: {role} `{field}`: {why}")]
    Field {
        /// Full name of the rpc.
        rpc: String,
        /// What the field is named for: `path`, `body`, `response_body`, `resume`.
        role: &'static str,
        /// The name as written.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A rule has no method, or one that HTTP does not have.
    #[error("{rpc}: the rule names no HTTP method")]
    NoMethod {
        /// Full name of the rpc.
        rpc: String,
    },
    /// Clients cannot stream over REST.
    #[error("{rpc}: a client-streaming rpc cannot have an http rule")]
    ClientStreaming {
        /// Full name of the rpc.
        rpc: String,
    },
    /// Two rules match the same paths, and neither is narrower.
    #[error(
        "{first} ({first_rpc}) and {second} ({second_rpc}) match the same paths, and neither is narrower"
    )]
    Ambiguous {
        /// Method and template of one.
        first: String,
        /// Its rpc.
        first_rpc: String,
        /// Method and template of the other.
        second: String,
        /// Its rpc.
        second_rpc: String,
    },
}
