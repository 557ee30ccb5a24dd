//! Who is there and who types: best effort, never stored.

use guildhall_kernel::{ChannelId, UserId};
use guildhall_mesh::status;
use guildhall_proto::live::v1::PresenceState;
use tonic::Status;

use super::{
    desk::Desk,
    frame::Frame,
    hub::{Hub, locked},
    reader::Reader,
    tally::Tally,
};

impl Hub {
    /// A stream says whether its person is away.
    pub(crate) fn set_away(&self, reader: &Reader, away: bool) {
        let now = self.clock.uptime();
        let told = locked(&self.people).says(reader.user, reader.number, away, now);
        self.gossip.about(reader.user);
        self.tell_presence(reader.user, told);
    }

    /// Tells how somebody is there now, if that is to be told.
    pub(crate) fn tell_presence(&self, user: UserId, told: Option<PresenceState>) {
        let Some(state) = told else { return };
        if !self.is_open() {
            return;
        }
        let watchers = self.watchers(user);
        if watchers.is_empty() {
            return;
        }
        let frame = Frame::presence(user, state);
        let mut tally = Tally::default();
        for reader in watchers {
            reader.offer(&mut tally, |desk, tally| {
                desk.offer_presence(user, &frame, tally);
            });
        }
        tally.count();
    }

    /// How each of these people is there, as `reader` may see it.
    pub(crate) async fn presence(
        &self,
        reader: UserId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, PresenceState)>, Status> {
        let mut seen = Vec::with_capacity(users.len());
        for user in users {
            let shared = self.circles.share(reader, *user).await.map_err(status)?;
            seen.push((*user, self.state_of(*user, shared)));
        }
        Ok(seen)
    }

    /// Tells the readers of a channel who show its typing. Where nobody reads, nothing happens.
    pub(crate) fn tell_typing(&self, channel: ChannelId, user: UserId) {
        let Some(topic) = self.topic(channel).filter(|_| self.is_open()) else {
            return;
        };
        let frame = Frame::typing(channel, user);
        let tally = topic.tell(|reader: &Reader, desk: &mut Desk, tally: &mut Tally| {
            if reader.user != user {
                desk.offer_typing(channel, &frame, tally);
            }
        });
        tally.count();
    }
}
