use minamo_media::h264::nal_units;
use minamo_media::rtp::h264::{Depacketizer, PAYLOAD_BYTES_MIN, Packetizer};
use minamo_media::rtp::{Damage, Event, Frame, UNIT_BYTES_MAX};
use proptest::prelude::*;

use crate::support::{bytes, runner};

const SPS: &[u8] = &[0x67, 0x42, 0xC0, 0x1E];
const PPS: &[u8] = &[0x68, 0xCB];
/// Slices whose first_mb_in_slice is zero, and is not.
const IDR: &[u8] = &[0x65, 0x88, 0x84];
const IDR_SECOND: &[u8] = &[0x65, 0x05, 0x84];
const SLICE: &[u8] = &[0x41, 0x9A, 0x02];

fn avcc<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    nals.into_iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

fn frame(timestamp: i64, key: bool, nals: &[&[u8]]) -> Event {
    Event::Frame(Frame { timestamp, key, data: avcc(nals.iter().copied()).into() })
}

fn damaged(timestamp: i64, damage: Damage) -> Event {
    Event::Damaged { timestamp, damage }
}

/// Pushes payloads of one timestamp, the marker on the last, and returns all events.
fn push_unit(depacketizer: &mut Depacketizer, timestamp: i64, payloads: &[&[u8]]) -> Vec<Event> {
    let last = payloads.len() - 1;
    let push = |(index, payload): (usize, &&[u8])| depacketizer.push(payload, timestamp, index == last);
    payloads.iter().enumerate().flat_map(push).collect()
}

fn stap(nals: &[&[u8]]) -> Vec<u8> {
    let body = nals.iter().flat_map(|nal| [&(nal.len() as u16).to_be_bytes()[..], nal].concat());
    [0x78].into_iter().chain(body).collect()
}

fn fragments(nal: &[u8]) -> [Vec<u8>; 3] {
    let part = |flags: u8, body: &[u8]| [&[0x7C, flags | (nal[0] & 0x1F)], body].concat();
    let third = (nal.len() - 1) / 3;
    [part(0x80, &nal[1..=third]), part(0, &nal[1 + third..=2 * third]), part(0x40, &nal[1 + 2 * third..])]
}

#[test]
fn a_marker_ends_a_unit() {
    let mut depacketizer = Depacketizer::default();
    let events = push_unit(&mut depacketizer, 7, &[SPS, PPS, IDR, IDR_SECOND]);
    assert_eq!(events, [frame(7, true, &[SPS, PPS, IDR, IDR_SECOND])]);
    assert_eq!(depacketizer.finish(), None);
}

#[test]
fn a_new_timestamp_ends_a_unit_whose_marker_never_came() {
    let mut depacketizer = Depacketizer::default();
    assert_eq!(depacketizer.push(IDR, 1, false).count(), 0);
    let events: Vec<_> = depacketizer.push(SLICE, 2, true).collect();
    assert_eq!(events, [frame(1, true, &[IDR]), frame(2, false, &[SLICE])]);
    assert_eq!(depacketizer.push(SLICE, 3, false).count(), 0);
    assert_eq!(depacketizer.finish(), Some(frame(3, false, &[SLICE])));
}

#[test]
fn aggregates_and_fragments_become_whole_nal_units() {
    let mut depacketizer = Depacketizer::default();
    let idr: Vec<u8> = IDR.iter().copied().chain(0..100).collect();
    let [first, middle, end] = fragments(&idr);
    let events = push_unit(&mut depacketizer, 0, &[&stap(&[SPS, PPS]), &first, &middle, &end]);
    assert_eq!(events, [frame(0, true, &[SPS, PPS, &idr])]);
}

#[test]
fn fragments_may_be_empty() {
    let mut depacketizer = Depacketizer::default();
    let events = push_unit(&mut depacketizer, 0, &[&[0x7C, 0x85], &[0x7C, 0x05, 0x88, 0x84], &[0x7C, 0x45]]);
    assert_eq!(events, [frame(0, true, &[IDR])]);
}

#[test]
fn empty_and_reserved_payloads_are_nothing() {
    let mut depacketizer = Depacketizer::default();
    assert_eq!(push_unit(&mut depacketizer, 0, &[&[], &[0x1F, 1], &[0x1E, 1], &[0x00, 1]]), []);
    assert_eq!(push_unit(&mut depacketizer, 1, &[&[], SLICE, &[]]), [frame(1, false, &[SLICE])]);
}

