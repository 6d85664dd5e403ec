//! What a plan says that it will do to others, against what is measured: whether an interface goes down, who loses
//! packets, and which devices are cut off with the file that they have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;
use wg_friend::model::Cidr;
use wg_friend_lab::{Lab, PingStream, Result, Spec};

use super::edits::{Dice, Edit, think};
use super::family::{Family, lab_or_skip};
use super::office::Admin;

/// People's devices. Each has the file that it was given last.
const DEVICES: [&str; 4] = ["dora", "emil", "frieda", "gustav"];

/// Nodes that stay as they are.
const STEADY: [&str; 3] = ["branch", "out", "gustav"];

fn spec() -> Spec {
    "network internet 198.51.100.0/24 2001:db8:51::/64 routed\n\
     host ctl internet:2 controller\n\
     host hub internet:11\n\
     host branch internet:21\n\
     host out internet:22\n\
     host dora internet:101\n\
     host emil internet:102\n\
     host frieda internet:103\n\
     host gustav internet:104\n"
        .parse()
        .unwrap()
}

/// What the plan says of an edit.
#[derive(Debug, Default)]
struct Said {
    /// Whether anything is to do on a host.
    changes: bool,
    /// Whether the server's interface goes down and up.
    restart: bool,
    /// Who loses packets, and why.
    loses: BTreeMap<String, String>,
    /// Devices that are cut off without a new file.
    must: BTreeSet<String>,
    /// Devices that should get a new file, and work without.
    may: BTreeSet<String>,
}

impl Said {
    fn of(admin: &Admin<'_>) -> Self {
        let plan = admin.json(&["plan"]);
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let hub = list(&plan["hosts"]).into_iter().find(|host| host["host"] == "hub").unwrap_or_default();
        let main = |change: &&Value| change["interface"] == "wg0";
        let restart = list(&hub["changes"]).iter().filter(main).any(|change| change["disruption"] == "restart");
        let lost = list(&plan["blast"]["loses"]).into_iter().filter(|loss| loss["host"] == "hub" && main(&loss));
        let devices = list(&plan["blast"]["devices"]);
        let needing = |key: &str| -> BTreeSet<String> {
            let some = devices.iter().filter(|device| !list(&device[key]).is_empty());
            some.map(|device| word(device, "node")).collect()
        };
        Self {
            changes: plan["changes"] != 0,
            restart,
            loses: lost.map(|loss| (word(&loss, "peer"), word(&loss, "because"))).collect(),
            must: needing("must"),
            may: needing("may"),
        }
    }
}

/// A device with the file that it has.
struct Device {
    name: &'static str,
    /// Where packets to it come from: the host of the peer that it has.
    from: String,
    address: String,
    /// Whether its file lets packets in from that host's own address, by which it is asked here.
    answers: bool,
}

/// Whether a file permits packets from an address.
fn permits(file: &str, address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let allowed = file.lines().filter_map(|line| line.strip_prefix("AllowedIPs = "));
    let mut prefixes = allowed.flat_map(|list| list.split(", ")).filter_map(|prefix| prefix.parse::<Cidr>().ok());
    prefixes.any(|prefix| prefix.contains(address))
}

struct Trial<'a> {
    lab: &'a Lab,
    admin: &'a Admin<'a>,
    wrong: Vec<String>,
    /// How often each kind of effect was seen.
    seen: BTreeMap<&'static str, u32>,
}

