//! The zlib format (RFC 1950), bounded.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// Compresses. Speed before size: a re-offer shrinks to a tenth either way.
pub(super) fn deflate(data: &[u8]) -> Bytes {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(data.len() / 4 + 64), Compression::fast());
    // Writing into memory cannot fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default().into()
}

/// Decompresses; `None` when it is no zlib data, is cut off, or would grow beyond `bytes_max`: no more than that is ever held.
pub(super) fn inflate(data: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(bytes_max).ok()?.saturating_add(1);
    ZlibDecoder::new(data).take(limit).read_to_end(&mut inflated).ok()?;
    (inflated.len() <= bytes_max).then_some(inflated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_within_bounds() {
        let text = "re-offer ".repeat(1000);
        let small = deflate(text.as_bytes());
        assert!(small.len() < 200 && small[0] == 0x78, "{}", small.len());
        assert_eq!(inflate(&small, text.len()).as_deref(), Some(text.as_bytes()));
        assert_eq!(inflate(&small, text.len() - 1), None, "a bomb");
        assert_eq!(inflate(&small[..small.len() - 8], text.len()), None, "cut off");
        assert_eq!(inflate(b"{}", 100), None, "not zlib");
    }
}
