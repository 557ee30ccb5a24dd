//! How often clients may call: a rate and a burst per class of calls and per person or address.

use std::{hash::Hash, net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock as _,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};
use guildhall_kernel::{Clock, Kind, UserId};
use guildhall_mesh::{Reason, config::BadSettings, status::refusal};
use guildhall_proto::options::v1::Rate;
use metrics::counter;
use quick_cache::sync::Cache;
use tonic::Status;

use crate::{config::LimitSettings, peer::neighbourhood};

/// All the limits.
pub(crate) struct Limits {
    address: Limit,
    ordinary: Limit,
    write: Limit,
    search: Limit,
    stream: Limit,
    sign_in: Limit,
    register: Limit,
}

impl Limits {
    /// Sets them up, every count at zero.
    ///
    /// # Errors
    /// [`BadSettings`] for a limit that lets nothing through.
    pub(crate) fn new(
        settings: &LimitSettings,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadSettings> {
        settings.check_remembered()?;
        let [address, ordinary, write, search, stream, sign_in, register] = settings
            .rates()
            .map(|rate| Limit::new(rate, settings.remembered, clock));
        Ok(Self {
            address: address?,
            ordinary: ordinary?,
            write: write?,
            search: search?,
            stream: stream?,
            sign_in: sign_in?,
            register: register?,
        })
    }

    /// Counts a request against its address, before anything of it costs us work.
    ///
    /// # Errors
    /// REASON_RATE_LIMITED, with the time to wait.
    pub(crate) fn count_address(&self, address: IpAddr) -> Result<(), Status> {
        self.address.count(Who::Address(neighbourhood(address)))
    }

    /// Counts a call against its class: for the person, or for everyone who shares the address.
    ///
    /// # Errors
    /// REASON_RATE_LIMITED, with the time to wait.
    pub(crate) fn count_call(
        &self,
        rate: Rate,
        address: IpAddr,
        user: Option<UserId>,
    ) -> Result<(), Status> {
        let someone = user.map_or(Who::Address(neighbourhood(address)), Who::User);
        match rate {
            Rate::Unspecified => self.ordinary.count(someone),
            Rate::Write => self.write.count(someone),
            Rate::Search => self.search.count(someone),
            Rate::Stream => self.stream.count(someone),
            Rate::SignIn => self.sign_in.count(someone),
            Rate::Register => self.register.count(someone),
        }
    }
}

impl LimitSettings {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`BadSettings`] names a limit that lets nothing through.
    pub fn check(&self) -> Result<(), BadSettings> {
        self.check_remembered()?;
        self.rates()
            .iter()
            .try_for_each(|rate| rate.quota().map(drop))
    }

    fn check_remembered(&self) -> Result<(), BadSettings> {
        if self.remembered == 0 {
            return Err(BadSettings::new("limits.remembered", "must be above 0"));
        }
        Ok(())
    }

    /// The rates of all classes, in the order of the fields of [`Limits`].
    fn rates(&self) -> [ClassRate; 7] {
        let of = |name, per_minute, burst| ClassRate {
            name,
            per_minute,
            burst,
        };
        [
            of("address", self.address_per_minute, self.address_burst),
            of("ordinary", self.ordinary_per_minute, self.ordinary_burst),
            of("write", self.write_per_minute, self.write_burst),
            of("search", self.search_per_minute, self.search_burst),
            of("stream", self.stream_per_minute, self.stream_burst),
            of("sign_in", self.sign_in_per_minute, self.sign_in_burst),
            of("register", self.register_per_minute, self.register_burst),
        ]
    }
}

/// How often one class may call, as the settings say it.
#[derive(Debug, Clone, Copy)]
struct ClassRate {
    name: &'static str,
    per_minute: u32,
    burst: u32,
}

impl ClassRate {
    fn quota(self) -> Result<Quota, BadSettings> {
        let above_0 = |part: &str, value| {
            let setting = format!("limits.{}_{part}", self.name);
            NonZeroU32::new(value).ok_or_else(|| BadSettings::new(&setting, "must be above 0"))
        };
        let rate = above_0("per_minute", self.per_minute)?;
        Ok(Quota::per_minute(rate).allow_burst(above_0("burst", self.burst)?))
    }
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    User(UserId),
    Address(IpAddr),
}

/// One class.
struct Limit {
    name: &'static str,
    limiter: RateLimiter<Who, Remembered, Uptime, NoOpMiddleware<Duration>>,
}

