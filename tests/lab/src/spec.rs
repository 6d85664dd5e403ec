//! What a lab consists of: networks and hosts, as values built in Rust or read from a few lines of text.
//!
//! One item a line, `#` begins a comment:
//!
//! ```text
//! network NAME CIDR.. [routed]
//! host NAME NETWORK:NUMBER.. [count=N] [controller] [init=systemd] [ssh=PORT|no] [sudo=free|password|none]
//!      [forward] [nat=NETWORK] [gateway=HOST] [without=COMMAND,..] [disk=MIB] [web] [at=ADDRESS] [jump=HOST]
//! ```
//!
//! `NETWORK:NUMBER` plugs the host into a network, at the NUMBER-th address of each of its CIDRs. With `count=N` there
//! are N hosts NAME1 to NAMEN with consecutive numbers. Networks that are `routed` reach each other; number 1 of those
//! belongs to the router between them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::{Error, Result};

/// Longest name of a host or network: what the kernel leaves of an interface name's 15 bytes for `br-` or `-0`.
const LONGEST_NAME: usize = 12;

/// What a lab consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// Its networks, in order.
    pub networks: Vec<Network>,
    /// Its hosts, in order.
    pub hosts: Vec<HostSpec>,
}

/// A segment of Ethernet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What it is called.
    pub name: String,
    /// Its prefixes; a host has one address in each.
    pub cidrs: Vec<IpNet>,
    /// Whether it is a part of the internet: routed networks reach each other through a router at number 1.
    pub routed: bool,
}

/// What starts a host's services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// A shell that runs `/etc/rc.local`; there is no `systemctl`.
    #[default]
    Shell,
    /// systemd.
    Systemd,
}

/// What `sudo` does for the user `deploy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sudo {
    /// Asks for no password.
    #[default]
    Free,
    /// Asks for a password that nobody has.
    Password,
    /// Isn't installed.
    None,
}

/// A plug in a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The network's name.
    pub network: String,
    /// Which address of each of its prefixes the host has.
    pub number: u32,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSpec {
    /// What it is called; its host name, and how `ssh` in the controller knows it.
    pub name: String,
    /// Its network cards, `eth0` onwards.
    pub links: Vec<Link>,
    /// What starts its services.
    pub init: Init,
    /// The TCP port of its sshd, if it has one.
    pub ssh: Option<u16>,
    /// What `sudo` does there.
    pub sudo: Sudo,
    /// Whether it forwards packets from the start.
    pub forward: bool,
    /// The network towards which it masquerades what it forwards.
    pub nat: Option<String>,
    /// The host that is its default router; otherwise the router of its first routed network.
    pub gateway: Option<String>,
    /// Commands it doesn't have.
    pub without: Vec<String>,
    /// Size of its disk in MiB.
    pub disk: u32,
    /// Whether it answers HTTP on port 80 with the address it was asked from.
    pub web: bool,
    /// Whether it is the controller: the machine's own files, no sshd, everyone's key.
    pub controller: bool,
    /// The address `ssh` uses instead of its first.
    pub at: Option<IpAddr>,
    /// The host `ssh` jumps through.
    pub jump: Option<String>,
}

impl Spec {
    /// Returns the lab of a small company: a server, two routers with a LAN and a PC each, two exits, eight remotes
    /// (the last behind a NAT), a web host and a controller.
    pub fn office() -> Self {
        Self::own(include_str!("../specs/office.lab"))
    }

    /// Returns twenty plain hosts, `h1` to `h20`, and a controller.
    pub fn twenty() -> Self {
        Self::own(include_str!("../specs/twenty.lab"))
    }

    /// Returns two hosts, `a` and `b`, and a controller.
    pub fn pair() -> Self {
        Self::own(include_str!("../specs/pair.lab"))
    }

    fn own(text: &str) -> Self {
        text.parse().expect("the specs in this crate are valid: a test reads each")
    }

    /// Adds a network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Adds a host.
    #[must_use]
    pub fn host(mut self, host: HostSpec) -> Self {
        self.hosts.push(host);
        self
    }

