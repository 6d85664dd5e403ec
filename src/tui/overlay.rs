//! What lies over a screen: questions, forms, what a line has said, help.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Clear, Paragraph, Wrap};

use super::browse::block;
use super::commands::New;
use super::form::Form;
use super::input::Input;
use super::line::Line;
use super::msg::{Purpose, Secrets};
use super::palette::Palette;
use super::theme::{Theme, Tone};
use super::widgets::cut;
use super::widgets::pane::Pane;

/// What lies over a screen.
#[derive(Debug)]
pub enum Overlay {
    /// Everything that can be done.
    Palette(Palette),
    /// A command's options.
    Form(Box<Form>),
    /// A change, before it is made.
    Ask(Box<Ask>),
    /// A line is running.
    Runs(Box<Runs>),
    /// What a line has said.
    Said(Box<Said>),
    /// A passphrase is wanted.
    Unlock(Unlock),
    /// A new passphrase is wanted.
    NewPassphrase(NewPassphrase),
    /// What keys do.
    Help(Pane),
}

/// A line that is running.
#[derive(Debug)]
pub struct Runs {
    /// The line, as somebody agreed to it.
    pub line: Line,
    /// What for.
    pub purpose: Purpose,
    /// What was typed for it.
    pub secrets: Secrets,
    /// The form that it comes from.
    pub form: Option<Box<Form>>,
}

/// A change, before it is made.
#[derive(Debug)]
pub struct Ask {
    /// The line that makes it.
    pub line: Line,
    /// The request that its preview has to belong to.
    pub number: u64,
    /// What was typed for it.
    pub secrets: Secrets,
    /// What it would do.
    pub preview: Preview,
    /// That, as it is read.
    pub pane: Pane,
    /// The form that it comes from.
    pub form: Option<Box<Form>>,
}

/// What is known of what a line would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preview {
    /// Nothing yet.
    Waits,
    /// It is shown.
    Shown,
    /// It can't be shown without doing it.
    None,
    /// It would fail.
    Fails,
}

/// What a line has said.
#[derive(Debug)]
pub struct Said {
    /// The line.
    pub line: Line,
    /// Whether it did what it was asked.
    pub good: bool,
    /// What it said.
    pub pane: Pane,
    /// The form that it comes from, when it failed.
    pub form: Option<Box<Form>>,
}

/// A passphrase is wanted.
#[derive(Debug)]
pub struct Unlock {
    /// What is typed.
    pub input: Input,
    /// What was wrong with the last one.
    pub wrong: Option<String>,
    /// Whether one is being tried.
    pub tries: bool,
    /// What waits for it.
    pub then: Option<Box<Runs>>,
}

/// A new passphrase is wanted.
#[derive(Debug)]
pub struct NewPassphrase {
    /// The line that sets it.
    pub line: Line,
    /// How it is handed over.
    pub how: New,
    /// What is typed.
    pub inputs: [Input; 2],
    /// In which of them.
    pub at: usize,
    /// What is wrong with it.
    pub wrong: Option<String>,
    /// The form that it comes from.
    pub form: Option<Box<Form>>,
}

/// A place in the middle: no larger than that, and no larger than there is room.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Where a text lies that is read over a screen.
pub fn reading(area: Rect) -> Rect {
    let (width, height) = (area.width.saturating_sub(4).min(130), area.height.saturating_sub(2));
    if area.width < 60 || area.height < 16 { area } else { middle(area, width, height) }
}

/// Empties a place and draws lines around it; returns what is inside.
fn boxed(frame: &mut Frame<'_>, area: Rect, title: Text<'static>, foot: Text<'static>, theme: &Theme) -> Rect {
    frame.render_widget(Clear, area);
    let block = block(theme, true).title(title).title_bottom(foot);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    inside
}

/// Keys and what they do, for the foot of a box.
fn foot(keys: &[(&str, &str)], theme: &Theme) -> Text<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (key, does) in keys {
        spans.push(Span::styled((*key).to_owned(), theme.style(Tone::Code)));
        spans.push(Span::raw(format!(" {does}  ")));
    }
    Text::from(spans)
}

fn title(text: &str, area: Rect, theme: &Theme) -> Text<'static> {
    let text = cut(text, usize::from(area.width.saturating_sub(4)), theme.ascii);
    Text::from(Span::styled(format!(" {text} "), theme.style(Tone::Strong)))
}

