//! Why a mailbox was not read.

/// Why a mailbox was not read. No secret is in it, whatever the server said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImapError {
    /// There is no connection, or it broke off.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
    /// There is no agreement on TLS, or the certificate is not trusted.
    #[error("the connection to the mail server cannot be protected: {0}")]
    Tls(String),
    /// The server does not let us in.
    #[error("the mail server refused the login: {0}")]
    Login(String),
    /// The folder is missing, or cannot be opened.
    #[error("the folder cannot be opened: {0}")]
    Folder(String),
    /// The server refused to do its work, or what it said is not IMAP, or more than is listened to.
    #[error("the mail server cannot be used: {0}")]
    Protocol(String),
    /// No answer came in time.
    #[error("the mail server did not answer in time: {0}")]
    Timeout(String),
    /// The settings cannot be used.
    #[error("imap.{0}")]
    Settings(String),
}
