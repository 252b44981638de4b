//! Simulcast and spotlight: what is wished and what is offered.

use serde::Serialize;
use serde_json::Value;

use super::{BadMessage, ForwardingFilter};
use crate::api::InvalidField;
use crate::api::field::Field;

/// A simulcast layer as the wire names it: `r0` is the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of the protocol")]
pub enum Rid {
    R0,
    R1,
    R2,
}

impl Rid {
    /// All, lowest first. A simulcast sender is offered all three, unless a ladder of two was asked for.
    pub const ALL: [Self; 3] = [Self::R0, Self::R1, Self::R2];

    /// `r0`, `r1` or `r2`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::R0 => "r0",
            Self::R1 => "r1",
            Self::R2 => "r2",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rid| rid.name() == name)
    }
}

/// A layer that is asked for; `none` asks for no video at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestRid {
    /// No video for now.
    None,
    /// This layer, or the best below it.
    #[serde(untagged)]
    Rid(Rid),
}

impl RequestRid {
    /// Reads `none`, `r0`, `r1` or `r2`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "none" { Some(Self::None) } else { Rid::from_name(name).map(Self::Rid) }
    }

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Rid(rid) => rid.name(),
        }
    }

    /// Reads a member; absent and `null` are none.
    ///
    /// # Errors
    /// `invalid` for everything that is no such name.
    pub fn parse(value: Option<&Value>, invalid: &'static str) -> Result<Option<Self>, BadMessage> {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
        value.as_str().and_then(Self::from_name).map(Some).ok_or(BadMessage(invalid))
    }
}

/// What a client wishes of the forwarding: layers, spotlight, filters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForwardingWishes {
    /// Sends simulcast. An object instead of a bool, as older clients write, counts as true.
    pub simulcast: bool,
    /// The layer to begin with as a receiver: `simulcast_request_rid`, else the older `simulcast_rid`.
    pub request_rid: Option<RequestRid>,
    /// Takes part in the spotlight.
    pub spotlight: Option<SpotlightWishes>,
    /// `simulcast_encodings` of the auth webhook: clients cannot say it. `None` for [`Encoding::usual`].
    pub encodings: Option<Vec<Encoding>>,
    /// Of what it receives. At most [`super::FORWARDING_FILTERS_MAX`], with distinct names.
    pub filters: Vec<ForwardingFilter>,
}

/// `spotlight: true` and what goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpotlightWishes {
    /// How many are in focus at most, 1 to [`SPOTLIGHT_NUMBER_MAX`]. Also read from `spotlight` itself, where older clients put it.
    pub number: Option<u8>,
    /// The layer of those in focus.
    pub focus_rid: Option<RequestRid>,
    /// The layer of all others.
    pub unfocus_rid: Option<RequestRid>,
}

/// Most connections in focus.
pub const SPOTLIGHT_NUMBER_MAX: u8 = 8;

/// One entry of `offer.encodings`. JavaScript assigns it to the sender's parameters as it is: every name is one of
/// `RTCRtpEncodingParameters`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Encoding {
    /// The layer.
    pub rid: Rid,
    /// Whether it is sent.
    pub active: bool,
    /// 1 or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_resolution_down_by: Option<f64>,
    /// Instead of the factor: at most so many pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_resolution_down_to: Option<Resolution>,
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u64>,
    /// Bits per second. Only the native clients know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_bitrate: Option<u64>,
    /// Pictures per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_framerate: Option<f64>,
    /// For audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_ptime: Option<bool>,
    /// `L1T1` makes VP9 and AV1 send real simulcast instead of spatial layers in one flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scalability_mode: Option<String>,
}

/// `scaleResolutionDownTo`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "pixels")]
pub struct Resolution {
    pub max_width: u32,
    pub max_height: u32,
}

