//! One process a data folder.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::StoreError;

/// The right to work in a data folder; dropping it gives it up. The operating system takes it back from a process that died.
#[derive(Debug)]
pub struct FolderLock {
    path: PathBuf,
    // Holds the lock for as long as it is open.
    _file: File,
}

impl FolderLock {
    /// Takes the folder, making it (readable by its owner only) where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`] where another process has it, [`StoreError::Folder`] where it cannot be made or written.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let unusable = |cause| StoreError::Folder {
            path: folder.to_owned(),
            cause,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(unusable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("lock"))
            .map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Only for the sentence: whoever holds the lock may not have written it yet.
                let _ = file.read_to_string(&mut pid);
                return Err(StoreError::Locked {
                    path: folder.to_owned(),
                    pid: pid.trim().parse().ok(),
                });
            }
            Err(errno) => return Err(unusable(errno.into())),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .map_err(unusable)?;
        writeln!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self {
            path: folder.to_owned(),
            _file: file,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_folder_is_refused_with_a_sentence_until_it_is_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let held = FolderLock::take(&data).expect("free");

        let refused = FolderLock::take(&data).expect_err("taken").to_string();
        drop(held);

        assert!(
            refused.contains("in use by another process (process "),
            "{refused}"
        );
        assert!(refused.contains(&data.display().to_string()), "{refused}");
        assert!(FolderLock::take(&data).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = FolderLock::take(Path::new("/proc/no/such")).expect_err("not there");

        assert!(error.to_string().contains("/proc/no/such"), "{error}");
    }
}
