//! A mail server that keeps what it gets: for demonstrations and tests, never for real mail.
//!
//! It listens on a loopback port and speaks SMTP over real sockets (mailin's session machine), so that what is tried
//! against it is the real path. What it shall do with the next e-mails can be scripted, failures included.

use mailin::{Action, AuthMechanism, Handler, Response, SessionBuilder, response};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// An e-mail that the sink took.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Kept {
    /// The Message-ID without its angle brackets; empty where there was none.
    pub message_id: String,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The message as it came, dots unstuffed.
    pub raw: String,
}

/// What to do with one e-mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// Take it.
    Accept,
    /// Answer MAIL with this code and text.
    AnswerMail(u16, String),
    /// Answer RCPT with this code and text.
    AnswerRcpt(u16, String),
    /// Answer DATA with this code and text.
    AnswerData(u16, String),
    /// Answer the whole message with this code and text.
    AnswerMessage(u16, String),
    /// Close the connection when DATA is said.
    DropBeforeData,
    /// Close the connection in the middle of the message.
    DropInMessage,
    /// Close the connection after the final dot without an answer; keep the e-mail or not.
    DropAfterMessage {
        /// Whether the e-mail is kept all the same.
        keep: bool,
    },
    /// Never answer the message.
    StallAfterMessage,
}

/// How the sink runs.
#[derive(Clone, Default)]
pub struct SinkOptions {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where to append each e-mail as a line of JSON, before it is answered.
    pub file: Option<PathBuf>,
    /// A user and a password that must log in.
    pub login: Option<(String, String)>,
    /// The server side of TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Whether TLS begins with the first byte; otherwise it is offered by STARTTLS.
    pub implicit_tls: bool,
}

#[derive(Default)]
struct State {
    kept: Vec<Kept>,
    scripts: VecDeque<Script>,
    connections: usize,
    file: Option<File>,
}

type Shared = Arc<Mutex<State>>;

