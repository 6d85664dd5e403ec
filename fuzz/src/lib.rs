//! What is fuzzed: everything that reads bytes which come from somewhere else. Each takes any bytes and panics if what it
//! checks doesn't hold.

use std::fmt::Display;
use std::str::FromStr;

use wg_friend::fleet::{Answer, Question, read_observation};
use wg_friend::model::{
    Cidr, Endpoint, Grant, HostAddress, InterfaceAddr, InterfaceName, Mtu, Name, Port, PortRange, PresharedKey,
    PrivateKey, PublicKey,
};
use wg_friend::wg::dump;
use wg_friend_crypt::{DataKey, PREFIX, open, seal};

/// What a host answers.
pub fn answer(input: &[u8]) {
    const BOUNDARY: &str = "b";
    let Ok(answer) = Answer::parse(input, BOUNDARY) else { return };
    let names = |words: &[&str]| words.iter().filter_map(|word| word.parse().ok()).collect();
    let question = Question {
        interfaces: names(&["wg0", "wgx1"]),
        sysctls: ["net.ipv4.ip_forward".to_owned()].into(),
        tables: ["wgf_wg0".to_owned()].into(),
        files: ["wg0.conf".to_owned()].into(),
    };
    if let Ok(observed) = read_observation(&answer, &question) {
        assert!(observed.interfaces.keys().all(|name| question.interfaces.contains(name) || name.as_str().len() < 16));
    }
    // Debug names the sections and nothing of what is in them.
    let headings: usize = input.split(|b| *b == b'\n').filter(|line| line.starts_with(b"@b ")).map(<[u8]>::len).sum();
    assert!(format!("{answer:?}").len() <= 4 + headings * 12);
}

/// What `wg show all dump` prints.
pub fn dump(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match dump::parse(&text) {
        Ok(interfaces) => {
            let lines = text.lines().filter(|line| !line.is_empty()).count();
            let read: usize = interfaces.values().map(|interface| 1 + interface.peers.len()).sum();
            assert!(read <= lines, "more interfaces and peers than lines");
        }
        // The line may hold a key: an error doesn't repeat it.
        Err(error) => assert!(error.to_string().len() < 120),
    }
}

/// Values that people type, and that stand in the database.
pub fn values(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    same_again::<Cidr>(text);
    same_again::<Endpoint>(text);
    same_again::<Grant>(text);
    same_again::<HostAddress>(text);
    same_again::<InterfaceAddr>(text);
    same_again::<InterfaceName>(text);
    same_again::<Mtu>(text);
    same_again::<Name>(text);
    same_again::<Port>(text);
    same_again::<PortRange>(text);
    same_again::<PublicKey>(text);
    if let Ok(key) = text.parse::<PresharedKey>() {
        assert_eq!(*key.expose_base64(), text, "only one way to write a key");
    }
    if let Ok(key) = text.parse::<PrivateKey>() {
        let again: PrivateKey = key.expose_base64().parse().expect("what was written is read");
        assert_eq!(again.public(), key.public());
    }
}

/// What is read, written and read again is the same.
fn same_again<T: FromStr + Display + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} was written {written:?}");
    }
}

/// Sealed values: what wasn't sealed under this key for this place doesn't open; what was, does.
pub fn sealed(input: &[u8]) {
    let key = DataKey::from_bytes(&[7; 32]);
    let text = String::from_utf8_lossy(input);
    assert!(open(&key, b"keys.sealed_private:a", &text).is_err());
    assert!(open(&key, b"keys.sealed_private:a", &format!("{PREFIX}{text}")).is_err());
    let sealed = seal(&key, b"keys.sealed_private:a", input).expect("the kernel gives random bytes");
    assert_eq!(*open(&key, b"keys.sealed_private:a", &sealed).expect("it was sealed here"), input);
    assert!(open(&key, input, &sealed).is_err() || input == b"keys.sealed_private:a");
}
