//! What is written for other systems, judged by their own readers where this machine has them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::env::TestEnv;

const EXAMPLES: [&str; 3] = ["remote", "router", "server"];

fn fixtures(example: &str, format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/export").join(example).join(format)
}

fn here(file: &str) -> String {
    format!("{}/tests/it/export/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// Whether a program runs here; says what is skipped when it doesn't.
fn has(program: &str, arguments: &[&str], package: &str) -> bool {
    let found = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {program} {} doesn't run here (Debian: {package})", arguments.join(" "));
    }
    found
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {}: {out}{err}", arguments.join(" "));
    out.into_owned()
}

fn files(folder: &Path, ending: &str) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(ending))
        .collect();
    found.sort();
    found
}

#[test]
fn wg_quick_takes_what_is_written_in_its_language() {
    if !has("wg-quick", &["--help"], "wireguard-tools") {
        return;
    }
    for example in EXAMPLES {
        for format in ["wg-quick", "windows", "apple", "android"] {
            for path in files(&fixtures(example, format), ".conf") {
                let copy = tempfile::tempdir().unwrap();
                let conf = copy.path().join("wg0.conf");
                fs::copy(&path, &conf).unwrap();
                fs::set_permissions(&conf, fs::Permissions::from_mode(0o600)).unwrap();
                let stripped = run("wg-quick", &["strip", conf.to_str().unwrap()]);
                let count = |text: &str, word: &str| text.matches(word).count();
                let text = fs::read_to_string(&path).unwrap();
                for word in ["PrivateKey", "PublicKey", "PresharedKey", "Endpoint"] {
                    assert_eq!(count(&stripped, word), count(&text, word), "{path}: {word}");
                }
            }
        }
    }
}

#[test]
fn networkd_takes_its_files_and_makes_the_addresses_routes_and_rules() {
    let networkd = "/usr/lib/systemd/systemd-networkd";
    if !has(networkd, &["--version"], "systemd") || !has("unshare", &["-nm", "true"], "util-linux, and root") {
        return;
    }
    for example in EXAMPLES {
        let folder = fixtures(example, "networkd").display().to_string();
        let text = run("unshare", &["-nm", "sh", &here("networkd.sh"), &folder]);
        // What it doesn't understand it names by file and line.
        let complaints: Vec<&str> =
            text.lines().filter(|line| line.contains(".netdev:") || line.contains(".network:")).collect();
        assert_eq!(complaints, Vec::<&str>::new(), "{example}");
        assert!(text.contains("wg0: loaded \"wireguard\""), "{example}: {text}");
        let expected: &[&str] = match example {
            "remote" => &[
                "inet 10.66.0.30/24",
                "inet6 fd00:66::1e/64",
                "lookup main suppress_prefixlength 0",
                "not from all fwmark 0xca6c lookup 51820",
                "default dev test0",
            ],
            "router" => {
                &["inet 10.66.0.4/32", "10.66.0.0/24 dev test0", "192.168.20.0/24 dev test0", "fd00:66::/64 dev test0"]
            }
            _ => &["inet 10.66.0.1/24", "192.168.10.0/24"],
        };
        for line in expected {
            assert!(text.contains(line), "{example}: no {line} in {text}");
        }
    }
}

#[test]
fn networkmanager_takes_its_keyfiles() {
    let python = "/usr/bin/python3";
    let library = "import gi; gi.require_version('NM', '1.0'); from gi.repository import NM";
    if !has(python, &["-c", library], "gir1.2-nm-1.0, python3-gi") {
        return;
    }
    let mut said = String::new();
    for example in EXAMPLES {
        for path in files(&fixtures(example, "networkmanager"), ".nmconnection") {
            said += &run(python, &[&here("networkmanager.py"), &path]);
        }
    }
    insta::assert_snapshot!(said, @"
    wg0 port 0 mark 0 mtu 1380 peers 1 psk 1 allowed 0.0.0.0/0,::/0 dns 10.66.0.1 search corp.example,~ tables 0 0 warnings []
    wg0 port 51821 mark 31 mtu 0 peers 1 psk 1 allowed 10.66.0.0/24,192.168.20.0/24,fd00:66::/64 dns  search  tables 120 120 warnings []
    wg0 port 51820 mark 0 mtu 0 peers 3 psk 2 allowed 10.66.0.4/32,fd00:66::4/128,192.168.10.0/24,10.66.0.9/32,fd00:66::9/128,10.66.0.30/32,fd00:66::1e/128 dns  search  tables 0 0 warnings []
    ");
}

#[test]
fn nix_takes_its_modules_and_finds_no_key_in_them() {
    if !has("nix-instantiate", &["--version"], "nix-bin") {
        return;
    }
    for example in EXAMPLES {
        let folder = fixtures(example, "nixos");
        for path in files(&folder, ".nix") {
            let expression = format!("builtins.toJSON (import {path} {{ }})");
            let json = run("nix-instantiate", &["--eval", "--strict", "-E", &expression]);
            assert!(json.contains("privateKeyFile"), "{json}");
            for key in files(&folder, ".key").iter().chain(&files(&folder, ".psk")) {
                assert!(!json.contains(fs::read_to_string(key).unwrap().trim()), "{path} holds a key");
            }
        }
    }
}

#[test]
fn scripts_are_sound() {
    let scripts: Vec<String> =
        ["opnsense", "pfsense"].iter().flat_map(|format| files(&fixtures("remote", format), ".sh")).collect();
    assert_eq!(scripts.len(), 2);
    for script in &scripts {
        run("sh", &["-n", script]);
        if has("shellcheck", &["--version"], "shellcheck") {
            run("shellcheck", &["--shell=sh", script]);
        }
    }
}

/// Runs an exported script against a stand-in for the firewall; twice, which changes nothing. Returns its arguments.
fn against_a_stand_in(format: &str, variables: &[(&str, &str)], expected: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::create_dir(dir.path().join("state")).unwrap();
    fs::copy(here("curl.sh"), bin.join("curl")).unwrap();
    fs::set_permissions(bin.join("curl"), fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let script = &files(&fixtures("server", format), ".sh")[0];
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let output = Command::new("sh")
            .arg(script)
            .env("PATH", path)
            .env("STATE", dir.path().join("state"))
            .env("EXPECTED", expected)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("done: "), "{said}");
    }
    let arguments = fs::read_to_string(dir.path().join("state/arguments")).unwrap();
    (dir, arguments)
}

