//! AES-128 of whole media resources (rfc8216bis §4.4.4.4 and §6.2.3), and the keys that it takes (ADR 7).
//!
//! Every part, every segment and every init section is a CBC stream of its own, with PKCS#7 padding, under the key and the IV of
//! the EXT-X-KEY that holds for its segment. So a part is decrypted without the parts before it, as players do, and the parts of a
//! segment, decrypted and joined, are byte for byte the segment, decrypted.
//!
//! Keys are derived: from the channel's secret, the programme and the number of the segment with which the key begins. Nothing has
//! to be stored when a key begins, every rendition comes to the same key by itself, and a restart finds every key again.

use std::fmt;
use std::time::Duration;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use bytes::Bytes;

use crate::derive::{Derivation, What};

/// Hex digits of a secret's public name.
const KEY_ID_DIGITS: usize = 16;
/// Hex digits of a kid: the secret's name, the programme, the first segment.
const KID_DIGITS: usize = KEY_ID_DIGITS + 8 + 16;

/// How long a key holds. Rotation goes by media sequence numbers, so that all renditions change at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// One key for the programme's whole life.
    Never,
    /// A new key after so many segments; at least 1.
    Segments(u64),
    /// A new key after so much media: rounded up to whole segments of the target's length.
    Age(Duration),
}

impl Rotation {
    fn segments(self, segment_target: Duration) -> Option<u64> {
        let whole = |age: Duration| (age.as_secs_f64() / segment_target.as_secs_f64().max(0.1)).ceil() as u64;
        match self {
            Self::Never => None,
            Self::Segments(count) => Some(count.max(1)),
            Self::Age(age) => Some(whole(age).max(1)),
        }
    }
}

/// Encrypts one programme.
#[derive(Clone, PartialEq, Eq)]
pub struct Cipher {
    /// Where players ask for keys; `kid` is added to its query.
    key_uri: String,
    key_id: String,
    secret: Derivation,
    rotation: Rotation,
}

impl Cipher {
    /// `key_uri` goes into playlists: no quotation marks, no line ends, no fragment. `key_id`: 16 hex digits that name `secret`, of
    /// which the first half is used.
    #[must_use]
    pub fn new(key_uri: String, key_id: String, secret: &[u8; 32], rotation: Rotation) -> Self {
        Self { key_uri, key_id, secret: Derivation::new(secret), rotation }
    }

    /// The same for the programme of one publisher among several of the channel.
    #[must_use]
    pub fn of_publisher(mut self, publisher: &str) -> Self {
        self.secret = self.secret.of_publisher(publisher);
        self
    }

    /// The key of segment `msn` of a programme whose first segment is `first_msn`.
    pub(crate) fn key(&self, msn: u64, first_msn: u64, segment_target: Duration) -> MediaKey {
        let since = msn.saturating_sub(first_msn);
        let begins = self.rotation.segments(segment_target).map_or(first_msn, |every| msn - since % every);
        let kid = format!("{}{:08x}{begins:016x}", self.key_id, self.secret.programme);
        let (key, iv) = (self.secret.block(What::Key, begins), self.secret.block(What::Iv, begins));
        let separator = if self.key_uri.contains('?') { '&' } else { '?' };
        MediaKey { uri: format!("{}{separator}kid={kid}", self.key_uri), kid, key, iv }
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({}, {:?})", self.key_id, self.rotation)
    }
}

/// The name of the secret that a kid was derived from; `None` for what is no kid.
#[must_use]
pub fn key_id_of(kid: &str) -> Option<&str> {
    let hex = kid.len() == KID_DIGITS && kid.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    hex.then(|| &kid[..KEY_ID_DIGITS])
}

/// The key that a kid names, given the secret that [`key_id_of`] names.
#[must_use]
pub fn key_of(secret: &[u8; 32], kid: &str) -> Option<[u8; 16]> {
    key_id_of(kid)?;
    let programme = u32::from_str_radix(&kid[KEY_ID_DIGITS..KEY_ID_DIGITS + 8], 16).ok()?;
    let begins = u64::from_str_radix(&kid[KEY_ID_DIGITS + 8..], 16).ok()?;
    Some(Derivation::new(secret).of_programme(programme).block(What::Key, begins))
}

/// A key in force.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaKey {
    kid: String,
    uri: String,
    key: [u8; 16],
    iv: [u8; 16],
}

