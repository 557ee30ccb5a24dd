//! Whom to ask. Calls about a channel go to the same process as long as it is there, which then remembers the channel; other calls go
//! to the less busy of two.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::{addresses::Set, dice::Dice, endpoint::Endpoint, health::Fitness};

/// Who was asked already by a call.
#[derive(Default)]
pub(super) struct Tried {
    pub(super) endpoints: Vec<Arc<Endpoint>>,
    /// One of them was left out for its failures: a call hopes against reason once.
    was_desperate: bool,
}

impl Tried {
    fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.endpoints.iter().any(|one| Arc::ptr_eq(one, endpoint))
    }
}

/// The next to ask for a call, about `channel` if it is about one: somebody fit who was not asked yet, else somebody fit, else anybody,
/// once.
pub(super) fn choose(
    set: &Set,
    channel: Option<&str>,
    tried: &mut Tried,
    dice: &Dice,
) -> Option<Arc<Endpoint>> {
    let (old, fresh): (Vec<_>, Vec<_>) = set.iter().cloned().partition(|one| tried.has(one));
    let groups = [ordered(fresh, channel, dice), ordered(old, channel, dice)];
    let fit = groups.iter().find_map(|group| fit(group, channel, dice));
    let chosen = match fit {
        Some(fit) => fit,
        None if tried.was_desperate => return None,
        None => {
            tried.was_desperate = true;
            groups.iter().flatten().next()?.clone()
        }
    };
    tried.endpoints.push(chosen.clone());
    Some(chosen)
}

/// Whether there is somebody else to ask.
pub(super) fn has_other(set: &Set, tried: &Tried) -> bool {
    let mut others = set.iter().filter(|one| !tried.has(one));
    others.any(|one| one.vitals.fitness() != Fitness::Out)
}

fn ordered(
    mut group: Vec<Arc<Endpoint>>,
    channel: Option<&str>,
    dice: &Dice,
) -> Vec<Arc<Endpoint>> {
    if let Some(channel) = channel {
        group.sort_by_cached_key(|one| std::cmp::Reverse(weight(one, channel)));
    } else if !group.is_empty() {
        let turn = dice.below(group.len());
        group.rotate_left(turn);
    }
    group
}

fn fit(group: &[Arc<Endpoint>], channel: Option<&str>, dice: &Dice) -> Option<Arc<Endpoint>> {
    if channel.is_some() {
        let fit = group.iter().find(|one| is_fit(one));
        return fit.cloned();
    }
    if let Some(due) = group.iter().find(|one| one.vitals.claim()) {
        return Some(due.clone());
    }
    let fit = group
        .iter()
        .filter(|one| one.vitals.fitness() == Fitness::Fit);
    let fit: Vec<_> = fit.collect();
    let first = fit.get(dice.below(fit.len()))?;
    let second = fit.get(dice.below(fit.len()))?;
    let busier = second.vitals.at_work() < first.vitals.at_work();
    Some(Arc::clone(if busier { second } else { first }))
}

fn is_fit(endpoint: &Endpoint) -> bool {
    match endpoint.vitals.fitness() {
        Fitness::Fit => true,
        Fitness::Due => endpoint.vitals.claim(),
        Fitness::Out => false,
    }
}

/// The weight of an endpoint for a channel (rendezvous hashing): the same in every process, and moved by no other endpoint.
fn weight(endpoint: &Endpoint, channel: &str) -> [u8; 8] {
    weigh(&endpoint.address.to_string(), channel)
}

fn weigh(address: &str, channel: &str) -> [u8; 8] {
    let mut context = Context::new(&SHA256);
    context.update(address.as_bytes());
    context.update(b"\0");
    context.update(channel.as_bytes());
    let mut weight = [0; 8];
    weight.copy_from_slice(&context.finish().as_ref()[..8]);
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heaviest<'a>(addresses: &[&'a str], channel: &str) -> &'a str {
        let by_weight = addresses.iter().max_by_key(|one| weigh(one, channel));
        by_weight.expect("somebody")
    }

    #[test]
    fn when_one_of_five_goes_only_its_own_channels_move() {
        let all = [
            "10.0.0.1:1",
            "10.0.0.2:1",
            "10.0.0.3:1",
            "10.0.0.4:1",
            "10.0.0.5:1",
        ];
        let left = &all[1..];
        let mut shares = [0; 5];
        for n in 0..5_000 {
            let channel = format!("00000000-0000-7000-8000-{n:012}");
            let before = heaviest(&all, &channel);
            let after = heaviest(left, &channel);

            assert!(before == all[0] || before == after, "{channel} moved");
            shares[all.iter().position(|one| *one == before).expect("one")] += 1;
        }
        for share in shares {
            assert!((850..1_150).contains(&share), "{shares:?}");
        }
    }
}
