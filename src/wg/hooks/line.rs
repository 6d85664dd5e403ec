//! A hook as wg-quick(8) runs it: with the interface's name for `%i`, as chains of steps, and with steps cut out.

use std::ops::Range;

use crate::model::InterfaceName;

use super::rule::{self, Verb};
use super::split::{Command, Part, Script, Separator, split};

/// A line, read with the interface's name in place of `%i`. All spans are of the line as written.
#[derive(Clone, Debug)]
pub(super) struct Read {
    /// What the commands are joined into.
    pub(super) chains: Vec<Chain>,
}

/// Commands that are joined by `&&` and `||`.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Its steps, in order.
    pub(super) steps: Vec<Step>,
    /// What stands between them: one fewer.
    joints: Vec<Separator>,
    /// With a trailing `|| true`.
    span: Range<usize>,
    /// Whether a trailing `|| true` makes it succeed in any case.
    pub(super) forgiven: bool,
    /// To the first byte of the next chain, and whether that begins behind a separator.
    until: Range<usize>,
}

/// A command with what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// What is run.
    pub(super) command: Command,
    /// With the question in front of it (`iptables -C RULE || iptables -A RULE`).
    pub(super) span: Range<usize>,
}

/// Reads a line and joins its commands into chains.
pub(super) fn read(line: &str, interface: &InterfaceName) -> Read {
    Read { chains: chains(&script(line, interface)) }
}

/// Puts the interface's name in place of `%i`, as wg-quick does, and reads the line.
pub(super) fn script(line: &str, interface: &InterfaceName) -> Script {
    let name = interface.as_str();
    let mut expanded = String::with_capacity(line.len());
    // Where each `%i` begins, as written and expanded.
    let mut holes: Vec<(usize, usize)> = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("%i") {
        expanded.push_str(&rest[..at]);
        holes.push((line.len() - rest.len() + at, expanded.len()));
        expanded.push_str(name);
        rest = &rest[at + 2..];
    }
    expanded.push_str(rest);
    let mut script = split(&expanded);
    let place = |at: usize| match holes.partition_point(|(_, begin)| *begin < at).checked_sub(1) {
        None => at,
        Some(hole) => {
            let (written, begin) = holes[hole];
            // Nothing begins or ends inside of a name.
            written + 2 + at.saturating_sub(begin + name.len())
        }
    };
    script.relocate(place);
    script
}

fn chains(script: &Script) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut joint = None;
    // Where a chain may begin: behind the last separator that doesn't join.
    for part in &script.parts {
        match part {
            Part::Command(command) => {
                let step = Step { command: command.clone(), span: command.span.clone() };
                match (joint.take(), chains.last_mut()) {
                    (Some(joint), Some(chain)) => {
                        chain.joints.push(joint);
                        chain.span.end = step.span.end;
                        chain.steps.push(step);
                    }
                    _ => chains.push(Chain {
                        span: step.span.clone(),
                        until: step.span.end..step.span.end,
                        steps: vec![step],
                        joints: Vec::new(),
                        forgiven: false,
                    }),
                }
            }
            Part::Separator(separator @ (Separator::And | Separator::Or), _) => joint = Some(*separator),
            Part::Separator(separator, span) => {
                if let Some(chain) = chains.last_mut()
                    && chain.until.is_empty()
                    && joint.is_none()
                {
                    chain.until = chain.span.end..span.end;
                    if *separator == Separator::Background
                        && let Some(step) = chain.steps.last_mut()
                    {
                        let beyond = (super::split::Beyond::Background, span.clone());
                        step.command.beyond.get_or_insert(beyond);
                    }
                }
            }
            Part::Blank(_) | Part::Comment(_) => {}
        }
    }
    for chain in &mut chains {
        if chain.until.is_empty() {
            chain.until = chain.span.end..chain.span.end;
        }
        forgive(chain);
        join_questions(chain);
    }
    chains
}

