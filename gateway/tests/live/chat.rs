//! A chat that keeps its logs in memory and tells on the bus what it stored, as long as the test lets it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use guildhall_kernel::{ChannelId, EventId, Kind, SpaceId, Time, UserId};
use guildhall_mesh::{Bus as _, LocalBus, Note, Reason, status::refusal};
use guildhall_proto::chat::v1::{
    self as pb, Channel, ChannelHead, Head, Message, feed_service_server::FeedService,
};
use prost::Name;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

pub(crate) struct Chat {
    bus: LocalBus,
    channels: Mutex<BTreeMap<ChannelId, Log>>,
    epoch: std::sync::Mutex<String>,
    /// Nothing is told on the bus: events get lost.
    pub(crate) mute: AtomicBool,
    /// Nothing is answered.
    pub(crate) away: AtomicBool,
    pub(crate) asked: AtomicU64,
}

#[derive(Clone)]
struct Log {
    info: Channel,
    space: SpaceId,
    rev: u32,
    messages: Vec<Message>,
}

impl Chat {
    pub(crate) fn new(bus: LocalBus) -> Arc<Self> {
        Arc::new(Self {
            bus,
            channels: Mutex::default(),
            epoch: std::sync::Mutex::new("e1".into()),
            mute: AtomicBool::new(false),
            away: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        })
    }

    /// Makes a channel and tells it.
    pub(crate) async fn open(&self, channel: ChannelId, space: SpaceId) {
        let info = Channel {
            id: channel.to_string(),
            space_id: space.to_string(),
            name: "general".into(),
            ..Channel::default()
        };
        let log = Log {
            info: info.clone(),
            space,
            rev: 0,
            messages: Vec::new(),
        };
        self.channels.lock().await.insert(channel, log);
        self.tell(
            space,
            &pb::ChannelCreated {
                channel: Some(info),
            },
        )
        .await;
    }

    pub(crate) async fn close(&self, channel: ChannelId) {
        let Some(log) = self.channels.lock().await.remove(&channel) else {
            return;
        };
        self.tell(
            log.space,
            &pb::ChannelDeleted {
                channel: Some(log.info),
            },
        )
        .await;
    }

    /// Stores a message and then tells it. Returns its rev.
    pub(crate) async fn post(&self, channel: ChannelId, text: &str) -> u32 {
        let mut channels = self.channels.lock().await;
        let log = channels.get_mut(&channel).expect("the channel is there");
        log.rev += 1;
        let message = Message {
            id: format!("{channel}-{}", log.messages.len() + 1),
            channel_id: channel.to_string(),
            seq: u32::try_from(log.messages.len()).expect("few") + 1,
            rev: log.rev,
            text: text.into(),
            ..Message::default()
        };
        log.messages.push(message.clone());
        // Told under the lock, in the order of revs.
        self.tell(
            channel,
            &pb::MessagePosted {
                message: Some(message),
            },
        )
        .await;
        log.rev
    }

    /// Edits a message and tells it.
    pub(crate) async fn edit(&self, channel: ChannelId, seq: u32, text: &str) -> u32 {
        let mut channels = self.channels.lock().await;
        let log = channels.get_mut(&channel).expect("the channel is there");
        log.rev += 1;
        let rev = log.rev;
        let message = log
            .messages
            .get_mut(seq as usize - 1)
            .expect("the message is there");
        message.rev = rev;
        message.text = text.into();
        let edited = message.clone();
        self.tell(
            channel,
            &pb::MessageEdited {
                message: Some(edited),
            },
        )
        .await;
        rev
    }

    /// Somebody reads on.
    pub(crate) async fn read(&self, channel: ChannelId, user: UserId, to_seq: u32) {
        let moved = pb::ReadMoved {
            channel_id: channel.to_string(),
            user_id: user.to_string(),
            from_seq: 0,
            to_seq,
        };
        self.tell(channel, &moved).await;
    }

    /// What is stored: (seq, rev, text).
    pub(crate) async fn stored(&self, channel: ChannelId) -> Vec<(u32, u32, String)> {
        let channels = self.channels.lock().await;
        let messages = &channels[&channel].messages;
        messages
            .iter()
            .map(|m| (m.seq, m.rev, m.text.clone()))
            .collect()
    }

    /// The store counts under another name from now on.
    pub(crate) fn restore(&self, epoch: &str) {
        *self.epoch.lock().expect("whole") = epoch.into();
    }

    pub(crate) async fn tell<M: prost::Message + Name>(
        &self,
        scope: impl std::fmt::Display,
        event: &M,
    ) {
        if self.mute.load(Ordering::SeqCst) {
            return;
        }
        let note = Note::of(
            EventId::from_bytes([1; 16]),
            Time::from_micros(0),
            scope,
            event,
        );
        self.bus.send(note).await.expect("the bus is open");
    }

    fn here(&self) -> Result<(), Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            Err(Status::unavailable("away"))
        } else {
            Ok(())
        }
    }

    fn head(&self, log: &Log) -> Head {
        let seq = u32::try_from(log.messages.len()).expect("few");
        Head {
            seq,
            rev: log.rev,
            epoch: self.epoch.lock().expect("whole").clone(),
        }
    }
}

/// The service, which tonic wants to own.
pub(crate) struct Feed(pub(crate) Arc<Chat>);

#[tonic::async_trait]
impl FeedService for Feed {
    async fn list_heads(
        &self,
        request: Request<pb::ListHeadsRequest>,
    ) -> Result<Response<pb::ListHeadsResponse>, Status> {
        self.0.here()?;
        let request = request.into_inner();
        let channels = self.0.channels.lock().await;
        let wanted = channels.iter().filter(|(id, log)| {
            request.space_ids.contains(&log.space.to_string())
                || request.channel_ids.contains(&id.to_string())
        });
        let heads = wanted.map(|(_, log)| ChannelHead {
            channel: Some(log.info.clone()),
            head: Some(self.0.head(log)),
            ..ChannelHead::default()
        });
        Ok(Response::new(pb::ListHeadsResponse {
            heads: heads.collect(),
        }))
    }

    async fn read_changes(
        &self,
        request: Request<pb::ReadChangesRequest>,
    ) -> Result<Response<pb::ReadChangesResponse>, Status> {
        self.0.here()?;
        let request = request.into_inner();
        let channel = ChannelId::parse(&request.channel_id).expect("an id");
        let channels = self.0.channels.lock().await;
        let log = channels
            .get(&channel)
            .ok_or_else(|| Status::not_found("no such channel"))?;
        let head = self.0.head(log);
        let far = log.rev.saturating_sub(request.after_rev) > 1_000 || request.after_rev > log.rev;
        if far || !(request.epoch.is_empty() || request.epoch == head.epoch) {
            return Err(refusal(
                Kind::State,
                Reason::TooFarBack,
                "too far back",
                &[],
                None,
            ));
        }
        let mut messages: Vec<_> = log
            .messages
            .iter()
            .filter(|m| m.rev > request.after_rev)
            .cloned()
            .collect();
        messages.sort_by_key(|message| message.rev);
        let through = match messages.get(request.limit as usize - 1) {
            Some(last) => last.rev,
            None => log.rev,
        };
        messages.truncate(request.limit as usize);
        Ok(Response::new(pb::ReadChangesResponse {
            messages,
            through_rev: through,
            head: Some(head),
        }))
    }
}
