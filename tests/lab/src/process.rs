//! Processes of the machine, known by id and start time, so that a signal never hits a stranger with a reused id.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that ran once, and perhaps still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id, as the machine counts.
    pub id: i32,
    /// When it started, in clock ticks since the machine's boot.
    pub started: u64,
}

impl Process {
    /// Returns the running process with this id.
    pub fn running(id: i32) -> Option<Self> {
        let (state, _, started) = stat(id)?;
        (!matches!(state, 'Z' | 'X')).then_some(Self { id, started })
    }

    /// Reads `ID START` from a file.
    pub(crate) fn from_file(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (id, started) = text.trim().split_once(' ')?;
        Some(Self { id: id.parse().ok()?, started: started.parse().ok()? })
    }

    /// Returns whether it still runs.
    pub fn alive(self) -> bool {
        Self::running(self.id) == Some(self)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.id) else { return };
        // The descriptor names whoever has the id now; the start time, read after opening it, says whether that is ours.
        if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
            && self.alive()
        {
            let _ended_by_itself = pidfd_send_signal(process, signal);
        }
    }

    /// Kills it with `SIGKILL`, if it still runs.
    pub fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// Waits until it is gone; returns false when that takes longer than `limit`.
    pub fn wait(self, limit: Duration) -> bool {
        wait_until(limit, || !self.alive())
    }

    /// Returns its children.
    pub fn children(self) -> Vec<Self> {
        all().into_iter().filter(|(_, parent)| *parent == self.id).map(|(process, _)| process).collect()
    }

    /// Returns its children, their children, and so on.
    pub fn descendants(self) -> Vec<Self> {
        let all = all();
        let mut found = vec![self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(all.iter().filter(|(_, p)| *p == parent.id).map(|(process, _)| *process));
            next += 1;
        }
        found.split_off(1)
    }
}

/// Asks until the answer is yes; returns false when that takes longer than `limit`.
///
/// Between two questions it waits as long as one took, so that who waits leaves the machine to what is waited for.
pub fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        let asked = Instant::now();
        if done() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(asked.elapsed().clamp(Duration::from_millis(3), Duration::from_millis(250)));
    }
}

fn all() -> Vec<(Process, i32)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    ids.filter_map(|id| stat(id).map(|(_, parent, started)| (Process { id, started }, parent))).collect()
}

/// Reads state, parent and start time; see proc(5), `/proc/pid/stat`.
fn stat(id: i32) -> Option<(char, i32, u64)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some((state, parent, fields.nth(17)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_ends_and_its_id_alone_does_not_bring_it_back() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::running(child.id() as i32).unwrap();
        assert!(process.alive());
        assert!(Process::running(std::process::id() as i32).unwrap().children().contains(&process));
        let stranger = Process { started: process.started + 1, ..process };
        stranger.kill();
        assert!(process.alive() && !stranger.alive());
        process.kill();
        assert!(process.wait(Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
