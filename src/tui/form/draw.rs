//! How a form is drawn.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear};
use unicode_width::UnicodeWidthStr as _;

use super::field::{Field, Kind};
use super::{Form, KEYS};
use crate::tui::input::{clip, cut, foot, more, wrap};
use crate::tui::theme::{Theme, Tone};
use crate::tui::widgets;

/// The rows of the fields, and which of them each field begins with; the last one runs the command.
struct Rows {
    lines: Vec<Line<'static>>,
    begins: Vec<usize>,
}

impl Form {
    /// Draws the fields, what the present one is for, and the command line that they come to.
    pub fn draw(&self, frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
        let area = area.intersection(frame.area());
        frame.render_widget(Clear, area);
        let beside = if area.width < 40 { 10 } else { 16 }; // how much lies above, and corners
        let title = widgets::cut(&self.words.join(" "), usize::from(area.width.saturating_sub(beside)), theme.ascii);
        let block = Block::bordered().border_set(theme.lines()).border_style(theme.border());
        let block = block.title(Span::styled(format!(" {title} "), theme.style(Tone::Strong)));
        let block = block.title_bottom(foot(KEYS, usize::from(area.width.saturating_sub(beside)), theme));
        let inner = block.inner(area);
        if inner.is_empty() {
            return;
        }
        frame.render_widget(block, area);
        let (width, height) = (usize::from(inner.width), usize::from(inner.height));

        let below = self.below(width, height, theme);
        let top = if height >= 18 && !self.about.is_empty() { 2 } else { 0 };
        let room = height.saturating_sub(below.len() + top).max(1);
        let rows = self.rows(width, theme);
        let at = rows.begins.get(self.current).copied().unwrap_or(0);
        let above = at.saturating_sub(room.saturating_sub(1) / 2).min(rows.lines.len().saturating_sub(room));
        let hidden_above = rows.begins.iter().filter(|at| **at < above).count();
        let hidden_below = rows.begins.iter().filter(|at| **at >= above + room).count();

        let mut lines = Vec::new();
        if top > 0 {
            lines.push(Line::styled(widgets::cut(&self.about, width, theme.ascii), theme.style(Tone::Dim)));
            lines.push(Line::default());
        }
        lines.extend(rows.lines.into_iter().skip(above).take(room));
        lines.resize(height.saturating_sub(below.len()), Line::default());
        lines.extend(below);
        for (line, row) in lines.into_iter().zip(inner.rows()) {
            frame.render_widget(line, row);
        }
        more(frame, area, hidden_above, hidden_below, theme);
    }

