//! The command line as a person or a script meets it.

mod access;
mod audit;
mod can;
mod custody;
mod document;
mod drift;
mod exits;
mod handouts;
mod history;
mod hooks;
mod hosts;
mod import;
mod interface;
mod links;
mod model;
mod networks;
mod other_tools;
mod plain;
mod settings;
mod surface;
mod vault;
mod wizard;
mod wrong_input;
