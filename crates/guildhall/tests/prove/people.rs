//! Callers that know three outcomes: done, refused, and unknown.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::server::Address;

const PASSWORD: &str = "four proofs in a quiet row";

/// A signed-in person who finds the hall again when it moves.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    address: Address,
    http: Client,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Answered with 200.
    Done(Value),
    /// Refused with a status that says nothing was done.
    Refused(StatusCode, Value),
    /// Nobody can know: no answer, or one that says so.
    Unknown,
}

impl Person {
    /// Registers somebody. Fails rather than tries again: it is called while nothing is killed.
    pub(crate) async fn register(address: &Address, name: &str) -> anyhow::Result<Self> {
        // Only the first of many callers gets to choose; all choose the same.
        let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().timeout(Duration::from_secs(10)).build()?;
        let body =
            json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD});
        let url = format!("http://{}/api/v1/auth/register", address.get());
        let answer: Value = http
            .post(url)
            .json(&body)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let text = |pointer: &str| {
            let value = answer.pointer(pointer).and_then(Value::as_str);
            value
                .map(str::to_owned)
                .with_context(|| format!("{pointer} in {answer}"))
        };
        Ok(Self {
            id: text("/account/user/id")?,
            token: text("/accessToken")?,
            address: address.clone(),
            http,
        })
    }

    /// Makes one call.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome {
        let url = format!("http://{}/api/v1{path}", self.address.get());
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let Ok(response) = request.send().await else {
            return Outcome::Unknown;
        };
        let status = response.status();
        let Ok(body) = response.json::<Value>().await else {
            return Outcome::Unknown;
        };
        match status {
            StatusCode::OK => Outcome::Done(body),
            status if status.is_server_error() => Outcome::Unknown,
            status => Outcome::Refused(status, body),
        }
    }

    /// Repeats a retry-safe call until its outcome is known, at most for a minute.
    pub(crate) async fn until_known(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Outcome> {
        for _ in 0..600 {
            match self.call(method.clone(), path, body).await {
                Outcome::Unknown => tokio::time::sleep(Duration::from_millis(100)).await,
                Outcome::Refused(StatusCode::TOO_MANY_REQUESTS, _) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                known => return Ok(known),
            }
        }
        bail!("{method} {path} is not answered")
    }

    /// Gets something that is there.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        match self.until_known(Method::GET, path, None).await? {
            Outcome::Done(body) => Ok(body),
            other => bail!("GET {path}: {other:?}"),
        }
    }

    /// Creates something that has to work.
    pub(crate) async fn create(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        match self.until_known(Method::POST, path, Some(body)).await? {
            Outcome::Done(body) => Ok(body),
            other => bail!("POST {path}: {other:?}"),
        }
    }

    /// Makes a team with these people and a channel in it; returns the channel's id.
    pub(crate) async fn channel_with(&self, others: &[Self]) -> anyhow::Result<String> {
        let ids: Vec<_> = others.iter().map(|other| other.id.as_str()).collect();
        let team =
            json!({"kind": "SPACE_KIND_TEAM", "name": "proof", "memberIds": ids, "key": "team"});
        let team = self.create("/spaces", &team).await?;
        let space = team
            .pointer("/space/id")
            .and_then(Value::as_str)
            .context("a space")?;
        let channel = json!({"name": "log", "key": "channel"});
        let channel = self
            .create(&format!("/spaces/{space}/channels"), &channel)
            .await?;
        Ok(channel
            .pointer("/channel/id")
            .and_then(Value::as_str)
            .context("a channel")?
            .to_owned())
    }

    /// Where the live feed is.
    pub(crate) fn live_url(&self) -> String {
        format!("ws://{}/live", self.address.get())
    }
}
