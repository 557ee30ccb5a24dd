//! Questions to the ScyllaDB or Cassandra that settings name.

use guildhall_kernel::Clock;
use svc_chat::{
    config::CqlSettings,
    store::cql::{self, CLOCKS_APART, Condition, ConnectError},
};

use super::Finding;

/// The oldest that the statements are written for.
const OLDEST: (u32, &str) = (4, "Cassandra 4.0, or ScyllaDB 2025.4");

/// Whether the servers can be used, and whether the keyspace is up to date. Changes nothing.
pub async fn ask(settings: &CqlSettings, clock: &dyn Clock) -> Vec<Finding> {
    if settings.nodes.is_empty() {
        return Vec::new();
    }
    match cql::inspect(settings).await {
        Ok(condition) => judge(settings, &condition, clock),
        Err(error) => {
            let what_to_do = match &error {
                ConnectError::Datacenter { .. } => "set cql.datacenter to one of these",
                ConnectError::Password { .. } => {
                    "make it readable by the user who runs the hall, and by nobody else"
                }
                ConnectError::Unreachable(_)
                | ConnectError::Statement(_)
                | ConnectError::Schema(_) => {
                    "look at their logs, at the network between, and at cql.nodes and cql.user"
                }
            };
            let told = format!("{:#}", anyhow::Error::from(error));
            vec![Finding::wrong(told, what_to_do)]
        }
    }
}

fn judge(settings: &CqlSettings, condition: &Condition, clock: &dyn Clock) -> Vec<Finding> {
    let CqlSettings {
        keyspace,
        datacenter,
        ..
    } = settings;
    let mut found = vec![version(condition)];
    found.extend(synced(settings, condition));
    let now = clock.now();
    let apart = now.since(condition.time).max(condition.time.since(now));
    if apart > CLOCKS_APART {
        found.push(Finding::wrong(
            format!("the clock is {} s off that of the servers", apart.as_secs()),
            "let one time service set the clocks of all machines",
        ));
    }
    let Some(copies) = &condition.copies else {
        let missing = format!("keyspace {keyspace} is not there");
        found.push(Finding::wrong(missing, "run `guildhall migrate`"));
        return found;
    };
    let kept: Option<usize> = copies.get(datacenter).and_then(|count| count.parse().ok());
    match kept {
        None => found.push(Finding::wrong(
            format!("keyspace {keyspace} keeps no counted copies in {datacenter}: {copies:?}"),
            format!(
                "ALTER KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '{datacenter}': {}}}, then nodetool repair",
                settings.replication
            ),
        )),
        Some(kept) => found.extend(copied(settings, condition, kept)),
    }
    found.push(match &condition.unfit {
        None => Finding::good(format!("keyspace {keyspace} is up to date")),
        Some(wrong) => Finding::wrong(
            wrong.clone(),
            "docs/operate.md, \"Timelines in ScyllaDB or Cassandra\"",
        ),
    });
    found
}

fn version(condition: &Condition) -> Finding {
    let told = format!("{} answers", condition.version);
    let number = condition.version.split([' ', '.']).nth(1);
    let is_old = !condition.is_scylla
        && number
            .and_then(|number| number.parse().ok())
            .is_none_or(|number: u32| number < OLDEST.0);
    if is_old {
        let what_to_do = format!("{} is the oldest that will do", OLDEST.1);
        return Finding::wrong(told, what_to_do);
    }
    Finding::good(told)
}

/// Whether what is acknowledged outlives a power cut. ScyllaDB sees to what is decided by Paxos itself.
fn synced(settings: &CqlSettings, condition: &Condition) -> Option<Finding> {
    let sync = condition.sync.as_deref()?;
    if condition.is_scylla || sync != "periodic" {
        return Some(Finding::good(format!("commitlog_sync is {sync}")));
    }
    let told = "commitlog_sync is periodic: servers acknowledge before they write";
    let what_to_do =
        "set commitlog_sync: batch (or group) in cassandra.yaml of every server and restart them";
    Some(if settings.replication < 3 {
        Finding::wrong(
            format!("{told}, and a power cut takes what was acknowledged"),
            what_to_do,
        )
    } else {
        Finding::beware(
            format!("{told}, and a power cut that hits two of them takes what was acknowledged"),
            what_to_do,
        )
    })
}

