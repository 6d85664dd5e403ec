//! The settings of whoever sits here.

use std::fs;

use crate::env::TestEnv;

#[test]
fn settings_are_shown_with_where_they_come_from_and_changed_in_place() {
    let env = TestEnv::new();
    let file = env.path().join("mine.toml");
    let named = ["--config", file.to_str().unwrap()];
    let run = |words: &[&str]| {
        let said = env.run(&[&named, words].concat());
        said.replace(env.path().to_str().unwrap(), "[DIR]")
    };
    fs::write(&file, "db = '/srv/net.db'\n# the line is slow\nparallel = 4\n").unwrap();
    insta::assert_snapshot!(run(&["settings"]), @"
    SETTING          VALUE        FROM     ABOUT
    db               /srv/net.db  file     the database
    parallel         4            file     hosts worked on at once
    confirm_timeout  60           default  seconds until a host takes back a deploy that nobody confirmed
    host_timeout     30           default  seconds that a host may leave a question without an answer
    keep_versions    50           default  confirmed versions of each host that are kept
    kdf              standard     default  the cost of new passphrases: standard (1 GiB of memory a try) or light (64 MiB)

    [DIR]/mine.toml
    ");
    insta::assert_snapshot!(run(&["settings", "set", "parallel=8", "kdf=light", "--dry-run"]), @"
    --- stderr ---
    parallel  4 → 8
    kdf  standard → light
    would be saved in [DIR]/mine.toml
    ");
    assert_eq!(fs::read_to_string(&file).unwrap(), "db = '/srv/net.db'\n# the line is slow\nparallel = 4\n");
    insta::assert_snapshot!(run(&["settings", "set", "parallel=8", "kdf=light"]), @"
    --- stderr ---
    parallel  4 → 8
    kdf  standard → light
    saved in [DIR]/mine.toml
    ");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "db = '/srv/net.db'\n# the line is slow\nparallel = 8\nkdf = \"light\"\n"
    );
    insta::assert_snapshot!(run(&["settings", "set", "parallel=8"]), @"
    --- stderr ---
    nothing to change: it is so already
    ");
    insta::assert_snapshot!(run(&["settings", "set", "parallel=0"]), @"
    --- stderr ---
    error: parallel = 0 in [DIR]/mine.toml: it has to be at least 1
    [exit 2]
    ");
    insta::assert_snapshot!(run(&["settings", "set", "paralel=9"]), @"
    --- stderr ---
    error: invalid value 'paralel=9' for '<KEY=VALUE>...': there is no setting `paralel`, only db, parallel, confirm_timeout, host_timeout, keep_versions, kdf

    For more information, try '--help'.
    [exit 2]
    ");
    // What is wrong in the file can be set right, and a file that isn't there is made.
    fs::write(&file, "parallel = 0\n").unwrap();
    assert!(run(&["list"]).contains("parallel = 0 in"));
    run(&["settings", "set", "parallel=8"]);
    let other = env.path().join("other.toml");
    env.ok(&["--config", other.to_str().unwrap(), "settings", "set", "kdf=light"]);
    assert_eq!(fs::read_to_string(other).unwrap(), "kdf = \"light\"\n");
    let listed = env.json(&[&named[..], &["settings"]].concat());
    assert_eq!(listed["settings"][1]["value"], "8");
    assert_eq!(listed["settings"][1]["from"], "file");
}
