//! `status --watch`: the network as it is, drawn anew whenever something is learnt; for programs a line for each change.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::output::{Cell, Table, paint, paint_code, style};
use super::screen::Screen;
use super::status::{bytes, duration, ends, link_state, moved, to_several};
use super::{Context, interrupt, width};
use crate::fleet::RealFleet;
use crate::model::Name;
use crate::ops::Error;
use crate::ops::clock::Clock as _;
use crate::ops::deploy::Stop;
use crate::ops::deploy::status::LinkState;
use crate::ops::watch::schedule::Schedule;
use crate::ops::watch::{Event, HostLine, HostState, LinkLine, Options, Picture, Show, Subject, idle, watch};

/// How long a host that is watched may leave a question without an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How many changes are kept in sight.
const REMEMBERED: usize = 8;

/// Watches until Ctrl-C.
pub(super) fn run(interval: Duration, parallel: usize, context: &Context) -> Result<(), Error> {
    let database = context.open()?;
    let schedule = Schedule::every(interval);
    let fleet = RealFleet::new()?.answering_within(PATIENCE).staying_connected(idle(schedule));
    let stop = Stop::default();
    interrupt::watch(stop.clone(), |_| ());
    let options = Options { schedule, parallel, stop };
    let out = context.out;
    // Nobody is asked for a passphrase only so that counters can be taken down.
    let mut store = context.store_unasked().ok();
    let watch = |show: &mut Show<'_>| watch(&database, Arc::new(fleet), &context.clock, &options, store.as_mut(), show);
    if out.is_json() || !std::io::stdout().is_terminal() {
        return watch(&mut |_, events| events.iter().try_for_each(|event| out.text(&line(event, out.is_json()))));
    }
    let mut screen = Screen::new();
    let mut remembered = VecDeque::new();
    watch(&mut |picture, events| {
        remembered.extend(events.iter().filter(|event| !is_beginning(event)).cloned());
        remembered.drain(..remembered.len().saturating_sub(REMEMBERED));
        screen.show(&render(&picture, remembered.make_contiguous(), schedule, context.clock.now()))
    })
}

/// Whether an event only tells what was found at first: on the screen that stands in the tables.
fn is_beginning(event: &Event) -> bool {
    match event.subject {
        Subject::Host => event.before == HostState::Pending.as_str() && event.after == HostState::Connected.as_str(),
        Subject::Link => event.before == LinkState::Unknown.as_str(),
    }
}

/// An event on one line, as a document or for people.
fn line(event: &Event, json: bool) -> String {
    if json {
        return serde_json::to_string(event).expect("names and words serialise");
    }
    let time = event.time.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("{time} {}", words(event))
}

fn words(event: &Event) -> String {
    let Event { name, near, before, after, reason, .. } = event;
    let subject = match (event.subject, near) {
        (Subject::Host, _) => format!("host {name}"),
        (Subject::Link, None) => format!("link to {name}"),
        (Subject::Link, Some(near)) => format!("link {name} → {near}"),
    };
    let reason = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    format!("{subject} {} -> {}{reason}", before.replace('_', " "), after.replace('_', " "))
}

fn render(picture: &Picture, events: &[Event], schedule: Schedule, now: DateTime<Utc>) -> String {
    let every = schedule.interval().as_secs();
    let head = format!("{} UTC, asked every {every} s; Ctrl-C ends", now.format("%Y-%m-%d %H:%M:%S"));
    let mut text = format!("{}\n\n", paint(style::DIM, head));
    if picture.hosts.is_empty() {
        text.push_str("nothing of the network lives on a host yet: `wg-friend host add NAME user@address`\n");
    } else {
        text.push_str(&hosts(&picture.hosts, now));
    }
    for host in &picture.hosts {
        if let (Some(error), Some(hint)) = (&host.error, &host.hint) {
            let error = if error.contains(host.host.as_str()) { error.clone() } else { of(&host.host, error) };
            text.push_str(&format!("\n{error}\n {} {}\n", paint(style::CODE.bold(), "hint:"), paint_code(hint)));
        }
    }
    if !picture.links.is_empty() {
        let connected = picture.links.iter().filter(|line| line.link.state == LinkState::Connected).count();
        text.push_str(&format!("\n{}", links(&picture.links)));
        picture.links.iter().for_each(|line| text.push_str(&moved(&line.link, now)));
        text.push_str(&format!("\n{connected} of {} connected\n", picture.links.len()));
    }
    if let Some(note) = &picture.note {
        text.push_str(&format!("\n{} {note}\n", paint(style::WARN, "warning:")));
    }
    if !events.is_empty() {
        text.push('\n');
    }
    for event in events {
        let colour = if event.after == LinkState::Connected.as_str() { style::GOOD } else { style::WARN };
        let time = paint(style::DIM, event.time.format("%H:%M:%S"));
        text.push_str(&width::hang(&format!("{time}  {}", paint(colour, words(event))), "          "));
        text.push('\n');
    }
    text
}

fn of(host: &Name, error: &str) -> String {
    format!("{host}: {error}")
}

