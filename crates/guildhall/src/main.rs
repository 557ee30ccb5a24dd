//! The `guildhall` command.
//!
//! In reading order: this file is the command line; [`settings`] is what can be set; [`serve`] runs a process of a hall, which [`hall`]
//! builds from the services that its [`roles`] name; [`config`], [`openapi`], [`doctor`], [`migrate`], [`certs`], [`admin`] and [`seed`]
//! are the other words, a file each; [`screen`] is how they
//! speak.
#![expect(
    unreachable_pub,
    reason = "a binary shows nothing to other crates: here `pub` says what other files use"
)]

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

mod admin;
mod certs;
mod config;
mod doctor;
mod hall;
mod migrate;
mod openapi;
mod roles;
mod screen;
mod seed;
mod serve;
mod settings;

use settings::Flags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A hall for a team: chat, live, on your own machine.
#[derive(Debug, Parser)]
#[command(name = "guildhall", version, about, long_about = ABOUT, after_long_help = AFTER)]
struct Cli {
    /// A file with settings; `guildhall config --example` prints one to begin with.
    #[arg(long, global = true, env = "GUILDHALL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    word: Word,
}

const ABOUT: &str = "\
A hall for a team: chat, live, on your own machine.

One process holds everything: the gateway that browsers and apps talk to, the services behind it, and their databases in \
one folder. Nothing else has to be installed.";

const AFTER: &str = "\
Examples:
  guildhall serve                                     a hall on http://127.0.0.1:8080 with its data in ./data
  guildhall serve --listen 0.0.0.0:8080               reachable from other machines
  guildhall serve --roles chat                        one service of a hall of many processes; docs/operate.md has the rest
  guildhall seed                                      fills a running hall with a team to look at
  guildhall config --example > guildhall.toml         every setting, explained
  guildhall doctor                                    what is wrong, and what to do
  guildhall migrate                                   brings the tables in PostgreSQL up to date, before serve
  guildhall certs certs                               certificates for the links between several processes

Settings come from flags, then from variables (GUILDHALL_DATA, GUILDHALL_AUTH__REGISTRATION), then from the file, then \
from defaults. `guildhall config` prints them with where each comes from.";

#[derive(Debug, Subcommand)]
enum Word {
    /// Runs a hall, or one process of it, until it is told to stop.
    ///
    /// Prints one line on stdout when it is ready, and logs on stderr. SIGTERM or Ctrl-C lets it finish what it has begun and
    /// exit with 0; a second one ends it at once.
    Serve {
        #[command(flatten)]
        flags: Flags,
    },
    /// Prints the settings in force and where each comes from.
    Config {
        #[command(flatten)]
        flags: Flags,
        /// Prints every setting with its explanation and default, as a file to begin with.
        #[arg(long)]
        example: bool,
    },
    /// Prints the OpenAPI description of the REST API.
    Openapi,
    /// Looks for what is wrong with the machine, the settings and the data, and says what to do.
    ///
    /// Changes nothing. Exits with 1 when something has to be done.
    Doctor {
        #[command(flatten)]
        flags: Flags,
    },
    /// Brings the tables of every service up to date.
    ///
    /// On PostgreSQL `serve` never does, since other processes may work on them: run this first, once for all of them; two at the
    /// same time do no harm. SQLite files are brought up to date by `serve`, too.
    Migrate {
        #[command(flatten)]
        flags: Flags,
    },
    /// Makes certificates for the processes of a hall that is spread over several.
    ///
    /// Links between processes are encrypted, and each side proves by its certificate which services it is (see `[links]` in
    /// `guildhall config --example`). This makes an authority in DIR, or keeps the one that is there, then for each role a
    /// certificate with its key, and one named "all" for a process with all of these roles. Running it again renews the
    /// certificates under the same authority; running processes take them up by themselves.
    ///
    /// For development and small installations: a bigger one has an authority of its own, whose certificates name services by URIs like
    /// spiffe://guildhall/chat.
    #[command(after_help = "\
Examples:
  guildhall certs certs                      for every role, good for 30 days
  guildhall certs certs --roles chat --hours 24
                                             for chat only, good for a day; run it every few hours")]
    Certs(certs::Options),
    /// Changes what only an operator may change. A hall that keeps SQLite files must be stopped.
    Admin {
        #[command(flatten)]
        flags: Flags,
        #[command(subcommand)]
        what: admin::What,
    },
    /// Fills a running hall with a small team, its channels and their talk, through the public API.
    ///
    /// Repeating it changes nothing.
    Seed(seed::Options),
}

fn main() -> ExitCode {
    let Cli { config, word } = Cli::parse();
    let file = config.as_deref();
    let done = match word {
        Word::Serve { flags } => serve::run(file, &flags).map(|()| ExitCode::SUCCESS),
        Word::Config { example: true, .. } => config::example(),
        Word::Config { flags, .. } => config::in_force(file, &flags),
        Word::Openapi => openapi::print(),
        Word::Doctor { flags } => doctor::run(file, &flags),
        Word::Migrate { flags } => migrate::run(file, &flags),
        Word::Admin { flags, what } => admin::run(file, &flags, what),
        Word::Certs(options) => certs::run(&options),
        Word::Seed(options) => seed::run(&options),
    };
    done.unwrap_or_else(|error| {
        screen::complain(&error);
        ExitCode::FAILURE
    })
}
