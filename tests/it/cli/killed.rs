//! Rekeying that is cut short anywhere leaves the database as it was, or rekeyed.

use crate::env::TestEnv;
use crate::moments::Moments;

#[test]
fn killed_at_any_moment_of_rekeying_everything_opens_with_the_old_key_or_everything_with_the_new_one() {
    let env = TestEnv::with_nodes();
    let names: Vec<String> = (0..40).map(|n| format!("phone-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    env.ok(&[&["add", "remote"][..], &names].concat());
    let file = env.run(&["generate", "phone-7"]);
    let old = env.json(&["vault", "recovery", "--yes"])["recovery_key"].as_str().unwrap().to_owned();
    let saved = env.saved();

    let (mut moments, mut ends) = (Moments::later_by_one_in(8), [0, 0, 0]);
    while ends[2] < 2 {
        env.put_back(&saved);
        let ended = moments.kill(&mut env.command(&["vault", "rekey", "--yes"]));

        // The recovery key says which of them it is; the passphrase opens both.
        let given = env.command(&["generate", "phone-7"]).env("WG_FRIEND_PASSPHRASE", &old).output().unwrap();
        let rekeyed = given.status.code() == Some(5);
        assert!(rekeyed || given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
        assert_eq!(env.run(&["generate", "phone-7"]), file);
        assert_eq!(env.json(&["audit", "verify"])["intact"], true);
        let log = env.json(&["audit", "log", "--action", "rekeyed"]);
        assert_eq!(log["entries"].as_array().unwrap().len(), usize::from(rekeyed));
        ends[usize::from(rekeyed) + usize::from(rekeyed && ended)] += 1;
    }
    assert!(ends[0] >= 3, "{ends:?}: some were killed before it was done");
}
