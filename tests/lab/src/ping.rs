//! Who reaches whom: a stream of pings that counts what was lost, and probes of many pairs at once.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::wait_until;
use crate::{Error, Host, Lab, Result, Spawned};

/// Pings that flow until they are stopped.
#[derive(Debug)]
pub struct PingStream {
    ping: Spawned,
    reader: JoinHandle<Replies>,
    answers: Arc<AtomicU64>,
    interval: Duration,
}

/// What became of a stream of pings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingReport {
    /// How many were sent, from the first that was answered.
    pub sent: u64,
    /// How many were never answered.
    pub lost: u64,
    /// The longest time between two answers.
    pub longest_gap: Duration,
}

#[derive(Debug, Default)]
struct Replies {
    answered: std::collections::BTreeSet<u64>,
    last: Option<f64>,
    gap: f64,
    sent: Option<u64>,
    /// How often ping's 16-bit sequence number began again at zero.
    wraps: u64,
    newest: u64,
}

impl Replies {
    fn read(&mut self, line: &str) -> bool {
        if let Some((sent, _)) = line.split_once(" packets transmitted") {
            self.sent = sent.trim().parse().ok();
        }
        let field = |name| line.split_once(name).and_then(|(_, rest)| rest.split([' ', ']']).next());
        // `[1700000000.123456] 64 bytes from ...: icmp_seq=7 ttl=64 time=0.1 ms`; errors have no `time=`.
        let (Some(at), Some(number), true) = (
            field("[").and_then(|t| t.parse::<f64>().ok()),
            field("icmp_seq=").and_then(|n| n.parse::<u64>().ok()),
            line.contains(" time="),
        ) else {
            return false;
        };
        let mut number = number + self.wraps * 65536;
        if number + 32768 < self.newest {
            self.wraps += 1;
            number += 65536;
        }
        self.newest = self.newest.max(number);
        self.answered.insert(number);
        self.gap = self.last.map_or(0.0, |last| self.gap.max(at - last));
        self.last = Some(at);
        true
    }

    fn report(self, interval: Duration) -> PingReport {
        // What was sent in the last fifth of a second may still be on its way.
        let on_its_way = (0.2 / interval.as_secs_f64()).ceil() as u64;
        let last = self.sent.unwrap_or(self.newest);
        let last = if last.saturating_sub(self.newest) <= on_its_way { self.newest } else { last };
        // Before the first answer a tunnel's handshake was under way.
        let before = self.answered.first().map_or(0, |first| first.saturating_sub(1));
        let sent = last.saturating_sub(before);
        let lost = sent.saturating_sub(self.answered.len() as u64);
        PingReport { sent, lost, longest_gap: Duration::from_secs_f64(self.gap.max(0.0)) }
    }
}

impl PingStream {
    /// Returns how many were answered so far.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// Waits until so many more were answered; returns false when that takes longer than `limit`.
    pub fn goes_on(&self, more: u64, limit: Duration) -> bool {
        let wanted = self.answers() + more;
        wait_until(limit, || self.answers() >= wanted)
    }

    /// Ends the stream and counts.
    ///
    /// # Errors
    /// When ping printed nothing that can be counted.
    pub fn stop(mut self) -> Result<PingReport> {
        self.ping.signal(Signal::INT);
        let _status = self.ping.child().wait();
        let replies = self.reader.join().map_err(|_| Error::Failed("reading ping's output failed".to_owned()))?;
        Ok(replies.report(self.interval))
    }
}

/// What a probe asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// An echo request.
    Icmp,
    /// A TCP connection to a port.
    Tcp(u16),
}

/// One question: does this host reach that address?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// The host that asks.
    pub from: String,
    /// The address it asks.
    pub to: IpAddr,
    /// How.
    pub protocol: Protocol,
}

