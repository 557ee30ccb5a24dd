//! What a reader wants to hear, and what of it they get. No I/O.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use guildhall_kernel::{ChannelId, SpaceId, UserId};
use guildhall_proto::live::v1 as pb;

use super::chat::Opened;

/// A wish that stands until it is replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Everything of the reader's.
    everything: bool,
    /// The channels of these spaces, later ones too.
    spaces: Vec<SpaceId>,
    /// These channels.
    pub(crate) channels: Vec<ChannelId>,
    /// Channels whose typing is to be told.
    pub(crate) typing: Vec<ChannelId>,
    /// People whose presence is to be told.
    pub(crate) people: Vec<UserId>,
}

/// A wish and where its reader stands.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) wish: Arc<Wish>,
    /// The last change applied, by channel.
    pub(crate) seen: HashMap<ChannelId, u32>,
    /// What the numbers in `seen` were counted in; empty: the present one.
    pub(crate) epoch: String,
}

/// How far back changes are read, in changes.
const REACH: u32 = 1_000;

/// What becomes of a wish.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// The channels of the stream, and where their readers begin; `None`: they go on where they are.
    pub(crate) join: Vec<(Opened, Option<Start>)>,
    /// Channels named in the wish that are not there or not the reader's.
    pub(crate) gone: Vec<ChannelId>,
}

/// Where a reader begins in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// After this change.
    After(u32),
    /// At the head, and the reader is told to load the newest page.
    Reset,
}

impl Wanted {
    /// Reads the wish of `reader`, the rules of which were checked.
    pub(crate) fn of(subscribe: &pb::Subscribe, reader: UserId) -> Self {
        let mut wish = Wish {
            everything: subscribe.space_ids.is_empty() && subscribe.channel_ids.is_empty(),
            spaces: ids(&subscribe.space_ids, SpaceId::parse),
            channels: ids(&subscribe.channel_ids, ChannelId::parse),
            typing: ids(&subscribe.typing_channel_ids, ChannelId::parse),
            people: ids(&subscribe.presence_user_ids, |text| {
                UserId::named(text, reader)
            }),
        };
        wish.tidy();
        let seen = subscribe
            .seen
            .iter()
            .filter_map(|(channel, rev)| Some((ChannelId::parse(channel).ok()?, *rev)));
        Self {
            wish: Arc::new(wish),
            seen: seen.collect(),
            epoch: subscribe.epoch.clone(),
        }
    }

    /// The same wish once more, from where its reader stands.
    pub(crate) fn again(wish: Arc<Wish>) -> Self {
        Self {
            wish,
            ..Self::default()
        }
    }

    /// Where a reader begins in a channel; `None`: from now on.
    fn start(&self, opened: &Opened) -> Option<Start> {
        let seen = *self.seen.get(&opened.channel)?;
        let same_epoch = self.epoch.is_empty() || self.epoch == opened.head.epoch;
        let reachable = seen <= opened.head.rev && opened.head.rev - seen <= REACH;
        Some(if same_epoch && reachable {
            Start::After(seen)
        } else {
            Start::Reset
        })
    }

    /// What of the wish the reader gets: `mine` are their spaces, `opened` the channels that chat knows, `now` the channels that
    /// they read already.
    pub(crate) fn plan(
        &self,
        mine: &HashSet<SpaceId>,
        opened: Vec<Opened>,
        now: &HashSet<ChannelId>,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut known = HashSet::new();
        for opened in opened {
            let wanted = self.wish.covers(opened.space)
                || self.wish.channels.binary_search(&opened.channel).is_ok();
            if !wanted || !mine.contains(&opened.space) || !known.insert(opened.channel) {
                continue;
            }
            let start = match self.start(&opened) {
                None if now.contains(&opened.channel) => None,
                None => Some(Start::After(opened.head.rev)),
                given => given,
            };
            plan.join.push((opened, start));
        }
        let named = self.wish.channels.iter().copied();
        plan.gone = named.filter(|channel| !known.contains(channel)).collect();
        plan
    }
}

impl Wish {
    /// Whether all channels of a space are wanted, later ones too.
    pub(crate) fn covers(&self, space: SpaceId) -> bool {
        self.everything || self.spaces.binary_search(&space).is_ok()
    }

    /// Whether nothing at all is wanted: the reader has not subscribed yet.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.everything && self.spaces.is_empty() && self.channels.is_empty()
    }

    /// Those of the reader's spaces that are wanted whole.
    pub(crate) fn spaces(&self, mine: &HashSet<SpaceId>) -> Vec<SpaceId> {
        let mut spaces: Vec<_> = mine
            .iter()
            .copied()
            .filter(|space| self.covers(*space))
            .collect();
        spaces.sort_unstable();
        spaces
    }

    /// Sorted and each once, to be searched.
    fn tidy(&mut self) {
        tidy(&mut self.spaces);
        tidy(&mut self.channels);
        tidy(&mut self.typing);
        tidy(&mut self.people);
    }
}

