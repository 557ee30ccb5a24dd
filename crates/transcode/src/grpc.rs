//! gRPC on the level of HTTP: framing, metadata, status.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::Stream;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts,
};
use http_body::Body as _;
use http_body_util::Full;
use prost::Message;
use prost_reflect::DynamicMessage;
use tonic::{Code, Status};

use crate::{options::Options, route::Route};

/// Compression flag and length before each message.
const PREFIX: usize = 5;

/// Builds the call. Extensions of the HTTP request go along.
pub(crate) fn request(
    route: &Route,
    message: &DynamicMessage,
    parts: Parts,
    timeout: Option<Duration>,
    options: &Options,
) -> Request<tonic::body::Body> {
    let mut request = Request::new(tonic::body::Body::new(Full::new(frame(message))));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = route.grpc.clone();
    let headers = request.headers_mut();
    for name in &options.request_headers {
        for value in parts.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    if let Some(timeout) = timeout
        && let Ok(value) = HeaderValue::try_from(format!("{}m", timeout.as_millis()))
    {
        headers.insert("grpc-timeout", value);
    }
    *request.extensions_mut() = parts.extensions;
    request
}

fn frame(message: &DynamicMessage) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    // Bodies are limited far below 4 GiB, and a message is not longer than its JSON by more than a small factor.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// The status of an answer that ended before its first message, if it is an error.
pub(crate) fn early_error<B>(response: &Response<B>) -> Option<Status> {
    if let Some(status) = Status::from_header_map(response.headers()) {
        return (status.code() != Code::Ok).then_some(status);
    }
    let code = match response.status() {
        StatusCode::OK => return None,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        StatusCode::BAD_REQUEST => Code::Internal,
        _ => Code::Unknown,
    };
    Some(Status::new(
        code,
        format!(
            "the backend answered with HTTP status {}",
            response.status()
        ),
    ))
}

/// The messages of an answer. Ends with an error unless its trailers say OK.
pub(crate) struct Messages {
    body: tonic::body::Body,
    buffer: BytesMut,
    most: usize,
    over: bool,
    /// What came after the last message.
    pub(crate) trailers: HeaderMap,
}

impl Messages {
    /// Reads an answer. `over`: its headers were its trailers already.
    pub(crate) fn of(response: Response<tonic::body::Body>, most: usize) -> Self {
        let over = response.headers().contains_key("grpc-status");
        Self {
            body: response.into_body(),
            buffer: BytesMut::new(),
            most,
            over,
            trailers: HeaderMap::new(),
        }
    }

    /// Takes the next message out of what has arrived.
    fn buffered(&mut self) -> Result<Option<Bytes>, Status> {
        let Some((&flag, rest)) = self.buffer.split_first() else {
            return Ok(None);
        };
        let Some(length) = rest.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if flag != 0 {
            return Err(Status::internal(
                "the backend compressed a message though not asked to",
            ));
        }
        if length > self.most {
            return Err(Status::internal(format!(
                "the backend sent a message of {length} bytes, {} is the limit",
                self.most
            )));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn take(&mut self, data: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = match data.try_into_mut() {
                Ok(own) => own,
                Err(shared) => BytesMut::from(shared.as_ref()),
            };
        } else {
            self.buffer.extend_from_slice(&data);
        }
    }

    fn end(&mut self, trailers: HeaderMap) -> Result<(), Status> {
        let status = Status::from_header_map(&trailers);
        self.trailers = trailers;
        match status {
            Some(status) if status.code() == Code::Ok && self.buffer.is_empty() => Ok(()),
            Some(status) if status.code() == Code::Ok => {
                Err(Status::internal("the backend ended within a message"))
            }
            Some(status) => Err(status),
            None => Err(Status::unknown("the backend ended without a status")),
        }
    }
}

impl Stream for Messages {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            match self.buffered() {
                Ok(None) => {}
                Ok(Some(message)) => return Poll::Ready(Some(Ok(message))),
                Err(status) => {
                    self.over = true;
                    return Poll::Ready(Some(Err(status)));
                }
            }
            let ended = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.take(data);
                        continue;
                    }
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => self.end(trailers),
                        Err(_) => continue,
                    },
                },
                Some(Err(status)) => Err(status),
                None => Err(Status::unavailable("the backend went away before the end")),
            };
            self.over = true;
            return Poll::Ready(ended.err().map(Err));
        }
    }
}
