//! Protobuf services as REST, from descriptors alone: no code per route, no message types.
//!
//! A [`Transcoder`] reads the `google.api.http` rules of a [`DescriptorPool`](prost_reflect::DescriptorPool), turns a
//! request into a gRPC call on the level of HTTP, hands it to a [`Backend`] and prints what comes back: JSON, an event
//! stream, lines of JSON, a raw body, or a [`Problem`]. [`openapi::document`] describes the same routes.
//!
//! It keeps no state between calls, starts no tasks, and knows no service.
//!
//! In the order of a request: `transcoder`, `router` (over `template` and `route`), `refusal` and `accept`, `request`
//! (over `json`, `decode`, `scalar`, `query`, `mask`, `fields`), `grpc`, `backend`, `answer` (over `print`, `stream`),
//! `problem`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of protobuf and JSON are closed lists of which a function cares for a few"
)]

mod accept;
mod answer;
mod backend;
mod body;
mod decode;
mod error;
mod fields;
mod grpc;
mod json;
mod mask;
pub mod openapi;
mod options;
mod print;
pub mod problem;
mod query;
mod refusal;
mod request;
mod route;
mod router;
mod scalar;
mod stream;
mod template;
mod transcoder;

pub use accept::Wire;
pub use backend::{Backend, service};
pub use body::Body;
pub use error::BuildError;
pub use options::{CorrelationOf, Fault, MethodFilter, Options, ReasonOf, Resume, ResumeOf};
pub use problem::{FieldError, Problem};
pub use stream::{Encoded, Event};
pub use transcoder::Transcoder;
