//! Keys that mean the same on every screen. Dispatch, the bar at the bottom and help all read this table.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does on every screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// Opens the list of everything that can be done.
    Palette,
    /// Narrows the list down.
    Filter,
    /// Explains the keys.
    Help,
    /// Goes a step back.
    Back,
    /// Goes back, and leaves where there is nothing behind.
    Quit,
    /// Goes to the dashboard.
    Dashboard,
    /// Goes to what keeps the network safe.
    Operations,
    /// Takes the last change of the model back.
    Undo,
    /// Copies the line that does the same.
    Copy,
    /// Unlocks, or locks.
    Lock,
    /// Takes another look.
    Theme,
    /// Orders the list otherwise.
    Sort,
    /// Reads everything anew.
    Refresh,
    /// Takes the mouse, or leaves it to the terminal.
    Mouse,
    /// Goes into the background.
    Suspend,
    /// Leaves.
    Leave,
}

/// A key, what it does, and what is said of it.
#[derive(Debug)]
pub struct Binding {
    /// The key.
    pub key: KeyCode,
    /// Whether Ctrl is held.
    pub control: bool,
    /// What it does.
    pub does: Global,
    /// A word for the bar; empty where it isn't shown there.
    pub label: &'static str,
    /// What it means.
    pub about: &'static str,
}

const fn key(key: KeyCode, does: Global, label: &'static str, about: &'static str) -> Binding {
    Binding { key, control: false, does, label, about }
}

/// All of them.
pub const GLOBAL: &[Binding] = &[
    key(KeyCode::Char('?'), Global::Help, "help", "What can be done here, and by which keys"),
    key(KeyCode::Char(':'), Global::Palette, "all", "Everything that can be done; type to find it"),
    key(KeyCode::Char('/'), Global::Filter, "filter", "Narrow the list down to what has these words"),
    key(KeyCode::Esc, Global::Back, "", "A step back: out of a text, a filter, a screen"),
    key(KeyCode::Char('d'), Global::Dashboard, "", "The dashboard"),
    key(KeyCode::Char('o'), Global::Operations, "", "Operations: vault, backups, audit, reports"),
    key(KeyCode::Char('S'), Global::Sort, "", "Order the list by the next column, up and down"),
    key(
        KeyCode::Char('u'),
        Global::Undo,
        "undo",
        "Take the last change of the model back; once more, the one before it",
    ),
    key(KeyCode::Char('y'), Global::Copy, "", "Copy the command line that does or shows the same"),
    key(KeyCode::Char('L'), Global::Lock, "", "Unlock the database, or lock it"),
    key(KeyCode::Char('T'), Global::Theme, "", "Dark, light, 16 colours, no colour"),
    key(KeyCode::Char('R'), Global::Refresh, "", "Read everything anew"),
    key(KeyCode::Char('M'), Global::Mouse, "", "Take the mouse, or leave it to the terminal"),
    key(KeyCode::Char('q'), Global::Quit, "quit", "Back, and out where there is nothing behind"),
    Binding {
        key: KeyCode::Char('z'),
        control: true,
        does: Global::Suspend,
        label: "",
        about: "Into the background; `fg` brings it back",
    },
    Binding { key: KeyCode::Char('c'), control: true, does: Global::Leave, label: "", about: "Leave at once" },
];

/// Returns what a key does everywhere.
pub fn global(pressed: KeyEvent) -> Option<Global> {
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    GLOBAL.iter().find(|binding| binding.key == pressed.code && binding.control == control).map(|binding| binding.does)
}

/// Returns the name of a key, as it is on the keyboard.
pub fn name(key: KeyCode, control: bool) -> String {
    let plain = match key {
        KeyCode::Char(c) => c.to_string(),
        KeyCode::Esc => "Esc".to_owned(),
        KeyCode::Enter => "Enter".to_owned(),
        other => format!("{other:?}"),
    };
    if control { format!("Ctrl-{plain}") } else { plain }
}

/// Keys within lists and texts, for help.
pub const MOVING: &[(&str, &str)] = &[
    ("1 … 9", "The screens, in the order of the line at the top"),
    ("↑ ↓ j k", "A row up or down"),
    ("PgUp PgDn", "A page up or down"),
    ("Home End", "To the first or last"),
    ("Space", "Mark the row: what is done is done to all that are marked"),
    ("Enter →", "Into the text about the row; there Enter reads what is held back"),
    ("Tab [ ] ← →", "The next or the previous text about the row; back to the list"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        for (at, binding) in GLOBAL.iter().enumerate() {
            let same = |other: &&Binding| other.key == binding.key && other.control == binding.control;
            assert_eq!(GLOBAL.iter().position(|other| same(&other)), Some(at), "{binding:?}");
        }
    }
}
