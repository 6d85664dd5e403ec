//! The hooks of an interface that runs: what differs, and what is run so that it is as if it had come up with the new ones.
//! Pure.
//!
//! Only hooks that somebody wrote count here. Those that wg-friend writes follow from firewall, routes, rules and settings,
//! which are compared as what they are.

use crate::fleet::Observed;
use crate::model::{ByHooks, Hook, InterfaceName, Phase, PublicKey};
use crate::wg::InterfaceConfig;
use crate::wg::config::{self, Document};
use crate::wg::hooks::allow::judge;
use crate::wg::hooks::live::{Differing, Live, Run, Step, Stuck, Work, live};

use super::desired::{Deployed, Desired};

/// Compares the hooks of an interface. Nothing differs for one that was never deployed: it has to come up first.
pub(super) fn compare(
    interface: &InterfaceConfig,
    desired: &Desired,
    deployed: Option<&Deployed>,
    observed: &Observed,
) -> Live {
    let path = format!("{}.conf", interface.name);
    let before = deployed
        .and_then(|deployed| Some((deployed.interface(&interface.name)?, deployed.version.files.get(&path)?.as_str())));
    let (Some(wanted), Some((config, before))) = (desired.files.get(&path), before) else { return Live::default() };
    let found = observed.files.get(&path).map(|file| String::from_utf8_lossy(&file.content));
    let lines = hook_lines(wanted);
    if lines == hook_lines(before) && found.as_ref().is_none_or(|found| lines == hook_lines(found)) {
        return Live::default(); // a file with thousands of peers isn't taken apart for nothing
    }
    let (wanted, before) = (File::of(wanted, interface), File::of(before, config));
    let found = found.map(|text| Document::parse(&text).hooks());
    let was = match before.unknown {
        // Another version wrote it: which of its lines are ours can't be told, so none is torn down.
        true => before.all.iter().filter(|hook| wanted.own.contains(hook)).cloned().collect(),
        false => before.own.clone(),
    };
    let ours = |hook: &Hook| {
        let known = before.all.contains(hook) || wanted.all.contains(hook);
        known && !was.contains(hook) && !wanted.own.contains(hook)
    };
    let found = found.map(|hooks| hooks.into_iter().filter(|hook| !ours(hook)).collect::<Vec<_>>());
    let mut live = live(&was, found.as_deref(), &wanted.own, &interface.name);
    if live.steps.iter().any(holds_key) {
        // Steps are written down; what is in files isn't.
        live.stuck = Some(Stuck { text: "a command".to_owned(), why: "a key is in it" });
        live.steps.clear();
        live.made = ByHooks::default();
    }
    live
}

/// Returns the lines of a file that could be hooks, as they are written.
fn hook_lines(text: &str) -> Vec<&str> {
    let is_hook = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        Phase::ALL.iter().any(|phase| key.eq_ignore_ascii_case(phase.as_str()))
    };
    text.lines().map(str::trim).filter(is_hook).collect()
}

/// The hooks of a file.
struct File {
    all: Vec<Hook>,
    /// Those that don't follow from the rest of the interface.
    own: Vec<Hook>,
    /// Whether the file lacks some that do follow: then another version has written it.
    unknown: bool,
}

impl File {
    fn of(text: &str, interface: &InterfaceConfig) -> Self {
        let all = Document::parse(text).hooks();
        let mut own = all.clone();
        let mut unknown = false;
        for generated in config::generated_hooks(interface) {
            // Ours stand behind those of an adopted file.
            match own.iter().rposition(|hook| *hook == generated) {
                Some(at) => drop(own.remove(at)),
                None => unknown = true,
            }
        }
        Self { all, own, unknown }
    }
}

/// Whether a key stands in a command. Public ones count as well: which is which can't be told.
fn holds_key(step: &Step) -> bool {
    let Work::Commands { run, undo, .. } = &step.work else { return false };
    run.iter().chain(undo).flat_map(|run| &run.words).any(|word| word.parse::<PublicKey>().is_ok())
}

/// Returns a hook for people: keys hidden, and marked when it isn't on the list of safe ones.
pub(super) fn shown(line: &Differing, interface: &InterfaceName) -> String {
    let text = config::masked_line(&line.hook.command);
    match judge(&line.hook.command, interface) {
        Err(offence) if line.new => {
            format!("{text} (unsafe: `{}`: {})", config::masked_line(&offence.token), offence.reason)
        }
        _ => text,
    }
}

/// A step as a host runs it.
pub(super) struct Command {
    /// What it does, for the log.
    pub(super) what: String,
    /// The command.
    pub(super) run: String,
    /// What takes it back.
    pub(super) undo: String,
    /// What has to be noted before.
    pub(super) check: Option<&'static str>,
}

