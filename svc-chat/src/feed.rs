//! Many channels at once, each with how far it has come.

use std::{collections::HashSet, sync::Arc};

use guildhall_kernel::{ChannelId, Listed, Page, SpaceId, Time, UserId};
use guildhall_mesh::{Caller, access::Access};

use crate::{
    answer,
    arrivals::Arrivals,
    error::ChatError,
    model::{Channel, ChannelKind, ChannelState, Epoch, Head, Mark, Seq},
    store::{ChannelStore, Newest, Timeline},
};

/// Looks at many channels.
pub struct Feed {
    /// The channels.
    pub store: Arc<ChannelStore>,
    /// Their logs.
    pub timeline: Arc<dyn Timeline>,
    /// Who is where.
    pub access: Access,
    /// How far people have read.
    pub arrivals: Arc<Arrivals>,
}

/// A channel and how far it has come, for the live feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelHead {
    /// The channel.
    pub channel: Channel,
    /// How far it has come.
    pub head: Head,
    /// How far the reader has read; 0 where none was asked for.
    pub read: Seq,
    /// When the newest message was posted.
    pub updated_at: Option<Time>,
}

impl Feed {
    /// Names the numbers of all heads given out here.
    pub fn epoch(&self) -> &Epoch {
        self.timeline.epoch()
    }

    /// A page of the channels of all the caller's spaces, of some kinds (none: all), the ones with the newest messages first. A page
    /// of long messages is shorter.
    #[tracing::instrument(name = "chat.list_channels", skip_all)]
    pub async fn mine(
        &self,
        caller: &Caller,
        kinds: &[ChannelKind],
        mut page: Page,
    ) -> Result<Listed<ChannelState>, ChatError> {
        let after = page
            .after_array()
            .map_err(|wrong| ChatError::field("page_token", wrong))?
            .map(Activity::from_bytes);
        let seats = self.access.seats(caller.user).await?;
        let spaces: Vec<_> = seats.keys().copied().collect();
        let kinds = if kinds.is_empty() {
            &ChannelKind::ALL
        } else {
            kinds
        };
        let channels = self.store.of_spaces(&spaces, kinds).await?;

        let mut states = self.states(channels).await?;
        states.retain(|state| after.is_none_or(|after| Activity::of(state) < after));
        states.sort_by_key(|state| std::cmp::Reverse(Activity::of(state)));
        states.truncate(page.size + 1);
        let weights = states
            .iter()
            .map(|state| state.newest.as_ref().map_or(0, answer::weight));
        page.size = page.size.min(answer::fitting(weights));
        let mut listed = page.cut(states, |state| Activity::of(state).bytes().to_vec());

        let channels = listed.items.iter().map(|state| &state.channel);
        let marks = self.arrivals.marks(caller.user, channels).await?;
        for (state, read) in listed.items.iter_mut().zip(marks) {
            state.read = read;
        }
        Ok(listed)
    }

    /// The living channels of some spaces and some channels by id, each once, with the marks of one reader where one is given.
    pub async fn heads(
        &self,
        reader: Option<UserId>,
        spaces: &[SpaceId],
        ids: &[ChannelId],
    ) -> Result<Vec<ChannelHead>, ChatError> {
        let mut channels = self.store.of_spaces(spaces, &ChannelKind::ALL).await?;
        let mut seen: HashSet<_> = channels.iter().map(|channel| channel.id).collect();
        for id in ids {
            if seen.insert(*id)
                && let Some(channel) = self.store.channel(*id).await?
                && channel.deleted_at.is_none()
            {
                channels.push((*channel).clone());
            }
        }

        let ids: Vec<_> = channels.iter().map(|channel| channel.id).collect();
        // The marks first: a mark is never above its head then.
        let marks = match reader {
            Some(reader) => self.arrivals.marks(reader, &channels).await?,
            None => vec![Mark::default(); ids.len()],
        };
        let newest = self.timeline.heads(&ids).await?;
        let each = channels.into_iter().zip(newest).zip(marks);
        let head = |((channel, newest), mark): ((_, Newest), Mark)| ChannelHead {
            channel,
            head: newest.head,
            read: mark.seq,
            updated_at: newest.message.map(|message| message.posted_at),
        };
        Ok(each.map(head).collect())
    }

    async fn states(&self, channels: Vec<Channel>) -> Result<Vec<ChannelState>, ChatError> {
        let ids: Vec<_> = channels.iter().map(|channel| channel.id).collect();
        let newest = self.timeline.heads(&ids).await?;
        let state = |(channel, Newest { head, message })| ChannelState {
            channel,
            head,
            read: Mark::default(),
            newest: message,
        };
        Ok(channels.into_iter().zip(newest).map(state).collect())
    }
}

/// The place of a channel among the caller's: when it was last active, and its id among those of the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Activity(Time, ChannelId);

impl Activity {
    fn of(state: &ChannelState) -> Self {
        Self(state.active_at(), state.channel.id)
    }

    fn bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.0.micros().to_be_bytes());
        bytes[8..].copy_from_slice(self.1.bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; 24]) -> Self {
        let (mut at, mut id) = ([0; 8], [0; 16]);
        at.copy_from_slice(&bytes[..8]);
        id.copy_from_slice(&bytes[8..]);
        Self(
            Time::from_micros(i64::from_be_bytes(at)),
            ChannelId::from_bytes(id),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_the_callers_channels_survives_its_token() {
        let place = Activity(Time::from_micros(-5), ChannelId::from_bytes([7; 16]));

        assert_eq!(Activity::from_bytes(place.bytes()), place);
    }
}
