//! Who calls, and what travels along with a call.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::{Role, SessionId, SpaceId, Time, UserId};
use tokio::time::Instant;
use tonic::{Request, Status};

/// The one on whose behalf a call runs, as the authentication layer found them.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The person.
    pub user: UserId,
    /// Their session.
    pub session: SessionId,
    /// When their token ends.
    pub expires_at: Time,
    /// The token itself, to be sent along to other services, which verify it for themselves.
    pub token: Arc<str>,
    /// Their place in the space that the request names; `None` for rpcs that name none.
    pub standing: Option<Standing>,
    /// What travels along.
    pub call: Call,
}

/// A caller's place, as the authorization layer found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The space that the request led to.
    pub space: SpaceId,
    /// The caller's role there.
    pub role: Role,
}

/// What travels along with a call through every hop.
#[derive(Debug, Clone)]
pub struct Call {
    /// Names the call in every log and in the answer.
    pub correlation: Arc<str>,
    /// When its answer is worth nothing any more.
    pub deadline: Instant,
}

/// Which of our services is on the other side of a link: the one that a link inside the process was given to, or those that the
/// certificate of another process names. An extension of the request that no client can send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    names: Arc<[Box<str>]>,
}

impl Peer {
    /// A service of this process.
    pub fn local(name: &str) -> Self {
        Self {
            names: Arc::new([Box::from(name)]),
        }
    }

    /// The services that a certificate names.
    pub(crate) fn certified(names: Arc<[Box<str>]>) -> Self {
        Self { names }
    }

    /// Whether it is one of these services.
    pub fn is_one_of<S: AsRef<str>>(&self, services: &[S]) -> bool {
        let mut names = self.names.iter();
        names.any(|name| services.iter().any(|service| service.as_ref() == &**name))
    }
}

impl Caller {
    /// The caller of a request that passed the layers.
    ///
    /// # Errors
    /// UNAUTHENTICATED where the rpc is public and nobody signed in.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        #[cfg(feature = "sabotage")]
        if let Some(somebody) = crate::rules::fault::stand_in(request) {
            return Ok(somebody);
        }
        Self::maybe_of(request).ok_or_else(|| {
            crate::status::refusal(
                guildhall_kernel::Kind::Unauthenticated,
                crate::Reason::TokenMissing,
                "an access token is needed",
                &[],
                None,
            )
        })
    }

    /// The caller of a request to a public rpc, where there is one.
    pub fn maybe_of<T>(request: &Request<T>) -> Option<Self> {
        request.extensions().get::<Self>().cloned()
    }

    /// The caller's role in the space that the request names. Only behind rpcs that say `in_space`.
    ///
    /// # Errors
    /// INTERNAL where the rpc names no space: a mistake in the proto.
    pub fn standing(&self) -> Result<Standing, Status> {
        self.standing
            .ok_or_else(|| Status::internal("the rpc names no space"))
    }
}

impl Call {
    /// What travels along with this request.
    pub fn of<T>(request: &Request<T>) -> Self {
        request
            .extensions()
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self::own("none", Duration::from_secs(30)))
    }

    /// A call that no client asked for, with this much time.
    #[expect(
        clippy::disallowed_methods,
        reason = "deadlines are timers, kept by the runtime's clock"
    )]
    pub fn own(correlation: &str, time: Duration) -> Self {
        Self {
            correlation: correlation.into(),
            deadline: Instant::now() + time,
        }
    }
}
