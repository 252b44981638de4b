//! Payloads as far as an SFU reads them, with a note inside of what each is.

use minamo_media::Codec;
use minamo_media::rtp::{Inspector, PictureId};

/// The picture that nothing refers to.
pub const NOTHING: u32 = u32::MAX;

/// One packet of a picture. Pictures are counted by the moment at which they were taken, in all layers alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice {
    pub layer: u8,
    pub picture: u32,
    /// The picture of the same layer that it needs, or [`NOTHING`].
    pub refers: u32,
    pub temporal: u8,
    /// Which packet of how many.
    pub at: u8,
    pub of: u8,
}

/// The numbers in the descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub id: u16,
    pub tl0: u8,
}

impl Slice {
    pub fn is_key(&self) -> bool {
        self.refers == NOTHING
    }

    fn note(&self) -> [u8; 12] {
        let [p0, p1, p2, p3] = self.picture.to_be_bytes();
        let [r0, r1, r2, r3] = self.refers.to_be_bytes();
        [p0, p1, p2, p3, r0, r1, r2, r3, self.layer, self.temporal, self.at, self.of]
    }

    fn of_note(note: &[u8]) -> Option<Self> {
        let [p0, p1, p2, p3, r0, r1, r2, r3, layer, temporal, at, of, ..] = *note else { return None };
        let (picture, refers) = (u32::from_be_bytes([p0, p1, p2, p3]), u32::from_be_bytes([r0, r1, r2, r3]));
        Some(Self { layer, picture, refers, temporal, at, of })
    }

    /// The payload, and the dependency descriptor of AV1.
    pub fn write(&self, codec: Codec, numbers: Numbers, sync: bool, size: usize) -> (Vec<u8>, Vec<u8>) {
        let (first, last, key) = (self.at == 0, self.at + 1 == self.of, self.is_key());
        let [high, low] = numbers.id.to_be_bytes();
        let mut payload = match codec {
            Codec::Vp8 => {
                let layer = self.temporal << 6 | u8::from(sync) << 5;
                vec![0x80 | u8::from(first) << 4, 0xE0, 0x80 | high, low, numbers.tl0, layer, u8::from(!key)]
            }
            Codec::Vp9 => {
                let flags = 0xA0 | u8::from(!key) << 6 | u8::from(first) << 3 | u8::from(last) << 2;
                vec![flags, 0x80 | high, low, self.temporal << 5 | 0x10, numbers.tl0]
            }
            Codec::Av1 if first => vec![0x10 | u8::from(key) << 3, if key { 0x0A } else { 0x32 }],
            Codec::Av1 => vec![0x90, 0],
            _ if key => vec![if first { 0x67 } else { 0x65 }],
            _ => vec![0x41],
        };
        payload.extend_from_slice(&self.note());
        payload.resize(payload.len().max(size), 0xEE);
        let descriptor = if codec == Codec::Av1 { self.dependencies(numbers.id) } else { Vec::new() };
        (payload, descriptor)
    }

    /// Three templates, one for each temporal layer. The structure comes with a key frame and is longer than 16 bytes.
    fn dependencies(&self, id: u16) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        let head = u8::from(self.at == 0) << 7 | u8::from(self.at + 1 == self.of) << 6 | self.temporal;
        let mut data = vec![head, high, low];
        if self.is_key() && self.at == 0 {
            // Flags 10000; offset 000000; two more targets 00010; layers 01 01 11; indications 101010 001010 000001.
            data.extend([0b1000_0000, 0b0000_0010, 0b0101_1110, 0b1010_0010, 0b1000_0001]);
            data.resize(30, 0);
        }
        data
    }

    /// The other way: what the packet is, and which numbers it has now.
    pub fn read(codec: Codec, payload: &[u8], descriptor: Option<&[u8]>) -> Option<(Self, Numbers)> {
        let head = match codec {
            Codec::Vp8 => 7,
            Codec::Vp9 => 5,
            Codec::Av1 => 2,
            _ => 1,
        };
        let picture = Inspector::new(codec).inspect(payload, descriptor);
        let id = picture.id.map_or(0, |PictureId { value, .. }| value);
        Some((Self::of_note(payload.get(head..)?)?, Numbers { id, tl0: picture.tl0.unwrap_or(0) }))
    }
}

#[test]
fn what_is_written_is_read() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
        let slice = Slice { layer: 2, picture: 77, refers: NOTHING, temporal: 0, at: 0, of: 3 };
        let (payload, descriptor) = slice.write(codec, Numbers { id: 5, tl0: 0 }, false, 100);
        let picture = Inspector::new(codec).inspect(&payload, Some(&descriptor));
        assert!(picture.key && picture.first, "{codec:?} {picture:?}");
        assert_eq!(Slice::read(codec, &payload, Some(&descriptor)).map(|(slice, _)| slice), Some(slice));
    }
}
