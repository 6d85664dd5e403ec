//! Before there is a database: a network that runs already, found in files, or a new one.

use std::path::{Path, PathBuf};

use super::{Act, Deed, Screen, Tab, When};
use crate::ops::Error;
use crate::tui::line::Line;
use crate::tui::source::Source;
use crate::tui::theme::Tone;
use crate::tui::widgets::list::{Cell, Row};

/// What a database begins with.
pub static SCREEN: Screen = Screen {
    title: "Begin",
    about: "There is no database yet. Adopt a network that runs already, or make a new one; nothing is written before you agree.",
    empty: "",
    columns: &["WHAT", "WHERE"],
    load,
    tabs: &[Tab { title: "What it looks like", line: looks, when: When::Chosen }],
    deeds: &[
        Deed {
            key: 'n',
            label: "new network",
            about: "Make a new network with an encrypted database",
            act: |_| Act::Fill(&["init"], vec![]),
        },
        Deed { key: 'i', label: "import", about: "Adopt what these files, or a running host, have", act: import },
        Deed {
            key: 'h',
            label: "import a host",
            about: "Adopt what a machine runs, over SSH",
            act: |_| Act::Fill(&["import"], vec![]),
        },
    ],
};

/// The row that stands for a new network.
const NEW: &str = "a new network";

fn looks(row: &Row) -> Option<Line> {
    Some(if row.id == NEW { Line::new(["init", "--help"]) } else { Line::new(["import", "--dry-run", &row.id]) })
}

fn import(rows: &[&Row]) -> Act {
    let files: Vec<_> = rows.iter().filter(|row| row.id != NEW).map(|row| ("paths", row.id.clone())).collect();
    if files.is_empty() { Act::Fill(&["init"], vec![]) } else { Act::Fill(&["import"], files) }
}

/// Where files of wg-quick(8) lie, and where one is.
fn places() -> Vec<PathBuf> {
    let here = std::env::current_dir().ok();
    [Some(PathBuf::from("/etc/wireguard")), here].into_iter().flatten().collect()
}

fn load(_: &Source) -> Result<Vec<Row>, Error> {
    let mut rows = vec![Row::new(NEW, [Cell::new(NEW, Tone::Strong), Cell::new("press n", Tone::Code)])];
    for place in places() {
        rows.extend(found(&place).iter().map(|file| {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Row::new(
                file.display().to_string(),
                [Cell::new(name, Tone::Strong), Cell::new(place.display().to_string(), Tone::Dim)],
            )
        }));
    }
    Ok(rows)
}

/// The files of a directory that look as wg-quick(8) wants them. One that may not be read has none.
fn found(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let is_one = |path: &PathBuf| {
        let small = path.metadata().is_ok_and(|file| file.is_file() && file.len() < 1 << 20);
        let text = || std::fs::read_to_string(path).is_ok_and(|text| text.to_lowercase().contains("[interface]"));
        path.extension().is_some_and(|extension| extension == "conf") && small && text()
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_one).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_wg_quick_are_found_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("wg0.conf"), "[Interface]\nPrivateKey = x\n").unwrap();
        std::fs::write(dir.path().join("ssh.conf"), "Host *\n").unwrap();
        std::fs::write(dir.path().join("wg1.txt"), "[Interface]\n").unwrap();
        assert_eq!(found(dir.path()), [dir.path().join("wg0.conf")]);
        assert_eq!(found(Path::new("/nowhere")), Vec::<PathBuf>::new());
    }
}
