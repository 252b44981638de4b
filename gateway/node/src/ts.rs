//! Segments in MPEG-TS that somebody has asked for: each is muxed once, by whoever asks first, and shared by all who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use minamo_packager::Forms;
use tracing::error;

type Made = Arc<OnceLock<Option<Bytes>>>;

/// Bound: the segments that the CMAF store keeps, once for each rung that is asked for.
#[derive(Default)]
pub(crate) struct TsSegments {
    /// By number and rung.
    made: Mutex<BTreeMap<(u64, u8), Made>>,
}

impl TsSegments {
    /// `None`: there is no such segment. Muxing 2 s of 720p costs less than a millisecond, which is not worth a thread.
    pub(crate) fn get(&self, forms: &Forms, rung: u8, msn: u64) -> Option<Bytes> {
        let place = self.place(forms, rung, msn);
        let found = place.get_or_init(|| mux(forms, rung, msn)).clone();
        if found.is_none() {
            // It may still come.
            self.lock().remove(&(msn, rung));
        }
        found
    }

    fn place(&self, forms: &Forms, rung: u8, msn: u64) -> Made {
        let mut made = self.lock();
        let first = forms.first_msn().unwrap_or(u64::MAX);
        *made = made.split_off(&(first, 0));
        Arc::clone(made.entry((msn, rung)).or_default())
    }

    // A poisoned lock: a thread panicked between two changes of a map of finished things.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(u64, u8), Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mux(forms: &Forms, rung: u8, msn: u64) -> Option<Bytes> {
    let muxed = forms.ts_segment(rung, msn)?;
    muxed.inspect_err(|failure| error!(%failure, msn, "a segment cannot be muxed into MPEG-TS")).ok()
}
