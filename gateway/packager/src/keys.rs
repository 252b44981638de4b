//! Which key and which init section hold for a segment: one rendition's.

use std::sync::Arc;
use std::time::Duration;

use crate::cipher::{Cipher, MediaKey};
use crate::config::PackagerConfig;
use crate::segment::Init;

/// The init section in force, under the key in force.
#[derive(Debug)]
pub(crate) struct Inits {
    cipher: Option<Cipher>,
    first_msn: u64,
    segment_target: Duration,
    plain: Option<Init>,
    /// Encrypted, with the key that it is encrypted under.
    under: Option<(Arc<MediaKey>, Option<Init>)>,
}

impl Inits {
    pub(crate) fn new(config: &PackagerConfig, plain: Option<Init>) -> Self {
        Self {
            cipher: config.cipher.clone(),
            first_msn: config.first_msn,
            segment_target: config.segment_target,
            plain,
            under: None,
        }
    }

    /// From the next segment on.
    pub(crate) fn set(&mut self, plain: Init) {
        self.plain = Some(plain);
        self.under = None;
    }

    /// For segment `msn`. A new key makes a new init section of the same content, named by the first segment that uses it: no name
    /// ever stands for other bytes, and no old key is needed to join.
    pub(crate) fn at(&mut self, msn: u64) -> (Option<Arc<MediaKey>>, Option<Init>) {
        let Some(cipher) = &self.cipher else { return (None, self.plain.clone()) };
        let key = cipher.key(msn, self.first_msn, self.segment_target);
        match &self.under {
            Some((same, init)) if **same == key => (Some(Arc::clone(same)), init.clone()),
            _ => {
                let encrypted =
                    self.plain.as_ref().map(|plain| Init { number: msn, bytes: key.encrypt(&plain.bytes), ..plain.clone() });
                let key = Arc::new(key);
                self.under = Some((Arc::clone(&key), encrypted.clone()));
                (Some(key), encrypted)
            }
        }
    }
}
