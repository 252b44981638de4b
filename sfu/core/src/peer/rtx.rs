//! Retransmission packets back into the packets that they repeat (RFC 4588 §4).

use bytes::BytesMut;
use minamo_media::rtp::Packet;

/// Makes the original of a retransmission, in place: the two bytes of the original sequence number leave the payload for the header.
/// `None` where there is no original: the packet is only padding, a bandwidth probe.
pub(crate) fn unwrap(mut bytes: BytesMut, ssrc: u32, pt: u8) -> Option<BytesMut> {
    let (payload, marker, sequence) = {
        let packet = Packet::parse(&bytes).ok()?;
        let sequence: [u8; 2] = packet.payload().get(..2)?.try_into().ok()?;
        (packet.payload_range(), packet.marker(), sequence)
    };
    if payload.len() <= 2 {
        return None;
    }
    // The header moves two bytes up, over the original sequence number; padding stays behind.
    bytes.truncate(payload.end);
    bytes.copy_within(..payload.start, 2);
    let mut bytes = bytes.split_off(2);
    bytes[0] &= !0x20;
    bytes[1] = u8::from(marker) << 7 | pt & 0x7f;
    bytes[2..4].copy_from_slice(&sequence);
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use minamo_media::rtp::Header;

    use super::*;

    fn rtx(payload: &[u8], padding: u8) -> BytesMut {
        let mut bytes = BytesMut::new();
        let extensions: &[(u8, &[u8])] = &[(4, b"v")];
        Header { marker: true, payload_type: 97, sequence: 9, timestamp: 77, ssrc: 5, extensions }.write(&mut bytes);
        bytes.extend_from_slice(payload);
        if padding > 0 {
            bytes.resize(bytes.len() + usize::from(padding), padding);
            bytes[0] |= 0x20;
        }
        bytes
    }

    #[test]
    fn the_original_comes_back() {
        for padding in [0, 7] {
            let bytes = unwrap(rtx(&[0x12, 0x34, 1, 2, 3], padding), 6, 96).unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!((packet.ssrc(), packet.sequence(), packet.payload_type(), packet.timestamp()), (6, 0x1234, 96, 77));
            assert!(packet.marker());
            assert_eq!(packet.extension(4), Some(b"v".as_slice()));
            assert_eq!(packet.payload(), [1, 2, 3]);
        }
    }

    #[test]
    fn probes_have_no_original() {
        assert_eq!(unwrap(rtx(&[], 200), 6, 96), None);
        assert_eq!(unwrap(rtx(&[0x12, 0x34], 200), 6, 96), None);
        assert_eq!(unwrap(rtx(&[0x12], 0), 6, 96), None);
        assert_eq!(unwrap(BytesMut::from(&[0u8; 3][..]), 6, 96), None);
    }
}
