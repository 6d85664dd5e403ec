//! A link that is down and whose traffic goes over a server: as it should be, and no reason to keep anything else waiting.

use super::super::found::as_it_runs;
use super::{Scene, changes, work};
use crate::model::{Secrets, WhenDown};
use crate::wg::compile::fixture::{Fixture, lans};

/// A network whose router `office`, which has a direct link to `depot`, lives on the host `hub`.
fn scene(when_down: WhenDown) -> Scene {
    let mut fixture = Fixture::everything();
    fixture.node("office").host = Some("hub".parse().unwrap());
    fixture.node("depot").host = Some("depot".parse().unwrap());
    fixture.link_that(when_down, "office", "depot", 1);
    Scene { secrets: fixture.secrets(), topology: fixture.topology }
}

/// The host's answer after its loop has moved the link's traffic.
fn moved(scene: &Scene) -> String {
    let desired = scene.desired();
    let peer = |name: &str| desired.interfaces[0].peers.iter().find(|peer| peer.name.as_str() == name).unwrap();
    let (depot, hub) = (peer("depot"), peer("hub"));
    let list: Vec<String> = depot.allowed_ips.iter().map(ToString::to_string).collect();
    let line = |line: &str| {
        let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        match fields.get(1) {
            Some(key) if *key == depot.public_key.to_string() => fields[4] = "(none)".to_owned(),
            Some(key) if *key == hub.public_key.to_string() && fields.len() == 9 => {
                fields[4] = format!("{},{}", fields[4], list.join(","));
            }
            _ => {}
        }
        fields.join("\t") + "\n"
    };
    let text: String = scene.answer().lines().map(line).collect();
    text.replace("\n@x fingerprint", &format!("\n@x moved wg0 {} 1700000050\n\n@x fingerprint", depot.public_key))
}

