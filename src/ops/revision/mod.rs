//! Devices whose files people carry: what each was given, whether it still fits the model, and who needs a new file.
//!
//! A *revision* is what a device's file says ([`Meaning`]). Every way of handing a file out records one (`handed`), in
//! the same transaction. [`devices`] compares the last one with what the file would say now, so that after any change it is
//! known who must get a new file, who may, and why. What hosts observe proves which revision a device has in use
//! (`seen`). Comparing needs no secret: keys are told apart by their public halves, preshared keys by the time since
//! which their link has them.

mod device;
pub(crate) mod handed;
mod meaning;
mod next;
pub(crate) mod seen;
#[cfg(test)]
mod tests;
mod untold;

pub use device::{DeviceReport, DeviceState, Given, devices, list, needed, of};
pub(in crate::ops) use meaning::preshared_in;
pub use meaning::{Meaning, Reason, Weight, compare};
pub use next::{NextFile, with_next_key};
pub use untold::Untold;
pub(in crate::ops) use untold::untold;
