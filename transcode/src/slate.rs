//! The picture that stands for a publisher who is away.

use crate::font;
use crate::picture::Picture;
use crate::video::{EncodedPicture, VideoEncoder, VideoError, VideoSettings};
use crate::{OpenH264Encoder, Profile};

/// Limited range: dark grey, not quite white.
const BACKGROUND: u8 = 28;
const LETTERS: u8 = 200;

/// One group of pictures that stand still, encoded once: an IDR, then pictures that change nothing. It may be shown again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slate {
    /// The IDR first.
    pub pictures: Vec<EncodedPicture>,
}

impl Slate {
    /// A grey picture with one line of text (capitals, digits; empty: plain), and `count` pictures of it at `fps`.
    ///
    /// # Errors
    /// A size that the encoder does not take.
    pub fn new(
        text: &str,
        (width, height): (usize, usize),
        fps: f32,
        count: usize,
        profile: Profile,
    ) -> Result<Self, VideoError> {
        let mut picture = Picture::black(width, height);
        picture.planes_mut()[0].fill(BACKGROUND);
        font::write(&mut picture, text, LETTERS);
        // Letters cost bits once; what follows costs none.
        let settings = VideoSettings { bitrate: 1_000_000, fps, profile };
        let mut encoder = OpenH264Encoder::new(settings)?;
        let pictures = (0..count.max(1)).map(|_| encoder.encode(picture.view())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { pictures: pictures.into_iter().flatten().collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenH264Decoder, VideoDecoder};

    #[test]
    fn a_slate_is_one_key_frame_and_small_change_and_can_be_repeated() {
        let slate = Slate::new("Back soon", (640, 360), 10.0, 20, Profile::Main).unwrap();
        assert_eq!(slate.pictures.len(), 20);
        assert!(slate.pictures[0].key && slate.pictures[1..].iter().all(|picture| !picture.key));
        let change: usize = slate.pictures[1..].iter().map(|picture| picture.data.len()).sum();
        assert!(change < 4000, "{change} bytes");
        let mut decoder = OpenH264Decoder::new().unwrap();
        for picture in slate.pictures.iter().chain(&slate.pictures) {
            let mut bright = 0;
            decoder
                .decode(&picture.data, &mut |shown| {
                    bright = (0..360).flat_map(|row| &shown.y[row * shown.stride..][..640]).filter(|pixel| **pixel > 150).count();
                })
                .unwrap();
            // Nine letters of some twenty dots of 8 × 8 pixels or so.
            assert!((4_000..20_000).contains(&bright), "{bright}");
        }
    }

    #[test]
    fn without_words_it_is_plain() {
        let slate = Slate::new("", (320, 180), 10.0, 2, Profile::Baseline).unwrap();
        assert!(slate.pictures[0].data.len() < 600);
        assert!(Slate::new(&"x".repeat(1000), (320, 180), 10.0, 1, Profile::Baseline).is_ok());
        assert!(Slate::new("x", (8000, 8000), 10.0, 1, Profile::Baseline).is_err());
    }
}
