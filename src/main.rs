//! The `wg-friend` program: hands the command line over and turns the outcome into an exit code.

// A panic is nothing that a user should meet: what can't fail says why, with `expect`.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

use std::ffi::{CStr, c_char};
use std::process::ExitCode;

use wg_friend::cli::{Environment, Hosted};
use zeroize::Zeroize as _;

fn main() -> ExitCode {
    // First of all: from here on nothing that is unlocked can end in a core dump. A kernel that refuses is no reason not
    // to work; nothing is less safe than without it.
    let _ = wg_friend::db::keyring::harden_process();
    share_the_heap();
    let passphrase = take(c"WG_FRIEND_PASSPHRASE").map(Into::into);
    // A command that the screens run gets its secrets over standard input; one that can't be read leaves it locked.
    let screen = take(c"WG_FRIEND_TUI").and_then(|columns| Hosted::read(&columns, std::io::stdin()).ok());
    let environment = Environment { passphrase, screen };
    wg_friend::cli::run(std::env::args_os(), environment)
}

/// Has all threads use one heap, and gives back to the kernel what is free at its end: otherwise glibc has a heap for each, and
/// what a worker needed for a moment stays with it. With ten thousand nodes that is the half of all memory. See mallopt(3).
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "nothing but mallopt(3) says that, and it has to be said before there are threads")]
fn share_the_heap() {
    use std::ffi::c_int;
    /// Above so many free bytes at the end of the heap they are given back.
    const M_TRIM_THRESHOLD: c_int = -1;
    /// As many heaps there are.
    const M_ARENA_MAX: c_int = -8;
    unsafe extern "C" {
        fn mallopt(param: c_int, value: c_int) -> c_int;
    }
    // SAFETY: it takes two numbers and changes how malloc(3) works from now on; there is one thread yet.
    unsafe {
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_TRIM_THRESHOLD, 1 << 20);
    }
}

#[cfg(not(target_env = "gnu"))]
fn share_the_heap() {}

/// Takes a variable out of the environment, so that no program started from here inherits it: a connection kept open by
/// ssh, or a proxy that it starts, would show it for as long as it runs. It is wiped where the kernel put it, too: there
/// `/proc/PID/environ` finds it otherwise, of this process and of every child that hasn't become another program yet.
#[expect(
    unsafe_code,
    reason = "changing the environment is sound only before there are threads, which only main knows"
)]
fn take(name: &CStr) -> Option<String> {
    unsafe extern "C" {
        fn getenv(name: *const c_char) -> *mut c_char;
    }
    let name_in_text = name.to_str().ok()?;
    let value = std::env::var(name_in_text).ok();
    // SAFETY: main calls this before anything that could start a thread. What getenv(3) returns is null or a text in memory
    // of this process that it may write, and nobody else has a pointer into this one.
    unsafe {
        let place = getenv(name.as_ptr());
        if !place.is_null() {
            let length = CStr::from_ptr(place).count_bytes();
            std::slice::from_raw_parts_mut(place.cast::<u8>(), length).zeroize();
        }
        std::env::remove_var(name_in_text);
    }
    value
}
