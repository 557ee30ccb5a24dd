//! Questions about the links to other processes.

use std::{sync::Arc, time::Duration};

use guildhall_kernel::SystemClock;
use guildhall_mesh::Tasks;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::Finding;
use crate::settings::Settings;

/// How long a name or an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the certificate can be used, and whether somebody is where the settings say that the other services are.
pub async fn ask(settings: &Settings) -> Vec<Finding> {
    let Ok(roles) = settings.roles() else {
        return Vec::new();
    };
    let elsewhere: Vec<_> = roles.elsewhere().collect();
    if elsewhere.is_empty() && settings.links.listen.is_empty() {
        return Vec::new();
    }
    let mut found = vec![identity(settings).await];
    for role in elsewhere {
        let name = role.name();
        let Some(targets) = settings.links.target(name) else {
            continue;
        };
        for target in targets.split(',').map(str::trim) {
            found.push(reached(name, target).await);
        }
    }
    found
}

async fn identity(settings: &Settings) -> Finding {
    let tasks = Tasks::new();
    let read = settings
        .links
        .identity(Arc::new(SystemClock::new()), &tasks);
    let finding = match read {
        Ok(_) => Finding::good(format!(
            "the certificate {} can be used",
            settings.links.certificate_file
        )),
        Err(error) => Finding::wrong(
            error.to_string(),
            "`guildhall certs` makes such files, or makes them anew",
        ),
    };
    tasks.stop(PATIENCE).await;
    finding
}

async fn reached(name: &str, target: &str) -> Finding {
    let looked = timeout(PATIENCE, lookup_host(target)).await;
    let addresses: Vec<_> = match looked {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return unknown(name, target, &error.to_string()),
        Err(_) => return unknown(name, target, "no answer"),
    };
    let mut there = 0;
    for address in &addresses {
        let connected = timeout(PATIENCE, TcpStream::connect(address)).await;
        there += usize::from(matches!(connected, Ok(Ok(_))));
    }
    let told = format!(
        "links.{name}: {there} of {} addresses of {target} can be reached",
        addresses.len()
    );
    if there == addresses.len() && there > 0 {
        Finding::good(told)
    } else if there > 0 {
        Finding::beware(told, format!("look at the {name} processes"))
    } else {
        Finding::wrong(
            told,
            format!("start a {name} process, or correct links.{name}"),
        )
    }
}

fn unknown(name: &str, target: &str, why: &str) -> Finding {
    Finding::wrong(
        format!("links.{name}: {target} leads to no address: {why}"),
        "correct the name, or the machine's DNS",
    )
}
