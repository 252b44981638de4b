//! AAC-LC from outside: its AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).

/// Samples per channel of one frame.
pub const FRAME_SAMPLES: u32 = 1_024;
/// The name in `CODECS` of a multivariant playlist (RFC 6381).
pub const CODEC_STRING: &str = "mp4a.40.2";

const OBJECT_TYPE_LC: u8 = 2;
const RATE_ESCAPE: u8 = 15;
/// Table 1.18; index 15 writes the rate out.
const RATES: [u32; 13] = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What a decoder must know of an AAC-LC track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Samples per second, below 2^24.
    pub sample_rate: u32,
    /// channelConfiguration: 1 mono, 2 stereo, up to 7.
    pub channels: u8,
}

impl AudioSpecificConfig {
    /// The bytes for `esds`: two, or five where the rate is not in the table.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let object_type = u64::from(OBJECT_TYPE_LC) << 59;
        // Behind the channels come three zero bits: 1024 samples a frame, no core coder, no extension.
        match RATES.iter().position(|rate| *rate == self.sample_rate) {
            Some(index) => {
                let bits = object_type | ((index as u64) << 55) | (u64::from(self.channels & 0x0F) << 51);
                bits.to_be_bytes()[..2].to_vec()
            }
            None => {
                let rate = u64::from(self.sample_rate & 0x00FF_FFFF);
                let bits = object_type | (u64::from(RATE_ESCAPE) << 55) | (rate << 31) | (u64::from(self.channels & 0x0F) << 27);
                bits.to_be_bytes()[..5].to_vec()
            }
        }
    }

    /// The header that makes a raw frame of `frame_len` bytes one of an ADTS stream (§1.A.2.2). `None` for a rate that is not in the
    /// table, or a frame that is too long for the field (8,184 bytes).
    #[must_use]
    pub fn adts_header(self, frame_len: usize) -> Option<[u8; 7]> {
        let index = RATES.iter().position(|rate| *rate == self.sample_rate)? as u8;
        let length = u16::try_from(frame_len + 7).ok().filter(|length| *length < 1 << 13)?;
        let channels = self.channels & 0x07;
        Some([
            0xFF,
            // MPEG-4, no CRC.
            0xF1,
            (OBJECT_TYPE_LC - 1) << 6 | index << 2 | channels >> 2,
            (channels & 3) << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            // Buffer fullness 0x7FF: variable bit rate; one frame.
            ((length & 7) << 5) as u8 | 0x1F,
            0xFC,
        ])
    }

    /// Reads the config of an AAC-LC track; `None` for anything else or if bytes are missing.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut wide = [0; 8];
        let len = bytes.len().min(8);
        wide[..len].copy_from_slice(&bytes[..len]);
        let bits = u64::from_be_bytes(wide);
        let index = ((bits >> 55) & 0x0F) as u8;
        let (sample_rate, channels, needed) = match index {
            RATE_ESCAPE => (((bits >> 31) & 0x00FF_FFFF) as u32, (bits >> 27) & 0x0F, 5),
            _ => (*RATES.get(usize::from(index))?, (bits >> 51) & 0x0F, 2),
        };
        let valid = (bits >> 59) as u8 == OBJECT_TYPE_LC && len >= needed && sample_rate > 0;
        valid.then_some(Self { sample_rate, channels: channels as u8 })
    }
}