impl Limit {
    fn new(
        rate: ClassRate,
        remembered: usize,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadSettings> {
        let quota = rate.quota()?;
        let state = Remembered(Cache::new(remembered));
        let limiter = RateLimiter::new(quota, state, Uptime(clock.clone()));
        Ok(Self {
            name: rate.name,
            limiter,
        })
    }

    fn count(&self, who: Who) -> Result<(), Status> {
        let Err(early) = self.limiter.check_key(&who) else {
            return Ok(());
        };
        counter!("guildhall_rate_limited_total", "limit" => self.name).increment(1);
        let wait = early.wait_time_from(self.limiter.clock().now());
        let detail = "too many calls; come back after the time given";
        Err(refusal(
            Kind::Exhausted,
            Reason::RateLimited,
            detail,
            &[],
            Some(wait),
        ))
    }
}

/// The counts of the most active ones. The map is bounded: whoever is pushed out by others begins anew.
struct Remembered(Cache<Who, Arc<InMemoryState>>);

impl StateStore for Remembered {
    type Key = Who;

    fn measure_and_replace<T, F, E>(&self, who: &Who, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = match self.0.get(who) {
            Some(state) => state,
            None => self
                .0
                .get_or_insert_with(who, || Ok::<_, E>(Arc::new(InMemoryState::default())))?,
        };
        state.measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

/// Our clock, as the limiter wants it.
#[derive(Clone)]
struct Uptime(Arc<dyn Clock>);

impl governor::clock::Clock for Uptime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.uptime()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use guildhall_kernel::Time;

    use super::*;

    #[derive(Default)]
    struct Stopped(AtomicU64);

    impl Clock for Stopped {
        fn now(&self) -> Time {
            Time::from_micros(0)
        }

        fn uptime(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    fn limits(settings: &LimitSettings) -> (Arc<Stopped>, Limits) {
        let clock = Arc::new(Stopped::default());
        let shared: Arc<dyn Clock> = clock.clone();
        (
            clock,
            Limits::new(settings, &shared).expect("good settings"),
        )
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_burst_passes_then_the_rate_and_the_wait_is_told() {
        let settings = LimitSettings {
            sign_in_per_minute: 6,
            sign_in_burst: 3,
            ..LimitSettings::default()
        };
        let (clock, limits) = limits(&settings);
        let sign_in = || limits.count_call(Rate::SignIn, address("192.0.2.1"), None);

        assert!((0..3).all(|_| sign_in().is_ok()));
        let refused = sign_in().expect_err("a fourth");
        assert_eq!(
            guildhall_mesh::status::reason(&refused),
            Reason::RateLimited
        );
        let wait = tonic_types::StatusExt::get_details_retry_info(&refused)
            .and_then(|info| info.retry_delay);
        assert_eq!(wait, Some(Duration::from_secs(10)));

        clock.0.store(10, Ordering::SeqCst);
        assert!(sign_in().is_ok() && sign_in().is_err());
    }

    #[test]
    fn people_are_counted_apart_and_everyone_else_by_address() {
        let settings = LimitSettings {
            write_burst: 1,
            ..LimitSettings::default()
        };
        let (_, limits) = limits(&settings);
        let here = address("192.0.2.1");
        let [alice, bob] = [1, 2].map(|n| Some(UserId::of(uuid::Uuid::from_u128(n))));

        assert!(limits.count_call(Rate::Write, here, alice).is_ok());
        assert!(limits.count_call(Rate::Write, here, alice).is_err());
        assert!(limits.count_call(Rate::Write, here, bob).is_ok());
        assert!(limits.count_call(Rate::Write, here, None).is_ok());
        assert!(limits.count_call(Rate::Write, here, None).is_err());
        assert!(limits.count_call(Rate::Search, here, alice).is_ok());
    }

    #[test]
    fn a_million_addresses_are_not_all_remembered() {
        let remembered = Remembered(Cache::new(1_000));

        for n in 0..1_000_000_u32 {
            let who = Who::Address(IpAddr::V4(n.into()));
            let counted =
                remembered.measure_and_replace(&who, |_| Ok::<_, ()>(((), Nanos::new(1))));
            assert_eq!(counted, Ok(()));
        }

        assert!(remembered.0.len() <= 1_100, "{}", remembered.0.len());
    }

    #[test]
    fn addresses_of_one_home_are_one() {
        let settings = LimitSettings {
            address_burst: 1,
            ..LimitSettings::default()
        };
        let (_, limits) = limits(&settings);

        assert!(limits.count_address(address("2001:db8::1")).is_ok());
        assert!(limits.count_address(address("2001:db8::2")).is_err());
    }

    #[test]
    fn a_limit_of_nothing_is_refused_by_name() {
        let settings = LimitSettings {
            search_burst: 0,
            ..LimitSettings::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(Stopped::default());

        let refused = Limits::new(&settings, &clock).err().expect("refused");

        assert!(refused.to_string().contains("limits.search_burst"));
    }
}