    /// Changes the host `name`; a name that isn't there changes nothing.
    #[must_use]
    pub fn with(mut self, name: &str, change: impl FnOnce(HostSpec) -> HostSpec) -> Self {
        if let Some(at) = self.hosts.iter().position(|h| h.name == name) {
            let host = self.hosts.remove(at);
            self.hosts.insert(at, change(host));
        }
        self
    }

    /// Returns a host by its name.
    pub fn find(&self, name: &str) -> Option<&HostSpec> {
        self.hosts.iter().find(|h| h.name == name)
    }

    /// Returns the addresses of `host`, network card by network card, each with the length of its prefix.
    pub fn addresses(&self, host: &HostSpec) -> Vec<Vec<IpNet>> {
        let network = |link: &Link| self.networks.iter().find(|n| n.name == link.network);
        let at = |cidr: &IpNet, number| nth(cidr, number).and_then(|a| IpNet::new(a, cidr.prefix_len()).ok());
        host.links
            .iter()
            .map(|l| network(l).into_iter().flat_map(|n| &n.cidrs).filter_map(|c| at(c, l.number)).collect())
            .collect()
    }

    /// Returns the routers `host` sends to what isn't on its own networks: at most one per address family.
    pub fn gateways(&self, host: &HostSpec) -> Vec<IpAddr> {
        let near: Vec<&Network> =
            host.links.iter().filter_map(|l| self.networks.iter().find(|n| n.name == l.network)).collect();
        let mut all: Vec<IpAddr> = match host.gateway.as_deref().and_then(|g| self.find(g)) {
            Some(router) => self
                .addresses(router)
                .into_iter()
                .flatten()
                .map(|a| a.addr())
                .filter(|a| near.iter().any(|n| n.cidrs.iter().any(|c| c.contains(a))))
                .collect(),
            None => near.iter().filter(|n| n.routed).flat_map(|n| &n.cidrs).filter_map(|c| nth(c, 1)).collect(),
        };
        let mut seen = BTreeSet::new();
        all.retain(|a| seen.insert(a.is_ipv6()));
        all
    }

    /// Says what is wrong with the spec, if anything is.
    ///
    /// # Errors
    /// [`Error::Spec`] names the first thing that can't be built.
    pub fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for name in self.networks.iter().map(|n| &n.name).chain(self.hosts.iter().map(|h| &h.name)) {
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if name.is_empty() || name.len() > LONGEST_NAME || !plain || name.starts_with('-') {
                return wrong(format!("`{name}` is no name: 1 to {LONGEST_NAME} letters a-z, digits and `-`"));
            }
            if !names.insert(name) {
                return wrong(format!("`{name}` is there twice"));
            }
        }
        let mut taken = BTreeSet::new();
        for host in &self.hosts {
            self.check_host(host)?;
            for address in self.addresses(host).into_iter().flatten() {
                if !taken.insert(address.addr()) {
                    return wrong(format!("{}: the address {} is taken", host.name, address.addr()));
                }
            }
        }
        if self.hosts.iter().filter(|h| h.controller).count() > 1 {
            return wrong("there is more than one controller".to_owned());
        }
        Ok(())
    }

    fn check_host(&self, host: &HostSpec) -> Result<()> {
        let name = &host.name;
        if host.links.is_empty() {
            return wrong(format!("{name}: is in no network"));
        }
        for link in &host.links {
            let Some(network) = self.networks.iter().find(|n| n.name == link.network) else {
                return wrong(format!("{name}: there is no network `{}`", link.network));
            };
            if network.routed && link.number == 1 {
                return wrong(format!("{name}: number 1 of `{}` is its router", network.name));
            }
            if let Some(cidr) = network.cidrs.iter().find(|c| nth(c, link.number).is_none()) {
                return wrong(format!("{name}: {cidr} has no address number {}", link.number));
            }
        }
        if let Some(nat) = host.nat.as_ref().filter(|nat| !host.links.iter().any(|l| l.network == **nat)) {
            return wrong(format!("{name}: nat={nat}, but it isn't in that network"));
        }
        for other in host.gateway.iter().chain(&host.jump) {
            if self.find(other).is_none() {
                return wrong(format!("{name}: there is no host `{other}`"));
            }
        }
        if host.controller && (host.init == Init::Systemd || host.web) {
            return wrong(format!("{name}: a controller has neither systemd nor a web server"));
        }
        let plain = |c: &String| c.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if let Some(command) = host.without.iter().find(|c| c.is_empty() || !plain(c)) {
            return wrong(format!("{name}: `{command}` is no command"));
        }
        Ok(())
    }
}

