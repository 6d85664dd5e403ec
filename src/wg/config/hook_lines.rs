//! The hooks of a document, line by line.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::edit::Edit;
use super::fields::Field;
use super::syntax::{Document, LineKind, SectionKind};
use crate::model::PublicKey;
use crate::wg::{Hook, Phase};

impl Document {
    fn hook_lines(&self) -> impl Iterator<Item = (usize, Phase)> + '_ {
        let interfaces = self.sections().iter().filter(|section| section.kind == SectionKind::Interface);
        interfaces.flat_map(|section| section.lines.clone()).filter_map(|at| {
            let line = self.lines()[at];
            match (line.kind == LineKind::Pair).then(|| Field::of(self.piece(line.name())))?? {
                Field::Hook(phase) => Some((at, phase)),
                _ => None,
            }
        })
    }

    /// Returns the hooks of `[Interface]`, in order, also those that are empty.
    pub fn hooks(&self) -> Vec<Hook> {
        let command = |at: usize| self.piece(self.lines()[at].value()).to_owned();
        self.hook_lines().map(|(at, phase)| Hook { phase, command: command(at) }).collect()
    }

    /// Returns the text with other commands in some hooks, by their number; one without a command goes, and leaves only
    /// its comment.
    pub fn with_hooks(&self, changed: &BTreeMap<usize, Option<String>>) -> Zeroizing<String> {
        let mut edit = Edit::new(self);
        for (index, (at, _)) in self.hook_lines().enumerate() {
            let line = self.lines()[at];
            match changed.get(&index) {
                None => {}
                Some(Some(command)) => edit.replace(line.value(), Zeroizing::new(command.clone())),
                Some(None) if line.comment().is_empty() => edit.remove(at),
                Some(None) => edit.replace(line.name().start..line.comment().start, Zeroizing::new(String::new())),
            }
        }
        edit.finish()
    }

    /// Returns the text without some hooks, by their number, and without the peers of these keys.
    pub fn without(&self, hooks: &BTreeSet<usize>, peers: &BTreeSet<PublicKey>) -> Zeroizing<String> {
        let mut edit = Edit::new(self);
        let lines = self.hook_lines().enumerate().filter(|(index, _)| hooks.contains(index));
        lines.for_each(|(_, (at, _))| edit.remove(at));
        let is_gone = |section: &usize| self.key_of(*section).is_some_and(|key| peers.contains(&key));
        edit.remove_sections((0..self.sections().len()).filter(is_gone));
        edit.finish()
    }

    /// Returns the text with further hooks: each behind the last of its phase, or behind the last line of `[Interface]`.
    pub fn with_new_hooks(&self, new: &[Hook]) -> Zeroizing<String> {
        let mut edit = Edit::new(self);
        let interface = self.sections().iter().rfind(|section| section.kind == SectionKind::Interface);
        let is_key = |line: &usize| self.lines()[*line].kind == LineKind::Pair;
        let last = interface.map(|section| section.lines.clone().rev().find(is_key).unwrap_or(section.lines.start));
        for hook in new {
            let same = self.hook_lines().filter(|(_, phase)| *phase == hook.phase).last().map(|(at, _)| at);
            if let Some(after) = same.or(last) {
                edit.insert_after(after, hook.phase.as_str(), &hook.command);
            }
        }
        edit.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_change_and_go_and_all_else_stays() {
        let text = "[Interface]\r\n# why\r\nPostUp=a; b # c\r\n  postup = d\r\nPreDown =\r\nPostDown = e\r\n[Peer]\r\nPostUp = f\r\n";
        let document = Document::parse(text);
        let commands: Vec<String> = document.hooks().into_iter().map(|hook| hook.command).collect();
        assert_eq!(commands.len(), 4);
        assert_eq!(commands[1..], ["d", "", "e"]);
        assert_eq!(*document.with_hooks(&BTreeMap::new()), text);
        let changed = [(1, None), (3, Some("g".to_owned()))].into();
        assert_eq!(*document.with_hooks(&changed), text.replace("  postup = d\r\n", "").replace("= e", "= g"));
    }

    #[test]
    fn what_is_not_somebodys_own_goes_with_its_lines() {
        let key = |byte| PublicKey::from_bytes([byte; 32]);
        let peer = |name: &str, byte| format!("# {name}\n[Peer]\nPublicKey = {}\n", key(byte));
        let own = format!("[Interface]\nPostUp = a # mine\n\n{}", peer("bob", 1));
        let text = own.replace("# mine\n", "# mine\nPostUp = ours\n") + "\n" + &peer("bob, next", 2);
        let document = Document::parse(&text);
        assert_eq!(*document.without(&BTreeSet::new(), &BTreeSet::new()), text);
        assert_eq!(*document.without(&[1].into(), &[key(2)].into()), own);
    }
}
