//! One call on one wire, and its answer in words that all wires share.

use anyhow::{Context as _, bail, ensure};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage as _};
use reqwest::{Client, Method};
use serde_json::Value;
use tonic::{
    Code, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::stream::{Frames, settle};

/// A way to call.
#[derive(Debug, Clone)]
pub(crate) enum Wire {
    Grpc,
    GrpcWeb,
    /// By this method and path template, with a body or without.
    Rest(Method, String, bool),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 200, or what the status is on HTTP.
    pub(crate) status: u16,
    /// The gRPC code's name.
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
    /// Whether a stream said Gone.
    pub(crate) gone: bool,
    /// What was said, where it went well and is no stream.
    pub(crate) said: Bytes,
}

impl Answer {
    pub(crate) fn ok() -> Self {
        Self {
            status: 200,
            code: String::new(),
            reason: String::new(),
            detail: String::new(),
            gone: false,
            said: Bytes::new(),
        }
    }

    fn saying(said: Bytes) -> Self {
        Self { said, ..Self::ok() }
    }

    /// Whether the answer names this id. Ids are texts on every wire.
    pub(crate) fn names(&self, id: &str) -> bool {
        self.said
            .windows(id.len())
            .any(|part| part == id.as_bytes())
    }

    fn of(status: &Status) -> Self {
        let info = status.get_details_error_info();
        Self {
            status: http_status(status.code()),
            code: code_name(status.code()).into(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            detail: status.message().to_owned(),
            gone: false,
            said: Bytes::new(),
        }
    }

    /// Reads a problem as REST and frames show it.
    pub(crate) fn problem(status: u16, problem: &Value) -> Self {
        let text = |name: &str| {
            problem
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            status,
            code: text("code"),
            reason: text("reason"),
            detail: text("detail"),
            gone: false,
            said: Bytes::new(),
        }
    }
}

/// The wires that carry an rpc: gRPC, grpc-web unless its client streams, and each of its http rules.
pub(crate) fn wires(rpc: &MethodDescriptor) -> anyhow::Result<Vec<Wire>> {
    let mut wires = vec![Wire::Grpc];
    if !rpc.is_client_streaming() {
        wires.push(Wire::GrpcWeb);
    }
    let http = guildhall_proto::pool()
        .get_extension_by_name("google.api.http")
        .context("no google.api.http")?;
    let options = rpc.options();
    if options.has_extension(&http) {
        let rule = options.get_extension(&http);
        let rule = rule.as_message().context("an http rule")?;
        wires.push(rest(rule)?);
        let more = rule.get_field_by_name("additional_bindings");
        for rule in more.as_ref().and_then(|more| more.as_list()).unwrap_or(&[]) {
            wires.push(rest(rule.as_message().context("an http rule")?)?);
        }
    }
    Ok(wires)
}

fn rest(rule: &DynamicMessage) -> anyhow::Result<Wire> {
    let text = |name: &str| {
        let value = rule.get_field_by_name(name)?;
        Some(value.as_str()?.to_owned())
    };
    let has_body = text("body").is_some_and(|body| !body.is_empty());
    for (name, method) in [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ] {
        if let Some(path) = text(name).filter(|path| !path.is_empty()) {
            return Ok(Wire::Rest(method, path, has_body));
        }
    }
    bail!(
        "an http rule of a kind that the matrix does not know: add it to `rest` in matrix/wires.rs"
    )
}

/// Makes calls.
#[derive(Clone)]
pub(crate) struct Caller {
    address: String,
    http: Client,
    grpc: Channel,
}

impl Caller {
    pub(crate) async fn to(address: &str, http: &Client) -> anyhow::Result<Self> {
        let grpc = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        Ok(Self {
            address: address.to_owned(),
            http: http.clone(),
            grpc,
        })
    }

    /// Makes a call. Streams are read until it is clear what they are.
    pub(crate) async fn call(
        &self,
        wire: &Wire,
        rpc: &MethodDescriptor,
        request: &DynamicMessage,
        token: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let path = format!("/{}/{}", rpc.parent_service().full_name(), rpc.name());
        let bytes = Bytes::from(request.encode_to_vec());
        match wire {
            Wire::Grpc if rpc.is_server_streaming() => {
                let frames = self.grpc_stream(&path, bytes, token, rpc).await?;
                match frames {
                    Ok(frames) => settle(frames).await,
                    Err(status) => Ok(Answer::of(&status)),
                }
            }
            Wire::Grpc => Ok(match self.grpc(&path, bytes, token).await? {
                Ok(answer) => {
                    DynamicMessage::decode(rpc.output(), answer.clone())?;
                    Answer::saying(answer)
                }
                Err(status) => Answer::of(&status),
            }),
            Wire::GrpcWeb => self.web(&path, bytes, token, rpc).await,
            Wire::Rest(method, template, has_body) => {
                self.rest(method, template, *has_body, rpc, request, token)
                    .await
            }
        }
    }

    /// One message there, one back.
    pub(crate) async fn grpc(
        &self,
        path: &str,
        request: Bytes,
        token: Option<&str>,
    ) -> anyhow::Result<Result<Bytes, Status>> {
        let mut grpc = tonic::client::Grpc::new(self.grpc.clone());
        grpc.ready().await?;
        let request = bearing(request, token)?;
        let answer = grpc.unary(request, path.parse()?, Raw).await;
        Ok(answer.map(tonic::Response::into_inner))
    }

    /// One message there and the stream kept open, many back.
    pub(crate) async fn grpc_stream(
        &self,
        path: &str,
        request: Bytes,
        token: Option<&str>,
        rpc: &MethodDescriptor,
    ) -> anyhow::Result<Result<Frames, Status>> {
        let mut grpc = tonic::client::Grpc::new(self.grpc.clone());
        grpc.ready().await?;
        let answer = if rpc.is_client_streaming() {
            let outward = stream::once(async move { request }).chain(stream::pending());
            let request = bearing(outward, token)?;
            grpc.streaming(request, path.parse()?, Raw).await
        } else {
            let request = bearing(request, token)?;
            grpc.server_streaming(request, path.parse()?, Raw).await
        };
        let output = rpc.output();
        Ok(answer.map(|answer| {
            let frames = answer.into_inner().map(move |bytes| match bytes {
                Ok(bytes) => frame(&DynamicMessage::decode(output.clone(), bytes)?),
                Err(status) => Ok(Err(Answer::of(&status))),
            });
            frames.boxed()
        }))
    }

    /// What reflection says of a symbol, or of the list of services where there is none.
    pub(crate) async fn reflected(&self, symbol: &str) -> anyhow::Result<Bytes> {
        /// `file_containing_symbol` and `list_services` of `ServerReflectionRequest`.
        const SYMBOL: u8 = 4 << 3 | 2;
        const LIST: u8 = 7 << 3 | 2;
        let mut request = BytesMut::new();
        request.put_u8(if symbol.is_empty() { LIST } else { SYMBOL });
        request.put_u8(u8::try_from(symbol.len())?);
        request.put(symbol.as_bytes());
        let request = request.freeze();
        let mut grpc = tonic::client::Grpc::new(self.grpc.clone());
        grpc.ready().await?;
        let outward = bearing(stream::once(async move { request }), None)?;
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let answers = grpc.streaming(outward, path.parse()?, Raw).await?;
        let first = answers.into_inner().next().await;
        match first.context("reflection says nothing")? {
            Err(status) if status.code() == Code::NotFound => Ok(Bytes::new()),
            said => Ok(said?),
        }
    }

    async fn web(
        &self,
        path: &str,
        request: Bytes,
        token: Option<&str>,
        rpc: &MethodDescriptor,
    ) -> anyhow::Result<Answer> {
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(request.len())?);
        body.put(request);
        let mut call = self
            .http
            .post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc-web+proto")
            .header("x-grpc-web", "1")
            .body(body.freeze());
        if let Some(token) = token {
            call = call.bearer_auth(token);
        }
        let response = call.send().await?;
        ensure!(
            response.status() == 200,
            "grpc-web answers 200 whatever happens, not {}",
            response.status()
        );
        if let Some(status) = Status::from_header_map(response.headers())
            && status.code() != Code::Ok
        {
            return Ok(Answer::of(&status));
        }
        let messages = web_frames(response.bytes_stream().map_err(anyhow::Error::from));
        if rpc.is_server_streaming() {
            let output = rpc.output();
            let frames = messages.map(move |message| match message? {
                Ok(bytes) => frame(&DynamicMessage::decode(output.clone(), bytes)?),
                Err(status) => Ok(Err(Answer::of(&status))),
            });
            return settle(frames.boxed()).await;
        }
        let mut messages = std::pin::pin!(messages);
        let mut said = Bytes::new();
        while let Some(message) = messages.next().await {
            match message? {
                Ok(bytes) => {
                    DynamicMessage::decode(rpc.output(), bytes.clone())?;
                    said = bytes;
                }
                Err(status) if status.code() == Code::Ok => return Ok(Answer::saying(said)),
                Err(status) => return Ok(Answer::of(&status)),
            }
        }
        bail!("{path}: a grpc-web answer without trailers")
    }

    async fn rest(
        &self,
        method: &Method,
        template: &str,
        has_body: bool,
        rpc: &MethodDescriptor,
        request: &DynamicMessage,
        token: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut json = serde_json::to_value(request)?;
        let fields = json.as_object_mut().context("a message is an object")?;
        let mut path = template.to_owned();
        for field in request.descriptor().fields() {
            let place = format!("{{{}}}", field.name());
            if path.contains(&place) {
                let value = fields
                    .remove(field.json_name())
                    .with_context(|| format!("{template} needs {}", field.name()))?;
                path = path.replace(&place, value.as_str().context("a text")?);
            }
        }
        let mut call = self
            .http
            .request(method.clone(), format!("http://{}{path}", self.address));
        if has_body {
            call = call.json(&json);
        } else {
            let mut query = Vec::new();
            flatten("", &json, &mut query);
            let query: Vec<_> = query
                .iter()
                .map(|(name, value)| format!("{name}={}", value.replace(' ', "%20")))
                .collect();
            let url = format!("http://{}{path}?{}", self.address, query.join("&"));
            call = self.http.request(method.clone(), url);
        }
        if rpc.is_server_streaming() {
            call = call.header("accept", "text/event-stream");
        }
        if let Some(token) = token {
            call = call.bearer_auth(token);
        }
        let response = call.send().await?;
        let status = response.status().as_u16();
        if status != 200 {
            let problem: Value = response.json().await?;
            return Ok(Answer::problem(status, &problem));
        }
        if rpc.is_server_streaming() {
            return settle(events(response.bytes_stream().map_err(anyhow::Error::from))).await;
        }
        let said = response.bytes().await?;
        serde_json::from_slice::<Value>(&said)?;
        Ok(Answer::saying(said))
    }
}

fn bearing<T>(message: T, token: Option<&str>) -> anyhow::Result<tonic::Request<T>> {
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse()?;
        request.metadata_mut().insert("authorization", value);
    }
    Ok(request)
}

