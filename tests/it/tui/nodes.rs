//! Nodes: looked at, added, changed, taken away and had again.

use std::time::Duration;

use serde_json::json;
use wg_friend_lab::process::wait_until;

use super::{go_to, unlock};
use crate::env::{PASSPHRASE, TestEnv};
use crate::terminal::Terminal;

/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn names(env: &TestEnv) -> Vec<String> {
    let listed = env.json(&["list"]);
    listed["nodes"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect()
}

/// The code on the screen, read as a camera does: each half block is two pixels, white where it is drawn.
fn scanned(screen: &vt100::Screen) -> String {
    let (rows, columns) = screen.size();
    let scale = 4;
    let light = |column: u16, row: u16, lower: bool| -> bool {
        let Some(cell) = screen.cell(row, column) else { return false };
        match cell.contents() {
            "█" => true,
            "▀" => !lower,
            "▄" => lower,
            _ => false,
        }
    };
    let (width, height) = (usize::from(columns.get()) * scale, usize::from(rows.get()) * 2 * scale);
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let (column, row) = ((x / scale) as u16, (y / scale / 2) as u16);
        if light(column, row, (y / scale) % 2 == 1) { 255 } else { 0 }
    });
    let grids = image.detect_grids();
    let grid = grids.first().unwrap_or_else(|| panic!("no code on the screen:\n{}", screen.contents()));
    grid.decode().unwrap().1
}

#[test]
fn a_phone_is_added_and_its_code_scanned_from_the_screen() {
    let env = TestEnv::with_nodes();
    let mut terminal = Terminal::spawn(super::command(&env), (160, 90));
    terminal.expect("Topology").type_in("2").expect("alice-phone");
    unlock(&mut terminal);
    terminal.type_in("a").expect("--custody").type_in("new-phone").expect("wg-friend add remote new-phone");
    terminal.type_in("\u{13}").expect("Nothing is changed yet").expect("new-phone");
    assert!(!names(&env).contains(&"new-phone".to_owned()));
    terminal.type_in("\r").gone("What would be done");
    terminal.wait("the new row", |screen| {
        screen.contents().lines().any(|line| line.starts_with('│') && line.contains("new-phone"))
    });
    assert!(wait_until(PATIENCE, || names(&env).contains(&"new-phone".to_owned())));

    terminal.type_in("/new-ph\r").expect("1 of ");
    terminal
        .type_in("\t\t\t\t\t\t\t")
        .expect("Press Enter to read it: the code has its private key in it")
        .type_in("\r");
    terminal.expect("scan it with the WireGuard app");
    let code = scanned(terminal.screen.screen());
    terminal.type_in("\u{1b}\u{1b}qq");
    assert_eq!(terminal.end().0, Some(0));
    let given = env.json(&["handouts", "--all"]);
    let phone = given["devices"].as_array().unwrap().iter().find(|device| device["node"] == "new-phone").cloned();
    assert_eq!(phone.unwrap()["given"]["methods"], json!(["qr"]), "it counts as handed out");
    // The code leaves out what only people read.
    let plain = |text: &str| -> Vec<String> {
        let lines =
            text.lines().map(|line| line.replace(' ', "")).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.collect()
    };
    assert_eq!(plain(&code), plain(&env.run(&["generate", "new-phone"])));
}

#[test]
fn what_is_wrong_is_said_while_it_is_typed_and_escape_takes_nothing() {
    let env = TestEnv::with_nodes();
    let before = env.model();
    let mut terminal = Terminal::spawn(super::command(&env), (100, 40));
    terminal.expect("Topology").type_in("2").expect("alice-phone");
    terminal.type_in("a").expect("--custody");
    terminal.type_in("new phone!").expect("isn't allowed").type_in("\u{7f}").gone("isn't allowed");
    go_to(&mut terminal, "--port");
    // What only the whole network can tell is said before anything is done.
    terminal.type_in("99999\u{13}");
    terminal.expect("It can't be done").expect("`99999` is not a port").type_in("\r\u{1b}").gone("It can't be done");
    terminal.expect("--port").type_in("\u{1b}").gone("--port").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
    assert_eq!(env.model(), before);
}