/// Returns the `number`-th address of a prefix, if it has that many: network and broadcast address aside.
pub(crate) fn nth(cidr: &IpNet, number: u32) -> Option<IpAddr> {
    let address: IpAddr = match cidr {
        IpNet::V4(c) => std::net::Ipv4Addr::from(u32::from(c.network()).checked_add(number)?).into(),
        IpNet::V6(c) => std::net::Ipv6Addr::from(u128::from(c.network()).checked_add(number.into())?).into(),
    };
    let usable = number > 0 && cidr.contains(&address) && (cidr.addr().is_ipv6() || address != cidr.broadcast());
    usable.then_some(address)
}

impl Network {
    /// Returns a network of its own.
    ///
    /// # Panics
    /// When a CIDR isn't one.
    pub fn new(name: &str, cidrs: &[&str]) -> Self {
        let cidrs = cidrs.iter().map(|c| c.parse().unwrap_or_else(|_| panic!("`{c}` is no CIDR"))).collect();
        Self { name: name.to_owned(), cidrs, routed: false }
    }

    /// Returns a network that is a part of the internet.
    ///
    /// # Panics
    /// When a CIDR isn't one.
    pub fn routed(name: &str, cidrs: &[&str]) -> Self {
        Self { routed: true, ..Self::new(name, cidrs) }
    }
}

impl HostSpec {
    /// Returns a plain host: no systemd, sshd on port 22, sudo without a password; not plugged in yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            links: Vec::new(),
            init: Init::Shell,
            ssh: Some(22),
            sudo: Sudo::Free,
            forward: false,
            nat: None,
            gateway: None,
            without: Vec::new(),
            disk: 64,
            web: false,
            controller: false,
            at: None,
            jump: None,
        }
    }

    /// Plugs it into a network, at the number-th address of each of its prefixes.
    #[must_use]
    pub fn on(mut self, network: &str, number: u32) -> Self {
        self.links.push(Link { network: network.to_owned(), number });
        self
    }

    /// Gives it systemd.
    #[must_use]
    pub fn systemd(self) -> Self {
        Self { init: Init::Systemd, ..self }
    }

    /// Sets its sshd's port; `None` means it has no sshd.
    #[must_use]
    pub fn ssh(self, port: Option<u16>) -> Self {
        Self { ssh: port, ..self }
    }

    /// Says what `sudo` does.
    #[must_use]
    pub fn sudo(self, sudo: Sudo) -> Self {
        Self { sudo, ..self }
    }

    /// Makes it forward packets from the start.
    #[must_use]
    pub fn forward(self) -> Self {
        Self { forward: true, ..self }
    }

    /// Makes it forward, and masquerade towards `network`.
    #[must_use]
    pub fn nat(self, network: &str) -> Self {
        Self { forward: true, nat: Some(network.to_owned()), ..self }
    }

    /// Names its default router.
    #[must_use]
    pub fn gateway(self, host: &str) -> Self {
        Self { gateway: Some(host.to_owned()), ..self }
    }

    /// Takes commands away.
    #[must_use]
    pub fn without(mut self, commands: &[&str]) -> Self {
        self.without.extend(commands.iter().map(|&c| c.to_owned()));
        self
    }

    /// Sets the size of its disk in MiB.
    #[must_use]
    pub fn disk(self, mib: u32) -> Self {
        Self { disk: mib, ..self }
    }

    /// Gives it a web server that answers with the address it was asked from.
    #[must_use]
    pub fn web(self) -> Self {
        Self { web: true, ..self }
    }

    /// Makes it the controller.
    #[must_use]
    pub fn controller(self) -> Self {
        Self { controller: true, ssh: None, ..self }
    }

    /// Has `ssh` use this address.
    #[must_use]
    pub fn at(self, address: IpAddr) -> Self {
        Self { at: Some(address), ..self }
    }

    /// Has `ssh` jump through another host.
    #[must_use]
    pub fn jump(self, host: &str) -> Self {
        Self { jump: Some(host.to_owned()), ..self }
    }
}

