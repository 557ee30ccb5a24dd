//! A service that does what the text of a message tells it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{Stream, StreamExt as _};
use guildhall_kernel::{FieldFault, Kind, SpaceId};
use guildhall_mesh::{Caller, Reason, guard::Places, status::refusal};
use guildhall_proto::{
    chat::v1::{
        self as chat, feed_service_server::FeedService, message_service_server::MessageService,
    },
    live::v1::{self as live, live_service_server::LiveService},
    options::v1::Place,
};
use tonic::{Request, Response, Status, Streaming};

/// Answers with its name. "sleep 500" takes 500 ms; "busy", "away" and "refuse" are refused; "left" tells how many milliseconds are
/// left.
#[derive(Clone)]
pub(crate) struct Echo {
    pub(crate) name: String,
    pub(crate) asked: Arc<AtomicUsize>,
    /// How many calls were given up by their caller.
    pub(crate) dropped: Arc<AtomicUsize>,
    /// Whether it watches nothing now.
    pub(crate) is_busy: Arc<AtomicBool>,
}

impl Echo {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            asked: Arc::default(),
            dropped: Arc::default(),
            is_busy: Arc::default(),
        }
    }
}

/// What a refusal says here.
pub(crate) fn refused() -> Status {
    let faults = [
        FieldFault::new("text", "ümlauts are refused"),
        FieldFault::new("key", "so is the key"),
    ];
    refusal(
        Kind::Invalid,
        Reason::BadField,
        "no, 100 % \"not\" possible",
        &faults,
        Some(Duration::from_secs(7)),
    )
}

/// A refusal of 40 KiB.
pub(crate) fn refused_for_much() -> Status {
    let faults = (0..400).map(|n| FieldFault::new(format!("users[{n}]"), "x".repeat(60)));
    let faults: Vec<_> = faults.collect();
    refusal(Kind::Invalid, Reason::BadField, "no", &faults, None)
}

pub(crate) fn busy() -> Status {
    let again = Some(Duration::from_millis(100));
    refusal(Kind::Unavailable, Reason::Busy, "busy", &[], again)
}

#[expect(
    clippy::disallowed_methods,
    reason = "deadlines are timers, kept by the runtime's clock"
)]
fn left(caller: &Caller) -> Duration {
    let now = tokio::time::Instant::now();
    caller.call.deadline.saturating_duration_since(now)
}

struct GivenUp(Option<Arc<AtomicUsize>>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(count) = self.0.take() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl MessageService for Echo {
    async fn post_message(
        &self,
        request: Request<chat::PostMessageRequest>,
    ) -> Result<Response<chat::PostMessageResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let mut text = self.name.clone();
        match asked.text.split_once(' ').unwrap_or((&asked.text, "")) {
            ("sleep", millis) => {
                let mut given_up = GivenUp(Some(self.dropped.clone()));
                let millis = millis.parse().expect("a number");
                tokio::time::sleep(Duration::from_millis(millis)).await;
                given_up.0 = None;
            }
            ("busy", name) if name.is_empty() || name == self.name => return Err(busy()),
            ("away", _) => return Err(Status::unavailable("away")),
            ("refuse", "much") => return Err(refused_for_much()),
            ("refuse", _) => return Err(refused()),
            ("left", _) => {
                text = left(&caller).as_millis().to_string();
            }
            _ => {}
        }
        let message = chat::Message {
            author_id: caller.user.to_string(),
            key: caller.call.correlation.to_string(),
            text,
            ..chat::Message::default()
        };
        Ok(Response::new(chat::PostMessageResponse {
            message: Some(message),
        }))
    }

    async fn list_messages(
        &self,
        _: Request<chat::ListMessagesRequest>,
    ) -> Result<Response<chat::ListMessagesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_changes(
        &self,
        _: Request<chat::ListChangesRequest>,
    ) -> Result<Response<chat::ListChangesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_message(
        &self,
        _: Request<chat::GetMessageRequest>,
    ) -> Result<Response<chat::GetMessageResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn edit_message(
        &self,
        _: Request<chat::EditMessageRequest>,
    ) -> Result<Response<chat::EditMessageResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn delete_message(
        &self,
        _: Request<chat::DeleteMessageRequest>,
    ) -> Result<Response<chat::DeleteMessageResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// For the gateway only, by its certificate.
#[async_trait]
impl FeedService for Echo {
    async fn list_heads(
        &self,
        _: Request<chat::ListHeadsRequest>,
    ) -> Result<Response<chat::ListHeadsResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let head = chat::ChannelHead::default();
        Ok(Response::new(chat::ListHeadsResponse { heads: vec![head] }))
    }

    async fn read_changes(
        &self,
        _: Request<chat::ReadChangesRequest>,
    ) -> Result<Response<chat::ReadChangesResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl LiveService for Echo {
    type OpenStream = Frames<live::OpenResponse>;
    type WatchStream = Frames<live::WatchResponse>;

    async fn open(
        &self,
        _: Request<Streaming<live::OpenRequest>>,
    ) -> Result<Response<Self::OpenStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    /// Three frames, 300 ms apart, then a refusal. Is not retry-safe.
    async fn watch(
        &self,
        _: Request<live::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_busy.load(Ordering::SeqCst) {
            return Err(busy());
        }
        let frames = futures::stream::iter(0..4).then(|n| async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            if n == 3 {
                return Err(refused());
            }
            Ok(live::WatchResponse::default())
        });
        Ok(Response::new(Box::pin(frames)))
    }

    async fn send_typing(
        &self,
        _: Request<live::SendTypingRequest>,
    ) -> Result<Response<live::SendTypingResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_presence(
        &self,
        _: Request<live::GetPresenceRequest>,
    ) -> Result<Response<live::GetPresenceResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// Everything stands in one space.
pub(crate) struct OneSpace(pub(crate) SpaceId);

#[async_trait]
impl Places for OneSpace {
    async fn space_of(&self, _: Place, _: &str) -> Result<Option<SpaceId>, Status> {
        Ok(Some(self.0))
    }
}