/// The base64 of keys in a text: 44 characters that end in `=`.
fn keys(text: &str) -> Vec<&str> {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    text.split(|c| !is_base64(c)).filter(|word| word.len() == 44 && word.ends_with('=')).collect()
}

#[test]
fn the_scripts_for_firewalls_set_everything_and_no_secret_is_an_argument() {
    if !has("jq", &["--version"], "jq") {
        return;
    }
    let secret = "w8fnsecretofapi";
    let variables = [("OPNSENSE_URL", "https://fw.example"), ("OPNSENSE_KEY", "k"), ("OPNSENSE_SECRET", secret)];
    let (dir, arguments) = against_a_stand_in("opnsense", &variables, &format!("k:{secret}"));
    assert!(!arguments.contains(secret) && keys(&arguments).is_empty(), "{arguments}");
    let server = fs::read_to_string(dir.path().join("state/server.server-wg0")).unwrap();
    let server: serde_json::Value = serde_json::from_str(&server).unwrap();
    assert_eq!(server["peers"].as_str().unwrap().split(',').count(), 3);
    assert_eq!((server["instance"].as_str(), server["disableroutes"].as_str()), (Some("0"), Some("0")));
    assert_eq!(files(&dir.path().join("state"), "").iter().filter(|path| path.contains("/client.")).count(), 3);

    let variables = [("PFSENSE_URL", "https://fw.example"), ("PFSENSE_KEY", secret)];
    let (dir, arguments) = against_a_stand_in("pfsense", &variables, &format!("X-API-Key: {secret}"));
    assert!(!arguments.contains(secret) && keys(&arguments).is_empty(), "{arguments}");
    let kept = files(&dir.path().join("state"), "");
    assert_eq!(kept.iter().filter(|path| path.contains("/peer.")).count(), 3, "{kept:?}");
    let tunnel = fs::read_to_string(dir.path().join("state/tunnel.0")).unwrap();
    assert!(tunnel.contains("\"tun_wg0\"") && tunnel.contains("privatekey"), "{tunnel}");
}

