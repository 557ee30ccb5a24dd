//! Questions about the data folder and the files that settings name.

use std::{
    fs::{self, File},
    io::BufReader,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use guildhall_store::{FolderLock, inspect::inspect};
use rustix::fs::statvfs;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use super::Finding;
use crate::hall::FILES;

/// With less room than this a hall should not run.
const SCARCE: u64 = 1 << 30;
/// With less it does not for long.
const HARDLY_ANY: u64 = 100 << 20;

/// Whether the folder can be used.
pub fn folder(folder: &Path, is_running: bool) -> Vec<Finding> {
    let shown = folder.display();
    let Ok(found) = fs::metadata(folder) else {
        return vec![Finding::good(format!(
            "there is no folder {shown} yet; serve makes it"
        ))];
    };
    if !found.is_dir() {
        return vec![Finding::wrong(
            format!("{shown} is no folder"),
            "set data to a folder",
        )];
    }
    let mut findings = Vec::new();
    let mode = found.permissions().mode() & 0o777;
    let others = mode & 0o077;
    findings.push(if others == 0 {
        Finding::good(format!("{shown} is readable by its owner only"))
    } else {
        Finding::beware(
            format!(
                "{shown} is open to others (mode {mode:o}), and it holds keys and password hashes"
            ),
            format!("chmod 700 {shown}"),
        )
    });
    findings.extend(room(folder));
    // A running hall holds the lock, and has just answered for itself.
    if !is_running && let Err(error) = FolderLock::take(folder) {
        findings.push(Finding::wrong(
            error.to_string(),
            "if that is a hall, give doctor its admin_listen; if it hangs, stop it",
        ));
    }
    findings
}

fn room(folder: &Path) -> Option<Finding> {
    let disk = statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let told = format!(
        "{} MiB are free on the disk of {}",
        free >> 20,
        folder.display()
    );
    let what_to_do = "make room, or move the folder to a larger disk while the hall is stopped";
    Some(match free {
        ..HARDLY_ANY => Finding::wrong(told, what_to_do),
        HARDLY_ANY..SCARCE => Finding::beware(told, what_to_do),
        SCARCE.. => Finding::good(told),
    })
}

/// Whether the databases are sound.
pub fn files(folder: &Path) -> Vec<Finding> {
    let there = FILES
        .iter()
        .map(|name| folder.join(name))
        .filter(|path| path.is_file());
    there.map(|path| file(&path)).collect()
}

fn file(path: &Path) -> Finding {
    let shown = path.display();
    let what_to_do = "stop the hall, keep a copy of the folder, and restore the last backup";
    match inspect(path) {
        Err(error) => Finding::wrong(format!("{:#}", anyhow::Error::from(error)), what_to_do),
        Ok(found) if found.faults.is_empty() => {
            let changes = found
                .changes
                .map(|count| format!(", {count} changes of its tables"));
            Finding::good(format!(
                "{shown} is sound: {} KiB{}",
                found.bytes >> 10,
                changes.unwrap_or_default()
            ))
        }
        Ok(found) => Finding::wrong(
            format!("{shown} is damaged: {}", found.faults.join("; ")),
            what_to_do,
        ),
    }
}

/// Whether certificate and key can be read.
pub fn certificate(cert: &Path, key: &Path) -> Vec<Finding> {
    let certificates = open(cert).and_then(|file| {
        let read: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(file).collect();
        match read {
            Ok(some) if !some.is_empty() => Ok(()),
            Ok(_) => Err("holds no certificate".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    let key_read = open(key).and_then(|file| {
        PrivateKeyDer::from_pem_reader(file)
            .map(drop)
            .map_err(|error| error.to_string())
    });
    [
        ("gateway.tls_cert", cert, certificates),
        ("gateway.tls_key", key, key_read),
    ]
    .into_iter()
    .map(|(setting, path, read)| match read {
        Ok(()) => Finding::good(format!("{setting} {} can be read", path.display())),
        Err(wrong) => Finding::wrong(
            format!("{setting} {}: {wrong}", path.display()),
            "a PEM file is wanted, readable by the user who runs the hall",
        ),
    })
    .collect()
}

fn open(path: &Path) -> Result<BufReader<File>, String> {
    File::open(path)
        .map(BufReader::new)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_folder_that_others_may_read_is_a_danger() {
        let data = tempfile::tempdir().expect("a folder");
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o755)).expect("its owner may");

        let found = folder(data.path(), false);

        assert!(matches!(found[0].verdict, Verdict::Beware(_)), "{found:?}");
    }

    #[test]
    fn a_folder_in_use_by_what_does_not_answer_is_wrong() {
        let data = tempfile::tempdir().expect("a folder");
        let _held = FolderLock::take(data.path()).expect("free");

        let last = |is_running| {
            folder(data.path(), is_running)
                .pop()
                .expect("found something")
        };

        assert!(matches!(last(false).verdict, Verdict::Wrong(_)));
        assert!(!matches!(last(true).verdict, Verdict::Wrong(_)));
    }

    #[test]
    fn a_file_that_is_no_database_is_wrong() {
        let data = tempfile::tempdir().expect("a folder");
        fs::write(data.path().join("chat.db"), "not one ".repeat(1000)).expect("writes");

        let found = files(data.path());

        assert!(matches!(found[0].verdict, Verdict::Wrong(_)), "{found:?}");
    }

    #[test]
    fn a_certificate_that_is_none_is_wrong_by_the_name_of_its_setting() {
        let folder = tempfile::tempdir().expect("a folder");
        let cert = folder.path().join("cert.pem");
        fs::write(&cert, "-----BEGIN NOTHING-----\n").expect("writes");

        let found = certificate(&cert, &folder.path().join("absent.pem"));

        assert!(
            found
                .iter()
                .all(|one| matches!(one.verdict, Verdict::Wrong(_))),
            "{found:?}"
        );
        assert!(
            found[0].what.starts_with("gateway.tls_cert")
                && found[1].what.starts_with("gateway.tls_key")
        );
    }
}
