//! How screens look: colours by meaning, and what lines are drawn with.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;
use ratatui::widgets::BorderType;

/// What terminals can be asked to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Look {
    /// Light letters on a dark ground.
    #[default]
    Dark,
    /// Dark letters on a light ground.
    Light,
    /// The sixteen colours that the terminal's owner has chosen.
    Sixteen,
    /// No colour: bold, dim and reversed say what is said.
    Plain,
}

impl Look {
    /// All of them, in the order in which they are gone through.
    pub const ALL: [Self; 4] = [Self::Dark, Self::Light, Self::Sixteen, Self::Plain];

    /// Returns its name, as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Sixteen => "16",
            Self::Plain => "none",
        }
    }

    /// Returns the look of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|look| look.as_str() == name)
    }

    /// Returns the next one.
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|look| *look == self).unwrap_or_default();
        Self::ALL[(at + 1) % Self::ALL.len()]
    }
}

/// What a part of a text says, from which its colour follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// What a line is about.
    Strong,
    /// Labels, and what is there only for completeness.
    Dim,
    /// As it should be; what is added.
    Good,
    /// Worth a look; what changes.
    Warn,
    /// Wrong; what is removed.
    Bad,
    /// A key or a command to type.
    Code,
}

/// The look of a screen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Theme {
    /// The colours.
    pub look: Look,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

/// Lines of ASCII.
const ASCII: border::Set<'_> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Theme {
    /// The style of a tone.
    pub fn style(&self, tone: Tone) -> Style {
        let plain = Style::new();
        match (tone, self.look) {
            (Tone::Plain, _) => plain,
            (Tone::Strong, _) => plain.add_modifier(Modifier::BOLD),
            (Tone::Dim, Look::Dark) => plain.fg(Color::Indexed(245)),
            (Tone::Dim, Look::Light) => plain.fg(Color::Indexed(242)),
            (Tone::Dim, _) => plain.add_modifier(Modifier::DIM),
            (Tone::Good, Look::Dark) => plain.fg(Color::Indexed(114)),
            (Tone::Good, Look::Light) => plain.fg(Color::Indexed(28)),
            (Tone::Good, Look::Sixteen) => plain.fg(Color::Green),
            (Tone::Good, Look::Plain) => plain,
            (Tone::Warn, Look::Dark) => plain.fg(Color::Indexed(221)),
            (Tone::Warn, Look::Light) => plain.fg(Color::Indexed(130)),
            (Tone::Warn, Look::Sixteen) => plain.fg(Color::Yellow),
            (Tone::Warn, Look::Plain) => plain.add_modifier(Modifier::BOLD),
            (Tone::Bad, Look::Dark) => plain.fg(Color::Indexed(210)).add_modifier(Modifier::BOLD),
            (Tone::Bad, Look::Light) => plain.fg(Color::Indexed(124)).add_modifier(Modifier::BOLD),
            (Tone::Bad, Look::Sixteen) => plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Tone::Bad, Look::Plain) => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            (Tone::Code, Look::Dark) => plain.fg(Color::Indexed(117)),
            (Tone::Code, Look::Light) => plain.fg(Color::Indexed(25)),
            (Tone::Code, Look::Sixteen) => plain.fg(Color::Cyan),
            (Tone::Code, Look::Plain) => plain.add_modifier(Modifier::BOLD),
        }
    }

    /// The row or field that keys act on.
    pub fn selected(&self) -> Style {
        match self.look {
            Look::Dark => Style::new().bg(Color::Indexed(238)).add_modifier(Modifier::BOLD),
            Look::Light => Style::new().bg(Color::Indexed(254)).add_modifier(Modifier::BOLD),
            Look::Sixteen | Look::Plain => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The line at the top.
    pub fn header(&self) -> Style {
        match self.look {
            Look::Dark => Style::new().bg(Color::Indexed(236)),
            Look::Light => Style::new().bg(Color::Indexed(253)),
            Look::Sixteen | Look::Plain => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// Lines around things.
    pub fn border(&self) -> Style {
        self.style(Tone::Dim)
    }

    /// What lines around things are drawn with.
    pub fn lines(&self) -> border::Set<'static> {
        if self.ascii { ASCII } else { BorderType::Rounded.to_border_set() }
    }

    /// A sign, or what stands for it in ASCII.
    pub fn sign(&self, sign: &'static str, ascii: &'static str) -> &'static str {
        if self.ascii { ascii } else { sign }
    }
}