impl Trial<'_> {
    /// Returns the devices that are switched on and have a peer with a host in the lab.
    fn devices(&self) -> Vec<Device> {
        let word = |shown: &Value, key: &str| shown[key].as_str().unwrap().to_owned();
        let first = |node: &str| self.admin.addresses(node)[0].to_string();
        let of = |host: &'static str| {
            let shown = self.admin.json(&["show", host]);
            (word(&shown, "public_key"), first(host), host)
        };
        let hosts = ["hub", "out"].map(of);
        let device = |name: &'static str| {
            let shown = self.admin.json(&["show", name]);
            let file = self.lab.host(name).read("/etc/wireguard/wg0.conf").ok()?;
            let (_, own, from) = hosts.iter().find(|(key, ..)| file.contains(key))?;
            let (from, address, answers) = ((*from).to_owned(), first(name), permits(&file, own));
            (shown["enabled"] == true).then_some(Device { name, from, address, answers })
        };
        DEVICES.into_iter().filter_map(device).collect()
    }

    /// Makes a device shake hands anew from a new place, as after a night in a drawer. Whether it can be reached then.
    fn works_afresh(&self, device: &Device, seconds: u32) -> Result<bool> {
        let host = self.lab.host(device.name);
        host.sh("set -e; umask 077
             awk '/^\\[/ { peer = $1 == \"[Peer]\" } peer' /etc/wireguard/wg0.conf >/root/peers
             for key in $(wg show wg0 peers); do wg set wg0 peer $key remove; done
             wg set wg0 listen-port $(awk 'BEGIN { srand(); print 20000 + int(rand() * 30000) }')
             wg addconf wg0 /root/peers
             for key in $(wg show wg0 peers); do wg set wg0 peer $key persistent-keepalive 1; done")?;
        let ping = format!("ping -n -c 1 -w {seconds} {}", device.address);
        Ok(self.lab.host(&device.from).run(&ping)?.success())
    }

    fn index(&self) -> Result<String> {
        self.lab.host("hub").sh("cat /sys/class/net/wg0/ifindex")
    }

    /// What the server received from each peer.
    fn received(&self) -> Result<BTreeMap<String, u64>> {
        let text = self.lab.host("hub").sh("wg show wg0 transfer")?;
        let peer = |line: &str| {
            let mut words = line.split('\t');
            Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
        };
        Ok(text.lines().filter_map(peer).collect())
    }

    fn expect(&mut self, right: bool, edit: &Edit, said: &Said, what: &str) {
        if !right {
            self.wrong.push(format!("{edit}: {what}; it was said: {said:?}"));
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// Makes an edit, deploys it, and compares what happens with what the plan says.
    fn carry_out(&mut self, edit: &Edit) -> Result {
        let before = self.devices();
        let said = {
            let made = self.admin.run(&edit.words().iter().map(String::as_str).collect::<Vec<_>>());
            if made.status != 0 {
                self.count("refused");
                return Ok(());
            }
            Said::of(self.admin)
        };
        let answering: BTreeSet<&str> =
            self.devices().iter().filter(|device| device.answers).map(|device| device.name).collect();
        if said.changes {
            let streams: Vec<(&Device, PingStream)> = before
                .iter()
                .filter(|device| device.from == "hub" && device.answers)
                .map(|device| Ok((device, self.lab.ping_stream("hub", &device.address, 100)?)))
                .collect::<Result<_>>()?;
            let (index, received) = (self.index()?, self.received()?);
            self.admin.deploy();
            let restarted = self.index()? != index;
            self.expect(restarted == said.restart, edit, &said, if restarted { "it restarted" } else { "no restart" });
            self.count(if restarted { "restart" } else { "live" });
            let now = self.received()?;
            let back = received.iter().any(|(key, was)| now.get(key).is_some_and(|now| now < was));
            self.expect(restarted || !back, edit, &said, "counters went back");
            for (device, stream) in streams {
                let report = stream.stop()?;
                let touched = said.must.contains(device.name) || !answering.contains(device.name);
                match said.loses.get(device.name).map(String::as_str) {
                    None if !touched => {
                        self.expect(report.lost == 0, edit, &said, &format!("{} lost {report:?}", device.name));
                        self.count("nothing lost");
                    }
                    // Those that have to lose some; of the others it depends on who speaks first.
                    Some("restart" | "interface_gone" | "peer_gone" | "rekey") => {
                        self.expect(report.lost > 0, edit, &said, &format!("{} lost nothing", device.name));
                        self.count("lost");
                    }
                    _ => {}
                }
            }
        }
        // The file that it has, after a night in a drawer.
        for device in self.devices().into_iter().filter(|device| device.answers) {
            let cut_off = said.must.contains(device.name);
            let works = self.works_afresh(&device, if cut_off { 4 } else { 30 })?;
            let what = format!("{} with its old file {}", device.name, if works { "works" } else { "is cut off" });
            self.expect(works != cut_off, edit, &said, &what);
            self.count(if cut_off { "cut off" } else { "works on" });
        }
        for device in DEVICES {
            if said.must.contains(device) || said.may.contains(device) {
                self.admin.hand_out(device, str::to_owned)?;
            }
        }
        let given = Said::of(self.admin);
        let waiting = DEVICES.iter().any(|device| given.must.contains(*device) || given.may.contains(*device));
        self.expect(!given.changes && !waiting, edit, &given, "something is left to do");
        for device in self.devices() {
            // Whoever was away is at home again.
            if said.must.contains(device.name) && device.answers {
                let works = self.works_afresh(&device, 30)?;
                self.expect(works, edit, &said, &format!("{} with its new file is cut off", device.name));
            }
        }
        Ok(())
    }
}

/// Whether an edit leaves the lab's own machines where they are.
fn fits(edit: &Edit) -> bool {
    let device = |name: &str| DEVICES.contains(&name);
    match edit {
        Edit::Remove { node } => !device(node),
        Edit::Rename { node, .. } => !device(node),
        // Where the server is dialled is a matter of the lab.
        Edit::Set { node, settings } => node != "hub" || !settings.iter().any(|text| text.starts_with("endpoint")),
        _ => true,
    }
}

#[test]
fn what_a_plan_says_of_others_is_what_happens_to_them() -> Result {
    let lab = lab_or_skip!(spec());
    let admin = Admin::new(&lab);
    admin.init_as("effects", "10.66.0.0/23", Family::Dual);
    admin.ok(&["add", "server", "hub", "--endpoint", "198.51.100.11", "--ssh", "hub"]);
    admin.ok(&["add", "router", "branch", "--lan", "192.168.200.0/24", "--ssh", "branch"]);
    admin.ok(&["add", "exit", "out", "--endpoint", "198.51.100.22", "--ssh", "out"]);
    admin.ok(&[&["add", "remote"], &DEVICES[..]].concat());
    lab.host("hub").sh("cp /bin/true /usr/local/bin/resolvconf")?;
    admin.deploy();
    for device in DEVICES {
        admin.hand_out(device, str::to_owned)?;
    }
    let mut trial = Trial { lab: &lab, admin: &admin, wrong: Vec::new(), seen: BTreeMap::new() };
    for device in trial.devices() {
        assert!(trial.works_afresh(&device, 30)?, "{}", device.name);
    }
    let long = std::env::var_os("WGF_LONG").is_some_and(|value| value == "1");
    let wanted = if long { 300 } else { 4 };
    let mut dice = Dice(7);
    let mut number = 0;
    while number < wanted {
        number += 1;
        let topology = admin.topology();
        let edit = loop {
            let edit = think(&topology, &STEADY, 6, number, &mut dice);
            if fits(&edit) {
                break edit;
            }
        };
        let wrong = trial.wrong.len();
        trial.carry_out(&edit)?;
        eprintln!("{number} {edit}: {}", trial.wrong.get(wrong).map_or("as it was said", String::as_str));
    }
    eprintln!("{number} edits: {:?}", trial.seen);
    assert!(trial.wrong.is_empty(), "{} are wrong:\n{}", trial.wrong.len(), trial.wrong.join("\n"));
    Ok(())
}
