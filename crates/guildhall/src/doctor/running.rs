//! Questions to a running hall, at its admin port.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use serde::Deserialize;

use super::Finding;

/// How long the hall may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What `/readyz` says, as far as it is told here.
#[derive(Debug, Deserialize)]
struct Report {
    ready: bool,
    stage: String,
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Check {
    name: String,
    ready: bool,
    detail: Option<String>,
}

/// Asks the hall how it fares; `None` where none answers.
pub async fn ask(admin: SocketAddr) -> Option<Vec<Finding>> {
    let at = reachable(admin);
    // Plain http: no certificate is looked at, but the client wants to know by whom it would be.
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .ok()?;
    let answer = client
        .get(format!("http://{at}/readyz"))
        .send()
        .await
        .ok()?;
    let report = answer.json().await;
    Some(match report {
        Ok(report) => judge(at, report),
        Err(_) => vec![Finding::wrong(
            format!("what answers at {at} is no hall"),
            "set admin_listen to another port, or stop that program",
        )],
    })
}

/// Where to reach an address that may mean "all of this machine".
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) | IpAddr::V6(_) => address.ip(),
    };
    SocketAddr::new(ip, address.port())
}

fn judge(at: SocketAddr, report: Report) -> Vec<Finding> {
    let mut found = vec![if report.ready {
        Finding::good(format!("a hall is running (admin port {at}) and ready"))
    } else {
        Finding::wrong(
            format!(
                "a hall is running (admin port {at}), {} and not ready",
                report.stage
            ),
            "look at what is wrong below, and at its log",
        )
    }];
    for check in report.checks {
        let detail = check.detail.unwrap_or_default();
        found.push(if check.ready {
            Finding::good(format!("{} is ready", check.name))
        } else {
            Finding::wrong(
                format!("{} is not ready: {detail}", check.name),
                "its log says more",
            )
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_part_that_is_not_ready_is_wrong_and_told_by_name() {
        let check = Check {
            name: "chat".into(),
            ready: false,
            detail: Some("disk full".into()),
        };
        let report = Report {
            ready: false,
            stage: "started".into(),
            checks: vec![check],
        };

        let found = judge(SocketAddr::from(([127, 0, 0, 1], 9090)), report);

        assert!(
            found
                .iter()
                .all(|one| matches!(one.verdict, Verdict::Wrong(_)))
        );
        assert!(
            found[1].what.contains("chat is not ready: disk full"),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn where_nothing_listens_no_hall_is_running() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);

        assert_eq!(ask(address).await, None);
    }
}
