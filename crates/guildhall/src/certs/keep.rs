//! Files that running processes read again: each is replaced whole, and keys are for their owner only.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;

/// Who may read what everybody may see, and who a key.
const OPEN: u32 = 0o644;
const SECRET: u32 = 0o600;

/// Writes a file that everybody may read.
pub(super) fn keep(file: &Path, text: &str) -> anyhow::Result<()> {
    replace(file, text, OPEN)
}

/// Writes a file that only its owner may read.
pub(super) fn keep_secret(file: &Path, text: &str) -> anyhow::Result<()> {
    replace(file, text, SECRET)
}

fn replace(file: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let new = file.with_extension("pem.new");
    let written = || {
        // One that was left behind may have another mode.
        if new.exists() {
            fs::remove_file(&new)?;
        }
        let mut options = OpenOptions::new();
        let mut out = options.write(true).create_new(true).mode(mode).open(&new)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, file)
    };
    written().with_context(|| format!("{} cannot be written", file.display()))
}