#[test]
fn a_node_that_was_removed_is_had_again_by_undoing() {
    let env = TestEnv::with_nodes();
    let before = names(&env);
    let last = env.json(&["history", "--limit", "1"])["states"][0]["number"].as_i64().expect("a state");
    let mut terminal = Terminal::spawn(super::command(&env), (130, 40));
    terminal.expect("Topology").type_in("2").expect("alice-phone");
    terminal.type_in("/alice-phone\r").expect("1 of ").type_in("x");
    // The line asks for the passphrase, is shown, and only then done.
    terminal.expect("Unlock the database").type_in(PASSPHRASE).type_in("\r").expect("Nothing is changed yet");
    assert_eq!(names(&env), before);
    terminal.type_in("\r").gone("What would be done").type_in("\u{1b}");
    terminal.wait("the row gone", |screen| !screen.contents().lines().any(|line| line.contains("alice-phone  remote")));
    assert!(wait_until(PATIENCE, || !names(&env).contains(&"alice-phone".to_owned())));
    terminal
        .type_in("u")
        .expect(&format!("rollback --model {last}"))
        .expect("Nothing is changed yet")
        .type_in("\r")
        .gone("What would be done");
    terminal.wait("the row again", |screen| screen.contents().contains("alice-phone"));
    assert!(wait_until(PATIENCE, || names(&env) == before), "{}", terminal.contents());
    // Once more takes the change before that one back, and not the taking back.
    terminal.type_in("u").expect(&format!("rollback --model {} ", last - 1)).expect("Nothing is changed yet");
    terminal.type_in("\u{1b}").gone("What would be done").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_note_is_written_on_top_of_what_was_noted() {
    let env = TestEnv::with_nodes();
    env.ok(&["set", "alice-phone", "notes=in the drawer"]);
    let mut terminal = Terminal::spawn(super::command(&env), (130, 40));
    terminal.expect("Topology").type_in("2").expect("alice-phone");
    unlock(&mut terminal);
    terminal.type_in("/alice-phone\r").expect("1 of ").type_in("N").expect("notes=in the drawer");
    go_to(&mut terminal, "KEY=VALUE...");
    terminal.type_in("\u{7f}").expect("'notes=in the drawer").type_in(", broken'\u{13}");
    terminal.expect("Nothing is changed yet").expect("in the drawer, broken").type_in("\r").gone("What would be done");
    let noted = || env.json(&["show", "alice-phone"])["notes"] == "in the drawer, broken";
    assert!(wait_until(PATIENCE, noted), "{}", terminal.contents());
    terminal.type_in("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn of_several_networks_one_is_chosen_and_acted_on_and_another_one_after_it() {
    let env = TestEnv::with_nodes();
    env.ok(&["network", "add", "lab", "--cidr", "10.77.0.0/24", "--cidr6", "none"]);
    env.ok(&["add", "server", "lab-hub", "--endpoint", "192.0.2.9", "--network", "lab"]);
    let mut terminal = Terminal::spawn(super::command(&env), (130, 40));
    // None was named, so one is asked for.
    terminal.expect("Networks (2)").expect("10.77.0.0/24").type_in("/lab\r").expect("1 of 2").type_in("g");
    terminal.expect("Topology").type_in("2").expect("Nodes (1)").expect("lab-hub");
    unlock(&mut terminal);
    terminal.type_in("a").expect("--custody").type_in("probe\u{13}").expect("Nothing is changed yet");
    terminal.type_in("\r").gone("What would be done").expect("Nodes (2)");
    let of = |network: &str| {
        let listed = env.json(&["list", "--network", network]);
        listed["nodes"].as_array().unwrap().iter().any(|node| node["name"] == "probe")
    };
    assert!(wait_until(PATIENCE, || of("lab")) && !of("office"));
    terminal.type_in(":go networks\r").expect("Networks (2)").type_in("/office\r").expect("1 of 2").type_in("g");
    terminal.expect("Topology").type_in("2").expect("alice-phone").gone("probe").type_in("q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn everything_can_be_found_by_typing_and_each_thing_shows_its_command_line() {
    let env = TestEnv::with_nodes();
    let mut terminal = Terminal::spawn(super::command(&env), (100, 40));
    terminal.expect("Topology").type_in(":").type_in("grp list").expect("group list").type_in("\r");
    terminal.expect("wg-friend group list").type_in("\u{13}").expect("Esc close").type_in("\u{1b}");
    terminal.gone("Esc close").type_in(":go audit\r").expect("Audit (").expect("peer added");
    terminal.type_in("y").expect("copied: wg-friend audit prove");
    terminal
        .type_in("?")
        .expect("Check that nothing was edited")
        .expect("Everywhere")
        .type_in("\u{1b}")
        .gone("Everywhere");
    terminal.type_in("qq");
    assert_eq!(terminal.end().0, Some(0));
}
