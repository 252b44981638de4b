use std::num::NonZeroU32;

use bytes::Bytes;
use shiguredo_mp4::boxes::{
    AudioSampleEntryFields, Avc1Box, AvccBox, Brand, DinfBox, EsdsBox, FtypBox, HdlrBox, MdhdBox, MdiaBox, MediaHeader, MinfBox,
    MoovBox, Mp4aBox, MvexBox, MvhdBox, SampleEntry, SmhdBox, StblBox, StcoBox, StscBox, StsdBox, StszBox, SttsBox, TkhdBox,
    TrakBox, TrexBox, VisualSampleEntryFields, VmhdBox,
};
use shiguredo_mp4::descriptors::{DecoderConfigDescriptor, DecoderSpecificInfo, EsDescriptor, SlConfigDescriptor};
use shiguredo_mp4::{Either, Encode, FixedPointNumber, LanguageCode, Mp4FileTime, SampleFlags, Uint};

use super::{Fmp4Error, TRACK_ID};
use crate::h264::{H264Config, Sps};

/// Brands: the newest structural brand that is needed (`default-base-is-moof`, 64-bit `tfdt`), and CMAF.
const BRAND: Brand = Brand::ISO6;
const CMAF: Brand = Brand::new(*b"cmfc");

/// The init segment of an H.264 track: `avc1`, whose samples have 4-byte lengths and carry no parameter sets.
///
/// # Errors
/// An SPS that cannot be parsed, or a timescale of zero.
pub fn init_segment_h264(config: &H264Config, timescale: u32) -> Result<Bytes, Fmp4Error> {
    let sps = Sps::parse(&config.sps)?;
    let entry = SampleEntry::Avc1(Avc1Box { visual: visual(&sps), avcc_box: avcc(config, &sps), unknown_boxes: Vec::new() });
    init_segment(Media {
        entry,
        handler: HdlrBox::HANDLER_TYPE_VIDE,
        header: MediaHeader::Vmhd(VmhdBox::default()),
        volume: TkhdBox::DEFAULT_VIDEO_VOLUME,
        size: (sps.width, sps.height),
        timescale,
    })
}

/// The init segment of an AAC track; `asc` is its AudioSpecificConfig. `sample_rate` is only what the sample entry shows, and is
/// zero there above 65,535 Hz.
///
/// # Errors
/// A timescale of zero.
pub fn init_segment_aac(asc: &[u8], sample_rate: u32, channels: u16, timescale: u32) -> Result<Bytes, Fmp4Error> {
    let audio = AudioSampleEntryFields {
        data_reference_index: AudioSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        channelcount: channels,
        samplesize: AudioSampleEntryFields::DEFAULT_SAMPLESIZE,
        samplerate: FixedPointNumber::new(u16::try_from(sample_rate).unwrap_or(0), 0),
    };
    let entry = SampleEntry::Mp4a(Mp4aBox { audio, esds_box: EsdsBox { es: es(asc) }, unknown_boxes: Vec::new() });
    init_segment(Media {
        entry,
        handler: HdlrBox::HANDLER_TYPE_SOUN,
        header: MediaHeader::Smhd(SmhdBox::default()),
        volume: TkhdBox::DEFAULT_AUDIO_VOLUME,
        size: (0, 0),
        timescale,
    })
}

/// What differs between the two kinds of track.
struct Media {
    entry: SampleEntry,
    handler: [u8; 4],
    header: MediaHeader,
    volume: FixedPointNumber<i8, u8>,
    size: (u16, u16),
    timescale: u32,
}

fn visual(sps: &Sps) -> VisualSampleEntryFields {
    VisualSampleEntryFields {
        data_reference_index: VisualSampleEntryFields::DEFAULT_DATA_REFERENCE_INDEX,
        width: sps.width,
        height: sps.height,
        horizresolution: VisualSampleEntryFields::DEFAULT_HORIZRESOLUTION,
        vertresolution: VisualSampleEntryFields::DEFAULT_VERTRESOLUTION,
        frame_count: VisualSampleEntryFields::DEFAULT_FRAME_COUNT,
        compressorname: VisualSampleEntryFields::NULL_COMPRESSORNAME,
        depth: VisualSampleEntryFields::DEFAULT_DEPTH,
    }
}

fn avcc(config: &H264Config, sps: &Sps) -> AvccBox {
    // ISO/IEC 14496-15 §5.3.3.1: the chroma fields are there for every profile but these.
    let chroma = !matches!(sps.profile, 66 | 77 | 88);
    AvccBox {
        avc_profile_indication: sps.profile,
        profile_compatibility: sps.constraints,
        avc_level_indication: sps.level,
        length_size_minus_one: Uint::new(3),
        sps_list: vec![config.sps.to_vec()],
        pps_list: config.pps.iter().map(|pps| pps.to_vec()).collect(),
        chroma_format: chroma.then(|| Uint::new(sps.chroma_format)),
        bit_depth_luma_minus8: chroma.then(|| Uint::new(sps.luma_bits - 8)),
        bit_depth_chroma_minus8: chroma.then(|| Uint::new(sps.chroma_bits - 8)),
        sps_ext_list: Vec::new(),
    }
}

