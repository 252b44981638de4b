//! As much of ISO/IEC 14496-12 as it takes to hold the bytes against the playlist: init sections and fragments.

/// What is wrong with the bytes, in words.
pub type Fault = String;

/// What an init section says about its one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Ticks per second.
    pub timescale: u32,
    /// As CODECS has it: `avc1.42e01f`, `mp4a.40.2`; empty for others.
    pub codec: String,
    /// Pixels, for pictures.
    pub size: Option<(u16, u16)>,
    /// Bytes of a NAL unit's length field, for H.264.
    pub nal_length: Option<usize>,
    /// Media time at which the edit list starts: presentation is decode time less this.
    pub edit: i64,
    defaults: Defaults,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// One `moof` with its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// `tfdt`, in ticks.
    pub start: u64,
    /// Sum of the samples' durations, in ticks.
    pub duration: u64,
    /// Composition offset of the first sample, in ticks.
    pub composition: i64,
    /// The first sample claims to be a sync sample.
    pub sync: bool,
    /// The first sample holds an IDR slice before any other slice. `None` where that is no question (sound).
    pub idr: Option<bool>,
}

fn be(data: &[u8], at: usize, bytes: usize) -> Result<u64, Fault> {
    let field = data.get(at..at + bytes).ok_or_else(|| format!("{} bytes are too few", data.len()))?;
    Ok(field.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn be32(data: &[u8], at: usize) -> Result<u32, Fault> {
    be(data, at, 4).map(|value| value as u32)
}

/// A box: its type, where its header starts in `data`, its content.
type Found<'a> = ([u8; 4], usize, &'a [u8]);

fn boxes(data: &[u8]) -> Result<Vec<Found<'_>>, Fault> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let size = be(data, at, 4)?;
        let name = be32(data, at + 4)?.to_be_bytes();
        let (size, header) = if size == 1 { (be(data, at + 8, 8)?, 16) } else { (size, 8) };
        let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).filter(|end| *end >= at + header);
        let end = end.ok_or_else(|| format!("box {} of {size} bytes", String::from_utf8_lossy(&name)))?;
        let content = data.get(at + header..end).ok_or_else(|| format!("box {} is cut", String::from_utf8_lossy(&name)))?;
        found.push((name, at, content));
        at = end;
    }
    Ok(found)
}

fn child<'a>(data: &'a [u8], name: &[u8; 4]) -> Result<Option<&'a [u8]>, Fault> {
    Ok(boxes(data)?.into_iter().find(|(found, ..)| found == name).map(|(.., content)| content))
}

fn descend<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8], Fault> {
    path.iter()
        .try_fold(data, |data, name| child(data, name)?.ok_or_else(|| format!("no {} box", String::from_utf8_lossy(*name))))
}

/// Reads an init section.
///
/// # Errors
/// When a box that a player needs is missing or cut.
pub fn init(data: &[u8]) -> Result<Init, Fault> {
    let moov = descend(data, &[b"moov"])?;
    let mdia = descend(moov, &[b"trak", b"mdia"])?;
    let mdhd = descend(mdia, &[b"mdhd"])?;
    let timescale = be32(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })?;
    let trex = descend(moov, &[b"mvex", b"trex"])?;
    let defaults = Defaults { duration: be32(trex, 12)?, size: be32(trex, 16)?, flags: be32(trex, 20)? };
    let stsd = descend(mdia, &[b"minf", b"stbl", b"stsd"])?;
    let entries = boxes(stsd.get(8..).ok_or("a cut stsd box")?)?;
    let (name, _, entry) = entries.first().ok_or("an empty stsd box")?;
    if timescale == 0 {
        return Err("a timescale of 0".into());
    }
    let mut init = Init { timescale, codec: String::new(), size: None, nal_length: None, edit: edit(moov)?, defaults };
    match name {
        b"avc1" | b"avc3" => picture(&mut init, name, entry)?,
        b"mp4a" => sound(&mut init, entry)?,
        _ => {}
    }
    Ok(init)
}