fn hosts(hosts: &[HostLine], now: DateTime<Utc>) -> String {
    let mut table = Table::new(&["HOST", "STATE", "LAST ANSWER", "UP"]);
    for host in hosts {
        let state = match host.state {
            HostState::Connected if host.error.is_some() => Cell::new("connected, silent", style::WARN),
            HostState::Connected => Cell::new("connected", style::GOOD),
            HostState::Disconnected => Cell::new("disconnected", style::BAD),
            HostState::Pending => Cell::new("pending", style::DIM),
        };
        let answered = host.last_answer.map(|time| format!("{} ago", duration((now - time).num_seconds())));
        let up = host.uptime.map(|seconds| duration(i64::try_from(seconds).unwrap_or(i64::MAX)));
        table.row([
            Cell::new(&host.host, style::STRONG),
            state,
            Cell::new(answered.unwrap_or_else(|| "never".to_owned()), style::PLAIN),
            Cell::new(up.unwrap_or_else(|| "-".to_owned()), style::PLAIN),
        ]);
    }
    table.render()
}

fn links(links: &[LinkLine]) -> String {
    let mut table = Table::new(&["NODE", "ROLE", "STATE", "HANDSHAKE", "IN", "OUT", "ENDPOINT"]);
    let dash = || "-".to_owned();
    let several = to_several(links.iter().map(|line| line.link.as_ref()));
    let rate = |rate: Option<u64>| rate.map_or_else(dash, |rate| format!("{}/s", bytes(rate)));
    for LinkLine { link, rx_rate, tx_rate } in links {
        table.row([
            ends(link, several),
            Cell::new(link.role, style::DIM),
            link_state(link.state),
            Cell::new(link.handshake_age.map_or_else(dash, |s| format!("{} ago", duration(s))), style::PLAIN),
            Cell::new(rate(*rx_rate), style::PLAIN),
            Cell::new(rate(*tx_rate), style::PLAIN),
            Cell::new(link.endpoint.map_or_else(dash, |endpoint| endpoint.to_string()), style::DIM),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Role;
    use crate::ops::deploy::status::LinkStatus;

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds)
    }

    fn host(name: &str, state: HostState, answered: Option<i64>, error: Option<&str>) -> HostLine {
        HostLine {
            host: name.parse().unwrap(),
            state,
            last_answer: answered.map(time),
            error: error.map(str::to_owned),
            hint: error.map(|_| "see `ssh branch`".to_owned()),
            uptime: answered.map(|_| 7300),
        }
    }

    fn event(subject: Subject, before: &'static str, after: &'static str, reason: Option<&str>) -> Event {
        let reason = reason.map(str::to_owned);
        Event { time: time(95), subject, name: "branch".parse().unwrap(), near: None, before, after, reason }
    }

    #[test]
    fn the_screen_says_who_answers_what_flows_and_what_has_changed() {
        let link = Arc::new(LinkStatus {
            moved: None,
            near: Some("hub".parse().unwrap()),
            node: "office".parse().unwrap(),
            role: Role::Router,
            address: None,
            seen_by: Some("hub".parse().unwrap()),
            interface: Some("wg0".parse().unwrap()),
            state: LinkState::Connected,
            handshake_age: Some(41),
            endpoint: Some("203.0.113.9:4711".parse().unwrap()),
            rx: 1,
            tx: 2,
        });
        let picture = Picture {
            hosts: vec![
                host("branch", HostState::Disconnected, None, Some("no route")),
                host("hub", HostState::Connected, Some(88), None),
            ],
            links: vec![LinkLine { link, rx_rate: Some(1200), tx_rate: None }],
            note: Some("the model is locked".to_owned()),
        };
        let events = [event(Subject::Host, "connected", "disconnected", Some("no answer for 90 s"))];
        let text = render(&picture, &events, Schedule::DEFAULT, time(100));
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r"
        1970-01-01 00:01:40 UTC, asked every 30 s; Ctrl-C ends

        HOST    STATE         LAST ANSWER  UP
        branch  disconnected  never        -
        hub     connected     12 s ago     2 h

        branch: no route
         hint: see `ssh branch`

        NODE    ROLE    STATE      HANDSHAKE  IN        OUT  ENDPOINT
        office  router  connected  41 s ago   1.2 kB/s  -    203.0.113.9:4711

        1 of 1 connected

        warning: the model is locked

        00:01:35  host branch connected -> disconnected: no answer for 90 s
        ");
    }

    #[test]
    fn without_a_terminal_each_change_is_a_line_for_people_or_a_document() {
        let change = event(Subject::Link, "not_deployed", "connected", None);
        insta::assert_snapshot!(line(&change, false), @"1970-01-01T00:01:35Z link to branch not deployed -> connected");
        insta::assert_snapshot!(line(&change, true), @r#"{"time":"1970-01-01T00:01:35Z","subject":"link","name":"branch","near":null,"before":"not_deployed","after":"connected","reason":null}"#);
        let change = Event { near: Some("hub-us".parse().unwrap()), ..change };
        insta::assert_snapshot!(line(&change, false), @"1970-01-01T00:01:35Z link branch → hub-us not deployed -> connected");
        assert!(is_beginning(&event(Subject::Host, "pending", "connected", None)));
        assert!(is_beginning(&event(Subject::Link, "unknown", "connected", None)));
        assert!(!is_beginning(&event(Subject::Host, "pending", "disconnected", None)));
    }
}
