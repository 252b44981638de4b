//! The header of a track's packets to one subscriber, as far as it is the same in all of them: made once, then copied and filled in.

use minamo_media::rtp::Header;

use super::Spec;

/// Bytes kept: 12, and extensions with a name of up to 16 bytes. What does not fit is made anew each time.
const ROOM: usize = 47;

/// An extension: id and content.
type Extension<'a> = (u8, &'a [u8]);

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
}

impl Numbers {
    pub(super) fn header<'a>(&self, extensions: &'a [Extension<'a>]) -> Header<'a> {
        let Self { marker, payload_type, sequence, timestamp, ssrc } = *self;
        Header { marker, payload_type, sequence, timestamp, ssrc, extensions }
    }
}

/// The extensions that every packet has. First the place for its transport-wide number: whoever sends it looks for it there.
pub(super) fn own(spec: &Spec) -> [Extension<'_>; 2] {
    let number = spec.extensions.transport_cc.map(|id| (id, [0, 0].as_slice()));
    let mid = spec.extensions.mid.map(|id| (id, spec.mid.as_bytes()));
    [number.unwrap_or_default(), mid.unwrap_or_default()]
}

/// The header with nothing but [`own`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    bytes: [u8; ROOM],
    /// 0 where it does not fit.
    length: u8,
}

impl Head {
    pub(super) fn new(spec: &Spec) -> Self {
        let (mut bytes, mut whole) = ([0; ROOM], Vec::new());
        Numbers { marker: false, payload_type: 0, sequence: 0, timestamp: 0, ssrc: 0 }.header(&own(spec)).write(&mut whole);
        let room = bytes.get_mut(..whole.len());
        let length = room.map_or(0, |room| {
            room.copy_from_slice(&whole);
            whole.len() as u8
        });
        Self { bytes, length }
    }

    /// See [`super::Downlink::warm`].
    pub(super) fn warm(&self) -> u64 {
        u64::from(self.bytes[0]) ^ u64::from(self.length)
    }

    /// Appends the header. False, and nothing is appended, where it must be made anew.
    pub(super) fn write(&self, numbers: &Numbers, out: &mut Vec<u8>) -> bool {
        let mut bytes = self.bytes;
        let Some(head) = bytes.get_mut(..usize::from(self.length)).filter(|head| head.len() >= 12) else { return false };
        head[1] = u8::from(numbers.marker) << 7 | numbers.payload_type & 0x7f;
        head[2..4].copy_from_slice(&numbers.sequence.to_be_bytes());
        head[4..8].copy_from_slice(&numbers.timestamp.to_be_bytes());
        head[8..12].copy_from_slice(&numbers.ssrc.to_be_bytes());
        out.extend_from_slice(head);
        true
    }
}

#[cfg(test)]
mod tests {
    use minamo_media::{Codec, TrackId};

    use super::*;
    use crate::model::{Extensions, LayerWish, Payload};

    fn spec(mid: &str, transport_cc: Option<u8>) -> Spec {
        Spec {
            track: TrackId(1),
            mid: mid.to_owned(),
            payload: Payload { codec: Codec::Opus, pt: 111, rtx_pt: None, red_pt: None },
            extensions: Extensions { mid: Some(9), transport_cc, ..Extensions::default() },
            ssrc: 7,
            rtx_ssrc: None,
            layer: LayerWish::Best,
        }
    }

    #[test]
    fn it_is_what_would_be_written_anew() {
        let numbers = Numbers { marker: true, payload_type: 111, sequence: 0xfffe, timestamp: 0x1234_5678, ssrc: 0x9abc_def0 };
        for (mid, transport_cc, fits) in [
            ("0", Some(3), true),
            ("0", None, true),
            ("", None, true),
            ("a-mid-of-seventeen", Some(3), true),
            (&"m".repeat(40), None, false),
        ] {
            let spec = spec(mid, transport_cc);
            let (mut anew, mut copied) = (Vec::new(), vec![5]);
            numbers.header(&own(&spec)).write(&mut anew);
            assert_eq!(Head::new(&spec).write(&numbers, &mut copied), fits, "{mid}");
            assert_eq!(copied[1..], anew[..if fits { anew.len() } else { 0 }], "{mid}");
        }
    }
}
