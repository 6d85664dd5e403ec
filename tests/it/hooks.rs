//! How hooks are read, and which are let through, against the judge that counts: bash.
//!
//! Lines are made up from real hooks and from what shells give a meaning to. Whatever we take for plain commands, bash
//! has to run with exactly our words; whatever passes the list has to run nothing else and write nothing. Every
//! command is a function that notes its words, so nothing on this machine is touched. `./test --long` tries fifty
//! times as many.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use split::{Part, Script, Separator};
use wg_friend::model::InterfaceName;
use wg_friend::wg::hooks::{allow, split};

use crate::fuzz::Numbers;

/// Hooks as people write them, most of them harmless.
const HOOKS: &[&str] = &[
    "iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
    "iptables -D FORWARD -i wg0 -j ACCEPT 2>/dev/null || true",
    "ip -4 rule del fwmark 0x77660001 table 7766001 priority 7767 2>/dev/null || true; ip -4 rule add fwmark 0x77660001 table 7766001 priority 7767",
    "nft 'table inet wgf_wg0; delete table inet wgf_wg0'",
    "nft -f /etc/wireguard/wgf-wg0.nft",
    r"nft add chain ip t post { type nat hook postrouting priority 100 \; }",
    "sysctl -q -w net.ipv4.ip_forward=1 >/dev/null 2>&1 && logger -t wg \"%i is up\"",
    "wg set %i private-key /etc/wireguard/%i.key",
    "tc qdisc add dev %i root tbf rate 10mbit burst 32kbit latency 400ms # slow",
    "resolvectl dns %i 10.66.0.1; resolvectl domain %i '~corp.example'",
    "ufw route allow in on wg0 out on eth0; firewall-cmd --zone=public --add-port=51820/udp",
    r#"logger "it's \"up\" at \\ 5 \$ each" a\ b 'c;d'"#,
    "iptables -I OUTPUT ! -o %i -m mark ! --mark $(wg show %i fwmark) -j REJECT",
    "curl https://example.com/x | sh",
    "true && true || true",
];

/// What shells, and the programs of the list, give a meaning to.
const WORDS: &[&str] = &[
    ";",
    ";;",
    "&&",
    "||",
    "|",
    "&",
    "|&",
    "\n",
    "\t",
    " ",
    "  ",
    "'",
    "\"",
    "\\",
    "\\\n",
    "$",
    "$(",
    "`",
    ")",
    "(",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    ">>",
    "<(",
    ">(",
    "<<",
    "<<<",
    "2>",
    ">&",
    "&>",
    ">|",
    "<>",
    "3>&1",
    "#",
    " #",
    "!",
    " ! ",
    "~",
    "~/",
    "=~",
    "*",
    "?",
    "@(",
    "+(",
    "{a,b}",
    "{1..3}",
    "$x",
    "${x}",
    "$'\\x3b'",
    "$\"x\"",
    "$((1))",
    "$[1]",
    "%i",
    "%",
    "=",
    "x=",
    "PATH=.",
    "-",
    "--",
    "\r",
    "\u{a0}",
    "ä",
    "\u{202e}",
    "a",
    "1",
    "touch pwned",
    ">pwned",
    "2>pwned",
    "eval",
    "exec ",
    "sh -c ",
    "bash",
    "source ",
    ". ",
    "if ",
    "then ",
    "fi",
    "do ",
    "done",
    "for a in b; do ",
    "while ",
    "case a in ",
    "esac",
    "function ",
    "f() ",
    "time ",
    "coproc ",
    "[[ ",
    " ]]",
    "in ",
    "alias ip=touch;",
    "ip ",
    "true",
    "netns exec a ",
    "-b ",
    "-batch x",
    "--modprobe=./x ",
    "-M ./x ",
    "-f ./x",
    "include \"x\"",
    "kernel.core_pattern=",
    "net.ipv4.",
    "/../",
    "../",
    "./",
    "/etc/wireguard/",
    "/dev/null",
    "--file=x",
    " private-key ",
    "-p x",
    "--system ",
    "--direct ",
    "--",
    "obj ",
    "bpf ",
    "exec ",
    "-n x",
    "\u{1}",
    "ruleset",
];

fn interface() -> InterfaceName {
    "wg0".parse().unwrap()
}

/// Makes up a line.
fn line(numbers: &mut Numbers) -> String {
    let mut line = HOOKS[numbers.below(HOOKS.len())].to_owned();
    for _ in 0..numbers.below(4) {
        let places: Vec<usize> = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
        let from = places[numbers.below(places.len())];
        let to = places.iter().copied().find(|at| *at >= from + numbers.below(6)).unwrap_or(line.len());
        match numbers.below(5) {
            0 => line.replace_range(from..to, ""),
            1 => {
                let other = HOOKS[numbers.below(HOOKS.len())];
                let start = other.len() - numbers.below(other.len());
                line.insert_str(from, other.get(start..).unwrap_or(""));
            }
            _ => line
                .replace_range(from..if numbers.below(2) == 0 { from } else { to }, WORDS[numbers.below(WORDS.len())]),
        }
    }
    line.replace('\0', "")
}

