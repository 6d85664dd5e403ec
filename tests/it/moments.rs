//! Programs that are killed at any moment.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Moments spread over the time that a program takes: when some of its runs outlast theirs, all of that time has been covered.
pub(crate) struct Moments {
    after: Duration,
    /// The next moment is this part of the time later.
    part: u32,
}

impl Moments {
    /// The first is at once, and each later one by this part of its time.
    pub(crate) fn later_by_one_in(part: u32) -> Self {
        Self { after: Duration::ZERO, part }
    }

    /// Starts a program and kills it at the next moment. Returns whether it had ended by itself.
    pub(crate) fn kill(&mut self, command: &mut Command) -> bool {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let mut ended = false;
        while begun.elapsed() < self.after && !ended {
            ended = child.try_wait().unwrap().is_some();
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        println!("{} {:?} after {:?}", if ended { "outlasted" } else { "killed" }, command.get_args(), self.after);
        self.after += Duration::from_millis(1) + self.after / self.part;
        ended
    }
}
