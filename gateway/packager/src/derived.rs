//! Playlists that come with the leading rendition's segments: I-frames and captions. They have no parts.

use std::sync::Arc;

use crate::captions::{CaptionTrack, Captions, Cue};
use crate::rendition::{RUNGS_MAX, Rendition};
use crate::segment::Segment;
use crate::snapshot::{Report, Snapshot, View};
use crate::timeline::WallMap;

/// All of them, of one programme.
#[derive(Debug, Default)]
pub(crate) struct Derived {
    captions: Vec<Captions>,
    /// By rung.
    i_frame_bps: [u64; RUNGS_MAX],
    snapshots: Vec<Arc<Snapshot>>,
}

impl Derived {
    pub(crate) fn new(tracks: &[CaptionTrack]) -> Self {
        Self { captions: tracks.iter().map(|_| Captions::default()).collect(), ..Self::default() }
    }

    /// Peak of a rung's I-frame playlist; `None`: there is none.
    pub(crate) fn i_frame_bps(&self, rung: u8) -> Option<u64> {
        self.snapshot(Rendition::IFrames(rung))?;
        self.i_frame_bps.get(usize::from(rung)).map(|peak| (*peak).max(1))
    }

    pub(crate) fn snapshot(&self, rendition: Rendition) -> Option<Arc<Snapshot>> {
        self.snapshots.iter().find(|snapshot| snapshot.rendition() == rendition).cloned()
    }

    /// False when there is no such track.
    pub(crate) fn caption(&mut self, track: usize, cue: &Cue, wall: WallMap) -> bool {
        let Some(captions) = self.captions.get_mut(track) else { return false };
        captions.add(cue, wall);
        true
    }

    /// Makes caption segments beside the leading rendition's. Gives what the others' rendition reports say of the tracks.
    pub(crate) fn prepare(&mut self, leaders: &[Arc<Segment>]) -> Vec<Report> {
        let reports = (0_u8..).zip(&mut self.captions).filter_map(|(track, captions)| {
            let msn = captions.beside(leaders).last()?.head.msn;
            Some(Report { rendition: Rendition::Captions(track), msn, part: None })
        });
        reports.collect()
    }

    /// New versions, which report on `reports`, where `leading` (the first of the renditions with parts) has another segment, or has ended. Gives the renditions
    /// that have one.
    pub(crate) fn update(&mut self, leading: &Snapshot, rungs: &[Arc<Snapshot>], reports: &[Report]) -> Vec<Rendition> {
        let mut grown = Vec::new();
        for rung in rungs.iter().filter(|rung| !is_encrypted(rung)) {
            if let Rendition::Video(number) = rung.rendition() {
                let peak = rung.view().segments.last().map_or(0, |last| i_frame_bps(last));
                if let Some(highest) = self.i_frame_bps.get_mut(usize::from(number)) {
                    *highest = peak.max(*highest);
                }
                replace(&mut self.snapshots, without_parts(rung.view(), Rendition::IFrames(number)), &mut grown);
            }
        }
        for (track, captions) in (0_u8..).zip(&mut self.captions) {
            let segments = captions.beside(&leading.view().segments);
            let view = without_parts(leading.view(), Rendition::Captions(track));
            let others = reports.iter().filter(|report| report.rendition != Rendition::Captions(track));
            let view = View { segments, reports: others.copied().collect(), ..view };
            replace(&mut self.snapshots, view, &mut grown);
        }
        grown
    }
}

fn replace(snapshots: &mut Vec<Arc<Snapshot>>, view: View, grown: &mut Vec<Rendition>) {
    // What leaves the list leaves it with the next segment: a version that only has less would be none (rule 2).
    let of = |view: &View| (view.segments.last().map(|segment| segment.head.msn), view.ended);
    let place = snapshots.iter_mut().find(|snapshot| snapshot.rendition() == view.rendition);
    if place.as_ref().is_some_and(|snapshot| of(snapshot.view()) == of(&view)) || view.segments.is_empty() {
        return;
    }
    grown.push(view.rendition);
    let snapshot = Arc::new(Snapshot::of(view));
    match place {
        Some(place) => *place = snapshot,
        None => snapshots.push(snapshot),
    }
}

/// A byte range of a CBC stream is no I-frame.
fn is_encrypted(snapshot: &Snapshot) -> bool {
    snapshot.view().segments.iter().any(|segment| segment.head.key.is_some())
}

fn without_parts(view: &View, rendition: Rendition) -> View {
    let next_msn = view.segments.last().map_or(view.next_msn, |last| last.head.msn + 1);
    View { rendition, open: None, next_msn, hint: false, reports: Vec::new(), ..view.clone() }
}

/// The key frame that begins a segment, from its `moof` to the end of the first sample: bytes from 0 on. `None`: a gap.
pub(crate) fn i_frame_bytes(segment: &Segment) -> Option<u32> {
    segment.bytes.as_ref()?;
    let first = segment.parts.first()?.samples.first().filter(|sample| sample.key)?;
    Some(first.offset + first.size)
}

fn i_frame_bps(segment: &Segment) -> u64 {
    let bits = f64::from(i_frame_bytes(segment).unwrap_or(0)) * 8.0;
    // A twentieth more: a player that trusts a number below the truth stalls.
    (bits * 1.05 / segment.duration.as_secs_f64().max(0.001)).ceil() as u64
}
