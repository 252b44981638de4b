//! From what was written to what players see: new versions of all playlists at once.

use std::sync::Arc;

use bytes::Bytes;

use super::{Body, Duration, Packager, PackagerEvent, Rendition};
use crate::container::Format;
use crate::multivariant::{self, Variant};
use crate::output::Output;
use crate::snapshot::{Extras, Report};

/// Until so much was measured, BANDWIDTH is not under the configured expectation.
const MEASURED_ENOUGH: Duration = Duration::from_secs(10);
/// The first multivariant playlist waits so long for rungs that have not come: players do not load it again.
const LADDER_PATIENCE: Duration = Duration::from_secs(6);

impl Packager {
    pub(super) fn publish(&mut self, local: Duration) {
        let first = self.multivariant.is_none();
        if !(self.outputs().any(|output| output.grown) || self.ended) || (first && !self.is_ready(local)) {
            return;
        }
        // All lose the same segments at once, so that MEDIA-SEQUENCE and DISCONTINUITY-SEQUENCE stay equal (rule 5).
        let begins = self.outputs().map(|output| output.store.first_msn()).max().unwrap_or(0);
        let list_from = self.outputs().map(|output| output.store.must_list_from()).min().unwrap_or(0).max(begins);
        let extras = self.extras(local, list_from);
        let shown = self.shown();
        let leading = self.outputs().find(|output| shown.contains(&output.store.rendition));
        let leaders = leading.map(|leading| leading.store.all().0).unwrap_or_default();
        let captions = self.derived.prepare(&leaders);
        let mut reports: Vec<_> =
            self.outputs().filter(|output| shown.contains(&output.store.rendition)).filter_map(Output::report).collect();
        reports.extend(captions);
        let (ended, finished) = (self.ended, self.finished);
        let mut grown = Vec::new();
        let rungs = self.video.iter_mut().flat_map(|video| &mut video.sides);
        let rungs = rungs.map(|side| (&mut side.output, !side.cutter.in_gap()));
        for (output, flows) in rungs.chain(self.audio.iter_mut().map(|audio| (&mut audio.output, true))) {
            output.store.trim(list_from, local);
            let rendition = output.store.rendition;
            if shown.contains(&rendition) {
                let new = output.grown || output.snapshot.is_none() || ended;
                grown.extend(new.then_some(rendition));
                let others = reports.iter().filter(|report| report.rendition != rendition).copied().collect();
                output.publish(others, &extras, ended, flows && !finished);
            }
        }
        self.publish_derived(&reports);
        self.refresh_multivariant();
        for rendition in grown {
            self.tell(PackagerEvent::Published(rendition));
        }
    }

    /// I-frames and captions, which come with the leading rendition's segments.
    fn publish_derived(&mut self, reports: &[Report]) {
        let rungs: Vec<_> = self.rungs().filter_map(|side| side.output.snapshot.clone()).collect();
        let leading = rungs.first().cloned().or_else(|| self.audio.as_ref()?.output.snapshot.clone());
        let Some(leading) = leading else { return };
        for rendition in self.derived.update(&leading, &rungs, reports) {
            self.tell(PackagerEvent::Published(rendition));
        }
    }

    /// What all renditions of the next version share; segments before `list_from` are no longer in it.
    fn extras(&mut self, local: Duration, list_from: u64) -> Arc<Extras> {
        let first = |output: &Output| {
            output.store.listed().find(|segment| segment.head.msn >= list_from).map(|segment| segment.head.date)
        };
        let from = self.outputs().filter_map(first).min().unwrap_or_default();
        let ranges = self.ranges.version(local, from, self.limits.skip_until());
        Arc::new(Extras { tokens: self.config.tokens, start_offset_ms: self.config.start_offset_ms, ranges })
    }

    /// The renditions that players are told of: those of which it is known what they are.
    fn shown(&self) -> Vec<Rendition> {
        let rungs = self.video.iter().flat_map(|video| &video.sides).filter(|side| side.format().is_some());
        rungs.map(|side| side.output.store.rendition).chain(self.audio.as_ref().map(|_| Rendition::Audio)).collect()
    }

    fn is_ready(&self, local: Duration) -> bool {
        let shown = self.shown();
        let complete =
            self.outputs().filter(|output| shown.contains(&output.store.rendition)).all(|output| output.store.complete() > 0);
        let rungs = self.video.as_ref().map_or(0, |video| video.sides.len());
        let known = shown.iter().filter(|rendition| matches!(rendition, Rendition::Video(_))).count();
        let patient = known < rungs && local < LADDER_PATIENCE && !self.finished;
        complete && !shown.is_empty() && (rungs == 0 || known > 0) && !patient
    }

    fn refresh_multivariant(&mut self) {
        let rates = |output: &Output| (output.bitrate.peak_bps(), output.bitrate.average_bps());
        let (audio_peak, audio_average) = self.audio.as_ref().map_or((0, 0), |audio| rates(&audio.output));
        // A player that trusts a number below the truth stalls.
        let generous = |peak: u64| (peak + peak / 20).max(1);
        let mut variants = Vec::new();
        for (rung, side) in self.video.iter().flat_map(|video| &video.sides).enumerate() {
            let Some(Format::Video(format)) = side.format().map(Arc::as_ref) else { continue };
            let (mut peak, average) = rates(&side.output);
            let hint = self.config.video.get(rung).and_then(|rung| rung.bps_hint);
            if let Some(hint) = hint.filter(|_| side.output.bitrate.measured() < MEASURED_ENOUGH) {
                peak = peak.max(hint);
            }
            variants.push(Variant {
                rendition: side.output.store.rendition,
                video: Some((format, side.frame_rate.per_second())),
                i_frame_bps: u8::try_from(rung).ok().and_then(|rung| self.derived.i_frame_bps(rung)),
                peak_bps: generous(peak + audio_peak),
                average_bps: (average + audio_average).max(1),
            });
        }
        if self.video.is_none() {
            let (peak_bps, average_bps) = (generous(audio_peak), audio_average.max(1));
            variants.push(Variant { rendition: Rendition::Audio, video: None, i_frame_bps: None, peak_bps, average_bps });
        }
        let text = multivariant::render(&variants, self.config.audio.as_ref(), &self.config.captions);
        if self.multivariant.as_ref().is_none_or(|body| body.plain() != text.as_bytes()) {
            self.multivariant = Some(Arc::new(Body::new(Bytes::from(text))));
        }
    }
}
