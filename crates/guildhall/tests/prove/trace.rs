//! A sync between each request and its answer, seen from outside: in the system calls of the real server.

use std::{collections::HashMap, path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, bail, ensure};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{
    people::{Outcome, Person},
    server::Server,
};

const POSTS: usize = 50;
/// How long the tracer may take to take hold, or to let go.
const PATIENCE: Duration = Duration::from_secs(20);
/// What shows a request come, a sync, and an answer go.
const CALLS: &str = "trace=read,recvfrom,write,writev,sendto,fdatasync,fsync";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn every_post_is_synced_before_it_is_answered() -> anyhow::Result<()> {
    let seen = run(Server::new()?).await?;

    println!(
        "{} posts, {} synced before the answer",
        seen.answered, seen.synced
    );
    assert_eq!(seen.answered, POSTS, "the trace does not show every post");
    assert_eq!(seen.synced, POSTS, "answered without a sync");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by ./dev prove"]
async fn the_trace_is_red_where_nothing_is_synced() -> anyhow::Result<()> {
    let seen = run(Server::without("unsynced")?).await?;

    assert_eq!(seen.answered, POSTS, "the trace does not show every post");
    assert!(
        seen.synced < POSTS,
        "the proof does not see that nothing is synced"
    );
    Ok(())
}

/// What a trace shows.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Posts that were answered with 200.
    answered: usize,
    /// Those with a sync of the timeline between.
    synced: usize,
}

async fn run(mut server: Server) -> anyhow::Result<Seen> {
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    server.start().await?;
    let author = Person::register(&server.doors(), "author").await?;
    let channel = author.channel_with(&[]).await?;
    let path = format!("/channels/{channel}/messages");

    let trace = server.data().join("calls.trace");
    let mut tracer = attach(server.pid().context("it runs")?, &trace).await?;
    for n in 0..POSTS {
        let body = json!({"text": "to be kept", "key": format!("post-{n}")});
        match author.call(Method::POST, &path, Some(&body)).await {
            Outcome::Done(_) => {}
            other @ (Outcome::Refused(..) | Outcome::Unknown(_)) => bail!("post {n}: {other:?}"),
        }
    }
    let tracer_id = tracer.id().and_then(|id| id.try_into().ok());
    let tracer_id = tracer_id.and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(
        tracer_id.context("the tracer runs")?,
        rustix::process::Signal::INT,
    )?;
    tokio::time::timeout(PATIENCE, tracer.wait())
        .await
        .context("the tracer does not let go")??;
    let seen = read(&std::fs::read_to_string(&trace)?);
    server.stop().await?;
    Ok(seen)
}

/// Has strace look on from now on.
async fn attach(pid: u32, into: &Path) -> anyhow::Result<Child> {
    let mut tracer = Command::new("strace")
        .args(["-f", "-y", "-ttt", "-s", "160", "-e", CALLS, "-o"])
        .arg(into)
        .args(["-p", &pid.to_string()])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("this proof needs strace: install it, or leave the proof out by name")?;
    let mut lines = BufReader::new(tracer.stderr.take().context("a pipe")?).lines();
    let said = tokio::time::timeout(PATIENCE, lines.next_line())
        .await
        .context("strace says nothing")??
        .unwrap_or_default();
    ensure!(
        said.contains("attached"),
        "strace may not look at the server; it needs the right to trace (CAP_SYS_PTRACE, or ptrace_scope 0): {said}"
    );
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(tracer)
}

/// Finds each post and its answer, by connection, and the syncs between.
fn read(trace: &str) -> Seen {
    let mut seen = Seen::default();
    // By connection: how many syncs there had been when its post came.
    let mut waiting: HashMap<&str, usize> = HashMap::new();
    // By thread: the beginning of a call that was interrupted.
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut syncs = 0;
    for line in trace.lines() {
        // "1234  1700000000.123456 sendto(9<socket:[5]>, ..."
        let mut words = line.splitn(2, ' ');
        let (thread, rest) = (words.next().unwrap_or_default(), words.next());
        let call = rest.map_or("", |rest| {
            rest.trim_start()
                .split_once(' ')
                .map_or("", |(_, call)| call)
        });
        let is_begin = call.ends_with("<unfinished ...>");
        let is_end = call.starts_with("<... ");
        let head = if is_end {
            begun.remove(thread).unwrap_or_default()
        } else {
            call
        };
        if is_begin {
            begun.insert(thread, call);
        }
        let name = head.split('(').next().unwrap_or_default();
        let Some(file) = head.split_once('<').and_then(|(_, rest)| {
            // A socket is shown as <socket:[5]> or <TCP:[a->b]>.
            rest.split_once(">,").or_else(|| rest.split_once('>'))
        }) else {
            continue;
        };
        let file = file.0.trim_end_matches(')');
        match name {
            // A sync counts when it is done and well.
            "fdatasync" | "fsync"
                if !is_begin && call.ends_with("= 0") && file.ends_with("timeline.db-wal") =>
            {
                syncs += 1;
            }
            // A request counts as come as late as possible, when it was read.
            "read" | "recvfrom" if !is_begin && call.contains("\"POST /api/v1/channels/") => {
                waiting.insert(file, syncs);
            }
            // An answer counts as gone as early as possible, when its writing began.
            "write" | "writev" | "sendto" => {
                if !is_end
                    && call.contains("\"HTTP/1.1 200")
                    && let Some(before) = waiting.remove(file)
                {
                    seen.answered += 1;
                    seen.synced += usize::from(syncs > before);
                }
            }
            _ => {}
        }
    }
    seen
}

#[test]
fn a_trace_tells_a_synced_answer_from_an_early_one() {
    let trace = r#"10  1.0 recvfrom(9<socket:[5]>, "POST /api/v1/channels/a/messages", 8192, 0, NULL, NULL) = 300
11  1.1 fdatasync(7</d/timeline.db-wal> <unfinished ...>
10  1.2 read(3<anon_inode:[eventfd]>, 0x1, 8) = -1 EAGAIN
11  1.3 <... fdatasync resumed>) = 0
10  1.4 sendto(9<socket:[5]>, "HTTP/1.1 200 OK", 400, MSG_NOSIGNAL, NULL, 0) = 400
10  2.0 recvfrom(9<socket:[5]>, "POST /api/v1/channels/a/messages", 8192, 0, NULL, NULL) = 300
11  2.1 fdatasync(7</d/timeline.db-wal> <unfinished ...>
10  2.2 writev(9<socket:[5]>, [{iov_base="HTTP/1.1 200 OK", iov_len=400}], 1) = 400
11  2.3 <... fdatasync resumed>) = 0
10  3.0 recvfrom(9<socket:[5]>, "POST /api/v1/channels/a/messages", 8192, 0, NULL, NULL) = 300
11  3.1 fdatasync(7</d/auth.db-wal>) = 0
10  3.2 sendto(9<socket:[5]>, "HTTP/1.1 200 OK", 400, MSG_NOSIGNAL, NULL, 0) = 400
"#;

    let seen = read(trace);

    let expected = Seen {
        answered: 3,
        synced: 1,
    };
    assert_eq!(seen, expected);
}
