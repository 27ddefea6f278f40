//! The connection: commands go out one at a time, and what comes back is read up to here and no further.
//!
//! Whoever is at the other end can make nobody wait longer than the time-outs say, and nobody hold more than the limits
//! below. A literal is held as it comes: what a server announces costs nothing.

use super::answer::{Heard, Status, announced, read};
use super::error::ImapError;
use super::settings::ImapSettings;
use super::tls::Tls;
use super::words::{quoted, shown};
use super::{AT_ONCE, LARGEST_PART};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// The longest line, in bytes. The longest that is honest says what a search found: some 400,000 messages.
const LONGEST_LINE: usize = 4 << 20;
/// The most bytes between a command and the end of its answer: as many as the messages have that are asked for at once,
/// and a line.
const LONGEST_ANSWER: usize = AT_ONCE * LARGEST_PART + LONGEST_LINE;
/// How long a good-bye may take.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// What bytes go over.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What a server made of a command: it did it, or it says why not.
pub(super) type Verdict = Result<(), String>;

/// A connection to the mail server.
pub(super) struct Line {
    wire: BufReader<Box<dyn Wire>>,
    secrets: Vec<String>,
    connecting: Duration,
    command: Duration,
    /// How long all of it may take, and when that is over.
    all: Duration,
    until: Instant,
    asked: u32,
}

impl Line {
    /// Connects, without a word.
    pub(super) async fn connect(settings: &ImapSettings) -> Result<Self, ImapError> {
        let (place, limit) = (settings.place(), settings.connect_timeout());
        let (all, begun) = (settings.look_timeout(), Instant::now());
        let stream = timeout(limit, TcpStream::connect((settings.host.as_str(), settings.port())))
            .await
            .map_err(|_| ImapError::Timeout(format!("no connection to {place} within {limit:?}")))?
            .map_err(|cause| ImapError::Unreachable(format!("{place}: {cause}")))?;
        stream.set_nodelay(true).map_err(|cause| broken(&cause))?;
        Ok(Self {
            wire: BufReader::new(Box::new(stream)),
            // As it is, and as it is written in a command.
            secrets: vec![settings.password.clone(), quoted(&settings.password)],
            connecting: limit,
            command: settings.command_timeout(),
            all,
            until: begun + all,
            asked: 0,
        })
    }

    /// What is not to be shown even if the server says it.
    pub(super) fn keep(&mut self, secret: String) {
        self.secrets.push(secret);
    }

    /// Goes on under TLS. Whatever somebody on the way has said before cannot be told from what the server says after,
    /// so there must be nothing of it left.
    pub(super) async fn protect(mut self, tls: &Tls) -> Result<Self, ImapError> {
        if !self.wire.buffer().is_empty() {
            return Err(ImapError::Tls("there was more to read before the connection was protected".to_owned()));
        }
        let wire = timeout(self.connecting, tls.protect(self.wire.into_inner())).await;
        let late = |_| ImapError::Timeout(format!("no agreement on TLS within {:?}", self.connecting));
        self.wire = BufReader::new(wire.map_err(late)??);
        Ok(self)
    }

    /// Listens to what the server says first.
    pub(super) async fn greeting(&mut self) -> Result<(), ImapError> {
        let limit = self.connecting;
        let raw = timeout(limit, self.response(LONGEST_LINE))
            .await
            .map_err(|_| ImapError::Timeout(format!("no greeting within {limit:?}")))??;
        match read(&raw) {
            Some(Heard::Said { status: Status::Ok, .. }) => Ok(()),
            Some(Heard::Said { status: Status::Bye, text }) => Err(self.turned_away(text)),
            // Who is let in unasked could be anybody, and before TLS it is too late for it.
            Some(Heard::Said { status: Status::Preauth, .. }) => {
                Err(ImapError::Protocol("it lets everybody in without a password (PREAUTH)".to_owned()))
            }
            _ => Err(self.not_imap(&raw)),
        }
    }

