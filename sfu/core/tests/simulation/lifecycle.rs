//! Peers come, are found, are reported on, and go without a trace.

use std::net::SocketAddr;

use bytes::BytesMut;
use minamo_sfu_core::model::{CloseReason, Command, Fingerprint, IceCredentials, PeerEvent, PeerId};
use minamo_sfu_core::shard::{Shard, ShardConfig, ShardEvent};
use minamo_sfu_core::transport::Route;

use crate::null::{Fault, GOODBYE, NullTransport, check};
use crate::publisher::VIDEO;
use crate::world::{PUBLISHER, World, route};
use crate::{bad, clear, secs};

#[test]
fn a_publisher_that_is_removed_leaves_nothing() {
    for clean in [true, false] {
        let mut world = World::new(bad(1));
        world.join(1);
        world.run(secs(2));
        world.command(Command::RemovePeer { peer: PUBLISHER, clean });
        world.command(Command::RemovePeer { peer: PeerId(1), clean: true });
        assert_eq!(world.tap.inputs, ["added t1", "added t2", "removed t1", "removed t2", &format!("gone clean={clean}")]);
        let stats = world.shard.stats();
        assert_eq!((stats.peers, stats.uplinks, stats.downlinks), (0, 0, 0));
        assert_eq!(world.shard.poll_timeout(), None);
        assert_eq!(world.peer_events, [(PUBLISHER, PeerEvent::Connected), (PeerId(1), PeerEvent::Connected)]);
        world.plan = clear(1);
        world.run(secs(1));
        let dropped = world.shard.stats().dropped_unknown_address;
        world.deliver(PeerId(1), &[0x80; 40]);
        assert_eq!(world.shard.stats().dropped_unknown_address, dropped + 1);
    }
}

#[test]
fn a_removed_peer_is_told() {
    let mut world = World::new(clear(2));
    world.join(1);
    world.run(secs(1));
    world.command(Command::RemovePeer { peer: PeerId(1), clean: true });
    world.run(secs(1));
    assert!(world.subscribers[&PeerId(1)].goodbye);
}

#[test]
fn a_publisher_that_closes_is_gone_uncleanly_and_the_others_stay() {
    let mut world = World::new(clear(3));
    world.join(1);
    world.run(secs(1));
    world.deliver(PUBLISHER, GOODBYE);
    assert_eq!(world.tap.inputs.last().map(String::as_str), Some("gone clean=false"));
    assert_eq!(world.peer_events.last(), Some(&(PUBLISHER, PeerEvent::Closed(CloseReason::DtlsClosed))));
    let stats = world.shard.stats();
    assert_eq!((stats.peers, stats.uplinks, stats.downlinks), (1, 0, 2));
}

#[test]
fn a_subscriber_may_come_before_its_publisher_and_go_and_come() {
    let mut world = World::new(clear(4));
    world.command(Command::RemovePeer { peer: PUBLISHER, clean: true });
    let peer = world.join(1);
    world.connect(PUBLISHER);
    for uplink in world.publisher.uplinks(None) {
        world.command(Command::AddUplink(PUBLISHER, uplink));
    }
    world.run(secs(2));
    let (got, missing) = world.subscribers[&peer].video();
    assert!(got > 50 && missing == 0, "{got} {missing}");
    world.command(Command::RemoveDownlink(peer, VIDEO));
    world.run(secs(1));
    let after = world.subscribers[&peer].video().0;
    world.run(secs(1));
    assert_eq!(world.subscribers[&peer].video().0, after);
    assert_eq!(world.shard.stats().downlinks, 1);
}

#[test]
fn reports_keep_the_publishers_clock() {
    let mut world = World::new(bad(5));
    let peer = world.join(1);
    world.run(secs(5));
    let subscriber = &world.subscribers[&peer];
    let (info, _) = subscriber.clock.expect("a sender report");
    let offset = subscriber.timestamp_offset().expect("video");
    // The subscriber's timestamp less its offset is the publisher's time since its start.
    let seconds = f64::from(info.rtp.wrapping_sub(offset)) / 90_000.0;
    let clock = info.ntp.seconds_since(world.publisher.ntp(world.start));
    assert!((seconds - clock).abs() < 0.001, "{seconds} against {clock}");
    assert!(info.packets > 100 && info.octets > 10_000);
    let blocks = &world.publisher.report_blocks;
    assert_eq!(blocks.len(), 2);
    assert!(blocks.iter().all(|block| block.lsr != 0 && block.dlsr < 3 * 65_536), "{blocks:?}");
}

#[test]
fn a_bitrate_wish_reaches_the_publisher_and_is_lifted() {
    let mut world = World::new(clear(6));
    world.run(secs(1));
    world.command(Command::RequestBitrate(VIDEO, 1_000_000));
    world.run(secs(1));
    let limit = world.publisher.limit.expect("a limit");
    assert!((1_000_000..1_200_000).contains(&limit), "{limit}");
    world.command(Command::RequestBitrate(VIDEO, 0));
    world.run(secs(1));
    assert!(world.publisher.limit.is_some_and(|limit| limit > 100_000_000));
}

