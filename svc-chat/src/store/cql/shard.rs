//! Which part of the work a channel and a key belong to. What stands here is stored: it never changes.

use aws_lc_rs::digest;
use guildhall_kernel::{ChannelId, Time, UserId};

/// How many parts the channels that changed in a minute are kept in.
pub(super) const SHARDS: i16 = 8;
/// How many parts the keys of a channel are kept in.
const KEY_SHARDS: u64 = 256;

/// The part of the channels that this one belongs to.
pub(super) fn of_channel(channel: ChannelId) -> i16 {
    let shards = u64::from(SHARDS.unsigned_abs());
    i16::try_from(first_word(&[channel.bytes()]) % shards).unwrap_or_default()
}

/// A key's number; two keys share one so rarely that a look at the message may always follow.
pub(super) fn of_key(author: UserId, key: &str) -> u64 {
    first_word(&[author.bytes(), key.as_bytes()])
}

/// The part of a channel's keys that a key belongs to.
pub(super) fn of_key_number(number: u64) -> i16 {
    i16::try_from(number % KEY_SHARDS).unwrap_or_default()
}

/// The minute of an instant.
pub(super) fn minute_of(time: Time) -> i32 {
    i32::try_from(time.seconds().div_euclid(60)).unwrap_or_default()
}

/// The timestamp of a minute that is written: a later one wins, and none is 0.
pub(super) fn minute_stamp(minute: i32) -> i64 {
    i64::from(minute).saturating_add(1)
}

fn first_word(parts: &[&[u8]]) -> u64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(part);
    }
    let hash = hash.finish();
    let first = hash.as_ref().first_chunk().copied().unwrap_or_default();
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_by_these_numbers_is_found_by_the_next_version_too() {
        let channel = ChannelId::from_bytes([7; 16]);
        let key = of_key(UserId::from_bytes([1; 16]), "key");

        assert_eq!(of_channel(channel), 2);
        assert_eq!((key, of_key_number(key)), (17_362_848_783_449_434_336, 224));
        assert_eq!(minute_of(Time::from_micros(-1)), -1);
        assert_eq!(minute_of(Time::from_micros(119_999_999)), 1);
    }
}
