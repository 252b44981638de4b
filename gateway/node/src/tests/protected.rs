//! Who may fetch what, where URLs are signed; timed metadata and captions on their way into the playlists.

use std::time::SystemTime;

use minamo_packager::{CaptionTrack, Cipher, Cue, CueTime, DateRange, DateRangeRefused, Rotation};

use super::*;
use crate::{Access, NotTold};

const SECRET: [u8; 32] = [0x17; 32];
const PATH: &str = "/hls/c/playlist.m3u8";

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn access() -> Access {
    Access::new(&SECRET, Duration::from_secs(3_600))
}

async fn live(settings: ProgrammeSettings) -> (Theatre, Source) {
    let theatre = Theatre::with(GatewayConfig::default(), settings);
    let mut source = Source::new("P", 1, true, true);
    theatre.join(&source);
    theatre.run_secs(&mut source, 7).await;
    (theatre, source)
}

async fn signed() -> (Theatre, Source) {
    live(ProgrammeSettings { access: Some(Arc::new(access())), ..ProgrammeSettings::default() }).await
}

#[tokio::test]
async fn a_signed_url_leads_to_everything_and_nothing_else_does() {
    let (theatre, _) = signed().await;
    let refused = theatre.get(PATH).await;
    assert_eq!((refused.status, refused.error_type().as_str()), (StatusCode::FORBIDDEN, "SIGNATURE_MISSING"));
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    let multivariant = theatre.get(&format!("{PATH}?{}", access().sign(PATH, now() + 60))).await;
    assert_eq!(multivariant.status, 200, "{}", multivariant.text());
    let variants = segments(multivariant.text());
    let mut playlists = uris(multivariant.text(), "#EXT-X-MEDIA:");
    playlists.extend(uris(multivariant.text(), "#EXT-X-I-FRAME-STREAM-INF:"));
    playlists.extend(variants);
    assert_eq!(playlists.len(), 3, "{}", multivariant.text());
    for uri in &playlists {
        let playlist = theatre.get(&format!("/hls/c/{uri}")).await;
        assert_eq!(playlist.status, 200, "{uri}");
        assert!(!playlist.text().contains("signature="), "it is the same for all: {}", playlist.text());
        let name = uri.split('?').next().unwrap();
        assert_eq!(theatre.get(&format!("/hls/c/{name}")).await.error_type(), "SIGNATURE_MISSING");
        let mut media = segments(playlist.text());
        media.extend(uris(playlist.text(), "#EXT-X-PART:"));
        media.extend(uris(playlist.text(), "#EXT-X-MAP:"));
        for uri in media {
            assert_eq!(theatre.get(&format!("/hls/c/{uri}")).await.status, 200, "{uri}");
            let (name, token) = uri.split_once('?').unwrap();
            for wrong in [name.to_owned(), format!("{name}?t=00"), format!("{name}?{token}0")] {
                assert_eq!(theatre.get(&format!("/hls/c/{wrong}")).await.error_type(), "SIGNATURE_WRONG", "{wrong}");
            }
        }
    }
}

#[tokio::test]
async fn an_expired_url_says_so_and_who_has_begun_goes_on() {
    let (theatre, mut source) = signed().await;
    let multivariant = theatre.get(&format!("{PATH}?{}", access().sign(PATH, now() + 60))).await;
    let expired = theatre.get(&format!("{PATH}?{}", access().sign(PATH, now() - 1))).await;
    assert_eq!((expired.status, expired.error_type().as_str()), (StatusCode::FORBIDDEN, "URL_EXPIRED"));
    let video = segments(multivariant.text())[0].clone();
    let first = theatre.get(&format!("/hls/c/{video}")).await;
    theatre.run_secs(&mut source, 2).await;
    let second = theatre.get(&format!("/hls/c/{video}&_HLS_msn=0")).await;
    assert!(second.status == 200 && second.body != first.body);
    // What opens the start opens nothing else, and the other way round.
    let (start, session) = (access().sign(PATH, now() + 60), video.split_once('?').unwrap().1);
    assert_eq!(theatre.get(&format!("/hls/c/video.m3u8?{start}")).await.error_type(), "SIGNATURE_WRONG");
    assert_eq!(theatre.get(&format!("{PATH}?{session}")).await.error_type(), "SIGNATURE_WRONG");
}

