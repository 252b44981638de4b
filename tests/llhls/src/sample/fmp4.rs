//! The smallest init sections and fragments that a player would take, made by hand from ISO/IEC 14496-12 and -15.

fn boxed(name: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
    let size: usize = content.iter().map(|piece| piece.len()).sum();
    let mut out = (size as u32 + 8).to_be_bytes().to_vec();
    out.extend_from_slice(name);
    content.iter().for_each(|piece| out.extend_from_slice(piece));
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// `v`: avc1.42e01f, 640x360, 90 kHz. Else: mp4a.40.2, 48 kHz.
#[must_use]
pub fn init(letter: char) -> Vec<u8> {
    let (timescale, entry) = if letter == 'v' { (90_000, avc1()) } else { (48_000, mp4a()) };
    let stsd = boxed(b"stsd", &[&words(&[0, 1]), &entry]);
    let minf = boxed(b"minf", &[&boxed(b"stbl", &[&stsd])]);
    let mdia = boxed(b"mdia", &[&boxed(b"mdhd", &[&words(&[0, 0, 0, timescale, 0, 0])]), &minf]);
    let trex = boxed(b"trex", &[&words(&[0, 1, 1, 0, 0, 0])]);
    let moov = boxed(b"moov", &[&boxed(b"trak", &[&mdia]), &boxed(b"mvex", &[&trex])]);
    [boxed(b"ftyp", &[b"iso6", &words(&[0])]), moov].concat()
}

fn avc1() -> Vec<u8> {
    let mut entry = [0_u8; 78];
    entry[24..28].copy_from_slice(&[2, 128, 1, 104]);
    boxed(b"avc1", &[&entry, &boxed(b"avcC", &[&[1, 0x42, 0xe0, 0x1f, 0xff, 0xe0, 0]])])
}

fn mp4a() -> Vec<u8> {
    let mut config = vec![4, 0x80, 17, 0x40];
    config.extend_from_slice(&[0; 12]);
    config.extend_from_slice(&[5, 2, 0x11, 0x90]);
    let stream = [&[3, config.len() as u8 + 3, 0, 1, 0][..], &config].concat();
    boxed(b"mp4a", &[&[0; 28], &boxed(b"esds", &[&words(&[0]), &stream])])
}

/// Eight pictures of 40 ms. The first access unit starts with a delimiter, so that the slice has to be looked for.
#[must_use]
pub fn video(start: u64, idr: bool) -> Vec<u8> {
    let slice = if idr { 0x65 } else { 0x41 };
    let sample = [0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 4, slice, 1, 2, 3];
    let flags = if idr { 0x0200_0000 } else { 0x0101_0000 };
    fragment(start, 3600, &[(&sample, flags), (&[0, 0, 0, 2, 0x41, 7], 0x0101_0000)], 8)
}

/// Fifteen frames of 1024 samples.
#[must_use]
pub fn audio(start: u64) -> Vec<u8> {
    fragment(start, 1024, &[(&[0x21, 0x10, 5], 0x0200_0000)], 15)
}

/// `count` samples: the given ones, the last of them again and again.
#[must_use]
pub fn fragment(start: u64, duration: u32, samples: &[(&[u8], u32)], count: usize) -> Vec<u8> {
    let all: Vec<_> = (0..count).map(|index| samples[index.min(samples.len() - 1)]).collect();
    let moof = |offset: u32| {
        let mut run = words(&[0x0000_0701, count as u32, offset]);
        for (sample, flags) in &all {
            run.extend(words(&[duration, sample.len() as u32, *flags]));
        }
        let tfdt = [words(&[0x0100_0000]), start.to_be_bytes().to_vec()].concat();
        let traf =
            boxed(b"traf", &[&boxed(b"tfhd", &[&words(&[0x02_0000, 1])]), &boxed(b"tfdt", &[&tfdt]), &boxed(b"trun", &[&run])]);
        boxed(b"moof", &[&boxed(b"mfhd", &[&words(&[0, 1])]), &traf])
    };
    let size = moof(0).len() as u32;
    let media: Vec<u8> = all.iter().flat_map(|(sample, _)| sample.iter().copied()).collect();
    [moof(size + 8), boxed(b"mdat", &[&media])].concat()
}
