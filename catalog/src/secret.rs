//! What a channel's keys are derived from.

use rand::TryRng;
use rand::rngs::SysRng;

use crate::CatalogError;

/// Bytes of a secret.
const BYTES: usize = 32;
/// Bytes of a key id: enough that two never meet, and nothing that must not be guessed.
const ID_BYTES: usize = 8;

/// A channel's secret, made with the channel and deleted with it. Media keys and signatures are derived from it, so that
/// nothing has to be written while media flows, and a restart finds every key that ever was.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelSecret {
    bytes: [u8; BYTES],
    id: [u8; ID_BYTES],
}

impl ChannelSecret {
    pub(crate) fn generate() -> Result<Self, CatalogError> {
        let mut made = Self::default();
        let failed = |error: rand::rngs::SysError| CatalogError::Randomness(error.to_string());
        SysRng.try_fill_bytes(&mut made.bytes).map_err(failed)?;
        SysRng.try_fill_bytes(&mut made.id).map_err(failed)?;
        Ok(made)
    }

    /// As it is stored; `None` when it is damaged.
    pub(crate) fn stored(bytes: &[u8], id: &str) -> Option<Self> {
        let mut of = Self { bytes: bytes.try_into().ok()?, id: [0; ID_BYTES] };
        if id.len() != 2 * ID_BYTES || !id.is_ascii() {
            return None;
        }
        for (index, byte) in of.id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&id[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(of)
    }

    /// The secret itself. Never logged, never answered.
    #[must_use]
    pub fn bytes(&self) -> &[u8; BYTES] {
        &self.bytes
    }

    /// The public name of the secret: 16 lower-case hex digits with which every kid of the channel begins.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChannelSecret({})", self.key_id())
    }
}

#[cfg(test)]
mod tests {
    use super::ChannelSecret;

    #[test]
    fn what_is_stored_is_read_back_and_nothing_else() {
        let made = ChannelSecret::generate().unwrap();
        assert_eq!(ChannelSecret::stored(made.bytes(), &made.key_id()), Some(made));
        for (bytes, id) in [(&[][..], "0011223344556677"), (&[0; 32], "00112233445566"), (&[0; 32], "001122334455667g")] {
            assert_eq!(ChannelSecret::stored(bytes, id), None);
        }
        let shown = format!("{made:?}");
        assert_eq!(shown, format!("ChannelSecret({})", made.key_id()), "nothing of the secret is shown");
    }
}
