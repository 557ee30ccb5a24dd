//! `guildhall seed`: a small team in a running hall, made through the public API as its people would.
//!
//! Repeating it changes nothing: people who are there sign in, and everything else goes by keys. [`story`] is what is told,
//! [`client`] how, [`way`] leads to the hall.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::screen;

mod client;
mod story;
mod way;

use client::{Person, Way};
use story::{CHANNELS, DIRECT, PEOPLE, TEAM};

/// Where to, and with which password.
#[derive(Debug, Args)]
pub struct Options {
    /// The running hall.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    hall: String,
    /// The certificate authority of a hall with TLS, as PEM, where the machine does not know it.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The password of everybody who is made.
    #[arg(long, default_value = "lanterns-over-the-quay")]
    password: String,
}

/// Makes the team.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the machine gives no threads")?;
    runtime.block_on(tell(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn tell(options: &Options) -> anyhow::Result<()> {
    let way = Way::to(&options.hall, options.ca.as_deref()).await?;
    let progress = Progress::new();

    let mut people = Vec::new();
    for one in &PEOPLE {
        progress.doing(&format!("signing in {}", one.display_name));
        people.push(Person::enter(&way, one, &options.password).await?);
    }
    let owner = &people[0];

    progress.doing(&format!("opening {TEAM}"));
    let others: Vec<_> = people[1..].iter().map(|one| one.id.clone()).collect();
    let space = owner.team(TEAM, others).await?;

    for channel in &CHANNELS {
        progress.doing(&format!("talking in {}", channel.name));
        let id = owner.channel(&space, channel).await?;
        for (at, (who, text)) in channel.talk.iter().enumerate() {
            let key = format!("seed-{}-{at}", channel.name);
            people[*who].post(&id, text, &key).await?;
            progress.posted();
        }
    }
    for (at, direct) in DIRECT.iter().enumerate() {
        let (one, other) = direct.between;
        progress.doing(&format!(
            "{} writes to {}",
            PEOPLE[one].display_name, PEOPLE[other].display_name
        ));
        let id = people[one].direct(&people[other].id).await?;
        for (line, (who, text)) in direct.talk.iter().enumerate() {
            let key = format!("seed-direct-{at}-{line}");
            people[*who].post(&id, text, &key).await?;
            progress.posted();
        }
    }

    progress.end();
    screen::say(format_args!(
        "{TEAM} is in {}. Sign in as any of them, password {}:",
        options.hall, options.password
    ));
    for one in &PEOPLE {
        screen::say(format_args!("  {:<8} {}", one.username, one.display_name));
    }
    Ok(())
}

/// What is being done: a bar on a terminal, plain lines elsewhere, on stderr.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new() -> Self {
        let channels = CHANNELS.iter().map(|channel| channel.talk.len());
        let direct = DIRECT.iter().map(|direct| direct.talk.len());
        let messages: usize = channels.chain(direct).sum();
        let bar = ProgressBar::new(u64::try_from(messages).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    fn doing(&self, what: &str) {
        if self.bar.is_hidden() {
            screen::tell(format_args!("guildhall: {what}"));
        }
        self.bar.set_message(what.to_owned());
    }

    fn posted(&self) {
        self.bar.inc(1);
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
