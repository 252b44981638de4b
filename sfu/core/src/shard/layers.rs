//! Which layers subscribers are sent: wishes, allowances, and what the publishers send.

use std::time::Instant;

use minamo_media::TrackId;

use super::{PeerTransport, Shard};
use crate::downlink::Allowance;
use crate::model::PeerId;

impl<T: PeerTransport> Shard<T> {
    /// The allocation of bandwidth has decided how much of a track a subscriber's link carries. Takes effect at the next key frame of
    /// the layer that follows from it, which is asked for; fewer temporal layers and nothing at all take effect at once.
    pub(crate) fn allow(&mut self, _now: Instant, id: PeerId, track: TrackId, allowance: Allowance) {
        let Some(downlink) = self.peers.get_mut(&id).and_then(|peer| peer.downlink(track)) else { return };
        downlink.set_allowance(allowance);
    }
}
