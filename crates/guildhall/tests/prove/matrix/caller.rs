//! One call on one wire.

use anyhow::{Context as _, bail, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage as _};
use reqwest::{Client, Method};
use serde_json::Value;
use tonic::{Code, Status, transport::Channel};

use super::{
    answer::Answer,
    framing::{Raw, events, frame, web_frames},
    stream::{Frames, settle},
    wires::Wire,
};

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
