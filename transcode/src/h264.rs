//! openh264 behind [`VideoEncoder`].

use std::ffi::c_int;

use bytes::{BufMut, Bytes, BytesMut};
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, EncodedBitStream, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile,
    RateControlMode, UsageType,
};
use openh264::formats::YUVSlices;
use openh264_sys2::{ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET};

use crate::video::{EncodedPicture, I420, VideoEncoder, VideoError, VideoSettings};

/// A constrained baseline encoder by openh264: key frames only when asked for (and at the start, or a new size).
pub struct OpenH264Encoder {
    encoder: Encoder,
    settings: VideoSettings,
    /// openh264 takes the wish only once it knows its picture size.
    key_wanted: bool,
}

impl OpenH264Encoder {
    /// An encoder; the picture's size comes with the first picture.
    pub fn new(settings: VideoSettings) -> Result<Self, VideoError> {
        Ok(Self { encoder: open(settings)?, settings, key_wanted: false })
    }
}

fn open(settings: VideoSettings) -> Result<Encoder, VideoError> {
    let mut encoder = configured(settings)?;
    silence(&mut encoder);
    Ok(encoder)
}

/// The crate's defaults are 120 kbit/s and frame skip on, so everything that matters is said.
fn configured(settings: VideoSettings) -> Result<Encoder, VideoError> {
    let config = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .profile(Profile::Baseline)
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Bitrate)
        .skip_frames(false)
        .scene_change_detect(false)
        .bitrate(BitRate::from_bps(settings.bitrate))
        .max_frame_rate(FrameRate::from_hz(settings.fps))
        .intra_frame_period(IntraFramePeriod::auto())
        .num_threads(1);
    Encoder::with_api_config(OpenH264API::from_source(), config).map_err(refused)
}

/// Without this, every encoder warns on stderr that frame skip is off, which is what we want. The crate sets the trace level only
/// after the parameters were checked, so it has to be done here; errors still come back as return values.
#[allow(unsafe_code)]
fn silence(encoder: &mut Encoder) {
    let mut level = WELS_LOG_QUIET as c_int;
    // SAFETY: ENCODER_OPTION_TRACE_LEVEL may be set before initialisation and reads one int out of the pointer, which outlives the
    // call; nothing that the crate relies on changes.
    let refused = unsafe { encoder.raw_api().set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast()) };
    debug_assert_eq!(refused, 0);
}

#[allow(clippy::needless_pass_by_value)] // the shape that map_err wants
fn refused(error: openh264::Error) -> VideoError {
    VideoError::Encoder(error.to_string())
}

impl VideoEncoder for OpenH264Encoder {
    fn encode(&mut self, picture: I420<'_>) -> Result<Option<EncodedPicture>, VideoError> {
        let I420 { width, height, y, u, v } = picture;
        let luma = width * height;
        if width % 2 + height % 2 != 0 || y.len() != luma || u.len() != luma / 4 || v.len() != luma / 4 {
            return Err(VideoError::Shape { width, height, bytes: y.len() + u.len() + v.len() });
        }
        if std::mem::take(&mut self.key_wanted) {
            self.encoder.force_intra_frame();
        }
        let source = YUVSlices::new((y, u, v), (width, height), (width, width / 2, width / 2));
        let stream = self.encoder.encode(&source).map_err(refused)?;
        let key = matches!(stream.frame_type(), FrameType::IDR);
        let data = avcc(&stream);
        Ok((!data.is_empty()).then_some(EncodedPicture { key, data }))
    }

    fn force_key_frame(&mut self) {
        self.key_wanted = true;
    }

    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), VideoError> {
        if bitrate != self.settings.bitrate {
            let settings = VideoSettings { bitrate, ..self.settings };
            self.encoder = open(settings)?;
            self.settings = settings;
        }
        Ok(())
    }
}

/// Annex B start codes become lengths; openh264 hands out each NAL unit with its start code.
fn avcc(stream: &EncodedBitStream<'_>) -> Bytes {
    let mut data = BytesMut::new();
    for layer in (0..stream.num_layers()).filter_map(|index| stream.layer(index)) {
        for nal in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
            let start = nal.iter().position(|&byte| byte != 0).map_or(nal.len(), |one| one + 1);
            let unit = &nal[start..];
            if !unit.is_empty() {
                data.put_u32(unit.len() as u32);
                data.put_slice(unit);
            }
        }
    }
    data.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: VideoSettings = VideoSettings { bitrate: 400_000, fps: 30.0 };

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
        let said = stderr_of("h264::tests::a_new_size_starts_with_a_key_frame");
        assert!(!said.contains("OpenH264"), "{said}");
        let loud = stderr_of("h264::tests::loud");
        assert!(loud.contains("OpenH264"), "the negative control is silent, too: {loud}");
    }

    #[test]
    #[ignore = "negative control of the test above, which runs it"]
    fn loud() {
        let mut encoder = OpenH264Encoder { encoder: configured(SETTINGS).unwrap(), settings: SETTINGS, key_wanted: false };
        assert!(encode(&mut encoder, 0, 320, 240).key);
    }

    #[test]
    fn wrong_shapes_are_errors() {
        assert!(I420::from_packed(&[0; 10], 2, 2).is_err());
        assert!(I420::from_packed(&[], 0, 0).is_err());
        assert!(I420::from_packed(&[0; 13], 3, 3).is_err());
        let mut encoder = OpenH264Encoder::new(SETTINGS).unwrap();
        let bad = I420 { width: 4, height: 4, y: &[0; 16], u: &[0; 4], v: &[0; 3] };
        assert!(matches!(encoder.encode(bad), Err(VideoError::Shape { .. })));
    }
}