/// Writes a step as shell commands. `number` tells it from the others of a deploy: what it did is noted under it, so that
/// only that is taken back, and once.
pub(super) fn command(step: &Step, number: usize, interface: &InterfaceName) -> Command {
    let note = format!("\"$D\"/hook.{number}");
    let text = config::masked_line(&step.text);
    let what = match step.sets_up {
        true => format!("set up what a hook of {interface} does: {text}"),
        false => format!("take down what a hook of {interface} did: {text}"),
    };
    match &step.work {
        Work::Sysctl { key, value } => {
            let path = quoted(&format!("/proc/sys/{}", crate::fleet::sysctl_path(key)));
            let set = format!("cat {path} > {note} && printf '%s\\n' {} > {path}", quoted(value));
            let back = format!("[ ! -e {note} ] || {{ cat {note} > {path}; rm -f {note}; }}");
            match key.replace('/', ".") == crate::wg::runtime::FORWARDING6 {
                // Or the host would lose its own IPv6 default route when it next expires.
                true => Command {
                    what,
                    run: format!("w_keep_ra && {set}"),
                    undo: format!("{back}; w_return_ra"),
                    check: Some("w_save_ra"),
                },
                false => Command { what, run: set, undo: back, check: None },
            }
        }
        Work::Commands { there, run, undo } => {
            let ask = there.as_ref().map(|words| format!("{} >/dev/null 2>&1", joined(words)));
            let all = |runs: &[Run], forgiving: bool| -> String {
                let one = |run: &Run| match forgiving || run.may_fail {
                    true => format!("{{ {} 2>/dev/null || :; }}", joined(&run.words)),
                    false => joined(&run.words),
                };
                runs.iter().map(one).collect::<Vec<_>>().join(" && ")
            };
            let doing = format!(": > {note} && {}", all(run, false));
            let (run, back) = match (&ask, step.sets_up) {
                (Some(ask), true) => (format!("{ask} || {{ {doing}; }}"), all(undo, true)),
                (Some(ask), false) => {
                    (format!("! {ask} || {{ {doing}; }}"), format!("{{ {ask} || {{ {}; }}; }}", all(undo, true)))
                }
                (None, _) => (doing, all(undo, true)),
            };
            let undo = format!("[ ! -e {note} ] || {{ rm -f {note}; {back}; }}");
            Command { what, run, undo, check: None }
        }
    }
}

fn quoted(text: &str) -> String {
    shlex::try_quote(text).expect("a line of a file holds no NUL").into_owned()
}

fn joined(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use super::*;

    fn hooks(lines: &[(Phase, &str)]) -> Vec<Hook> {
        lines.iter().map(|(phase, command)| Hook { phase: *phase, command: (*command).to_owned() }).collect()
    }

    /// Runs steps and what takes them back, in a shell whose iptables keeps its rules in a file. Returns the rules after
    /// each line of `script`, in which `do` and `undo` stand for them.
    fn played(before: &[Hook], after: &[Hook], rules: &str, script: &[&str]) -> Vec<String> {
        let wg0: InterfaceName = "wg0".parse().unwrap();
        let live = live(before, None, after, &wg0);
        let commands: Vec<Command> =
            live.steps.iter().enumerate().map(|(at, step)| command(step, at + 1, &wg0)).collect();
        let run: Vec<&str> = commands.iter().map(|command| command.run.as_str()).collect();
        let undo: Vec<&str> = commands.iter().rev().map(|command| command.undo.as_str()).collect();
        let text = format!(
            "iptables() {{
                 verb=$1; shift
                 case $verb in
                 -A) echo \"$*\" >> \"$D/rules\" ;;
                 -C) grep -qxF \"$*\" \"$D/rules\" ;;
                 -D) grep -qxF \"$*\" \"$D/rules\" || return 1
                     awk -v gone=\"$*\" '$0 == gone && !done {{ done = 1; next }} {{ print }}' \"$D/rules\" > \"$D/left\"
                     mv \"$D/left\" \"$D/rules\" ;;
                 esac
             }}
             w_do() {{ {}; }}
             w_undo() {{ {}; }}
             D=$(mktemp -d); printf '%s' \"$RULES\" > \"$D/rules\"
             for w in $SCRIPT; do if [ $w = do ]; then w_do || echo failed; else w_undo; fi; tr '\\n' ';' < \"$D/rules\"; echo; done
             rm -r \"$D\"",
            if run.is_empty() { ":".to_owned() } else { run.join(" && ") },
            if undo.is_empty() { ":".to_owned() } else { undo.join("; ") },
        );
        let output =
            Process::new("sh").args(["-c", &text]).env("RULES", rules).env("SCRIPT", script.join(" ")).output();
        let output = output.unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_a_step_did_is_taken_back_once_and_nothing_else() {
        let pair = hooks(&[(Phase::PostUp, "iptables -A F -i %i"), (Phase::PostDown, "iptables -D F -i %i")]);
        assert_eq!(
            played(&[], &pair, "X\n", &["do", "do", "undo", "undo"]),
            ["X;F -i wg0;", "X;F -i wg0;", "X;", "X;"]
        );
        assert_eq!(
            played(&pair, &[], "F -i wg0\nX\n", &["do", "do", "undo", "undo"]),
            ["X;", "X;", "X;F -i wg0;", "X;F -i wg0;"]
        );
        // It was there already, by somebody's hand: it stays when the deploy is taken back.
        assert_eq!(played(&[], &pair, "F -i wg0\n", &["do", "undo"]), ["F -i wg0;", "F -i wg0;"]);
        // It was gone already: it doesn't come back.
        assert_eq!(played(&pair, &[], "X\n", &["do", "undo"]), ["X;", "X;"]);
    }

    #[test]
    fn words_with_a_meaning_to_a_shell_reach_the_program_as_they_are() {
        let odd = hooks(&[(Phase::PostUp, "iptables -A F --log-prefix 'a;b \"c\" $(x)'")]);
        let undone = played(&[], &odd, "", &["do", "undo"]);
        assert_eq!(undone, ["F --log-prefix a;b \"c\" $(x);", ""]);
    }
}
