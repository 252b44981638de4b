//! Which layer of whom a receiver wants to see.

use std::collections::BTreeMap;

use minamo_media::ConnectionId;

use crate::model::{Layer, LayerWish};

/// The layers of those in focus and of all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FocusLayers {
    /// Of a sender in focus.
    pub focused: LayerWish,
    /// Of a sender that takes part in the spotlight and is not in focus.
    pub unfocused: LayerWish,
}

/// The middle one for those in focus, the lowest for the rest.
impl Default for FocusLayers {
    fn default() -> Self {
        Self { focused: LayerWish::AtMost(Layer(1)), unfocused: LayerWish::AtMost(Layer(0)) }
    }
}

/// What a receiver has asked for. Bounded: at most one entry for each other member of the room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    layer: LayerWish,
    of_sender: BTreeMap<ConnectionId, LayerWish>,
    spotlight: Option<SpotlightView>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SpotlightView {
    at_first: FocusLayers,
    now: FocusLayers,
    of_sender: BTreeMap<ConnectionId, FocusLayers>,
}

impl View {
    /// Begins with that layer of everybody, or with the spotlight's layers.
    #[must_use]
    pub fn new(layer: LayerWish, spotlight: Option<FocusLayers>) -> Self {
        let spotlight = spotlight.map(|at_first| SpotlightView { at_first, now: at_first, of_sender: BTreeMap::new() });
        Self { layer, of_sender: BTreeMap::new(), spotlight }
    }

    /// Takes part in the spotlight.
    #[must_use]
    pub fn has_spotlight(&self) -> bool {
        self.spotlight.is_some()
    }

    /// What it wants of a sender's video. `focused` is `None` for a sender that takes no part in the spotlight. What was asked for
    /// this sender goes first, then the spotlight, then what was asked for everybody.
    pub(super) fn layer(&self, sender: &ConnectionId, focused: Option<bool>) -> LayerWish {
        if let Some(layer) = self.of_sender.get(sender) {
            return *layer;
        }
        match (&self.spotlight, focused) {
            (Some(spotlight), Some(focused)) => {
                let layers = spotlight.of_sender.get(sender).unwrap_or(&spotlight.now);
                if focused { layers.focused } else { layers.unfocused }
            }
            _ => self.layer,
        }
    }

    /// What was asked for: of this sender, else of everybody.
    pub(super) fn asked(&self, sender: &ConnectionId) -> LayerWish {
        self.of_sender.get(sender).copied().unwrap_or(self.layer)
    }

    /// Asks for a layer of one sender, or of everybody: what was asked for single ones before is then over.
    pub(super) fn ask(&mut self, sender: Option<&ConnectionId>, layer: LayerWish) {
        match sender {
            Some(sender) => {
                self.of_sender.insert(sender.clone(), layer);
            }
            None => {
                self.of_sender.clear();
                self.layer = layer;
            }
        }
    }

    /// Whether it takes part in the spotlight; nothing is changed otherwise.
    pub(super) fn ask_in_spotlight(&mut self, sender: Option<&ConnectionId>, layers: FocusLayers) -> bool {
        let Some(spotlight) = &mut self.spotlight else { return false };
        match sender {
            Some(sender) => {
                spotlight.of_sender.insert(sender.clone(), layers);
            }
            None => {
                spotlight.of_sender.clear();
                spotlight.now = layers;
            }
        }
        true
    }

    /// Back to what it joined with. Whether it takes part in the spotlight.
    pub(super) fn reset_spotlight(&mut self, sender: Option<&ConnectionId>) -> bool {
        let Some(spotlight) = &mut self.spotlight else { return false };
        match sender {
            Some(sender) => {
                spotlight.of_sender.remove(sender);
            }
            None => {
                spotlight.of_sender.clear();
                spotlight.now = spotlight.at_first;
            }
        }
        true
    }

    pub(super) fn forget(&mut self, sender: &ConnectionId) {
        self.of_sender.remove(sender);
        if let Some(spotlight) = &mut self.spotlight {
            spotlight.of_sender.remove(sender);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: LayerWish = LayerWish::AtMost(Layer(0));
    const HIGH: LayerWish = LayerWish::AtMost(Layer(2));

    #[test]
    fn the_most_specific_wish_goes_first() {
        let (a, b) = (ConnectionId::from("a"), ConnectionId::from("b"));
        let mut view = View::new(LOW, Some(FocusLayers { focused: HIGH, unfocused: LayerWish::Off }));
        let of = |view: &View| [view.layer(&a, Some(true)), view.layer(&a, Some(false)), view.layer(&b, None)];
        assert_eq!(of(&view), [HIGH, LayerWish::Off, LOW]);
        assert!(view.ask_in_spotlight(Some(&a), FocusLayers { focused: LOW, unfocused: LOW }));
        assert_eq!(of(&view), [LOW, LOW, LOW]);
        assert!(view.reset_spotlight(Some(&a)));
        view.ask(Some(&a), LayerWish::Best);
        assert_eq!(of(&view), [LayerWish::Best, LayerWish::Best, LOW]);
        view.ask(None, HIGH);
        assert_eq!(of(&view), [HIGH, LayerWish::Off, HIGH]);
        assert!(view.ask_in_spotlight(None, FocusLayers::default()) && view.reset_spotlight(None));
        assert_eq!(of(&view), [HIGH, LayerWish::Off, HIGH]);
        let mut plain = View::new(LOW, None);
        assert!(!plain.ask_in_spotlight(None, FocusLayers::default()) && !plain.reset_spotlight(None));
        assert_eq!(plain.layer(&a, Some(true)), LOW);
    }
}
