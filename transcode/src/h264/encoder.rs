//! openh264 behind [`VideoEncoder`].

use super::raw::RawEncoder;
use crate::picture::I420;
use crate::video::{EncodedPicture, VideoEncoder, VideoError, VideoSettings};

/// An encoder by openh264: key frames only when asked for (and at the start, or a new size).
pub struct OpenH264Encoder {
    settings: VideoSettings,
    /// Made for the first picture's size, and again for another size.
    encoder: Option<RawEncoder>,
    key_wanted: bool,
    quiet: bool,
}

impl OpenH264Encoder {
    /// An encoder; the picture's size comes with the first picture.
    pub fn new(settings: VideoSettings) -> Result<Self, VideoError> {
        Ok(Self { settings, encoder: None, key_wanted: false, quiet: true })
    }
}

impl VideoEncoder for OpenH264Encoder {
    fn encode(&mut self, picture: I420<'_>) -> Result<Option<EncodedPicture>, VideoError> {
        let picture = picture.checked()?;
        let size = (picture.width, picture.height);
        let known = self.encoder.take().filter(|encoder| encoder.size == size);
        let anew = known.is_none();
        let encoder = match known {
            Some(encoder) => self.encoder.insert(encoder),
            None => self.encoder.insert(RawEncoder::new(self.settings, size, self.quiet)?),
        };
        if std::mem::take(&mut self.key_wanted) && !anew {
            encoder.force_key_frame()?;
        }
        encoder.encode(picture)
    }

    fn force_key_frame(&mut self) {
        self.key_wanted = true;
    }

    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), VideoError> {
        self.settings.bitrate = bitrate;
        self.encoder.as_mut().map_or(Ok(()), |encoder| encoder.set_bitrate(bitrate))
    }

    fn set_fps(&mut self, fps: f32) -> Result<(), VideoError> {
        self.settings.fps = fps;
        self.encoder.as_mut().map_or(Ok(()), |encoder| encoder.set_fps(fps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Profile;

    const SETTINGS: VideoSettings = VideoSettings { bitrate: 400_000, fps: 30.0, profile: Profile::Baseline };

    /// Blocks that change their shade, so that pictures cost bits.
    fn picture(n: usize, width: usize, height: usize) -> Vec<u8> {
        let shade = |i: usize| {
            let (x, y) = (i % width / 32, i / width / 32);
            (((x * 7 + y * 13 + n / 3) as u32).wrapping_mul(2_654_435_761) >> 25) as u8
        };
        (0..width * height * 3 / 2).map(shade).collect()
    }

    fn nal_types(data: &[u8]) -> Vec<u8> {
        let mut types = Vec::new();
        let mut rest = data;
        while let Some((length, body)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            types.push(body[0] & 0x1f);
            rest = &body[length..];
        }
        assert!(rest.is_empty());
        types
    }

    fn encode(encoder: &mut OpenH264Encoder, n: usize, width: usize, height: usize) -> EncodedPicture {
        let data = picture(n, width, height);
        encoder.encode(I420::from_packed(&data, width, height).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn key_frames_come_when_asked_and_only_then() {
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        encoder.force_key_frame(); // before the first picture: harmless
        for n in 0..90 {
            if n == 40 {
                encoder.force_key_frame();
            }
            let out = encode(&mut encoder, n, 320, 240);
            assert_eq!(out.key, n == 0 || n == 40, "picture {n}");
            let expected: &[u8] = if out.key { &[7, 8, 5] } else { &[1] };
            assert_eq!(nal_types(&out.data), expected, "picture {n}");
        }
    }

    #[test]
    fn sps_is_constrained_baseline() {
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        let out = encode(&mut encoder, 0, 320, 240);
        assert_eq!(out.data[4] & 0x1f, 7);
        assert_eq!(out.data[5], 66);
        assert_eq!(out.data[6] & 0x40, 0x40, "constraint_set1_flag");
    }

    #[test]
    fn a_new_size_starts_with_a_key_frame() {
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        encode(&mut encoder, 0, 320, 240);
        assert!(!encode(&mut encoder, 1, 320, 240).key);
        assert!(encode(&mut encoder, 2, 160, 120).key);
    }

    #[test]
    fn nothing_is_skipped_and_the_bitrate_is_ours() {
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        let bytes: usize = (0..60).map(|n| encode(&mut encoder, n, 320, 240).data.len()).sum();
        let bitrate = bytes * 8 / 2;
        assert!((150_000..900_000).contains(&bitrate), "{bitrate} is not near {}", SETTINGS.bitrate);
    }

    #[test]
    fn another_bitrate_needs_no_key_frame() {
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        let bytes = |encoder: &mut OpenH264Encoder, from: usize| -> usize {
            (from..from + 60)
                .map(|n| encode(encoder, n, 320, 240))
                .inspect(|out| assert!(!out.key || from == 0))
                .map(|out| out.data.len())
                .sum()
        };
        let before = bytes(&mut encoder, 0);
        encoder.set_bitrate(SETTINGS.bitrate / 4).unwrap();
        let after = bytes(&mut encoder, 60);
        assert!(after * 5 < before * 4, "{before} bytes, then {after} at a quarter of the bitrate");
    }

    #[test]
    fn profiles_are_what_they_are_called() {
        for (profile, profile_idc, cabac) in
            [(Profile::Baseline, 66, false), (Profile::Main, 77, true), (Profile::High, 100, true)]
        {
            let mut encoder = OpenH264Encoder::new(VideoSettings { profile, ..SETTINGS }).unwrap();
            let out = encode(&mut encoder, 0, 320, 240);
            let config = minamo_media::h264::H264Config::from_access_unit(&out.data).unwrap();
            assert_eq!(config.sps[1], profile_idc);
            // pic_parameter_set_id 0 and seq_parameter_set_id 0 are one bit each; then entropy_coding_mode_flag.
            assert_eq!(config.pps[0][1] & 0x20 != 0, cabac, "{profile:?}");
        }
    }

    /// What one of these tests prints on stderr, in a process of its own: C code writes past the test harness.
    fn stderr_of(test: &str) -> String {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", test, "--include-ignored", "--nocapture"]).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
        String::from_utf8(output.stderr).unwrap()
    }

    #[test]
    fn an_encoder_says_nothing_on_stderr() {
        let said = stderr_of("h264::encoder::tests::a_new_size_starts_with_a_key_frame");
        assert!(!said.contains("OpenH264"), "{said}");
        let loud = stderr_of("h264::encoder::tests::loud");
        assert!(loud.contains("OpenH264"), "the negative control is silent, too: {loud}");
    }

    #[test]
    #[ignore = "negative control of the test above, which runs it"]
    fn loud() {
        let mut encoder = OpenH264Encoder { quiet: false, ..OpenH264Encoder::new(SETTINGS).unwrap() };
        assert!(encode(&mut encoder, 0, 320, 240).key);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        let bad = I420 { width: 4, height: 4, y: &[0; 16], u: &[0; 4], v: &[0; 3], stride: 4, chroma_stride: 2 };
        assert!(matches!(encoder.encode(bad), Err(VideoError::Shape { .. })));
    }
}
