//! Just enough ISO BMFF to judge a part: where it starts, how long it is, whether a sync sample starts it.

/// One `moof`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// `tfdt`
    pub decode_time: u64,
    /// Sum of the samples' durations.
    pub duration: u64,
    /// Its first sample is a sync sample.
    pub sync: bool,
}

/// All fragments of a part or segment; `None` if the boxes do not hold together.
pub fn fragments(bytes: &[u8]) -> Option<Vec<Fragment>> {
    let boxes = boxes(bytes)?;
    let moofs = boxes.iter().filter(|(kind, _)| kind == b"moof");
    let all = moofs.map(|(_, body)| fragment(body)).collect::<Option<Vec<_>>>()?;
    let mdats = boxes.iter().filter(|(kind, _)| kind == b"mdat").count();
    (mdats == all.len() && boxes.len() == 2 * mdats).then_some(all)
}

/// Timescale of an init segment's only track.
pub fn timescale(init: &[u8]) -> Option<u32> {
    let mdhd = find(find(find(find(init, b"moov")?, b"trak")?, b"mdia")?, b"mdhd")?;
    u32_at(mdhd, if *mdhd.first()? == 1 { 20 } else { 12 })
}

fn fragment(moof: &[u8]) -> Option<Fragment> {
    let traf = find(moof, b"traf")?;
    let (default_duration, default_flags) = tfhd(find(traf, b"tfhd")?)?;
    let tfdt = find(traf, b"tfdt")?;
    let decode_time = if *tfdt.first()? == 1 {
        (u64::from(u32_at(tfdt, 4)?) << 32) | u64::from(u32_at(tfdt, 8)?)
    } else {
        u64::from(u32_at(tfdt, 4)?)
    };
    let (duration, first_flags) = trun(find(traf, b"trun")?, default_duration, default_flags)?;
    // sample_is_non_sync_sample (§8.8.3.1)
    Some(Fragment { decode_time, duration, sync: first_flags & 0x0001_0000 == 0 })
}

fn tfhd(body: &[u8]) -> Option<(u32, u32)> {
    let flags = u32_at(body, 0)? & 0x00FF_FFFF;
    let mut at = 8;
    let mut take = |bit: u32, len: usize| {
        if flags & bit == 0 {
            return Some(0);
        }
        let value = u32_at(body, at);
        at += len;
        value
    };
    take(0x01, 8)?;
    take(0x02, 4)?;
    let duration = take(0x08, 4)?;
    take(0x10, 4)?;
    let sample_flags = take(0x20, 4)?;
    Some((duration, sample_flags))
}

fn trun(body: &[u8], default_duration: u32, default_flags: u32) -> Option<(u64, u32)> {
    let flags = u32_at(body, 0)? & 0x00FF_FFFF;
    let count = u32_at(body, 4)?;
    let mut at = 8 + if flags & 0x01 == 0 { 0 } else { 4 };
    let mut first_flags = None;
    if flags & 0x04 != 0 {
        first_flags = Some(u32_at(body, at)?);
        at += 4;
    }
    let mut duration = 0;
    for _ in 0..count {
        let mut field = |bit: u32| {
            if flags & bit == 0 {
                return Some(None);
            }
            let value = u32_at(body, at)?;
            at += 4;
            Some(Some(value))
        };
        duration += u64::from(field(0x100)?.unwrap_or(default_duration));
        field(0x200)?;
        let own = field(0x400)?.unwrap_or(default_flags);
        field(0x800)?;
        first_flags.get_or_insert(own);
    }
    Some((duration, first_flags.unwrap_or(default_flags)))
}

type Boxes<'a> = Vec<([u8; 4], &'a [u8])>;

fn boxes(mut bytes: &[u8]) -> Option<Boxes<'_>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let size = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let kind = bytes.get(4..8)?.try_into().ok()?;
        out.push((kind, bytes.get(8..size)?));
        bytes = &bytes[size..];
    }
    Some(out)
}

fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes)?.into_iter().find(|(name, _)| name == kind).map(|(_, body)| body)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
