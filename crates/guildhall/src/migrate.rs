//! `guildhall migrate`: brings the tables of every service up to date. On PostgreSQL and in CQL nothing else does.

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use guildhall_kernel::{SystemClock, SystemIds};
use guildhall_store::{FolderLock, Home};
use svc_chat::store::cql;

use crate::{
    screen,
    settings::{self, Flags},
};

/// Makes the changes that are missing, service by service, and says which.
pub fn run(file: Option<&Path>, flags: &Flags) -> anyhow::Result<ExitCode> {
    let (settings, _) = settings::read(file, flags)?;
    let auth = settings.home(svc_auth::NAME)?;
    let chat = settings.home(svc_chat::NAME)?;
    // Files are one process's at a time: a running hall has brought its own up to date.
    let in_files = [&auth, &chat]
        .iter()
        .any(|home| matches!(home, Home::File(_)));
    let _ours = in_files
        .then(|| FolderLock::take(&settings.data))
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the machine gives no threads")?;
    runtime.block_on(async {
        told(svc_auth::NAME, &svc_auth::migrate(&auth).await?);
        told(svc_chat::NAME, &svc_chat::migrate(&chat).await?);
        if !settings.cql.nodes.is_empty() {
            let made = cql::migrate(&settings.cql, &SystemClock::new(), &SystemIds).await;
            told("timelines", &made.context("the timelines of [cql]")?);
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn told(service: &str, made: &[String]) {
    if made.is_empty() {
        screen::say(format_args!("{service}: up to date"));
    } else {
        screen::say(format_args!("{service}: made {}", made.join(", ")));
    }
}
