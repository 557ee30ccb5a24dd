//! Somebody who uses a hall as an app would: REST with a bearer token.

use std::{net::SocketAddr, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Hall, http, live::Live};

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their name.
    pub name: String,
    /// Their id.
    pub id: String,
    /// Their access token.
    pub token: String,
    /// Where their hall is.
    pub at: SocketAddr,
    http: reqwest::Client,
}

/// A refusal: the status and the problem.
pub type Refused = (u16, Value);

/// The password of everybody.
pub const PASSWORD: &str = "a long walk by the harbour";

impl Person {
    /// Makes an account.
    pub async fn register(hall: &impl Hall, name: &str) -> Self {
        let new = json!({
            "email": format!("{name}@example.org"), "username": name, "password": PASSWORD,
        });
        Self::enter(hall.http(), name, "/api/v1/auth/register", new).await
    }

    /// Signs in on another device.
    pub async fn login(hall: &impl Hall, name: &str) -> Self {
        let login = json!({ "username": name, "password": PASSWORD });
        Self::enter(hall.http(), name, "/api/v1/auth/login", login).await
    }

    async fn enter(at: SocketAddr, name: &str, path: &str, body: Value) -> Self {
        let http = http();
        let answer = http
            .post(format!("http://{at}{path}"))
            .json(&body)
            .send()
            .await;
        let answer: Value = answer.expect("answers").json().await.expect("JSON");
        Self::of(at, name, &answer)
    }

    /// Whoever an answer of register or login is about.
    pub fn known(hall: &impl Hall, name: &str, answer: &Value) -> Self {
        Self::of(hall.http(), name, answer)
    }

    fn of(at: SocketAddr, name: &str, answer: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let id = text(&answer["account"]["user"]["id"]);
        Self {
            name: name.to_owned(),
            id: id.unwrap_or_else(|| panic!("no account in {answer}")),
            token: text(&answer["accessToken"]).expect("a token"),
            at,
            http: http(),
        }
    }

    /// Calls a path under `/api/v1`.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Refused> {
        let url = format!("http://{}/api/v1{path}", self.at);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("answers");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        if status.is_success() {
            Ok(body)
        } else {
            Err((status.as_u16(), body))
        }
    }

    /// Reads until it is refused, at most for so long; returns the last answer.
    pub async fn refused_within(&self, time: Duration, path: &str) -> Result<Value, Refused> {
        let mut answer = self.try_call(Method::GET, path, None).await;
        let again = async {
            while answer.is_ok() {
                answer = self.try_call(Method::GET, path, None).await;
            }
        };
        // The last answer tells which it was.
        let _in_time = tokio::time::timeout(time, again).await;
        answer
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.try_call(method.clone(), path, body).await;
        answer.unwrap_or_else(|refused| panic!("{} {method} {path}: {refused:?}", self.name))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// Writes.
    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// Makes.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Changes.
    pub async fn patch(&self, path: &str, body: Value) -> Value {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Value {
        self.call(Method::DELETE, path, None).await
    }

    /// Opens the conversation with somebody; returns its channel.
    pub async fn direct(&self, other: &Self) -> String {
        let opened = self
            .post("/channels/direct", json!({ "userIds": [other.id] }))
            .await;
        string(&opened["channel"]["id"])
    }

    /// Opens a team; returns its space.
    pub async fn team(&self, name: &str, others: &[&Self]) -> String {
        let others: Vec<_> = others.iter().map(|other| &other.id).collect();
        let new =
            json!({ "kind": "SPACE_KIND_TEAM", "name": name, "memberIds": others, "key": name });
        string(&self.post("/spaces", new).await["space"]["id"])
    }

    /// Makes a channel in a team.
    pub async fn channel(&self, space: &str, name: &str) -> String {
        let new = json!({ "name": name, "key": name });
        let made = self.post(&format!("/spaces/{space}/channels"), new).await;
        string(&made["channel"]["id"])
    }

    /// Says something; returns the message.
    pub async fn say(&self, channel: &str, text: &str) -> Value {
        let new = json!({ "text": text, "key": text });
        let posted = self
            .post(&format!("/channels/{channel}/messages"), new)
            .await;
        posted["message"].clone()
    }

    /// The texts of a channel, the oldest first.
    pub async fn texts(&self, channel: &str) -> Vec<String> {
        let page = self.get(&format!("/channels/{channel}/messages")).await;
        let messages = page["messages"].as_array().expect("a list");
        messages
            .iter()
            .map(|message| string(&message["text"]))
            .collect()
    }

    /// Listens by WebSocket, with the token in the first frame.
    pub async fn socket(&self, wish: Value) -> Live {
        Live::socket(self, &wish).await
    }

    /// Listens by server-sent events; `after` is the id of the last event of an earlier stream.
    pub async fn events(&self, query: &str, after: Option<&str>) -> Live {
        Live::events(self, query, after).await
    }

    /// Listens by gRPC `Open`.
    pub async fn open(&self, wish: Value) -> Live {
        Live::open(self, &wish).await
    }
}

/// The text of a JSON string.
pub fn string(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}
