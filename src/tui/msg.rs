//! What happens, and what is to be done about it.

use std::sync::mpsc::Sender;
use std::time::Duration;

use ratatui::crossterm::event::Event as Input;
use zeroize::Zeroizing;

use super::line::{Line, Ran};
use super::screens::Screen;
use super::widgets::list::Row;
use crate::db::{DataKey, Mark};
use crate::model::Name;
use crate::ops::Error;
use crate::ops::deploy::report::PlanReport;
use crate::ops::deploy::{HostOutcome, Phase, Stop};
use crate::ops::watch::{Event, Picture};

/// Something has happened.
#[derive(Debug)]
pub enum Msg {
    /// A key, the mouse, or another size.
    Input(Input),
    /// Some time has gone by.
    Tick,
    /// The rows of a screen were read; the number says for which request.
    Rows(&'static Screen, u64, Result<Vec<Row>, Error>),
    /// A line has ended.
    Ran(Purpose, Box<Ran>),
    /// What the header says was read anew; the number says for which request.
    Head(u64, Box<Result<Head, Error>>),
    /// The passphrase was tried.
    Unlocked(Result<DataKey, Error>),
    /// The network as hosts tell it; the number says to which watch.
    Picture(u64, Box<Picture>, Vec<Event>),
    /// The database is at another mark: somebody has changed something, here or elsewhere. The number says which watch noticed.
    Changed(u64, Mark),
    /// A watch is over.
    Unwatched(u64, Option<Error>),
    /// A worker has died of a fault in this program.
    Broken(String),
    /// What would change is known, and how to have it done.
    Planned(u64, Box<Result<Planned, Error>>),
    /// How far a deploy is.
    Deploying(u64, Step),
    /// A deploy is over.
    Deployed(u64, Box<Result<Vec<HostOutcome>, Error>>),
    /// Somebody wants the program to end.
    End,
}

/// A plan that waits for a decision.
#[derive(Debug)]
pub struct Planned {
    /// What would change.
    pub report: PlanReport,
    /// Has it done; dropped, it isn't.
    pub go: Sender<Stop>,
}

/// How far a deploy is.
#[derive(Debug)]
pub enum Step {
    /// These hosts are worked on.
    Expects(Vec<Name>),
    /// A host has come to a phase.
    Reached(Name, Phase),
    /// A host takes everything back after that time, unless somebody confirms.
    Armed(Name, Duration),
    /// A host is done.
    Ended(Box<HostOutcome>),
    /// Something is to be known.
    Warns(String),
}

/// What the header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The mark of the database when it was read.
    pub mark: Mark,
    /// The network.
    pub network: String,
    /// How many networks there are.
    pub networks: usize,
    /// How many nodes of each role there are.
    pub roles: Vec<(String, usize)>,
    /// How many hosts there are.
    pub hosts: usize,
    /// How many hosts nothing was ever deployed to.
    pub undeployed: usize,
    /// How many hosts lack later changes of the model; `None` while that can't be read.
    pub pending: Option<usize>,
    /// On how many hosts the last look found changes by hand.
    pub drifted: usize,
    /// How many deploys have no known end.
    pub open: usize,
    /// The state of the model that takes the last change back.
    pub before: Option<i64>,
    /// How many devices need a new file.
    pub devices: usize,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Whether the kernel's keyring has the key.
    pub remembered: bool,
    /// Names of what there is, by kind, to complete what is typed.
    pub names: std::collections::BTreeMap<&'static str, Vec<String>>,
}

/// What a line is run for; the numbers say for which request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read beside a list.
    Tab(u64),
    /// To show what it would do.
    Preview(u64),
    /// To change something.
    Change(u64),
    /// To be read.
    Read(u64),
}

/// Something is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Read the rows of a screen.
    Rows(&'static Screen, u64),
    /// Run a line, laid out in so many columns.
    Run(Purpose, Line, u16, Secrets),
    /// End the line that is run for this.
    Cancel(Purpose),
    /// Read what the header says.
    Head(u64),
    /// Try a passphrase.
    Unlock(Zeroizing<String>),
    /// Watch the network, under this number.
    Watch(u64),
    /// Watch it no longer.
    Unwatch,
    /// Find out what would change on hosts.
    Plan(u64, Vec<String>),
    /// Put a text where it can be pasted from.
    Copy(String),
    /// Go into the background.
    Suspend,
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// End.
    Quit,
}

/// Secrets that were typed for one line.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The passphrase.
    pub passphrase: Option<Zeroizing<String>>,
    /// The one that is to be set.
    pub new_passphrase: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}
