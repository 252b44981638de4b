//! What a viewer is sent, over time.
//!
//! WHEP has no second negotiation. So a section belongs to no publisher: when its track ends, another one of its kind is sent there,
//! under the same SSRC, in any codec that the viewer has offered. Sound and picture are taken from one publisher where one has both.
//! A viewer that has nothing to see any more waits for a while for somebody to come back, then is let go: its player learns that
//! the programme is over, as no muted track would tell it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::StatusCode;
use minamo_media::{Codec, ConnectionId, TrackId, TrackInfo};
use minamo_sfu_core::model::Downlink;
use minamo_signaling_proto::sdp::{ClientOffer, MediaKind, OfferedSection};

use super::negotiation::{Choice, KINDS, payload};
use crate::api::ApiError;
use crate::session::Published;

/// When a viewer without a publisher may ask again, in seconds.
const RETRY_AFTER_S: u32 = 2;

/// What a viewer gets of the tracks that are there now: of the fullest publishers first, the oldest of these first.
pub(super) fn choose_downlinks(
    offer: &ClientOffer,
    mut wanted: Vec<Published>,
    downlinks_max: usize,
) -> Result<Vec<Choice<TrackInfo>>, ApiError> {
    if wanted.is_empty() {
        let why = "nobody publishes in this channel now, or not the publisher that was asked for: try again later";
        return Err(ApiError::new(StatusCode::CONFLICT, "NOT_LIVE", why).retry_after_s(RETRY_AFTER_S));
    }
    order(&mut wanted);
    let mut chosen = Vec::new();
    for kind in KINDS {
        let tracks = wanted.iter().filter(|published| kind_of(published.info.codec) == kind);
        let sections = offer.sections.iter().enumerate().filter(|(_, section)| section.receives(kind));
        for (published, (at, section)) in tracks.zip(sections) {
            let format = section.choose_downlink(published.info.codec, &published.fmtp);
            let format = format.ok_or_else(|| not_offered(published, section))?;
            chosen.push(Choice { section: at, format, of: published.info.clone() });
        }
    }
    chosen.truncate(downlinks_max);
    if chosen.is_empty() {
        let kinds: Vec<_> = wanted.iter().map(|published| published.info.codec.rtpmap_name()).collect();
        let why = format!("the publisher sends {}, but no section of the offer would receive that", kinds.join(", "));
        return Err(ApiError::new(StatusCode::NOT_ACCEPTABLE, "NO_COMMON_MEDIA", why));
    }
    Ok(chosen)
}

fn not_offered(published: &Published, section: &OfferedSection) -> ApiError {
    let codec = published.info.codec.rtpmap_name();
    let fmtp = if published.fmtp.is_empty() { String::new() } else { format!(" ({})", published.fmtp) };
    let why = format!("the publisher sends {codec}{fmtp}, the offer takes {}", section.codec_names.join(", "));
    ApiError::new(StatusCode::NOT_ACCEPTABLE, "NO_COMMON_CODEC", why)
}

fn order(wanted: &mut [Published]) {
    let mut publishers: HashMap<ConnectionId, (Reverse<usize>, TrackId)> = HashMap::new();
    for Published { info, .. } in wanted.iter() {
        let (Reverse(count), first) = publishers.entry(info.publisher.clone()).or_insert((Reverse(0), info.track));
        *count += 1;
        *first = info.track.min(*first);
    }
    wanted.sort_by_key(|published| (publishers.get(&published.info.publisher).copied(), published.info.track));
}

fn kind_of(codec: Codec) -> MediaKind {
    match codec.kind() {
        minamo_media::Kind::Audio => MediaKind::Audio,
        minamo_media::Kind::Video => MediaKind::Video,
    }
}

/// A section in which a viewer is sent something.
pub(super) struct Watched {
    offered: OfferedSection,
    /// As the SFU was told last.
    downlink: Downlink,
    /// The track is still there.
    live: bool,
}

impl Watched {
    pub(super) fn new(offered: OfferedSection, downlink: Downlink) -> Self {
        Self { offered, downlink, live: true }
    }

    /// That track here, if the viewer can take it.
    fn take(&mut self, published: &Published) -> Option<Downlink> {
        let format = self.offered.choose_downlink(published.info.codec, &published.fmtp)?;
        self.downlink.track = published.info.track;
        self.downlink.payload = payload(&format);
        // A retransmission needs an SSRC of its own, which only the answer could name.
        self.downlink.payload.rtx_pt = self.downlink.payload.rtx_pt.filter(|_| self.downlink.rtx_ssrc.is_some());
        self.live = true;
        Some(self.downlink.clone())
    }
}

/// A viewer's sections, and since when there is nothing in them.
pub(super) struct Viewing {
    watched: Vec<Watched>,
    patience: Duration,
    empty_since: Option<Instant>,
}

impl Viewing {
    /// `patience`: how long to wait for somebody to come back.
    pub(super) fn new(watched: Vec<Watched>, patience: Duration) -> Self {
        Self { watched, patience, empty_since: None }
    }

    /// The tracks that the viewer may see are now these. Says what is to be sent in the place of what has ended.
    pub(super) fn set_wanted(&mut self, now: Instant, mut wanted: Vec<Published>) -> Vec<Downlink> {
        for watched in &mut self.watched {
            watched.live = wanted.iter().any(|published| published.info.track == watched.downlink.track);
        }
        wanted.retain(|published| self.watched.iter().all(|watched| watched.downlink.track != published.info.track));
        order(&mut wanted);
        let mut added = Vec::new();
        for published in &wanted {
            let kind = kind_of(published.info.codec);
            let mut free = self.watched.iter_mut().filter(|watched| !watched.live && watched.offered.common.kind == kind);
            added.extend(free.find_map(|watched| watched.take(published)));
        }
        let empty = self.watched.iter().all(|watched| !watched.live);
        self.empty_since = if empty { self.empty_since.or(Some(now)) } else { None };
        added
    }

    /// When the viewer is to be let go, should nothing change.
    pub(super) fn gives_up_at(&self) -> Option<Instant> {
        self.empty_since.map(|since| since + self.patience)
    }
}
