//! Rotation: policies, what happened that calls for other keys, what was done, and how much went under each key.

mod events;
mod executions;
mod policies;
mod traffic;

pub use events::{RecordedEvent, RightsChange};
pub use executions::{Execution, ExecutionEnd, ExecutionId, NewExecution, Undeployed};
pub use policies::KeyOf;
pub use traffic::{Counter, CounterSeen, Grown, Traffic};
