//! A PostgreSQL server for the test run, started by it and gone with it.
//!
//! The server listens on a Unix socket in a temporary folder only. A small shell waits on a pipe that the test process
//! holds open: when the process ends, however it ends, the shell stops the server and removes the folder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server.
pub struct Cluster {
    dir: PathBuf,
    bin: PathBuf,
    _watcher: Child,
}

impl Cluster {
    /// Starts a server; none where PostgreSQL is not installed, which in CI is a failure.
    pub fn start() -> Option<Self> {
        // Nothing here needs to survive a loss of power; everything else is as in production.
        Self::start_with("-c fsync=off -c max_connections=300 -c shared_buffers=64MB")
    }

    /// The same with the durability of production, for measurements.
    pub fn start_durable() -> Option<Self> {
        Self::start_with("-c max_connections=300 -c shared_buffers=256MB")
    }

    fn start_with(options: &str) -> Option<Self> {
        let Some(bin) = find_bin() else {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "PostgreSQL is not installed: initdb is neither on PATH nor in /usr/lib/postgresql/*/bin");
            eprintln!("PostgreSQL is not installed: its half of the tests is left out");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("tandem-pg-").tempdir().unwrap().keep();
        let owner = unprivileged(&dir);
        let data = dir.join("data");
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(bin.join(program));
            command.args(arguments).current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(fs::File::create(dir.join(format!("{program}.log"))).unwrap());
            if let Some((uid, gid)) = owner {
                command.uid(uid).gid(gid);
            }
            let status = command.status().unwrap();
            let log = fs::read_to_string(dir.join(format!("{program}.log"))).unwrap_or_default();
            assert!(status.success(), "{program} failed: {log}");
        };
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        run("initdb", &["-D", &path(&data), "-U", "tandem", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        let options = format!("-k {} -h '' {options}", dir.display());
        run("pg_ctl", &["-D", &path(&data), "-w", "-l", &path(&dir.join("server.log")), "-o", &options, "start"]);
        let stop = format!(
            "cat >/dev/null; '{}' -D '{}' -m immediate stop; rm -rf '{}'",
            bin.join("pg_ctl").display(),
            data.display(),
            dir.display()
        );
        let mut watcher = Command::new("sh");
        watcher.args(["-c", &stop]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C on the test run must reach the tests, not the shell that cleans up behind them.
        watcher.process_group(0);
        if let Some((uid, gid)) = owner {
            watcher.uid(uid).gid(gid);
        }
        Some(Self { dir: dir.clone(), bin, _watcher: watcher.spawn().unwrap() })
    }

    /// Makes an empty database.
    pub fn create_database(&self, name: &str) {
        let mut command = Command::new(self.bin.join("createdb"));
        let status = command.arg("-h").arg(&self.dir).args(["-U", "tandem", name]).status().unwrap();
        assert!(status.success(), "createdb {name} failed");
    }

    /// The address of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://tandem@localhost/{database}?host={}", self.dir.display())
    }
}

fn find_bin() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    places.sort();
    places.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    // The programs must stand together: a lone `initdb` on PATH may be a link into another place.
    places.into_iter().find(|bin| ["initdb", "pg_ctl", "postgres"].iter().all(|program| bin.join(program).is_file()))
}

/// PostgreSQL refuses to run as root: then the folder and the server belong to an unprivileged user.
fn unprivileged(dir: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse::<u32>().ok()?, ids.next()?.parse::<u32>().ok()?))
    };
    let (uid, gid) = find("postgres").or_else(|| find("nobody")).expect("a user to run PostgreSQL as");
    std::os::unix::fs::chown(dir, Some(uid), Some(gid)).unwrap();
    Some((uid, gid))
}
