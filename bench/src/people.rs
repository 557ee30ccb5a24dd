//! Somebody to post as.

use anyhow::Context as _;
use reqwest::Client;
use serde_json::{Value, json};

const PASSWORD: &str = "a quiet bench by the river";

/// A signed-in person.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Their access token.
    pub(crate) token: String,
    /// Their id.
    pub(crate) id: String,
    base: String,
    http: Client,
}

impl Person {
    /// Registers somebody new.
    pub(crate) async fn register(http: &Client, address: &str, name: &str) -> anyhow::Result<Self> {
        let body =
            json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD});
        Self::by(http, address, "register", &body).await
    }

    /// Signs in somebody who registered before.
    pub(crate) async fn login(http: &Client, address: &str, name: &str) -> anyhow::Result<Self> {
        Self::by(
            http,
            address,
            "login",
            &json!({"username": name, "password": PASSWORD}),
        )
        .await
    }

    async fn by(http: &Client, address: &str, call: &str, body: &Value) -> anyhow::Result<Self> {
        let base = format!("http://{address}/api/v1");
        let answer = send(http.post(format!("{base}/auth/{call}")).json(body)).await?;
        let text = |pointer: &str| {
            let value = answer.pointer(pointer).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .with_context(|| format!("{pointer} in {answer}"))
        };
        Ok(Self {
            token: text("/accessToken")?,
            id: text("/account/user/id")?,
            base,
            http: http.clone(),
        })
    }

    /// Posts to a path under /api/v1.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        send(
            self.http
                .post(format!("{}{path}", self.base))
                .bearer_auth(&self.token)
                .json(body),
        )
        .await
    }

    /// Gets a path under /api/v1.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        send(
            self.http
                .get(format!("{}{path}", self.base))
                .bearer_auth(&self.token),
        )
        .await
    }

    /// Makes a team with these people and one channel in it; returns the channel's id.
    pub(crate) async fn channel_with(&self, others: &[Self]) -> anyhow::Result<String> {
        let ids: Vec<_> = others.iter().map(|other| other.id.as_str()).collect();
        let team =
            json!({"kind": "SPACE_KIND_TEAM", "name": "bench", "memberIds": ids, "key": "bench"});
        let team = self.post("/spaces", &team).await?;
        let space = team
            .pointer("/space/id")
            .and_then(Value::as_str)
            .context("a space")?;
        let channel = json!({"name": "load", "key": "load"});
        let channel = self
            .post(&format!("/spaces/{space}/channels"), &channel)
            .await?;
        Ok(channel
            .pointer("/channel/id")
            .and_then(Value::as_str)
            .context("a channel")?
            .to_owned())
    }
}

async fn send(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let body: Value = response.json().await?;
    anyhow::ensure!(status.is_success(), "{status}: {body}");
    Ok(body)
}
