//! One host of a lab: running commands in it, its files, its boots.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{Process, wait_until};
use crate::spec::{HostSpec, Init};
use crate::{Error, Lab, Result, Tried};

/// How long a host may take to boot.
const BOOT: Duration = Duration::from_secs(60);

/// A host of a running lab.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    pub(crate) lab: &'a Lab,
    /// What the lab's spec says about it.
    pub spec: &'a HostSpec,
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; 128 + n when signal n ended it.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Returns whether the command succeeded.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Waits for a command's end and takes its output.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn of(command: &mut Command) -> Result<Self> {
        let output = command.output().tried(format!("running {command:?}"))?;
        Ok(output.into())
    }
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status.code().or(output.status.signal().map(|s| 128 + s)).unwrap_or(255);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A command that runs in a host; it ends with this value.
#[derive(Debug)]
pub struct Spawned(Child);

impl Spawned {
    /// Starts a command made by [`Host::command`] or [`Lab::command`].
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.spawn().map(Self).tried(format!("starting {command:?}"))
    }

    /// Returns the program itself; what [`Command::spawn`] gives is only what entered the namespaces for it.
    pub fn process(&self) -> Option<Process> {
        Process::running(self.0.id().cast_signed())?.children().first().copied()
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = self.process() {
            process.signal(signal);
        }
    }

    /// Returns the pipes and everything else of the child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Returns whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end and takes its output.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn finish(mut self) -> Result<Output> {
        drop(self.0.stdin.take());
        let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let read = pipe.map_or(Ok(0), |mut p| p.read_to_end(&mut bytes));
                read.map(|_| bytes)
            })
        };
        let stdout = read(self.0.stdout.take().map(|p| Box::new(p) as _));
        let stderr = read(self.0.stderr.take().map(|p| Box::new(p) as _));
        let status = self.0.wait().tried("waiting for a command")?;
        let taken = |thread: std::thread::JoinHandle<std::io::Result<Vec<u8>>>| {
            thread.join().map_err(|_| Error::Failed("reading a command's output failed".to_owned()))?.tried("reading")
        };
        Ok(std::process::Output { status, stdout: taken(stdout)?, stderr: taken(stderr)? }.into())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // Stopped, it starts nothing more; so what it started is found here even when that hasn't bound its own life to it
        // yet, as setpriv does only after the fork.
        if let Some(entered) = Process::running(self.0.id().cast_signed()) {
            entered.signal(Signal::STOP);
            entered.children().into_iter().for_each(Process::kill);
        }
        let _ended_by_itself = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Host<'_> {
    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Returns its first address, an IPv4 address where it has one.
    pub fn address(&self) -> IpAddr {
        self.addresses().find(IpAddr::is_ipv4).or_else(|| self.addresses().next()).expect("every host is in a network")
    }

    /// Returns its first IPv6 address.
    pub fn address6(&self) -> Option<IpAddr> {
        self.addresses().find(IpAddr::is_ipv6)
    }

    /// Returns all its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.lab.spec.addresses(self.spec).into_iter().flatten().map(|a| a.addr())
    }

    /// Returns its process 1, as the machine counts.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn init(&self) -> Result<Process> {
        let file = self.lab.dir().join("run").join(self.name());
        let process = Process::from_file(&file).filter(|p| p.alive());
        process.ok_or_else(|| Error::Failed(format!("{} isn't running", self.name())))
    }

    /// Returns a command that runs in this host as root, with a clean environment (a controller keeps the caller's
    /// environment and directory). When its process is killed, so is the program.
    ///
    /// Input is empty unless the caller sets it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        // A host that is down has no process 1; nsenter then says that there is no process 0.
        let target = self.init().map_or(0, |p| p.id);
        command.arg(format!("--target={target}")).args(["--mount", "--uts", "--ipc", "--net", "--pid"]);
        if self.spec.controller {
            let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
            let mut directory = std::ffi::OsString::from("--wdns=");
            directory.push(here);
            command.arg(directory).args(["--", "setpriv", "--pdeathsig", "KILL", program]);
        } else {
            let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
            command.args(["--wdns=/root", "--", "setpriv", "--pdeathsig", "KILL", program]).env_clear();
            command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
            command.env("USER", "root").env("LOGNAME", "root").env("SHELL", "/bin/bash").env("LANG", "C.UTF-8");
            command.env("TERM", term);
        }
        command.stdin(Stdio::null());
        command
    }

    /// Runs a line of shell to its end.
    ///
    /// # Errors
    /// When it can't be started. A line that fails is no error: see [`Output::status`].
    pub fn run(&self, line: &str) -> Result<Output> {
        Output::of(self.command("sh").args(["-c", line]))
    }

    /// Runs a line of shell and returns what it printed, without the last line's end.
    ///
    /// # Errors
    /// When it fails.
    pub fn sh(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        if !output.success() {
            let Output { status, stdout, stderr } = output;
            return Err(Error::Failed(format!("{}: `{line}` ended with {status}: {stdout}{stderr}", self.name())));
        }
        Ok(output.stdout.trim_end_matches('\n').to_owned())
    }

    /// Starts a line of shell; its output is piped.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(&self, line: &str) -> Result<Spawned> {
        let mut command = self.command("sh");
        Spawned::start(command.args(["-c", line]).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// Writes a file, keeping the mode it has; a new one gets 0644, or 0600 below `/etc/wireguard`.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> Result<()> {
        let mask = if path.starts_with("/etc/wireguard/") { "077" } else { "022" };
        let mut command = self.command("sh");
        command.args(["-c", r#"umask "$2" && cat >"$1""#, "sh", path, mask]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().tried("starting a shell")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(text.as_ref()).tried(format!("{}: writing {path}", self.name()))?;
        }
        let output: Output = child.wait_with_output().tried("waiting for a shell")?.into();
        if output.success() { Ok(()) } else { Err(Error::Failed(format!("{}: {}", self.name(), output.stderr.trim()))) }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn read(&self, path: &str) -> Result<String> {
        let output = Output::of(self.command("cat").args(["--", path]))?;
        if output.success() {
            Ok(output.stdout)
        } else {
            Err(Error::Failed(format!("{}: {}", self.name(), output.stderr.trim())))
        }
    }

    /// Makes the host answer TCP connections on a port, IPv4 and IPv6, with its name; lasts until the next boot.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn listen(&self, port: u16) -> Result<()> {
        let name = self.name();
        self.sh(&format!(
            "setsid socat TCP6-LISTEN:{port},ipv6only=0,fork,reuseaddr,backlog=512 SYSTEM:'echo {name}' </dev/null >/dev/null 2>&1 & \
             until ss -Hltn 'sport = :{port}' | grep -q .; do kill -0 $! || exit 1; sleep 0.01; done"
        ))
        .map(drop)
    }

    /// Ends every process of the host, forgets what its kernel knew of the network, and boots it on the same disk.
    ///
    /// # Errors
    /// When it isn't up again within a minute.
    pub fn reboot(&self) -> Result<()> {
        let before = self.init()?;
        let boots = self.boots();
        before.kill();
        let up = wait_until(BOOT, || self.boots() > boots && self.init().is_ok());
        if !up {
            return Err(Error::Failed(format!("{} did not come back after a reboot", self.name())));
        }
        if self.spec.init == Init::Systemd { self.wait_for_systemd() } else { Ok(()) }
    }

    /// Returns how many times it has booted.
    pub fn boots(&self) -> u32 {
        let file = self.lab.dir().join("run").join(format!("{}.ready", self.name()));
        fs::read_to_string(file).ok().and_then(|t| t.lines().next()?.parse().ok()).unwrap_or(0)
    }

    /// Waits until systemd has started everything.
    pub(crate) fn wait_for_systemd(&self) -> Result<()> {
        let mut last = String::new();
        let up = wait_until(BOOT, || {
            last = self.run("systemctl is-system-running").map(|o| o.stdout.trim().to_owned()).unwrap_or_default();
            last == "running" || last == "degraded"
        });
        if up { Ok(()) } else { Err(Error::Failed(format!("{}: systemd is still `{last}`", self.name()))) }
    }
}
