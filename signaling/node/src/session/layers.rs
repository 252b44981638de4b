//! Simulcast: in offers, and which layer of what the client is sent.
//!
//! Layers that nobody watches ([`minamo_sfu_core::model::PeerEvent::LayersWatched`]) go on being sent. RFC 8853 would have it that a
//! re-offer with `a=simulcast:recv r0;r1;~r2` pauses one, and Chromium does that: `active` becomes false, and true again with
//! the `~` gone. But Sora's SDKs write the `encodings` of their first offer into the sender again between taking a re-offer and
//! answering it, and a re-offer cannot bring others: sora-js-sdk 2026.1.0 in Chromium 156 answers `send r0;r1;r2` and the layer never
//! stops. Leaving the layer out altogether makes that step fail, and with it the re-offer. What does work is a layer paused from the
//! first offer on, by `simulcast_encodings` of the auth webhook, since then the stored `encodings` say so too. WHIP has no re-offers.

use std::collections::HashMap;

use minamo_media::TrackId;
use minamo_sfu_core::model::{Command, Downlink, LayerWish, PeerId};
use minamo_signaling_proto::api::VideoSpec;
use minamo_signaling_proto::sdp::UplinkLayer;
use minamo_signaling_proto::sora::{Connect, Encoding, ForwardingWishes, OfferedLayers, Rid};

use super::Published;

/// A track that the client is to be sent, and in which layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The track.
    pub published: Published,
    /// The layer that is wished for this client.
    pub layer: LayerWish,
}

/// The layers wished and those that the SFU was told. At most one of each for every track wanted.
#[derive(Debug, Default)]
pub(super) struct Layers {
    wished: HashMap<TrackId, LayerWish>,
    told: HashMap<TrackId, LayerWish>,
}

impl Layers {
    /// The tracks without their layers, which are remembered.
    pub(super) fn wish(&mut self, wanted: Vec<Wanted>) -> Vec<Published> {
        self.wished = wanted.iter().map(|wanted| (wanted.published.info.track, wanted.layer)).collect();
        wanted.into_iter().map(|wanted| wanted.published).collect()
    }

    /// What the SFU must be told of tracks that it sends already.
    pub(super) fn changes(&mut self, peer: PeerId) -> Vec<Command> {
        let mut commands = Vec::new();
        for (track, told) in &mut self.told {
            if let Some(wished) = self.wished.get(track).filter(|wished| *wished != told) {
                *told = *wished;
                commands.push(Command::SetLayer(peer, *track, *wished));
            }
        }
        commands
    }

    /// A track begins, in the layer that is wished now.
    pub(super) fn begin(&mut self, downlink: Downlink) -> Downlink {
        let layer = self.wished.get(&downlink.track).copied().unwrap_or_default();
        self.told.insert(downlink.track, layer);
        Downlink { layer, ..downlink }
    }

    /// A track is over.
    pub(super) fn end(&mut self, track: TrackId) {
        self.told.remove(&track);
    }
}

/// The layers that a client is offered to send, lowest first; none without simulcast. All codecs can.
pub(super) fn of_uplink(wishes: &ForwardingWishes) -> Vec<UplinkLayer> {
    let layer = |encoding: Encoding| UplinkLayer { rid: encoding.rid.name().into(), active: encoding.active };
    encodings(wishes).into_iter().map(layer).collect()
}

fn encodings(wishes: &ForwardingWishes) -> Vec<Encoding> {
    if !wishes.simulcast {
        return Vec::new();
    }
    wishes.encodings.clone().unwrap_or_else(Encoding::usual)
}

/// A channel with several rungs asks the publisher for them first, unless the auth webhook has its own idea of the layers.
pub(crate) fn ask_for(connect: &mut Connect, ladder: &[VideoSpec]) {
    if ladder.len() < 2 || !connect.role.sends() || connect.video.is_none() || connect.forwarding.encodings.is_some() {
        return;
    }
    let rungs: Vec<_> = ladder.iter().map(|rung| (rung.height, rung.fps, rung.bps)).collect();
    connect.forwarding.simulcast = true;
    connect.forwarding.encodings = Some(Encoding::of_ladder(&rungs));
}

/// The most bits per second that pictures need: of all rungs that are asked for at once, or of the only one.
pub(crate) fn video_bps_max(ladder: &[VideoSpec]) -> Option<u32> {
    (!ladder.is_empty()).then(|| ladder.iter().take(Rid::ALL.len()).map(|rung| rung.bps).fold(0, u32::saturating_add))
}

/// What the offer says of it. A sender without video has no layers, so none are agreed on; a receiver sends none, and is told
/// that it may ask for them.
pub(super) fn offered(connect: &Connect) -> OfferedLayers {
    let sends = connect.role.sends();
    let simulcast = connect.forwarding.simulcast && (!sends || connect.video.is_some());
    OfferedLayers {
        simulcast,
        simulcast_multicodec: false,
        spotlight: connect.forwarding.spotlight.is_some(),
        encodings: if sends && simulcast { encodings(&connect.forwarding) } else { Vec::new() },
    }
}
