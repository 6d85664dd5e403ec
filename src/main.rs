//! The `wg-friend` program: hands the command line over and turns the outcome into an exit code.

use std::process::ExitCode;

use wg_friend::cli::Environment;

fn main() -> ExitCode {
    // First of all: from here on nothing that is unlocked can end in a core dump. A kernel that refuses is no reason not
    // to work; nothing is less safe than without it.
    let _ = wg_friend::db::keyring::harden_process();
    let environment = Environment { passphrase: take("WG_FRIEND_PASSPHRASE").map(Into::into) };
    wg_friend::cli::run(std::env::args_os(), environment)
}

/// Takes a variable out of the environment, so that no program started from here inherits it: a connection kept open by
/// ssh, or a proxy that it starts, would show it for as long as it runs.
#[expect(
    unsafe_code,
    reason = "changing the environment is sound only before there are threads, which only main knows"
)]
fn take(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    // SAFETY: main calls this before anything that could start a thread.
    unsafe { std::env::remove_var(name) };
    value
}
