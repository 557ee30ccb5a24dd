//! The other words of the command.

use std::{fs, path::PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::support::{
    Hall as _, OneProcess, Person,
    hall::{guildhall, outcome, serve},
    http, soon,
};

#[tokio::test]
async fn a_seeded_hall_has_a_team_that_talks_and_a_repeat_adds_nothing() {
    let hall = OneProcess::start().await;
    let seed = || {
        let mut command = guildhall();
        command.args(["seed", "--hall", &format!("http://{}", hall.http())]);
        command
    };

    let (first, told, progress) = outcome(seed()).await;
    let mira = sign_in(&hall, "mira").await;
    let before = mira.get("/channels").await;
    let (second, _, _) = outcome(seed()).await;

    assert!(first.success() && second.success(), "{told} {progress}");
    assert!(told.contains("mira") && told.contains("password"), "{told}");
    assert!(progress.contains("talking in general"), "{progress}");
    assert_eq!(
        before["channels"].as_array().map(Vec::len),
        Some(5),
        "{before}"
    );
    assert_eq!(mira.get("/channels").await["channels"], before["channels"]);
}

async fn sign_in(hall: &OneProcess, name: &str) -> Person {
    let login = json!({ "username": name, "password": "lanterns-over-the-quay" });
    let answer = http()
        .post(format!("http://{}/api/v1/auth/login", hall.http()))
        .json(&login)
        .send()
        .await;
    let answer: Value = answer.expect("answers").json().await.expect("JSON");
    Person::known(hall, name, &answer)
}

#[tokio::test]
async fn where_no_hall_answers_seed_says_so() {
    let mut command = guildhall();
    command.args(["seed", "--hall", "http://127.0.0.1:1"]);

    let (status, _, stderr) = outcome(command).await;

    assert_eq!(status.code(), Some(1));
    assert!(
        stderr.contains("no hall answers at http://127.0.0.1:1"),
        "{stderr}"
    );
}

#[tokio::test]
async fn seed_knows_the_authorities_that_the_machine_knows_and_those_it_is_given() {
    let (hall, authority, _folder) = hall_with_tls().await;
    let at = format!("https://localhost:{}", hall.http().port());
    let mut known = guildhall();
    known
        .args(["seed", "--hall", &at])
        .env("SSL_CERT_FILE", &authority);
    let mut given = guildhall();
    given
        .args(["seed", "--hall", &at, "--ca"])
        .arg(&authority)
        .env("SSL_CERT_FILE", "/no/such/file");

    let (known, _, told) = outcome(known).await;
    let (given, _, told_too) = outcome(given).await;

    assert!(known.success(), "{told}");
    assert!(given.success(), "{told_too}");
}

#[tokio::test]
async fn where_seed_cannot_speak_with_a_hall_it_says_why_and_what_to_do() {
    let (secure, authority, folder) = hall_with_tls().await;
    let plain = OneProcess::start().await;
    let (secure, plain) = (secure.http(), plain.http());
    let stranger = folder.path().join("stranger.pem");
    let made = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).expect("made");
    fs::write(&stranger, made.cert.pem()).expect("writes");
    let port = secure.port();

    for (hall, known, words) in [
        (
            format!("https://localhost:{port}"),
            &stranger,
            ["signed by nobody whom this machine knows", "--ca FILE"],
        ),
        (
            format!("https://127.0.0.1:{port}"),
            &authority,
            ["is for another name", "--hall https://localhost"],
        ),
        (
            format!("http://localhost:{port}"),
            &authority,
            ["speaks no plain http", "--hall https://localhost"],
        ),
        (
            format!("https://{plain}"),
            &authority,
            ["speaks no TLS", "--hall http://127.0.0.1"],
        ),
    ] {
        let mut command = guildhall();
        command
            .args(["seed", "--hall", &hall])
            .env("SSL_CERT_FILE", known);

        let (status, _, stderr) = outcome(command).await;

        assert_eq!(status.code(), Some(1), "{hall}: {stderr}");
        for words in words {
            assert!(stderr.contains(words), "{hall}: {stderr}");
        }
        assert!(!stderr.contains("start one"), "{hall}: {stderr}");
    }
}

/// A hall with a certificate for `localhost`, and the file of who vouches for it.
async fn hall_with_tls() -> (OneProcess, PathBuf, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    fs::write(&cert, made.cert.pem()).expect("writes");
    fs::write(&key, made.signing_key.serialize_pem()).expect("writes");
    let mut command = serve(&folder.path().join("data"));
    command.arg("--tls-cert").arg(&cert);
    command.arg("--tls-key").arg(&key);
    let hall = OneProcess::of(command, &folder.path().join("data")).await;
    (hall, cert, folder)
}

