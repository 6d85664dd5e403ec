//! How bash(1) reads a hook: into commands, and these into words, with every byte accounted for.
//!
//! Only plain commands are taken apart. What the shell would work out itself (substitutions, loops, pipes) stays in one
//! piece with a [`Beyond`] that says what it is and where; what bash would refuse stays in one piece as a whole.

mod lexer;
#[cfg(test)]
mod tests;

use std::ops::Range;

/// A line as bash reads it. The parts follow each other without a gap, and cover it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its parts, in order.
    pub parts: Vec<Part>,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Blanks between others.
    Blank(Range<usize>),
    /// From `#` to the end of the line.
    Comment(Range<usize>),
    /// What stands between two commands.
    Separator(Separator, Range<usize>),
    /// A command, a pipeline or something compound.
    Command(Command),
}

impl Part {
    /// Returns which bytes of the line it is.
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Blank(span) | Self::Comment(span) | Self::Separator(_, span) => span.clone(),
            Self::Command(command) => command.span.clone(),
        }
    }
}

/// What stands between two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// `;`
    Semicolon,
    /// `&&`: the next runs when this one succeeded.
    And,
    /// `||`: the next runs when this one failed.
    Or,
    /// `&`: this one runs in the background.
    Background,
    /// The end of a line.
    Newline,
}

/// A command. When [`Command::beyond`] is `None`, bash runs exactly its words as they stand here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// From the first byte of its first word to the last byte of its last.
    pub span: Range<usize>,
    /// The program and its arguments.
    pub words: Vec<Word>,
    /// Where its input comes from and its output goes.
    pub redirects: Vec<Redirect>,
    /// The first thing in it that makes it more than a plain command.
    pub beyond: Option<(Beyond, Range<usize>)>,
}

/// A word, with quotes removed as bash does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// What the program gets; where bash would put something else in place, as written.
    pub text: String,
    /// Which bytes of the line it is.
    pub span: Range<usize>,
}

/// A redirection, such as `2>/dev/null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The file descriptor in front of it.
    pub descriptor: Option<u32>,
    /// `>`, `>>`, `<`, `>&`, `&>` ...
    pub operator: &'static str,
    /// Where to.
    pub target: Word,
    /// Which bytes of the line it is.
    pub span: Range<usize>,
}

/// What makes a command more than a program with arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// Nothing that bash could read.
    Syntax,
    /// `|`
    Pipe,
    /// A loop, a condition, a group, a subshell, a function.
    Compound,
    /// `$(...)`, `` `...` ``, `<(...)`: the output of another command.
    Substitution,
    /// `$NAME`, `${...}`
    Variable,
    /// `*`, `?`, `[...]`: names of files.
    Glob,
    /// `{a,b}`
    Brace,
    /// `~`: somebody's home directory.
    Tilde,
    /// `$'...'`, `$"..."`
    Quoting,
    /// `<<<`
    HereDocument,
    /// `&`
    Background,
}

impl Beyond {
    /// Returns what it is, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Syntax => "nothing that bash can read",
            Self::Pipe => "a pipe",
            Self::Compound => "a compound command",
            Self::Substitution => "the output of another command",
            Self::Variable => "a variable",
            Self::Glob => "a pattern of file names",
            Self::Brace => "an expansion of braces",
            Self::Tilde => "a home directory",
            Self::Quoting => "a quotation that bash translates",
            Self::HereDocument => "a here-document",
            Self::Background => "runs in the background",
        }
    }
}

/// Reads a line as bash's `eval` does, with `extglob` on as in wg-quick(8).
pub fn split(line: &str) -> Script {
    lexer::Lexer::new(line).script()
}

impl Script {
    /// Returns its commands, in order.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.parts.iter().filter_map(|part| match part {
            Part::Command(command) => Some(command),
            _ => None,
        })
    }

    /// Moves every span to where `place` says.
    pub(super) fn relocate(&mut self, place: impl Fn(usize) -> usize) {
        let moved = |span: &mut Range<usize>| *span = place(span.start)..place(span.end);
        for part in &mut self.parts {
            match part {
                Part::Blank(span) | Part::Comment(span) | Part::Separator(_, span) => moved(span),
                Part::Command(command) => {
                    moved(&mut command.span);
                    command.words.iter_mut().for_each(|word| moved(&mut word.span));
                    for redirect in &mut command.redirects {
                        moved(&mut redirect.span);
                        moved(&mut redirect.target.span);
                    }
                    if let Some((_, span)) = &mut command.beyond {
                        moved(span);
                    }
                }
            }
        }
    }
}
