//! The backend's answer -> the caller's answer.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use tonic::{Code, Status};

use crate::{
    accept::Wire,
    body::{self, Body},
    fields, grpc,
    options::Options,
    print,
    problem::Problem,
    route::{BodyRule, Route},
    stream::{self, Encoded, Pulse},
};

/// What an answer needs to know of its request.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) route: Arc<Route>,
    pub(crate) options: Arc<Options>,
    pub(crate) correlation: Option<String>,
}

/// A call that failed, with the metadata that came along.
pub(crate) struct Failed {
    pub(crate) status: Status,
    pub(crate) metadata: HeaderMap,
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self {
            status,
            metadata: HeaderMap::new(),
        }
    }
}

impl Answering {
    /// Reads an answer of one message.
    pub(crate) async fn unary(
        &self,
        response: Response<tonic::body::Body>,
    ) -> Result<Response<Body>, Failed> {
        let (response, metadata) = opened(response)?;
        let extensions = response.extensions().clone();
        let mut messages = grpc::Messages::of(response, self.options.max_message);
        let read = match one(&mut messages).await {
            Ok(message) => self.print(message),
            Err(status) => Err(status),
        };
        let mut answer = match read {
            Ok(answer) => answer,
            Err(status) => return Err(Failed { status, metadata }),
        };
        copy(
            &self.options.response_headers,
            &metadata,
            answer.headers_mut(),
        );
        copy(
            &self.options.response_headers,
            &messages.trailers,
            answer.headers_mut(),
        );
        *answer.extensions_mut() = extensions;
        Ok(answer)
    }

    /// Begins an answer of many messages.
    pub(crate) async fn stream(
        &self,
        response: Response<tonic::body::Body>,
        wire: Wire,
    ) -> Result<Response<Body>, Failed> {
        let (response, metadata) = opened(response)?;
        let encoded = response
            .extensions()
            .get::<Encoded>()
            .and_then(Encoded::take);
        let messages = grpc::Messages::of(response, self.options.max_message);
        let mut answer = if self.route.raw_answer {
            match self.download(messages).await {
                Ok(answer) => answer,
                Err(status) => return Err(Failed { status, metadata }),
            }
        } else {
            let events = encoded.unwrap_or_else(|| {
                let route = Arc::clone(&self.route);
                messages
                    .map(move |message| print::event(&route, message?))
                    .boxed()
            });
            let pulse = Pulse {
                heartbeat: self.options.heartbeat,
                retry: self.options.retry,
            };
            let this = self.clone();
            stream::response(events, wire, pulse, move |status| {
                this.report(status).correlation_id(this.correlation.clone())
            })
        };
        copy(
            &self.options.response_headers,
            &metadata,
            answer.headers_mut(),
        );
        Ok(answer)
    }

    /// The problem that a status becomes: fields as the caller wrote them, internal text into the log.
    pub(crate) fn report(&self, status: &Status) -> Problem {
        if matches!(
            status.code(),
            Code::Unknown | Code::Internal | Code::DataLoss
        ) {
            tracing::error!(
                rpc = self.route.rpc.full_name(),
                code = ?status.code(),
                message = status.message(),
                correlation_id = self.correlation.as_deref(),
                "call failed inside"
            );
        }
        let mut problem = Problem::of(status, self.options.show_internal);
        let body = match &self.route.body {
            BodyRule::Field(field) => Some(field),
            BodyRule::None | BodyRule::Whole => None,
        };
        for error in &mut problem.errors {
            error.field = fields::for_caller(&self.route.input, &error.field, body);
        }
        problem
    }

    fn print(&self, message: Bytes) -> Result<Response<Body>, Status> {
        if self.route.raw_answer {
            let raw = print::raw(&self.route, message)?;
            return Ok(raw_response(&raw.media_type, body::full(raw.data)));
        }
        let mut answer = Response::new(body::full(print::json(&self.route, message)?));
        let media_type = HeaderValue::from_static("application/json");
        answer
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        Ok(answer)
    }

    /// The first message gives the type; the data of all of them is the body.
    async fn download(&self, mut messages: grpc::Messages) -> Result<Response<Body>, Status> {
        let Some(first) = messages.next().await.transpose()? else {
            return Ok(raw_response("", body::empty()));
        };
        let first = print::raw(&self.route, first)?;
        let route = Arc::clone(&self.route);
        let rest =
            messages.map(move |message| print::raw(&route, message?).map(|chunk| chunk.data));
        Ok(raw_response(
            &first.media_type,
            body::chunks(first.data, rest),
        ))
    }
}

/// Copies the metadata that callers may see.
pub(crate) fn copy(allowed: &[HeaderName], metadata: &HeaderMap, headers: &mut HeaderMap) {
    for name in allowed {
        for value in metadata.get_all(name) {
            headers.append(name, value.clone());
        }
    }
}

/// Sets the metadata apart, and errors that came before any message.
fn opened(
    response: Response<tonic::body::Body>,
) -> Result<(Response<tonic::body::Body>, HeaderMap), Failed> {
    let metadata = response.headers().clone();
    match grpc::early_error(&response) {
        // A status read from headers holds the other headers itself.
        Some(status) if response.headers().contains_key("grpc-status") => Err(status.into()),
        Some(status) => Err(Failed { status, metadata }),
        None => Ok((response, metadata)),
    }
}

async fn one(messages: &mut grpc::Messages) -> Result<Bytes, Status> {
    let Some(message) = messages.next().await.transpose()? else {
        return Err(Status::internal("the backend answered without a message"));
    };
    match messages.next().await.transpose()? {
        None => Ok(message),
        Some(_) => Err(Status::internal(
            "the backend answered a unary call with two messages",
        )),
    }
}

fn raw_response(media_type: &str, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    let media_type = HeaderValue::from_str(media_type)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or(HeaderValue::from_static("application/octet-stream"));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    answer
}
