//! `guildhall certs`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use guildhall_kernel::{Clock, SystemClock};
use guildhall_mesh::link::LinkSettings;
use tempfile::TempDir;

use crate::support::hall::{guildhall, outcome};

async fn certs(dir: &Path, more: &[&str]) -> (bool, String, String) {
    let mut command = guildhall();
    command.arg("certs").arg(dir).args(more);
    let (status, told, wrong) = outcome(command).await;
    (status.success(), told, wrong)
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().expect("plain"))
        .collect();
    names.sort();
    names
}

fn folder() -> (TempDir, PathBuf) {
    let temporary = tempfile::tempdir().expect("a folder");
    let dir = temporary.path().join("certs");
    (temporary, dir)
}

#[tokio::test]
async fn certs_makes_an_authority_and_a_certificate_for_each_role_with_keys_for_their_owner_only() {
    let (_temporary, dir) = folder();

    let (went_well, told, wrong) = certs(&dir, &["--roles", "auth,chat"]).await;

    assert!(went_well, "{wrong}");
    let made = [
        "all-key.pem",
        "all.pem",
        "auth-key.pem",
        "auth.pem",
        "ca-key.pem",
        "ca.pem",
        "chat-key.pem",
        "chat.pem",
    ];
    assert_eq!(files(&dir), made);
    for key in made.iter().filter(|name| name.ends_with("-key.pem")) {
        let mode = fs::metadata(dir.join(key)).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{key}");
    }
    // What it tells to paste is what reads these files.
    let lines = told.lines().skip_while(|line| *line != "[links]").skip(1);
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let pasted: LinkSettings = toml(&lines.join("\n"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    pasted.check_files(&clock).expect("good files");
    assert!(told.contains("small installations"), "{told}");
}

fn toml(text: &str) -> LinkSettings {
    let mut settings = LinkSettings::default();
    for line in text.lines() {
        let (key, value) = line.split_once(" = ").expect("a setting");
        let value = value.trim_matches('"').to_owned();
        match key {
            "ca_file" => settings.ca_file = value,
            "certificate_file" => settings.certificate_file = value,
            "key_file" => settings.key_file = value,
            other => panic!("{other}"),
        }
    }
    settings
}

#[tokio::test]
async fn certs_again_renews_the_certificates_under_the_same_authority() {
    let (_temporary, dir) = folder();
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("there");
    certs(&dir, &[]).await;
    let before = (read("ca.pem"), read("ca-key.pem"), read("chat.pem"));

    let (went_well, told, wrong) = certs(&dir, &["--hours", "1"]).await;

    assert!(went_well, "{wrong}");
    assert!(told.starts_with("kept the authority"), "{told}");
    assert_eq!((read("ca.pem"), read("ca-key.pem")), (before.0, before.1));
    assert_ne!(read("chat.pem"), before.2);
}

#[tokio::test]
async fn an_authority_that_is_not_whole_is_not_replaced() {
    let (_temporary, dir) = folder();
    let (_other, stranger) = folder();
    certs(&dir, &[]).await;
    certs(&stranger, &[]).await;

    fs::copy(stranger.join("ca-key.pem"), dir.join("ca-key.pem")).expect("copies");
    let (mixed, _, why_mixed) = certs(&dir, &[]).await;
    fs::remove_file(dir.join("ca-key.pem")).expect("removes");
    let (half, _, why_half) = certs(&dir, &[]).await;

    assert!(
        !mixed && why_mixed.contains("does not belong"),
        "{why_mixed}"
    );
    assert!(!half && why_half.contains("put it back"), "{why_half}");
}

#[tokio::test]
async fn certs_refuses_what_is_no_role_and_what_lasts_for_ever() {
    let (_temporary, dir) = folder();

    let (role, _, why_role) = certs(&dir, &["--roles", "chaat"]).await;
    let (hours, _, why_hours) = certs(&dir, &["--hours", "100000"]).await;

    assert!(
        !role && why_role.contains("gateway, auth, chat"),
        "{why_role}"
    );
    assert!(!hours && why_hours.contains("8760"), "{why_hours}");
    assert!(!dir.exists());
}