impl Lab {
    /// Starts pings from a host to an address, at least so many a second if that is 100 or more, and returns when the
    /// first was answered.
    ///
    /// # Errors
    /// When none is answered within ten seconds.
    pub fn ping_stream(&self, from: &str, to: &str, per_second: u32) -> Result<PingStream> {
        // From 10 ms on ping leaves the timing to the kernel's clock tick, which may be as long as that: 60 a second
        // instead of 100. Below, it waits by itself and keeps its pace.
        let interval = Duration::from_secs(1) / per_second.max(1);
        let interval = if per_second >= 100 { interval.min(Duration::from_millis(9)) } else { interval };
        let mut command = self.host(from).command("ping");
        command.args(["-D", "-n", "-i", &format!("{:.4}", interval.as_secs_f64()), "-W", "2", "--", to]);
        let mut ping = Spawned::start(command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let stdout = ping.child().stdout.take().expect("stdout was piped one line above");
        let (first, answered) = mpsc::channel();
        let answers = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&answers);
        let reader = std::thread::spawn(move || {
            let mut replies = Replies::default();
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if replies.read(&line) && counter.fetch_add(1, Ordering::Relaxed) == 0 {
                    let _nobody_waits = first.send(replies.newest);
                }
            }
            replies
        });
        match answered.recv_timeout(Duration::from_secs(10)) {
            Ok(_first) => Ok(PingStream { ping, reader, answers, interval }),
            Err(_) => Err(Error::Failed(format!("{from} can't ping {to}"))),
        }
    }

    /// Asks many questions at once; each answer is whether the address was reached. A probe gets two attempts of one
    /// second each.
    ///
    /// # Errors
    /// When a host can't be asked.
    pub fn reach(&self, probes: &[Probe]) -> Result<Vec<bool>> {
        let mut by_host: BTreeMap<&str, Vec<(usize, &Probe)>> = BTreeMap::new();
        for (number, probe) in probes.iter().enumerate() {
            by_host.entry(&probe.from).or_default().push((number, probe));
        }
        let mut answers = vec![false; probes.len()];
        let mut running = Vec::new();
        for (host, probes) in by_host {
            let mut script = String::from("twice() { \"$@\" || \"$@\"; }\n");
            for (number, Probe { to, protocol, .. }) in probes {
                let try_it = match (protocol, to) {
                    (Protocol::Icmp, _) => format!("ping -n -c1 -W1 {to}"),
                    (Protocol::Tcp(port), IpAddr::V4(_)) => {
                        format!("socat -u OPEN:/dev/null TCP4:{to}:{port},connect-timeout=1")
                    }
                    (Protocol::Tcp(port), _) => format!("socat -u OPEN:/dev/null TCP6:[{to}]:{port},connect-timeout=1"),
                };
                script += &format!("( twice {try_it} >/dev/null 2>&1 && echo {number} ) &\n");
            }
            script += "wait\n";
            running.push((host, self.host(host).spawn(&script)?));
        }
        for (host, script) in running {
            let output = script.finish()?;
            for line in output.stdout.lines() {
                let number = line.parse::<usize>().ok().and_then(|n| answers.get_mut(n));
                *number.ok_or_else(|| Error::Failed(format!("{host} answered `{line}` to a probe")))? = true;
            }
        }
        Ok(answers)
    }

    /// Returns whether a host reaches an address.
    ///
    /// # Errors
    /// When the host can't be asked.
    pub fn reaches(&self, from: &str, to: IpAddr, protocol: Protocol) -> Result<bool> {
        Ok(self.reach(&[Probe { from: from.to_owned(), to, protocol }])? == [true])
    }

    /// Returns the IPv4 address the internet's web host sees when `from` asks it, if it answers within two seconds.
    ///
    /// # Errors
    /// When the spec has no web host, or `from` can't be asked.
    pub fn seen_address(&self, from: &str) -> Result<Option<IpAddr>> {
        self.seen(from, self.web_host()?.address())
    }

    /// As [`Lab::seen_address`], over IPv6.
    ///
    /// # Errors
    /// As [`Lab::seen_address`].
    pub fn seen_address6(&self, from: &str) -> Result<Option<IpAddr>> {
        let web = self.web_host()?;
        self.seen(from, web.address6().ok_or_else(|| Error::Failed("the web host has no IPv6 address".to_owned()))?)
    }

    fn web_host(&self) -> Result<Host<'_>> {
        self.hosts().find(|h| h.spec.web).ok_or_else(|| Error::Failed("the lab has no web host".to_owned()))
    }

    fn seen(&self, from: &str, web: IpAddr) -> Result<Option<IpAddr>> {
        let to = if web.is_ipv6() { format!("TCP6:[{web}]") } else { format!("TCP4:{web}") };
        let output = self
            .host(from)
            .run(&format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socat -t 2 - {to}:80,connect-timeout=2"))?;
        let address = output.stdout.lines().last().unwrap_or_default().trim_matches(['[', ']']);
        Ok(address.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(at: f64, number: u64) -> String {
        format!("[{at:.6}] 64 bytes from 10.0.0.1: icmp_seq={number} ttl=64 time=0.05 ms")
    }

    fn report(lines: &[String]) -> PingReport {
        let mut replies = Replies::default();
        for line in lines {
            replies.read(line);
        }
        replies.report(Duration::from_millis(10))
    }

    #[test]
    fn a_stream_counts_what_was_sent_lost_and_how_long_it_was_dark() {
        let mut lines: Vec<String> =
            (1..=100).filter(|n| !(40..50).contains(n)).map(|n| reply(n as f64 / 100.0, n)).collect();
        lines.push("100 packets transmitted, 90 received, 10% packet loss, time 1000ms".to_owned());
        let report = report(&lines);
        assert_eq!((report.sent, report.lost), (100, 10));
        assert_eq!(report.longest_gap.as_millis(), 110);
    }

    #[test]
    fn pings_still_on_their_way_at_the_end_are_not_lost_but_a_dead_end_is() {
        let alive = |sent: u64| {
            let mut lines: Vec<String> = (1..=50).map(|n| reply(n as f64 / 100.0, n)).collect();
            lines.push(format!("{sent} packets transmitted, 50 received"));
            report(&lines).lost
        };
        assert_eq!(alive(51), 0);
        assert_eq!(alive(150), 100);
    }

    #[test]
    fn duplicates_errors_and_a_sequence_number_that_begins_again_are_understood() {
        let mut lines = vec![reply(0.0, 65535), reply(0.01, 65535), reply(0.02, 0), reply(0.03, 1)];
        lines.push("[0.040000] From 10.0.0.1 icmp_seq=2 Destination Host Unreachable".to_owned());
        let mut replies = Replies::default();
        let understood: Vec<bool> = lines.iter().map(|l| replies.read(l)).collect();
        assert_eq!(understood, [true, true, true, true, false]);
        assert_eq!(replies.newest, 65537);
        assert_eq!(replies.answered.len(), 3);
    }
}
