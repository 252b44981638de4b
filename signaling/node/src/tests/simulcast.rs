//! Layers: offered, answered, told to the SFU.

use minamo_media::TrackId;
use minamo_sfu_core::model::{Command, Layer, LayerWish, PeerId, Uplink};
use minamo_signaling_proto::api::{H264Profile, VideoSpec};
use minamo_signaling_proto::sora::{ClientMessage, Rid};
use serde_json::{Value, json};

use super::{Bench, admission, answering, commands, connect, sent, tracks};
use crate::session::{Action, Wanted, layers};

fn simulcast() -> Value {
    let mut message = connect("sendrecv");
    message["simulcast"] = json!(true);
    message
}

fn video(actions: &[Action]) -> Uplink {
    let uplink = commands(actions).into_iter().find_map(|command| match command {
        Command::AddUplink(_, uplink) if uplink.payload.rtx_pt.is_some() => Some(uplink.clone()),
        _ => None,
    });
    uplink.unwrap()
}

#[test]
fn only_what_was_agreed_is_told_and_no_ssrc() {
    let (mut bench, offer) = Bench::offered(&simulcast(), admission());
    let uplink = video(&bench.answer("answer", &offer));
    assert_eq!((uplink.rids, uplink.ssrc, uplink.rtx_ssrc), (vec!["r0".into(), "r1".into(), "r2".into()], None, None));
    assert!(uplink.extensions.rid.is_some() && uplink.extensions.repaired_rid.is_some() && uplink.extensions.mid.is_some());

    for (answered, agreed) in [("r0;~r1", "r0 r1"), ("r2;r0;x", "r0 r2"), ("", "")] {
        let (mut bench, offer) = Bench::offered(&simulcast(), admission());
        let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), |_, taken| {
            if !taken.rids.is_empty() {
                taken.rids = answered.split(';').filter(|rid| !rid.is_empty()).map(str::to_owned).collect();
            }
        });
        let uplink = video(&bench.say(&json!({"type": "answer", "sdp": sdp})));
        assert_eq!(uplink.rids.join(" "), agreed, "{answered}");
        assert_eq!(uplink.ssrc.is_some(), agreed.is_empty(), "without layers it is an ordinary track");
    }
}

#[test]
fn a_ladder_asks_for_its_rungs() {
    let rung = |height: u32| VideoSpec { width: height * 2, height, fps: 30, bps: height * 1000, codec: H264Profile::H264High };
    let ladder = [rung(720), rung(360)];
    let asked = |message: &Value, ladder: &[VideoSpec]| {
        let ClientMessage::Connect(mut asked) = ClientMessage::parse(&message.to_string()).unwrap() else { panic!("{message}") };
        layers::ask_for(&mut asked, ladder);
        asked.forwarding
    };
    let wishes = asked(&connect("sendonly"), &ladder);
    let found: Vec<_> = wishes.encodings.unwrap().into_iter().map(|layer| (layer.rid, layer.max_bitrate)).collect();
    assert!(wishes.simulcast);
    assert_eq!(found, [(Rid::R0, Some(360_000)), (Rid::R1, Some(720_000))]);
    assert_eq!(layers::video_bps_max(&ladder), Some(1_080_000));

    assert!(!asked(&connect("sendonly"), &ladder[..1]).simulcast, "one rung needs no layers");
    assert!(!asked(&connect("recvonly"), &ladder).simulcast);
    let mut sound = connect("sendonly");
    sound["video"] = json!(false);
    assert!(!asked(&sound, &ladder).simulcast);
}

#[test]
fn re_offers_repeat_the_layers() {
    let mut bench = Bench::established(&simulcast(), admission());
    let re_offer = sent(&bench.want([10, 11])).remove(0);
    assert!(re_offer["sdp"].as_str().unwrap().contains("a=simulcast:recv r0;r1;r2\r\n"));
    assert!(re_offer.get("encodings").is_none());
}

#[test]
fn a_receivers_layer_is_told_with_the_track_and_whenever_it_changes() {
    let mut bench = Bench::established(&connect("recvonly"), admission());
    let low = LayerWish::AtMost(Layer(0));
    let want = |bench: &mut Bench, layer| {
        bench.session.set_wanted(bench.now, vec![Wanted { layer, ..tracks([11]).remove(0) }]);
        bench.actions()
    };
    let re_offer = sent(&want(&mut bench, LayerWish::Best)).remove(0);
    assert_eq!(want(&mut bench, low), [], "it is not sent yet");
    let actions = bench.answer("re-answer", &re_offer);
    let [Command::AddDownlink(_, downlink)] = commands(&actions)[..] else { panic!("{actions:?}") };
    assert_eq!(downlink.layer, low);
    assert_eq!(want(&mut bench, low), []);
    let off = want(&mut bench, LayerWish::Off);
    assert_eq!(off, [Action::Sfu(Command::SetLayer(PeerId(1), TrackId(11), LayerWish::Off))], "without a re-offer");
    bench.want([]);
    bench.session.set_wanted(bench.now, Vec::new());
    assert!(commands(&bench.actions()).is_empty());
}

#[test]
fn layers_that_were_not_offered_are_not_taken() {
    let (mut bench, offer) = Bench::offered(&connect("sendonly"), admission());
    let sdp = answering::answer_with(offer["sdp"].as_str().unwrap(), |_, _| {});
    let with_layers = format!("{sdp}a=rid:r0 send\r\na=rid:r1 send\r\na=simulcast:send r0;r1\r\n");
    let uplink = video(&bench.say(&json!({"type": "answer", "sdp": with_layers})));
    assert!(uplink.rids.is_empty() && uplink.ssrc.is_some());
}
