//! How a deploy ended, for a person: a line a host, reasons and remedies below, and all of it in one sentence.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::output::{paint, paint_code, say, style};
use super::status::duration;
use super::{Context, Exit, width};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::deploy::resume::{OpenDeploy, Resumed};
use crate::ops::deploy::{HeldBack, HostOutcome, InterruptedOutcome, Outcome};
use crate::ops::revision::DeviceReport;

/// With more hosts than this, those that went well or were not begun are only named.
const EACH: usize = 12;

/// Returns how the command ends when hosts were changed like this.
pub(super) fn exit(outcomes: &[HostOutcome]) -> Exit {
    if outcomes.iter().all(|outcome| outcome.outcome.is_good()) { Exit::Done } else { Exit::SomeHosts }
}

/// What is printed for programs.
#[derive(serde::Serialize)]
struct Report<'a> {
    /// One entry a host.
    hosts: &'a [HostOutcome],
    /// Devices that need a new file, those that must get it first.
    devices: &'a [DeviceReport],
}

/// Shows how a deploy ended; when nothing is to be said that wasn't asked for, only what went wrong.
pub(super) fn show(outcomes: &[HostOutcome], devices: &[DeviceReport], context: &Context) -> Result<(), Error> {
    let steps = context.out.verbosity() > 0;
    if context.out.is_quiet() && !context.out.is_json() {
        let bad: Vec<HostOutcome> = outcomes.iter().filter(|outcome| !outcome.outcome.is_good()).cloned().collect();
        if !bad.is_empty() {
            say(table(&bad, steps).trim_end());
        }
        return Ok(());
    }
    context.out.done(&Report { hosts: outcomes, devices }, |report| table(report.hosts, steps))
}

/// Lists hosts and how they ended, and sums them up when there are several.
pub(super) fn table(outcomes: &[HostOutcome], steps: bool) -> String {
    let brief = outcomes.len() > EACH && !steps;
    let mut text = String::new();
    let (good, other): (Vec<_>, Vec<_>) =
        outcomes.iter().partition(|outcome| brief && outcome.notes.is_empty() && needs_no_line(&outcome.outcome));
    for (state, names) in by_state(good.iter().map(|outcome| (&outcome.host, &outcome.outcome))) {
        let names: Vec<&str> = names.into_iter().map(Name::as_str).collect();
        text.push_str(&width::hang(&format!("{state}: {}", names.join(", ")), "  "));
        text.push('\n');
    }
    text.push_str(&lines(&other.into_iter().map(|outcome| Line::of(outcome, steps)).collect::<Vec<_>>()));
    if outcomes.len() > 1 {
        text.push_str(&sum(outcomes));
    }
    text
}

/// Whether naming the host says it all.
fn needs_no_line(outcome: &Outcome) -> bool {
    outcome.is_good() || *outcome == Outcome::NotBegun
}

/// Lists what became of deploys that were open.
pub(super) fn resumed(all: &[Resumed]) -> String {
    lines(&all.iter().map(Line::of_resumed).collect::<Vec<_>>())
}

/// Says of each open deploy how it stands and what brings it to an end.
pub(super) fn open(all: &[OpenDeploy], now: DateTime<Utc>) -> String {
    let line = |open: &OpenDeploy| {
        let OpenDeploy { host, version, operator, started, under_way, found, .. } = open;
        let ago = duration((now - started).num_seconds());
        let which = format!("host `{host}`: the deploy of version {version}, begun by {operator} {ago} ago,");
        let resume = "`wg-friend deploy --resume`";
        let how = match found {
            _ if *under_way => "is under way, or was interrupted while somebody else's is".to_owned(),
            None => format!("was interrupted: {resume} finishes it"),
            Some(InterruptedOutcome::Waiting { seconds }) => {
                let seconds = (*seconds).max(0);
                format!("was interrupted: the host takes it back in {seconds} s unless {resume} confirms it")
            }
            Some(InterruptedOutcome::Confirmed) => {
                format!("was interrupted after the host had confirmed it: {resume} notes that")
            }
            Some(InterruptedOutcome::Reverted { reason, .. }) => {
                format!("was interrupted, and the host took it back ({reason}): {resume} notes that")
            }
        };
        format!("{}\n", width::hang(&paint_code(&format!("{which} {how}")), "  "))
    };
    all.iter().map(line).collect()
}

/// What is said of one host.
struct Line<'a> {
    host: &'a Name,
    words: Words,
    note: String,
    seconds: f64,
    steps: &'a [String],
    notes: &'a [String],
}

