//! A line that tells how far the hosts are, while they work. Only on a terminal.

use std::collections::BTreeMap;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::model::Name;
use crate::ops::deploy::{Phase, Progress};

/// One moving line on stderr.
pub(super) struct Line {
    bar: ProgressBar,
    hosts: Mutex<BTreeMap<Name, Phase>>,
}

impl Line {
    pub(super) fn new(context: &Context) -> Self {
        let target = if context.out.is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(
            ProgressStyle::with_template("{spinner:.cyan} {wide_msg:.dim}").expect("the template is a constant"),
        );
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Self { bar, hosts: Mutex::new(BTreeMap::new()) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Line {
    fn reached(&self, host: &Name, phase: Phase) {
        let mut hosts = self.hosts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hosts.insert(host.clone(), phase);
        let over = |phase: &Phase| matches!(phase, Phase::Observed | Phase::Done);
        let finished = hosts.values().filter(|p| over(p)).count();
        let words = |phase: &Phase| match phase {
            Phase::Observing => "looking",
            Phase::Applying => "changing",
            Phase::Confirming => "confirming over a new connection",
            Phase::Reverting => "waiting until it has taken everything back",
            Phase::Observed | Phase::Done => "done",
        };
        let busy: Vec<String> =
            hosts.iter().filter(|(_, p)| !over(p)).map(|(name, phase)| format!("{name}: {}", words(phase))).collect();
        self.bar.set_message(format!("{finished} of {} hosts  {}", hosts.len(), busy.join(" · ")));
    }
}
