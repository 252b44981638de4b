//! How much the way to a subscriber carries, and who gets what of it.
//!
//! * [`Way`] is one subscriber's congestion control: the numbers in its packets, the estimate, the allocation.
//! * `Estimator` learns the way from transport-wide feedback: by delay, by loss, and by probes.
//! * `Allocation` shares a budget out among tracks.

mod allocation;
mod estimator;
mod goodput;
mod groups;
mod ledger;
mod loss;
mod pacer;
mod probe;
mod rate;
mod stamp;
mod standing;
#[cfg(test)]
mod tests;
mod trend;
mod way;

pub(crate) use self::allocation::{Demand, Step};
pub(crate) use self::way::Way;
