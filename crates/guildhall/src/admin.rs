//! `guildhall admin`: what only the operator may do, on a hall that is stopped or keeps its entities in PostgreSQL.

use std::{
    io::{BufRead as _, IsTerminal as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Subcommand;
use console::Term;
use guildhall_kernel::{Failure as _, SystemClock, SystemIds};
use guildhall_store::{FolderLock, Home};
use secrecy::SecretString;
use svc_auth::AuthError;

use crate::{
    screen,
    settings::{self, Flags, Settings},
};

/// What to change.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Gives somebody a new password and ends all of their sessions.
    ///
    /// Asks for the password twice, or reads one line from stdin where that is no terminal.
    Password {
        /// The username or the e-mail address, in any case.
        user: String,
    },
}

/// Does it.
pub fn run(file: Option<&Path>, flags: &Flags, what: What) -> anyhow::Result<ExitCode> {
    let (settings, _) = settings::read(file, flags)?;
    match what {
        What::Password { user } => password(&settings, &user)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn password(settings: &Settings, user: &str) -> anyhow::Result<()> {
    let home = settings.home(svc_auth::NAME)?;
    let _ours = match &home {
        Home::File(file) => {
            let folder = &settings.data;
            ensure!(
                file.is_file(),
                "there is no hall in {}: give its folder with --data",
                folder.display()
            );
            Some(FolderLock::take(folder)?)
        }
        Home::Schema(_) => None,
    };
    let place = match &home {
        Home::File(_) => format!("in {}: check --data", settings.data.display()),
        Home::Schema(_) => "in the database of postgres.url: check the setting".to_owned(),
    };
    let password = new_password()?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the machine gives no threads")?;
    runtime.block_on(async {
        let clock = Arc::new(SystemClock::new());
        let ids = Arc::new(SystemIds);
        let hall = svc_auth::admin::Admin::open(&home, &settings.auth, clock, ids).await?;
        let set = hall.set_password(user, password).await;
        hall.close().await;
        set.map_err(|refused| why(user, &place, refused))
    })?;
    screen::say(format_args!(
        "{user} has a new password; all sessions were ended"
    ));
    Ok(())
}

/// Why somebody keeps the old password, and what to do.
fn why(user: &str, place: &str, refused: AuthError) -> anyhow::Error {
    if let AuthError::NotFound(_) = refused {
        return anyhow!(
            "{user}: no such account {place}, and give the username or the e-mail address"
        );
    }
    let faults = refused.faults();
    if faults.is_empty() {
        return anyhow!(refused).context(format!("{user} keeps the old password"));
    }
    let told: Vec<_> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.field, fault.description))
        .collect();
    anyhow!(
        "{user} keeps the old password: {}; choose another one and run it again",
        told.join("; ")
    )
}

/// Asks for the password, or reads it where nobody can be asked. It never stands on the command line, where others could read it.
fn new_password() -> anyhow::Result<SecretString> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .context("stdin cannot be read")?;
        let password = line.trim_end_matches(['\r', '\n']);
        ensure!(
            !password.is_empty(),
            "stdin holds no password: one line with it is wanted"
        );
        return Ok(SecretString::from(password));
    }
    let terminal = Term::stderr();
    let ask = |question: &str| -> anyhow::Result<String> {
        terminal.write_str(question)?;
        Ok(terminal.read_secure_line()?)
    };
    let first = ask("New password: ")?;
    if first != ask("Once more: ")? {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(SecretString::from(first))
}
