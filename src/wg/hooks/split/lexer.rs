//! Reads a line from left to right, as the bash(1) manual describes in "Shell grammar" and "Quoting".

use std::ops::Range;

use super::{Beyond, Command, Part, Redirect, Script, Separator, Word};

/// Bash would refuse the line, or reading on would be guessing.
struct Unreadable;

/// What bash would put something else for, and where.
type Find = (Beyond, Range<usize>);

/// What an open compound command waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closer {
    Word(&'static str),
    Case,
    Parenthesis,
    Condition,
}

/// Two and more characters first: the longest wins.
const REDIRECTS: [&str; 13] = ["<<<", "<<-", "&>>", "<<", "<&", "<>", ">>", ">&", ">|", "&>", "<", ">", ""];

pub(super) struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0 }
    }

    pub(super) fn script(mut self) -> Script {
        match self.parts() {
            Ok(parts) => Script { parts },
            Err(Unreadable) => self.opaque(),
        }
    }

    /// The whole line in one piece.
    fn opaque(&self) -> Script {
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n');
        let start = self.text.len() - self.text.trim_start_matches(blank).len();
        let end = self.text.trim_end_matches(blank).len().max(start);
        let span = start..end;
        let beyond = Some((Beyond::Syntax, span.clone()));
        let command = Command { span, words: Vec::new(), redirects: Vec::new(), beyond };
        let parts = [Part::Blank(0..start), Part::Command(command), Part::Blank(end..self.text.len())];
        Script { parts: parts.into_iter().filter(|part| !part.span().is_empty()).collect() }
    }

    fn parts(&mut self) -> Result<Vec<Part>, Unreadable> {
        if self.bytes.contains(&0) || self.text.starts_with('-') {
            return Err(Unreadable); // bash leaves out the one, and `eval` takes the other for an option of its own
        }
        let mut parts = Vec::new();
        // Whether a command stands right before, and whether one has to follow.
        let (mut after_command, mut wanted) = (false, false);
        while self.at < self.bytes.len() {
            let start = self.at;
            if self.skip_blanks() {
                parts.push(Part::Blank(start..self.at));
            } else if self.peek() == b'#' {
                self.skip_comment();
                parts.push(Part::Comment(start..self.at));
            } else if let Some((separator, length)) = self.separator() {
                self.at += length;
                if separator == Separator::Newline {
                    after_command = false;
                } else if after_command {
                    wanted = matches!(separator, Separator::And | Separator::Or);
                    after_command = false;
                } else {
                    return Err(Unreadable);
                }
                parts.push(Part::Separator(separator, start..self.at));
            } else {
                parts.push(Part::Command(self.command()?));
                (after_command, wanted) = (true, false);
            }
        }
        if wanted { Err(Unreadable) } else { Ok(parts) }
    }

    fn peek(&self) -> u8 {
        self.ahead(0)
    }

    /// Returns the byte so far ahead; 0 behind the end, for none is in the line.
    fn ahead(&self, distance: usize) -> u8 {
        self.bytes.get(self.at + distance).copied().unwrap_or(0)
    }

    fn looking_at(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    /// Blanks, and line ends after a backslash. Whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        loop {
            match (self.peek(), self.ahead(1)) {
                (b' ' | b'\t', _) => self.at += 1,
                (b'\\', b'\n') => self.at += 2,
                _ => return self.at > start,
            }
        }
    }

    fn skip_comment(&mut self) {
        while self.at < self.bytes.len() && self.peek() != b'\n' {
            self.at += 1;
        }
    }

    fn separator(&self) -> Option<(Separator, usize)> {
        match (self.peek(), self.ahead(1)) {
            (b'\n', _) => Some((Separator::Newline, 1)),
            (b';', _) => Some((Separator::Semicolon, 1)),
            (b'&', b'&') => Some((Separator::And, 2)),
            (b'&', b'>') => None,
            (b'&', _) => Some((Separator::Background, 1)),
            (b'|', b'|') => Some((Separator::Or, 2)),
            _ => None,
        }
    }

    /// A command to its end: a separator outside of all that is open.
    fn command(&mut self) -> Result<Command, Unreadable> {
        let mut command = Command { span: self.at..self.at, words: Vec::new(), redirects: Vec::new(), beyond: None };
        let mut open: Vec<Closer> = Vec::new();
        // Whether the next word would be a program: only there `if` and `{` mean something.
        let mut first = true;
        let mut piped = false;
        loop {
            let end = self.at;
            self.skip_blanks();
            let start = self.at;
            let comment = self.peek() == b'#';
            let finished = self.at == self.bytes.len()
                || open.is_empty() && (self.separator().is_some() || comment && start > end);
            if finished {
                self.at = end;
                break;
            }
            if comment {
                return Err(Unreadable); // right behind an operator, or inside of something compound
            }
            if let Some((_, length)) = self.separator() {
                self.at += length;
                first = open.last() != Some(&Closer::Condition);
                continue;
            }
            match self.peek() {
                b'|' if open.last() != Some(&Closer::Case) || first => {
                    if first && open.is_empty() {
                        return Err(Unreadable);
                    }
                    self.at += if self.ahead(1) == b'&' { 2 } else { 1 };
                    note(&mut command, Beyond::Pipe, start..self.at);
                    (first, piped) = (true, true);
                    continue;
                }
                b'|' => self.at += 1, // between two patterns of a case
                b'(' => {
                    self.at += 1;
                    note(&mut command, Beyond::Compound, start..self.at);
                    open.push(Closer::Parenthesis);
                    first = true;
                }
                b')' => {
                    self.at += 1;
                    match open.last() {
                        Some(Closer::Parenthesis) => drop(open.pop()),
                        Some(Closer::Case) => {}
                        _ => return Err(Unreadable),
                    }
                    first = true;
                }
                b'<' | b'>' | b'&' if self.ahead(1) != b'(' => self.redirect(&mut command, None, start)?,
                _ => first = self.word_of(&mut command, &mut open, first)?,
            }
            piped = false;
        }
        if !open.is_empty() || piped {
            return Err(Unreadable);
        }
        command.span.end = self.at;
        Ok(command)
    }

    /// The next word of a command. Returns whether the one after it could be a program.
    fn word_of(&mut self, command: &mut Command, open: &mut Vec<Closer>, first: bool) -> Result<bool, Unreadable> {
        let (word, beyond) = self.word()?;
        // The shell joins continued lines before it looks at words: a `d`, a backslash, a line end and an `o` are `do`.
        let raw = self.text[word.span.clone()].replace("\\\n", "");
        let raw = raw.as_str();
        if matches!(self.peek(), b'<' | b'>') && self.ahead(1) != b'(' {
            if !raw.is_empty() && raw.bytes().all(|b| b.is_ascii_digit()) {
                // Beyond 9 it depends on the shell and its limits whether there is such a descriptor.
                let descriptor = raw.parse().ok().filter(|number| *number < 10).ok_or(Unreadable)?;
                self.redirect(command, Some(descriptor), word.span.start)?;
                return Ok(first);
            }
            if raw.starts_with('{') {
                return Err(Unreadable); // `{name}>file` stores a descriptor
            }
        }
        if open.last() == Some(&Closer::Condition) {
            if raw == "]]" {
                open.pop();
            }
            command.words.push(word);
            return Ok(false);
        }
        let mut next = false;
        if first {
            let compound = match raw {
                "if" => Some(Some(Closer::Word("fi"))),
                "while" | "until" | "for" | "select" => Some(Some(Closer::Word("done"))),
                "case" => Some(Some(Closer::Case)),
                "{" => Some(Some(Closer::Word("}"))),
                "[[" => Some(Some(Closer::Condition)),
                "then" | "else" | "elif" | "do" if !open.is_empty() => Some(None),
                "!" | "time" => Some(None),
                "]]" | "function" | "coproc" | "then" | "else" | "elif" | "do" | "in" => return Err(Unreadable),
                "fi" | "done" | "}" | "esac" => {
                    let fits = match open.pop() {
                        Some(Closer::Word(closer)) => closer == raw,
                        Some(Closer::Case) => raw == "esac",
                        _ => false,
                    };
                    if !fits {
                        return Err(Unreadable);
                    }
                    command.words.push(word);
                    return Ok(false);
                }
                _ => None,
            };
            if let Some(opened) = compound {
                note(command, Beyond::Compound, word.span.clone());
                next = !matches!(raw, "for" | "select" | "case" | "[[");
                open.extend(opened);
            }
        } else if raw == "in" && open.last() == Some(&Closer::Case) {
            next = true;
        }
        if let Some((what, span)) = beyond {
            note(command, what, span);
        }
        command.words.push(word);
        Ok(next)
    }

    fn redirect(&mut self, command: &mut Command, descriptor: Option<u32>, start: usize) -> Result<(), Unreadable> {
        let operator = *REDIRECTS.iter().find(|operator| self.looking_at(operator)).expect("the last one is empty");
        if operator.is_empty() {
            return Err(Unreadable);
        }
        self.at += operator.len();
        if matches!(operator, "<<" | "<<-") {
            return Err(Unreadable); // what follows on further lines is no command
        }
        self.skip_blanks();
        if self.at == self.bytes.len() || is_end(self.peek()) && !self.substitutes_process() {
            return Err(Unreadable);
        }
        let (target, beyond) = self.word()?;
        let copies = operator == "<&" || operator == ">&" && descriptor.is_some();
        if copies && !target.text.trim_end_matches('-').bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Unreadable); // not the number of a descriptor: bash runs nothing
        }
        let span = start..self.at;
        if operator == "<<<" {
            note(command, Beyond::HereDocument, span.clone());
        }
        if let Some((what, span)) = beyond {
            note(command, what, span);
        }
        command.redirects.push(Redirect { descriptor, operator, target, span });
        Ok(())
    }

    fn substitutes_process(&self) -> bool {
        matches!(self.peek(), b'<' | b'>') && self.ahead(1) == b'('
    }

    /// A word, and the first thing in it that bash would put something else for.
    fn word(&mut self) -> Result<(Word, Option<Find>), Unreadable> {
        let start = self.at;
        let mut text = String::new();
        let mut found: Option<Find> = None;
        while self.at < self.bytes.len() {
            let from = self.at;
            let beyond = match self.peek() {
                b'(' if from > start && matches!(self.bytes[from - 1], b'?' | b'*' | b'+' | b'@' | b'!') => {
                    self.at += 1;
                    self.parentheses()?;
                    Some(Beyond::Glob)
                }
                b'<' | b'>' if self.ahead(1) == b'(' => {
                    self.at += 2;
                    self.parentheses()?;
                    Some(Beyond::Substitution)
                }
                byte if is_end(byte) => break,
                b'\\' => {
                    self.at += 1;
                    match self.text[self.at..].chars().next() {
                        None => return Err(Unreadable),
                        Some('\n') => {}
                        Some(character) => text.push(character),
                    }
                    self.step();
                    continue;
                }
                b'\'' => {
                    let inner = &self.text[from + 1..];
                    let length = inner.find('\'').ok_or(Unreadable)?;
                    text.push_str(&inner[..length]);
                    self.at = from + 1 + length + 1;
                    continue;
                }
                b'"' => {
                    let inner = self.double_quoted(&mut text)?;
                    found = found.or(inner);
                    continue;
                }
                b'$' | b'`' => self.expansion(false)?,
                b'*' | b'?' | b'[' => {
                    self.at += 1;
                    Some(Beyond::Glob)
                }
                b'~' if from == start || matches!(self.bytes[from - 1], b'=' | b':') => {
                    self.at += 1;
                    Some(Beyond::Tilde)
                }
                b'{' | b'}' if !self.stands_alone(start) => {
                    self.at += 1;
                    Some(Beyond::Brace)
                }
                _ => {
                    self.step();
                    None
                }
            };
            text.push_str(&self.text[from..self.at]);
            if let Some(what) = beyond {
                found.get_or_insert((what, from..self.at));
            }
        }
        if self.at == start {
            return Err(Unreadable);
        }
        Ok((Word { text, span: start..self.at }, found))
    }

    /// Whether the byte here is a word of its own: `{` and `}` are then only themselves.
    fn stands_alone(&self, start: usize) -> bool {
        self.at == start && (self.at + 1 == self.bytes.len() || is_end(self.ahead(1)))
    }

    /// On to the next character.
    fn step(&mut self) {
        self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8);
    }

    fn double_quoted(&mut self, text: &mut String) -> Result<Option<Find>, Unreadable> {
        let mut found = None;
        self.at += 1;
        loop {
            let from = self.at;
            match self.peek() {
                0 => return Err(Unreadable),
                b'"' => {
                    self.at += 1;
                    return Ok(found);
                }
                b'\\' => {
                    self.at += 2;
                    match self.bytes.get(from + 1) {
                        None => return Err(Unreadable),
                        Some(b'\n') => {}
                        Some(byte @ (b'$' | b'`' | b'"' | b'\\')) => text.push(char::from(*byte)),
                        Some(_) => {
                            // The backslash stays, and what follows is read on its own.
                            self.at = from + 1;
                            text.push('\\');
                        }
                    }
                }
                b'$' | b'`' => {
                    let what = self.expansion(true)?;
                    text.push_str(&self.text[from..self.at]);
                    if let Some(what) = what {
                        found.get_or_insert((what, from..self.at));
                    }
                }
                _ => {
                    self.step();
                    text.push_str(&self.text[from..self.at]);
                }
            }
        }
    }

    /// What begins with `$` or a backtick; a lonely `$` is only itself.
    fn expansion(&mut self, quoted: bool) -> Result<Option<Beyond>, Unreadable> {
        if self.peek() == b'`' {
            self.at += 1;
            self.until_backtick()?;
            return Ok(Some(Beyond::Substitution));
        }
        self.at += 1;
        Ok(match self.peek() {
            b'(' => {
                self.at += 1;
                self.parentheses()?;
                Some(Beyond::Substitution)
            }
            b'{' => {
                self.at += 1;
                self.braces()?;
                Some(Beyond::Variable)
            }
            b'[' => return Err(Unreadable), // arithmetic of long ago
            b'\'' if !quoted => {
                self.at += 1;
                while self.peek() != b'\'' {
                    match self.peek() {
                        0 => return Err(Unreadable),
                        b'\\' => {
                            self.at += 1;
                            self.step();
                        }
                        _ => self.step(),
                    }
                }
                self.at += 1;
                Some(Beyond::Quoting)
            }
            b'"' if !quoted => {
                self.double_quoted(&mut String::new())?;
                Some(Beyond::Quoting)
            }
            byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                while self.peek().is_ascii_alphanumeric() || self.peek() == b'_' {
                    self.at += 1;
                }
                Some(Beyond::Variable)
            }
            byte if byte.is_ascii_digit() || b"@*#?$!-".contains(&byte) => {
                self.at += 1;
                Some(Beyond::Variable)
            }
            _ => None,
        })
    }

    fn until_backtick(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.peek() {
                0 => return Err(Unreadable),
                b'`' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.step();
                }
                _ => self.step(),
            }
        }
    }

    /// Past the parenthesis that closes the one before.
    fn parentheses(&mut self) -> Result<(), Unreadable> {
        let mut depth = 1;
        while depth > 0 {
            match self.peek() {
                0 | b'#' => return Err(Unreadable), // inside, `#` may be a comment that hides a parenthesis
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'<' if self.ahead(1) == b'<' => return Err(Unreadable),
                b'c' if self.looking_at("case") => return Err(Unreadable), // its patterns end in a parenthesis
                _ => {
                    self.inner()?;
                    continue;
                }
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Past the brace that closes the one before.
    fn braces(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.peek() {
                0 => return Err(Unreadable),
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => self.inner()?,
            }
        }
    }

    /// One character or quotation inside of parentheses or braces.
    fn inner(&mut self) -> Result<(), Unreadable> {
        match self.peek() {
            b'\\' => {
                self.at += 1;
                self.step();
            }
            b'\'' => {
                let length = self.text[self.at + 1..].find('\'').ok_or(Unreadable)?;
                self.at += length + 2;
            }
            b'"' => {
                self.double_quoted(&mut String::new())?;
            }
            b'$' | b'`' => {
                self.expansion(false)?;
            }
            _ => self.step(),
        }
        Ok(())
    }
}

/// Keeps the first of what makes a command more than a plain one.
fn note(command: &mut Command, what: Beyond, span: Range<usize>) {
    command.beyond.get_or_insert((what, span));
}

/// Whether a byte ends a word (bash's metacharacters).
fn is_end(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
}
