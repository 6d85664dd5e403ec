//! A running lab: making it, finding it again, ending it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process::{Process, wait_until};
use crate::spec::{HostSpec, Init, Spec};
use crate::{Error, Host, Reason, Result, Tried};

/// What happens inside the namespaces.
const INSIDE: &str = include_str!("inside.sh");

/// The programs a lab consists of, with the Debian package of each.
const PROGRAMS: [(&str, &str); 13] = [
    ("wg", "wireguard-tools"),
    ("wireguard-go", "wireguard-go"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("ping", "iputils-ping"),
    ("sysctl", "procps"),
    ("socat", "socat"),
    ("sudo", "sudo"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];

/// A running lab. Dropping it ends it, unless it was started detached.
#[derive(Debug)]
pub struct Lab {
    /// What it consists of.
    pub spec: Spec,
    prefix: String,
    dir: PathBuf,
    switch: Process,
    warden: Process,
    /// The owner's end of the pipe that keeps the lab alive; none for a detached lab.
    owned: Option<Child>,
}

impl Lab {
    /// Starts a lab that lives as long as the returned value.
    ///
    /// # Errors
    /// [`Error::Spec`] when it can't be built, [`Error::Unavailable`] where namespaces aren't permitted, otherwise what
    /// the host that didn't start has said.
    pub fn up(spec: &Spec) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self::start(&prefix, spec, false)
    }

    /// Starts a lab under a name by which [`Lab::attach`] finds it. A detached one lives until [`Lab::down`], any other
    /// as long as the returned value.
    ///
    /// # Errors
    /// As [`Lab::up`]; also when there is a lab of that name already.
    pub fn up_as(name: &str, spec: &Spec, detached: bool) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 20 || !name.chars().all(plain) || name.starts_with('.') {
            return Err(Error::Failed(format!("`{name}` is no name for a lab: letters, digits, `-`, `_` and `.`")));
        }
        Self::start(name, spec, detached)
    }

    /// Starts a lab for a test; says why and returns `None` where it can't, unless `CI=true`.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn up_or_skip(spec: &Spec) -> Result<Option<Self>> {
        match Self::available() {
            Ok(()) => Self::up(spec).map(Some),
            Err(reason) if std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1") => {
                Err(Error::Unavailable(reason))
            }
            Err(reason) => {
                eprintln!("skipped: no lab on this machine: {reason}");
                Ok(None)
            }
        }
    }

    /// Says whether this machine can have a lab, and if not, why.
    ///
    /// # Errors
    /// The [`Reason`] is the first thing that is missing.
    pub fn available() -> Result<(), Reason> {
        static ANSWER: OnceLock<Result<(), Reason>> = OnceLock::new();
        ANSWER.get_or_init(find_out).clone()
    }

    /// Finds a detached lab again.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn attach(prefix: &str) -> Result<Self> {
        let dir = base()?.join(prefix);
        let none = || Error::Failed(format!("there is no lab `{prefix}`: start one with `./lab up`"));
        let alive = |file: &str| Process::from_file(&dir.join(file)).filter(|p| p.alive()).ok_or_else(none);
        let (warden, switch) = (alive("warden")?, alive("run/keeper")?);
        let spec = fs::read_to_string(dir.join("spec")).map_err(|_| none())?.parse()?;
        Ok(Self { spec, prefix: prefix.to_owned(), dir, switch, warden, owned: None })
    }

    /// Returns the names of the labs that run on this machine.
    ///
    /// # Errors
    /// When their directory can't be read.
    pub fn all() -> Result<Vec<String>> {
        let base = base()?;
        let entries = fs::read_dir(&base).tried(format!("reading {}", base.display()))?;
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        Ok(names.filter(|n| Process::from_file(&base.join(n).join("warden")).is_some_and(Process::alive)).collect())
    }

    fn start(prefix: &str, spec: &Spec, detached: bool) -> Result<Self> {
        spec.check()?;
        Self::available().map_err(Error::Unavailable)?;
        let base = base()?;
        let lock_path = base.join(".lock");
        let lock = fs::File::create(&lock_path).tried(format!("opening {}", lock_path.display()))?;
        lock.lock().tried(format!("locking {}", lock_path.display()))?; // until the new lab's warden is known
        remove_leftovers(&base);
        let dir = base.join(prefix);
        if dir.exists() {
            return Err(Error::Failed(format!("a lab `{prefix}` runs already")));
        }
        let mut half_made = RemoveOnDrop(Some(dir.clone()));
        write_files(&dir, prefix, spec, detached)?;
        let log = fs::File::create(dir.join("log/keeper")).tried("opening the lab's log")?;
        let mut warden = Command::new("sh");
        warden.arg(dir.join("inside.sh")).arg("warden").arg(&dir).current_dir("/").process_group(0).stderr(log);
        warden.stdin(if detached { Stdio::null() } else { Stdio::piped() }).stdout(Stdio::piped());
        let mut child = warden.spawn().tried("starting the lab")?;
        let known = wait_until(Duration::from_secs(10), || dir.join("warden").exists());
        half_made.0 = None; // from here on the warden removes it
        drop(lock);
        let stdout = child.stdout.take().expect("stdout was piped two lines above");
        let fail = |child: &mut Child, why: String| {
            let logs = logs(&dir);
            end(child.stdin.take().map(drop), Process::from_file(&dir.join("run/keeper")));
            let _status = child.wait();
            Err(Error::Failed(format!("{why}\n{logs}")))
        };
        if !known {
            let _ended_by_itself = child.kill();
            return fail(&mut child, "the lab did not start".to_owned());
        }
        let mut waiting = spec.hosts.len();
        for line in BufReader::new(stdout).lines() {
            let line = line.tried("reading from the lab")?;
            if let Some(host) = line.strip_prefix("failed ") {
                return fail(&mut child, format!("host `{host}` did not start"));
            }
            waiting -= usize::from(line.starts_with("ready "));
            if waiting == 0 {
                break;
            }
        }
        let process = |file: &str| Process::from_file(&dir.join(file));
        let (Some(switch), Some(warden), 0) = (process("run/keeper"), process("warden"), waiting) else {
            return fail(&mut child, format!("the lab ended with {waiting} of its hosts not started"));
        };
        let lab = Self {
            spec: spec.clone(),
            prefix: prefix.to_owned(),
            dir,
            switch,
            warden,
            owned: (!detached).then_some(child),
        };
        lab.write_known_hosts()?;
        lab.write_ssh_config("")?;
        for host in lab.hosts().filter(|h| h.spec.init == Init::Systemd) {
            host.wait_for_systemd()?;
        }
        Ok(lab)
    }

    /// Ends the lab: every process, namespace, link and file of it.
    ///
    /// # Errors
    /// When something of it is still there after ten seconds.
    pub fn down(mut self) -> Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        let pipe = self.owned.as_mut().and_then(|c| c.stdin.take());
        end(pipe.map(drop), Some(self.switch));
        let gone = self.warden.wait(Duration::from_secs(10)) && !self.dir.exists();
        if let Some(mut child) = self.owned.take() {
            let _status = child.wait();
        }
        if gone { Ok(()) } else { Err(Error::Failed(format!("{} is still there", self.dir.display()))) }
    }

    /// Returns a host.
    ///
    /// # Panics
    /// When the spec has no host of that name.
    pub fn host(&self, name: &str) -> Host<'_> {
        self.find(name).unwrap_or_else(|| panic!("the lab has no host `{name}`"))
    }

    /// Returns a host, if there is one of that name.
    pub fn find(&self, name: &str) -> Option<Host<'_>> {
        self.spec.find(name).map(|spec| Host { lab: self, spec })
    }

    /// Returns all hosts in the spec's order.
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        self.spec.hosts.iter().map(|spec| Host { lab: self, spec })
    }

    /// Returns the controller, if the spec has one.
    pub fn controller(&self) -> Option<Host<'_>> {
        self.hosts().find(|h| h.spec.controller)
    }

    /// Returns a command that runs in `host`; in a controller it keeps this process's environment and directory.
    ///
    /// Standard input, output and error are the caller's to set. When the child is killed, so is the program.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, host: &str, program: &str, args: &[S]) -> Command {
        let mut command = self.host(host).command(program);
        command.args(args);
        command
    }

    /// Returns the name it was started under.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns its directory; gone when the lab is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the private key that opens every host, for root and `deploy`.
    pub fn key(&self) -> PathBuf {
        self.dir.join("key")
    }

    /// Returns the host keys of all hosts, as `ssh` reads them.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Returns the configuration that `ssh` in the controller uses on its own.
    pub fn ssh_config(&self) -> PathBuf {
        self.dir.join("ssh_config")
    }

    /// Rewrites [`Lab::ssh_config`] with `first` in front of it, where it wins: for instance another address of a host,
    /// such as its address in the tunnel (`"Host hub\n  HostName 10.66.0.1\n"`). An empty text undoes it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_ssh_config(&self, first: &str) -> Result<()> {
        let mut text = String::from(first);
        for host in self.hosts() {
            let (Some(port), name) = (host.spec.ssh, &host.spec.name) else { continue };
            let address = host.spec.at.unwrap_or_else(|| host.address());
            text += &format!("Host {name}\n  HostName {address}\n  Port {port}\n  HostKeyAlias {name}\n");
            if let Some(jump) = &host.spec.jump {
                text += &format!("  ProxyJump {jump}\n");
            }
        }
        text += &format!(
            "Host *\n  User root\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 5\n",
            self.key().display(),
            self.known_hosts().display()
        );
        fs::write(self.ssh_config(), text).tried("writing ssh_config")
    }

    fn write_known_hosts(&self) -> Result<()> {
        let mut text = String::new();
        for host in self.hosts().filter(|h| !h.spec.controller) {
            let ready = self.dir.join("run").join(format!("{}.ready", host.spec.name));
            let report = fs::read_to_string(&ready).tried(format!("reading {}", ready.display()))?;
            let Some(key) = report.lines().nth(1) else { continue };
            let port = host.spec.ssh.unwrap_or(22);
            let at = |a: String| if port == 22 { a } else { format!("[{a}]:{port}") };
            let names = host.addresses().map(|a| a.to_string()).chain([host.spec.name.clone()]).map(at);
            // HostKeyAlias is looked up without the port.
            let names: Vec<String> = names.chain((port != 22).then(|| host.spec.name.clone())).collect();
            text += &format!("{} {key}\n", names.join(","));
        }
        fs::write(self.known_hosts(), text).tried("writing known_hosts")
    }

    /// Returns a command that runs at the switch, and no longer than the lab does.
    pub(crate) fn in_switch(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([format!("--target={}", self.switch.id).as_str(), "--net", "--pid", "--", program])
            .stdin(Stdio::null());
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.owned.is_some()
            && let Err(error) = self.finish()
        {
            eprintln!("{error}");
        }
    }
}

