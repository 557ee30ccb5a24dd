//! A descriptor pool, requests, and a backend that says what it is told to.

use std::{
    path::Path,
    sync::{Arc, LazyLock, Mutex},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use guildhall_transcode::{Body, Options, Transcoder};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;
use tonic::{Code, Status};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        root.join("tests/proto"),
        root.join("../../proto/third_party"),
    ];
    let mut compiler = protox::Compiler::new(folders).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file("rooms.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
});

pub(crate) fn pool() -> DescriptorPool {
    POOL.clone()
}

/// Compiles a file that exists only here.
pub(crate) fn pool_of(body: &str) -> DescriptorPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/third_party");
    let text = format!(
        "syntax = \"proto3\"; package t; import \"google/api/annotations.proto\";\n\
         import \"buf/validate/validate.proto\"; import \"google/protobuf/wrappers.proto\";\n\
         message In {{ string id = 1; Inner inner = 2; repeated string ids = 3; }}\n\
         message Inner {{ string id = 1; }} message Out {{ string id = 1; }}\n{body}"
    );
    let mut resolvers = protox::file::ChainFileResolver::new();
    resolvers.add(OneFile(text));
    resolvers.add(protox::file::GoogleFileResolver::new());
    resolvers.add(protox::file::IncludeFileResolver::new(folder));
    let mut compiler = protox::Compiler::with_file_resolver(resolvers);
    compiler.include_imports(true).open_file("t.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

struct OneFile(String);

impl protox::file::FileResolver for OneFile {
    fn open_file(&self, name: &str) -> Result<protox::file::File, protox::Error> {
        if name == "t.proto" {
            protox::file::File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

pub(crate) fn rest() -> Transcoder {
    rest_with(Options::default())
}

pub(crate) fn rest_with(options: Options) -> Transcoder {
    Transcoder::build(pool(), options).unwrap()
}

/// What the backend was asked.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Value,
}

/// What the caller got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) call: Option<Call>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// What the backend was asked; fails with the answer if it was not.
    pub(crate) fn asked(&self) -> Value {
        match &self.call {
            Some(call) => call.message.clone(),
            None => panic!("not called: {} {:?}", self.status, self.body),
        }
    }

    /// The fields that a problem names.
    pub(crate) fn fields(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

pub(crate) fn send(method: &str, path: &str, json: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Full::from(json.to_owned()))
        .unwrap()
}

pub(crate) fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

/// Asks with a backend that answers with an empty message.
pub(crate) async fn ask(rest: &Transcoder, request: Request<Full<Bytes>>) -> Reply {
    ask_for(rest, request, "{}").await
}

/// Asks with a backend that answers with this message.
pub(crate) async fn ask_for(
    rest: &Transcoder,
    request: Request<Full<Bytes>>,
    answer: &str,
) -> Reply {
    let answer = answer.to_owned();
    ask_with(rest, request, move |path| {
        grpc(&[message(path, &answer)], &Status::ok(""))
    })
    .await
}

/// Asks with a backend that fails before any message.
pub(crate) async fn ask_in_vain(
    rest: &Transcoder,
    request: Request<Full<Bytes>>,
    status: Status,
) -> Reply {
    ask_with(rest, request, move |_| status.into_http()).await
}

pub(crate) async fn ask_with(
    rest: &Transcoder,
    request: Request<Full<Bytes>>,
    answer: impl FnOnce(&str) -> Response<tonic::body::Body> + Send,
) -> Reply {
    let seen = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&seen);
    let backend = |request: Request<tonic::body::Body>| async move {
        let call = read(request).await;
        let response = answer(&call.path);
        *kept.lock().unwrap() = Some(call);
        Ok(response)
    };
    let response = rest.handle(request, backend).await;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let call = seen.lock().unwrap().take();
    Reply {
        status,
        headers,
        body,
        call,
    }
}

/// Reads a call the way a server would.
pub(crate) async fn read(request: Request<tonic::body::Body>) -> Call {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    assert_eq!(parts.headers["content-type"], "application/grpc");
    assert_eq!(parts.headers["te"], "trailers");
    assert_eq!(
        u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize,
        bytes.len() - 5
    );
    let path = parts.uri.path().to_owned();
    let decoded = DynamicMessage::decode(rpc(&path).input(), bytes.slice(5..)).unwrap();
    let options = SerializeOptions::new();
    let message = decoded
        .serialize_with_options(serde_json::value::Serializer, &options)
        .unwrap();
    Call {
        path,
        headers: parts.headers,
        message,
    }
}

/// Encodes the answer of an rpc.
pub(crate) fn message(path: &str, json: &str) -> Bytes {
    let json: Value = serde_json::from_str(json).unwrap();
    let message = DynamicMessage::deserialize(rpc(path).output(), json).unwrap();
    message.encode_to_vec().into()
}

/// Frames messages and closes with a status.
pub(crate) fn grpc(messages: &[Bytes], status: &Status) -> Response<tonic::body::Body> {
    let mut frames: Vec<Result<Frame<Bytes>, Status>> = messages
        .iter()
        .map(|message| Ok(Frame::data(framed(message))))
        .collect();
    frames.push(Ok(Frame::trailers(trailers(status))));
    let mut response = Response::new(tonic::body::Body::new(StreamBody::new(stream::iter(
        frames,
    ))));
    response
        .headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    response
}

pub(crate) fn framed(message: &Bytes) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

pub(crate) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.code() == Code::Ok {
        trailers.insert("grpc-status", "0".parse().unwrap());
    } else {
        status.add_header(&mut trailers).unwrap();
    }
    trailers
}

/// The next piece of a body as text.
pub(crate) async fn piece(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

fn rpc(path: &str) -> prost_reflect::MethodDescriptor {
    let (service, method) = path.trim_start_matches('/').split_once('/').unwrap();
    let service = pool().get_service_by_name(service).unwrap();
    service.methods().find(|rpc| rpc.name() == method).unwrap()
}