/// The server frame in an answer of the live feed, as JSON.
fn frame(answer: &DynamicMessage) -> anyhow::Result<Result<Value, Answer>> {
    let mut json = serde_json::to_value(answer)?;
    Ok(Ok(json
        .get_mut("frame")
        .context("no frame in the answer")?
        .take()))
}

/// The data of server-sent events.
pub(crate) fn events(bytes: impl Stream<Item = anyhow::Result<Bytes>> + Send + 'static) -> Frames {
    let lines = stream::try_unfold(
        (bytes.boxed(), BytesMut::new()),
        |(mut bytes, mut held)| async move {
            loop {
                if let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                    let line = held.split_to(end);
                    held.advance(1);
                    return Ok(Some((line.freeze(), (bytes, held))));
                }
                match bytes.next().await {
                    Some(more) => held.put(more?),
                    None => return Ok(None),
                }
            }
        },
    );
    lines
        .try_filter_map(|line: Bytes| async move {
            let data = line.strip_prefix(b"data:");
            Ok::<_, anyhow::Error>(data.map(serde_json::from_slice).transpose()?.map(Ok))
        })
        .boxed()
}

/// The messages of a grpc-web body; its trailers are the last, as a status.
fn web_frames(
    bytes: impl Stream<Item = anyhow::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = anyhow::Result<Result<Bytes, Status>>> + Send {
    const PREFIX: usize = 5;
    stream::try_unfold(
        (bytes.boxed(), BytesMut::new()),
        |(mut bytes, mut held)| async move {
            loop {
                if held.len() >= PREFIX {
                    let length = u32::from_be_bytes([held[1], held[2], held[3], held[4]]) as usize;
                    if held.len() >= PREFIX + length {
                        let is_trailers = held[0] & 0x80 != 0;
                        let frame = held.split_to(PREFIX + length).freeze().slice(PREFIX..);
                        let frame = if is_trailers {
                            Err(trailers(&frame)?)
                        } else {
                            Ok(frame)
                        };
                        return Ok(Some((frame, (bytes, held))));
                    }
                }
                match bytes.next().await {
                    Some(more) => held.put(more?),
                    None => return Ok(None),
                }
            }
        },
    )
}

fn trailers(text: &[u8]) -> anyhow::Result<Status> {
    let mut headers = reqwest::header::HeaderMap::new();
    for line in std::str::from_utf8(text)?.lines() {
        if let Some((name, value)) = line.split_once(':') {
            let name: reqwest::header::HeaderName = name.trim().parse()?;
            headers.insert(name, value.trim().parse()?);
        }
    }
    Status::from_header_map(&headers).context("trailers without a status")
}

/// Names and values as a query has them.
fn flatten(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() {
                    field.clone()
                } else {
                    format!("{name}.{field}")
                };
                flatten(&name, value, into);
            }
        }
        Value::Array(values) => {
            for value in values {
                flatten(name, value, into);
            }
        }
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            into.push((name.to_owned(), value.to_string()));
        }
    }
}

fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::OutOfRange => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => 409,
        Code::ResourceExhausted => 429,
        Code::Cancelled => 499,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
