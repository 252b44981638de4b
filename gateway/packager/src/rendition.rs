//! The media playlists of a programme and the names of what they list.

use std::borrow::Cow;

/// Video renditions of one programme at most; a ladder asks for fewer.
pub const RUNGS_MAX: usize = 8;

/// One media playlist of a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rendition {
    /// Pictures; 0 is the highest rung: `video.m3u8` with `v-…`, then `video-1.m3u8` with `v1-…`, and so on.
    Video(u8),
    /// AAC, `audio.m3u8`, `a-…`.
    Audio,
    /// The key frames of a rung, as byte ranges of its segments: `iframes.m3u8`, `iframes-1.m3u8`, and so on.
    IFrames(u8),
    /// A caption track, WebVTT: `captions.m3u8` with `c-…`, then `captions-1.m3u8` with `c1-…`, and so on.
    Captions(u8),
}

impl Rendition {
    /// The media playlist's name, relative to the multivariant playlist.
    #[must_use]
    pub fn playlist_name(self) -> Cow<'static, str> {
        match self {
            Self::Video(0) => "video.m3u8".into(),
            Self::Video(rung) => format!("video-{rung}.m3u8").into(),
            Self::Audio => "audio.m3u8".into(),
            Self::IFrames(0) => "iframes.m3u8".into(),
            Self::IFrames(rung) => format!("iframes-{rung}.m3u8").into(),
            Self::Captions(0) => "captions.m3u8".into(),
            Self::Captions(track) => format!("captions-{track}.m3u8").into(),
        }
    }

    /// Whose playlist has this name. Only as [`Self::playlist_name`] writes it.
    #[must_use]
    pub fn of_playlist(name: &str) -> Option<Self> {
        match name {
            "video.m3u8" => Some(Self::Video(0)),
            "audio.m3u8" => Some(Self::Audio),
            "iframes.m3u8" => Some(Self::IFrames(0)),
            "captions.m3u8" => Some(Self::Captions(0)),
            _ => {
                let (kind, number) = name.strip_suffix(".m3u8")?.split_once('-')?;
                let of = match kind {
                    "video" => Self::Video,
                    "iframes" => Self::IFrames,
                    "captions" => Self::Captions,
                    _ => return None,
                };
                rung(number).map(of)
            }
        }
    }

    /// Whose media has this name, by what stands before its first `-`. Whether there is such media only a snapshot knows.
    #[must_use]
    pub fn of_media(name: &str) -> Option<Self> {
        match name.split_once('-')?.0 {
            "v" => Some(Self::Video(0)),
            "a" => Some(Self::Audio),
            "c" => Some(Self::Captions(0)),
            prefix => match prefix.split_at_checked(1)? {
                ("v", number) => rung(number).map(Self::Video),
                ("c", number) => rung(number).map(Self::Captions),
                _ => None,
            },
        }
    }

    /// What the names of its media begin with, up to the `-`.
    pub(crate) fn prefix(self) -> Cow<'static, str> {
        match self {
            Self::Video(0) | Self::IFrames(0) => "v".into(),
            Self::Video(rung) | Self::IFrames(rung) => format!("v{rung}").into(),
            Self::Audio => "a".into(),
            Self::Captions(0) => "c".into(),
            Self::Captions(track) => format!("c{track}").into(),
        }
    }

    /// `Content-Type` of its media (RFC 8216 §4.1, ISO/IEC 14496-12).
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Video(_) | Self::IFrames(_) => "video/mp4",
            Self::Audio => "audio/mp4",
            Self::Captions(_) => "text/vtt",
        }
    }

    /// What the names of its segments end with.
    pub(crate) fn extension(self) -> &'static str {
        if matches!(self, Self::Captions(_)) { ".vtt" } else { ".m4s" }
    }

    /// Its segments are made of parts. Those of the others come with their segment.
    #[must_use]
    pub fn has_parts(self) -> bool {
        matches!(self, Self::Video(_) | Self::Audio)
    }

    /// Name of a part, relative to the playlist.
    #[must_use]
    pub fn part_name(self, msn: u64, part: usize) -> String {
        format!("{}-{msn}.{part}.m4s", self.prefix())
    }

    /// Name of a segment, relative to the playlist.
    #[must_use]
    pub fn segment_name(self, msn: u64) -> String {
        format!("{}-{msn}{}", self.prefix(), self.extension())
    }

    /// Name of an init segment, relative to the playlist.
    #[must_use]
    pub fn init_name(self, number: u64) -> String {
        format!("{}-init-{number}.mp4", self.prefix())
    }
}

/// A rung above 0 as names carry it: one name, one cache entry.
fn rung(text: &str) -> Option<u8> {
    let number: u8 = text.parse().ok()?;
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    (canonical && usize::from(number) < RUNGS_MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_renditions() {
        let numbered = (0..RUNGS_MAX as u8).flat_map(|n| [Rendition::Video(n), Rendition::Captions(n)]);
        for rendition in numbered.chain([Rendition::Audio]) {
            assert_eq!(Rendition::of_playlist(&rendition.playlist_name()), Some(rendition));
            for name in [rendition.part_name(7, 0), rendition.segment_name(7), rendition.init_name(7)] {
                assert_eq!(Rendition::of_media(&name), Some(rendition), "{name}");
            }
        }
        for rendition in (0..RUNGS_MAX as u8).map(Rendition::IFrames) {
            assert_eq!(Rendition::of_playlist(&rendition.playlist_name()), Some(rendition));
        }
        assert_eq!(Rendition::Captions(1).segment_name(7), "c1-7.vtt");
        assert_eq!(Rendition::Video(0).part_name(7, 2), "v-7.2.m4s");
        assert_eq!(Rendition::Video(2).init_name(7), "v2-init-7.mp4");
    }

    #[test]
    fn there_is_one_name_for_each() {
        for name in ["video-0.m3u8", "video-01.m3u8", "video-+1.m3u8", "video-8.m3u8", "video-.m3u8", "playlist.m3u8"] {
            assert_eq!(Rendition::of_playlist(name), None, "{name}");
        }
        for name in ["v0-7.m4s", "v01-7.m4s", "v8-7.m4s", "x-7.m4s", "v", ""] {
            assert_eq!(Rendition::of_media(name), None, "{name}");
        }
    }
}