impl Encoding {
    /// What makes a browser send the rungs of a ladder: `rungs` are (height, pictures per second, bits per second), the highest
    /// first. Those beyond three are left out. The lowest is `r0`; what the camera gives is taken to have the size of the highest.
    #[must_use]
    pub fn of_ladder(rungs: &[(u32, u32, u32)]) -> Vec<Self> {
        let rungs = &rungs[..rungs.len().min(Rid::ALL.len())];
        let highest = rungs.first().map_or(0, |rung| rung.0);
        let layer = |(rid, (height, fps, bps)): (Rid, &(u32, u32, u32))| Self {
            max_bitrate: Some(u64::from(*bps)),
            max_framerate: Some(f64::from(*fps)),
            ..Self::scaled(rid, (f64::from(highest) / f64::from((*height).max(1))).max(1.0))
        };
        Rid::ALL.into_iter().zip(rungs.iter().rev()).map(layer).collect()
    }

    /// The usual three: a quarter, a half and the whole of each side.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        Rid::ALL.into_iter().zip([4.0, 2.0, 1.0]).map(|(rid, scale)| Self::scaled(rid, scale)).collect()
    }

    /// Reads `simulcast_encodings`: entries for some or all of the three layers, others as [`Encoding::usual`] has them. What an
    /// entry does not name stays usual, too; a layer with `active: false` is offered paused.
    ///
    /// # Errors
    /// `INVALID-SIMULCAST-ENCODINGS`.
    pub fn parse_all(value: &Value) -> Result<Vec<Self>, BadMessage> {
        const INVALID: BadMessage = BadMessage("INVALID-SIMULCAST-ENCODINGS");
        let wrapped = serde_json::json!({ "encodings": value });
        let read = || {
            let list = Field::body(&wrapped)?.required("encodings")?;
            let mut encodings = Self::usual();
            for entry in list.items(0..=Rid::ALL.len())? {
                let rid = entry.required("rid")?.one_of(&Rid::ALL.map(|rid| (rid.name(), rid)))?;
                if let Some(encoding) = encodings.iter_mut().find(|encoding| encoding.rid == rid) {
                    encoding.read(&entry)?;
                }
            }
            Ok(encodings)
        };
        read().map_err(|_: InvalidField| INVALID)
    }

    fn read(&mut self, entry: &Field<'_>) -> Result<(), InvalidField> {
        let bits = |name: &str| entry.member(name).map(|field| field.integer(1_000..=u32::MAX).map(u64::from)).transpose();
        self.active = entry.member("active").map(|field| field.flag()).transpose()?.unwrap_or(true);
        if let Some(to) = entry.member("scaleResolutionDownTo") {
            let side = |name: &str| to.required(name)?.integer(1..=16_384);
            self.scale_resolution_down_to = Some(Resolution { max_width: side("maxWidth")?, max_height: side("maxHeight")? });
            // Browsers take one of the two.
            self.scale_resolution_down_by = None;
        }
        if let Some(by) = entry.member("scaleResolutionDownBy") {
            self.scale_resolution_down_by = Some(by.number(1.0..=64.0)?);
        }
        self.max_bitrate = bits("maxBitrate")?;
        self.min_bitrate = bits("minBitrate")?;
        self.max_framerate = entry.member("maxFramerate").map(|field| field.number(0.1..=240.0)).transpose()?;
        self.adaptive_ptime = entry.member("adaptivePtime").map(|field| field.flag()).transpose()?;
        if let Some(mode) = entry.member("scalabilityMode") {
            self.scalability_mode = Some(mode.bounded_text(16)?.to_owned());
        }
        Ok(())
    }

    fn scaled(rid: Rid, scale: f64) -> Self {
        Self {
            rid,
            active: true,
            scale_resolution_down_by: Some(scale),
            scale_resolution_down_to: None,
            max_bitrate: None,
            min_bitrate: None,
            max_framerate: None,
            adaptive_ptime: None,
            scalability_mode: Some("L1T1".into()),
        }
    }
}
