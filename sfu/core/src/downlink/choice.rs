//! Which of a track's layers a subscriber is sent: at most what it wishes, at most what its link carries, and only what exists.

use crate::model::{Layer, LayerCause, LayerWish};

/// What a subscriber's link carries of a track: set by the allocation of bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The highest layer; `None` for nothing at all.
    pub layer: Option<Layer>,
    /// The highest temporal layer of it.
    pub temporal: u8,
}

impl Allowance {
    pub(crate) const UNLIMITED: Self = Self { layer: Some(Layer(u8::MAX)), temporal: u8::MAX };
}

/// The layer that is sent, and the one that will be from its next key frame on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    wish: LayerWish,
    allowance: Allowance,
    current: Option<Layer>,
    target: Option<Layer>,
    cause: LayerCause,
}

impl Choice {
    pub(crate) fn new(wish: LayerWish) -> Self {
        Self { wish, allowance: Allowance::UNLIMITED, current: None, target: None, cause: LayerCause::Wish }
    }

    /// What is sent now.
    pub(crate) fn current(&self) -> Option<Layer> {
        self.current
    }

    /// What will be sent; not the same as [`Self::current`] while a key frame is waited for.
    pub(crate) fn target(&self) -> Option<Layer> {
        self.target
    }

    pub(crate) fn wish(&self) -> LayerWish {
        self.wish
    }

    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Why the target is what it is.
    pub(crate) fn cause(&self) -> LayerCause {
        self.cause
    }

    pub(crate) fn set_wish(&mut self, wish: LayerWish) {
        self.wish = wish;
    }

    pub(crate) fn set_allowance(&mut self, allowance: Allowance) {
        self.allowance = allowance;
    }

    /// The highest layer that would be sent if all existed; `None` for none.
    pub(crate) fn ceiling(&self) -> Option<Layer> {
        let wished = match self.wish {
            LayerWish::Best => Layer(u8::MAX),
            LayerWish::AtMost(layer) => layer,
            LayerWish::Off => return None,
        };
        self.allowance.layer.map(|allowed| allowed.min(wished))
    }

    /// Chooses among the layers that flow (one bit each). True if the target is another one now.
    ///
    /// Where nothing flows as low as it should be, the lowest that does is sent: a picture is better than none.
    pub(crate) fn choose(&mut self, flowing: u8, cause: LayerCause) -> bool {
        let target = self.ceiling().and_then(|ceiling| {
            let below = u8::MAX >> (7 - ceiling.0.min(7));
            let highest = (flowing & below).checked_ilog2().map(|bit| bit as u8);
            highest.or_else(|| (flowing != 0).then_some(flowing.trailing_zeros() as u8)).map(Layer)
        });
        let changed = target != self.target;
        if changed {
            (self.target, self.cause) = (target, cause);
        }
        changed
    }

    /// The target has begun. What was sent before.
    pub(crate) fn arrive(&mut self) -> Option<Layer> {
        std::mem::replace(&mut self.current, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wish: LayerWish, allowed: Option<u8>, flowing: u8) -> Option<u8> {
        let mut choice = Choice::new(wish);
        choice.set_allowance(Allowance { layer: allowed.map(Layer), temporal: 0 });
        choice.choose(flowing, LayerCause::Wish);
        choice.target().map(|layer| layer.0)
    }

    #[test]
    fn the_best_that_flows_is_wished_and_allowed() {
        let at_most = |layer| LayerWish::AtMost(Layer(layer));
        assert_eq!(chosen(LayerWish::Best, Some(255), 0b111), Some(2));
        assert_eq!(chosen(LayerWish::Best, Some(1), 0b111), Some(1));
        assert_eq!(chosen(at_most(1), Some(255), 0b111), Some(1));
        assert_eq!(chosen(at_most(1), Some(0), 0b111), Some(0));
        assert_eq!(chosen(at_most(1), Some(255), 0b101), Some(0));
        assert_eq!(chosen(at_most(0), Some(255), 0b110), Some(1));
        assert_eq!(chosen(at_most(0), Some(255), 0b000), None);
        assert_eq!(chosen(LayerWish::Off, Some(255), 0b111), None);
        assert_eq!(chosen(LayerWish::Best, None, 0b111), None);
    }
}
