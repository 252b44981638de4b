//! The JSON management API: `POST /` with `X-Sora-Target`.
//!
//! Requests are parsed, not validated: what comes out of [`ChannelSettings`] is in range. Unknown members are ignored. An
//! error names the member that is wrong, as `hls[0].video.width: must be 36 to 4096, got 0`.

pub(crate) mod field;
mod forwarding;
mod operation;
mod response;
mod selection;
mod settings;

pub use field::InvalidField;
pub use forwarding::{
    FilterOwner, FilterTarget, FilterVerb, ForwardingOperation, LayerRequest, Member, Metadata, MetadataItem, SpotlightRid,
    echo as echo_of, spotlight_number,
};
pub use operation::{Operation, SessionOperation};
pub use response::{ChannelCreated, ChannelIds, Deleted, EncryptKey, ErrorBody, PlaylistUrl, PlaylistUrls};
pub use selection::{Selected, Selection, Whom, disconnect_reason, push_data, session_id};
pub use settings::{AudioSpec, ChannelSettings, H264Profile, HlsSpec, TranscodeChoice, VideoSpec, round_audio_bps};

use field::Field;
use serde_json::Value;

/// The longest `channel_id` that is looked up, in bytes.
pub const CHANNEL_ID_BYTES_MAX: usize = 255;

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
