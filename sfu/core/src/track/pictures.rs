//! The pictures of one source on an unbroken count: it goes on when the publisher begins another one.

use minamo_media::Codec;
use minamo_media::rtp::{Inspector, Picture};

/// What the forwarding of a packet needs to know of its picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Running number of the picture. 0 for all where pictures have none.
    pub number: u32,
    /// Bits of the number in the packet; 0 where it has none.
    pub bits: u8,
    /// Running number of base-layer pictures, where there is one.
    pub tl0: Option<u8>,
    pub temporal: u8,
    /// This temporal layer can be begun with this picture.
    pub sync: bool,
    /// All temporal layers can be begun behind this picture.
    pub switching_up: bool,
    /// A subscriber can begin with this packet.
    pub opens: bool,
    /// The numbers are not those in the packet.
    pub shifted: bool,
    /// Of sound: it repeats what came before (RFC 2198).
    pub red: bool,
}

#[derive(Debug)]
pub(super) struct Pictures {
    inspector: Inspector,
    /// The highest number so far, and what was added to the packet's to get it.
    highest: Option<u32>,
    shift: u32,
    tl0: Option<u8>,
    tl0_shift: u8,
    restarted: bool,
}

impl Pictures {
    pub(super) fn new(codec: Codec) -> Self {
        Self { inspector: Inspector::new(codec), highest: None, shift: 0, tl0: None, tl0_shift: 0, restarted: false }
    }

    /// Another source comes: its pictures follow those of the one before, whatever their numbers.
    pub(super) fn restart(&mut self) {
        self.restarted = true;
    }

    /// Takes note of a packet with content. `opens` is left open.
    pub(super) fn note(&mut self, payload: &[u8], descriptor: Option<&[u8]>) -> (Picture, Marks) {
        let picture = self.inspector.inspect(payload, descriptor);
        let mut marks =
            Marks { temporal: picture.temporal, sync: picture.sync, switching_up: picture.switching_up, ..Marks::default() };
        if std::mem::take(&mut self.restarted) {
            self.resume(&picture);
        }
        if let Some(id) = picture.id {
            (marks.number, marks.bits) = (self.extend(id.value, id.bits), id.bits);
            marks.shifted = self.shift != 0;
        }
        if let Some(tl0) = picture.tl0 {
            let tl0 = tl0.wrapping_add(self.tl0_shift);
            marks.tl0 = Some(tl0);
            marks.shifted |= self.tl0_shift != 0;
            if self.tl0.is_none_or(|highest| tl0.wrapping_sub(highest) < 0x80) {
                self.tl0 = Some(tl0);
            }
        }
        (picture, marks)
    }

    fn resume(&mut self, picture: &Picture) {
        if let Some((highest, id)) = self.highest.zip(picture.id) {
            self.shift = (highest + 1).wrapping_sub(u32::from(id.value));
        }
        if let Some((highest, tl0)) = self.tl0.zip(picture.tl0) {
            self.tl0_shift = highest.wrapping_add(1).wrapping_sub(tl0);
        }
    }

    /// The first lands in the second cycle, so that pictures overtaken by it stay positive.
    fn extend(&mut self, value: u16, bits: u8) -> u32 {
        let span = 1u32 << bits;
        let value = u32::from(value).wrapping_add(self.shift);
        let number = match self.highest {
            None => span + value,
            Some(highest) => {
                let ahead = value.wrapping_sub(highest) & (span - 1);
                if ahead < span / 2 { highest.wrapping_add(ahead) } else { highest.wrapping_sub(span - ahead) }
            }
        };
        if self.highest.is_none_or(|highest| number > highest) {
            self.highest = Some(number);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vp8(id: u16, tl0: u8) -> Vec<u8> {
        [&[0x90, 0xE0][..], &(id | 0x8000).to_be_bytes(), &[tl0, 0, 0x11]].concat()
    }

    #[test]
    fn the_count_goes_on_across_wraps_and_sources() {
        let mut pictures = Pictures::new(Codec::Vp8);
        let number = |pictures: &mut Pictures, id, tl0| pictures.note(&vp8(id, tl0), None).1;
        let first = number(&mut pictures, 0x7FFE, 254);
        assert_eq!((first.number & 0x7FFF, first.tl0, first.shifted), (0x7FFE, Some(254), false));
        assert_eq!(number(&mut pictures, 1, 0).number, first.number + 3);
        assert_eq!(number(&mut pictures, 0x7FFF, 255).number, first.number + 1);
        pictures.restart();
        let next = number(&mut pictures, 500, 9);
        assert_eq!((next.number, next.tl0, next.shifted), (first.number + 4, Some(1), true));
        assert_eq!(number(&mut pictures, 501, 10).number, first.number + 5);
        assert_eq!(number(&mut pictures, 499, 8).number, first.number + 3);
    }
}
