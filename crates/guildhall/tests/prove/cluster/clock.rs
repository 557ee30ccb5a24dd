//! One process whose clock is an hour off.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::campaign::Ground;

/// What shows a program another clock, from Debian's package `faketime`.
pub(super) fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let files = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    files.into_iter().find(|file| file.exists())
}

/// Starts a process again with a clock that is so many seconds off, for a while.
pub(super) async fn off(
    ground: &mut Ground<'_>,
    name: &str,
    library: &Path,
    seconds: i64,
    time: Duration,
) -> anyhow::Result<Instant> {
    let wrong = [
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("FAKETIME".to_owned(), format!("{seconds:+}")),
        // How long something takes stays true.
        ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
    ];
    let node = ground.cluster.node(name)?;
    node.stop().await?;
    node.variables.extend(wrong);
    node.launch()?;
    let broke = Instant::now();
    ground.pass(time).await;
    let said = ground.cluster.node(name)?.probe().readyz().await;
    let told = if said.good {
        "ready".to_owned()
    } else {
        super::watch::why(&said.text)
    };
    ground.notes.push(format!(
        "{name}, its clock {seconds:+} s off, said after {:.0} s: {told}",
        broke.elapsed().as_secs_f32()
    ));
    let node = ground.cluster.node(name)?;
    node.kill().await?;
    node.variables
        .retain(|(name, _)| !name.starts_with("FAKETIME") && name != "LD_PRELOAD");
    node.launch()?;
    node.ready().await?;
    Ok(Instant::now())
}
