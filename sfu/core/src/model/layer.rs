//! Simulcast layers: what is wished and what is sent.

/// Which of a track's simulcast layers, counted from the lowest: an index into [`Uplink::rids`](super::Uplink::rids).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layer(pub u8);

/// What a subscriber wants of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LayerWish {
    /// The best layer that its link carries.
    #[default]
    Best,
    /// This layer, or the best one below it that exists and that its link carries.
    AtMost(Layer),
    /// Nothing for now; the downlink stays.
    Off,
}

/// Why a subscriber was switched to another layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerCause {
    /// The subscriber's wish.
    Wish,
    /// Its link carries less, or more again.
    Bandwidth,
    /// The publisher stopped or began sending a layer.
    Publisher,
}
