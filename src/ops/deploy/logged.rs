//! The steps of a deploy's scripts: what is written down of each before it is sent, and what the host says became of it.
//! Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{NewStep, StepEnd};
use crate::fleet::Answer;
use crate::model::CommandState;

use super::intention::Intention;
use super::steps::Steps;

/// A step of a script.
pub(in crate::ops) struct LoggedStep {
    /// The word by which the host reports it.
    word: String,
    /// What is written down of it.
    pub(in crate::ops) new: NewStep,
}

/// The last line of what stands in the log for a step that was carried out and taken back since.
pub const TAKEN_BACK: &str = "taken back";

fn part(word: &str, what: String) -> LoggedStep {
    LoggedStep { word: word.to_owned(), new: NewStep { kind: word.to_owned(), parameters: what, command: None } }
}

/// Returns a step of another script than a deploy's: the word by which the host reports it, what it changes, and its
/// command, without secrets.
pub(in crate::ops) fn step(word: &str, kind: &str, what: &str, command: &str) -> LoggedStep {
    let new = NewStep { kind: kind.to_owned(), parameters: what.to_owned(), command: Some(command.to_owned()) };
    LoggedStep { word: word.to_owned(), new }
}

/// Lists what the script that changes a host does there.
pub(super) fn of_apply(work: &Steps) -> Vec<LoggedStep> {
    let files = work.files.len();
    let mut list = vec![
        part("stage", format!("put {files} file{} into memory there", if files == 1 { "" } else { "s" })),
        part("validate", "check the new files, and save what undoing needs".to_owned()),
        part("reserve", "see whether the new files fit on the disk".to_owned()),
        part("arm", "start the watchdog".to_owned()),
    ];
    list.extend(work.steps.iter().enumerate().map(|(index, step)| LoggedStep {
        word: (index + 1).to_string(),
        new: NewStep {
            kind: step.kind.words().to_owned(),
            parameters: step.what.clone(),
            command: Some(step.run.clone()),
        },
    }));
    list
}

/// Lists what the script that confirms a deploy does.
pub(super) fn of_commit(work: &Intention) -> Vec<LoggedStep> {
    let mut list = Vec::new();
    if !work.keep.is_empty() {
        list.push(part("reserve", format!("write {} to the disk", work.keep.join(", "))));
    }
    let mut finish = Vec::new();
    for (words, names) in [
        ("put into place: ", &work.keep),
        ("remove: ", &work.remove),
        ("start at boot: ", &work.enable),
        ("no longer start at boot: ", &work.disable),
    ] {
        if !names.is_empty() {
            finish.push(format!("{words}{}", names.join(", ")));
        }
    }
    finish.push("end the watchdog".to_owned());
    list.push(part("finish", finish.join("; ")));
    list
}

/// Reads from an answer how each step ended. `sent`: when the script was; the host's own clock plays no part.
pub(super) fn ends(steps: &[LoggedStep], answer: &Answer, sent: DateTime<Utc>) -> Vec<StepEnd> {
    let reports: Vec<Report> = answer.all("did").filter_map(|(words, body)| Report::read(words, body)).collect();
    let first = reports.first().map_or(0.0, |report| report.begun);
    let failed = answer.all("failed").next();
    let undone = failed.is_some_and(|(words, _)| words.first().is_some_and(|word| word == "step"));
    let end = |step: &LoggedStep| {
        let Some(report) = reports.iter().find(|report| report.word == step.word) else {
            return StepEnd { state: CommandState::Skipped, output: String::new(), started: sent, duration: None };
        };
        let own = masked(report.output.trim());
        let taken_back = undone && step.new.command.is_some() && report.good;
        let (state, output) = match (report.good, failed) {
            (true, _) if taken_back => (CommandState::Succeeded, format!("{own}\n{TAKEN_BACK}").trim().to_owned()),
            (true, _) => (CommandState::Succeeded, own),
            (false, Some((_, said))) if own.is_empty() => {
                (CommandState::Failed, masked(String::from_utf8_lossy(said).trim()))
            }
            (false, _) => (CommandState::Failed, own),
        };
        let after = Duration::try_from_secs_f64(report.begun - first).unwrap_or_default();
        let duration = Duration::try_from_secs_f64(report.ended - report.begun).ok();
        StepEnd { state, output, started: sent + TimeDelta::from_std(after).unwrap_or_default(), duration }
    };
    steps.iter().map(end).collect()
}