impl<'a> Line<'a> {
    fn of(outcome: &'a HostOutcome, steps: bool) -> Self {
        let note = count(outcome.changes);
        let steps = if steps { outcome.steps.as_slice() } else { &[] };
        Self {
            host: &outcome.host,
            words: words(&outcome.outcome),
            note,
            seconds: outcome.seconds,
            steps,
            notes: &outcome.notes,
        }
    }

    fn of_resumed(resumed: &'a Resumed) -> Self {
        let mut words = words(&resumed.outcome);
        match (&resumed.outcome, resumed.decided_before) {
            (Outcome::Confirmed, true) => words.state = paint(style::GOOD, "had been confirmed, and is noted now"),
            (Outcome::Confirmed, false) => words.state = paint(style::GOOD, "as intended, and confirmed now"),
            (_, true) => words.state = paint(style::WARN, "had been taken back, and is noted now"),
            (_, false) => {}
        }
        let note = format!("version {}", resumed.version);
        Self { host: &resumed.host, words, note, seconds: resumed.seconds, steps: &[], notes: &[] }
    }
}

fn lines(all: &[Line<'_>]) -> String {
    let width = all.iter().map(|line| line.host.as_str().len()).max().unwrap_or(0);
    let notes = all.iter().map(|line| line.note.len()).max().unwrap_or(0);
    let room = all.iter().map(|line| width::of(&line.words.state)).max().unwrap_or(0);
    let below = |text: &mut String, line: &str| {
        text.push_str(&width::hang(&format!("{:width$}  {line}", ""), &format!("{:width$}    ", "")));
        text.push('\n');
    };
    let mut text = String::new();
    for Line { host, words: Words { state, why, hint }, note, seconds, steps, notes: beside } in all {
        let blanks = room - width::of(state);
        let name = paint(style::STRONG, format_args!("{host:width$}"));
        let note = if notes == 0 { String::new() } else { format!("  {:blanks$}{note:notes$}", "") };
        let seconds = paint(style::DIM, format_args!("{seconds:.1} s"));
        text.push_str(&format!("{name}  {state}{note}  {seconds}\n"));
        why.iter().flat_map(|why| why.lines()).for_each(|line| below(&mut text, line));
        if let Some(hint) = hint {
            below(&mut text, &format!("{} {}", paint(style::CODE.bold(), "hint:"), paint_code(hint)));
        }
        for note in *beside {
            below(&mut text, &format!("{} {}", paint(style::WARN, "note:"), paint_code(note)));
        }
        for step in *steps {
            text.push_str(&format!("{:width$}  {} {step}\n", "", paint(style::DIM, "·")));
        }
    }
    text
}

fn count(changes: usize) -> String {
    match changes {
        0 => String::new(),
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    }
}

/// Groups hosts by how they ended, the best first.
fn by_state<'a>(outcomes: impl Iterator<Item = (&'a Name, &'a Outcome)>) -> Vec<(String, Vec<&'a Name>)> {
    let mut groups: BTreeMap<u8, (String, Vec<&Name>)> = BTreeMap::new();
    for (name, outcome) in outcomes {
        let (rank, state, colour) = match outcome {
            Outcome::Confirmed => (0, "deployed and confirmed", style::GOOD),
            Outcome::Unchanged => (1, "as it should be", style::GOOD),
            Outcome::Reverted { .. } => (2, "taken back", style::BAD),
            Outcome::Failed { .. } => (3, "not deployed", style::BAD),
            Outcome::OutOfSight { .. } => (4, "out of sight", style::BAD),
            Outcome::HeldBack { .. } => (5, "held back", style::WARN),
            Outcome::NotBegun => (6, "not begun", style::WARN),
        };
        groups.entry(rank).or_insert_with(|| (paint(colour, state), Vec::new())).1.push(name);
    }
    groups.into_values().collect()
}

/// Says in one sentence how it ended on all of them.
fn sum(outcomes: &[HostOutcome]) -> String {
    let groups = by_state(outcomes.iter().map(|outcome| (&outcome.host, &outcome.outcome)));
    let parts: Vec<String> = groups.into_iter().map(|(state, names)| format!("{} {state}", names.len())).collect();
    let mut text = format!("\n{} hosts: {}\n", outcomes.len(), parts.join(", "));
    if exit(outcomes) != Exit::Done {
        text.push_str(&paint_code("`wg-friend deploy` tries again where it is not as it should be\n"));
    }
    text
}

