//! AES-128 as a player takes it off (rule 27): every part, segment and init section is a CBC stream of its own, under the key and
//! the IV of the EXT-X-KEY before it.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};

use super::Violation;
use super::attributes::Attributes;
use super::playlist::MediaPlaylist;

/// One EXT-X-KEY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// METHOD.
    pub method: String,
    /// URI.
    pub uri: String,
    /// IV, where it is stated.
    pub iv: Option<[u8; 16]>,
}

impl Key {
    /// `None` for METHOD=NONE.
    pub(super) fn parse(list: &Attributes) -> Result<Option<Self>, String> {
        let method = list.plain("METHOD").ok_or("no METHOD")?.to_owned();
        if method == "NONE" {
            return if list.len() == 1 { Ok(None) } else { Err("METHOD=NONE has no other attribute".into()) };
        }
        if method != "AES-128" {
            return Err(format!("METHOD {method} is not judged here"));
        }
        let uri = list.quoted("URI").ok_or("no URI")?.to_owned();
        let iv = match list.plain("IV") {
            None => None,
            Some(text) => Some(iv(text).ok_or_else(|| format!("IV {text:?} is no 128 bits in hex"))?),
        };
        Ok(Some(Self { method, uri, iv }))
    }

    /// Takes the encryption off. Without an IV the media sequence number is it. `None`: not this key's bytes.
    #[must_use]
    pub fn decrypt(&self, key: &[u8; 16], msn: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let iv = self.iv.unwrap_or_else(|| u128::from(msn).to_be_bytes());
        let mut bytes = bytes.to_vec();
        let plain = cbc::Decryptor::<Aes128>::new(&(*key).into(), &iv.into()).decrypt_padded::<Pkcs7>(&mut bytes);
        plain.ok().map(<[u8]>::to_vec)
    }
}

fn iv(text: &str) -> Option<[u8; 16]> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    let fits = (1..=32).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(hex, 16).ok().filter(|_| fits).map(u128::to_be_bytes)
}

/// Rule 27, as far as one version shows it.
pub(super) fn judge(playlist: &MediaPlaylist, found: &mut Vec<Violation>) {
    for segment in playlist.all() {
        if segment.map_key.as_ref().is_some_and(|key| key.iv.is_none()) {
            let what = format!("segment {}: its EXT-X-MAP is under an EXT-X-KEY without IV", segment.msn);
            found.push(Violation::new(27, what));
        }
        if segment.map.is_some() && segment.map_key.is_none() != segment.key.is_none() {
            found.push(Violation::new(27, format!("segment {}: of it and its EXT-X-MAP only one is encrypted", segment.msn)));
        }
    }
}
