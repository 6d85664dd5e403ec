//! Which entry is meant by some of its letters.

use std::cmp::Reverse;

use super::Entry;

/// An entry that has all that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which entry.
    pub at: usize,
    /// Which letters of its words were typed.
    pub letters: Vec<usize>,
    /// Which letters of what it does were typed.
    pub about: Vec<usize>,
}

/// What a typed word comes to in an entry.
#[derive(Default)]
struct Hit {
    score: i32,
    letters: Vec<usize>,
    about: Vec<usize>,
    /// Which of the entry's words it is of.
    word: Option<usize>,
}

/// Returns the entries that have each word that was typed, the best first: those whose words begin so come before those
/// that only have it somewhere, and what a command does counts less than what it is called.
pub fn rank(entries: &[Entry], typed: &str) -> Vec<Found> {
    let typed: Vec<Vec<char>> = typed.split_whitespace().map(folded).collect();
    let mut scored: Vec<(i32, Found)> = Vec::new();
    for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.hidden || !typed.is_empty()) {
        let hits: Option<Vec<Hit>> = typed.iter().enumerate().map(|(nth, word)| hit(entry, nth, word)).collect();
        let Some(hits) = hits else { continue };
        let score: i32 = hits.iter().map(|hit| hit.score).sum();
        let beside = (0..entry.words.len()).filter(|nth| !hits.iter().any(|hit| hit.word == Some(*nth))).count();
        let beside = if typed.is_empty() { 0 } else { i32::try_from(beside).unwrap_or(0) * 3 };
        let hidden = if entry.hidden { 1000 } else { 0 };
        let mut letters: Vec<usize> = hits.iter().flat_map(|hit| hit.letters.clone()).collect();
        let mut about: Vec<usize> = hits.iter().flat_map(|hit| hit.about.clone()).collect();
        for places in [&mut letters, &mut about] {
            places.sort_unstable();
            places.dedup();
        }
        scored.push((score - beside - hidden, Found { at, letters, about }));
    }
    scored.sort_by_key(|(score, found)| (Reverse(*score), found.at));
    scored.into_iter().map(|(_, found)| found).collect()
}

/// Returns what a typed word, the `nth`, comes to; `None` when the entry hasn't got it.
fn hit(entry: &Entry, nth: usize, typed: &[char]) -> Option<Hit> {
    let text = folded(&entry.text());
    let about = folded(&entry.about);
    let mut best = Hit::default();
    let mut offer = |hit: Hit| {
        if hit.score > best.score {
            best = hit;
        }
    };
    for (at, is_start, is_whole) in places(&text, typed) {
        let word = text[..at].iter().filter(|c| **c == ' ').count();
        let in_place = if word == nth { 8 } else { 0 };
        let score = if is_whole {
            100
        } else if is_start {
            80
        } else {
            45
        };
        let letters = (at..at + typed.len()).collect();
        offer(Hit { score: score + in_place, letters, word: Some(word), ..Hit::default() });
    }
    for other in entry.also.iter().map(|other| folded(other)) {
        if other.starts_with(typed) {
            offer(Hit { score: if other.len() == typed.len() { 95 } else { 60 }, ..Hit::default() });
        }
    }
    let starts: Vec<usize> = (0..text.len()).filter(|at| is_start(&text, *at)).collect();
    if let Some(letters) = scattered(&text, typed, starts.into_iter()) {
        offer(Hit { score: 50, letters, ..Hit::default() });
    }
    for (at, is_start, _) in places(&about, typed) {
        let about = (at..at + typed.len()).collect();
        offer(Hit { score: if is_start { 40 } else { 25 }, about, ..Hit::default() });
    }
    if let Some(letters) = scattered(&text, typed, 0..text.len()) {
        offer(Hit { score: 15, letters, ..Hit::default() });
    }
    (best.score > 0).then_some(best)
}