#[test]
fn damage_is_named_and_the_next_unit_is_whole() {
    let [first, middle, end] = fragments(&[0x65, 0x88, 1, 2, 3, 4, 5, 6, 7]);
    let cut_stap = &stap(&[SPS, PPS])[..8];
    let cases: [(&[&[u8]], Damage); 13] = [
        (&[&middle, &end], Damage::FragmentWithoutStart),
        (&[&end], Damage::FragmentWithoutStart),
        (&[&first, &middle], Damage::FragmentWithoutEnd),
        (&[&first, &first, &end], Damage::FragmentWithoutEnd),
        (&[&first, SLICE], Damage::FragmentWithoutEnd),
        (&[&first, &[0x7C, 0x41, 9]], Damage::FragmentWithoutStart),
        (&[SPS, &[0x7C]], Damage::Malformed),
        (&[&[0x7C, 0x85]], Damage::FragmentWithoutEnd),
        (&[&[0x7C, 0x9C, 1]], Damage::Malformed),
        (&[cut_stap], Damage::Malformed),
        (&[&[0x78]], Damage::Malformed),
        (&[&stap(&[SPS, &[], PPS])], Damage::Malformed),
        (&[IDR, &[0x79, 0, 0, 0, 1, 0x65]], Damage::Unsupported),
    ];
    for (payloads, damage) in cases {
        let mut depacketizer = Depacketizer::default();
        assert_eq!(push_unit(&mut depacketizer, 1, payloads), [damaged(1, damage)], "{payloads:02x?}");
        assert_eq!(push_unit(&mut depacketizer, 2, &[SLICE]), [frame(2, false, &[SLICE])]);
    }
}

#[test]
fn a_gap_inside_a_unit_damages_that_unit_only() {
    let mut depacketizer = Depacketizer::default();
    depacketizer.push(IDR, 1, false);
    depacketizer.gap();
    assert_eq!(push_unit(&mut depacketizer, 1, &[IDR_SECOND]), [damaged(1, Damage::Gap)]);
    assert_eq!(push_unit(&mut depacketizer, 2, &[SLICE]), [frame(2, false, &[SLICE])]);
}

#[test]
fn after_a_gap_a_unit_must_begin_with_its_first_slice() {
    let mut depacketizer = Depacketizer::default();
    depacketizer.gap();
    assert_eq!(push_unit(&mut depacketizer, 1, &[IDR_SECOND]), [damaged(1, Damage::Headless)]);
    depacketizer.gap();
    assert_eq!(push_unit(&mut depacketizer, 2, &[SPS, IDR, IDR_SECOND]), [frame(2, true, &[SPS, IDR, IDR_SECOND])]);
    // Between both, the tail of one unit and the head of the next.
    depacketizer.push(IDR, 3, false);
    depacketizer.gap();
    let events = push_unit(&mut depacketizer, 4, &[IDR_SECOND]);
    assert_eq!(events, [damaged(3, Damage::Gap), damaged(4, Damage::Headless)]);
}

#[test]
fn a_unit_above_the_bound_is_dropped_and_the_next_is_whole() {
    let mut depacketizer = Depacketizer::default();
    let payload = vec![0x41; 60_000];
    let pushes = UNIT_BYTES_MAX / payload.len() + 1;
    let events: Vec<_> = (0..pushes).flat_map(|_| depacketizer.push(&payload, 1, false)).collect();
    assert_eq!(events, []);
    let middle = [&[0x5C, 0x81], &payload[..]].concat();
    let events: Vec<_> = (0..pushes).flat_map(|index| depacketizer.push(&middle[..2 + index % 2 * 60_000], 2, false)).collect();
    assert_eq!(events, [damaged(1, Damage::TooLarge)]);
    assert_eq!(push_unit(&mut depacketizer, 3, &[SLICE]).last(), Some(&frame(3, false, &[SLICE])));
}

#[test]
fn one_fragmented_nal_unit_is_bounded_too() {
    let mut depacketizer = Depacketizer::default();
    depacketizer.push(&[0x5C, 0x81, 1], 1, false);
    let more = [&[0x5C, 0x01], &[1; 60_000][..]].concat();
    for _ in 0..80 {
        depacketizer.push(&more, 1, false);
    }
    assert_eq!(push_unit(&mut depacketizer, 1, &[&[0x5C, 0x41, 1]]), [damaged(1, Damage::TooLarge)]);
}