/// Ends process 1 of the lab, and with it all others; `_pipe` is only there to be gone by now.
fn end(_pipe: Option<()>, keeper: Option<Process>) {
    if let Some(keeper) = keeper {
        keeper.kill();
    }
}

struct RemoveOnDrop(Option<PathBuf>);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Some(dir) = &self.0 {
            let _never_made = fs::remove_dir_all(dir);
        }
    }
}

/// Returns the directory of all labs, root's alone.
fn base() -> Result<PathBuf> {
    let base = std::env::temp_dir().join("wg-friend-lab");
    let what = || format!("making {}", base.display());
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&base).tried(what())?;
    let about = fs::symlink_metadata(&base).tried(what())?;
    if !about.is_dir() || about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o022 != 0 {
        return Err(Error::Failed(format!("{} is not ours alone: remove it", base.display())));
    }
    Ok(base)
}

/// Removes what a lab left whose warden was killed: its processes ended with it, its files did not.
fn remove_leftovers(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
        let dir = entry.path();
        if Process::from_file(&dir.join("warden")).is_some_and(Process::alive) {
            continue;
        }
        if let Some(keeper) = Process::from_file(&dir.join("run/keeper")) {
            keeper.kill();
            keeper.wait(Duration::from_secs(5));
        }
        if let Ok(group) = fs::read_to_string(dir.join("cgroup")) {
            remove_empty(Path::new(group.trim()));
        }
        let _next_start_tries_again = fs::remove_dir_all(&dir);
    }
}