/// A trailing `|| true` isn't a step of its own.
fn forgive(chain: &mut Chain) {
    let is_true = |step: &Step| {
        let words = &step.command.words;
        words.len() == 1
            && matches!(words[0].text.as_str(), "true" | ":" | "/bin/true")
            && step.command.beyond.is_none()
    };
    if chain.joints.last() == Some(&Separator::Or) && chain.steps.last().is_some_and(is_true) {
        chain.joints.pop();
        chain.steps.pop();
        chain.forgiven = true;
        if let [only] = chain.steps.as_mut_slice() {
            only.span.end = chain.span.end;
        }
    }
}

/// `iptables -C RULE || iptables -A RULE` adds the rule once: one step.
fn join_questions(chain: &mut Chain) {
    let mut at = 0;
    while at + 1 < chain.steps.len() {
        let asked = rule::read(&chain.steps[at].command);
        let added = rule::read(&chain.steps[at + 1].command);
        let same = match (asked, added) {
            (Some(asked), Some(added)) => {
                asked.verb == Verb::Check && added.verb == Verb::Add && asked.rule == added.rule
            }
            _ => false,
        };
        if same && chain.joints[at] == Separator::Or {
            let asked = chain.steps.remove(at);
            chain.joints.remove(at);
            chain.steps[at].span.start = asked.span.start;
        }
        at += 1;
    }
}

impl Chain {
    /// Whether some of its steps may not run: behind `||`, or behind one that isn't known to succeed.
    pub(super) fn is_conditional(&self, known: impl Fn(&Step) -> bool) -> bool {
        self.joints.contains(&Separator::Or) || self.steps.len() > 1 && !self.steps.iter().all(known)
    }
}

/// Why a step can't be cut out of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tied;

impl Read {
    /// Returns its steps, in order: what the indices of commands count.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.chains.iter().flat_map(|chain| &chain.steps)
    }

    /// Returns the line without some of its steps, all else as it was; `None` when no command is left.
    ///
    /// # Errors
    /// When what runs after or before a step depends on its failing.
    pub(super) fn without(&self, line: &str, cut: &[usize]) -> Result<Option<String>, Tied> {
        let mut gone: Vec<Range<usize>> = Vec::new();
        let mut first = 0;
        let mut kept_before = false;
        let mut behind = 0;
        for chain in &self.chains {
            let indices = first..first + chain.steps.len();
            first = indices.end;
            let cuts: Vec<bool> = indices.map(|index| cut.contains(&index)).collect();
            if cuts.iter().all(|cut| *cut) {
                if kept_before && chain.until.is_empty() {
                    gone.push(behind..chain.span.end); // the last of the line goes with the separator before it
                } else {
                    gone.push(chain.span.start..after_blanks(line, chain.until.end));
                }
                continue;
            }
            let tied = |index: usize| cuts[index] != cuts[index + 1] || cuts[index];
            if chain.joints.iter().enumerate().any(|(index, joint)| *joint == Separator::Or && tied(index)) {
                return Err(Tied);
            }
            let kept: Vec<usize> = (0..cuts.len()).filter(|index| !cuts[*index]).collect();
            let span = |index: usize| &chain.steps[index].span;
            gone.push(span(0).start..span(kept[0]).start);
            gone.extend(kept.windows(2).map(|two| span(two[0] + 1).start..span(two[1]).start));
            gone.push(span(kept[kept.len() - 1]).end..span(cuts.len() - 1).end);
            (kept_before, behind) = (true, chain.span.end);
        }
        if !kept_before && self.chains.iter().any(|chain| !chain.steps.is_empty()) {
            return Ok(None);
        }
        let mut left = String::with_capacity(line.len());
        let mut at = 0;
        gone.sort_by_key(|span| span.start);
        for span in gone {
            left.push_str(&line[at..span.start.max(at)]);
            at = span.end.max(at);
        }
        left.push_str(&line[at..]);
        Ok(Some(left.trim_end_matches([' ', '\t']).to_owned()))
    }
}

fn after_blanks(line: &str, at: usize) -> usize {
    at + line[at..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}
