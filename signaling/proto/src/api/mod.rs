//! The JSON management API: `POST /` with `X-Sora-Target`.
//!
//! Requests are parsed, not validated: what comes out of [`ChannelSettings`] is in range. Unknown members are ignored. An
//! error names the member that is wrong, as `hls[0].video.width: must be 36 to 4096, got 0`.

mod captions;
pub(crate) mod field;
mod forwarding;
mod metadata;
mod operation;
mod response;
mod selection;
mod settings;

pub use captions::{CaptionsWish, CueMoment, CueWish};
pub use field::InvalidField;
pub use forwarding::{
    FilterOwner, FilterTarget, FilterVerb, ForwardingOperation, LayerRequest, Member, Metadata, MetadataItem, SpotlightRid,
    echo as echo_of, spotlight_number,
};
pub use metadata::TimedMetadata;
pub use operation::{Operation, SessionOperation};
pub use response::{ChannelCreated, ChannelIds, Deleted, EncryptKey, ErrorBody, PlaylistUrl, PlaylistUrls};
pub use selection::{Selected, Selection, Whom, disconnect_reason, push_data, session_id};
pub use settings::{AudioSpec, CaptionSpec, ChannelSettings, H264Profile, HlsSpec, TranscodeChoice, VideoSpec, round_audio_bps};

use field::Field;
use serde_json::Value;

/// The longest `channel_id` that is looked up, in bytes.
pub const CHANNEL_ID_BYTES_MAX: usize = 255;

/// What is asked of `POST /v1/channels/{channel_id}/playlist-url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaylistUrlWish {
    /// How long it can be opened: 1 s to 31 days, an hour when nothing is said.
    pub expires_in_s: u32,
    /// Whose programme, where each publisher has one.
    pub publisher: Option<minamo_media::ConnectionId>,
}

impl PlaylistUrlWish {
    /// Reads the request's body.
    ///
    /// # Errors
    /// The first member that is wrong.
    pub fn parse(body: &Value) -> Result<Self, InvalidField> {
        let body = Field::body(body)?;
        let expires_in_s = body.member("expires_in").map(|field| field.integer(1..=31 * 86_400)).transpose()?.unwrap_or(3600);
        let publisher = body.member("connection_id").map(|field| field.bounded_text(128)).transpose()?.map(Into::into);
        Ok(Self { expires_in_s, publisher })
    }
}

/// Reads the one member of GetEncryptKey.
///
/// # Errors
/// `kid` is missing, empty, not a string or longer than 255 bytes.
pub fn parse_kid(body: &Value) -> Result<&str, InvalidField> {
    Field::body(body)?.required("kid")?.bounded_text(255)
}

/// Reads the one member of DeleteChannel and ListPlaylistURLs.
///
/// # Errors
/// `channel_id` is missing, empty, not a string or longer than [`CHANNEL_ID_BYTES_MAX`].
pub fn parse_channel_id(body: &Value) -> Result<minamo_media::ChannelId, InvalidField> {
    let field = Field::body(body)?.required("channel_id")?;
    let text = field.text()?;
    if text.is_empty() || text.len() > CHANNEL_ID_BYTES_MAX {
        return Err(field.wrong(format!("must have 1 to {CHANNEL_ID_BYTES_MAX} bytes, got {}", text.len())));
    }
    Ok(text.into())
}