fn es(asc: &[u8]) -> EsDescriptor {
    EsDescriptor {
        es_id: EsDescriptor::MIN_ES_ID,
        stream_priority: EsDescriptor::LOWEST_STREAM_PRIORITY,
        depends_on_es_id: None,
        url_string: None,
        ocr_es_id: None,
        dec_config_descr: DecoderConfigDescriptor {
            object_type_indication: DecoderConfigDescriptor::OBJECT_TYPE_INDICATION_AUDIO_ISO_IEC_14496_3,
            stream_type: DecoderConfigDescriptor::STREAM_TYPE_AUDIO,
            up_stream: DecoderConfigDescriptor::UP_STREAM_FALSE,
            buffer_size_db: Uint::new(0),
            max_bitrate: 0,
            avg_bitrate: 0,
            dec_specific_info: Some(DecoderSpecificInfo { payload: asc.to_vec() }),
        },
        sl_config_descr: SlConfigDescriptor,
    }
}

fn init_segment(media: Media) -> Result<Bytes, Fmp4Error> {
    let timescale = NonZeroU32::new(media.timescale).ok_or(Fmp4Error::Timescale)?;
    let ftyp = FtypBox { major_brand: BRAND, minor_version: 0, compatible_brands: vec![BRAND, CMAF, Brand::MP41] };
    let moov = MoovBox {
        mvhd_box: mvhd(timescale),
        trak_boxes: vec![trak(media, timescale)],
        mvex_box: Some(MvexBox { mehd_box: None, trex_boxes: vec![trex()], unknown_boxes: Vec::new() }),
        unknown_boxes: Vec::new(),
    };
    let mut bytes = ftyp.encode_to_vec()?;
    bytes.extend(moov.encode_to_vec()?);
    Ok(bytes.into())
}

fn mvhd(timescale: NonZeroU32) -> MvhdBox {
    MvhdBox {
        creation_time: Mp4FileTime::default(),
        modification_time: Mp4FileTime::default(),
        timescale,
        duration: 0,
        rate: MvhdBox::DEFAULT_RATE,
        volume: MvhdBox::DEFAULT_VOLUME,
        matrix: MvhdBox::DEFAULT_MATRIX,
        next_track_id: TRACK_ID + 1,
    }
}

/// Every fragment says its own defaults, so these are the neutral ones.
fn trex() -> TrexBox {
    TrexBox {
        track_id: TRACK_ID,
        default_sample_description_index: 1,
        default_sample_duration: 0,
        default_sample_size: 0,
        default_sample_flags: SampleFlags::empty(),
    }
}

fn trak(media: Media, timescale: NonZeroU32) -> TrakBox {
    let mdhd_box = MdhdBox {
        creation_time: Mp4FileTime::default(),
        modification_time: Mp4FileTime::default(),
        timescale,
        duration: 0,
        language: LanguageCode::UNDEFINED,
    };
    let minf_box = MinfBox {
        media_header: Some(media.header),
        dinf_box: DinfBox::LOCAL_FILE,
        stbl_box: stbl(media.entry),
        unknown_boxes: Vec::new(),
    };
    let hdlr_box = HdlrBox { handler_type: media.handler, name: vec![0] };
    TrakBox {
        tkhd_box: tkhd(media.volume, media.size),
        edts_box: None,
        mdia_box: MdiaBox { mdhd_box, hdlr_box, minf_box, unknown_boxes: Vec::new() },
        unknown_boxes: Vec::new(),
    }
}

fn tkhd(volume: FixedPointNumber<i8, u8>, (width, height): (u16, u16)) -> TkhdBox {
    // The field is 16.16 unsigned, the type signed: pictures above 32,767 pixels are shown at that size.
    let side = |pixels: u16| FixedPointNumber::new(i16::try_from(pixels).unwrap_or(i16::MAX), 0);
    TkhdBox {
        flag_track_enabled: true,
        flag_track_in_movie: true,
        flag_track_in_preview: true,
        flag_track_size_is_aspect_ratio: false,
        creation_time: Mp4FileTime::default(),
        modification_time: Mp4FileTime::default(),
        track_id: TRACK_ID,
        duration: 0,
        layer: TkhdBox::DEFAULT_LAYER,
        alternate_group: TkhdBox::DEFAULT_ALTERNATE_GROUP,
        volume,
        matrix: TkhdBox::DEFAULT_MATRIX,
        width: side(width),
        height: side(height),
    }
}

/// The samples are in the fragments; here is only how they are to be decoded.
fn stbl(entry: SampleEntry) -> StblBox {
    StblBox {
        stsd_box: StsdBox { entries: vec![entry] },
        stts_box: SttsBox { entries: Vec::new() },
        ctts_box: None,
        cslg_box: None,
        stsc_box: StscBox { entries: Vec::new() },
        stsz_box: StszBox::Variable { entry_sizes: Vec::new() },
        stco_or_co64_box: Either::A(StcoBox { chunk_offsets: Vec::new() }),
        stss_box: None,
        sdtp_box: None,
        unknown_boxes: Vec::new(),
    }
}