fn nal() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![5 => bytes(60), 2 => prop::collection::vec(any::<u8>(), 500..4_000)];
    (1u8..24, 0u8..4, body).prop_map(|(kind, importance, body)| [&[(importance << 5) | kind], body.as_slice()].concat())
}

fn unit() -> impl Strategy<Value = (Vec<Vec<u8>>, usize)> {
    (prop::collection::vec(nal(), 1..8), prop_oneof![Just(0), 64usize..100, 1_000usize..1_400])
}

fn round_trip(nals: &[Vec<u8>], max: usize, lost: Option<usize>, tell: bool) -> (Vec<u8>, Vec<Event>) {
    let whole = avcc(nals.iter().map(Vec::as_slice));
    let payloads = Packetizer::new(max).packetize(&whole);
    assert!(payloads.iter().all(|payload| payload.len() <= max.max(PAYLOAD_BYTES_MIN)));
    let mut depacketizer = Depacketizer::default();
    let mut events = Vec::new();
    let lost = lost.map(|index| index % payloads.len());
    for (index, payload) in payloads.iter().enumerate() {
        if lost != Some(index) {
            events.extend(depacketizer.push(payload, 5, index + 1 == payloads.len()));
        } else if tell {
            depacketizer.gap();
        }
    }
    events.extend(depacketizer.finish());
    (whole, events)
}

#[test]
fn what_is_packetized_comes_back() {
    runner(400)
        .run(&unit(), |(nals, max)| {
            let key = nals.iter().any(|nal| nal[0] & 0x1F == 5);
            let (whole, events) = round_trip(&nals, max, None, false);
            prop_assert_eq!(events, [Event::Frame(Frame { timestamp: 5, key, data: whole.into() })]);
            Ok(())
        })
        .unwrap();
}

/// The property above must be able to fail: a packet that is missing in silence never gives the same unit.
#[test]
fn negative_control_a_lost_packet_is_noticed() {
    let input = (unit(), any::<prop::sample::Index>());
    runner(400)
        .run(&input, |((nals, max), lost)| {
            let (whole, events) = round_trip(&nals, max, Some(lost.index(1_000)), false);
            let same = events.iter().any(|event| matches!(event, Event::Frame(frame) if frame.data == whole));
            prop_assert!(!same);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_told_loss_inside_a_unit_never_yields_a_frame() {
    let input = (prop::collection::vec(nal(), 3..8), 1usize..1_000);
    runner(400)
        .run(&input, |(nals, lost)| {
            // Not the first packet: what is before it belongs to the unit for sure.
            let count = Packetizer::new(64).packetize(&avcc(nals.iter().map(Vec::as_slice))).len();
            prop_assume!(count > 1);
            let (_, events) = round_trip(&nals, 64, Some(1 + lost % (count - 1)), true);
            prop_assert_eq!(events, [damaged(5, Damage::Gap)]);
            Ok(())
        })
        .unwrap();
}

/// Packets that make sense one by one, in an order that makes none.
#[test]
fn arbitrary_packets_never_panic_and_yield_well_formed_units_only() {
    let head = prop_oneof![
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => Just(vec![0x78, 0, 2]),
        3 => prop::sample::select(vec![0x85, 0x05, 0x45, 0xC5, 0x81, 0x41]).prop_map(|fu| vec![0x7C, fu]),
    ];
    let packet = (head, bytes(30), 0i64..3, prop::bool::weighted(0.3), prop::bool::weighted(0.1));
    runner(2_000)
        .run(&prop::collection::vec(packet, 1..30), |packets| {
            let mut depacketizer = Depacketizer::default();
            let mut timestamp = 0;
            let mut events = Vec::new();
            for (head, rest, step, marker, gap) in packets {
                timestamp += step;
                if gap {
                    depacketizer.gap();
                }
                events.extend(depacketizer.push(&[head, rest].concat(), timestamp, marker));
            }
            events.extend(depacketizer.finish());
            for event in events {
                if let Event::Frame(frame) = event {
                    prop_assert_eq!(nal_units(&frame.data).map(|nal| 4 + nal.len()).sum::<usize>(), frame.data.len());
                    prop_assert!(!frame.data.is_empty());
                }
            }
            Ok(())
        })
        .unwrap();
}
