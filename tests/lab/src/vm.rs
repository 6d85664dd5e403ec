//! The second tier: a virtual machine on one of the lab's networks, with systemd, a kernel of its own with WireGuard in
//! it, and real reboots. Emulated, so it runs where the lab itself does; it takes half a minute to boot.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::wait_until;
use crate::snapshot::SCRIPT;
use crate::spec::nth;
use crate::{Error, Lab, Output, Reason, Result, Snapshot, Spawned, Tried};

/// Makes the image; whoever changes it gets a new image.
const RECIPE: &str = include_str!("vm_image.sh");

/// How long a boot may take: without hardware support the machine is some twenty times slower than this one.
const BOOT: Duration = Duration::from_secs(600);

/// The programs that make and run the machine, with the Debian package of each.
const PROGRAMS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("debootstrap", "debootstrap"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
    ("depmod", "kmod"),
    ("mke2fs", "e2fsprogs"),
];

/// A disk, a kernel and an initial ramdisk, in a cache directory outside the repository.
#[derive(Clone, Debug)]
pub struct Image(PathBuf);

impl Image {
    /// Returns the image, which is made if there is none yet; that takes two minutes and a Debian mirror.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a program is missing, otherwise what went wrong on the way.
    pub fn get() -> Result<Self> {
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/local/sbin:/usr/sbin:/sbin";
        let has = |program: &str| path.split(':').any(|dir| Path::new(dir).join(program).is_file());
        if let Some((program, package)) = PROGRAMS.iter().find(|(program, _)| !has(program)) {
            return Err(Error::Unavailable(Reason(format!("{program} is not installed (Debian: {package})"))));
        }
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let cache = cache.unwrap_or_else(std::env::temp_dir).join("wg-friend-lab");
        fs::create_dir_all(&cache).tried(format!("making {}", cache.display()))?;
        let lock = fs::File::create(cache.join(".lock")).tried("locking the cache of images")?;
        lock.lock().tried("locking the cache of images")?; // another test may be making it
        let dir = cache.join(format!("vm-{:016x}", fingerprint(RECIPE)));
        if !dir.exists() {
            eprintln!("making the image of the virtual machine in {}", dir.display());
            let mut recipe =
                Command::new("sh").arg("-s").arg(&dir).stdin(Stdio::piped()).spawn().tried("running sh")?;
            if let Some(mut stdin) = recipe.stdin.take() {
                stdin.write_all(RECIPE.as_bytes()).tried("writing to sh")?;
            }
            let status = recipe.wait().tried("waiting for sh")?;
            if !status.success() {
                return Err(Error::Failed(format!("the image of the virtual machine could not be made: {status}")));
            }
        }
        Ok(Self(dir))
    }
}

/// Returns a short name for a text (FNV-1a): the same on every machine.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A running virtual machine; it ends with this value, and with its lab.
#[derive(Debug)]
pub struct Vm<'a> {
    lab: &'a Lab,
    name: String,
    address: IpAddr,
    qemu: Spawned,
}

impl Lab {
    /// Starts a virtual machine at the `number`-th address of a network and returns once it answers over SSH. In the
    /// controller `ssh NAME` reaches it like any other host: that is [`Vm::ssh_config`], already in effect.
    ///
    /// # Errors
    /// When it can't be started, or doesn't answer in time: what its console said.
    pub fn start_vm(&self, image: &Image, name: &str, network: &str, number: u32) -> Result<Vm<'_>> {
        let no = |what: &str| Error::Failed(format!("{name}: {what}"));
        let net = self.spec.networks.iter().find(|n| n.name == network).ok_or_else(|| no("no such network"))?;
        let at = |number: u32| net.cidrs.iter().filter_map(move |c| Some((nth(c, number)?, c.prefix_len())));
        let address = at(number).next().ok_or_else(|| no("no such address in the network"))?.0;
        let words = |w: Vec<String>| w.join(",");
        let addresses = words(at(number).map(|(a, length)| format!("{a}/{length}")).collect());
        let gateways = words(at(1).map(|(a, _)| a.to_string()).collect());
        let key = fs::read_to_string(self.dir().join("key.pub")).tried("reading the lab's key")?;
        let key = key.split(' ').nth(1).ok_or_else(|| no("the lab's key can't be read"))?;
        let arguments = format!(
            "console=ttyS0 root=/dev/vda rw quiet lab.name={name} lab.key={key} lab.network={addresses};{gateways}"
        );
        let Image(dir) = image;
        let tap = format!("vm-{name}");
        for line in [format!("tuntap add {tap} mode tap"), format!("link set {tap} master br-{network} up")] {
            let output = Output::of(self.in_switch("ip").args(line.split(' ')))?;
            if !output.success() {
                return Err(no(output.stderr.trim()));
            }
        }
        let console = fs::File::create(self.dir().join("log").join(&tap)).tried("opening the console's log")?;
        let mut qemu = self.in_switch("setpriv");
        qemu.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"]);
        qemu.args(["-m", "512", "-smp", "1", "-display", "none", "-monitor", "stdio", "-append", &arguments]);
        qemu.args(["-serial", &format!("file:{}", self.dir().join("log").join(format!("{tap}.console")).display())]);
        qemu.arg("-kernel").arg(dir.join("vmlinuz")).arg("-initrd").arg(dir.join("initrd.gz"));
        let disk = dir.join("disk.img");
        qemu.args(["-drive", &format!("file={},if=virtio,format=raw,snapshot=on", disk.display())]);
        qemu.args(["-netdev", &format!("tap,id=n,ifname={tap},script=no,downscript=no")]);
        qemu.args(["-device", "virtio-net-pci,netdev=n"]);
        let output = console.try_clone().tried("opening the console's log")?;
        let qemu = Spawned::start(qemu.stdin(Stdio::piped()).stdout(output).stderr(console))?;
        let host_key = fs::read_to_string(dir.join("host_key.pub")).tried("reading the machine's host key")?;
        let mut known = fs::OpenOptions::new().append(true).open(self.known_hosts()).tried("opening known_hosts")?;
        writeln!(known, "{name},{address} {}", host_key.trim()).tried("writing known_hosts")?;
        let vm = Vm { lab: self, name: name.to_owned(), address, qemu };
        self.write_ssh_config(&vm.ssh_config())?;
        vm.wait_for(|_| true)?;
        Ok(vm)
    }
}