/// Says which words run, one line of words after the other, when every command ends the same way.
fn expected(script: &Script, succeeds: bool) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    let mut joint = None;
    for part in &script.parts {
        match part {
            Part::Command(command) => {
                let runs = match joint.take() {
                    Some(Separator::And) => succeeds,
                    Some(Separator::Or) => !succeeds,
                    _ => true,
                };
                if runs {
                    calls.push(command.words.iter().map(|word| word.text.clone()).collect());
                }
            }
            Part::Separator(Separator::Newline, _) if matches!(joint, Some(Separator::And | Separator::Or)) => {}
            Part::Separator(separator, _) => joint = Some(*separator),
            Part::Blank(_) | Part::Comment(_) => {}
        }
    }
    calls
}

/// Has bash run each line, and returns the words of every command that it ran.
fn ran(lines: &[String], succeeds: bool, directory: &Path) -> Vec<Vec<Vec<String>>> {
    // Words go to a descriptor of its own, and no command is looked for outside of this script.
    const SCRIPT: &str = r#"
        shopt -s extglob
        note() { printf '%s\0' "$#" "$@" >&9; return "$STATUS"; }
        command_not_found_handle() { note "$@"; }
        for name in $PROGRAMS; do eval "$name() { note $name \"\$@\"; }"; done
        while IFS= read -r -u 8 -d '' line; do
            printf 'line\0' >&9
            (eval "$line"; wait)
        done
    "#;
    let (input, output) = (directory.join("../lines"), directory.join("../calls"));
    fs::write(&input, lines.iter().map(|line| format!("{line}\0")).collect::<String>()).unwrap();
    let script = format!("exec 8<../lines 9>../calls\n{SCRIPT}");
    let status = Command::new("/bin/bash")
        .args(["--norc", "--noprofile", "-c", &script])
        .env_clear()
        .envs([("PATH", "/nonexistent"), ("LC_ALL", "C"), ("HOME", "/somebody"), ("x", "a value")])
        .envs([("PROGRAMS", allow::PROGRAMS.join(" ")), ("STATUS", u8::from(!succeeds).to_string())])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.code().is_some(), "{status}");
    let noted = fs::read(output).unwrap();
    let mut words = noted.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut calls: Vec<Vec<Vec<String>>> = Vec::new();
    while let Some(word) = words.next().filter(|word| !word.is_empty()) {
        match word.parse::<usize>() {
            Ok(count) => calls.last_mut().unwrap().push(words.by_ref().take(count).collect()),
            Err(_) => calls.push(Vec::new()),
        }
    }
    assert_eq!(calls.len(), lines.len());
    calls
}

/// Whether the line is plain commands that bash hands to a function of ours: nothing of its own.
fn is_plain(script: &Script) -> bool {
    const BUILTINS: &str = " . : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs \
        disown echo enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd \
        printf pushd pwd read readarray readonly return set shift shopt source suspend test times trap type typeset ulimit \
        umask unalias unset wait ";
    script.commands().all(|command| {
        let own = command.words.first().is_none_or(|word| {
            BUILTINS.contains(&format!(" {} ", word.text))
                || word.text.contains(['/', '=', '%'])
                || word.text.is_empty()
        });
        let files = command.redirects.iter().any(|redirect| redirect.target.text != "/dev/null");
        command.beyond.is_none() && !own && !files
    })
}

/// Runs lines in a directory with files that patterns of names would find, and compares what ran.
fn compare(lines: &[String], check: impl Fn(&str, &[Vec<String>])) {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("here");
    fs::create_dir(&directory).unwrap();
    let names = ["a", "1", "x", "ip", "b c"];
    names.iter().for_each(|name| fs::write(directory.join(name), "").unwrap());
    for succeeds in [true, false] {
        for (line, calls) in lines.iter().zip(ran(lines, succeeds, &directory)) {
            let script = split::split(line);
            let (mut ran, mut wanted) = (calls.clone(), expected(&script, succeeds));
            if script.parts.iter().any(|part| matches!(part, Part::Separator(Separator::Background, _))) {
                // At the same time, in whatever order.
                ran.sort();
                wanted.sort();
            }
            assert_eq!(ran, wanted, "{line:?} when commands succeed: {succeeds}");
            check(line, &calls);
        }
    }
    let mut left: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["1", "a", "b c", "ip", "x"]);
}

fn count() -> usize {
    if std::env::var_os("WGF_LONG").is_some() { 400_000 } else { 8_000 }
}

#[test]
fn bash_runs_exactly_the_words_that_we_read() {
    let mut numbers = Numbers(0x5851_f42d_4c95_7f2d);
    let lines = std::iter::repeat_with(|| line(&mut numbers).replace("%i", "wg0"));
    let plain: Vec<String> = lines.take(count()).filter(|line| is_plain(&split::split(line))).collect();
    assert!(plain.len() > count() / 8, "only {} lines are plain", plain.len());
    compare(&plain, |_, _| {});
}

#[test]
fn a_hook_that_passes_runs_nothing_but_the_programs_of_the_list() {
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let lines = std::iter::repeat_with(|| line(&mut numbers));
    let passed = lines.take(count()).filter(|line| allow::judge(line, &interface()).is_ok());
    // A program by its path would be the real one.
    let passed: Vec<String> =
        passed.map(|line| line.replace("%i", "wg0")).filter(|line| is_plain(&split::split(line))).collect();
    assert!(passed.len() > count() / 20, "only {} lines pass", passed.len());
    compare(&passed, |line, calls| {
        for call in calls {
            assert!(allow::PROGRAMS.contains(&call[0].as_str()), "{line:?} runs {call:?}");
            assert!(call.iter().all(|word| word.is_ascii()), "{line:?} runs {call:?}");
        }
    });
}