impl MediaKey {
    /// Names the key: 40 hex digits.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The EXT-X-KEY tag without a line end. The IV is explicit: a media sequence number would bind the bytes to one playlist, and an
    /// encrypted init section needs it (rule 27).
    #[must_use]
    pub fn tag(&self) -> String {
        let iv = u128::from_be_bytes(self.iv);
        format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{}\",IV=0x{iv:032X}", self.uri)
    }

    /// A resource's bytes under this key.
    #[must_use]
    pub fn encrypt(&self, plain: &[u8]) -> Bytes {
        let length = plain.len();
        let mut out = vec![0; length + 16 - length % 16];
        out[..length].copy_from_slice(plain);
        let done = cbc::Encryptor::<Aes128>::new(&self.key.into(), &self.iv.into()).encrypt_padded::<Pkcs7>(&mut out, length);
        // The buffer has room for the padding; were it not so, nothing may leave in plain.
        if done.is_ok() { Bytes::from(out) } else { Bytes::new() }
    }

    /// What [`Self::encrypt`] was given. `None` for bytes that are not its work.
    #[must_use]
    pub fn decrypt(&self, bytes: &[u8]) -> Option<Bytes> {
        let mut bytes = bytes.to_vec();
        let plain = cbc::Decryptor::<Aes128>::new(&self.key.into(), &self.iv.into()).decrypt_padded::<Pkcs7>(&mut bytes);
        plain.ok().map(Bytes::copy_from_slice)
    }
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaKey({})", self.kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_secs(2);

    fn cipher(rotation: Rotation) -> Cipher {
        Cipher::new("https://keys.example/k".into(), "0123456789abcdef".into(), &[7; 32], rotation)
    }

    #[test]
    fn every_length_comes_back_and_another_key_gives_nothing() {
        let (key, other) = (cipher(Rotation::Never).key(5, 5, TARGET), cipher(Rotation::Never).key(6, 6, TARGET));
        for length in 0..50 {
            let plain = Bytes::from((0..length).collect::<Vec<u8>>());
            let bytes = key.encrypt(&plain);
            assert_eq!(bytes.len() % 16, 0);
            assert_eq!(key.decrypt(&bytes), Some(plain.clone()));
            assert_ne!(other.decrypt(&bytes), Some(plain));
        }
    }

    /// The bytes that `openssl enc -aes-128-cbc` makes of the same.
    #[test]
    fn it_is_the_aes_of_everybody() {
        let key = MediaKey { kid: String::new(), uri: String::new(), key: [0x42; 16], iv: [0x24; 16] };
        let bytes = key.encrypt(b"hello world! this is my plaintext.");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "c7fe247ef97b21f07cbdd26cb5d346bfd27867cb00d9486723e159978fb9a5f914cfb228a710de4171e396e7b6cf859e");
    }

    #[test]
    fn keys_rotate_by_segments_and_by_age() {
        let kids = |rotation| -> Vec<u64> {
            let cipher = cipher(rotation);
            (100..112).map(|msn| u64::from_str_radix(&cipher.key(msn, 100, TARGET).kid()[24..], 16).unwrap()).collect()
        };
        assert_eq!(kids(Rotation::Never), [100; 12]);
        assert_eq!(kids(Rotation::Segments(5)), [100, 100, 100, 100, 100, 105, 105, 105, 105, 105, 110, 110]);
        assert_eq!(kids(Rotation::Age(Duration::from_secs(15))), [100, 100, 100, 100, 100, 100, 100, 100, 108, 108, 108, 108]);
        assert_eq!(kids(Rotation::Segments(0)), (100..112).collect::<Vec<_>>());
    }

    #[test]
    fn a_kid_leads_back_to_its_key() {
        let cipher = cipher(Rotation::Segments(3)).of_publisher("P1");
        let key = cipher.key(1_795_000_007, 1_795_000_000, TARGET);
        assert_eq!(key_id_of(key.kid()), Some("0123456789abcdef"));
        assert_eq!(key_of(&[7; 32], key.kid()), Some(key.key));
        assert_ne!(key_of(&[8; 32], key.kid()), Some(key.key));
        let alone = self::cipher(Rotation::Segments(3)).key(1_795_000_007, 1_795_000_000, TARGET);
        assert!(alone.key != key.key && alone.iv != key.iv && alone.kid != key.kid);
        for wrong in ["", "0123456789abcdef", &key.kid()[1..], &key.kid().to_uppercase(), &key.kid().replace('0', "é")] {
            assert_eq!(key_of(&[7; 32], wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_tag_names_the_key_in_the_query() {
        let key = cipher(Rotation::Never).key(1, 1, TARGET);
        let (kid, iv) = (key.kid().to_owned(), u128::from_be_bytes(key.iv));
        let expected = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys.example/k?kid={kid}\",IV=0x{iv:032X}");
        assert_eq!(key.tag(), expected);
        let asked = Cipher { key_uri: "https://keys.example/k?a=b".into(), ..cipher(Rotation::Never) };
        assert!(asked.key(1, 1, TARGET).tag().contains(&format!("\"https://keys.example/k?a=b&kid={kid}\"")));
        assert!(!format!("{key:?}{asked:?}").contains("keys.example"));
    }
}