#[test]
fn addresses_are_found_by_checks_only() {
    let mut world = World::new(clear(7));
    world.join(1);
    world.run(secs(1));
    let stranger = Route::udp(SocketAddr::from(([10, 9, 9, 9], 9)), None);
    let mut dropped = world.shard.stats().dropped_unknown_address;
    for garbage in [&[][..], &[0], &[0x80; 12], &[22; 80], &check("nobody")] {
        world.shard.handle_datagram(world.now, stranger, BytesMut::from(garbage));
        dropped += 1;
        assert_eq!(world.shard.stats().dropped_unknown_address, dropped);
    }
    // An authentic check of one peer does not take another's address away while that one is alive.
    world.shard.handle_datagram(world.now, route(PeerId(1)), BytesMut::from(&check("ufrag0")[..]));
    assert_eq!(world.shard.stats().contested_addresses, 1);
    world.shard.handle_datagram(world.now, stranger, BytesMut::from(&check("ufrag1")[..]));
    world.shard.handle_datagram(world.now, stranger, BytesMut::from(&[0x80; 12][..]));
    assert_eq!(world.shard.stats().dropped_unknown_address, dropped);
}

#[test]
fn a_full_shard_refuses() {
    let world = World::new(clear(8));
    let config = ShardConfig { peers_max: 2, ..ShardConfig::default() };
    let mut shard = Shard::new(config, |_, ice| NullTransport::new(ice, Fault::None));
    let ice = |n: u64| IceCredentials { ufrag: format!("ufrag{n}"), pwd: "p".repeat(22) };
    for n in [1, 2, 3] {
        shard.handle_command(world.now, Command::AddPeer { peer: PeerId(n), ice: ice(n) });
    }
    shard.handle_command(world.now, Command::SetRemote { peer: PeerId(3), fingerprint: Fingerprint([0; 32]) });
    assert_eq!(shard.poll_event(), Some(ShardEvent::Peer(PeerId(3), PeerEvent::Closed(CloseReason::Refused))));
    assert_eq!((shard.stats().peers, shard.stats().refused_peers), (2, 1));
    shard.handle_command(world.now, Command::RemovePeer { peer: PeerId(1), clean: true });
    shard.handle_command(world.now, Command::AddPeer { peer: PeerId(4), ice: ice(2) });
    assert_eq!(shard.stats().refused_peers, 2, "another peer has that ufrag");
}

#[test]
fn no_packet_of_a_peer_panics() {
    let mut world = World::new(clear(9));
    let peer = world.join(1);
    world.run(secs(1));
    let mut dice = crate::link::Dice::new(9);
    let samples: Vec<Vec<u8>> =
        world.publisher.tick(world.publisher.next()).into_iter().chain([world.subscribers[&peer].pli()]).collect();
    for _ in 0..20_000 {
        let mut packet = samples[dice.below(samples.len() as u64) as usize].clone();
        packet.truncate(dice.below(packet.len() as u64 + 1) as usize);
        for _ in 0..dice.below(6) {
            if !packet.is_empty() {
                let at = dice.below(packet.len() as u64) as usize;
                packet[at] = dice.next() as u8;
            }
        }
        if let Some(first) = packet.first_mut() {
            *first = 0x80 | *first & 0x3f;
        }
        let to = if dice.chance(0.5) { PUBLISHER } else { peer };
        world.shard.handle_datagram(world.now, route(to), BytesMut::from(&packet[..]));
        while world.shard.poll_transmit().is_some() {}
        while world.shard.poll_event().is_some() {}
        world.now += crate::ms(1);
        world.shard.handle_timeout(world.now);
    }
}

#[test]
fn an_ice_restart_knows_both_ufrags_until_the_new_one_is_used() {
    let mut world = World::new(clear(10));
    let peer = world.join(1);
    world.run(secs(1));
    let ice = |ufrag: &str| IceCredentials { ufrag: ufrag.into(), pwd: "p".repeat(22) };
    let moved = Route::udp(SocketAddr::from(([10, 9, 9, 9], 9)), None);
    let dropped = |world: &World| world.shard.stats().dropped_unknown_address;
    let mut check_from = |route: Route, ufrag: &str| {
        world.shard.handle_datagram(world.now, route, BytesMut::from(&check(ufrag)[..]));
        dropped(&world)
    };
    let before = check_from(moved, "unknown");
    assert_eq!(check_from(moved, "again"), before + 1);
    world.command(Command::RestartIce { peer, ice: ice("ufrag0") });
    assert_eq!(world.shard.stats().dropped_commands, 1, "another peer's");
    world.command(Command::RestartIce { peer, ice: ice("lost") });
    world.command(Command::RestartIce { peer, ice: ice("again") });
    let mut check_from = |route: Route, ufrag: &str| {
        world.shard.handle_datagram(world.now, route, BytesMut::from(&check(ufrag)[..]));
        dropped(&world)
    };
    let before = before + 1;
    assert_eq!(check_from(route(peer), "ufrag1"), before, "the old one is still good");
    assert_eq!(
        check_from(Route::udp(SocketAddr::from(([10, 8, 8, 8], 8)), None), "lost"),
        before + 1,
        "the second restart took its place"
    );
    assert_eq!(check_from(moved, "again"), before + 1);
    assert_eq!(check_from(Route::udp(SocketAddr::from(([10, 8, 8, 8], 8)), None), "ufrag1"), before + 2, "the old one is gone");
    world.shard.handle_command(world.now, Command::RemovePeer { peer, clean: true });
    world.shard.handle_datagram(world.now, moved, BytesMut::from(&check("again")[..]));
    assert_eq!(dropped(&world), before + 3, "with the peer everything goes");
}
