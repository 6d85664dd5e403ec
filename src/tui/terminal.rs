//! The terminal: taken for the screens and always given back as it was, whatever the program ends by.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::sync::mpsc::Sender;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, read,
};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::Rect;
use rustix::process::{Signal, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};

use super::app::App;
use super::msg::Msg;

/// How long it takes at the most until a process that was told to stop does.
const STOPPING: Duration = Duration::from_millis(300);

/// As much of a drawing as is written at once, in bytes.
const AT_ONCE: usize = 1 << 16;

type Backend = CrosstermBackend<BufWriter<Stdout>>;

/// The terminal, taken.
pub struct Screen {
    terminal: Terminal<Backend>,
    mouse: bool,
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)
}

/// Gives the terminal back. Nobody can be told when that fails.
fn give_back() {
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// A terminal on which nothing is drawn yet.
fn blank() -> io::Result<Terminal<Backend>> {
    Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(AT_ONCE, io::stdout())))
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        let own = std::thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            // What a worker dies of is said on the screen, which goes on.
            if std::thread::current().id() == own {
                give_back();
                before(panic);
            }
        }));
        take().inspect_err(|_| give_back())?;
        let terminal = blank().inspect_err(|_| give_back())?;
        Ok(Self { terminal, mouse: false })
    }

    /// Returns the size of the window.
    pub fn area(&self) -> io::Result<Rect> {
        let size = self.terminal.size()?;
        Ok(Rect::new(0, 0, size.width, size.height))
    }

    /// Draws the screens: a terminal that can shows all of it at once (its private mode 2026), never a half of it.
    pub fn draw(&mut self, app: &App) -> io::Result<()> {
        self.terminal.autoresize()?;
        // Whatever fails in here has written nothing yet that would have to be ended.
        app.draw(&mut self.terminal.get_frame());
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.apply_buffer()?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Takes the mouse, or leaves it to the terminal, which can select text by it then.
    pub fn mouse(&mut self, taken: bool) -> io::Result<()> {
        self.mouse = taken;
        if taken { execute!(io::stdout(), EnableMouseCapture) } else { execute!(io::stdout(), DisableMouseCapture) }
    }

    /// Puts a text into the clipboard of whoever sits at the terminal, also over SSH (xterm's OSC 52).
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout();
        write!(out, "\u{1b}]52;c;{}\u{7}", STANDARD.encode(text))?;
        out.flush()
    }

    /// Goes into the background, as Ctrl-Z does elsewhere, and comes back when the shell says so.
    pub fn suspend(&mut self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        give_back();
        runtime.block_on(async {
            let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
            // The whole group, as the terminal would: a shell script around this waits, too.
            kill_current_process_group(Signal::TSTP)?;
            // The signal takes effect a little later, and not at all where no shell could bring the group back.
            let _either = tokio::time::timeout(STOPPING, continued.recv()).await;
            io::Result::Ok(())
        })?;
        take()?;
        // Another one knows of nothing that was drawn; clearing this one would ask where the cursor is, and somebody else reads.
        self.terminal = blank()?;
        self.mouse(self.mouse)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a panic the terminal has been given back already: once more, and what it said would be written over. Nor can whoever
        // panics change what panics do.
        if !std::thread::panicking() {
            give_back();
            let _ = std::panic::take_hook();
        }
    }
}

/// From now on keys, the mouse, sizes and signals become messages.
pub fn listen(messages: Sender<Msg>) {
    let keys = messages.clone();
    std::thread::spawn(move || {
        while let Ok(event) = read() {
            if keys.send(Msg::Input(event)).is_err() {
                return;
            }
        }
        let _gone = keys.send(Msg::End); // the terminal is lost
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { return }; // signals end the program then as they always do
    let signals = {
        let _within = runtime.enter();
        [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal)
    };
    let [Ok(mut terminate), Ok(mut hangup), Ok(mut interrupt)] = signals else { return };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
            }
            let _gone = messages.send(Msg::End);
        });
    });
}
