//! Bringing hosts what they lack: WireGuard's tools, nftables, what starts interfaces at boot.

use serde::Serialize;

use crate::db::Store;
use crate::fleet::{self, Fleet, PackageCommand, PackageTrouble, Packages, Wanted};
use crate::model::{Actor, Host, Name, Role, Topology};
use crate::ops::Error;
use crate::ops::clock::Clock;
use crate::ops::deploy::journal::Journal;
use crate::ops::deploy::logged::{LoggedStep, step};
use crate::ops::network::change::Mode;
use crate::ops::network::find;
use crate::ops::parallel::each;
use crate::wg::compile::compile;

/// Seconds to wait for another package manager: one that updates by itself is done by then.
const PATIENCE: u64 = 60;

/// What came of preparing one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Which host.
    pub host: Name,
    /// Whether it has everything now, or would have.
    pub ready: bool,
    /// Whether anything was changed there.
    pub changed: bool,
    /// Its system, once it has answered.
    pub os: Option<String>,
    /// What it lacked, as far as it is a program by its own name; `tunnel` is WireGuard itself, `boot` what starts
    /// interfaces at boot.
    pub missing: Vec<fleet::Lack>,
    /// The commands that were run there, or would be.
    pub commands: Vec<PackageCommand>,
    /// The packages that came, with those that they needed. `host uninstall --packages` takes just these away.
    pub packages: Vec<String>,
    /// What went wrong.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Installed {
    fn nothing(host: &Name) -> Self {
        Self {
            host: host.clone(),
            ready: false,
            changed: false,
            os: None,
            missing: Vec::new(),
            commands: Vec::new(),
            packages: Vec::new(),
            problem: None,
            hint: None,
        }
    }

    fn failed(mut self, problem: String, hint: Option<String>) -> Self {
        (self.ready, self.problem, self.hint) = (false, Some(problem), hint);
        self
    }
}

/// Returns what a host needs for what the model puts there.
pub(super) fn wanted(host: &Name, topology: &Topology) -> Wanted {
    let on_it = |node: &&crate::model::Node| node.host.as_ref() == Some(host);
    let compiled = compile(topology).unwrap_or_default(); // a model that contradicts itself needs tools all the same
    let here = |id| topology.node(id).is_some_and(|node| on_it(&node));
    let interfaces = || compiled.iter().filter(|config| here(config.node)).flat_map(|config| &config.interfaces);
    Wanted {
        nft: topology.nodes.iter().filter(on_it).any(|node| node.role != Role::Remote)
            || interfaces().any(|interface| interface.firewall.is_some()),
        resolver: interfaces().any(|interface| !interface.dns.is_empty()),
    }
}

/// Prepares hosts, at most `parallel` at once; a preview says by which commands. `done` hears of each as it is finished.
///
/// # Errors
/// When a name isn't a host's; what goes wrong on one host is its outcome and holds up no other.
#[expect(clippy::too_many_arguments, reason = "what it touches, which hosts, and how")]
pub fn install(
    store: &mut Store,
    fleet: &dyn Fleet,
    clock: &(dyn Clock + Sync),
    actor: &Actor,
    names: &[String],
    parallel: usize,
    mode: Mode,
    done: &(dyn Fn(&Installed) + Sync),
) -> Result<Vec<Installed>, Error> {
    let topology = store.topology()?;
    let hosts: Vec<&Host> = names.iter().map(|name| find::host(&topology, name)).collect::<Result<_, _>>()?;
    let journal = Journal::new(store, clock, actor);
    Ok(each(hosts, parallel, |host| {
        let wanted = wanted(&host.name, &topology);
        let outcome = one(host, wanted, fleet, &journal, mode);
        done(&outcome);
        outcome
    }))
}

fn one(host: &Host, wanted: Wanted, fleet: &dyn Fleet, journal: &Journal<'_>, mode: Mode) -> Installed {
    let nothing = Installed::nothing(&host.name);
    match work(host, wanted, fleet, journal, mode) {
        Ok((look, work)) => judge(nothing, &look, work.as_ref()),
        Err(error) => nothing.failed(error.to_string(), error.hint()),
    }
}