    /// Returns what stands below the fields: what the present one is for, what is wrong with the line, and the line.
    fn below(&self, width: usize, height: usize, theme: &Theme) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        if height < 2 {
            return lines;
        }
        let rule = |lines: &mut Vec<Line<'static>>| {
            if height >= 14 {
                lines.push(Line::styled(theme.lines().horizontal_top.repeat(width), theme.border()));
            }
        };
        if height >= 5 && !self.fields.is_empty() {
            // As many lines for each field as the longest text needs, so that nothing jumps.
            let help = |field: &Field| clip(wrap(&help(field), width), height / 5, width, theme);
            let rows = self.fields.iter().map(|field| help(field).len()).max().unwrap_or(0);
            let mut text = self.fields.get(self.current).map(help).unwrap_or_default();
            text.resize(rows, String::new());
            rule(&mut lines);
            lines.extend(text.into_iter().map(|line| Line::styled(line, theme.style(Tone::Dim))));
        }
        rule(&mut lines);
        if let Some(wrong) = self.wrong.as_ref().filter(|_| height >= 5 && self.is_wrong_elsewhere()) {
            let text = clip(wrap(&wrong.message, width), (height / 8).clamp(1, 2), width, theme);
            lines.extend(text.into_iter().map(|line| Line::styled(line, theme.style(Tone::Bad))));
        }
        let text = clip(wrap(&self.shown(), width), (height / 6).clamp(1, 4), width, theme);
        lines.extend(text.into_iter().map(|line| Line::styled(line, theme.style(Tone::Code))));
        lines
    }

    /// Whether something is wrong that no field shows, and that isn't just what nobody has come to yet.
    fn is_wrong_elsewhere(&self) -> bool {
        self.wrong.as_ref().is_some_and(|wrong| match wrong.fields.is_empty() {
            true => !wrong.missing || self.fields.iter().any(|field| field.touched),
            false => !wrong.missing && self.wrong_at().is_none(),
        })
    }

    /// Returns the field under which is said what is wrong: of several, the one that somebody is at.
    fn wrong_at(&self) -> Option<usize> {
        let wrong = self.wrong.as_ref().filter(|wrong| !wrong.missing)?;
        let known = |at: &usize| {
            let field = &self.fields[*at];
            wrong.fields.contains(&field.id) && (field.touched || field.is_set())
        };
        let all = || (0..self.fields.len()).filter(known);
        all().find(|at| *at == self.current).or_else(|| all().next())
    }

    fn rows(&self, width: usize, theme: &Theme) -> Rows {
        let widest = self.fields.iter().map(|field| field.label.width()).max().unwrap_or(0);
        let labels = widest.min((width.saturating_sub(2) * 2 / 5).max(8));
        let gap = if width >= 40 { 2 } else { 1 };
        let indent = 2 + labels + gap;
        let mut rows = Rows { lines: Vec::new(), begins: Vec::new() };
        let mut heading = None;
        for (at, field) in self.fields.iter().enumerate() {
            if field.heading.is_some() && field.heading != heading {
                let text = widgets::cut(field.heading.as_deref().unwrap_or_default(), width, theme.ascii);
                rows.lines.push(Line::styled(text, theme.style(Tone::Strong)));
            }
            heading.clone_from(&field.heading);
            let is_current = at == self.current;
            let style = if is_current { theme.selected() } else { Style::new() };
            let label = widgets::cut(&field.label, labels, theme.ascii);
            let pad = " ".repeat(labels.saturating_sub(label.width()));
            let mut line = vec![
                Span::raw(if is_current { theme.sign("▸ ", "> ") } else { "  " }),
                Span::styled(format!("{label}{pad}"), style),
                Span::raw(" ".repeat(gap)),
            ];
            line.extend(self.value(field, is_current, width.saturating_sub(indent), theme));
            rows.begins.push(rows.lines.len());
            rows.lines.push(Line::from(cut(line, width, theme)));
            if let Some(wrong) = self.wrong.as_ref().filter(|_| self.wrong_at() == Some(at)) {
                let indent = if width >= 40 { indent } else { 2.min(width) };
                let room = width - indent.min(width);
                for line in clip(wrap(&wrong.message, room), 3, room, theme) {
                    let text = format!("{}{line}", " ".repeat(indent));
                    rows.lines.push(Line::styled(text, theme.style(Tone::Bad)));
                }
            }
        }
        let is_current = self.current == self.fields.len();
        let style = match (is_current, &self.wrong) {
            (true, _) => theme.selected(),
            (false, Some(_)) => theme.style(Tone::Dim),
            (false, None) => Style::new(),
        };
        rows.begins.push(rows.lines.len());
        let mark = Span::raw(if is_current { theme.sign("▸ ", "> ") } else { "  " });
        rows.lines.push(Line::from(cut(vec![mark, Span::styled("[ Run ]", style)], width, theme)));
        rows
    }

    /// Returns what is shown of a field's value.
    fn value(&self, field: &Field, is_current: bool, width: usize, theme: &Theme) -> Vec<Span<'static>> {
        let here = if is_current { theme.selected() } else { Style::new() };
        let dim = theme.style(Tone::Dim);
        let is_missing = self.wrong.as_ref().is_some_and(|wrong| wrong.missing && wrong.fields.contains(&field.id));
        let unset = match (is_missing, field.default_shown()) {
            (true, _) => Span::styled("required", if field.touched { theme.style(Tone::Bad) } else { dim }),
            (false, Some(default)) => Span::styled(format!("default {default}"), dim),
            (false, None) => Span::raw(""),
        };
        match &field.kind {
            Kind::Flag(on) => vec![Span::styled(if *on { "[x]" } else { "[ ]" }, here)],
            Kind::Count(times) => vec![Span::styled(times.to_string(), here)],
            Kind::Choice(values, at) => {
                let (left, right) = match is_current {
                    true => (theme.sign("‹ ", "< "), theme.sign(" ›", " >")),
                    false => ("", ""),
                };
                let shown = at.and_then(|at| values.get(at)).map(|(value, _)| Span::styled(value.clone(), here));
                let shown = shown.unwrap_or_else(|| match unset.content.is_empty() {
                    true => Span::styled("not set", dim),
                    false => unset,
                });
                vec![Span::styled(left, dim), shown, Span::styled(right, dim)]
            }
            Kind::Text(_) | Kind::List(_) if field.bare => vec![Span::styled("given, without a value", here)],
            Kind::Text(input) | Kind::List(input) => match (input.is_empty(), is_current) {
                (true, false) => cut(vec![unset], width, theme),
                (true, true) => {
                    let cursor = Span::styled(" ", dim.add_modifier(Modifier::REVERSED));
                    cut(vec![cursor, unset], width, theme)
                }
                (false, true) => input.spans(width, field.completion(), theme),
                (false, false) => vec![Span::raw(widgets::cut(input.text(), width, theme.ascii))],
            },
        }
    }
}

/// Returns what a field is for, and what the value means that is chosen.
fn help(field: &Field) -> String {
    let chosen = match &field.kind {
        Kind::Choice(values, Some(at)) => values.get(*at).filter(|(_, means)| !means.is_empty()),
        _ => None,
    };
    match chosen {
        Some((value, means)) => format!("{} ({value}: {means})", field.help),
        None => field.help.clone(),
    }
}
