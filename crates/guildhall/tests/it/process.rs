//! How the process begins and ends.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Hall as _, OneProcess, Person,
    hall::{guildhall, outcome, serve},
    http, soon,
};

#[tokio::test]
async fn a_second_process_on_the_same_data_is_refused_with_a_sentence() {
    let hall = OneProcess::start().await;

    let (status, stdout, stderr) = outcome(serve(hall.data())).await;

    assert_eq!(status.code(), Some(1));
    assert!(stdout.is_empty(), "{stdout}");
    assert!(stderr.contains("in use by another process"), "{stderr}");
    assert!(
        stderr.contains(&hall.data().display().to_string()),
        "{stderr}"
    );
}

#[tokio::test]
async fn the_data_is_readable_by_its_owner_only() {
    let hall = OneProcess::start().await;

    let mode = |path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;

    assert_eq!(mode(hall.data().to_owned()), 0o700);
    for file in fs::read_dir(hall.data()).expect("a folder") {
        let path = file.expect("a file").path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn told_to_stop_it_says_goodbye_to_its_readers_and_exits_with_0() {
    for (signal, wire) in [
        (Signal::TERM, "socket"),
        (Signal::INT, "open"),
        (Signal::TERM, "events"),
    ] {
        let mut hall = OneProcess::start().await;
        let alice = Person::register(&hall, "alice").await;
        let mut live = match wire {
            "socket" => alice.socket(json!({})).await,
            "open" => alice.open(json!({})).await,
            _ => alice.events("", None).await,
        };
        live.next("ready").await;

        hall.signal(signal);

        live.next("bye").await;
        if wire == "socket" {
            assert_eq!(live.next("closed").await["closed"], json!(1012));
        }
        // Its reader has not let go: the hall does not wait for that.
        let end = tokio::time::timeout(Duration::from_secs(5), hall.end()).await;
        let end = end.unwrap_or_else(|_| panic!("{wire}: still running"));
        assert_eq!(end.code(), Some(0), "{wire}");
    }
}

#[tokio::test]
async fn a_call_that_is_under_way_is_finished_before_the_end() {
    let mut hall = OneProcess::start().await;
    let alice = Person::register(&hall, "alice").await;
    let bob = Person::register(&hall, "bob").await;
    let channel = alice.direct(&bob).await;
    let text = "x".repeat(8_000);
    let body = json!({ "text": text, "key": "slow" }).to_string();
    let mut socket = tokio::net::TcpStream::connect(hall.http())
        .await
        .expect("connects");
    let head = format!(
        "POST /api/v1/channels/{channel}/messages HTTP/1.1\r\nhost: hall\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        alice.token,
        body.len()
    );
    socket.write_all(head.as_bytes()).await.expect("sends");
    socket
        .write_all(&body.as_bytes()[..4_000])
        .await
        .expect("sends");
    // The hall has read the first half when it has answered somebody who came later.
    alice.get("/auth/me").await;

    hall.signal(Signal::TERM);
    socket
        .write_all(&body.as_bytes()[4_000..])
        .await
        .expect("sends");
    let mut answer = vec![0; 12];
    soon("an answer", socket.read_exact(&mut answer))
        .await
        .expect("an answer");

    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200");
    drop(socket);
    assert_eq!(hall.end().await.code(), Some(0));
}

#[tokio::test]
async fn told_twice_it_ends_at_once() {
    let mut hall = OneProcess::start().await;
    // A call that never ends would take all of the grace.
    let mut socket = tokio::net::TcpStream::connect(hall.http())
        .await
        .expect("connects");
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nhost: hall\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    socket.write_all(head.as_bytes()).await.expect("sends");
    let admin = hall.admin();

    hall.signal(Signal::TERM);
    soon("the first signal to be heard", async {
        while ready(admin).await.0 == 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    hall.signal(Signal::TERM);

    let end = tokio::time::timeout(Duration::from_secs(2), hall.end()).await;
    assert_eq!(end.expect("at once").code(), Some(130));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("bound").to_string();
    let file = folder.path().join("hall.toml");
    fs::write(&file, "[auth]\nregistraton = 'open'\n").expect("writes");
    let file = file.to_str().expect("text");

    for (arguments, variable, named) in [
        (vec!["--config", file], None, "auth.registraton"),
        (vec!["--config", "/no/such/file"], None, "/no/such/file"),
        (
            vec![],
            Some(("GUILDHALL_CHAT__COLOUR", "blue")),
            "GUILDHALL_CHAT__COLOUR",
        ),
        (
            vec![],
            Some(("GUILDHALL_GATEWAY__LISTEN", "everywhere")),
            "gateway.listen",
        ),
        (
            vec![],
            Some(("GUILDHALL_TELEMETRY__LOG", "a=loud")),
            "telemetry.log",
        ),
        (
            vec![],
            Some(("GUILDHALL_TELEMETRY__OTLP_ENDPOINT", "collector")),
            "telemetry.otlp_endpoint",
        ),
        (
            vec![],
            Some(("GUILDHALL_AUTH__ACCESS_MINUTES", "600")),
            "auth.access_minutes",
        ),
        (
            vec!["--tls-cert", "/no/cert", "--tls-key", "/no/key"],
            None,
            "tls_cert",
        ),
        (
            vec!["--listen", &taken, "--admin-listen", &taken],
            None,
            "admin_listen",
        ),
    ] {
        let mut command = guildhall();
        command
            .arg("serve")
            .arg("--data")
            .arg(&data)
            .args(&arguments)
            .envs(variable);

        let (status, stdout, stderr) = outcome(command).await;

        assert_eq!(
            (status.code(), stdout.as_str()),
            (Some(1), ""),
            "{arguments:?} {variable:?}: {stderr}"
        );
        assert!(
            stderr.contains(named),
            "{arguments:?} {variable:?}: {stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[tokio::test]
async fn what_serve_refuses_doctor_refuses_in_the_same_words_and_nothing_is_made() {
    for (settings, named) in [
        ("[limits]\nwrite_burst = 0", "limits.write_burst"),
        ("[limits]\nremembered = 0", "limits.remembered"),
        (
            "[gateway]\npublic_origins = ['http://x']",
            "gateway.public_origins",
        ),
        ("[gateway]\norigins = ['*']", "gateway.origins"),
        (
            "[gateway]\ntrusted_proxies = ['me']",
            "gateway.trusted_proxies",
        ),
        ("[gateway]\ncalls = 0", "gateway.calls"),
        ("[gateway]\nbody_seconds = 0", "gateway.body_seconds"),
        ("[gateway]\ntls_cert = 'cert.pem'", "gateway.tls_key"),
        ("[gateway]\nlisten = 'everywhere'", "gateway.listen"),
        ("[telemetry]\nlog = 'bogus=zzz'", "telemetry.log"),
        (
            "[telemetry]\notlp_endpoint = 'collector'",
            "telemetry.otlp_endpoint",
        ),
        ("[auth]\nkey_days = 0", "auth.key_days"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let file = folder.path().join("hall.toml");
        fs::write(&file, settings).expect("writes");
        let word = |word: &str| {
            let mut command = guildhall();
            command.arg("--config").arg(&file).args([word, "--data"]);
            command.arg(&data);
            outcome(command)
        };

        let (served, _, refused) = word("serve").await;
        let (asked, found, _) = word("doctor").await;

        assert_eq!(served.code(), Some(1), "{settings}: {refused}");
        assert_eq!(asked.code(), Some(1), "{settings}: {found}");
        let words = refused.trim().trim_start_matches("guildhall: ");
        assert!(words.starts_with(&format!("setting {named}: ")), "{words}");
        assert!(found.contains(words), "{settings}: {found}");
        assert!(!data.exists(), "{settings}: something was made");
    }
}

#[tokio::test]
async fn a_setting_that_does_not_exist_is_named_as_it_was_written_with_what_to_do() {
    for (variable, value, told, advice) in [
        (
            "GUILDHALL_FOO",
            "1",
            "setting foo (from GUILDHALL_FOO): ",
            "`guildhall config --example` lists",
        ),
        (
            "GUILDHALL_AUTH__FOO",
            "1",
            "setting auth.foo (from GUILDHALL_AUTH__FOO): ",
            "`guildhall config --example` lists",
        ),
        (
            "GUILDHALL_SHOUTING__LOUD",
            "1",
            "setting shouting (from GUILDHALL_SHOUTING__LOUD): ",
            "`guildhall config --example` lists",
        ),
        (
            "GUILDHALL_AUTH__REGISTRATON",
            "open",
            "setting auth.registraton (from GUILDHALL_AUTH__REGISTRATON): ",
            "auth.registration",
        ),
        (
            "GUILDHALL_REGISTRATION",
            "open",
            "setting registration (from GUILDHALL_REGISTRATION): ",
            "auth.registration",
        ),
        (
            "GUILDHALL_AUTH__REGISTRATION",
            "maybe",
            "setting auth.registration (from GUILDHALL_AUTH__REGISTRATION): ",
            "open or closed",
        ),
    ] {
        let mut command = guildhall();
        command.arg("config").env(variable, value);

        let (status, _, stderr) = outcome(command).await;

        assert_eq!(status.code(), Some(1), "{variable}: {stderr}");
        assert!(stderr.contains(told), "{variable}: {stderr}");
        assert!(stderr.contains(advice), "{variable}: {stderr}");
        assert!(stderr.matches('`').count() <= 2, "{variable}: {stderr}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_names_its_setting_and_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();

    for (flag, setting) in [
        ("--listen", "gateway.listen"),
        ("--admin-listen", "admin_listen"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = serve(folder.path());
        // The later one of two flags would be refused, so this one stands where the free port stood.
        command = replace(&command, flag, &address);

        let (status, _, stderr) = outcome(command).await;

        assert_eq!(status.code(), Some(1), "{stderr}");
        let words = format!("setting {setting}: cannot listen on {address}");
        assert!(stderr.contains(&words), "{stderr}");
        assert!(stderr.contains("another port"), "{stderr}");
    }
}

fn replace(command: &tokio::process::Command, flag: &str, value: &str) -> tokio::process::Command {
    let mut fresh = guildhall();
    let mut arguments: Vec<_> = command.as_std().get_args().map(ToOwned::to_owned).collect();
    let at = arguments
        .iter()
        .position(|argument| argument == flag)
        .expect("is there");
    arguments[at + 1] = value.into();
    fresh.args(arguments);
    fresh
}

#[tokio::test]
async fn operators_see_health_readiness_and_metrics() {
    let hall = OneProcess::start().await;
    Person::register(&hall, "alice").await;

    let (status, report) = ready(hall.admin()).await;
    let get = async |path: &str| {
        let answer = http()
            .get(format!("http://{}{path}", hall.admin()))
            .send()
            .await;
        answer.expect("answers").text().await.expect("text")
    };
    let metrics = get("/metrics").await;

    assert_eq!((status, &report["ready"]), (200, &json!(true)), "{report}");
    assert_eq!(get("/healthz").await, "ok\n");
    let register = metrics.lines().find(|line| {
        line.starts_with("guildhall_rpc_seconds_count")
            && line.contains("rpc=\"Register\"")
            && line.contains("code=\"OK\"")
    });
    assert!(
        register.is_some_and(|line| line.ends_with(" 1")),
        "{register:?}"
    );
    assert!(
        metrics.contains("process_resident_memory_bytes"),
        "{metrics}"
    );
}

async fn ready(admin: std::net::SocketAddr) -> (u16, Value) {
    let answer = http()
        .get(format!("http://{admin}/readyz"))
        .send()
        .await
        .expect("answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}
