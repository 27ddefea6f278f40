//! A mail server of a test's own: Dovecot from a temporary directory, on ports that were free, and gone with the test.
//!
//! It runs as whoever runs the test. Root is the one user whose mail Dovecot does not serve: there the mailbox belongs
//! to somebody else.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Who may log in, and with what.
pub const USERS: [(&str, &str); 3] =
    [("reader", "s3cret"), ("quoted", r#"a "quoted\ s3cret"#), ("leser", "gehe1m ist größer")];
/// Where a program of a system is that is in nobody's path.
const PLACES: [&str; 4] = ["dovecot", "/usr/sbin/dovecot", "/usr/local/sbin/dovecot", "/opt/homebrew/sbin/dovecot"];
/// Whose mail it is when root runs the test: nobody's.
const NOBODY: u32 = 65_534;
/// How often a start is tried. Between a look for a free port and its use, somebody else may take it.
const STARTS: usize = 3;
/// How often a server that starts is asked whether it is there, and the time between.
const ASKED: usize = 400;
const BETWEEN: Duration = Duration::from_millis(25);

/// A running server.
pub struct Dovecot {
    directory: TempDir,
    server: Child,
    plain: u16,
    implicit: u16,
    owner: (u32, u32),
    delivered: AtomicU32,
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // What it has started goes when it has gone.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Dovecot {
    /// Starts one. There is none where Dovecot is not installed, and that is a failure where everything must be tested.
    pub async fn start() -> Option<Self> {
        let Some((program, version)) = installed() else {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "Dovecot is not installed (apt-get install dovecot-imapd), and with CI=true its tests must run"
            );
            eprintln!("left out: Dovecot is not installed (apt-get install dovecot-imapd)");
            return None;
        };
        let mut why = String::new();
        for _ in 0..STARTS {
            match Self::try_start(program, &version).await {
                Ok(started) => return Some(started),
                Err(log) => why = log,
            }
        }
        panic!("Dovecot {version} does not start:\n{why}");
    }

    async fn try_start(program: &str, version: &str) -> Result<Self, String> {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        // Its processes run as several users.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(at("cert.pem"), made.cert.pem()).unwrap();
        fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let users = USERS.map(|(user, password)| format!("{user}:{{PLAIN}}{password}::::::\n")).concat();
        fs::write(at("users"), users).unwrap();
        let owner = match (id("-u").parse().unwrap(), id("-g").parse().unwrap()) {
            (0, _) => (NOBODY, NOBODY),
            own => own,
        };
        let [plain, implicit] = free_ports();
        let config = config(directory.path(), version, [plain, implicit], owner);
        fs::write(at("dovecot.conf"), config).unwrap();
        let output = fs::File::create(at("output")).unwrap();
        let server = Command::new(program)
            .arg("-F")
            .arg("-c")
            .arg(at("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut started = Self { directory, server, plain, implicit, owner, delivered: AtomicU32::new(0) };
        started.make_folder("");
        for _ in 0..ASKED {
            let gone = started.server.try_wait().unwrap().is_some();
            if !gone && is_there(plain).await && is_there(implicit).await {
                return Ok(started);
            }
            if gone {
                break;
            }
            sleep(BETWEEN).await;
        }
        Err(["output", "log"].map(|name| fs::read_to_string(started.path(name)).unwrap_or_default()).concat())
    }

    /// The port without TLS, or with STARTTLS.
    pub fn plain_port(&self) -> u16 {
        self.plain
    }

    /// The port with TLS.
    pub fn implicit_port(&self) -> u16 {
        self.implicit
    }

    /// The certificate, which is its own authority.
    pub fn ca_file(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// Where a folder is; the inbox has an empty name. It is written as it goes over the wire.
    pub fn folder(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.path("mail") } else { self.path("mail").join(format!(".{name}")) }
    }

    /// Makes a folder.
    pub fn make_folder(&self, name: &str) {
        let folder = self.folder(name);
        for path in [folder.clone(), folder.join("cur"), folder.join("new"), folder.join("tmp")] {
            fs::create_dir_all(&path).unwrap();
            self.give(&path);
        }
    }

    /// Puts a message into the inbox.
    pub fn deliver(&self, raw: impl AsRef<[u8]>) -> PathBuf {
        self.deliver_to("", raw, None)
    }

    /// Puts a message into a folder, as one that arrived at some time.
    pub fn deliver_to(&self, folder: &str, raw: impl AsRef<[u8]>, arrived: Option<SystemTime>) -> PathBuf {
        let number = self.delivered.fetch_add(1, Ordering::SeqCst);
        // Their names are in the order in which they are to be numbered.
        let name = format!("1700000000.M{number:06}.test");
        let (aside, there) = (self.folder(folder).join("tmp").join(&name), self.folder(folder).join("new").join(&name));
        fs::write(&aside, raw).unwrap();
        if let Some(arrived) = arrived {
            fs::File::options().write(true).open(&aside).unwrap().set_modified(arrived).unwrap();
        }
        self.give(&aside);
        fs::rename(&aside, &there).unwrap();
        there
    }

    /// Makes the server number the messages of the inbox anew.
    pub fn number_anew(&self) {
        let list = self.folder("").join("dovecot-uidlist");
        let text = fs::read_to_string(&list).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let mut words: Vec<String> = head.split(' ').map(str::to_owned).collect();
        let validity = words.iter_mut().find(|word| word.starts_with('V')).unwrap();
        *validity = format!("V{}", validity[1..].parse::<u32>().unwrap() + 1);
        fs::write(&list, format!("{}\n{rest}", words.join(" "))).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn give(&self, path: &Path) {
        chown(path, Some(self.owner.0), Some(self.owner.1)).unwrap();
    }
}

async fn is_there(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

fn installed() -> Option<(&'static str, String)> {
    PLACES.into_iter().find_map(|program| {
        let output = Command::new(program).arg("--version").output().ok()?;
        Some((program, String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    })
}

/// Two at once, so that they differ.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn id(of: &str) -> String {
    String::from_utf8(Command::new("id").arg(of).output().unwrap().stdout).unwrap().trim().to_owned()
}

fn config(directory: &Path, version: &str, [plain, implicit]: [u16; 2], (uid, gid): (u32, u32)) -> String {
    let at = directory.display();
    // Who is not root can only be oneself, and cannot change the root directory.
    let own = if id("-u") == "0" {
        String::new()
    } else {
        let (user, group) = (id("-un"), id("-gn"));
        format!("default_internal_user = {user}\ndefault_login_user = {user}\ndefault_internal_group = {group}\n")
    };
    let old = format!(
        "ssl_cert = <{at}/cert.pem\n\
         ssl_key = <{at}/key.pem\n\
         disable_plaintext_auth = no\n\
         mail_location = maildir:{at}/mail\n\
         passdb {{\n driver = passwd-file\n args = {at}/users\n}}\n\
         userdb {{\n driver = static\n args = uid={uid} gid={gid} home={at}\n}}\n"
    );
    let new = format!(
        "ssl_server_cert_file = {at}/cert.pem\n\
         ssl_server_key_file = {at}/key.pem\n\
         auth_allow_cleartext = yes\n\
         mail_driver = maildir\n\
         mail_path = {at}/mail\n\
         passdb passwd-file {{\n passwd_file_path = {at}/users\n}}\n\
         userdb static {{\n fields {{\n  uid = {uid}\n  gid = {gid}\n  home = {at}\n }}\n}}\n"
    );
    // With 2.4, most of the settings got other names.
    let (head, body) = if version.starts_with("2.3") || version.starts_with("2.2") {
        ("", old)
    } else {
        ("dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n", new)
    };
    format!(
        "{head}{own}{body}\
         base_dir = {at}/run\n\
         state_dir = {at}/state\n\
         log_path = {at}/log\n\
         listen = 127.0.0.1\n\
         protocols = imap\n\
         ssl = yes\n\
         auth_mechanisms = plain\n\
         auth_failure_delay = 0\n\
         first_valid_uid = 1\n\
         namespace inbox {{\n inbox = yes\n}}\n\
         service imap-login {{\n chroot =\n\
         inet_listener imap {{\n port = {plain}\n}}\n\
         inet_listener imaps {{\n port = {implicit}\n ssl = yes\n}}\n}}\n\
         service anvil {{\n chroot =\n unix_listener anvil-auth-penalty {{\n mode = 0\n}}\n}}\n"
    )
}
