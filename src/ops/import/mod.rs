//! Adopting networks that run already.
//!
//! Sources (files, folders, running hosts) are read into views; [`wg::adopt`](crate::wg::adopt) joins the views to one
//! network; what that says beyond what the database knows is shown for review, and then saved in one transaction. What
//! was adopted before takes part again each time, so the order of imports makes no difference.

pub mod foreign;
pub mod live;
pub mod prepare;
pub mod read;
pub mod review;
pub mod save;
pub mod sources;
mod stand_in;
