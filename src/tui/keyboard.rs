//! Keys and the mouse: what is pressed, and what that means where one is.

use ratatui::crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEventKind};
use ratatui::layout::Rect;
use zeroize::Zeroizing;

use super::app::{App, Place};
use super::browse::Focus;
use super::draw::places;
use super::keys::{self, Global};
use super::msg::{Effect, Purpose};
use super::overlay::Overlay;
use super::palette::{Entry, Palette};
use super::screens::{self, Goal};
use super::theme::Tone;
use super::widgets::pane::Pane;

impl App {
    pub(super) fn input(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => {
                self.last_key = self.now;
                self.key(key)
            }
            Input::Paste(text) => {
                self.last_key = self.now;
                self.paste(&Zeroizing::new(text));
                Vec::new()
            }
            Input::Resize(width, height) => {
                self.area = Rect::new(0, 0, width, height);
                if let Some(browse) = self.browse_mut() {
                    browse.refresh();
                }
                Vec::new()
            }
            Input::Mouse(mouse) => {
                self.last_key = self.now;
                let places = places(self.area);
                let body = places.body;
                match mouse.kind {
                    MouseEventKind::Down(_) if self.overlay.is_some() => {}
                    MouseEventKind::Down(_) if places.tabs.height > 0 && mouse.row == places.tabs.y => {
                        return self.click_tab(mouse.column);
                    }
                    MouseEventKind::Down(_) => {
                        if let Some(browse) = self.browse_mut() {
                            browse.click(mouse.column, mouse.row, body);
                        }
                    }
                    MouseEventKind::ScrollDown => return self.key(KeyCode::Down.into()),
                    MouseEventKind::ScrollUp => return self.key(KeyCode::Up.into()),
                    _ => {}
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn click_tab(&mut self, column: u16) -> Vec<Effect> {
        let mut at = 0;
        for (number, (title, goal)) in screens::NUMBERED.iter().enumerate() {
            let next = at + super::draw::tab_width(number, title, self.area.width);
            if (at..next).contains(&column) {
                return self.jump(goal.clone());
            }
            at = next;
        }
        Vec::new()
    }

    fn paste(&mut self, text: &str) {
        match &mut self.overlay {
            Some(Overlay::Form(form)) => _ = form.paste(text),
            Some(Overlay::Palette(palette)) => palette.paste(text),
            Some(Overlay::Unlock(unlock)) => unlock.input.paste(text),
            Some(Overlay::NewPassphrase(new)) => new.inputs[new.at].paste(text),
            _ => {}
        }
    }

    fn key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && key.code == KeyCode::Char('z') {
            return vec![Effect::Suspend];
        }
        if self.overlay.is_some() {
            return self.key_over(key);
        }
        let body = places(self.area).body;
        if let Some(browse) = self.browse_mut()
            && browse.list.is_filtering()
            && browse.focus == Focus::List
            && browse.key(key, body)
        {
            return Vec::new();
        }
        if let Some(global) = keys::global(key) {
            return self.global(global);
        }
        if let KeyCode::Char(c @ '1'..='9') = key.code
            && let Some((_, goal)) = screens::NUMBERED.get(c as usize - '1' as usize)
        {
            return self.jump(goal.clone());
        }
        self.key_here(key, body)
    }

    /// A key that means something on this screen alone.
    fn key_here(&mut self, key: KeyEvent, body: Rect) -> Vec<Effect> {
        if let Some(Place::Plan(plan)) = self.stack.last_mut() {
            return match key.code {
                KeyCode::Enter if plan.is_ready() => {
                    plan.go();
                    Vec::new()
                }
                KeyCode::Char('x') if plan.stop() => Vec::new(),
                KeyCode::Char('r') if !plan.goes() => {
                    let hosts = plan.hosts.clone();
                    self.stack.pop();
                    self.go(Goal::Plan(hosts))
                }
                _ => {
                    plan.key(key);
                    Vec::new()
                }
            };
        }
        let Some(browse) = self.browse_mut() else {
            self.dashboard.key(key, body);
            return Vec::new();
        };
        if browse.focus == Focus::Text && key.code == KeyCode::Enter {
            let columns = browse.columns(body);
            let Some(line) = browse.ask() else { return Vec::new() };
            self.number += 1;
            let number = self.number;
            if let Some(browse) = self.browse_mut() {
                browse.number_of_text = number;
            }
            return vec![Effect::Run(Purpose::Tab(number), line, columns, Default::default())];
        }
        if browse.key(key, body) {
            return Vec::new();
        }
        let plain = (key.modifiers & !KeyModifiers::SHIFT).is_empty();
        let deed = match key.code {
            KeyCode::Char(c) if plain => browse.screen.deeds.iter().find(|deed| deed.key == c),
            _ => None,
        };
        let act = deed.map(|deed| (deed.act)(&browse.list.meant()));
        act.map(|act| self.act(act)).unwrap_or_default()
    }

    fn global(&mut self, global: Global) -> Vec<Effect> {
        match global {
            Global::Palette => self.open_palette(),
            Global::Filter => {
                if let Some(browse) = self.browse_mut() {
                    browse.focus = Focus::List;
                    browse.list.begin_filter();
                }
            }
            Global::Help => self.overlay = Some(Overlay::Help(Pane::of(&self.help()))),
            Global::Back => return self.back(),
            Global::Quit if matches!(self.stack[..], [Place::Plan(_)]) && self.overlay.is_none() => return self.back(),
            Global::Quit if self.stack.len() < 2 && self.browse().is_none_or(|browse| browse.focus == Focus::List) => {
                return self.leave();
            }
            Global::Quit => return self.back(),
            Global::Leave => return self.leave(),
            Global::Dashboard => return self.jump(Goal::Dashboard),
            Global::Operations => return self.jump(Goal::Screen(&screens::operations::SCREEN)),
            Global::Undo => return self.undo(),
            Global::Copy => return self.copy(),
            Global::Lock if self.source.key.is_some() => return self.lock("locked"),
            Global::Lock if self.is_unlocked() => {
                self.say("it isn't locked here; `wg-friend lock` makes the kernel forget the key", Tone::Dim)
            }
            Global::Lock => self.ask_passphrase(),
            Global::Theme => self.theme.look = self.theme.look.next(),
            Global::Sort => {
                if let Some(browse) = self.browse_mut() {
                    browse.list.sort_next();
                }
            }
            Global::Refresh => {
                let mut effects = self.refresh();
                if matches!(self.stack.last(), Some(Place::Dashboard)) {
                    effects.push(self.watch_anew());
                }
                return effects;
            }
            Global::Mouse => {
                self.mouse = !self.mouse;
                return vec![Effect::Mouse(self.mouse)];
            }
            Global::Suspend => return vec![Effect::Suspend],
        }
        Vec::new()
    }

    /// Leaves; while a deploy goes on, only who asks twice.
    fn leave(&mut self) -> Vec<Effect> {
        let goes = self.stack.iter().any(|place| matches!(place, Place::Plan(plan) if plan.goes()));
        if goes && !self.warned {
            self.warned = true;
            let text =
                "a deploy goes on: `4` and `x` stop it in order; once more leaves it to the hosts, which take it back";
            self.say(text, Tone::Warn);
            return Vec::new();
        }
        vec![Effect::Quit]
    }

    fn back(&mut self) -> Vec<Effect> {
        if let Some(browse) = self.browse_mut()
            && browse.back()
        {
            return Vec::new();
        }
        if let Some(Place::Plan(plan)) = self.stack.last()
            && plan.goes()
        {
            self.say(
                "a deploy goes on: `x` stops it in order; the number keys show other screens meanwhile",
                Tone::Warn,
            );
            return Vec::new();
        }
        if self.stack.len() > 1 {
            self.stack.pop();
            return self.refresh();
        }
        if matches!(self.stack.last(), Some(Place::Plan(_))) {
            return self.jump(Goal::Dashboard);
        }
        Vec::new()
    }

    fn open_palette(&mut self) {
        let screens = screens::ALL.iter().filter(|screen| self.exists != (screen.title == "Begin"));
        let mut extra: Vec<Entry> = screens
            .map(|screen| Entry::other(screen.title, &format!("go to {}", screen.title.to_lowercase()), screen.about))
            .collect();
        extra.push(Entry::other("Dashboard", "go to dashboard", "The whole network at a glance"));
        let palette = Palette::of(&self.definition, extra);
        self.overlay = Some(Overlay::Palette(palette));
    }
}
