//! Callers that know three outcomes: done, refused, and unknown.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use reqwest::{Client, ClientBuilder, Method, StatusCode};
use serde_json::{Value, json};

use crate::doors::Doors;

const PASSWORD: &str = "four proofs in a quiet row";

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// How long a retry-safe call is repeated until it is known what became of it.
const PATIENCE: Duration = Duration::from_mins(3);

/// A signed-in person who finds the hall again when it moves, and goes to another gateway when theirs is away.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    doors: Doors,
    // Which gateway: shared by the clones, which are the same client.
    place: Arc<AtomicUsize>,
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
    Unknown(Why),
}

/// Why an outcome is unknown.
#[derive(Debug)]
pub(crate) enum Why {
    /// The connection was refused or broke: a load balancer would ask the next gateway.
    Broken(String),
    /// An answer that tells an error of the server, or none in time.
    Failed(String),
}

impl Person {
    /// Registers somebody. Fails rather than tries again: it is called while nothing is killed.
    pub(crate) async fn register(doors: &Doors, name: &str) -> anyhow::Result<Self> {
        let http = client();
        let body =
            json!({"username": name, "email": format!("{name}@example.org"), "password": PASSWORD});
        let url = format!("http://{}/api/v1/auth/register", doors.get(0));
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
            doors: doors.clone(),
            place: Arc::default(),
            http,
        })
    }

    /// The same person with a client of its own, which begins at a gateway.
    pub(crate) fn at(&self, place: usize) -> Self {
        Self {
            place: Arc::new(place.into()),
            http: client(),
            ..self.clone()
        }
    }

    /// Goes to the next gateway from now on.
    pub(crate) fn move_on(&self) {
        self.place.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes one call, at one gateway.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome {
        let url = format!("http://{}/api/v1{path}", self.door());
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = async {
            let response = request.send().await?;
            Ok((response.status(), response.json::<Value>().await?))
        };
        match answer.await {
            Ok((StatusCode::OK, body)) => Outcome::Done(body),
            Ok((status, body)) if status.is_server_error() => {
                Outcome::Unknown(Why::Failed(format!("{status} {body}")))
            }
            Ok((status, body)) => Outcome::Refused(status, body),
            Err(error) => Outcome::Unknown(broken(&error)),
        }
    }

    /// Makes a retry-safe call as through a load balancer: where a gateway is away, the next one is asked.
    async fn anywhere(&self, method: &Method, path: &str, body: Option<&Value>) -> Outcome {
        for _ in 0..self.doors.count() {
            match self.call(method.clone(), path, body).await {
                Outcome::Unknown(Why::Broken(_)) => self.move_on(),
                known => return known,
            }
        }
        self.call(method.clone(), path, body).await
    }

    /// Repeats a retry-safe call until its outcome is known, for some minutes at most.
    pub(crate) async fn until_known(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match self.anywhere(&method, path, body).await {
                Outcome::Unknown(Why::Broken(why) | Why::Failed(why)) => {
                    let door = self.door();
                    self.doors
                        .failed(format!("{method} {path} at {door}: {why}"));
                    self.move_on();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                // A process whose clock is an hour ahead takes good tokens for expired ones, until it is well again.
                Outcome::Refused(StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED, _) => {
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
        self.channel_for("proof", others).await
    }

    /// The same under a name: each has a team and a channel of its own.
    pub(crate) async fn channel_for(&self, name: &str, others: &[Self]) -> anyhow::Result<String> {
        let ids: Vec<_> = others.iter().map(|other| other.id.as_str()).collect();
        let team = json!({"kind": "SPACE_KIND_TEAM", "name": name, "memberIds": ids, "key": format!("team {name}")});
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
        format!("ws://{}/live", self.door())
    }

    fn door(&self) -> String {
        self.doors.get(self.place.load(Ordering::Relaxed))
    }
}

/// A client with connections of its own.
fn client() -> Client {
    let client = builder().build();
    client.expect("nothing that it needs can be missing")
}

fn builder() -> ClientBuilder {
    // Only the first of many callers gets to choose; all choose the same.
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .timeout(CALL)
        .connect_timeout(Duration::from_secs(2))
}

/// One for what is asked in passing, always on a new connection: one that was kept may be closed just then.
pub(crate) fn passing() -> &'static Client {
    static CLIENT: LazyLock<Client> = LazyLock::new(|| {
        let client = builder().pool_max_idle_per_host(0).build();
        client.expect("nothing that it needs can be missing")
    });
    &CLIENT
}

fn broken(error: &reqwest::Error) -> Why {
    // The cause tells more than the error, which only says that there was one.
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let told = cause.unwrap_or_else(|| error.to_string());
    if error.is_timeout() && !error.is_connect() {
        Why::Failed(format!("no answer in {} s", CALL.as_secs()))
    } else {
        Why::Broken(told)
    }
}
