//! Servers of a test's own, which it may kill, freeze and rob of their files.

use std::{
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use guildhall_mesh::Tasks;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// A nats-server with JetStream that syncs what it acknowledges. It dies with the test.
pub(crate) struct Server {
    binary: PathBuf,
    port: u16,
    files: tempfile::TempDir,
    process: Option<Child>,
}

impl Server {
    /// Starts one from the binary of `./dev infra`; `None` where there is none, which was said.
    pub(crate) async fn start() -> Option<Self> {
        let binary = binary().await?;
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = socket.local_addr().expect("bound").port();
        drop(socket);
        let files = tempfile::tempdir().expect("a folder");
        let config = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", sync_interval: always, max_mem: 64MB, max_file: 256MB }}\n",
            files.path().join("jetstream").display(),
        );
        std::fs::write(files.path().join("server.conf"), config).expect("writes");
        let mut server = Self {
            binary,
            port,
            files,
            process: None,
        };
        server.run().await;
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it again on its files, and waits until it accepts connections.
    pub(crate) async fn run(&mut self) {
        let process = Command::new(&self.binary)
            .arg("--config")
            .arg(self.files.path().join("server.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("starts"));
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not accept connections");
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("ours");
            process.wait().expect("ends");
        }
    }

    /// Takes its files away.
    pub(crate) fn wipe(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.files.path().join("jetstream")).expect("wipes");
    }

    /// Stops it where it is, connections and all.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("runs");
        let sent = Command::new("kill")
            .arg(signal)
            .arg(process.id().to_string())
            .status();
        assert!(sent.expect("kill").success(), "{signal}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program of the server that tests share; `None` where there is none, which was said.
async fn binary() -> Option<PathBuf> {
    guildhall_testkit::infra::nats().await?;
    let folder = std::env::var_os("GUILDHALL_INFRA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/infra"),
        PathBuf::from,
    );
    let addresses = std::fs::read_to_string(folder.join("env")).expect("it was read before");
    let told = addresses
        .lines()
        .find_map(|line| line.strip_prefix("NATS_SERVER="));
    if told.is_none() {
        let why = "no NATS_SERVER among the addresses, the program to start another server from";
        let required = std::env::var("GUILDHALL_INFRA_REQUIRED").unwrap_or_default();
        assert!(required != "1" && !required.contains("NATS"), "{why}");
        // Past the capture of the test's output. What cannot be said is no reason to fail.
        let _unsaid = writeln!(std::io::stderr(), "SKIPPED a fault of the bus: {why}");
    }
    told.map(PathBuf::from)
}

/// Something that greets like a server of that version, and where nobody ever listens.
pub(crate) async fn old_server(version: &str) -> (String, Tasks) {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let port = socket.local_addr().expect("bound").port();
    let greeting = format!(
        "INFO {{\"server_id\":\"OLD\",\"version\":\"{version}\",\"proto\":1,\"headers\":true,\"max_payload\":1048576,\"jetstream\":true}}\r\n"
    );
    let tasks = Tasks::new();
    tasks.spawn("old server", async move {
        while let Ok((stream, _)) = socket.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            if write.write_all(greeting.as_bytes()).await.is_err() {
                continue;
            }
            while let Ok(Some(line)) = lines.next_line().await {
                let mut words = line.split(' ');
                let answer = match (words.next(), words.nth(1)) {
                    (Some("PING"), _) => "PONG\r\n".to_owned(),
                    (Some("PUB"), Some(reply)) => {
                        let head = "NATS/1.0 503\r\n\r\n";
                        format!("HMSG {reply} 0 {0} {0}\r\n{head}\r\n", head.len())
                    }
                    _ => continue,
                };
                if write.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (format!("nats://127.0.0.1:{port}"), tasks)
}