    /// Gives a command, and what it has left to say when the server asks to go on. `hear` gets all that is said before
    /// the verdict. The arguments are in no error.
    pub(super) async fn ask(
        &mut self,
        name: &str,
        arguments: &str,
        rest: Option<&str>,
        hear: impl FnMut(Heard<'_>) + Send,
    ) -> Result<Verdict, ImapError> {
        let (command, all) = (self.command, self.all);
        let left = self.until.saturating_duration_since(Instant::now());
        let answer = timeout(command.min(left), self.converse(name, arguments, rest, hear)).await;
        answer.unwrap_or_else(|_| {
            let limit = if left < command { all } else { command };
            Err(ImapError::Timeout(format!("no end of the answer to {name} within {limit:?}")))
        })
    }

    async fn converse(
        &mut self,
        name: &str,
        arguments: &str,
        mut rest: Option<&str>,
        mut hear: impl FnMut(Heard<'_>) + Send,
    ) -> Result<Verdict, ImapError> {
        self.asked = self.asked.wrapping_add(1);
        let tag = format!("T{}", self.asked);
        let space = if arguments.is_empty() { "" } else { " " };
        self.say(&format!("{tag} {name}{space}{arguments}\r\n")).await?;
        let mut room = LONGEST_ANSWER;
        loop {
            let raw = self.response(room).await?;
            room = room.saturating_sub(raw.len());
            match read(&raw) {
                Some(Heard::Done { tag: given, status, text }) if given == tag.as_bytes() => {
                    return Ok(if status == Status::Ok { Ok(()) } else { Err(self.reason(text)) });
                }
                Some(Heard::Said { status: Status::Bye, text }) if name != "LOGOUT" => {
                    return Err(self.turned_away(text));
                }
                Some(Heard::GoOn) if rest.is_some() => self.say(rest.take().unwrap_or_default()).await?,
                None | Some(Heard::GoOn | Heard::Done { .. }) => return Err(self.not_imap(&raw)),
                Some(heard) => hear(heard),
            }
        }
    }

    async fn say(&mut self, text: &str) -> Result<(), ImapError> {
        self.wire.write_all(text.as_bytes()).await.map_err(|cause| broken(&cause))?;
        self.wire.flush().await.map_err(|cause| broken(&cause))
    }

    /// A line, and, where that announces a literal, the literal and the line after it, and so on.
    async fn response(&mut self, room: usize) -> Result<Vec<u8>, ImapError> {
        let mut raw = Vec::new();
        loop {
            let (from, limit) = (raw.len(), room.saturating_sub(raw.len()).min(LONGEST_LINE));
            let mut line = (&mut self.wire).take(u64::try_from(limit).unwrap_or(u64::MAX));
            let read = line.read_until(b'\n', &mut raw).await.map_err(|cause| broken(&cause))?;
            let line = raw.get(from..).unwrap_or_default();
            if !line.ends_with(b"\n") {
                return Err(match limit {
                    _ if read < limit => closed(),
                    LONGEST_LINE => too_long("a line", LONGEST_LINE),
                    _ => too_long("an answer", LONGEST_ANSWER),
                });
            }
            let Some(literal) = announced(line) else { return Ok(raw) };
            if literal > LARGEST_PART || literal > room.saturating_sub(raw.len()) {
                return Err(too_long("a literal", literal));
            }
            let mut part = (&mut self.wire).take(u64::try_from(literal).unwrap_or(u64::MAX));
            // If it ends early, so does the line after it.
            part.read_to_end(&mut raw).await.map_err(|cause| broken(&cause))?;
        }
    }

    /// Says good-bye in the background: what was read does not wait for it.
    pub(super) fn hang_up(mut self) {
        tokio::spawn(async move {
            let good_bye = async {
                let _ = self.ask("LOGOUT", "", None, |_| {}).await;
                self.wire.shutdown().await
            };
            let _ = timeout(GOOD_BYE, good_bye).await;
        });
    }

    fn reason(&self, text: &[u8]) -> String {
        let shown = shown(text, &self.secrets);
        if shown.is_empty() { "it does not say why".to_owned() } else { shown }
    }

    fn turned_away(&self, text: &[u8]) -> ImapError {
        ImapError::Unreachable(format!("it closed the connection: {}", self.reason(text)))
    }

    fn not_imap(&self, raw: &[u8]) -> ImapError {
        // What comes after the first line is a message, if anything.
        let line = raw.split(|byte| *byte == b'\n').next().unwrap_or_default();
        ImapError::Protocol(format!("this is no answer: `{}`", shown(line, &self.secrets)))
    }
}

fn broken(cause: &std::io::Error) -> ImapError {
    ImapError::Unreachable(format!("the connection broke off: {cause}"))
}

fn closed() -> ImapError {
    ImapError::Unreachable("it closed the connection without a word".to_owned())
}

fn too_long(what: &str, bytes: usize) -> ImapError {
    ImapError::Protocol(format!("it says more than anybody asked for: {what} of {bytes} bytes or more"))
}

#[cfg(test)]
mod tests {
    use super::super::settings::TlsMode;
    use super::super::tls::Protection;
    use super::*;
    use tokio::io::{DuplexStream, duplex};

    fn line(all: Duration) -> (Line, DuplexStream) {
        let (near, far) = duplex(1_000);
        let line = Line {
            wire: BufReader::new(Box::new(near)),
            secrets: Vec::new(),
            connecting: Duration::from_secs(60),
            command: Duration::from_secs(60),
            all,
            until: Instant::now() + all,
            asked: 0,
        };
        (line, far)
    }

    #[tokio::test]
    async fn a_command_that_has_its_time_left_ends_with_the_look() {
        let (mut line, _far) = line(Duration::from_millis(20));
        for _ in 0..2 {
            let late = line.ask("UID FETCH", "1", None, |_| {}).await;
            let expected = "no end of the answer to UID FETCH within 20ms".to_owned();
            assert_eq!(late, Err(ImapError::Timeout(expected)));
        }
    }

    #[tokio::test]
    async fn nothing_that_was_said_in_the_clear_is_heard_under_tls() {
        let (mut line, mut far) = line(Duration::from_secs(60));
        far.write_all(b"T1 OK go on\r\n* CAPABILITY IMAP4rev1\r\n").await.unwrap();
        assert_eq!(line.ask("STARTTLS", "", None, |_| {}).await, Ok(Ok(())));
        let tls = ImapSettings { host: "127.0.0.1".to_owned(), tls: TlsMode::Starttls, ..ImapSettings::default() };
        let Ok(Protection::Starttls(tls)) = Protection::new(&tls) else { panic!("there is TLS") };
        assert!(matches!(line.protect(&tls).await, Err(ImapError::Tls(why)) if why.contains("more to read")));
    }
}