impl FromStr for Spec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut spec = Self::default();
        for (number, line) in text.lines().enumerate() {
            let at = |e: String| Error::Spec(format!("line {}: {e}", number + 1));
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            match (words.next(), words.next()) {
                (None, _) => {}
                (Some("network"), Some(name)) => spec.networks.push(read_network(name, words).map_err(at)?),
                (Some("host"), Some(name)) => spec.hosts.extend(read_hosts(name, words).map_err(at)?),
                (Some(word), _) => return Err(at(format!("`{word}`: expected `network NAME` or `host NAME`"))),
            }
        }
        spec.check()?;
        Ok(spec)
    }
}

fn read_network<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Result<Network, String> {
    let mut network = Network { name: name.to_owned(), cidrs: Vec::new(), routed: false };
    for word in words {
        match word {
            "routed" => network.routed = true,
            cidr => network.cidrs.push(cidr.parse().map_err(|_| format!("`{cidr}` is no CIDR"))?),
        }
    }
    Ok(network)
}

fn read_hosts<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Result<Vec<HostSpec>, String> {
    let mut host = HostSpec::new(name);
    let mut count = None;
    for word in words {
        let number = |n: &str| n.parse::<u32>().map_err(|_| format!("`{word}`: `{n}` is no number"));
        if let Some((key, value)) = word.split_once('=') {
            match (key, value) {
                ("count", n) => count = Some(number(n)?),
                ("init", "systemd") => host.init = Init::Systemd,
                ("init", "shell") => host.init = Init::Shell,
                ("ssh", "no") => host.ssh = None,
                ("ssh", port) => host.ssh = Some(port.parse().map_err(|_| format!("`{word}`: no port"))?),
                ("sudo", "free") => host.sudo = Sudo::Free,
                ("sudo", "password") => host.sudo = Sudo::Password,
                ("sudo", "none") => host.sudo = Sudo::None,
                ("nat", network) => host = host.nat(network),
                ("gateway", other) => host = host.gateway(other),
                ("without", commands) => host.without = commands.split(',').map(str::to_owned).collect(),
                ("disk", mib) => host.disk = number(mib)?,
                ("at", address) => host.at = Some(address.parse().map_err(|_| format!("`{word}`: no address"))?),
                ("jump", other) => host = host.jump(other),
                _ => return Err(format!("`{word}` is no setting of a host")),
            }
        } else if let Some((network, n)) = word.split_once(':') {
            host = host.on(network, number(n)?);
        } else {
            match word {
                "controller" => host = host.controller(),
                "forward" => host = host.forward(),
                "web" => host = host.web(),
                _ => return Err(format!("`{word}`: expected NETWORK:NUMBER or a setting")),
            }
        }
    }
    let Some(count) = count else { return Ok(vec![host]) };
    let one = |i: u32| {
        let links = host.links.iter().map(|l| Link { number: l.number + i, ..l.clone() }).collect();
        HostSpec { name: format!("{name}{}", i + 1), links, ..host.clone() }
    };
    Ok((0..count).map(one).collect())
}

impl fmt::Display for Spec {
    /// Writes the text form; reading it gives the same spec again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for network in &self.networks {
            write!(f, "network {}", network.name)?;
            network.cidrs.iter().try_for_each(|c| write!(f, " {c}"))?;
            f.write_str(if network.routed { " routed\n" } else { "\n" })?;
        }
        self.hosts.iter().try_for_each(|h| writeln!(f, "{h}"))
    }
}

