//! What gateways tell each other in passing: who is there and who types. Best effort; `others` knows what was missed.

use std::{sync::Mutex, time::Duration};

use bytes::Bytes;
use guildhall_kernel::{ChannelId, Ids, UserId};
use guildhall_mesh::bus::{BusError, Overheard, Whisper};
use prost::Message as _;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, warn};

use super::{
    hub::{Hub, locked},
    others::{Change, Others, Ours, Said},
};

/// What is said of people, asked of gateways, and said of who types.
const SAID: &str = "presence.said";
const ASKED: &str = "presence.asked";
const TYPING: &str = "typing.";
/// How much of each waits for us.
const WAITING: usize = 4_096;
/// How often is looked at the time, and how long to wait before the bus is asked again.
const TICK: Duration = Duration::from_secs(1);

/// What this gateway says to the others.
#[derive(Debug)]
pub(crate) struct Gossip {
    // Held for a moment by who notes a change, and by the one task that says it.
    ours: Mutex<Ours>,
    // Wakes that task.
    bell: Notify,
}

/// Asks a gateway for the whole, or all of them.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Asked {
    #[prost(bytes = "bytes", tag = "1")]
    from: Bytes,
    /// Empty: all of them.
    #[prost(bytes = "bytes", tag = "2")]
    of: Bytes,
}

/// Somebody types.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Types {
    #[prost(bytes = "bytes", tag = "1")]
    from: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    user: Bytes,
}

struct Ears {
    said: Overheard,
    asked: Overheard,
    typing: Overheard,
}

impl Gossip {
    /// Nothing said yet, under a new name.
    pub(crate) fn new(ids: &dyn Ids) -> Self {
        let mut name = [0; 16];
        ids.random(&mut name);
        Self {
            ours: Mutex::new(Ours::new(name)),
            bell: Notify::new(),
        }
    }

    /// Notes that somebody may be there in another way now.
    pub(crate) fn about(&self, user: UserId) {
        locked(&self.ours).changed(user);
        self.bell.notify_one();
    }

    fn name(&self) -> Bytes {
        locked(&self.ours).name().clone()
    }
}

impl Hub {
    /// Tells other gateways that somebody types. Lost where the bus is away.
    pub(crate) async fn whisper_typing(&self, channel: ChannelId, user: UserId) {
        let types = Types {
            from: self.gossip.name(),
            user: Bytes::copy_from_slice(user.bytes()),
        };
        self.whisper(&format!("{TYPING}{channel}"), &types).await;
    }

    /// Says and hears until the tasks stop.
    pub(crate) async fn keep_gossip(self: std::sync::Arc<Self>) {
        let mut others = Others::default();
        while !self.tasks.is_stopping() {
            match self.ears().await {
                Ok(ears) => self.gossip(ears, &mut others).await,
                Err(error) => debug!(%error, "other gateways cannot be heard"),
            }
            self.rest(TICK).await;
        }
    }

    async fn ears(&self) -> Result<Ears, BusError> {
        Ok(Ears {
            said: self.bus.overhear(SAID, WAITING).await?,
            asked: self.bus.overhear(ASKED, WAITING).await?,
            typing: self.bus.overhear(&format!("{TYPING}*"), WAITING).await?,
        })
    }

    async fn gossip(&self, mut ears: Ears, others: &mut Others) {
        self.ask(Bytes::new()).await;
        self.say_whole().await;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.tasks.stopping() => break,
                () = self.gossip.bell.notified() => self.say_news().await,
                said = ears.said.next() => match said {
                    Some(said) => self.hear_said(&said, others).await,
                    None => return,
                },
                asked = ears.asked.next() => match asked {
                    Some(asked) => self.hear_asked(&asked).await,
                    None => return,
                },
                typing = ears.typing.next() => match typing {
                    Some(typing) => self.hear_typing(&typing),
                    None => return,
                },
                _ = ticks.tick() => self.tick_gossip(others).await,
            }
        }
        let farewell = locked(&self.gossip.ours).farewell();
        self.whisper(SAID, &farewell).await;
    }

    async fn say_news(&self) {
        let news = {
            let mut ours = locked(&self.gossip.ours);
            let people = locked(&self.people);
            ours.news(|user| people.here(user))
        };
        for said in news {
            self.whisper(SAID, &said).await;
        }
    }

    async fn say_whole(&self) {
        let whole = locked(&self.gossip.ours).whole();
        for said in whole {
            self.whisper(SAID, &said).await;
        }
    }

    async fn hear_said(&self, whisper: &Whisper, others: &mut Others) {
        let Ok(said) = Said::decode(whisper.words.clone()) else {
            return warn!("what a gateway said cannot be read");
        };
        if said.from == self.gossip.name() {
            return;
        }
        let (changes, ask) = others.hear(&said, self.clock.uptime());
        self.show(changes);
        if ask {
            self.ask(said.from).await;
        }
    }

    async fn hear_asked(&self, whisper: &Whisper) {
        let Ok(asked) = Asked::decode(whisper.words.clone()) else {
            return warn!("what a gateway asked cannot be read");
        };
        let own = self.gossip.name();
        if asked.from != own && (asked.of.is_empty() || asked.of == own) {
            self.say_whole().await;
        }
    }

    fn hear_typing(&self, whisper: &Whisper) {
        let channel = whisper.topic.strip_prefix(TYPING).map(ChannelId::parse);
        let types = Types::decode(whisper.words.clone());
        let (Some(Ok(channel)), Ok(types)) = (channel, types) else {
            return warn!("who types elsewhere cannot be read");
        };
        if types.from == self.gossip.name() {
            return;
        }
        if let Ok(user) = types.user.as_ref().try_into() {
            self.tell_typing(channel, UserId::from_bytes(user));
        }
    }

    async fn tick_gossip(&self, others: &mut Others) {
        let now = self.clock.uptime();
        self.show(others.tick(now));
        let beat = locked(&self.gossip.ours).beat(now);
        if let Some(beat) = beat {
            self.whisper(SAID, &beat).await;
        }
    }

    fn show(&self, changes: Vec<Change>) {
        for (stream, user, here) in changes {
            let told = locked(&self.people).stands(user, stream, here, self.clock.uptime());
            self.tell_presence(user, told);
        }
    }

    async fn ask(&self, of: Bytes) {
        let asked = Asked {
            from: self.gossip.name(),
            of,
        };
        self.whisper(ASKED, &asked).await;
    }

    async fn whisper(&self, topic: &str, words: &impl prost::Message) {
        let words = words.encode_to_vec().into();
        if let Err(error) = self.bus.whisper(topic, words).await {
            debug!(%error, topic, "not said");
        }
    }
}
