//! Asking a person. Only on a terminal: without one, a missing answer is an error that names the option.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};

use inquire::InquireError;
use inquire::ui::{Attributes, Color, ErrorMessageRenderConfig, RenderConfig, StyleSheet, Styled};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::output::{paint, say, style};
use crate::ops::Error;

/// Whether somebody sits there: both what is asked and what is answered go through a terminal.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line of text. An empty answer is the default, if there is one. `check` says what is wrong with an answer.
pub fn text(
    question: &str,
    default: Option<&str>,
    help: Option<&str>,
    check: impl Fn(&str) -> Result<(), String> + Clone + 'static,
) -> Result<String, Error> {
    use inquire::validator::Validation;
    let validator = move |answer: &str| {
        Ok(match check(answer.trim()) {
            Ok(()) => Validation::Valid,
            Err(reason) => Validation::Invalid(reason.into()),
        })
    };
    let mut prompt = inquire::Text::new(question).with_validator(validator).with_render_config(look());
    prompt.default = default;
    prompt.help_message = help;
    prompt.prompt().map(|answer| answer.trim().to_owned()).map_err(declined)
}

/// Asks yes or no.
pub fn confirm(question: &str, default: bool) -> Result<bool, Error> {
    inquire::Confirm::new(question).with_default(default).with_render_config(look()).prompt().map_err(declined)
}

/// Asks for a passphrase, without echo.
pub fn passphrase(question: &str) -> Result<Zeroizing<String>, Error> {
    let mut terminal = Silent::open().map_err(Error::Output)?;
    let typed = terminal.ask(question);
    drop(terminal);
    say(""); // the end of the line wasn't echoed either
    typed.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => Error::Cancelled,
        _ => Error::Output(error),
    })
}

/// The terminal with echo and signals off, given back as it was on drop: also after Ctrl-C, which is why this isn't left
/// to rpassword.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn open() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }

    fn ask(&mut self, question: &str) -> io::Result<Zeroizing<String>> {
        self.terminal.write_all(question.as_bytes())?;
        let keys = Keys(self.terminal.try_clone()?);
        let config = rpassword::ConfigBuilder::new().input_reader(keys).output_discard().build();
        rpassword::read_password_with_config(config).map(Zeroizing::new)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before); // a terminal that is gone needs no echo
    }
}

/// What is typed, with Ctrl-C as an error. One key at a time: what was typed ahead belongs to the next question.
struct Keys(File);

impl Read for Keys {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = buffer.len().min(1);
        let count = self.0.read(&mut buffer[..next])?;
        if buffer[..count].contains(&0x03) { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(count) }
    }
}

/// Asks for a new passphrase, twice; again if `check` refuses it or the two differ.
pub fn new_passphrase(question: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<Zeroizing<String>, Error> {
    loop {
        let first = passphrase(question)?;
        if let Err(reason) = check(&first) {
            say(&paint(style::WARN, reason));
            continue;
        }
        if first == passphrase("Again, to be sure: ")? {
            return Ok(first);
        }
        say(&paint(style::WARN, "the two are not the same"));
    }
}

fn declined(error: InquireError) -> Error {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Error::Cancelled,
        InquireError::IO(error) => Error::Output(error),
        other => Error::Refused(other.to_string()),
    }
}

fn look() -> RenderConfig<'static> {
    if anstream::AutoStream::choice(&io::stderr()) == anstream::ColorChoice::Never {
        return RenderConfig::empty();
    }
    let dim = StyleSheet::new().with_fg(Color::DarkGrey);
    RenderConfig::default_colored()
        .with_prompt_prefix(Styled::new("?").with_fg(Color::DarkCyan))
        .with_answered_prompt_prefix(Styled::new("✓").with_fg(Color::DarkGreen))
        .with_answer(StyleSheet::new().with_attr(Attributes::BOLD))
        .with_default_value(dim)
        .with_help_message(dim)
        .with_error_message(
            ErrorMessageRenderConfig::default_colored().with_prefix(Styled::new("!").with_fg(Color::DarkRed)),
        )
}
