//! What the publisher sends: 30 pictures of nine packets and 50 packets of sound a second, 2.5 Mbit/s of video.

use minamo_media::rtp::Header;
use minamo_media::{Codec, TrackId};
use minamo_sfu_core::model::{Downlink, Extensions, LayerWish, Payload, Uplink};

use crate::light::TRANSPORT_CC;

/// Packets of a picture.
pub const PICTURE: usize = 9;
/// Payload of a video packet: 30 × 9 × 1157 × 8 is 2.5 Mbit/s.
pub const VIDEO_BYTES: usize = 1157;
/// Payload of a packet of sound: 64 kbit/s.
pub const AUDIO_BYTES: usize = 160;
/// Packets a second, of both.
pub const PER_SECOND: u64 = 30 * PICTURE as u64 + 50;

/// STAP-A (RFC 6184 §5.7.1) of an SPS and a PPS.
const PARAMETER_SETS: [u8; 13] = [0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 4, 0x68, 0xce, 0x3c, 0x80];

const VIDEO: Payload = Payload { codec: Codec::H264, pt: 102, rtx_pt: Some(103), red_pt: None };
const AUDIO: Payload = Payload { codec: Codec::Opus, pt: 111, rtx_pt: None, red_pt: None };
const EXTENSIONS: Extensions = Extensions {
    mid: Some(1),
    rid: None,
    repaired_rid: None,
    transport_cc: Some(TRANSPORT_CC),
    abs_send_time: None,
    audio_level: None,
    video_orientation: None,
    dependency_descriptor: None,
};

/// Writes the plain packets of one publisher.
pub struct Source {
    ssrc: u32,
    wide: u16,
    sequences: [u16; 2],
    pictures: u32,
    sounds: u32,
}

impl Source {
    /// The tracks `2n` (video) and `2n + 1` (sound) of publisher `n`.
    #[must_use]
    pub fn new(publisher: u64) -> Self {
        Self { ssrc: 0x10_0000 + 16 * publisher as u32, wide: 0, sequences: [1000; 2], pictures: 0, sounds: 0 }
    }

    /// The uplinks of publisher `n`.
    #[must_use]
    pub fn uplinks(publisher: u64) -> [Uplink; 2] {
        let ssrc = 0x10_0000 + 16 * publisher as u32;
        [VIDEO, AUDIO].map(|payload| {
            let at = usize::from(payload.codec == Codec::Opus);
            Uplink {
                track: TrackId(2 * publisher + at as u64),
                mid: ["v", "a"][at].into(),
                payload,
                extensions: EXTENSIONS,
                ssrc: Some(ssrc + at as u32),
                rtx_ssrc: (at == 0).then_some(ssrc + 2),
                rids: Vec::new(),
                tap: None,
            }
        })
    }

    /// The downlinks of those two to a subscriber that is sent `nth` publishers before.
    #[must_use]
    pub fn downlinks(publisher: u64, nth: u32) -> [Downlink; 2] {
        [VIDEO, AUDIO].map(|payload| {
            let at = u32::from(payload.codec == Codec::Opus);
            Downlink {
                track: TrackId(2 * publisher + u64::from(at)),
                mid: format!("{}", 2 * nth + at),
                payload,
                extensions: EXTENSIONS,
                ssrc: 0x20_0000 + 16 * nth + at,
                rtx_ssrc: (at == 0).then_some(0x20_0000 + 16 * nth + 2),
                layer: LayerWish::Best,
            }
        })
    }

    /// A picture. The first is a key frame, and so is one every 20 s.
    pub fn picture(&mut self) -> Vec<Vec<u8>> {
        let key = self.pictures.is_multiple_of(600);
        self.pictures += 1;
        let timestamp = self.pictures.wrapping_mul(3000);
        // As encoders do: parameter sets before each key frame. Nobody may begin without them.
        let sets = key.then(|| self.packet(0, false, timestamp, &PARAMETER_SETS));
        let slices = (0..PICTURE)
            .map(|at| {
                // FU-A (RFC 6184 §5.8) of an IDR or of another slice.
                let kind = if key { 5 } else { 1 };
                let ends = u8::from(at == 0) << 7 | u8::from(at + 1 == PICTURE) << 6;
                let mut payload = vec![0x5A; VIDEO_BYTES];
                payload[..2].copy_from_slice(&[0x7C, ends | kind]);
                self.packet(0, at + 1 == PICTURE, timestamp, &payload)
            })
            .collect::<Vec<_>>();
        sets.into_iter().chain(slices).collect()
    }

    /// 20 ms of sound.
    pub fn sound(&mut self) -> Vec<u8> {
        self.sounds += 1;
        self.packet(1, false, self.sounds.wrapping_mul(960), &[0xF8; AUDIO_BYTES])
    }

    fn packet(&mut self, at: usize, marker: bool, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        self.wide = self.wide.wrapping_add(1);
        self.sequences[at] = self.sequences[at].wrapping_add(1);
        let mut out = Vec::with_capacity(payload.len() + 28);
        let wide = self.wide.to_be_bytes();
        let extensions: &[(u8, &[u8])] = &[(1, [b"v", b"a"][at]), (TRANSPORT_CC, &wide)];
        let payload_type = [VIDEO.pt, AUDIO.pt][at];
        let (sequence, ssrc) = (self.sequences[at], self.ssrc + at as u32);
        Header { marker, payload_type, sequence, timestamp, ssrc, extensions }.write(&mut out);
        out.extend_from_slice(payload);
        out
    }
}
