//! How long twenty hosts take: `plan`, `deploy` and `drift check` beside twenty `ssh HOST true` at once, in turn in one
//! run; and what a dead host among them costs the others.
//!
//! Needs the lab (see `./lab`), so root. `cargo bench --bench fleet -- ROUNDS` measures that often; the default is 7.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wg_friend_lab::{Lab, Output, Result, Spec};

/// At most so many times what twenty `ssh HOST true` take.
const PLAN_BOUND: f64 = 2.0;
const DEPLOY_BOUND: f64 = 6.0;
/// Seconds that a look for drift on all twenty may take on two cores.
const DRIFT_SECONDS: f64 = 3.0;
/// At most so many times what the slowest of the others took without a dead host.
const DEAD_BOUND: f64 = 1.5;

fn main() -> Result {
    if let Err(reason) = Lab::available() {
        println!("skipped: no lab on this machine: {reason}");
        return Ok(());
    }
    // Cargo gives options of its own to every bench; a number is ours.
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(7);
    let lab = Lab::up(&Spec::twenty())?;
    let home = tempfile::tempdir()?;
    let admin = Admin { lab: &lab, home: home.path().to_owned() };
    admin.make_network()?;
    println!("first deploy to {} hosts: {:.2} s", admin.hosts().len(), admin.run(&["deploy", "--yes"])?.as_secs_f64());
    measure(&admin, rounds)?;
    measure_dead(&admin, rounds)
}

/// Looks for drift with all hosts alive, and with one that drops every packet: what the others take must not differ.
fn measure_dead(admin: &Admin<'_>, rounds: u32) -> Result {
    let (mut alive, mut others, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begun = Instant::now();
        let slowest = admin.drift(0)?;
        alive.push(begun.elapsed());
        others.push(slowest);
        admin.lab.drop_packets("h20", "")?;
        beside.push(admin.drift(4)?);
        admin.lab.heal("h20")?;
    }
    let (all, before, after) = (median(&alive), median(&others), median(&beside));
    let verdict = |good: bool, bound: String| if good { format!("within {bound}") } else { format!("MISSED: {bound}") };
    println!("drift check of 20 hosts: {all:.3} s, {}", verdict(all <= DRIFT_SECONDS, format!("{DRIFT_SECONDS} s")));
    println!(
        "  the slowest host took {before:.3} s; with another one dead {after:.3} s, {}",
        verdict(after <= before * DEAD_BOUND, format!("{DEAD_BOUND} ×"),)
    );
    Ok(())
}

/// Measures in turn, so that whatever else the machine does hits all of them alike.
fn measure(admin: &Admin<'_>, rounds: u32) -> Result {
    let (mut ssh, mut plan, mut one, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        ssh.push(admin.ssh_to_all()?);
        plan.push(admin.run(&["plan"])?);
        ssh.push(admin.ssh_to_all()?);
        // A remote's new key: the server has to know it, and the remote's host has to have it.
        admin.run(&["rotate", "h7", "--reason", "bench"])?;
        one.push(admin.run(&["deploy", "--yes"])?);
        ssh.push(admin.ssh_to_all()?);
        // The server's new port: every host has to know it.
        admin.run(&["set", "h1", &format!("port={}", 51_821 + round)])?;
        all.push(admin.run(&["deploy", "--yes"])?);
    }
    admin.run(&["plan", "--exit-code"])?; // nothing is left to do
    let base = median(&ssh);
    println!("median of {rounds} rounds (three of ssh in each), least and most in brackets:");
    print("20 × ssh HOST true, at once", &ssh, base, None);
    print("plan of 20 hosts", &plan, base, Some(PLAN_BOUND));
    print("deploy of one changed peer", &one, base, Some(DEPLOY_BOUND));
    print("deploy of a change to all 20", &all, base, None);
    Ok(())
}

fn median(times: &[Duration]) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

fn print(what: &str, times: &[Duration], base: f64, bound: Option<f64>) {
    let seconds = |d: Option<&Duration>| d.map_or(0.0, Duration::as_secs_f64);
    let (least, most, ratio) = (seconds(times.iter().min()), seconds(times.iter().max()), median(times) / base);
    let verdict = match bound {
        Some(bound) if ratio <= bound => format!("within {bound}"),
        Some(bound) => format!("MISSED: more than {bound}"),
        None => String::new(),
    };
    println!("  {what:<30} {:6.3} s  [{least:.3} .. {most:.3}]  {ratio:5.2} ×  {verdict}", median(times));
}

/// Somebody who runs wg-friend in the lab's controller.
struct Admin<'a> {
    lab: &'a Lab,
    home: std::path::PathBuf,
}

impl Admin<'_> {
    fn hosts(&self) -> Vec<&str> {
        self.lab.spec.hosts.iter().filter(|h| !h.controller).map(|h| h.name.as_str()).collect()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.lab.command("ctl", program, arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &self.home).env("USER", "bench");
        command.env("WG_FRIEND_PASSPHRASE", "correct horse battery staple").env("WG_FRIEND_KDF_LOG_N", "10");
        command.env("XDG_RUNTIME_DIR", &self.home);
        command
    }

    /// Runs wg-friend, which has to succeed, and returns how long it took.
    fn run(&self, arguments: &[&str]) -> Result<Duration> {
        let begun = Instant::now();
        let output = Output::of(&mut self.command(env!("CARGO_BIN_EXE_wg-friend"), arguments))?;
        let time = begun.elapsed();
        let Output { status, stdout, stderr } = output;
        assert_eq!(status, 0, "wg-friend {}\n{stdout}{stderr}", arguments.join(" "));
        Ok(time)
    }

    /// Looks for drift, which has to end so; returns how long the slowest host that answered took.
    fn drift(&self, status: i32) -> Result<Duration> {
        let program = env!("CARGO_BIN_EXE_wg-friend");
        let output = Output::of(&mut self.command(program, &["drift", "check", "--json"]))?;
        assert_eq!(output.status, status, "{}{}", output.stdout, output.stderr);
        let report: serde_json::Value = serde_json::from_str(&output.stdout).expect("a document");
        let hosts = report["hosts"].as_array().expect("one entry a host");
        let answered = hosts.iter().filter(|host| host["outcome"] != "unknown");
        let slowest = answered.filter_map(|host| host["milliseconds"].as_u64()).max();
        Ok(Duration::from_millis(slowest.expect("the others answer")))
    }

    /// Runs `ssh HOST true` on all hosts at once and returns how long that took.
    fn ssh_to_all(&self) -> Result<Duration> {
        let begun = Instant::now();
        let all: Vec<_> = self
            .hosts()
            .iter()
            .map(|host| self.command("ssh", &[host, "true"]).stdout(Stdio::null()).spawn())
            .collect::<std::io::Result<_>>()?;
        for mut one in all {
            assert!(one.wait()?.success());
        }
        Ok(begun.elapsed())
    }

    /// Makes a server and nineteen remotes, each on a host of its own.
    fn make_network(&self) -> Result {
        self.run(&["init", "--name", "twenty", "--yes"])?;
        for (number, host) in self.hosts().into_iter().enumerate() {
            if number == 0 {
                let endpoint = self.lab.host(host).address().to_string();
                self.run(&["add", "server", host, "--endpoint", &endpoint, "--ssh", host])?;
            } else {
                self.run(&["add", "remote", host, "--ssh", host])?;
            }
        }
        Ok(())
    }
}
