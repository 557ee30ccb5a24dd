//! Small disks that run full.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rustix::process::Signal;

use super::campaign::Ground;

/// What takes the last room of a disk.
const BALLAST: &str = "ballast";

/// A file system in memory, of a size that is soon reached. Root only.
#[derive(Debug)]
pub(crate) struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one of so many MiB.
    pub(crate) fn mount(at: &Path, mib: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut mount = Command::new("mount");
        mount.args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={mib}m,mode=0755"),
            "guildhall-prove",
        ]);
        let done = mount.arg(at).output()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        anyhow::ensure!(done.status.success(), "mount: {}", said.trim());
        Ok(Self { at: at.to_owned() })
    }

    /// Takes all room that is left.
    fn fill(&self) -> anyhow::Result<()> {
        let mut ballast = File::options()
            .append(true)
            .create(true)
            .open(self.at.join(BALLAST))?;
        let zeros = vec![0; 64 * 1024];
        for piece in [zeros.as_slice(), &zeros[..512]] {
            loop {
                match ballast.write_all(piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Gives it back.
    fn free(&self) -> io::Result<()> {
        std::fs::remove_file(self.at.join(BALLAST))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still runs on it is being stopped.
        let _done = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

/// The disk of one server is full for a while. Then the server is started again: PostgreSQL ends by it, and nats-server may go on without
/// storing anything ever after.
pub(super) async fn full(
    ground: &mut Ground<'_>,
    server: &str,
    time: Duration,
) -> anyhow::Result<Instant> {
    let servers = ground.cluster.servers.clone();
    stay_full(servers.disk(server)?, time).await?;
    if server == "nats" {
        servers.kill(server, Signal::TERM).await?;
    }
    servers.up().await?;
    Ok(Instant::now())
}

/// The disk with the files of the first process is full for a while.
pub(super) async fn full_own(ground: &mut Ground<'_>, time: Duration) -> anyhow::Result<Instant> {
    stay_full(ground.cluster.disk()?, time).await?;
    Ok(Instant::now())
}

async fn stay_full(disk: &Disk, time: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < time {
        // Whatever was given free meanwhile is taken again.
        disk.fill()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    disk.free().context("no ballast was there")
}
