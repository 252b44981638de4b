//! Fresh channel ids.

use std::fmt::Write;

use minamo_media::ChannelId;
use rand::TryRng;
use rand::rngs::SysRng;

use crate::CatalogError;

/// 72 hex characters, the length that clients of the original API have seen: who knows the id may publish, so it must
/// not be guessable.
const BYTES: usize = 36;

pub(crate) fn generate() -> Result<ChannelId, CatalogError> {
    let mut random = [0_u8; BYTES];
    SysRng.try_fill_bytes(&mut random).map_err(|error| CatalogError::Randomness(error.to_string()))?;
    let text = random.iter().fold(String::with_capacity(2 * BYTES), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(ChannelId::from(text))
}
