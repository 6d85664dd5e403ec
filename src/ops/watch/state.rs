//! What answers and silence make of a host. Pure: every moment is an argument, counted from any beginning.

use std::time::Duration;

use serde::Serialize;

/// Whether a host can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// It answers, or did a short while ago.
    Connected,
    /// It has not answered for a while: 90 seconds, unless another interval was chosen.
    Disconnected,
    /// It hasn't answered yet.
    Pending,
}

impl HostState {
    /// Returns its name, as JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Pending => "pending",
        }
    }
}

/// What is known of one host's answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    state: HostState,
    /// When it answered last; when it was first asked, if it never did.
    heard: Duration,
    answered: bool,
    failures: u32,
    error: Option<(String, Option<String>)>,
}

impl Reach {
    /// A host that is asked for the first time.
    pub fn new(now: Duration) -> Self {
        Self { state: HostState::Pending, heard: now, answered: false, failures: 0, error: None }
    }

    /// Returns the state.
    pub fn state(&self) -> HostState {
        self.state
    }

    /// Returns when it answered last.
    pub fn last_answer(&self) -> Option<Duration> {
        self.answered.then_some(self.heard)
    }

    /// Returns how often in a row it has failed to answer.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns why it doesn't answer and what to do about it, when its last try failed.
    pub fn error(&self) -> Option<(&str, Option<&str>)> {
        self.error.as_ref().map(|(error, hint)| (error.as_str(), hint.as_deref()))
    }

    /// Notes an answer. Returns the state before, if that was another.
    pub fn answer(&mut self, now: Duration) -> Option<HostState> {
        (self.heard, self.answered, self.failures, self.error) = (now, true, 0, None);
        self.turn(HostState::Connected)
    }

    /// Notes a try that failed, why, and what to do about it. By itself that changes no state.
    pub fn fail(&mut self, error: String, hint: Option<String>) {
        self.failures = self.failures.saturating_add(1);
        self.error = Some((error, hint));
    }

    /// Counts a host that was silent for as long as that as disconnected. Returns the state before, if that was another.
    pub fn wait(&mut self, now: Duration, silence: Duration) -> Option<HostState> {
        if now.saturating_sub(self.heard) < silence { None } else { self.turn(HostState::Disconnected) }
    }

    fn turn(&mut self, state: HostState) -> Option<HostState> {
        let before = std::mem::replace(&mut self.state, state);
        (before != state).then_some(before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::watch::schedule::Schedule;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const SILENCE: Duration = Duration::from_secs(90);

    #[test]
    fn a_host_is_pending_until_it_answers_and_disconnected_after_ninety_seconds_without_an_answer() {
        let mut host = Reach::new(s(1000));
        assert_eq!((host.state(), host.last_answer()), (HostState::Pending, None));
        assert_eq!(host.answer(s(1002)), Some(HostState::Pending));
        assert_eq!(host.answer(s(1032)), None);
        host.fail("no route".to_owned(), None);
        assert_eq!(host.wait(s(1121), SILENCE), None, "89 seconds, and a failed try, prove nothing yet");
        assert_eq!((host.state(), host.failures()), (HostState::Connected, 1));
        assert_eq!(host.wait(s(1122), SILENCE), Some(HostState::Connected));
        assert_eq!(host.wait(s(1300), SILENCE), None, "told once");
        assert_eq!(
            (host.state(), host.last_answer(), host.error()),
            (HostState::Disconnected, Some(s(1032)), Some(("no route", None)))
        );
        assert_eq!(host.answer(s(1301)), Some(HostState::Disconnected));
        assert_eq!((host.state(), host.failures(), host.error()), (HostState::Connected, 0, None));
    }

    #[test]
    fn a_host_that_never_answers_is_pending_for_as_long_and_then_disconnected() {
        let mut host = Reach::new(s(5));
        host.fail("refused".to_owned(), None);
        assert_eq!(host.wait(s(94), SILENCE), None);
        assert_eq!(host.wait(s(95), SILENCE), Some(HostState::Pending));
        assert_eq!((host.state(), host.last_answer()), (HostState::Disconnected, None));
    }

    proptest! {
        /// A day of a host on a clock that isn't real: it answers until its cable is pulled and again when that is back.
        #[test]
        fn a_pulled_cable_shows_within_ninety_seconds_and_a_plugged_one_with_the_next_try(
            pulled in 60..500u64, away in 1..4000u64, randoms in proptest::collection::vec(any::<u32>(), 1..20),
        ) {
            let schedule = Schedule::DEFAULT;
            let (pulled, back) = (s(pulled), s(pulled + away));
            let mut host = Reach::new(s(0));
            let (mut due, mut turn, mut seen_gone, mut seen_back) = (s(0), 0, None, None);
            for tick in 0..8000 * 4 {
                let now = Duration::from_millis(250 * tick);
                if now >= due {
                    if now < pulled || now >= back {
                        if host.answer(now) == Some(HostState::Disconnected) {
                            seen_back = Some(now);
                        }
                    } else {
                        host.fail("cut".to_owned(), None);
                    }
                    turn += 1;
                    due = now + schedule.next(host.failures(), randoms[turn % randoms.len()]);
                }
                if host.wait(now, schedule.silence()).is_some() {
                    seen_gone = Some(now);
                }
            }
            if let Some(gone) = seen_gone {
                prop_assert!(gone >= pulled && gone <= pulled + SILENCE + s(1));
                prop_assert!(seen_back.is_some_and(|seen| seen <= back + s(76)), "a minute, a quarter more, a tick");
            } else {
                prop_assert!(away <= 91 + 76, "silent for {away} seconds and nobody noticed");
            }
            prop_assert_eq!(host.state(), HostState::Connected);
        }
    }
}
