//! A fault for proofs: the rule of one rpc taken away. A proof that stays green then proves nothing.
//!
//! Compiled with the cargo feature `sabotage` only. The product is never built with it.

use super::{Caller, Rule};

/// Names the rpc, after `open:`, as in `open:/guildhall.chat.v1.MessageService/PostMessage`.
const VARIABLE: &str = "SABOTAGE";

/// The rule, or what is left of it where the process was told to leave this rpc open: everybody counts as an owner of its place, and
/// where it has none, nobody needs to be signed in.
pub(super) fn honoured(mut rule: Rule, path: &str) -> Rule {
    let told = std::env::var(VARIABLE).unwrap_or_default();
    if told.strip_prefix("open:") != Some(path) {
        return rule;
    }
    match rule.who {
        Caller::InSpace { .. } => rule.open = true,
        Caller::SignedIn => rule.who = Caller::Public,
        Caller::Public | Caller::Admin | Caller::Service(_) => {}
    }
    rule
}
