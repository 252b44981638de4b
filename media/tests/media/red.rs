use minamo_media::rtp::red;
use proptest::prelude::*;

/// As a sender writes it: blocks from the oldest to the new one.
fn write(pt: u8, blocks: &[Vec<u8>]) -> Vec<u8> {
    let (last, old) = blocks.split_last().unwrap();
    let mut out = Vec::new();
    for (back, block) in old.iter().enumerate() {
        let offset = (old.len() - back) as u32 * 960;
        out.extend((0x8000_0000 | u32::from(pt) << 24 | offset << 10 | block.len() as u32).to_be_bytes());
    }
    out.push(pt);
    old.iter().for_each(|block| out.extend_from_slice(block));
    out.extend_from_slice(last);
    out
}

#[test]
fn what_chromium_sends() {
    // Two blocks of Opus, 3 and 4 bytes, the first from 20 ms before.
    let payload = [0x80 | 111, 0x0f, 0x00, 3, 111, 0xfc, 1, 2, 0xfc, 3, 4, 5];
    assert_eq!(red::primary(&payload), Some((111, &[0xfc, 3, 4, 5][..])));
    let mut other = payload;
    red::retype(&mut other, 96);
    assert_eq!((other[0], other[4]), (0x80 | 96, 96));
    assert_eq!((&other[1..4], &other[5..]), (&payload[1..4], &payload[5..]));
    assert_eq!(red::primary(&payload[..7]), None, "cut short");
    assert_eq!(red::primary(&[]), None);
    assert_eq!(red::primary(&[0x80; 400]), None, "nothing but headers");
    assert_eq!(red::primary(&[111]), Some((111, &[][..])), "an empty block");
}

proptest! {
    #[test]
    fn the_new_block_is_found(
        pt in 0u8..128,
        other in 0u8..128,
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..10),
    ) {
        let mut payload = write(pt, &blocks);
        prop_assert_eq!(red::primary(&payload), Some((pt, &blocks.last().unwrap()[..])));
        red::retype(&mut payload, other);
        prop_assert_eq!(payload, write(other, &blocks));
    }

    #[test]
    fn nothing_panics(mut payload in prop::collection::vec(any::<u8>(), 0..200), pt: u8) {
        let before = red::primary(&payload).map(|(_, block)| block.to_vec());
        red::retype(&mut payload, pt);
        prop_assert_eq!(red::primary(&payload).map(|(_, block)| block.to_vec()), before);
    }
}
