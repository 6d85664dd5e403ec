//! Hosts over the system's OpenSSH: the user's ssh_config, agent, keys, jump hosts and known_hosts apply.
//!
//! The only asynchronous code of the program, kept behind a synchronous face.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, SessionBuilder, Stdio};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::model::{Become, Host, HostAddress, Name};

use super::{Answer, Connection, Error, Script, scripts};

/// How long a TCP connection and the exchange of keys may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long all of it may take, with the login.
const LOGIN: Duration = Duration::from_secs(15);
/// How long a multiplexing master survives us without work: a killed wg-friend leaves no process behind for longer.
const IDLE: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// Opens connections.
pub(super) struct Ssh {
    idle: NonZeroUsize,
    runtime: Runtime,
    sockets: PathBuf,
}

impl Ssh {
    pub(super) fn new() -> Result<Self, Error> {
        let failed = |what: &str, e: std::io::Error| Error::Ssh(format!("{what}: {e}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| failed("no threads to talk to hosts with", e))?;
        // A control socket's path may have 61 bytes at most up to here; a deep home directory has more.
        let short = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let sockets =
            short.filter(|d| d.is_dir() && d.as_os_str().len() <= 40).unwrap_or_else(|| PathBuf::from("/tmp"));
        Ok(Self { idle: IDLE, runtime, sockets })
    }

    /// Has a connection live on for so many seconds in which nothing is asked over it.
    pub(super) fn keep_idle(&mut self, seconds: NonZeroUsize) {
        self.idle = seconds;
    }

    pub(super) fn connect(&self, host: &Host, patience: Duration) -> Result<SshConnection, Error> {
        let HostAddress::Ssh { destination, user, port, jump, identity } = &host.address else {
            return Err(Error::Ssh(format!("host `{}` has no SSH address", host.name)));
        };
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .connect_timeout(CONNECT.min(patience))
            .server_alive_interval(Duration::from_secs(5))
            .control_directory(&self.sockets)
            .control_persist(ControlPersist::IdleFor(self.idle));
        if let Some(user) = user {
            builder.user(user.clone());
        }
        if let Some(port) = port {
            builder.port(port.get());
        }
        if let Some(identity) = identity {
            builder.keyfile(identity);
        }
        if let Some(jump) = jump {
            builder.jump_hosts(jump.split(','));
        }
        let opened = self
            .runtime
            .block_on(async { tokio::time::timeout(LOGIN.min(patience), builder.connect_mux(destination)).await });
        let session = match opened {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return Err(explain(host, &error)),
            Err(_) => {
                let reason = "the login took too long".to_owned();
                return Err(Error::Unreachable { host: host.name.clone(), reason });
            }
        };
        Ok(SshConnection {
            host: host.name.clone(),
            becoming: host.becoming,
            patience,
            runtime: self.runtime.handle().clone(),
            session: Some(session),
        })
    }
}

/// Tells what kept us out.
fn explain(host: &Host, error: &openssh::Error) -> Error {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let said = source.unwrap_or_else(|| error.to_string());
    if said.contains("No such file or directory") && matches!(error, openssh::Error::Connect(_)) && said.len() < 60 {
        return Error::Ssh("the `ssh` program was not found".to_owned());
    }
    meaning(host, &said)
}

/// Tells from ssh's words what kept us out.
pub(super) fn meaning(host: &Host, said: &str) -> Error {
    let name = host.name.clone();
    let has = |words: &str| said.contains(words);
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        Error::ChangedHostKey { host: name }
    } else if has("Host key verification failed") || has("host key is known") {
        Error::UnknownHostKey { host: name, line: host.address.ssh_line().unwrap_or_default() }
    } else if has("Permission denied") || has("Too many authentication failures") {
        Error::Login { host: name, reason: last_line(said) }
    } else {
        Error::Unreachable { host: name, reason: last_line(said) }
    }
}

/// The last line is where ssh says what it comes to.
fn last_line(said: &str) -> String {
    said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("ssh gave no reason").to_owned()
}

/// One connection, its TCP stream its own.
pub(super) struct SshConnection {
    host: Name,
    becoming: Become,
    patience: Duration,
    runtime: tokio::runtime::Handle,
    session: Option<openssh::Session>,
}

impl Connection for SshConnection {
    fn run(&mut self, script: &Script) -> Result<Answer, Error> {
        let session = self.session.as_ref().expect("the session lives until drop");
        let deadline = script.deadline(self.patience);
        let seconds = deadline.as_secs();
        let exchange = exchange(session, self.becoming, script);
        let done = self.runtime.block_on(async { tokio::time::timeout(deadline, exchange).await });
        match done {
            Err(_) => Err(Error::Deadline { host: self.host.clone(), seconds }),
            Ok(Err(reason)) => Err(Error::Broken { host: self.host.clone(), reason }),
            Ok(Ok((answer, said))) => script.read_answer(&self.host, &answer, &said),
        }
    }
}

impl Drop for SshConnection {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // An error here only says that the connection is gone already. A host that stopped answering must not
            // hold us up: the master ends by itself.
            let closing = async { tokio::time::timeout(Duration::from_secs(2), session.close()).await };
            let _ = self.runtime.block_on(closing);
        }
    }
}

/// Sends a script while reading what comes back. Returns standard output and standard error.
async fn exchange(
    session: &openssh::Session,
    becoming: Become,
    script: &Script,
) -> Result<(Zeroizing<Vec<u8>>, String), String> {
    let command = format!("sh -c '{}'", scripts::entry(becoming));
    let mut child = session
        .raw_command(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .await
        .map_err(|e| e.to_string())?;
    let mut stdin = child.stdin().take().expect("stdin is piped");
    let mut stdout = child.stdout().take().expect("stdout is piped");
    let mut stderr = child.stderr().take().expect("stderr is piped");
    let mut answer = Zeroizing::new(Vec::new());
    let mut said = Vec::new();
    let send = async {
        // A script that can't be sent whole is not run; the error shows as an answer without its end.
        let _ = stdin.write_all(script.text().as_bytes()).await;
        drop(stdin);
    };
    let (_, read, _) = tokio::join!(send, stdout.read_to_end(&mut answer), stderr.read_to_end(&mut said));
    read.map_err(|e| e.to_string())?;
    let _ = child.wait().await; // the answer's own end tells whether the script ran to its end
    Ok((answer, String::from_utf8_lossy(&said).into_owned()))
}