fn tidy<T: Ord>(ids: &mut Vec<T>) {
    ids.sort_unstable();
    ids.dedup();
    ids.shrink_to_fit();
}

fn ids<T, E>(texts: &[String], parse: impl Fn(&str) -> Result<T, E>) -> Vec<T> {
    texts.iter().filter_map(|text| parse(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use guildhall_proto::chat::v1::{Channel, Head};

    use super::*;

    fn space(n: u8) -> SpaceId {
        SpaceId::from_bytes([n; 16])
    }

    fn channel(n: u8) -> ChannelId {
        ChannelId::from_bytes([n; 16])
    }

    /// Channel `n` of space `n / 10`.
    fn opened(n: u8, rev: u32) -> Opened {
        Opened {
            channel: channel(n),
            space: space(n / 10),
            head: Head {
                seq: rev,
                rev,
                epoch: "e1".into(),
            },
            read_seq: 0,
            updated_at: None,
            info: Channel::default(),
        }
    }

    fn wanted(spaces: &[u8], channels: &[u8]) -> Wanted {
        let wish = pb::Subscribe {
            space_ids: spaces.iter().map(|n| space(*n).to_string()).collect(),
            channel_ids: channels.iter().map(|n| channel(*n).to_string()).collect(),
            ..Default::default()
        };
        Wanted::of(&wish, UserId::from_bytes([1; 16]))
    }

    #[test]
    fn a_wish_gets_what_is_wanted_and_readable() {
        let all = || vec![opened(10, 5), opened(11, 0), opened(20, 7), opened(30, 9)];
        let mine = HashSet::from([space(1), space(2)]);
        for (spaces, channels, joined, gone) in [
            (&[][..], &[][..], &[10, 11, 20][..], &[][..]),
            (&[1], &[], &[10, 11], &[]),
            (&[3], &[], &[], &[]),
            (&[], &[20], &[20], &[]),
            (&[], &[30, 99], &[], &[30, 99]),
            (&[1], &[10, 20, 30], &[10, 11, 20], &[30]),
        ] {
            let plan = wanted(spaces, channels).plan(&mine, all(), &HashSet::new());

            let got: Vec<_> = plan.join.iter().map(|(opened, _)| opened.channel).collect();
            assert_eq!(
                got,
                joined.iter().map(|n| channel(*n)).collect::<Vec<_>>(),
                "{spaces:?} {channels:?}"
            );
            assert_eq!(
                plan.gone,
                gone.iter().map(|n| channel(*n)).collect::<Vec<_>>(),
                "{spaces:?} {channels:?}"
            );
        }
    }

    #[test]
    fn a_reader_begins_where_it_says_while_that_can_be_reached() {
        for (seen, epoch, head, start) in [
            (Some(3), "e1", 5, Some(Start::After(3))),
            (Some(3), "", 5, Some(Start::After(3))),
            (Some(5), "e1", 5, Some(Start::After(5))),
            (Some(0), "e1", 1_000, Some(Start::After(0))),
            (Some(0), "e1", 1_001, Some(Start::Reset)),
            (Some(6), "e1", 5, Some(Start::Reset)),
            (Some(3), "e0", 5, Some(Start::Reset)),
            (None, "e0", 5, Some(Start::After(5))),
        ] {
            let mut wanted = wanted(&[], &[]);
            wanted.seen = seen.map(|rev| (channel(10), rev)).into_iter().collect();
            wanted.epoch = epoch.into();

            let mine = HashSet::from([space(1)]);
            let plan = wanted.plan(&mine, vec![opened(10, head)], &HashSet::new());

            assert_eq!(plan.join[0].1, start, "{seen:?} {epoch} {head}");
        }
    }

    #[test]
    fn a_channel_that_is_read_already_goes_on_unless_the_reader_says_where() {
        let mine = HashSet::from([space(1)]);
        let now = HashSet::from([channel(10), channel(11)]);
        let mut wanted = wanted(&[], &[]);
        wanted.seen = HashMap::from([(channel(11), 2)]);

        let plan = wanted.plan(&mine, vec![opened(10, 5), opened(11, 5)], &now);

        let starts: Vec<_> = plan.join.iter().map(|(_, start)| *start).collect();
        assert_eq!(starts, [None, Some(Start::After(2))]);
    }
}
