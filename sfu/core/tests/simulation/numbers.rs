//! The numbers of a peer agree with what was sent, asked and lost.

use std::collections::HashSet;

use minamo_sfu_core::model::{Command, Layer, LayerWish, PathKind, PeerEvent, PeerId, PeerReport, UplinkReport};
use minamo_sfu_core::rtcp;

use crate::layered::{SIMULCAST, Stage};
use crate::link::CLEAR;
use crate::null::Fault;
use crate::publisher::{AUDIO, VIDEO};
use crate::world::{PUBLISHER, Plan, World};
use crate::{bad, clear, ms, secs};

fn report(world: &mut World, peer: PeerId) -> Option<PeerReport> {
    world.peer_events.clear();
    world.command(Command::Report(peer));
    let report = |(id, event): &(PeerId, PeerEvent)| match event {
        PeerEvent::Report(report) if *id == peer => Some(PeerReport::clone(report)),
        _ => None,
    };
    world.peer_events.iter().find_map(report)
}

fn sums(uplinks: &[UplinkReport], number: fn(&UplinkReport) -> u64) -> u64 {
    uplinks.iter().map(number).sum()
}

#[test]
fn a_publisher_is_told_what_came_of_its_tracks() {
    let mut world = World::new(Plan { up: bad(5).up, ..clear(5) });
    world.join(1);
    world.run(secs(3));
    let before = report(&mut world, PUBLISHER).unwrap();
    for _ in 0..6 {
        world.run(secs(1));
        let pli = world.subscribers[&PeerId(1)].pli();
        world.deliver(PeerId(1), &pli);
    }
    world.plan.up = CLEAR;
    world.run(secs(2));
    let sent = world.publisher.contents();
    // What is under way arrives.
    world.silenced = true;
    world.run(ms(100));

    let after = report(&mut world, PUBLISHER).unwrap();
    let stats = *world.shard.stats();
    assert_eq!(after.uplinks.iter().map(|uplink| uplink.track).collect::<Vec<_>>(), [VIDEO, AUDIO]);
    let [video, audio] = &after.uplinks[..] else { panic!("{after:?}") };
    assert_eq!([video.packets + video.lost, audio.packets + audio.lost], sent);
    let keys: HashSet<u32> =
        world.publisher.sent.values().filter(|sent| sent.key && sent.video).map(|sent| sent.timestamp).collect();
    assert_eq!((video.key_frames, audio.key_frames), (keys.len() as u64, 0));
    assert_eq!(sums(&after.uplinks, |uplink| uplink.lost), stats.packets_lost);
    assert_eq!(sums(&after.uplinks, |uplink| uplink.nacked), stats.retransmissions_asked);
    assert_eq!(sums(&after.uplinks, |uplink| uplink.key_frames_asked), stats.key_frames_asked);
    assert!(video.nacked > 10 && video.key_frames_asked > 3 && keys.len() > 3, "{video:?}");
    let per_second = (video.bytes - before.uplinks[0].bytes) * 8 / 8;
    assert!((per_second / 2..per_second * 2).contains(&video.bitrate), "{per_second} {video:?}");
    assert_eq!((after.path, after.bandwidth, after.downlinks), (PathKind::Udp, None, Vec::new()));
}

#[test]
fn a_subscriber_is_told_what_it_was_sent() {
    let mut world = World::new(Plan { down: bad(6).down, ..clear(6) });
    let peer = world.join(1);
    world.run(secs(5));
    world.plan.down = CLEAR;
    world.run(secs(5));
    let ssrc = world.subscribers[&peer].downlinks()[0].ssrc;
    let mut said = Vec::new();
    rtcp::receiver_report(&mut said, 1, &[rtcp::ReportBlock { ssrc, lost: 7, ..rtcp::ReportBlock::default() }]);
    rtcp::remb(&mut said, 1, &[ssrc], 1_048_576);
    rtcp::pli(&mut said, 1, ssrc);
    world.deliver(peer, &said);

    let told = report(&mut world, peer).unwrap();
    let stats = *world.shard.stats();
    let [video, audio] = &told.downlinks[..] else { panic!("{told:?}") };
    assert_eq!(((video.track, video.layer), (audio.track, audio.layer)), ((VIDEO, Some(Layer(0))), (AUDIO, Some(Layer(0)))));
    assert_eq!(video.packets + audio.packets + video.resent + audio.resent, stats.rtp_out);
    assert_eq!(video.resent, stats.retransmissions_served);
    assert!(video.resent > 10 && video.bytes > 10 * video.packets, "{video:?}");
    assert_eq!((video.lost, video.key_frames_asked, audio.lost, audio.key_frames_asked), (7, 1, 0, 0));
    assert_eq!(told.bandwidth, Some(1_048_576));
    assert!(told.rtt.is_some_and(|rtt| (ms(29)..ms(40)).contains(&rtt)), "{:?}", told.rtt);
    assert_eq!(told.uplinks, []);
    // All bytes are somebody's.
    let publisher = report(&mut world, PUBLISHER).unwrap();
    assert_eq!(told.bytes_in + publisher.bytes_in, stats.bytes_in);
    assert_eq!(told.bytes_out + publisher.bytes_out, stats.bytes_out);
    assert!(told.bytes_out > publisher.bytes_out && told.bytes_in < publisher.bytes_in);
}

#[test]
fn each_layer_that_came_has_its_numbers() {
    let mut stage = Stage::new(7, SIMULCAST, false, Fault::None);
    let viewer = stage.join(1, LayerWish::AtMost(Layer(1)));
    stage.run(secs(4));
    stage.command(Command::Report(PeerId(0)));
    stage.command(Command::Report(viewer));
    let reports: Vec<PeerReport> = stage
        .events
        .iter()
        .filter_map(|(_, _, event)| if let PeerEvent::Report(report) = event { Some(PeerReport::clone(report)) } else { None })
        .collect();
    let layers: Vec<u8> = reports[0].uplinks.iter().map(|uplink| uplink.layer.0).collect();
    assert_eq!(layers, [0, 1, 2]);
    assert!(reports[0].uplinks.iter().all(|uplink| uplink.packets > 30 && uplink.key_frames > 0), "{reports:?}");
    assert_eq!(reports[1].downlinks[0].layer, Some(Layer(1)));
}

/// Negative control: who has sent and was sent nothing has zeros, and who is not here no answer.
#[test]
fn nothing_is_made_up() {
    let mut world = World::new(clear(8));
    world.connect(PeerId(9));
    world.run(secs(2));
    let idle = report(&mut world, PeerId(9)).unwrap();
    assert_eq!((idle.rtt, idle.bandwidth, idle.uplinks.len(), idle.downlinks.len()), (None, None, 0, 0));
    assert!(idle.bytes_in > 0 && idle.bytes_in < 200, "its one check: {idle:?}");
    assert_eq!(report(&mut world, PeerId(77)), None);
    // A layer that does not come is not there.
    world.join(1);
    world.silenced = true;
    world.run(ms(100));
    world.command(Command::RemovePeer { peer: PUBLISHER, clean: true });
    world.connect(PUBLISHER);
    for uplink in world.publisher.uplinks(None) {
        world.command(Command::AddUplink(PUBLISHER, uplink));
    }
    world.run(secs(1));
    assert_eq!(report(&mut world, PUBLISHER).unwrap().uplinks, []);
}