/// Asks the host by which commands it would get what it lacks; then has them run.
fn work(
    host: &Host,
    wanted: Wanted,
    fleet: &dyn Fleet,
    journal: &Journal<'_>,
    mode: Mode,
) -> Result<(Packages, Option<Packages>), fleet::Error> {
    let unread = |source| fleet::Error::Answer { host: host.name.clone(), source };
    let mut connection = fleet.connect(host)?;
    let answer = journal.run(&host.name, None, connection.as_mut(), &fleet::install(wanted, true, PATIENCE))?;
    let look = fleet::read_packages(&answer).map_err(unread)?;
    if mode == Mode::Preview || look.commands.is_empty() || !can_install(&look.family) {
        return Ok((look, None));
    }
    let steps: Vec<LoggedStep> = look
        .commands
        .iter()
        .enumerate()
        .map(|(at, command)| step(&(at + 1).to_string(), &command.kind, "", &command.line))
        .collect();
    let lacks: Vec<&str> = look.missing.iter().map(|lack| lack.what.as_str()).collect();
    let script = fleet::install(wanted, false, PATIENCE);
    let answer = journal.run_steps(&host.name, None, connection.as_mut(), &script, &lacks.join(" "), &steps)?;
    Ok((look, Some(fleet::read_packages(&answer).map_err(unread)?)))
}

/// Whether packages can be brought to a system of this family.
fn can_install(family: &str) -> bool {
    ["debian", "alpine", "fedora", "rhel", "arch"].contains(&family)
}

/// Says what an attempt came to: `look` is what the host said before, `work` what it said of the work.
fn judge(mut outcome: Installed, look: &Packages, work: Option<&Packages>) -> Installed {
    outcome.os = Some(look.os.clone());
    (outcome.missing, outcome.commands) = (look.missing.clone(), look.commands.clone());
    if look.missing.is_empty() {
        return Installed { ready: true, ..outcome };
    }
    if !can_install(&look.family) && look.commands.iter().any(|c| c.kind == "packages") || look.commands.is_empty() {
        let (problem, hint) = by_hand(look);
        return outcome.failed(problem, Some(hint));
    }
    let Some(work) = work else { return Installed { ready: true, ..outcome } };
    outcome.packages = work.installed.clone();
    outcome.changed = !work.installed.is_empty() || work.failed.is_none();
    if let Some((trouble, said)) = &work.failed {
        let (problem, hint) = explain(*trouble, said, look, &outcome.host);
        return outcome.failed(problem, Some(hint));
    }
    if !work.lacks.is_empty() {
        let lacks: Vec<&str> = work.lacks.iter().map(|lack| lack.what.as_str()).collect();
        return outcome.failed(
            format!("was given all packages, and lacks {} even so", lacks.join(", ")),
            Some("see what else calls itself by the packages' names there, then `wg-friend host check`".to_owned()),
        );
    }
    Installed { ready: true, ..outcome }
}

fn programs(look: &Packages) -> String {
    look.missing.iter().map(|lack| lack.what.as_str()).collect::<Vec<_>>().join(", ")
}

fn by_hand(look: &Packages) -> (String, String) {
    let lacks = programs(look);
    let hint = format!("install these there by its own means: {lacks}; then `wg-friend host check` says what is left");
    let os = if look.os.is_empty() { "a system that doesn't say its name" } else { &look.os };
    match look.family.as_str() {
        "image" => (
            format!("is {os}, whose programs come as one image"),
            format!("layer them: `rpm-ostree install wireguard-tools nftables`, reboot; it lacks {lacks}"),
        ),
        _ => (format!("is {os}, which is neither Debian, Alpine, Fedora, RHEL nor Arch, nor of their kin"), hint),
    }
}