fn open(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running sink. It stops when it is dropped.
pub struct Sink {
    address: SocketAddr,
    shared: Shared,
    arrived: watch::Receiver<usize>,
    listener: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Sink {
    /// Starts to listen.
    pub async fn start(options: SinkOptions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;
        let file = match &options.file {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        let shared = Arc::new(Mutex::new(State { file, ..State::default() }));
        let (bell, arrived) = watch::channel(0);
        let (state, bell) = (Arc::clone(&shared), Arc::new(bell));
        let listener = tokio::spawn(async move {
            let mut sessions = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open(&state).connections += 1;
                let (options, state, bell) = (options.clone(), Arc::clone(&state), Arc::clone(&bell));
                // An error ends this one connection, which is all that a client may see of it.
                sessions.spawn(async move { serve(stream, &options, state, bell).await });
                while sessions.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, shared, arrived, listener })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything it took, in the order of arrival.
    pub fn messages(&self) -> Vec<Kept> {
        open(&self.shared).kept.clone()
    }

    /// How many e-mails it took.
    pub fn count(&self) -> usize {
        open(&self.shared).kept.len()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        open(&self.shared).connections
    }

    /// What to do with the next e-mails, one after the other. Without a script an e-mail is taken.
    pub fn script(&self, scripts: impl IntoIterator<Item = Script>) {
        open(&self.shared).scripts.extend(scripts);
    }

    /// Waits until it has taken `count` e-mails altogether.
    pub async fn arrived(&self, count: usize) {
        // The sender lives as long as the listener, which lives as long as `self`.
        let _ = self.arrived.clone().wait_for(|taken| *taken >= count).await;
    }
}

/// What the connection does after the session machine has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Answer,
    Close,
    Stall,
}

struct Keeper {
    shared: Shared,
    bell: Arc<watch::Sender<usize>>,
    login: Option<(String, String)>,
    script: Script,
    after: Arc<Mutex<After>>,
    envelope: (String, Vec<String>),
    raw: Vec<u8>,
}

impl Keeper {
    fn then(&self, after: After) {
        *self.after.lock().unwrap_or_else(PoisonError::into_inner) = after;
    }

    fn log_in(&self, user: &str, password: &str) -> Response {
        match &self.login {
            Some((name, secret)) if name == user && secret == password => response::AUTH_OK,
            _ => response::INVALID_CREDENTIALS,
        }
    }

    fn keep(&mut self) -> io::Result<()> {
        let raw = String::from_utf8_lossy(&std::mem::take(&mut self.raw)).into_owned();
        let (from, to) = std::mem::take(&mut self.envelope);
        let kept = Kept { message_id: message_id(&raw), from, to, raw };
        let mut state = open(&self.shared);
        if let Some(file) = &mut state.file {
            let mut line = serde_json::to_vec(&kept)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        state.kept.push(kept);
        let taken = state.kept.len();
        drop(state);
        self.bell.send_replace(taken);
        Ok(())
    }
}

fn message_id(raw: &str) -> String {
    let head = raw.split("\r\n\r\n").next().unwrap_or_default();
    let found = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("message-id").then(|| value.trim().trim_matches(['<', '>']).to_owned())
    });
    found.unwrap_or_default()
}

impl Handler for Keeper {
    fn mail(&mut self, _ip: IpAddr, _domain: &str, from: &str) -> Response {
        self.script = open(&self.shared).scripts.pop_front().unwrap_or(Script::Accept);
        self.envelope = (from.to_owned(), Vec::new());
        self.raw.clear();
        match &self.script {
            Script::AnswerMail(code, text) => Response::custom(*code, text.clone()),
            _ => response::OK,
        }
    }

    fn rcpt(&mut self, to: &str) -> Response {
        match &self.script {
            Script::AnswerRcpt(code, text) => return Response::custom(*code, text.clone()),
            _ => self.envelope.1.push(to.to_owned()),
        }
        response::OK
    }

    fn data_start(&mut self, _domain: &str, _from: &str, _is8bit: bool, _to: &[String]) -> Response {
        match &self.script {
            Script::AnswerData(code, text) => return Response::custom(*code, text.clone()),
            Script::DropBeforeData => self.then(After::Close),
            _ => {}
        }
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        if self.script == Script::DropInMessage {
            self.then(After::Close);
        }
        self.raw.extend(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        match &self.script {
            Script::AnswerMessage(code, text) => return Response::custom(*code, text.clone()),
            Script::StallAfterMessage => {
                self.then(After::Stall);
                return response::OK;
            }
            Script::DropAfterMessage { keep: false } => {
                self.then(After::Close);
                return response::OK;
            }
            Script::DropAfterMessage { keep: true } => self.then(After::Close),
            _ => {}
        }
        if self.keep().is_ok() { response::OK } else { response::INTERNAL_ERROR }
    }

    fn auth_plain(&mut self, _authorization_id: &str, user: &str, password: &str) -> Response {
        self.log_in(user, password)
    }

    fn auth_login(&mut self, user: &str, password: &str) -> Response {
        self.log_in(user, password)
    }
}

trait Line: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Line for T {}

async fn serve(
    stream: TcpStream,
    options: &SinkOptions,
    shared: Shared,
    bell: Arc<watch::Sender<usize>>,
) -> io::Result<()> {
    let acceptor = options.tls.clone().map(TlsAcceptor::from);
    let mut stream: Box<dyn Line> = match &acceptor {
        Some(acceptor) if options.implicit_tls => Box::new(acceptor.accept(stream).await?),
        _ => Box::new(stream),
    };
    let after = Arc::new(Mutex::new(After::Answer));
    let (login, answer) = (options.login.clone(), Arc::clone(&after));
    let (script, envelope) = (Script::Accept, Default::default());
    let keeper = Keeper { shared, bell, login, script, after: answer, envelope, raw: Vec::new() };
    let mut builder = SessionBuilder::new("sink.localhost");
    if acceptor.is_some() && !options.implicit_tls {
        builder.enable_start_tls();
    }
    if options.login.is_some() {
        builder.enable_auth(AuthMechanism::Plain).enable_auth(AuthMechanism::Login);
        if acceptor.is_none() || options.implicit_tls {
            builder.insecure_enable_plaintext_auth();
        }
    }
    let mut session = builder.build(Ipv4Addr::LOCALHOST.into(), keeper);
    send(&mut stream, &session.greeting()).await?;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let answer = session.process(&line);
        let then = *after.lock().unwrap_or_else(PoisonError::into_inner);
        match then {
            After::Close => return Ok(()),
            // The client's time-out ends it; reading on would only hide that nothing is answered.
            After::Stall => return std::future::pending().await,
            After::Answer => {}
        }
        send(&mut stream, &answer).await?;
        match (&answer.action, &acceptor) {
            (Action::Close, _) => return Ok(()),
            (Action::UpgradeTls, Some(acceptor)) => {
                stream = BufReader::new(Box::new(acceptor.accept(stream.into_inner()).await?));
                session.tls_active();
            }
            _ => {}
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), answer: &Response) -> io::Result<()> {
    let mut bytes = Vec::new();
    answer.write_to(&mut bytes)?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}