fn picture(init: &mut Init, name: &[u8; 4], entry: &[u8]) -> Result<(), Fault> {
    init.size = Some((be(entry, 24, 2)? as u16, be(entry, 26, 2)? as u16));
    let avcc = descend(entry.get(78..).unwrap_or_default(), &[b"avcC"])?;
    init.codec = format!("{}.{:06x}", String::from_utf8_lossy(name), be(avcc, 1, 3)?);
    init.nal_length = Some((be(avcc, 4, 1)? & 3) as usize + 1);
    Ok(())
}

fn sound(init: &mut Init, entry: &[u8]) -> Result<(), Fault> {
    let esds = descend(entry.get(28..).unwrap_or_default(), &[b"esds"])?;
    let stream = descriptor(esds.get(4..).unwrap_or_default(), 3)?;
    let config = descriptor(stream.get(3..).unwrap_or_default(), 4)?;
    let specific = descriptor(config.get(13..).unwrap_or_default(), 5)?;
    init.codec = format!("mp4a.{:x}.{}", be(config, 0, 1)?, be(specific, 0, 1)? >> 3);
    Ok(())
}

/// Content of the MPEG-4 descriptor that starts `data` (ISO/IEC 14496-1 §8.3.3).
fn descriptor(data: &[u8], tag: u8) -> Result<&[u8], Fault> {
    if data.first() != Some(&tag) {
        return Err(format!("no descriptor {tag}"));
    }
    let (mut at, mut size) = (1, 0_usize);
    loop {
        let byte = be(data, at, 1)? as usize;
        (at, size) = (at + 1, size << 7 | byte & 0x7f);
        if byte & 0x80 == 0 || at > 4 {
            break;
        }
    }
    data.get(at..at + size).ok_or_else(|| format!("descriptor {tag} is cut"))
}

/// Media time of the first edit that shows something.
fn edit(moov: &[u8]) -> Result<i64, Fault> {
    let Some(edts) = child(descend(moov, &[b"trak"])?, b"edts")? else { return Ok(0) };
    let elst = descend(edts, &[b"elst"])?;
    let wide = elst.first() == Some(&1);
    let size = if wide { 20 } else { 12 };
    for entry in elst.get(8..).unwrap_or_default().chunks_exact(size) {
        let time = if wide { be(entry, 8, 8)? as i64 } else { i64::from(be32(entry, 4)? as i32) };
        if time >= 0 {
            return Ok(time);
        }
    }
    Ok(0)
}

/// Reads a part or a segment: every `moof` must be followed by its `mdat`.
///
/// # Errors
/// When it is not made of fragments of one track.
pub fn fragments(data: &[u8], init: &Init) -> Result<Vec<Fragment>, Fault> {
    let top = boxes(data)?;
    let mut found = Vec::new();
    for (index, (name, at, content)) in top.iter().enumerate() {
        match name {
            b"moof" => {
                if top.get(index + 1).is_none_or(|(name, ..)| name != b"mdat") {
                    return Err("a moof box without its mdat box".into());
                }
                let end = top.get(index + 2).map_or(data.len(), |(_, at, _)| *at);
                found.push(fragment(&data[*at..end], content, init)?);
            }
            b"mdat" | b"styp" | b"emsg" | b"prft" | b"sidx" | b"free" => {}
            _ => return Err(format!("box {} in a part", String::from_utf8_lossy(name))),
        }
    }
    if found.is_empty() { Err("no moof box".into()) } else { Ok(found) }
}

