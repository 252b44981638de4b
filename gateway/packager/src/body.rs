//! A rendered playlist, and the same compressed: each made at most once and shared by all who wait (rule 20).

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A playlist's bytes.
#[derive(Debug)]
pub struct Body {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
}

impl Body {
    /// Wraps rendered text.
    #[must_use]
    pub fn new(plain: Bytes) -> Self {
        Self { plain, gzip: OnceLock::new() }
    }

    /// UTF-8 text, `application/vnd.apple.mpegurl`.
    #[must_use]
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// The same with `Content-Encoding: gzip`. Compressed on first use, whoever asks first.
    #[must_use]
    pub fn gzip(&self) -> &Bytes {
        self.gzip.get_or_init(|| compress(&self.plain))
    }
}

fn compress(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), Compression::fast());
    // Writing into a Vec cannot fail; should it ever, an empty gzip answer is visible at once.
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    Bytes::from(written.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn gzip_is_made_once_and_unpacks_to_the_same() {
        let body = Body::new(Bytes::from("#EXTM3U\n".repeat(200)));
        let first = body.gzip().as_ptr();
        assert_eq!(first, body.gzip().as_ptr());
        assert!(body.gzip().len() < body.plain().len() / 4);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body.gzip()[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.as_bytes(), &body.plain()[..]);
    }
}