/// Negative control: without the switch nothing is asked for.
#[tokio::test]
async fn other_channels_are_open() {
    let (theatre, _) = live(ProgrammeSettings::default()).await;
    assert_eq!(theatre.get(PATH).await.status, 200);
    assert!(!theatre.playlist("video").await.contains("?t="));
}

#[tokio::test]
async fn an_encrypted_programme_names_its_key_and_shows_no_boxes() {
    let cipher = Cipher::new("https://keys.example/k".into(), "0011223344556677".into(), &SECRET, Rotation::Never);
    let (theatre, _) = live(ProgrammeSettings { cipher: Some(cipher), ..ProgrammeSettings::default() }).await;
    let text = theatre.playlist("video").await;
    assert!(text.contains("#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys.example/k?kid=0011223344556677"), "{text}");
    for uri in uris(&text, "#EXT-X-MAP:").into_iter().chain(segments(&text)) {
        let answer = theatre.get(&format!("/hls/c/{uri}")).await;
        assert!(answer.status == 200 && answer.body.len() % 16 == 0 && boxes(&answer.body).is_err(), "{uri}");
    }
    assert_eq!(theatre.get("/hls/c/iframes.m3u8").await.error_type(), "NOT_FOUND");
    for form in ["manifest.mpd", "ts.m3u8"] {
        assert_eq!(theatre.get(&format!("/hls/c/{form}")).await.error_type(), "FORM_UNAVAILABLE", "it would be plain");
    }
}

#[tokio::test]
async fn metadata_and_captions_come_with_the_next_part_and_segment() {
    let track = CaptionTrack { language: "ja".into(), name: "日本語".into() };
    let (theatre, mut source) = live(ProgrammeSettings { captions: vec![track], ..ProgrammeSettings::default() }).await;
    let unix = theatre.clock.unix();
    let range = DateRange { id: "m".into(), start: unix, duration: Some(Duration::ZERO), planned: None, attributes: [].into() };
    theatre.gateway.add_date_range(&theatre.channel, None, &range).await.unwrap();
    let changed = DateRange { duration: Some(Duration::from_secs(1)), ..range.clone() };
    let refused = theatre.gateway.add_date_range(&theatre.channel, Some(&"P".into()), &changed).await;
    assert_eq!(refused, Err(NotTold::Refused(DateRangeRefused::Changed("DURATION".into()))));
    let nobody = theatre.gateway.add_date_range(&theatre.channel, Some(&"Q".into()), &range).await;
    assert_eq!(nobody, Err(NotTold::NotLive));
    let cue = Cue { start: CueTime::Wall(unix), end: CueTime::Wall(unix + Duration::from_secs(2)), text: "字幕".into() };
    let captions = |language| theatre.gateway.add_captions(&theatre.channel, None, language, vec![cue.clone()]);
    assert_eq!(captions(Some("en")).await, Err(NotTold::NoTrack));
    assert_eq!(captions(Some("JA")).await, Ok(()));
    theatre.run_secs(&mut source, 5).await;
    for rendition in ["video", "audio", "captions"] {
        assert!(theatre.playlist(rendition).await.contains("#EXT-X-DATERANGE:ID=\"m\","), "{rendition}");
    }
    let mut found = 0;
    for uri in segments(&theatre.playlist("captions").await) {
        let vtt = theatre.get(&format!("/hls/c/{uri}")).await;
        assert_eq!(vtt.header("content-type"), "text/vtt");
        found += usize::from(vtt.text().contains("字幕"));
    }
    assert!(found > 0);
    assert!(theatre.get(PATH).await.text().contains("TYPE=SUBTITLES"));
}