/// How steps ended whose script gave no answer.
pub(super) fn unknown_ends(steps: &[LoggedStep], sent: DateTime<Utc>) -> Vec<StepEnd> {
    let unknown = StepEnd { state: CommandState::Unknown, output: String::new(), started: sent, duration: None };
    vec![unknown; steps.len()]
}

/// What a host says about one step. Times are its uptime, in seconds.
struct Report {
    word: String,
    begun: f64,
    ended: f64,
    good: bool,
    output: String,
}

impl Report {
    fn read(words: &[String], body: &[u8]) -> Option<Self> {
        let [word, begun, ended, good] = words else { return None };
        let (begun, ended) = (begun.parse().ok()?, ended.parse().ok()?);
        let output = String::from_utf8_lossy(body).into_owned();
        Some(Self { word: word.clone(), begun, ended, good: good == "yes", output })
    }
}

/// Characters of a key in base64, without the `=` that ends it.
const KEY: usize = 43;

/// Hides everything that could be a key: what a program complains about may be one.
fn masked(text: &str) -> String {
    let is_digit = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    let bytes = text.as_bytes();
    let (mut result, mut kept) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices('=') {
        let digits = bytes[kept..at].iter().rev().take_while(|c| is_digit(**c)).count();
        if digits >= KEY {
            result.push_str(&text[kept..at - digits]);
            result.push_str("(key)");
            kept = at + 1;
        }
    }
    result + &text[kept..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
    }

    fn step(word: &str) -> LoggedStep {
        let command = word.parse::<u8>().is_ok().then(|| "ip link".to_owned());
        LoggedStep { word: word.to_owned(), new: NewStep { kind: "k".into(), parameters: word.into(), command } }
    }

    fn read(text: &str) -> Vec<(CommandState, String, i64, Option<u128>)> {
        let steps = ["stage", "arm", "1", "2", "3"].map(step);
        let answer = Answer::parse(text.as_bytes(), "x").unwrap();
        let ends = ends(&steps, &answer, at(0));
        let seconds = |e: &StepEnd| (e.started - at(0)).num_milliseconds();
        ends.iter().map(|e| (e.state, e.output.clone(), seconds(e), e.duration.map(|d| d.as_millis()))).collect()
    }

    #[test]
    fn a_step_that_fails_says_why_and_those_after_it_were_not_carried_out() {
        use CommandState::{Failed, Skipped, Succeeded};
        let found = read(
            "\n@x did stage 100.00 100.50 yes\n\n@x did arm 100.50 101.00 yes\n\n@x did 1 101.00 101.25 yes\n\
             \n@x did 2 101.25 101.50 no\nno such device\n\n@x failed step 2 yes\nno such device\n\n@x end\n",
        );
        let own = |text: &str| text.to_owned();
        assert_eq!(
            found,
            [
                (Succeeded, own(""), 0, Some(500)),
                (Succeeded, own(""), 500, Some(500)),
                (Succeeded, own("taken back"), 1000, Some(250)),
                (Failed, own("no such device"), 1250, Some(250)),
                (Skipped, own(""), 0, None),
            ]
        );
    }

    #[test]
    fn what_was_said_about_a_part_that_failed_stands_with_it() {
        let found = read("\n@x did stage 1.00 1.00 no\n\n@x failed stage\nno room\n\n@x end\n");
        assert_eq!((found[0].0, found[0].1.as_str()), (CommandState::Failed, "no room"));
        assert!(found[1..].iter().all(|end| end.0 == CommandState::Skipped));
    }

    #[test]
    fn a_key_in_what_a_program_prints_is_hidden() {
        let key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
        assert_eq!(masked(&format!("bad key `{key}', psk={key}{key}.")), "bad key `(key)', psk=(key)(key).");
        assert_eq!(masked("mtu=1400 a= ü= short=="), "mtu=1400 a= ü= short==");
    }

    proptest! {
        #[test]
        fn nothing_a_host_reports_makes_it_panic(words in "[a-z0-9. -]{0,40}", body in "\\PC{0,60}") {
            let text = format!("\n@x did {words}\n{body}\n\n@x did 1 {words} yes\n\n@x failed {words}\n{body}\n\n@x end\n");
            let _ = read(&text);
        }
    }
}
