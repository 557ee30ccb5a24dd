//! What happens to spaces, channels and people. Rare, so each kind of event is heard for the whole hall; what happens inside a channel
//! is its topic's.

use std::{collections::HashSet, sync::Arc, time::Duration};

use guildhall_kernel::{ChannelId, SpaceId, UserId};
use guildhall_mesh::{Heard, Note, bus::subject};
use guildhall_proto::{auth::v1 as auth, chat::v1 as chat, live::v1::server_frame::Body};
use tracing::warn;

use super::{frame::Frame, hub::Hub};

/// How many events of one kind wait for us on the bus.
const WAITING: usize = 1_024;
/// How long to wait before the bus is asked again.
const PAUSE: Duration = Duration::from_secs(1);

impl Hub {
    /// Begins to hear each kind of event.
    pub(crate) fn hear_events(self: &Arc<Self>) {
        let patterns = [
            subject::<auth::SpaceChanged>("*"),
            subject::<auth::UserChanged>("*"),
            subject::<chat::ChannelCreated>("*"),
            subject::<chat::ChannelUpdated>("*"),
            subject::<chat::ChannelDeleted>("*"),
        ];
        for pattern in patterns {
            let hub = self.clone();
            self.tasks.spawn("live events", async move {
                while !hub.tasks.is_stopping() {
                    hub.hear(&pattern).await;
                    hub.rest(PAUSE).await;
                }
            });
        }
    }

    async fn hear(&self, pattern: &str) {
        let mut listener = match self.bus.listen(pattern, WAITING).await {
            Ok(listener) => listener,
            Err(error) => return warn!(%error, pattern, "the bus cannot be heard"),
        };
        loop {
            let heard = tokio::select! {
                () = self.tasks.stopping() => return,
                heard = listener.next() => heard,
            };
            match heard {
                Some(Heard::Note(note)) => self.happened(&note).await,
                Some(Heard::Lagged) => self.anything_changed(),
                None => return,
            }
        }
    }

    async fn happened(&self, note: &Note) {
        if let Some(Ok(event)) = note.read::<chat::ChannelCreated>() {
            self.channel_made(event.channel, true);
        } else if let Some(Ok(event)) = note.read::<chat::ChannelUpdated>() {
            self.channel_made(event.channel, false);
        } else if let Some(Ok(event)) = note.read::<chat::ChannelDeleted>() {
            if let Some(channel) = event
                .channel
                .and_then(|gone| ChannelId::parse(&gone.id).ok())
            {
                self.end_channel(channel);
            }
        } else if let Some(Ok(event)) = note.read::<auth::SpaceChanged>() {
            self.space_changed(event.space);
        } else if let Some(Ok(event)) = note.read::<auth::UserChanged>() {
            self.user_changed(event.user).await;
        } else {
            warn!(subject = %note.subject, "an event cannot be read");
        }
    }

    fn channel_made(&self, made: Option<chat::Channel>, new: bool) {
        let Some(made) = made else { return };
        let ids = (ChannelId::parse(&made.id), SpaceId::parse(&made.space_id));
        let (Ok(channel), Ok(space)) = ids else {
            return;
        };
        let mut readers = self.hearers(space);
        readers
            .retain(|reader| reader.look(|desk| desk.wish().covers(space) || desk.reads(channel)));
        self.tell_all(&readers, &Frame::about(channel, Body::Channel(made)));
        if new {
            for reader in readers {
                reader.at_desk(|desk| desk.todo.open(channel));
            }
        }
    }

    fn space_changed(&self, changed: Option<auth::Space>) {
        let Some(changed) = changed else { return };
        let Ok(space) = SpaceId::parse(&changed.id) else {
            return;
        };
        self.tell_all(&self.hearers(space), &Frame::general(Body::Space(changed)));
    }

    /// Told to everybody who shares a space with the person, and to the person.
    async fn user_changed(&self, changed: Option<auth::User>) {
        let Some(changed) = changed else { return };
        let Ok(user) = UserId::parse(&changed.id) else {
            return;
        };
        let mut readers = self.streams_of(user);
        // Where auth does not answer the name stays old until the app is opened again.
        if let Ok(spaces) = self.circles.of(user).await {
            let mut known: HashSet<u64> = readers.iter().map(|reader| reader.number).collect();
            for space in spaces.iter() {
                let others = self.hearers(*space);
                readers.extend(
                    others
                        .into_iter()
                        .filter(|reader| known.insert(reader.number)),
                );
            }
        }
        self.tell_all(&readers, &Frame::general(Body::User(changed)));
    }
}
