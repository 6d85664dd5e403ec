//! The `wg-friend` program: hands the command line over and turns the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: from here on nothing that is unlocked can end in a core dump. A kernel that refuses is no reason not
    // to work; nothing is less safe than without it.
    let _ = wg_friend::db::keyring::harden_process();
    wg_friend::cli::run(std::env::args_os())
}