/// Returns a text's letters, small and large ones alike.
fn folded(text: &str) -> Vec<char> {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

fn is_start(text: &[char], at: usize) -> bool {
    text[at].is_alphanumeric() && (at == 0 || !text[at - 1].is_alphanumeric())
}

/// Returns where a text has a word, and whether a word begins there, and ends where it ends.
fn places(text: &[char], word: &[char]) -> impl Iterator<Item = (usize, bool, bool)> {
    text.windows(word.len().max(1)).enumerate().filter(move |(_, window)| *window == word).map(move |(at, _)| {
        let is_start = is_start(text, at);
        let ends = text.get(at + word.len()).is_none_or(|c| *c == ' ');
        (at, is_start, is_start && ends)
    })
}

/// Returns where a text has a word's letters, in their order, at some of the places.
fn scattered(text: &[char], word: &[char], places: impl Iterator<Item = usize>) -> Option<Vec<usize>> {
    let mut wanted = word.iter();
    let mut next = wanted.next();
    let mut found = Vec::new();
    for at in places {
        if next.is_some_and(|c| text[at] == *c) {
            found.push(at);
            next = wanted.next();
        }
    }
    next.is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(words: &str, about: &str) -> Entry {
        Entry::other("", words, about)
    }

    fn entries() -> Vec<Entry> {
        let mut all = vec![
            entry("add exit", "Add a node where traffic leaves"),
            entry("exit group add", "Name a set of exits"),
            entry("exit list", "List exits"),
            entry("export", "Write configs for other systems"),
            entry("host add", "Add a machine"),
            entry("rotate", "Replace a key"),
            entry("rotation due", "Rotate keys that are due"),
            entry("exit failover", "Send the traffic of a group by another exit"),
        ];
        all[7].also = vec!["switch".into()];
        all
    }

    fn found(typed: &str) -> Vec<String> {
        let entries = entries();
        rank(&entries, typed).into_iter().map(|found| entries[found.at].text()).collect()
    }

    #[test]
    fn nothing_typed_leaves_all_as_it_is() {
        assert_eq!(found("  ").len(), 8);
        assert_eq!(found("")[0], "add exit");
    }

    #[test]
    fn names_come_before_what_they_do_and_beginnings_before_middles() {
        assert_eq!(found("exit"), ["exit list", "exit failover", "exit group add", "add exit"]);
        assert_eq!(found("add"), ["add exit", "host add", "exit group add"]);
        assert_eq!(found("rotate"), ["rotate", "rotation due"]);
        assert_eq!(found("due rot"), ["rotation due"]);
        assert_eq!(found("traffic"), ["add exit", "exit failover"]);
        assert_eq!(found("machine"), ["host add"]);
        assert!(found("exit nothing").is_empty());
    }

    #[test]
    fn initials_and_letters_here_and_there_find_too() {
        assert_eq!(found("ega")[0], "exit group add");
        assert_eq!(found("EXPT"), ["export"]);
        assert_eq!(found("exgrad"), ["exit group add"]);
        assert_eq!(found("switch"), ["exit failover"], "by its other name");
    }

    #[test]
    fn the_letters_that_were_typed_are_told() {
        let entries = entries();
        let best = rank(&entries, "gr ad").remove(0);
        assert_eq!((best.at, best.letters, best.about), (1, vec![5, 6, 11, 12], vec![]));
        let best = rank(&entries, "machine").remove(0);
        assert_eq!((best.at, best.letters, best.about), (4, vec![], vec![6, 7, 8, 9, 10, 11, 12]));
    }

    #[test]
    fn what_is_hidden_comes_last_and_only_when_asked_for() {
        let mut entries = entries();
        entries[2].hidden = true;
        assert_eq!(rank(&entries, "").len(), 7);
        assert_eq!(rank(&entries, "exit").last().map(|found| found.at), Some(2));
    }

    #[test]
    fn letters_of_all_the_world_are_compared() {
        let entries = [entry("größe", "ÄNDERT die Größe"), entry("x", "日本語")];
        assert_eq!(rank(&entries, "änd")[0].about, [0, 1, 2]);
        assert_eq!(rank(&entries, "本")[0].at, 1);
        assert!(rank(&entries, "ß本").is_empty());
    }
}