impl Vm<'_> {
    /// Returns its address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns what `ssh` in the controller has to know of it; for [`Lab::write_ssh_config`].
    pub fn ssh_config(&self) -> String {
        format!("Host {0}\n  HostName {1}\n  HostKeyAlias {0}\n", self.name, self.address)
    }

    /// Runs a line of shell there, over SSH, as root.
    ///
    /// # Errors
    /// When ssh can't be started. A line that fails is no error.
    pub fn run(&self, line: &str) -> Result<Output> {
        let controller = self.lab.controller().ok_or_else(|| Error::Failed("the lab has no controller".to_owned()))?;
        Output::of(controller.command("ssh").args([&self.name, line]))
    }

    /// Runs a line of shell there and returns what it printed, without the last line's end.
    ///
    /// # Errors
    /// When it fails.
    pub fn sh(&self, line: &str) -> Result<String> {
        let Output { status, stdout, stderr } = self.run(line)?;
        if status != 0 {
            return Err(Error::Failed(format!("{}: `{line}` ended with {status}: {stdout}{stderr}", self.name)));
        }
        Ok(stdout.trim_end_matches('\n').to_owned())
    }

    /// Looks at everything a deploy could change.
    ///
    /// # Errors
    /// When it can't be reached.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::read(&self.sh(SCRIPT)?))
    }

    /// Reboots it as an administrator does, and waits until it answers again.
    ///
    /// # Errors
    /// When it doesn't come back.
    pub fn reboot(&self) -> Result<()> {
        let before = self.boot_id()?;
        self.run("systemctl reboot")?;
        self.wait_for(|id| id != before)
    }

    /// Cuts its power for a moment, and waits until it answers again.
    ///
    /// # Errors
    /// When it doesn't come back.
    pub fn reset(&mut self) -> Result<()> {
        let before = self.boot_id()?;
        let monitor =
            self.qemu.child().stdin.as_mut().ok_or_else(|| Error::Failed("the machine has ended".to_owned()))?;
        monitor.write_all(b"system_reset\n").tried("telling qemu to reset the machine")?;
        self.wait_for(|id| id != before)
    }

    fn boot_id(&self) -> Result<String> {
        self.sh("cat /proc/sys/kernel/random/boot_id")
    }

    fn wait_for(&self, boot: impl Fn(&str) -> bool) -> Result<()> {
        // `is-system-running --wait` returns when all that starts at boot has been started.
        let line = "cat /proc/sys/kernel/random/boot_id && systemctl is-system-running --wait >/dev/null; true";
        let up = wait_until(BOOT, || {
            self.run(line).is_ok_and(|o| o.success() && boot(o.stdout.lines().next().unwrap_or_default()))
        });
        if up {
            return Ok(());
        }
        let log = |name: String| {
            let text = fs::read_to_string(self.lab.dir().join("log").join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        let (qemu, console) = (log(format!("vm-{}", self.name)), log(format!("vm-{}.console", self.name)));
        Err(Error::Failed(format!("{} doesn't answer:\n{qemu}\n{console}", self.name)))
    }
}
