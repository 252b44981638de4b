//! Packets that carry nothing, to find out whether more would get through.

use minamo_media::rtp::Header;

use super::Downlink;

impl Downlink {
    /// Whether padding can be sent beside the track: only where retransmissions have a sequence of their own, else the track's would
    /// get holes.
    pub(crate) fn can_pad(&self) -> bool {
        self.spec.rtx_ssrc.is_some() && self.spec.payload.rtx_pt.is_some() && self.spec.extensions.transport_cc.is_some()
    }

    /// Writes an empty retransmission with so many bytes of padding, at least one.
    pub(crate) fn write_padding(&mut self, bytes: u8, out: &mut Vec<u8>) {
        let bytes = bytes.max(1);
        self.rtx_seq = self.rtx_seq.wrapping_add(1);
        let mut extensions = [(0u8, [].as_slice()); 2];
        let to = &self.spec.extensions;
        if let Some(id) = to.transport_cc {
            extensions[0] = (id, &[0, 0]);
        }
        if let Some(id) = to.mid {
            extensions[1] = (id, self.spec.mid.as_bytes());
        }
        let header = Header {
            marker: false,
            payload_type: self.spec.payload.rtx_pt.unwrap_or(self.spec.payload.pt),
            sequence: self.rtx_seq,
            timestamp: self.course.timestamp_offset().unwrap_or(0),
            ssrc: self.spec.rtx_ssrc.unwrap_or(self.spec.ssrc),
            extensions: &extensions,
        };
        out.clear();
        header.write(out);
        out[0] |= 0x20;
        out.resize(out.len() + usize::from(bytes), 0);
        if let Some(last) = out.last_mut() {
            *last = bytes;
        }
    }
}
