//! REST calls that fill a hall: people, places and what is in them.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "nine callers at one door";

/// Somebody with a session.
#[derive(Debug, Clone)]
pub(crate) struct Signed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) token: String,
    pub(crate) refresh: String,
    pub(crate) session: String,
}

/// What a request names.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) space: String,
    pub(crate) channel: String,
    pub(crate) message: String,
    pub(crate) user: String,
    pub(crate) session: String,
    /// Whose sign-in it is where the request is one.
    pub(crate) login: String,
    pub(crate) refresh: String,
}

/// REST calls that have to work.
pub(crate) struct Door<'w> {
    pub(crate) address: &'w str,
    pub(crate) http: &'w Client,
}

impl Door<'_> {
    /// Makes a call; the answer whatever it is.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self
            .http
            .request(method, format!("http://{}/api/v1{path}", self.address));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok((response.status(), response.json().await?))
    }

    /// Makes a call that has to be answered with 200.
    pub(crate) async fn done(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let (status, answer) = self.call(method.clone(), path, token, body).await?;
        ensure!(
            status == StatusCode::OK,
            "{method} {path}: {status} {answer}"
        );
        Ok(answer)
    }

    pub(crate) async fn register(&self, name: &str) -> anyhow::Result<Signed> {
        let body =
            json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD});
        signed(
            name,
            &self
                .done(Method::POST, "/auth/register", "", Some(&body))
                .await?,
        )
    }

    /// Another session of somebody.
    pub(crate) async fn login(&self, name: &str) -> anyhow::Result<Signed> {
        let body = json!({"username": name, "password": PASSWORD});
        signed(
            name,
            &self
                .done(Method::POST, "/auth/login", "", Some(&body))
                .await?,
        )
    }

    /// Makes a space with a channel and a message in it.
    pub(crate) async fn furnish(&self, owner: &Signed, other: &Signed) -> anyhow::Result<Target> {
        let team = json!({"kind": "SPACE_KIND_TEAM", "name": "a space", "key": unique()});
        let space = self.make(owner, "/spaces", &team, "/space/id").await?;
        let channel = self.channel(owner, &space).await?;
        let message = self.post(owner, &channel).await?;
        Ok(Target {
            space,
            channel,
            message,
            user: other.id.clone(),
            session: owner.session.clone(),
            login: other.name.clone(),
            refresh: String::new(),
        })
    }

    pub(crate) async fn channel(&self, by: &Signed, space: &str) -> anyhow::Result<String> {
        let body = json!({"name": unique(), "key": unique()});
        self.make(
            by,
            &format!("/spaces/{space}/channels"),
            &body,
            "/channel/id",
        )
        .await
    }

    pub(crate) async fn post(&self, by: &Signed, channel: &str) -> anyhow::Result<String> {
        let body = json!({"text": "as it was", "key": unique()});
        self.make(
            by,
            &format!("/channels/{channel}/messages"),
            &body,
            "/message/id",
        )
        .await
    }

    pub(crate) async fn add(
        &self,
        by: &Signed,
        space: &str,
        user: &str,
        role: &str,
    ) -> anyhow::Result<()> {
        let body = json!({"userId": user, "role": format!("SPACE_ROLE_{role}")});
        let path = format!("/spaces/{space}/members");
        self.done(Method::POST, &path, &by.token, Some(&body))
            .await?;
        Ok(())
    }

    pub(crate) async fn make(
        &self,
        by: &Signed,
        path: &str,
        body: &Value,
        id: &str,
    ) -> anyhow::Result<String> {
        let made = self.done(Method::POST, path, &by.token, Some(body)).await?;
        text(&made, id)
    }
}

/// A text that was not there before.
pub(crate) fn unique() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("nr-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn signed(name: &str, answer: &Value) -> anyhow::Result<Signed> {
    let token = text(answer, "/accessToken")?;
    let claims = token.split('.').nth(1).context("a token of three parts")?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    Ok(Signed {
        id: text(answer, "/account/user/id")?,
        name: name.to_owned(),
        refresh: text(answer, "/refreshToken")?,
        session: text(&claims, "/sid")?,
        token,
    })
}

fn text(value: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no {pointer} in {value}"))?
        .to_owned())
}
