//! `guildhall doctor`: what is wrong, and what to do about it. Changes nothing.
//!
//! Each file below asks one kind of question; an answer is a [`Finding`].

use std::{fmt, path::Path, process::ExitCode};

use anyhow::Context as _;
use guildhall_kernel::SystemClock;

use crate::{
    roles::Role,
    screen,
    settings::{self, Flags},
};

mod data;
mod database;
mod links;
pub mod machine;
mod running;
mod timelines;

/// What one question found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    what: String,
    verdict: Verdict,
}

/// How bad it is; what is not good says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works now and may not later.
    Beware(String),
    /// It does not work.
    Wrong(String),
}

impl Finding {
    /// All is well.
    fn good(what: impl Into<String>) -> Self {
        let what = what.into();
        Self {
            what,
            verdict: Verdict::Good,
        }
    }

    /// It works now and may not later.
    fn beware(what: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        let (what, what_to_do) = (what.into(), what_to_do.into());
        Self {
            what,
            verdict: Verdict::Beware(what_to_do),
        }
    }

    /// It does not work.
    fn wrong(what: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        let (what, what_to_do) = (what.into(), what_to_do.into());
        Self {
            what,
            verdict: Verdict::Wrong(what_to_do),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Good => write!(f, "good    {}", self.what),
            Verdict::Beware(what_to_do) => write!(f, "beware  {}\n        {what_to_do}", self.what),
            Verdict::Wrong(what_to_do) => write!(f, "wrong   {}\n        {what_to_do}", self.what),
        }
    }
}

/// Asks everything and prints what was found. The exit code is 1 when something is wrong.
pub fn run(file: Option<&Path>, flags: &Flags) -> anyhow::Result<ExitCode> {
    let (settings, _) = match settings::read(file, flags) {
        Ok(read) => read,
        Err(error) => {
            let finding = Finding::wrong(
                error.to_string(),
                "correct it; `guildhall config --example` explains every setting",
            );
            return Ok(report(&[finding]));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the machine gives no threads")?;

    let hall = runtime.block_on(running::ask(settings.admin_listen));
    let is_running = hall.is_some();
    let mut found = vec![Finding::good("the settings can be read")];
    found.extend(machine::limits());
    found.extend(machine::clock(&SystemClock::new(), &settings.data));
    if settings.keeps_files()? {
        found.extend(data::folder(&settings.data, is_running));
        found.extend(data::files(&settings.data));
    }
    found.extend(runtime.block_on(database::ask(&settings)));
    found.extend(runtime.block_on(timelines::ask(&settings.cql, &SystemClock::new())));
    found.extend(runtime.block_on(links::ask(&settings)));
    let (cert, key) = (&settings.gateway.tls_cert, &settings.gateway.tls_key);
    if !cert.is_empty() {
        found.extend(data::certificate(cert.as_ref(), key.as_ref()));
    }
    if let Some(told) = hall {
        found.extend(told);
    } else {
        let none = format!(
            "no hall is running here (nothing answers at {})",
            settings.admin_listen
        );
        found.push(Finding::good(none));
        let roles = settings.roles()?;
        if roles.has(Role::Gateway) {
            found.push(machine::port("gateway.listen", &settings.gateway.listen));
        }
        if !settings.links.listen.is_empty() {
            found.push(machine::port("links.listen", &settings.links.listen));
        }
        found.push(machine::port(
            "admin_listen",
            &settings.admin_listen.to_string(),
        ));
    }
    Ok(report(&found))
}

fn report(found: &[Finding]) -> ExitCode {
    for finding in found {
        screen::say(finding);
    }
    if found
        .iter()
        .any(|finding| matches!(finding.verdict, Verdict::Wrong(_)))
    {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
