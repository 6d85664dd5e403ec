//! Taking everything of ours off a host.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use zeroize::Zeroizing;

use super::join::authorize;
use super::prepare::packages;
use super::scripts::{ANSWER, DEPLOY, LIB, boundary, ours, quote, stage};
use super::{Answer, Question, Script, StagedFile};
use crate::model::InterfaceName;

const LEAVE: &str = include_str!("../../templates/host/leave.sh");
const UNINSTALL: &str = include_str!("../../templates/host/uninstall.sh");

/// How long a host may take: package managers are slow.
const LEAVING: Duration = Duration::from_secs(5 * 60);

/// What goes, and what comes back.
pub struct Leaving<'a> {
    /// What is ours there.
    pub question: &'a Question,
    /// Interfaces to take down, with what starts them.
    pub take: &'a [InterfaceName],
    /// Adopted interfaces, each with the file that it had.
    pub give: Vec<(InterfaceName, Zeroizing<String>)>,
    /// The commands, in order: functions of leave.sh.
    pub steps: &'a [String],
    /// Whether it is done once the connection is gone: when its way goes through what is taken down.
    pub alone: bool,
}

fn head(question: &Question, take: &[InterfaceName], give: &[InterfaceName]) -> String {
    let words = |names: &[InterfaceName]| quote(&names.iter().map(InterfaceName::as_str).collect::<Vec<_>>().join(" "));
    let unset = "TOKEN=\nBEFORE=\nW_NEW=\nW_OLD=\nW_ENABLE=\nW_DISABLE=\nW_ROLE=${W_ROLE-}\n";
    format!("{}{unset}W_TAKE={}\nW_GIVE={}\n", ours(question), words(take), words(give))
}

/// Asks a host what of ours is there, and by which way this connection came.
pub fn look_before_leaving(question: &Question, take: &[InterfaceName], give: &[InterfaceName]) -> Script {
    let head = head(question, take, give);
    let body = format!("{head}W_LEAVE=look\nSTEPS=0\n{DEPLOY}{}{}{LEAVE}{UNINSTALL}", packages(), authorize());
    Script::new("look before leaving", &boundary(), ANSWER, &body)
}

/// Takes everything off a host.
pub fn leave(leaving: Leaving<'_>) -> Script {
    let names: Vec<InterfaceName> = leaving.give.iter().map(|(name, _)| name.clone()).collect();
    let mut work = head(leaving.question, leaving.take, &names);
    let _ = writeln!(work, "STEPS={}\nw_do() {{\ncase $1 in", leaving.steps.len());
    for (index, step) in leaving.steps.iter().enumerate() {
        let _ = writeln!(work, "{}) {step} ;;", index + 1);
    }
    let _ = writeln!(work, "esac\n}}");
    for part in [DEPLOY, packages(), authorize(), LEAVE] {
        work.push_str(part);
    }
    let mut files: Vec<StagedFile> = leaving
        .give
        .into_iter()
        .map(|(name, content)| StagedFile { path: format!("give/{name}.conf"), content })
        .collect();
    if leaving.alone {
        let content = Zeroizing::new(format!("B=alone\n{LIB}{work}"));
        files.push(StagedFile { path: "leave.sh".to_owned(), content });
    }
    let how = if leaving.alone { "alone" } else { "stay" };
    let body = Zeroizing::new(format!("W_LEAVE={how}\n{work}{}{UNINSTALL}", stage(files.iter()).as_str()));
    Script::new("uninstall", &boundary(), LEAVING, &body)
}

/// What of ours is on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// The address at which this connection came in, if the host knows.
    pub way: Option<IpAddr>,
    /// Interfaces that run.
    pub up: BTreeSet<InterfaceName>,
    /// Packages that were installed for us.
    pub packages: Vec<String>,
    /// Files of authorized keys with a key that we let in.
    pub key_files: Vec<String>,
    /// Whether it is known what the host was like before the first deploy.
    pub knows_before: bool,
}

/// Reads the answer to [`look_before_leaving`].
pub fn read_remains(answer: &Answer) -> Remains {
    let word = |section: &'static str| answer.all(section).filter_map(|(words, _)| words.first());
    let installed = answer.text("installed").unwrap_or_default();
    let all = |kind: &str| -> Vec<String> {
        let lines = installed.lines().filter_map(|line| line.strip_prefix(kind)?.split_whitespace().next());
        lines.map(str::to_owned).collect()
    };
    Remains {
        way: word("way").next().and_then(|word| word.parse().ok()),
        up: word("up").filter_map(|word| word.parse().ok()).collect(),
        packages: all("package "),
        key_files: all("key "),
        knows_before: answer.text("before").is_some_and(|text| !text.trim().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_of_ours_is_on_a_host_is_read() {
        let text = "\n@b way 10.66.0.5\n\n@b up wg0\n\n@b installed\npackage nftables\nkey /root/.ssh/authorized_keys ssh-ed25519 AAAA\n\n@b before\nsysctl net/ipv4/ip_forward 0\n\n@b end\n";
        let remains = read_remains(&Answer::parse(text.as_bytes(), "b").unwrap());
        assert_eq!(remains.way, Some("10.66.0.5".parse().unwrap()));
        assert_eq!(remains.up.len(), 1);
        assert_eq!(
            (remains.packages.join(" "), remains.key_files.join(" ")),
            ("nftables".into(), "/root/.ssh/authorized_keys".into())
        );
        assert!(remains.knows_before);
    }
}
