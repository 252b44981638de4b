//! Simulcast in offers.

use minamo_signaling_proto::sdp::UplinkLayer;
use minamo_signaling_proto::sora::{Connect, Encoding, ForwardingWishes, OfferedLayers};

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
