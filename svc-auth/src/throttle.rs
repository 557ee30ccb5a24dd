//! Makes guessing slow: per account, per address and for the whole hall. A growing wait, never a lock, because a lock is a weapon.
//!
//! A device that has signed in to an account before does not wait for what strangers do to that account. All maps are bounded; what
//! falls out is forgotten, which only shortens a wait. Accounts are counted by the name that was given, whether there is one or not.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{SHA256, digest};
use guildhall_kernel::Clock;
use quick_cache::unsync::Cache;

use crate::{AuthError, config::AuthSettings};

/// How many accounts, addresses and devices are remembered, each.
const REMEMBERED: usize = 50_000;
/// After how long without a try everything is forgiven.
const FORGIVEN: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Counts failed tries.
pub(crate) struct Throttle {
    clock: Arc<dyn Clock>,
    account: Limit,
    address: Limit,
    hall_a_minute: u32,
    /// Held for a few look-ups, never across an await.
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy)]
struct Limit {
    free: u32,
    longest: Duration,
}

/// An account and an address, as digests: a name may be long and is nobody's business here.
type Name = [u8; 16];

struct Counts {
    accounts: Cache<Name, Tries>,
    addresses: Cache<Name, Tries>,
    /// Devices that signed in, with what they have failed since.
    known: Cache<Name, u32>,
    minute: Duration,
    this_minute: u32,
}

#[derive(Clone, Copy, Default)]
struct Tries {
    count: u32,
    last: Duration,
}

/// One try, counted as failed until it says otherwise.
pub(crate) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Name,
    address: Option<Name>,
    device: Option<Name>,
    /// Whether it counts for the device, not for the account and the hall.
    is_known: bool,
}

impl Throttle {
    pub(crate) fn new(settings: &AuthSettings, clock: Arc<dyn Clock>) -> Self {
        let limit = |free, seconds| Limit {
            free,
            longest: Duration::from_secs(seconds),
        };
        let counts = Counts {
            accounts: Cache::new(REMEMBERED),
            addresses: Cache::new(REMEMBERED),
            known: Cache::new(REMEMBERED),
            minute: Duration::ZERO,
            this_minute: 0,
        };
        Self {
            clock,
            account: limit(
                settings.account_free_tries,
                settings.account_longest_wait_seconds,
            ),
            address: limit(
                settings.address_free_tries,
                settings.address_longest_wait_seconds,
            ),
            hall_a_minute: settings.hall_tries_per_minute,
            counts: Mutex::new(counts),
        }
    }

    /// Counts a try at an account by an address, where that is known.
    pub(crate) fn begin(
        &self,
        account: &str,
        address: Option<IpAddr>,
    ) -> Result<Attempt<'_>, AuthError> {
        let now = self.clock.uptime();
        let account = name(&[account.as_bytes()]);
        let address = address.map(|address| name(&[&network(address)]));
        let device = address.map(|address| name(&[&account, &address]));
        let mut counts = self.counts();
        let is_known = device
            .and_then(|device| counts.known.get(&device).copied())
            .is_some_and(|failed| failed < self.account.free);

        let mut wait = Duration::ZERO;
        if let Some(address) = address {
            wait = self.address.wait(counts.addresses.get(&address), now);
        }
        if !is_known {
            wait = wait.max(self.account.wait(counts.accounts.get(&account), now));
            wait = wait.max(counts.hall_wait(self.hall_a_minute, now));
        }
        if !wait.is_zero() {
            return Err(AuthError::TooOften(wait));
        }

        if let Some(address) = address {
            count(&mut counts.addresses, address, now);
        }
        if is_known && let Some(device) = device {
            let failed = counts.known.get(&device).copied().unwrap_or(0);
            counts.known.insert(device, failed + 1);
        } else {
            count(&mut counts.accounts, account, now);
            counts.this_minute += 1;
        }
        drop(counts);
        Ok(Attempt {
            throttle: self,
            account,
            address,
            device,
            is_known,
        })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// The password was right: the account is forgiven, and the device known from now on.
    pub(crate) fn succeeded(self) {
        let mut counts = self.throttle.counts();
        counts.accounts.remove(&self.account);
        if let Some(device) = self.device {
            counts.known.insert(device, 0);
        }
        self.forgive_address(&mut counts);
    }

    /// Nothing was found out: the try does not count.
    pub(crate) fn undone(self) {
        let mut counts = self.throttle.counts();
        match self.device.filter(|_| self.is_known) {
            Some(device) => {
                let failed = counts.known.get(&device).copied().unwrap_or(0);
                counts.known.insert(device, failed.saturating_sub(1));
            }
            None => forgive(&mut counts.accounts, self.account),
        }
        self.forgive_address(&mut counts);
    }

    fn forgive_address(&self, counts: &mut Counts) {
        if let Some(address) = self.address {
            forgive(&mut counts.addresses, address);
        }
        if !self.is_known {
            counts.this_minute = counts.this_minute.saturating_sub(1);
        }
    }
}

