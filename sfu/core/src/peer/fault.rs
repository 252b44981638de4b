//! Panics on purpose, at the places where a defect would be felt. Without the feature `faults` there is nothing of it.

#[cfg(feature = "faults")]
use crate::model::Fault;

/// Which panic a peer is to have.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    #[cfg(feature = "faults")]
    next: Option<Fault>,
}

impl Faults {
    #[cfg(feature = "faults")]
    pub(crate) fn set(&mut self, fault: Fault) {
        self.next = Some(fault);
        self.trip(Fault::Command);
    }

    /// Panics if this is the place.
    #[cfg(feature = "faults")]
    pub(crate) fn trip(&self, here: Fault) {
        assert!(self.next != Some(here), "a fault on purpose: {here:?}");
    }
}
