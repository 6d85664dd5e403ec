//! Ctrl-C while hosts are changed: once to come to an end in order, twice to leave at once.

use tokio::signal::unix::{SignalKind, signal};

use crate::ops::deploy::Stop;

/// What is said when somebody asks for an end.
const STOPPING: &str = "stopping: no further host is begun; what is as intended is confirmed, the rest is taken back. \
                        Again to leave at once: the hosts then take back by themselves what nobody confirmed";

/// The exit code of a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on, SIGINT and SIGTERM ask `stop` for an end the first time, and end the program the second. Where no
/// handler can be set they end it the first time, as ever.
pub(super) fn watch(stop: Stop, say: impl Fn(&str) + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { return };
    std::thread::spawn(move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if stop.is_asked() {
                    leave();
                }
                stop.ask();
                say(STOPPING);
            }
        });
    });
}

#[expect(clippy::disallowed_methods, reason = "somebody wants out at once; nothing is left that needs to be dropped")]
fn leave() -> ! {
    std::process::exit(INTERRUPTED)
}
