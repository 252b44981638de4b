//! A picture goes out subscriber by subscriber, whole, with its last packet.

use bytes::BytesMut;
use minamo_sfu_core::rtcp;

use crate::world::{PUBLISHER, World, route};
use crate::{clear, ms, secs};

/// As the publisher sends it.
const VIDEO_PT: u8 = 102;

/// The ports to which media goes, in order.
fn media_ports(world: &mut World) -> Vec<u16> {
    let mut ports = Vec::new();
    while let Some(transmit) = world.shard.poll_transmit() {
        let media = transmit.datagrams().filter(|datagram| datagram[0] >> 6 == 2 && !rtcp::is_rtcp(datagram));
        ports.extend(media.map(|_| transmit.route.remote.port()));
    }
    ports
}

/// The packets of the publisher's next picture of three or more.
fn picture(world: &mut World) -> Vec<Vec<u8>> {
    for _ in 0..1000 {
        world.now = world.publisher.next();
        let packets = world.publisher.tick(world.now).into_iter();
        let picture: Vec<_> = packets.filter(|packet| !rtcp::is_rtcp(packet) && packet[1] & 0x7f == VIDEO_PT).collect();
        if picture.len() > 2 {
            return picture;
        }
        for packet in picture {
            world.deliver(PUBLISHER, &packet);
        }
    }
    panic!("pictures are small")
}

fn joined() -> World {
    let mut world = World::new(clear(41));
    world.join(1);
    world.join(2);
    world.run(secs(2));
    world
}

#[test]
fn a_picture_waits_for_its_last_packet_and_goes_to_one_subscriber_after_the_other() {
    let mut world = joined();
    let picture = picture(&mut world);
    for packet in &picture {
        assert_eq!(media_ports(&mut world), [0; 0], "the picture is not complete");
        world.shard.handle_datagram(world.now, route(PUBLISHER), BytesMut::from(&packet[..]));
    }
    let ports = media_ports(&mut world);
    assert_eq!(ports.len(), 2 * picture.len());
    assert!(ports.is_sorted() || ports.is_sorted_by(|a, b| a >= b), "{ports:?}");
}

#[test]
fn a_picture_whose_end_does_not_come_waits_a_millisecond() {
    let mut world = joined();
    let picture = picture(&mut world);
    world.shard.handle_datagram(world.now, route(PUBLISHER), BytesMut::from(&picture[0][..]));
    let due = world.shard.poll_timeout().expect("a deadline");
    assert!(due <= world.now + ms(1));
    while world.shard.poll_timeout().is_some_and(|due| due <= world.now + ms(1)) {
        assert_eq!(media_ports(&mut world), [0; 0]);
        world.shard.handle_timeout(world.shard.poll_timeout().unwrap_or(world.now));
    }
    assert_eq!(media_ports(&mut world).len(), 2);
}