struct Words {
    state: String,
    why: Option<String>,
    hint: Option<String>,
}

fn words(outcome: &Outcome) -> Words {
    let (state, why, hint) = match outcome {
        Outcome::Unchanged => (paint(style::GOOD, "as it should be"), None, None),
        Outcome::Confirmed => (paint(style::GOOD, "deployed and confirmed"), None, None),
        Outcome::Reverted { reason, clean: true } => {
            (paint(style::BAD, "taken back; the host is as it was before"), Some(reason.clone()), None)
        }
        Outcome::Reverted { reason, clean: false } => {
            let hint = "`wg-friend plan` shows what differs there now";
            (
                paint(style::BAD, "taken back, but not everything is as it was before"),
                Some(reason.clone()),
                Some(hint.into()),
            )
        }
        Outcome::Failed { reason, hint } => (paint(style::BAD, "not deployed"), Some(reason.clone()), hint.clone()),
        Outcome::HeldBack { because_of, why } => {
            let why = match why {
                HeldBack::Canary => format!("`{because_of}` went first, and not well"),
                HeldBack::HasToLearn => {
                    format!("`{because_of}` would have had to learn of its new key first, and did not")
                }
                HeldBack::LetsOut => format!(
                    "internet traffic that leaves by several exits would have left too early: `{because_of}` has to be changed \
                     first"
                ),
                HeldBack::StopOnFailure => {
                    format!("`{because_of}` did not go well, and nothing was to be begun after that")
                }
            };
            (paint(style::WARN, "held back"), Some(why), None)
        }
        Outcome::NotBegun => (paint(style::WARN, "not begun"), Some("it was stopped before its turn".to_owned()), None),
        Outcome::OutOfSight { reason } => {
            let hint = "the host takes the change back by itself; `wg-friend plan` tells once it can be reached";
            (paint(style::BAD, "out of sight"), Some(reason.clone()), Some(hint.into()))
        }
    };
    Words { state, why, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(host: &str, outcome: Outcome, changes: usize) -> HostOutcome {
        HostOutcome {
            host: host.parse().unwrap(),
            outcome,
            changes,
            steps: Vec::new(),
            notes: Vec::new(),
            seconds: 1.0,
        }
    }

    fn plain(outcomes: &[HostOutcome]) -> String {
        anstream::adapter::strip_str(&table(outcomes, false)).to_string()
    }

    #[test]
    fn several_hosts_are_summed_up() {
        let because_of = "hub".parse().unwrap();
        let shown = plain(&[
            outcome("hub", Outcome::Reverted { reason: "could not set the MTU".into(), clean: true }, 2),
            outcome("office", Outcome::HeldBack { because_of, why: HeldBack::HasToLearn }, 12),
            outcome("lab", Outcome::Confirmed, 1),
        ]);
        insta::assert_snapshot!(shown, @r"
        hub     taken back; the host is as it was before  2 changes   1.0 s
                could not set the MTU
        office  held back                                 12 changes  1.0 s
                `hub` would have had to learn of its new key first, and did not
        lab     deployed and confirmed                    1 change    1.0 s

        3 hosts: 1 deployed and confirmed, 1 taken back, 1 held back
        `wg-friend deploy` tries again where it is not as it should be
        ");
        assert_eq!(plain(&[outcome("hub", Outcome::Confirmed, 0)]), "hub  deployed and confirmed  1.0 s\n");
    }

    #[test]
    fn of_many_hosts_only_those_that_did_not_go_well_have_a_line() {
        let mut all: Vec<HostOutcome> = (1..=13).map(|n| outcome(&format!("h{n}"), Outcome::Confirmed, 1)).collect();
        all.push(outcome("h14", Outcome::Unchanged, 0));
        all.push(outcome("h16", Outcome::NotBegun, 1));
        all.push(outcome("h15", Outcome::OutOfSight { reason: "no answer".into() }, 1));
        insta::assert_snapshot!(plain(&all), @r"
        deployed and confirmed: h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, h11, h12, h13
        as it should be: h14
        not begun: h16
        h15  out of sight  1 change  1.0 s
             no answer
             hint: the host takes the change back by itself; `wg-friend plan` tells once it can be reached

        16 hosts: 13 deployed and confirmed, 1 as it should be, 1 out of sight, 1 not begun
        `wg-friend deploy` tries again where it is not as it should be
        ");
    }
}
