//! Where people begin to read who came to a space later than its messages.
//!
//! Auth says when somebody came, and that instant stands for a place in every log of the space only until chat has written the place
//! down. From then on their marks alone count: clocks step, and no message posted later is to be judged by a clock.

use std::sync::Arc;

use guildhall_kernel::{SpaceId, Time, UserId};
use guildhall_mesh::access::Access;
use tokio::sync::Mutex;

use crate::{
    error::ChatError,
    model::{Channel, ChannelKind, Mark},
    store::{ChannelStore, Timeline},
};

/// How many people's arrivals are written down at the same time.
const TURNS: usize = 64;

/// The rules of where newcomers begin.
pub struct Arrivals {
    /// The channels, and which arrivals are written down.
    pub store: Arc<ChannelStore>,
    /// Where the marks are.
    pub timeline: Arc<dyn Timeline>,
    /// Who is where, and since when.
    pub access: Access,
    /// One call at a time writes down an arrival: many at once stand in each other's way.
    pub turns: Turns,
}

/// Whose arrivals are being written down. People share a turn with a few others.
pub struct Turns([Mutex<()>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self([const { Mutex::const_new(()) }; TURNS])
    }
}

impl Turns {
    fn of(&self, user: UserId) -> &Mutex<()> {
        &self.0[usize::from(user.bytes()[15]) % TURNS]
    }
}

impl Arrivals {
    /// Writes down where somebody begins who came to a space at an instant: at the newest message there was then, in every channel.
    /// Marks only move up, so what a person read before they went away stays read. The same arrival again changes nothing.
    pub async fn place(&self, space: SpaceId, user: UserId, at: Time) -> Result<(), ChatError> {
        if self.store.has_arrived(user, space, at).await? {
            return Ok(());
        }
        let _turn = self.turns.of(user).lock().await;
        if self.store.has_arrived(user, space, at).await? {
            return Ok(());
        }
        for channel in self.store.of_spaces(&[space], &ChannelKind::ALL).await? {
            self.timeline.mark_read_until(channel.id, user, at).await?;
        }
        // Last: when it is there, every mark is.
        Ok(self.store.put_arrival(user, space, at).await?)
    }

    /// Has it written down where a user begins in a space, before the user moves a mark there. For nearly everybody it is already.
    pub async fn settle(&self, user: UserId, space: SpaceId) -> Result<(), ChatError> {
        match self.access.seat(user, space).await? {
            Some(seat) => self.place(space, user, seat.since).await,
            None => Ok(()),
        }
    }

    /// How far a user has read in each of these channels, in their order.
    pub async fn marks(
        &self,
        user: UserId,
        channels: impl IntoIterator<Item = &Channel> + Send,
    ) -> Result<Vec<Mark>, ChatError> {
        let channels: Vec<_> = channels
            .into_iter()
            .map(|channel| (channel.id, channel.space))
            .collect();
        let seats = self.access.seats(user).await?;
        let placed = self.store.arrivals(user).await?;
        let unplaced = |space| {
            let since = seats.get(&space)?.since;
            (placed.get(&space) != Some(&since)).then_some(since)
        };
        let asked: Vec<_> = channels
            .into_iter()
            .map(|(channel, space)| (channel, unplaced(space)))
            .collect();
        Ok(self.timeline.marks(user, &asked).await?)
    }
}
