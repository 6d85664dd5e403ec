//! `lab`: WireGuard hosts on this machine, to play with.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, Subcommand};
use wg_friend_lab::{Error, Lab, Result, Spec};

/// Real WireGuard hosts on this machine, made of network namespaces: play with wg-friend on them.
///
/// The lab stays until `lab down`. Hosts reach each other over an internet of their own; `lab ssh ctl` gives a shell
/// from which `wg-friend` and `ssh HOST` reach them all.
#[derive(Parser)]
#[command(name = "lab", bin_name = "./lab")]
struct Args {
    /// Which lab, when there are several.
    #[arg(short, long, default_value = "lab", global = true)]
    prefix: String,
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Starts the lab.
    Up {
        /// `office` (the default), `twenty`, `pair`, or a file; `lab spec office` shows what one looks like.
        spec: Option<String>,
        /// Stay, and end the lab when standard input ends or this program does.
        #[arg(long)]
        stay: bool,
    },
    /// Ends the lab: every process, namespace, link and file of it.
    Down,
    /// Logs in to a host, over SSH where it has an sshd; `ctl` is where wg-friend is.
    Ssh {
        /// The host, or user@host.
        host: String,
        /// A command to run there instead of a shell.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Runs a command in a host, without SSH; one word is a line of shell.
    Exec {
        /// The host.
        host: String,
        /// The command.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Lists the hosts and their addresses.
    Ls,
    /// Prints a spec that comes with the lab, to start one's own from.
    Spec {
        /// `office`, `twenty` or `pair`.
        name: String,
    },
    /// Ends every process of a host and boots it again on the same disk.
    Reboot {
        /// The host.
        host: String,
    },
    /// Drops packets between a host and the others, both ways, until `heal`.
    Drop {
        /// The host.
        host: String,
        /// What to drop, as nft has it: `udp dport 51820`, `tcp dport 22`, `numgen random mod 100 < 5`; else all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        matching: Vec<String>,
    },
    /// Limits what a host receives, for instance to 5mbit, until `heal`.
    Rate {
        /// The host.
        host: String,
        /// The rate, as tc has it.
        rate: String,
    },
    /// Undoes `drop` and `rate`.
    Heal {
        /// The host.
        host: String,
    },
    /// Has ssh in the controller reach a host at another address, for instance its address in a tunnel.
    At {
        /// The host.
        host: String,
        /// The address; without one, as before.
        address: Option<std::net::IpAddr>,
        /// The host to jump through.
        #[arg(long)]
        jump: Option<String>,
    },
    /// Shows the state of a host that a deploy could change.
    Snapshot {
        /// The host.
        host: String,
    },
    /// Says whether this machine can have a lab.
    Check,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    let prefix = &args.prefix;
    let lab = || Lab::attach(prefix);
    match args.command {
        Action::Up { spec, stay } => up(prefix, spec.as_deref().unwrap_or("office"), stay)?,
        Action::Down => lab()?.down()?,
        Action::Spec { name } => print!("{}", named(&name)?),
        Action::Check => {
            Lab::available().map_err(Error::Unavailable)?;
            println!("this machine can have a lab");
        }
        Action::Ls => list(&lab()?),
        Action::Ssh { host, command } => return ssh(&lab()?, &host, &command),
        Action::Exec { host, command } => {
            let lab = lab()?;
            let mut line = known(&lab, &host)?.command(if command.len() == 1 { "sh" } else { &command[0] });
            match &command[..] {
                [line_of_shell] => line.args(["-c", line_of_shell]),
                _ => line.args(&command[1..]),
            };
            return Ok(become_it(&mut line));
        }
        Action::Reboot { host } => known(&lab()?, &host)?.reboot()?,
        Action::Drop { host, matching } => {
            let lab = lab()?;
            known(&lab, &host)?;
            lab.drop_packets(&host, &matching.join(" "))?;
        }
        Action::Rate { host, rate } => {
            let lab = lab()?;
            known(&lab, &host)?;
            lab.limit_rate(&host, &rate)?;
        }
        Action::Heal { host } => {
            let lab = lab()?;
            known(&lab, &host)?;
            lab.heal(&host)?;
        }
        Action::At { host, address, jump } => {
            let lab = lab()?;
            known(&lab, &host)?;
            let mut first = address.map_or_else(String::new, |a| format!("Host {host}\n  HostName {a}\n"));
            first += &jump.map_or_else(String::new, |j| format!("  ProxyJump {j}\n"));
            lab.write_ssh_config(&first)?;
        }
        Action::Snapshot { host } => {
            let snapshot = known(&lab()?, &host)?.snapshot()?;
            for name in snapshot.sections() {
                println!("[{name}]\n{}", snapshot.section(name).unwrap_or_default());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn named(name: &str) -> Result<Spec> {
    match name {
        "office" => Ok(Spec::office()),
        "twenty" => Ok(Spec::twenty()),
        "pair" => Ok(Spec::pair()),
        path => std::fs::read_to_string(path)
            .map_err(|source| Error::Io { what: format!("reading the spec {path}"), source })?
            .parse(),
    }
}

fn up(prefix: &str, spec: &str, stay: bool) -> Result<()> {
    let spec = named(spec)?;
    if let Ok(old) = Lab::attach(prefix) {
        if old.spec == spec {
            eprintln!("the lab `{prefix}` is up already");
            return Ok(());
        }
        return Err(Error::Failed(format!("another lab `{prefix}` is up: end it with `./lab down`, or use --prefix")));
    }
    let begun = std::time::Instant::now();
    let lab = Lab::up_as(prefix, &spec, !stay)?;
    eprintln!("{} hosts in {:.1} s", spec.hosts.len(), begun.elapsed().as_secs_f64());
    if stay {
        println!("ready");
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())
            .map_err(|source| Error::Io { what: "reading standard input".to_owned(), source })?;
        return lab.down();
    }
    list(&lab);
    let flag = if prefix == "lab" { String::new() } else { format!("--prefix {prefix} ") };
    if let Some(controller) = lab.controller() {
        eprintln!("\nnext: ./lab {flag}ssh {}    (a shell with wg-friend)", controller.name());
    }
    eprintln!("end:  ./lab {flag}down");
    Ok(())
}

fn list(lab: &Lab) {
    for host in lab.hosts() {
        let addresses: Vec<String> = host.addresses().map(|a| a.to_string()).collect();
        let state = if host.init().is_ok() { "" } else { "  (down)" };
        println!("{:<12} {}{state}", host.name(), addresses.join(" "));
    }
}

fn known<'a>(lab: &'a Lab, host: &str) -> Result<wg_friend_lab::Host<'a>> {
    lab.find(host).ok_or_else(|| {
        let names: Vec<&str> = lab.spec.hosts.iter().map(|h| h.name.as_str()).collect();
        Error::Failed(format!("there is no host `{host}`; there are: {}", names.join(", ")))
    })
}

fn ssh(lab: &Lab, to: &str, command: &[String]) -> Result<ExitCode> {
    let host = known(lab, to.rsplit('@').next().unwrap_or(to))?;
    let mut login = match lab.controller() {
        Some(controller) if host.spec.ssh.is_some() => {
            let mut login = controller.command("ssh");
            login.arg(to).args(command);
            login
        }
        _ if command.is_empty() => {
            let mut shell = host.command("bash");
            if host.spec.controller {
                shell.env("PATH", path_with_wg_friend()).env("debian_chroot", "lab");
            }
            shell
        }
        _ => {
            let mut line = host.command(&command[0]);
            line.args(&command[1..]);
            if host.spec.controller {
                line.env("PATH", path_with_wg_friend());
            }
            line
        }
    };
    Ok(become_it(&mut login))
}

/// Returns PATH with the directory of this program in front: `wg-friend` is built into the same one.
fn path_with_wg_friend() -> std::ffi::OsString {
    let own: Option<PathBuf> = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = own.into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(all).unwrap_or(path)
}

/// Replaces this process by the command, with the terminal's own input.
fn become_it(command: &mut Command) -> ExitCode {
    let error = command.stdin(Stdio::inherit()).exec();
    eprintln!("lab: {command:?}: {error}");
    ExitCode::FAILURE
}