impl Overlay {
    /// Draws it over a screen.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        match self {
            Self::Palette(palette) => {
                palette.draw(frame, middle(area, 100, area.height.saturating_sub(4).max(5)), theme)
            }
            Self::Form(form) => {
                let place = reading(area);
                frame.render_widget(Clear, place);
                form.draw(frame, place, theme);
            }
            Self::Ask(ask) => ask.draw(frame, reading(area), theme),
            Self::Runs(runs) => {
                let place = middle(area, 76, 4);
                let inside = boxed(
                    frame,
                    place,
                    title("Working …", place, theme),
                    foot(&[("Ctrl-C", "stop in order")], theme),
                    theme,
                );
                let text = cut(&runs.line.shown(), usize::from(inside.width), theme.ascii);
                frame.render_widget(Span::styled(text, theme.style(Tone::Code)), inside);
            }
            Self::Said(said) => {
                let place = reading(area);
                let head = title(&said.line.shown(), place, theme);
                let keys = foot(&[("Esc", "close"), ("y", "copy the line"), ("↑↓", "scroll")], theme);
                let inside = boxed(frame, place, head, keys, theme);
                let [sign, text] =
                    Layout::vertical([Constraint::Length(u16::from(!said.good)), Constraint::Min(0)]).areas(inside);
                if !said.good {
                    frame.render_widget(Span::styled("it failed", theme.style(Tone::Bad)), sign);
                }
                said.pane.draw(frame, text, theme);
            }
            Self::Unlock(unlock) => unlock.draw(frame, area, theme),
            Self::NewPassphrase(new) => new.draw(frame, area, theme),
            Self::Help(pane) => {
                let place = reading(area);
                let inside = boxed(
                    frame,
                    place,
                    title("Keys", place, theme),
                    foot(&[("Esc", "close"), ("↑↓", "scroll")], theme),
                    theme,
                );
                pane.draw(frame, inside, theme);
            }
        }
    }
}

impl Ask {
    fn draw(&self, frame: &mut Frame<'_>, place: Rect, theme: &Theme) {
        let keys: &[(&str, &str)] = match self.preview {
            Preview::Shown | Preview::None => &[("Enter", "do it"), ("Esc", "leave it"), ("y", "copy the line")],
            Preview::Waits | Preview::Fails => &[("Esc", "back"), ("y", "copy the line")],
        };
        let inside = boxed(frame, place, title("What would be done", place, theme), foot(keys, theme), theme);
        let [line, say, text] =
            Layout::vertical([Constraint::Length(2), Constraint::Length(2), Constraint::Min(0)]).areas(inside);
        let shown = Paragraph::new(self.line.shown()).wrap(Wrap { trim: true }).style(theme.style(Tone::Code));
        frame.render_widget(shown, line);
        let (words, tone) = match self.preview {
            Preview::Waits => ("trying it out …", Tone::Dim),
            Preview::Shown => ("Nothing is changed yet. This is what it comes to:", Tone::Dim),
            Preview::None => ("It can't be shown without doing it.", Tone::Warn),
            Preview::Fails => ("It can't be done:", Tone::Bad),
        };
        frame.render_widget(Span::styled(words, theme.style(tone)), say);
        self.pane.draw(frame, text, theme);
    }
}

impl Unlock {
    fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let place = middle(area, 64, 8);
        let keys = foot(&[("Enter", "unlock"), ("Esc", "leave it locked")], theme);
        let inside = boxed(frame, place, title("Unlock the database", place, theme), keys, theme);
        let what = match &self.then {
            Some(runs) => format!("{} needs it.", runs.line.shown()),
            None => "Its passphrase opens what is secret: keys, files, codes.".to_owned(),
        };
        let mut lines = vec![Text::raw(what), Text::raw("")];
        let mut typed = vec![Span::raw("Passphrase: ")];
        typed.extend(self.input.spans(usize::from(inside.width.saturating_sub(13)), "", theme));
        lines.push(Text::from(typed));
        if self.tries {
            lines.push(Text::styled("trying it; that takes a while on purpose …", theme.style(Tone::Dim)));
        } else if let Some(wrong) = &self.wrong {
            lines.push(Text::styled(wrong.clone(), theme.style(Tone::Bad)));
        }
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), inside);
    }
}

impl NewPassphrase {
    fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let place = middle(area, 64, 9);
        let keys = foot(&[("Enter", "go on"), ("Tab", "the other line"), ("Esc", "back")], theme);
        let inside = boxed(frame, place, title("A new passphrase", place, theme), keys, theme);
        let mut lines =
            vec![Text::raw("At least 8 characters. Nobody can open the database without it."), Text::raw("")];
        for (at, (label, input)) in ["Passphrase: ", "Once more:  "].into_iter().zip(&self.inputs).enumerate() {
            let sign = if at == self.at { theme.sign("▸ ", "> ") } else { "  " };
            let mut typed = vec![Span::styled(sign, theme.style(Tone::Code)), Span::raw(label)];
            typed.extend(input.spans(usize::from(inside.width.saturating_sub(15)), "", theme));
            lines.push(Text::from(typed));
        }
        lines.extend(self.wrong.iter().map(|wrong| Text::styled(wrong.clone(), theme.style(Tone::Bad))));
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), inside);
    }
}
