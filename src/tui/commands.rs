//! What is to be known of commands before they are run: whether they only tell something, and which secrets they want.

use super::line::Line;

/// Commands that change neither the network nor a host, and are run without being shown first. Some write a file, where it was
/// said.
const READS: &[&[&str]] = &[
    &["audit", "export"],
    &["audit", "log"],
    &["audit", "prove"],
    &["audit", "verify"],
    &["backup", "list"],
    &["backup", "verify"],
    &["can"],
    &["drift", "check"],
    &["drift", "history"],
    &["drift", "report"],
    &["exit", "group", "list"],
    &["exit", "group", "show"],
    &["exit", "history"],
    &["exit", "list"],
    &["exit", "rule", "list"],
    &["exit", "status"],
    &["export"],
    &["generate"],
    &["grants"],
    &["group", "list"],
    &["group", "show"],
    &["handouts"],
    &["history"],
    &["hooks", "check"],
    &["hooks", "list"],
    &["host", "check"],
    &["host", "list"],
    &["interface", "show"],
    &["list"],
    &["log"],
    &["network", "list"],
    &["network", "show"],
    &["plan"],
    &["psk", "status"],
    &["qr"],
    &["report"],
    &["rotation", "due"],
    &["rotation", "log"],
    &["rotation", "policy", "list"],
    &["rotation", "policy", "show"],
    &["show"],
    &["status"],
    &["topology"],
    &["vault", "status"],
];

/// A passphrase that is to be set, and by which way it is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// The first one of a database.
    First,
    /// Another one.
    Another,
}

fn begins(line: &Line, words: &[&str]) -> bool {
    line.words().len() >= words.len() && line.words().iter().zip(words).all(|(have, want)| have == want)
}

/// Whether a line changes nothing.
pub fn reads(line: &Line) -> bool {
    // What settings are is told without a further word, and changed with one.
    line.words() == ["settings"] || READS.iter().any(|words| begins(line, words))
}

/// Returns which new passphrase a line sets, if it does.
pub fn sets_passphrase(line: &Line) -> Option<New> {
    let has = |option: &str| line.words().iter().any(|word| word == option || word.starts_with(&format!("{option}=")));
    let is = |words: &[&[&str]]| words.iter().any(|words| begins(line, words));
    if is(&[&["init"], &["import"], &["vault", "encrypt"]]) && !has("--no-encryption") {
        return Some(New::First);
    }
    let another = is(&[&["vault", "passphrase"], &["vault", "recover"]]) && !is(&[&["vault", "passphrase", "remove"]]);
    (another && !has("--new-passphrase-file")).then_some(New::Another)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_only_read_is_shown_first() {
        assert!(reads(&Line::new(["exit", "group", "show", "europe"])));
        assert!(!reads(&Line::new(["exit", "group", "add", "europe"])));
        assert!(!reads(&Line::new(["rotation", "policy"])));
        assert!(reads(&Line::new(["settings"])) && !reads(&Line::new(["settings", "set"])));
        assert!(!reads(&Line::new(["no", "such", "command"])));
    }

    #[test]
    fn lines_that_set_a_passphrase_are_known() {
        assert_eq!(sets_passphrase(&Line::new(["init", "--name", "home"])), Some(New::First));
        assert_eq!(sets_passphrase(&Line::new(["init", "--no-encryption"])), None);
        assert_eq!(sets_passphrase(&Line::new(["vault", "passphrase"])), Some(New::Another));
        assert_eq!(sets_passphrase(&Line::new(["vault", "recovery"])), None);
    }
}