impl fmt::Display for HostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.name)?;
        self.links.iter().try_for_each(|l| write!(f, " {}:{}", l.network, l.number))?;
        let mut say = |condition: bool, word: &str| if condition { write!(f, " {word}") } else { Ok(()) };
        say(self.controller, "controller")?;
        say(self.init == Init::Systemd, "init=systemd")?;
        match self.ssh {
            None => say(!self.controller, "ssh=no")?,
            Some(port) => say(port != 22, &format!("ssh={port}"))?,
        }
        say(self.sudo == Sudo::Password, "sudo=password")?;
        say(self.sudo == Sudo::None, "sudo=none")?;
        say(self.forward && self.nat.is_none(), "forward")?;
        say(self.nat.is_some(), &format!("nat={}", self.nat.as_deref().unwrap_or_default()))?;
        say(self.gateway.is_some(), &format!("gateway={}", self.gateway.as_deref().unwrap_or_default()))?;
        say(!self.without.is_empty(), &format!("without={}", self.without.join(",")))?;
        say(self.disk != 64, &format!("disk={}", self.disk))?;
        say(self.web, "web")?;
        say(self.at.is_some(), &format!("at={}", self.at.map(|a| a.to_string()).unwrap_or_default()))?;
        say(self.jump.is_some(), &format!("jump={}", self.jump.as_deref().unwrap_or_default()))
    }
}

fn wrong<T>(what: String) -> Result<T> {
    Err(Error::Spec(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specs_that_come_with_the_lab_can_be_written_and_read_again() {
        for spec in [Spec::office(), Spec::twenty(), Spec::pair()] {
            assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
        }
        assert_eq!(Spec::twenty().hosts.len(), 21);
    }

    #[test]
    fn a_host_has_the_same_number_in_every_prefix_and_its_networks_router() {
        let spec = Spec::office();
        let addresses = |name| format!("{:?}", spec.addresses(spec.find(name).unwrap()));
        let gateways = |name| format!("{:?}", spec.gateways(spec.find(name).unwrap()));
        assert_eq!(addresses("hub"), "[[198.51.100.10/24, 2001:db8:51::a/64]]");
        assert_eq!(addresses("remote3"), "[[198.51.100.103/24, 2001:db8:51::67/64]]");
        assert_eq!(gateways("hub"), "[198.51.100.1, 2001:db8:51::1]");
        assert_eq!(gateways("pc-a"), "[192.168.11.1, fd0a:11::1]");
        assert_eq!(gateways("remote8"), "[192.168.1.1, fd0a:1::1]");
    }

    #[test]
    fn every_setting_survives_being_written_and_read() {
        let spec = Spec::default()
            .network(Network::routed("net", &["10.0.0.0/24"]))
            .network(Network::new("lan", &["10.1.0.0/24"]))
            .host(HostSpec::new("ctl").on("net", 2).controller())
            .host(
                HostSpec::new("a").on("net", 3).systemd().ssh(Some(2222)).sudo(Sudo::Password).without(&["nft", "wg"]),
            )
            .host(HostSpec::new("b").on("net", 4).on("lan", 1).nat("net").ssh(None).disk(8).web())
            .host(
                HostSpec::new("c")
                    .on("lan", 2)
                    .gateway("b")
                    .jump("a")
                    .at([10, 9, 0, 1].into())
                    .sudo(Sudo::None)
                    .forward(),
            );
        assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_its_line_or_its_name() {
        let fails = |text: &str| text.parse::<Spec>().unwrap_err().to_string();
        let net = "network net 10.0.0.0/29 routed\n";
        assert_eq!(fails("hots a"), "lab spec: line 1: `hots`: expected `network NAME` or `host NAME`");
        assert_eq!(fails("network n 10.0.0/8"), "lab spec: line 1: `10.0.0/8` is no CIDR");
        assert_eq!(fails(&format!("{net}host a net:1")), "lab spec: a: number 1 of `net` is its router");
        assert_eq!(fails(&format!("{net}host a net:7")), "lab spec: a: 10.0.0.0/29 has no address number 7");
        assert_eq!(fails(&format!("{net}host a net:2\nhost b net:2")), "lab spec: b: the address 10.0.0.2 is taken");
        assert_eq!(fails(&format!("{net}host a lan:2")), "lab spec: a: there is no network `lan`");
        assert_eq!(
            fails(&format!("{net}host a net:2 fast")),
            "lab spec: line 2: `fast`: expected NETWORK:NUMBER or a setting"
        );
        assert_eq!(fails(&format!("{net}host a")), "lab spec: a: is in no network");
        assert_eq!(
            fails("network a-very-long-one 10.0.0.0/8"),
            "lab spec: `a-very-long-one` is no name: 1 to 12 letters a-z, digits and `-`"
        );
    }
}
