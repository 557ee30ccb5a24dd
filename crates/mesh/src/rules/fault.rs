//! A fault for proofs: the rule of one rpc taken away. A proof that stays green then proves nothing.
//!
//! Compiled with the cargo feature `sabotage` only. The product is never built with it.

use guildhall_kernel::{SessionId, Time, UserId};
use tonic::Request;

use super::{Caller, Rule};
use crate::caller;

/// Names the rpc, after `open:`, as in `open:/guildhall.chat.v1.MessageService/PostMessage`.
const VARIABLE: &str = "SABOTAGE";

/// The rule, or what is left of it where the process was told to leave this rpc open: everybody counts as an owner of its place, and
/// where it has none, nobody needs to be signed in.
pub(super) fn honoured(mut rule: Rule, path: &str) -> Rule {
    if opened().as_deref() != Some(path) {
        return rule;
    }
    match rule.who {
        Caller::InSpace { .. } => rule.open = true,
        Caller::SignedIn => rule.who = Caller::Public,
        Caller::Public | Caller::Admin | Caller::Service(_) => {}
    }
    rule
}

/// Somebody whom nobody knows, for the handler of an open rpc that nobody signed in to: it would refuse them once more otherwise, and
/// what the proof would see then is the handler, not the rule.
pub(crate) fn stand_in<T>(request: &Request<T>) -> Option<caller::Caller> {
    let is_needed = opened().is_some() && caller::Caller::maybe_of(request).is_none();
    is_needed.then(|| caller::Caller {
        user: UserId::from_bytes([0; 16]),
        session: SessionId::from_bytes([0; 16]),
        expires_at: Time::from_micros(i64::MAX),
        token: "".into(),
        standing: None,
        call: caller::Call::of(request),
    })
}

fn opened() -> Option<String> {
    let told = std::env::var(VARIABLE).ok()?;
    Some(told.strip_prefix("open:")?.to_owned())
}