fn fragment(from_moof: &[u8], moof: &[u8], init: &Init) -> Result<Fragment, Fault> {
    let traf = descend(moof, &[b"traf"])?;
    let defaults = header(descend(traf, &[b"tfhd"])?, init.defaults)?;
    let tfdt = descend(traf, &[b"tfdt"])?;
    let start = if tfdt.first() == Some(&1) { be(tfdt, 4, 8)? } else { be(tfdt, 4, 4)? };
    let runs = boxes(traf)?.into_iter().filter(|(name, ..)| name == b"trun").map(|(.., content)| run(content, defaults));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    let first = runs.first().filter(|run| run.samples > 0).ok_or("no sample")?;
    let idr = match init.nal_length {
        None => None,
        Some(length) => {
            let sample = from_moof.get(first.data..first.data + first.size).ok_or("the first sample lies outside of the part")?;
            Some(starts_with_idr(sample, length)?)
        }
    };
    let bytes = runs.iter().fold(0_usize, |bytes, run| bytes.saturating_add(run.bytes));
    if first.data.saturating_add(bytes) > from_moof.len() {
        return Err(format!("samples of {bytes} bytes reach behind the mdat box"));
    }
    let duration = runs.iter().map(|run| run.duration).sum();
    Ok(Fragment { start, duration, composition: first.composition, sync: first.flags & 0x1_0000 == 0, idr })
}

/// `tfhd`: what it says itself, else what `trex` says.
fn header(tfhd: &[u8], trex: Defaults) -> Result<Defaults, Fault> {
    let flags = be32(tfhd, 0)?;
    let mut at = 8 + if flags & 1 == 0 { 0 } else { 8 } + if flags & 2 == 0 { 0 } else { 4 };
    let mut field = |flag: u32, default: u32| -> Result<u32, Fault> {
        if flags & flag == 0 {
            return Ok(default);
        }
        at += 4;
        be32(tfhd, at - 4)
    };
    Ok(Defaults { duration: field(8, trex.duration)?, size: field(0x10, trex.size)?, flags: field(0x20, trex.flags)? })
}

/// What a `trun` adds up to, and its first sample.
struct Run {
    samples: u32,
    data: usize,
    size: usize,
    flags: u32,
    composition: i64,
    duration: u64,
    bytes: usize,
}

fn run(trun: &[u8], defaults: Defaults) -> Result<Run, Fault> {
    let flags = be32(trun, 0)? & 0xff_ffff;
    let samples = be32(trun, 4)?;
    let mut at = 8;
    let mut field = |wanted: bool, default: u32| -> Result<u32, Fault> {
        if !wanted {
            return Ok(default);
        }
        at += 4;
        be32(trun, at - 4)
    };
    let data = field(flags & 1 != 0, 0)? as usize;
    let first_flags = field(flags & 4 != 0, defaults.flags)?;
    let mut run = Run { samples, data, size: 0, flags: first_flags, composition: 0, duration: 0, bytes: 0 };
    for index in 0..samples {
        let duration = field(flags & 0x100 != 0, defaults.duration)?;
        let size = field(flags & 0x200 != 0, defaults.size)? as usize;
        let own = field(flags & 0x400 != 0, first_flags)?;
        let composition = field(flags & 0x800 != 0, 0)? as i32;
        if index == 0 {
            (run.size, run.flags, run.composition) = (size, own, i64::from(composition));
        }
        run.duration += u64::from(duration);
        run.bytes = run.bytes.checked_add(size).ok_or("sizes beyond all bounds")?;
        if flags & 0xf00 == 0 {
            // Every sample is as the defaults say: no need to count millions of them that a wrong number claims.
            run.duration = u64::from(duration) * u64::from(samples);
            run.bytes = size.saturating_mul(samples as usize);
            break;
        }
    }
    Ok(run)
}

/// The first slice of an access unit in AVCC form is one of an IDR picture.
fn starts_with_idr(sample: &[u8], nal_length: usize) -> Result<bool, Fault> {
    let mut at = 0;
    while at < sample.len() {
        let size = be(sample, at, nal_length)? as usize;
        at += nal_length;
        match be(sample, at, 1)? & 0x1f {
            5 => return Ok(true),
            1..=4 => return Ok(false),
            _ => at += size,
        }
    }
    Err("a picture without a slice".into())
}