/// Says why a package manager failed, and what helps.
fn explain(trouble: PackageTrouble, said: &str, look: &Packages, host: &Name) -> (String, String) {
    let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    let family = look.family.as_str();
    match trouble {
        PackageTrouble::Lock => (
            format!("another package manager was at work there for {PATIENCE} s: {last}"),
            "let it finish (unattended upgrades take minutes), then run this again".to_owned(),
        ),
        PackageTrouble::Network => (
            format!("its package manager can't reach its servers: {last}"),
            "give it a way out (DNS, default route, proxy), or install by hand what `--dry-run` shows".to_owned(),
        ),
        PackageTrouble::Package => (
            format!("its package manager knows no such package: {last}"),
            match family {
                "rhel" => "add EPEL (https://docs.fedoraproject.org/en-US/epel/) there, then run this again".to_owned(),
                "debian" => "let its lists have `main` (Ubuntu: `universe`), then run this again".to_owned(),
                "alpine" => "let /etc/apk/repositories have `main` and `community`, then run this again".to_owned(),
                _ => "look at its repositories, then run this again".to_owned(),
            },
        ),
        PackageTrouble::Stale => (
            format!("its lists of packages are older than its servers: {last}"),
            match family {
                "arch" => "bring it up to date with `pacman -Syu` (half an upgrade breaks it), then run this again",
                _ => "bring its lists up to date, then run this again",
            }
            .to_owned(),
        ),
        PackageTrouble::Space => {
            (format!("its disk is full: {last}"), "make room there, then run this again".to_owned())
        }
        PackageTrouble::Other => (
            format!("its package manager failed: {last}"),
            format!("`wg-friend log {host} -v` has more of what it said"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Lack;

    fn look(family: &str) -> Packages {
        let line = "apt-get -q -y --no-install-recommends install wireguard-tools".to_owned();
        Packages {
            family: family.into(),
            id: family.into(),
            os: "Some Linux 1".into(),
            missing: vec![Lack { what: "wg".into(), package: "wireguard-tools".into() }],
            commands: vec![PackageCommand { kind: "packages".into(), line }],
            installed: Vec::new(),
            lacks: Vec::new(),
            failed: None,
        }
    }

    fn outcome(look: &Packages, work: Option<&Packages>) -> Installed {
        judge(Installed::nothing(&"hub".parse().unwrap()), look, work)
    }

    #[test]
    fn a_host_that_lacks_nothing_is_ready_and_unchanged() {
        let mut look = look("debian");
        look.missing.clear();
        look.commands.clear();
        let outcome = outcome(&look, None);
        assert!(outcome.ready && !outcome.changed && outcome.problem.is_none());
    }

    #[test]
    fn a_preview_says_by_which_commands_and_changes_nothing() {
        let outcome = outcome(&look("debian"), None);
        assert!(outcome.ready && !outcome.changed);
        assert_eq!(outcome.commands.len(), 1);
    }

    #[test]
    fn every_trouble_of_a_package_manager_has_a_remedy() {
        use PackageTrouble::{Lock, Network, Other, Package, Space, Stale};
        let text: Vec<String> = [Lock, Network, Package, Stale, Space, Other]
            .into_iter()
            .map(|trouble| {
                let work = Packages { failed: Some((trouble, "first\nE: the last line\n".into())), ..look("arch") };
                let outcome = outcome(&look("arch"), Some(&work));
                assert!(!outcome.ready);
                format!("{}\n  {}", outcome.problem.unwrap(), outcome.hint.unwrap())
            })
            .collect();
        insta::assert_snapshot!(text.join("\n"), @"
        another package manager was at work there for 60 s: E: the last line
          let it finish (unattended upgrades take minutes), then run this again
        its package manager can't reach its servers: E: the last line
          give it a way out (DNS, default route, proxy), or install by hand what `--dry-run` shows
        its package manager knows no such package: E: the last line
          look at its repositories, then run this again
        its lists of packages are older than its servers: E: the last line
          bring it up to date with `pacman -Syu` (half an upgrade breaks it), then run this again
        its disk is full: E: the last line
          make room there, then run this again
        its package manager failed: E: the last line
          `wg-friend log hub -v` has more of what it said
        ");
    }

    #[test]
    fn a_system_of_no_known_kin_is_left_alone_and_told_what_it_lacks() {
        let outcome = outcome(&look("unknown"), None);
        assert!(!outcome.ready && !outcome.changed);
        assert_eq!(
            outcome.problem.unwrap(),
            "is Some Linux 1, which is neither Debian, Alpine, Fedora, RHEL nor Arch, nor of their kin"
        );
        assert!(outcome.hint.unwrap().contains("install these there by its own means: wg"));
    }

    #[test]
    fn what_is_missing_after_all_was_installed_is_said() {
        let work =
            Packages { lacks: vec![Lack { what: "tunnel".into(), package: "wireguard-go".into() }], ..look("rhel") };
        let outcome = outcome(&look("rhel"), Some(&work));
        assert!(!outcome.ready);
        assert_eq!(outcome.problem.unwrap(), "was given all packages, and lacks tunnel even so");
    }
}
