//! HLS with MPEG-TS (RFC 8216, version 3): for players that know neither fMP4 nor parts. Numbers, dates and discontinuities are those
//! of the CMAF playlists.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use minamo_media::mpegts::{Fragments, TsError, from_fmp4};

use super::{Forms, fits_ts, newest_init, peak_bps};
use crate::container::Format;
use crate::playlist::iso_date;
use crate::segment::Segment;
use crate::snapshot::Snapshot;

/// Packets and delimiters cost less than this share.
const OVERHEAD_PERCENT: u64 = 8;

pub(super) fn multivariant(forms: &Forms) -> Option<String> {
    let sound = forms.sound().map(|sound| (peak_bps(sound), newest_init(sound)));
    let (sound_bps, sound_init) = sound.unzip();
    let sound_init = sound_init.flatten();
    let mut out = String::from("#EXTM3U\n#EXT-X-VERSION:3\n");
    let mut rungs = 0;
    for (rung, pictures) in forms.pictures().enumerate() {
        // A rung that nobody has filled yet is listed when it is.
        let Some(init) = newest_init(pictures) else { continue };
        let Format::Video(video) = &**init.format() else { continue };
        if !fits_ts(init.format()) {
            continue;
        }
        let bps = peak_bps(pictures) + sound_bps.unwrap_or(0);
        let codecs: Vec<&str> = [Some(init), sound_init].into_iter().flatten().map(|init| init.format().codec()).collect();
        let _ = writeln!(
            out,
            "#EXT-X-STREAM-INF:BANDWIDTH={},CODECS=\"{}\",RESOLUTION={}x{}\nts-{rung}.m3u8",
            bps + bps * OVERHEAD_PERCENT / 100,
            codecs.join(","),
            video.width,
            video.height,
        );
        rungs += 1;
    }
    if let (None, Some(init)) = (forms.pictures().next(), sound_init) {
        let bps = sound_bps.unwrap_or(0);
        let bps = bps + bps * OVERHEAD_PERCENT / 100;
        let _ = writeln!(out, "#EXT-X-STREAM-INF:BANDWIDTH={bps},CODECS=\"{}\"\nts-0.m3u8", init.format().codec());
        rungs += 1;
    }
    (rungs > 0).then_some(out)
}

/// The segments that are complete with their sound.
pub(super) fn playlist(forms: &Forms, pictures: &Snapshot, rung: u8) -> String {
    let mut out = String::with_capacity(2 * 1024);
    // Writing to a String cannot fail.
    let _ = write_playlist(&mut out, forms, pictures, rung);
    out
}

fn write_playlist(out: &mut String, forms: &Forms, pictures: &Snapshot, rung: u8) -> std::fmt::Result {
    let last = |snapshot: &Arc<Snapshot>| snapshot.listed().last().map_or(0, |segment| segment.head().msn());
    let last = forms.sound().map_or(u64::MAX, last);
    let listed: Vec<_> = pictures.listed().iter().filter(|segment| segment.head().msn() <= last).collect();
    let first = listed.first().map_or(0, |segment| segment.head().msn());
    writeln!(out, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}", pictures.limits().target_duration_secs)?;
    writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}", pictures.discontinuity_sequence())?;
    for segment in &listed {
        if segment.head().discontinuity() {
            writeln!(out, "#EXT-X-DISCONTINUITY")?;
        }
        writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", iso_date(segment.head().date()))?;
        if !has_media(segment) {
            writeln!(out, "#EXT-X-GAP")?;
        }
        writeln!(out, "#EXTINF:{:.5},\nts{rung}-{}.ts", segment.duration().as_secs_f64(), segment.head().msn())?;
    }
    if pictures.is_ended() {
        writeln!(out, "#EXT-X-ENDLIST")?;
    }
    Ok(())
}

fn has_media(segment: &Segment) -> bool {
    segment.parts().iter().any(|part| !part.is_gap())
}

/// A gap in the pictures is a segment of sound alone, for players that do not know EXT-X-GAP and ask for it.
pub(super) fn segment(forms: &Forms, rung: u8, msn: u64) -> Option<Result<Bytes, TsError>> {
    let leading = forms.ts_rendition(rung);
    let pictures = forms.snapshots.iter().find(|snapshot| snapshot.rendition() == leading)?;
    let sound = forms.sound().filter(|sound| sound.rendition() != leading);
    let tracks =
        [Some(pictures), sound].into_iter().flatten().map(|snapshot| track(snapshot, msn)).collect::<Option<Vec<_>>>()?;
    if tracks.iter().all(|(_, media)| media.is_empty()) {
        return None;
    }
    let tracks: Vec<_> = tracks.iter().map(|(init, media)| Fragments { init, media }).collect();
    Some(from_fmp4(msn, &tracks))
}

/// Init segment and fragments of a complete segment.
fn track(snapshot: &Snapshot, msn: u64) -> Option<(&[u8], Vec<Bytes>)> {
    let segment = snapshot.segments_after(msn.checked_sub(1)?).first().filter(|segment| segment.head().msn() == msn)?;
    let init = segment.head().init().or_else(|| newest_init(snapshot))?;
    let media = match segment.bytes() {
        Some(whole) => vec![whole.clone()],
        None => segment.parts().iter().filter_map(|part| part.bytes().cloned()).collect(),
    };
    Some((init.bytes(), media))
}

/// The rung and number in a segment's name, only as it is written here.
pub fn parse(name: &str) -> Option<(u8, u64)> {
    let (rung, msn) = name.strip_prefix("ts")?.strip_suffix(".ts")?.split_once('-')?;
    let found = (rung.parse().ok()?, msn.parse().ok()?);
    (format!("ts{}-{}.ts", found.0, found.1) == name).then_some(found)
}

/// The rung in a media playlist's name.
pub fn parse_playlist(name: &str) -> Option<u8> {
    let rung = name.strip_prefix("ts-")?.strip_suffix(".m3u8")?;
    let found: u8 = rung.parse().ok()?;
    (found.to_string() == rung).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_name_for_each() {
        assert_eq!(parse("ts0-17.ts"), Some((0, 17)));
        assert_eq!(parse_playlist("ts-3.m3u8"), Some(3));
        for name in ["ts00-17.ts", "ts0-017.ts", "ts0-+7.ts", "ts-17.ts", "ts0-17.m4s", "ts300-1.ts"] {
            assert_eq!(parse(name), None, "{name}");
        }
        for name in ["ts-00.m3u8", "ts-+1.m3u8", "ts.m3u8", "ts-.m3u8", "ts-256.m3u8"] {
            assert_eq!(parse_playlist(name), None, "{name}");
        }
    }
}
