use bytes::{BufMut, Bytes, BytesMut};
use shiguredo_mp4::boxes::{MdatBox, MfhdBox, MoofBox, TfdtBox, TfhdBox, TrafBox, TrunBox, TrunSample};
use shiguredo_mp4::{BoxHeader, BoxSize, Encode, SampleFlags};

use super::Fmp4Error;

/// One sample of a fragment, in decoding order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Ticks of the track's timescale until the next sample.
    pub duration: u32,
    /// Decodable on its own (a sync sample); true for all audio.
    pub key: bool,
    /// Presentation minus decoding time, in ticks. Zero for everything that WebRTC sends.
    pub composition_offset: i32,
    /// As the track's sample entry wants it: AVCC for `avc1`, raw AAC for `mp4a`.
    pub data: Bytes,
}

/// One `moof` + `mdat`: a part. `base_decode_time` is the first sample's decoding time in ticks of the track's timescale. No
/// samples give a valid, empty fragment. The samples' bytes are copied once.
///
/// # Errors
/// More than 2 GiB of samples.
pub fn fragment(sequence_number: u32, track_id: u32, base_decode_time: u64, samples: &[Sample]) -> Result<Bytes, Fmp4Error> {
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut moof = moof(sequence_number, track_id, base_decode_time, samples)?;
    // The offset has a fixed width: the size of `moof` is the same with the real one.
    let moof_len = moof.encode_to_vec()?.len();
    let data_offset = i32::try_from(moof_len + BoxHeader::MIN_SIZE).map_err(|_| Fmp4Error::TooLarge)?;
    moof.traf_boxes[0].trun_boxes[0].data_offset = Some(data_offset);
    let mdat_len = i32::try_from(BoxHeader::MIN_SIZE + payload).map_err(|_| Fmp4Error::TooLarge)?;
    let mdat = BoxHeader { box_type: MdatBox::TYPE, box_size: BoxSize::U32(mdat_len as u32) };

    let mut out = BytesMut::with_capacity(moof_len + BoxHeader::MIN_SIZE + payload);
    out.put_slice(&moof.encode_to_vec()?);
    out.put_slice(&mdat.encode_to_vec()?);
    for sample in samples {
        out.put_slice(&sample.data);
    }
    Ok(out.freeze())
}

fn moof(sequence_number: u32, track_id: u32, base_decode_time: u64, samples: &[Sample]) -> Result<MoofBox, Fmp4Error> {
    // What all samples share is said once; at three parts a second the bytes of small audio frames count.
    let duration = shared(samples.iter().map(|sample| sample.duration));
    let key = shared(samples.iter().map(|sample| sample.key));
    let offsets = samples.iter().any(|sample| sample.composition_offset != 0);
    let entry = |sample: &Sample| -> Result<TrunSample, Fmp4Error> {
        Ok(TrunSample {
            duration: duration.is_none().then_some(sample.duration),
            size: Some(u32::try_from(sample.data.len()).map_err(|_| Fmp4Error::TooLarge)?),
            flags: key.is_none().then(|| flags(sample.key)),
            composition_time_offset: offsets.then(|| i64::from(sample.composition_offset)),
        })
    };
    let tfhd_box = TfhdBox {
        track_id,
        base_data_offset: None,
        sample_description_index: None,
        default_sample_duration: duration,
        default_sample_size: None,
        default_sample_flags: key.map(flags),
        duration_is_empty: false,
        default_base_is_moof: true,
    };
    let trun =
        TrunBox { data_offset: Some(0), first_sample_flags: None, samples: samples.iter().map(entry).collect::<Result<_, _>>()? };
    let traf = TrafBox {
        tfhd_box,
        tfdt_box: Some(TfdtBox { version: 1, base_media_decode_time: base_decode_time }),
        trun_boxes: vec![trun],
        unknown_boxes: Vec::new(),
    };
    Ok(MoofBox { mfhd_box: MfhdBox { sequence_number }, traf_boxes: vec![traf], unknown_boxes: Vec::new() })
}

/// The value that all have; `None` if they differ or there are none.
fn shared<T: PartialEq + Copy>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Whether it depends on others (ISO/IEC 14496-12 §8.6.4), and whether it is a sync sample.
fn flags(key: bool) -> SampleFlags {
    let depends_on = if key { 2 } else { 1 };
    SampleFlags::from_fields(0, depends_on, 0, 0, 0, !key, 0)
}