#[test]
fn several_phones_are_exported_into_one_archive() {
    let env = TestEnv::with_nodes();
    let zip = env.path().join("phones.zip");
    let arguments =
        ["export", "alice-phone", "alice-laptop", "--format", "android", "--zip", "--out", zip.to_str().unwrap()];
    let report = env.json(&arguments);
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert_eq!(report["archive"], zip.to_str().unwrap());
    assert!(!report.to_string().contains("PrivateKey"));
    assert_eq!(fs::metadata(&zip).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read(&zip).unwrap();
    env.ok(&arguments);
    assert_eq!(fs::read(&zip).unwrap(), first, "the same again");
    if has("unzip", &["-v"], "unzip") {
        let list = run("unzip", &["-Z1", zip.to_str().unwrap()]);
        assert_eq!(list.lines().collect::<Vec<_>>(), ["alice-phone.conf", "alice-laptop.conf"]);
        assert!(run("unzip", &["-p", zip.to_str().unwrap(), "alice-phone.conf"]).starts_with("[Interface]\n"));
    }
    let log = env.json(&["audit", "log", "--limit", "10"]);
    let handed: Vec<_> =
        log["entries"].as_array().unwrap().iter().filter(|entry| entry["action"] == "config_handed_out").collect();
    assert_eq!(handed.len(), 4);
}

#[test]
fn a_file_a_directory_or_standard_output_receives_an_export() {
    let env = TestEnv::with_nodes();
    let to = |name: &str| env.path().join(name).display().to_string();
    env.ok(&["export", "alice-phone", "--format", "apple", "--out", &to("phone.conf")]);
    let text = fs::read_to_string(to("phone.conf")).unwrap();
    assert!(text.starts_with("[Interface]\n"), "{text}");
    assert_eq!(fs::metadata(to("phone.conf")).unwrap().permissions().mode() & 0o777, 0o600);
    env.ok(&["export", "alice-laptop", "--format", "networkd", "--out", &to("laptop")]);
    assert!(
        files(&env.path().join("laptop"), "")
            .iter()
            .all(|path| { fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600 })
    );
    let printed = env.ok(&["export", "alice-phone", "--format", "apple", "--out", "-"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), text);
    let model = env.model();
    env.ok(&["export", "alice-phone", "--format", "apple", "--dry-run"]);
    assert_eq!(env.model(), model, "a dry run records nothing");
}

#[test]
fn what_a_system_cannot_express_is_refused_until_it_is_named() {
    let env = TestEnv::with_nodes();
    let _guard = crate::env::filters();
    insta::assert_snapshot!(env.refused(&["export", "branch", "--format", "networkd"]), @"
    --- stderr ---
    error: `branch`: systemd-networkd can't express 7 hooks (PreUp, PostUp, PreDown, PostDown): put them into a unit that starts with sys-subsystem-net-devices-NAME.device, or keep wg-quick
     hint: `--without hooks` leaves it out knowingly; `wg-friend export --format list` shows what each format can express
    [exit 1]
    ");
    let out = env.path().join("branch");
    let report =
        env.json(&["export", "branch", "--format", "networkd", "--without", "hooks", "--out", out.to_str().unwrap()]);
    assert_eq!(report["left_out"][0]["feature"], "hooks");
    insta::assert_snapshot!(env.refused(&["export", "alice-phone", "--format", "vyos", "--name", "office"]), @"
    --- stderr ---
    error: `alice-phone`: VyOS can't express the name `office`: its interfaces are called wg and a number: give one with `--name wg0`
     hint: `wg-friend export --format list` shows what each format can express
    [exit 1]
    ");
    insta::assert_snapshot!(env.refused(&["export", "alice-phone", "--format", "palmos"]), @"
    --- stderr ---
    error: --format: `palmos` is not a format: expected one of wg-quick, networkd, networkmanager, openwrt, routeros, vyos, edgeos, nixos, opnsense, pfsense, windows, apple, android, json
     hint: `wg-friend export --format list` shows what each is for
    [exit 2]
    ");
    insta::assert_snapshot!(env.refused(&["export", "alice-phone", "--format", "apple", "--without", "keys"]), @"
    --- stderr ---
    error: invalid value 'keys' for '--without <THINGS>': `keys` can't be left out: expected one of hooks, table, default-route, routes, fwmark, save-config, dns, search-domains, mtu, vendor-keys, private-key

    For more information, try '--help'.
    [exit 2]
    ");
}

#[test]
fn a_guide_for_an_owner_comes_with_the_config_and_the_code() {
    let env = TestEnv::with_nodes();
    let to = env.path().join("handout");
    let report = env.json(&["generate", "alice-phone", "--guide", "android", "--dir", to.to_str().unwrap()]);
    assert_eq!((&report["qr"], &report["platforms"]), (&true.into(), &serde_json::json!(["android"])));
    for file in ["alice-phone-guide.md", "alice-phone-guide.html", "alice-phone.conf"] {
        assert_eq!(fs::metadata(to.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let config = fs::read_to_string(to.join("alice-phone.conf")).unwrap();
    let markdown = fs::read_to_string(to.join("alice-phone-guide.md")).unwrap();
    assert!(markdown.contains(&config) && markdown.contains("Scan from QR code") && !markdown.contains("Windows"));
    let html = fs::read_to_string(to.join("alice-phone-guide.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("data:application/octet-stream;base64,"));
    // The page is well-formed enough for a strict reader, apart from the tags that HTML leaves open.
    if has("python3", &["--version"], "python3") {
        let check = "import sys, html.parser\n\
            class P(html.parser.HTMLParser):\n\
            \x20   def __init__(s): super().__init__(); s.open = []\n\
            \x20   def handle_starttag(s, t, a):\n\
            \x20       if t not in ('meta', 'rect', 'path'): s.open.append(t)\n\
            \x20   def handle_endtag(s, t):\n\
            \x20       assert t in ('rect', 'path') or s.open.pop() == t, (t, s.getpos())\n\
            p = P(); p.feed(open(sys.argv[1]).read()); assert p.open == [], p.open";
        run("python3", &["-c", check, to.join("alice-phone-guide.html").to_str().unwrap()]);
    }
    let printed = env.ok(&["generate", "alice-laptop", "--guide"]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains("## On Windows") && printed.contains("## On an iPhone"), "{printed}");
    let text = env.refused(&["generate", "hub", "--guide"]);
    assert!(text.contains("is a server, not a remote"), "{text}");
}
