//! How many connections there are, in all and by address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::peer::{Proxies, neighbourhood};

/// The seats of the hall.
pub(super) struct Room {
    most: usize,
    most_each: usize,
    proxies: Proxies,
    // Taken and given back once per connection; never held across an await.
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection finds no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The hall is full.
    All,
    /// This address has its share.
    Address,
}

/// One connection's seat, given back when dropped.
pub(super) struct Seat {
    room: Arc<Room>,
    /// `None` for trusted proxies, which are not counted by address.
    address: Option<IpAddr>,
}

impl Room {
    pub(super) fn new(most: usize, most_each: usize, proxies: Proxies) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self {
            most,
            most_each,
            proxies,
            taken,
        })
    }

    /// Takes a seat for a connection from an address.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Result<Seat, Full> {
        let address = (!self.proxies.trust(from)).then(|| neighbourhood(from));
        let mut taken = self.taken();
        if taken.all >= self.most {
            return Err(Full::All);
        }
        if let Some(address) = address {
            let here = taken.by_address.entry(address).or_default();
            if *here >= self.most_each {
                return Err(Full::Address);
            }
            *here += 1;
        }
        taken.all += 1;
        drop(taken);
        Ok(Seat {
            room: self.clone(),
            address,
        })
    }

    /// How many seats are taken.
    pub(super) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all -= 1;
        if let Some(address) = self.address
            && let Some(here) = taken.by_address.get_mut(&address)
        {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_has_its_share_and_gets_it_back() {
        let room = Room::new(10, 2, Proxies::default());
        let first = room.enter(address("192.0.2.1"));
        let _second = room.enter(address("192.0.2.1"));

        assert_eq!(room.enter(address("192.0.2.1")).err(), Some(Full::Address));
        assert!(room.enter(address("192.0.2.2")).is_ok());

        drop(first);
        assert!(room.enter(address("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_home_of_ipv6_addresses_counts_as_one() {
        let room = Room::new(10, 1, Proxies::default());
        let _one = room.enter(address("2001:db8:0:1::1"));

        assert_eq!(
            room.enter(address("2001:db8:0:1::2")).err(),
            Some(Full::Address)
        );
        assert!(room.enter(address("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn the_whole_is_bounded_and_proxies_are_not_counted_by_address() {
        let proxies = Proxies::parse(&["192.0.2.0/24".into()]).expect("a network");
        let room = Room::new(2, 1, proxies);
        let _seats = [
            room.enter(address("192.0.2.1")),
            room.enter(address("192.0.2.1")),
        ];

        assert_eq!(room.count(), 2);
        assert_eq!(room.enter(address("198.51.100.1")).err(), Some(Full::All));
        assert_eq!(room.taken().by_address.len(), 0);
    }
}