fn copied(settings: &CqlSettings, condition: &Condition, kept: usize) -> Vec<Finding> {
    let CqlSettings {
        keyspace,
        datacenter,
        ..
    } = settings;
    let mut found = Vec::new();
    if kept != usize::from(settings.replication) {
        found.push(Finding::beware(
            format!(
                "keyspace {keyspace} keeps {kept} copies in {datacenter}, and cql.replication says {}",
                settings.replication
            ),
            "set the one you mean: the setting counts only when the keyspace is made; else ALTER KEYSPACE and nodetool repair",
        ));
    }
    let servers = condition.servers;
    let told = format!("{servers} servers of {datacenter} answer, for {kept} copies");
    let what_to_do = "start those that are away, or look why this machine does not reach them";
    found.push(if servers < kept / 2 + 1 {
        Finding::wrong(format!("{told}: writes are refused"), what_to_do)
    } else if servers < kept {
        Finding::beware(told, what_to_do)
    } else if kept < 3 {
        Finding::beware(
            format!("{told}: while one server is away calls are refused"),
            "with three copies on three servers one may be away",
        )
    } else {
        Finding::good(told)
    });
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use guildhall_kernel::{SystemClock, Time};

    use super::*;
    use crate::doctor::Verdict;

    fn settings() -> CqlSettings {
        CqlSettings {
            nodes: vec!["127.0.0.1:1".into()],
            datacenter: "dc1".into(),
            ..CqlSettings::default()
        }
    }

    fn sound() -> Condition {
        Condition {
            version: "Cassandra 5.0.8".into(),
            is_scylla: false,
            servers: 3,
            sync: Some("batch".into()),
            time: SystemClock::new().now(),
            copies: Some(BTreeMap::from([("dc1".into(), "3".into())])),
            unfit: None,
        }
    }

    #[test]
    fn each_condition_that_is_not_sound_is_told() {
        type Spoil = fn(&mut Condition);
        let spoilt: [(&str, bool, Spoil); 10] = [
            ("Cassandra 3.11.1", true, |it| {
                it.version = "Cassandra 3.11.1".into();
            }),
            ("periodic", false, |it| it.sync = Some("periodic".into())),
            ("off that of the servers", true, |it| {
                it.time = Time::from_micros(0);
            }),
            ("not there", true, |it| it.copies = None),
            ("counted copies", true, |it| {
                it.copies = Some(BTreeMap::from([("dc2".into(), "3".into())]));
            }),
            ("counted copies", true, |it| {
                it.copies = Some(BTreeMap::from([("class".into(), "SimpleStrategy".into())]));
            }),
            ("cql.replication says 3", false, |it| {
                it.copies = Some(BTreeMap::from([("dc1".into(), "2".into())]));
            }),
            ("2 servers", false, |it| it.servers = 2),
            ("writes are refused", true, |it| it.servers = 1),
            ("run it", true, |it| it.unfit = Some("run it".into())),
        ];
        let clock = SystemClock::new();

        let all = judge(&settings(), &sound(), &clock);
        assert!(
            all.iter().all(|one| one.verdict == Verdict::Good),
            "{all:?}"
        );
        for (told, is_wrong, spoil) in spoilt {
            let mut condition = sound();
            spoil(&mut condition);
            let found = judge(&settings(), &condition, &clock);
            let bad = found.iter().find(|one| one.verdict != Verdict::Good);
            let bad = bad.unwrap_or_else(|| panic!("{told} is not found"));
            assert!(bad.what.contains(told), "{told}: {bad:?}");
            assert_eq!(
                matches!(bad.verdict, Verdict::Wrong(_)),
                is_wrong,
                "{bad:?}"
            );
        }
    }

    #[tokio::test]
    async fn servers_that_are_not_there_are_wrong() {
        let found = ask(&settings(), &SystemClock::new()).await;

        assert!(matches!(found[0].verdict, Verdict::Wrong(_)), "{found:?}");
        assert!(found[0].what.contains("cql.nodes"), "{found:?}");
    }

    #[tokio::test]
    async fn without_servers_nothing_is_asked() {
        let none = CqlSettings::default();

        assert!(ask(&none, &SystemClock::new()).await.is_empty());
    }
}