#[test]
fn what_has_moved_is_no_drift_unless_the_host_does_not_say_so_or_somebody_adds_to_it() {
    let scene = scene(WhenDown::Move);
    let deployed = scene.deployed();
    let found = |answer: &str| changes(&scene, Some(&deployed), &scene.observed(answer)).join("\n");
    let (as_deployed, moved) = (scene.answer(), moved(&scene));
    assert_eq!(found(&as_deployed), "");
    assert_eq!(found(&moved), "");
    let note = moved
        .split_once("\n@x moved")
        .map(|(_, rest)| format!("\n@x moved{}\n", rest.lines().next().unwrap()))
        .unwrap();
    insta::assert_snapshot!(found(&moved.replace(&note, "")), @"
    drift wg0 ~ allowed-ips depot (nothing) -> 10.66.0.3/32, 192.168.20.0/24, fd00:66::3/128
    drift wg0 ~ allowed-ips hub 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, fd00:66::/64, fd00:66::3/128 -> 10.66.0.0/24, 192.168.1.0/24, fd00:66::/64
    ");
    let more = moved.replace("10.66.0.0/24,192", "10.66.0.0/24,10.9.0.0/24,192");
    insta::assert_snapshot!(found(&more), @"drift wg0 ~ allowed-ips hub 10.9.0.0/24, 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, fd00:66::/64, fd00:66::3/128 -> 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, fd00:66::/64, fd00:66::3/128");
    // What is noted of a peer that carries something is nothing: it has come back meanwhile.
    assert_eq!(found(&as_deployed.replace("\n@x fingerprint", &format!("{note}\n@x fingerprint"))), "");
    let none: String =
        moved.lines().filter(|line| !line.starts_with("@x watcher")).map(|line| format!("{line}\n")).collect();
    insta::assert_snapshot!(found(&none), @"drift wg0 + fallback watches depot (else over hub)");
}

#[test]
fn a_deploy_leaves_what_has_moved_where_it_is_and_brings_it_what_is_new() {
    let before = scene(WhenDown::Move);
    let mut after = scene(WhenDown::Move);
    after.node("depot").lans = lans(&["192.168.20.0/24", "192.168.21.0/24"]);
    let (deployed, seen) = (before.deployed(), before.observed(&moved(&before)));
    insta::assert_snapshot!(changes(&after, Some(&deployed), &seen).join("\n"), @"
    pending wg0 + route 192.168.21.0/24
    pending wg0 ~ allowed-ips hub 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, fd00:66::/64, fd00:66::3/128 -> 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, 192.168.21.0/24, fd00:66::/64, fd00:66::3/128
    pending wg0 ~ firewall table wgf_wg0 other rules -> the model's rules
    pending wg0 ~ fallback another one -> watches depot (else over hub)
    pending - ~ file wg0.conf other text -> the model's
    pending - ~ file wgf-fallback-wg0.sh other text -> the model's
    pending - ~ file wgf-wg0.nft other text -> the model's
    ");
    let work = work(&after, Some(&deployed), &seen);
    let file = work.files.iter().find(|file| file.path == "peers/wg0.new").unwrap();
    let allowed: Vec<&str> = file.content.lines().filter(|line| line.starts_with("AllowedIPs")).collect();
    insta::assert_snapshot!(allowed.join("\n"), @"AllowedIPs = 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, 192.168.21.0/24, fd00:66::/64, fd00:66::3/128");
    let conf = work.files.iter().find(|file| file.path == "new/wg0.conf").unwrap();
    let allowed: Vec<&str> = conf.content.lines().filter(|line| line.starts_with("AllowedIPs")).collect();
    insta::assert_snapshot!(allowed.join("\n"), @"
    AllowedIPs = 10.66.0.3/32, 192.168.20.0/24, 192.168.21.0/24, fd00:66::3/128
    AllowedIPs = 10.66.0.0/24, 192.168.1.0/24, fd00:66::/64
    ");
    assert!(work.steps.iter().any(|step| step.run == "sh \"$D\"/new/wgf-fallback-wg0.sh start"));
}

#[test]
fn a_link_that_no_longer_gives_way_has_its_own_back_and_nobody_watches_it() {
    let (before, after) = (scene(WhenDown::Move), scene(WhenDown::Stay));
    let (deployed, seen) = (before.deployed(), before.observed(&moved(&before)));
    insta::assert_snapshot!(changes(&after, Some(&deployed), &seen).join("\n"), @"
    pending wg0 ~ allowed-ips depot (nothing) -> 10.66.0.3/32, 192.168.20.0/24, fd00:66::3/128
    pending wg0 ~ keepalive depot 25 s -> off
    pending wg0 ~ allowed-ips hub 10.66.0.0/24, 10.66.0.3/32, 192.168.1.0/24, 192.168.20.0/24, fd00:66::/64, fd00:66::3/128 -> 10.66.0.0/24, 192.168.1.0/24, fd00:66::/64
    pending wg0 - fallback watches depot (else over hub)
    pending - ~ file wg0.conf other text -> the model's
    pending - - file wgf-fallback-wg0.sh kept
    ");
    let steps = work(&after, Some(&deployed), &seen).steps;
    let ends = steps.iter().find(|step| step.run == "w_end_loop fallback wg0").unwrap();
    assert_eq!(ends.undo, "sh /etc/wireguard/wgf-fallback-wg0.sh start");
}

#[test]
fn what_is_kept_of_an_interface_that_goes_is_the_state_in_which_the_link_is_up() {
    let scene = scene(WhenDown::Move);
    let known = &scene.desired().interfaces[0];
    let kept = |answer: &str| {
        let seen = scene.observed(answer);
        as_it_runs(known, &seen.interfaces[&known.name], &seen, &mut Secrets::default()).peers
    };
    assert_eq!(kept(&moved(&scene)), known.peers);
    let by_hand = kept(&moved(&scene).replace("10.66.0.0/24,192", "10.66.0.0/24,10.9.0.0/24,192"));
    assert!(by_hand.iter().flat_map(|peer| &peer.allowed_ips).any(|prefix| prefix.to_string() == "10.9.0.0/24"));
}
