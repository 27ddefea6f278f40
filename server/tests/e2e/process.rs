//! A `tandem` process of a test's own.

use serde_json::Value;
use std::net::SocketAddr;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// Nothing a test waits for takes this long, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command line with a database and without the settings of whoever runs the test.
pub fn command(database: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TANDEM_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).env("TANDEM__DATABASE__URL", database).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn tandem(database: &str, arguments: &[&str]) -> Output {
    timeout(PATIENCE, command(database, arguments).output()).await.unwrap().unwrap()
}

/// Starts a command whose log is JSON, and gives it with the lines of its log.
pub fn logged(database: &str, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>) {
    logged_by(command(database, arguments))
}

/// The same for a command of its own settings.
pub fn logged_by(mut command: Command) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut child = command
        .env("TANDEM__LOG__FORMAT", "json")
        .env("TANDEM__SERVER__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    (child, lines)
}

/// The first line of a JSON log that satisfies a condition. Every line before it must be JSON too.
pub async fn log_line(lines: &mut Lines<BufReader<ChildStderr>>, wanted: impl Fn(&Value) -> bool) -> Value {
    let search = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return line;
            }
        }
    };
    timeout(PATIENCE, search).await.unwrap()
}

/// A running server.
pub struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts `tandem serve` on a free port and waits until it listens.
    pub async fn serve(database: &str, arguments: &[&str]) -> Self {
        let mut command = command(database, &[&["serve"], arguments].concat());
        command.env("TANDEM__SERVER__LISTEN", "127.0.0.1:0");
        Self::start(command).await
    }

    /// Starts a server and waits until it listens.
    pub async fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let address = listening(&mut child).await;
        Self { child, address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The whole answer to a GET, head included.
    pub async fn get(&self, path: &str) -> String {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    /// The whole answer to a POST of JSON, head included.
    pub async fn post(&self, path: &str, token: &str, body: &str) -> String {
        self.post_with(path, token, "", body).await
    }

    /// The same with more headers, each ended by CR LF.
    pub async fn post_with(&self, path: &str, token: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    async fn exchange(&self, request: &str) -> String {
        exchange(self.address, request).await
    }

    /// Kills the process where it stands.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks the process to stop, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        terminate(&mut self.child).await
    }
}

/// The address that a server says it listens on.
pub async fn listening(child: &mut Child) -> SocketAddr {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    line.strip_prefix("listening on http://").unwrap().parse().unwrap()
}

/// Sends a request that asks for the connection to be closed, and reads the answer to its end.
pub async fn exchange(address: SocketAddr, request: &str) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    timeout(PATIENCE, talk).await.unwrap()
}

/// Sends SIGTERM, and waits for the end.
pub async fn terminate(child: &mut Child) -> ExitStatus {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    timeout(PATIENCE, child.wait()).await.unwrap().unwrap()
}