/// Removes a tree of control groups, which holds files that can't be removed, and goes with its directories.
fn remove_empty(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        remove_empty(&entry.path());
    }
    let _in_use = fs::remove_dir(dir);
}

fn logs(dir: &Path) -> String {
    let files = fs::read_dir(dir.join("log")).into_iter().flatten().flatten();
    let texts = files.filter_map(|f| {
        let text = fs::read_to_string(f.path()).ok().filter(|t| !t.is_empty())?;
        Some(format!("{}: {}", f.file_name().display(), text.trim_end()))
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn find_out() -> Result<(), Reason> {
    let reason = |r: String| Err(Reason(r));
    if !rustix::process::geteuid().is_root() {
        return reason("only root may make namespaces and network links (run it with sudo)".to_owned());
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
    let has = |program: &str| path.split(':').any(|dir| Path::new(dir).join(program).is_file());
    let missing: Vec<String> =
        PROGRAMS.iter().filter(|(p, _)| !has(p)).map(|(p, package)| format!("{p} (Debian: {package})")).collect();
    if !missing.is_empty() {
        return reason(format!("not installed: {}", missing.join(", ")));
    }
    let steps = [
        ("make namespaces", "true"),
        ("mount file systems in a namespace", "mount -t tmpfs lab /mnt"),
        (
            "stack one file system on another (overlayfs)",
            "mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay lab -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /mnt/m",
        ),
        ("make bridges", "ip link add labbr type bridge"),
        ("make virtual Ethernet cables", "ip link add labv0 type veth peer name labv1"),
        ("use nftables", "nft add table inet lab"),
        ("open /dev/net/tun, for userspace WireGuard", "ip tuntap add labt0 mode tun"),
    ];
    let mut script = String::new();
    for (what, test) in steps {
        script += &format!("why=$({{ {test}; }} 2>&1) || {{ echo \"can't {what}: $why\"; exit 1; }}\n");
    }
    let flags = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--propagation", "private"];
    let output = Command::new("unshare").args(flags).args(["sh", "-c", &script]).stdin(Stdio::null()).output();
    match output {
        Ok(o) if o.status.success() => Ok(()),
        Ok(o) if o.stdout.is_empty() => {
            reason(format!("can't make namespaces: {}", String::from_utf8_lossy(&o.stderr).trim()))
        }
        Ok(o) => reason(String::from_utf8_lossy(&o.stdout).trim().to_owned()),
        Err(e) => reason(format!("can't run unshare: {e}")),
    }
}

fn write_files(dir: &Path, prefix: &str, spec: &Spec, detached: bool) -> Result<()> {
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).tried(format!("writing {name} of the lab"));
    for part in ["", "hosts", "log", "root", "run"] {
        fs::DirBuilder::new().mode(0o700).create(dir.join(part)).tried(format!("making {}", dir.display()))?;
    }
    write("inside.sh", INSIDE)?;
    write("spec", &spec.to_string())?;
    if detached {
        write("detached", "")?;
    }
    if spec.hosts.iter().any(|h| h.init == Init::Systemd) {
        write("cgroup", &format!("{}/wg-friend-lab-{prefix}\n", cgroup2()?))?;
    }
    let mut names = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost\n");
    for host in &spec.hosts {
        for address in spec.addresses(host).into_iter().flatten() {
            names += &format!("{} {}\n", address.addr(), host.name);
        }
    }
    write("names", &names)?;
    let mut switch = String::from("link set lo up\n");
    for network in &spec.networks {
        switch += &format!("link add br-{0} type bridge mcast_snooping 0\nlink set br-{0} up\n", network.name);
        for cidr in network.cidrs.iter().filter(|_| network.routed) {
            if let Some(router) = crate::spec::nth(cidr, 1) {
                switch += &format!("addr add {router}/{} dev br-{}\n", cidr.prefix_len(), network.name);
            }
        }
    }
    write("switch.ip", &switch)?;
    for (index, host) in spec.hosts.iter().enumerate() {
        write_host(&write, spec, index, host)?;
    }
    let key = dir.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"]).arg(&key).status();
    match made.tried("running ssh-keygen")? {
        status if status.success() => Ok(()),
        status => Err(Error::Failed(format!("ssh-keygen: {status}"))),
    }
}

fn write_host(write: &dyn Fn(&str, &str) -> Result<()>, spec: &Spec, index: usize, host: &HostSpec) -> Result<()> {
    let name = &host.name;
    let flag = u8::from;
    let nat = host.nat.as_ref().and_then(|n| host.links.iter().position(|l| l.network == *n));
    let env = format!(
        "CONTROLLER={} INIT={} SSH_PORT={} SUDO={} FORWARD={} NAT={} DISK={} WEB={} WITHOUT='{}'\n",
        flag(host.controller),
        if host.init == Init::Systemd { "systemd" } else { "shell" },
        host.ssh.filter(|_| !host.controller).unwrap_or(0),
        match host.sudo {
            crate::Sudo::Free => "free",
            crate::Sudo::Password => "password",
            crate::Sudo::None => "none",
        },
        flag(host.forward || nat.is_some()),
        nat.map(|n| format!("eth{n}")).unwrap_or_default(),
        host.disk,
        flag(host.web),
        host.without.join(" "),
    );
    let (mut plug, mut ports, mut addresses) = (String::new(), String::new(), String::from("link set lo up\n"));
    for (card, (link, nets)) in host.links.iter().zip(spec.addresses(host)).enumerate() {
        // The address on the wire stays the same over reboots, as a network card's does.
        let mac = format!("02:1a:b0:{:02x}:{:02x}:{card:02x}", index >> 8, index & 255);
        plug += &format!("link add eth{card} address {mac} type veth peer name {name}-{card} netns 1\n");
        ports += &format!("link set {name}-{card} master br-{} up\n", link.network);
        nets.iter().for_each(|a| addresses += &format!("addr add {a} dev eth{card}\n"));
        addresses += &format!("link set eth{card} up\n");
    }
    spec.gateways(host).iter().for_each(|g| addresses += &format!("route add default via {g}\n"));
    write(&format!("hosts/{name}.env"), &env)?;
    write(&format!("hosts/{name}.plug"), &plug)?;
    write(&format!("hosts/{name}.ports"), &ports)?;
    write(&format!("hosts/{name}.addresses"), &addresses)
}

/// Returns where the second version of control groups is mounted; systemd needs it.
fn cgroup2() -> Result<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").tried("reading /proc/self/mounts")?;
    let mut words = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>());
    let found = words.find(|w| w.get(2) == Some(&"cgroup2")).and_then(|w| w.get(1).map(|p| (*p).to_owned()));
    found.ok_or_else(|| {
        Error::Failed("hosts with systemd need control groups version 2, and none are mounted".to_owned())
    })
}
