use super::NalType;
use super::bits::BitReader;

/// Why a sequence parameter set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpsError {
    /// The NAL unit has another type.
    #[error("not a sequence parameter set")]
    NotSps,
    /// It ends before its fields do, or a number in it has no end.
    #[error("the sequence parameter set is cut short")]
    Truncated,
    /// A value outside what the standard allows, or a picture of no size or above 65,535 pixels a side.
    #[error("the sequence parameter set has an impossible value")]
    Invalid,
}

/// A sequence parameter set (ITU-T H.264 §7.3.2.1.1), as far as containers and playlists need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `profile_idc`
    pub profile: u8,
    /// `constraint_set0_flag` (uppermost bit) to `constraint_set5_flag`, and two reserved bits.
    pub constraints: u8,
    /// `level_idc`
    pub level: u8,
    /// 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits per luma sample, 8–14.
    pub luma_bits: u8,
    /// Bits per chroma sample, 8–14.
    pub chroma_bits: u8,
    /// Pixels of a row after cropping.
    pub width: u16,
    /// Rows after cropping.
    pub height: u16,
    /// VUI timing, if there: `num_units_in_tick` and `time_scale`, neither zero.
    pub timing: Option<(u32, u32)>,
}

/// Profiles whose SPS says the chroma format (§7.3.2.1.1).
fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

impl Sps {
    /// Parses the NAL unit, its header byte included. A VUI that is cut short only costs the timing.
    ///
    /// # Errors
    /// See [`SpsError`].
    pub fn parse(nal: &[u8]) -> Result<Self, SpsError> {
        if NalType::of(nal) != Some(NalType::SPS) {
            return Err(SpsError::NotSps);
        }
        let mut bits = BitReader::new(&nal[1..]);
        let head = Head::read(&mut bits).ok_or(SpsError::Truncated)?;
        let chroma = Chroma::read(&mut bits, head.profile).ok_or(SpsError::Truncated)?;
        skip_reference_fields(&mut bits).ok_or(SpsError::Truncated)?;
        let picture = Picture::read(&mut bits).ok_or(SpsError::Truncated)?;
        let (width, height) = picture.size(&chroma).ok_or(SpsError::Invalid)?;
        if chroma.format > 3 || chroma.luma_bits > 14 || chroma.chroma_bits > 14 {
            return Err(SpsError::Invalid);
        }
        Ok(Self {
            profile: head.profile,
            constraints: head.constraints,
            level: head.level,
            chroma_format: chroma.format as u8,
            luma_bits: chroma.luma_bits as u8,
            chroma_bits: chroma.chroma_bits as u8,
            width,
            height,
            timing: vui_timing(&mut bits),
        })
    }

    /// Pictures per second that the encoder claims, if it does: a tick is a field (§E.2.1). Only a hint; real ones vary.
    #[must_use]
    pub fn frame_rate(&self) -> Option<f64> {
        self.timing.map(|(units, scale)| f64::from(scale) / (2.0 * f64::from(units)))
    }
}

/// The name in `CODECS` (RFC 6381 §3.3): `avc1.` with profile, constraints and level in hexadecimal.
#[must_use]
pub fn codec_string(sps: &Sps) -> String {
    format!("avc1.{:02x}{:02x}{:02x}", sps.profile, sps.constraints, sps.level)
}

struct Head {
    profile: u8,
    constraints: u8,
    level: u8,
}

impl Head {
    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let head = Self { profile: bits.bits(8)? as u8, constraints: bits.bits(8)? as u8, level: bits.bits(8)? as u8 };
        bits.unsigned()?; // seq_parameter_set_id
        Some(head)
    }
}

struct Chroma {
    format: u32,
    luma_bits: u32,
    chroma_bits: u32,
}

impl Chroma {
    fn read(bits: &mut BitReader<'_>, profile: u8) -> Option<Self> {
        let mut chroma = Self { format: 1, luma_bits: 8, chroma_bits: 8 };
        if !has_chroma_fields(profile) {
            return Some(chroma);
        }
        chroma.format = bits.unsigned()?;
        if chroma.format == 3 {
            bits.flag()?; // separate_colour_plane_flag
        }
        chroma.luma_bits = bits.unsigned()?.saturating_add(8);
        chroma.chroma_bits = bits.unsigned()?.saturating_add(8);
        bits.flag()?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            skip_scaling_lists(bits, if chroma.format == 3 { 12 } else { 8 })?;
        }
        Some(chroma)
    }

    /// Luma samples per cropping unit, horizontally and vertically (§7.4.2.1.1, CropUnitX and CropUnitY).
    fn crop_unit(&self, frame_only: bool) -> (u32, u32) {
        let (x, y) = match self.format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        (x, if frame_only { y } else { 2 * y })
    }
}

/// §7.3.2.1.1.1
fn skip_scaling_lists(bits: &mut BitReader<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8i32, 8i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.signed()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// From `log2_max_frame_num_minus4` to `gaps_in_frame_num_value_allowed_flag`.
fn skip_reference_fields(bits: &mut BitReader<'_>) -> Option<()> {
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.flag()?;
            bits.signed()?;
            bits.signed()?;
            // At most 255 in the standard; beyond it the data ends long before the count does.
            for _ in 0..bits.unsigned()? {
                bits.signed()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?;
    bits.flag()?;
    Some(())
}

struct Picture {
    width_mbs: u32,
    height_map_units: u32,
    frame_only: bool,
    /// Left, right, top, bottom, in cropping units.
    crop: [u32; 4],
}

impl Picture {
    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let width_mbs = bits.unsigned()?.checked_add(1)?;
        let height_map_units = bits.unsigned()?.checked_add(1)?;
        let frame_only = bits.flag()?;
        if !frame_only {
            bits.flag()?; // mb_adaptive_frame_field_flag
        }
        bits.flag()?; // direct_8x8_inference_flag
        let mut crop = [0; 4];
        if bits.flag()? {
            for side in &mut crop {
                *side = bits.unsigned()?;
            }
        }
        Some(Self { width_mbs, height_map_units, frame_only, crop })
    }

    fn size(&self, chroma: &Chroma) -> Option<(u16, u16)> {
        let (unit_x, unit_y) = chroma.crop_unit(self.frame_only);
        let fields = if self.frame_only { 1 } else { 2 };
        let [left, right, top, bottom] = self.crop;
        let width = self.width_mbs.checked_mul(16)?.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?)?;
        let height = self.height_map_units.checked_mul(16 * fields)?;
        let height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?)?;
        let side = |pixels: u32| u16::try_from(pixels).ok().filter(|pixels| *pixels > 0);
        Some((side(width)?, side(height)?))
    }
}

/// VUI parameters (§E.1.1) up to the timing.
fn vui_timing(bits: &mut BitReader<'_>) -> Option<(u32, u32)> {
    const EXTENDED_SAR: u32 = 255;
    if !bits.flag()? {
        return None;
    }
    if bits.flag()? && bits.bits(8)? == EXTENDED_SAR {
        bits.bits(32)?;
    }
    if bits.flag()? {
        bits.flag()?; // overscan_appropriate_flag
    }
    if bits.flag()? {
        bits.bits(4)?; // video_format, video_full_range_flag
        if bits.flag()? {
            bits.bits(24)?; // colour description
        }
    }
    if bits.flag()? {
        bits.unsigned()?; // chroma sample locations
        bits.unsigned()?;
    }
    if !bits.flag()? {
        return None;
    }
    let timing = (bits.bits(32)?, bits.bits(32)?);
    (timing.0 > 0 && timing.1 > 0).then_some(timing)
}