impl Limit {
    /// How long the next try must wait: nothing at first, then twice as long each time.
    fn wait(self, tries: Option<&Tries>, now: Duration) -> Duration {
        let Some(tries) = tries else {
            return Duration::ZERO;
        };
        let since = now.saturating_sub(tries.last);
        let Some(over) = tries
            .count
            .checked_sub(self.free)
            .filter(|_| since < FORGIVEN)
        else {
            return Duration::ZERO;
        };
        let wait = Duration::from_secs(1 << over.min(20)).min(self.longest);
        wait.saturating_sub(since)
    }
}

impl Counts {
    fn hall_wait(&mut self, most: u32, now: Duration) -> Duration {
        let began = now.saturating_sub(self.minute);
        if began >= MINUTE {
            self.minute = now;
            self.this_minute = 0;
        }
        if self.this_minute < most {
            Duration::ZERO
        } else {
            MINUTE.saturating_sub(began)
        }
    }
}

fn count(of: &mut Cache<Name, Tries>, name: Name, now: Duration) {
    let before = of.get(&name).copied().unwrap_or_default();
    let is_over = now.saturating_sub(before.last) >= FORGIVEN;
    let count = if is_over {
        1
    } else {
        before.count.saturating_add(1)
    };
    of.insert(name, Tries { count, last: now });
}

fn forgive(of: &mut Cache<Name, Tries>, name: Name) {
    if let Some(tries) = of.get(&name).copied() {
        of.insert(
            name,
            Tries {
                count: tries.count.saturating_sub(1),
                ..tries
            },
        );
    }
}

fn name(parts: &[&[u8]]) -> Name {
    let all = parts.concat();
    let mut name = [0; 16];
    name.copy_from_slice(&digest(&SHA256, &all).as_ref()[..16]);
    name
}

/// What one household has of addresses: one of IPv4, a /64 of IPv6.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use guildhall_testkit::StoppedClock;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn throttle() -> (Throttle, StoppedClock) {
        let clock = StoppedClock::new();
        (
            Throttle::new(&AuthSettings::default(), Arc::new(clock.clone())),
            clock,
        )
    }

    fn address(n: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, n])
    }

    fn wait(throttle: &Throttle, account: &str, from: IpAddr) -> u64 {
        match throttle.begin(account, Some(from)) {
            Err(AuthError::TooOften(wait)) => wait.as_secs(),
            _ => 0,
        }
    }

    #[test]
    fn the_wait_for_an_account_grows_but_not_beyond_its_bound() {
        let (throttle, clock) = throttle();
        for n in 0..5 {
            assert_eq!(wait(&throttle, "alice", address(n)), 0);
        }

        let mut waits = Vec::new();
        for n in 10..17 {
            let wait = wait(&throttle, "alice", address(n));
            waits.push(wait);
            clock.pass(Duration::from_secs(wait));
            assert!(throttle.begin("alice", Some(address(n))).is_ok());
        }

        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(
            wait(&throttle, "bob", address(99)),
            0,
            "others are not concerned"
        );
    }

    #[test]
    fn a_known_device_does_not_wait_for_strangers() {
        let (throttle, _clock) = throttle();
        throttle
            .begin("alice", Some(HOME))
            .expect("free")
            .succeeded();

        for n in 0..5 {
            let _ = throttle.begin("alice", Some(address(n)));
        }

        assert!(wait(&throttle, "alice", address(77)) > 0);
        assert_eq!(wait(&throttle, "alice", HOME), 0);
    }

    #[test]
    fn a_known_device_that_guesses_is_a_stranger_again() {
        let (throttle, _clock) = throttle();
        throttle
            .begin("alice", Some(HOME))
            .expect("free")
            .succeeded();

        let tries = (0..20)
            .filter(|_| throttle.begin("alice", Some(HOME)).is_ok())
            .count();

        assert_eq!(tries, 10, "five as a known device and five as a stranger");
    }

    #[test]
    fn an_address_that_tries_many_accounts_must_wait() {
        let (throttle, clock) = throttle();
        for n in 0..30 {
            assert_eq!(wait(&throttle, &format!("user{n}"), HOME), 0);
        }

        assert_eq!(wait(&throttle, "another", HOME), 1);
        let neighbour = "2001:db8::1".parse().expect("an address");
        assert_eq!(wait(&throttle, "another", neighbour), 0);
        clock.pass(FORGIVEN);
        assert_eq!(wait(&throttle, "another", HOME), 0);
    }

    #[test]
    fn the_hall_takes_so_many_strangers_a_minute() {
        let clock = StoppedClock::new();
        let few = AuthSettings {
            hall_tries_per_minute: 3,
            ..AuthSettings::default()
        };
        let throttle = Throttle::new(&few, Arc::new(clock.clone()));
        throttle
            .begin("alice", Some(HOME))
            .expect("free")
            .succeeded();
        for n in 0..3 {
            assert_eq!(wait(&throttle, &format!("user{n}"), address(n)), 0);
        }

        assert_eq!(wait(&throttle, "user9", address(9)), 60);
        assert_eq!(wait(&throttle, "alice", HOME), 0, "known devices get in");
        clock.pass(MINUTE);
        assert_eq!(wait(&throttle, "user9", address(9)), 0);
    }

    #[test]
    fn a_try_that_found_nothing_out_does_not_count() {
        let (throttle, _clock) = throttle();

        for _ in 0..100 {
            throttle.begin("alice", Some(HOME)).expect("free").undone();
        }

        assert_eq!(wait(&throttle, "alice", HOME), 0);
    }
}