#[tokio::test]
async fn an_operator_gives_a_new_password_to_a_stopped_hall_only() {
    let mut hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let change = || {
        let mut command = guildhall();
        command
            .args(["admin", "--data"])
            .arg(hall.data())
            .args(["password", "Alice"]);
        command.stdin(std::process::Stdio::piped());
        command
    };
    let running = type_in(change(), "another walk entirely\n").await;
    let data = change();

    hall.signal(Signal::TERM);
    hall.end().await;
    let stopped = type_in(data, "another walk entirely\n").await;
    let weak = {
        let mut command = guildhall();
        command
            .args(["admin", "--data"])
            .arg(hall.data())
            .args(["password", "alice"]);
        command.stdin(std::process::Stdio::piped());
        type_in(command, "short\n").await
    };
    let nobody = {
        let mut command = guildhall();
        command
            .args(["admin", "--data"])
            .arg(hall.data())
            .args(["password", "nobody"]);
        command.stdin(std::process::Stdio::piped());
        type_in(command, "another walk entirely\n").await
    };
    let again = OneProcess::on(hall.data()).await;
    let login = json!({ "username": "alice", "password": "another walk entirely" });
    let entered = http()
        .post(format!("http://{}/api/v1/auth/login", again.http()))
        .json(&login)
        .send()
        .await;
    let old = http()
        .get(format!("http://{}/api/v1/auth/me", again.http()))
        .bearer_auth(&alice.token)
        .send()
        .await;

    assert!(
        !running.0 && running.1.contains("in use by another process"),
        "{running:?}"
    );
    assert!(
        stopped.0 && stopped.1.contains("has a new password"),
        "{stopped:?}"
    );
    assert!(!weak.0 && !nobody.0, "{weak:?} {nobody:?}");
    assert!(
        weak.1.contains("alice keeps the old password")
            && weak.1.contains("password: must be 8 to 256 characters")
            && weak.1.contains("run it again"),
        "{weak:?}"
    );
    assert!(
        nobody.1.contains("nobody: no such account") && nobody.1.contains("--data"),
        "{nobody:?}"
    );
    assert_eq!(entered.expect("answers").status(), 200);
    assert_eq!(old.expect("answers").status(), 401);
}

async fn type_in(mut command: tokio::process::Command, text: &str) -> (bool, String) {
    let mut child = command.spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    // It may have refused before it reads.
    let _ = stdin.write_all(text.as_bytes()).await;
    drop(stdin);
    let output = soon("the command", child.wait_with_output())
        .await
        .expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[tokio::test]
async fn doctor_finds_a_running_hall_well_and_a_damaged_file_wrong() {
    let mut hall = OneProcess::start().await;
    let doctor = |admin: &str| {
        let mut command = guildhall();
        command
            .args([
                "doctor",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                admin,
                "--data",
            ])
            .arg(hall.data());
        command
    };
    let well = doctor(&hall.admin().to_string());
    let ill = doctor("127.0.0.1:0");
    let (status, stdout, _) = outcome(well).await;
    assert!(status.success() && stdout.contains("and ready"), "{stdout}");
    assert!(stdout.contains("timeline.db is sound"), "{stdout}");

    hall.signal(Signal::TERM);
    hall.end().await;
    fs::write(
        hall.data().join("chat.db"),
        "nothing like a database".repeat(500),
    )
    .expect("writes");
    let (status, stdout, _) = outcome(ill).await;

    assert_eq!(status.code(), Some(1), "{stdout}");
    assert!(
        stdout.contains("wrong") && stdout.contains("chat.db"),
        "{stdout}"
    );
    assert!(stdout.contains("backup"), "{stdout}");
}

#[tokio::test]
async fn config_prints_what_is_in_force_and_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hall.toml");
    fs::write(&file, "[auth]\nregistration = 'closed'\n").expect("writes");
    let mut command = guildhall();
    command
        .arg("--config")
        .arg(&file)
        .args(["config", "--listen", "127.0.0.1:1234"]);
    command.env("GUILDHALL_TELEMETRY__LOG", "debug");

    let (status, stdout, _) = outcome(command).await;

    let line = |start: &str| {
        stdout
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_default()
    };
    assert!(status.success());
    assert!(line("listen").ends_with("# command line"), "{stdout}");
    assert!(
        line("registration = \"closed\"").ends_with(&format!("# {}", file.display())),
        "{stdout}"
    );
    assert!(
        line("log = \"debug\"").ends_with("# GUILDHALL_TELEMETRY__LOG"),
        "{stdout}"
    );
    assert!(line("data").ends_with("# default"), "{stdout}");
}

#[tokio::test]
async fn openapi_prints_what_the_hall_serves() {
    let hall = OneProcess::start().await;
    let mut command = guildhall();
    command.arg("openapi");

    let (status, stdout, _) = outcome(command).await;
    let served = http()
        .get(format!("http://{}/openapi.json", hall.http()))
        .send()
        .await;
    let served: Value = served.expect("answers").json().await.expect("JSON");

    assert!(status.success());
    assert_eq!(
        serde_json::from_str::<Value>(&stdout).expect("JSON")["paths"],
        served["paths"]
    );
}
