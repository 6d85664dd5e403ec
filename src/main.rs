//! The `wg-friend` program: hands the command line over and turns the outcome into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    wg_friend::cli::run(std::env::args_os())
}
