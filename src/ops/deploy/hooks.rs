//! The hooks of an interface that runs: what differs, and what is run so that it is as if it had come up with the new ones.
//! Pure.
//!
//! Only hooks that somebody wrote count here. Those that wg-friend writes follow from firewall, routes, rules and settings,
//! which are compared as what they are.

use crate::fleet::Observed;
use crate::model::{ByHooks, Hook, InterfaceName, PublicKey};
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
    let Some(wanted) = desired.files.get(&path).map(|text| File::of(text, interface)) else { return Live::default() };
    let before = deployed.and_then(|deployed| {
        let config = deployed.interface(&interface.name)?;
        Some(File::of(deployed.version.files.get(&path)?, config))
    });
    let Some(before) = before else { return Live::default() };
    let found = observed.files.get(&path).map(|file| Document::parse(&String::from_utf8_lossy(&file.content)).hooks());
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
