//! openh264's encoder as C gives it: the `openh264` crate's own wrapper lets nobody choose CABAC or change the bitrate.

// Invariants that every call below relies on: `encoder` came out of `WelsCreateSVCEncoder` and is destroyed once, in `Drop`; its
// table of functions lives as long as it does; `&mut self` on every call; pointers that are passed outlive the call.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::ptr;

use bytes::{BufMut, Bytes, BytesMut};
use openh264::OpenH264API;
use openh264_sys2 as sys;
use openh264_sys2::API;

use crate::picture::I420;
use crate::video::{EncodedPicture, Profile, VideoError, VideoSettings};

/// openh264's own bound on a picture's sides, whichever way it lies.
const SIDES_MAX: (usize, usize) = (3840, 2160);

/// One openh264 encoder for one size.
pub(super) struct RawEncoder {
    api: OpenH264API,
    encoder: *mut sys::ISVCEncoder,
    table: sys::ISVCEncoderVtbl,
    /// 128 layers of it: too large for the stack of every call.
    info: Box<sys::SFrameBSInfo>,
    pub(super) size: (usize, usize),
}

// SAFETY: an encoder has no tie to the thread that made it, and with one thread of its own no shared state.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// `quiet`: openh264 warns on stderr that frame skip is off, which is what we want, unless it is told to be silent first.
    pub(super) fn new(settings: VideoSettings, size: (usize, usize), quiet: bool) -> Result<Self, VideoError> {
        let (longer, shorter) = (size.0.max(size.1), size.0.min(size.1));
        if longer > SIDES_MAX.0 || shorter > SIDES_MAX.1 {
            return Err(VideoError::Encoder(format!("{}x{} is larger than it takes", size.0, size.1)));
        }
        let api = OpenH264API::from_source();
        let mut encoder = ptr::null_mut();
        // SAFETY: a valid place for the pointer.
        check("create", unsafe { api.WelsCreateSVCEncoder(&raw mut encoder) })?;
        if encoder.is_null() {
            return Err(VideoError::Encoder("create gave nothing".into()));
        }
        // SAFETY: a created encoder points to its table of functions.
        let table = unsafe { **encoder };
        let mut raw = Self { api, encoder, table, info: Box::default(), size };
        if quiet {
            raw.set(sys::ENCODER_OPTION_TRACE_LEVEL, &mut (sys::WELS_LOG_QUIET as c_int))?;
        }
        let mut params = raw.defaults()?;
        fill(&mut params, settings, size);
        // SAFETY: the encoder is there and not initialised.
        check("initialise", unsafe { self::function(raw.table.InitializeExt)?(raw.encoder, &raw const params) })?;
        Ok(raw)
    }

    fn defaults(&mut self) -> Result<sys::SEncParamExt, VideoError> {
        let mut params = sys::SEncParamExt::default();
        // SAFETY: the encoder is there, and `params` a valid place.
        check("defaults", unsafe { function(self.table.GetDefaultParams)?(self.encoder, &raw mut params) })?;
        Ok(params)
    }

    /// `value` has to be what the option takes.
    fn set<T>(&mut self, option: sys::ENCODER_OPTION, value: &mut T) -> Result<(), VideoError> {
        // SAFETY: the encoder is there; every caller in this file gives the type that the option is documented with.
        check("set option", unsafe {
            function(self.table.SetOption)?(self.encoder, option, ptr::from_mut(value).cast::<c_void>())
        })
    }

    pub(super) fn set_bitrate(&mut self, bitrate: u32) -> Result<(), VideoError> {
        let bits = c_int::try_from(bitrate).unwrap_or(c_int::MAX);
        let mut info = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: bits };
        self.set(sys::ENCODER_OPTION_BITRATE, &mut info)
    }

    pub(super) fn set_fps(&mut self, fps: f32) -> Result<(), VideoError> {
        self.set(sys::ENCODER_OPTION_FRAME_RATE, &mut { fps })
    }

    pub(super) fn force_key_frame(&mut self) -> Result<(), VideoError> {
        // SAFETY: the encoder is initialised.
        check("force a key frame", unsafe { function(self.table.ForceIntraFrame)?(self.encoder, true) })
    }

    /// The picture has this encoder's size and was checked.
    pub(super) fn encode(&mut self, picture: I420<'_>) -> Result<Option<EncodedPicture>, VideoError> {
        debug_assert_eq!((picture.width, picture.height), self.size);
        let source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [picture.stride as c_int, picture.chroma_stride as c_int, picture.chroma_stride as c_int, 0],
            // The encoder only reads.
            pData: [picture.y.as_ptr().cast_mut(), picture.u.as_ptr().cast_mut(), picture.v.as_ptr().cast_mut(), ptr::null_mut()],
            iPicWidth: picture.width as c_int,
            iPicHeight: picture.height as c_int,
            uiTimeStamp: 0,
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        // SAFETY: the encoder is initialised for this size; the planes hold it (`I420::checked`) and outlive the call.
        check("encode", unsafe {
            function(self.table.EncodeFrame)?(self.encoder, &raw const source, ptr::from_mut(self.info.as_mut()))
        })?;
        let key = self.info.eFrameType == sys::videoFrameTypeIDR;
        let data = self.avcc();
        Ok((!data.is_empty()).then_some(EncodedPicture { key, data }))
    }

    /// Annex B start codes become lengths; openh264 hands out each NAL unit with its start code.
    fn avcc(&self) -> Bytes {
        let mut data = BytesMut::with_capacity(usize::try_from(self.info.iFrameSizeInBytes).unwrap_or(0));
        for layer in self.info.sLayerInfo.iter().take(usize::try_from(self.info.iLayerNum).unwrap_or(0)) {
            let mut at = layer.pBsBuf.cast_const();
            for nal in 0..usize::try_from(layer.iNalCount).unwrap_or(0) {
                // SAFETY: after a successful call each layer has `iNalCount` lengths, and their sum of bytes at `pBsBuf`, until
                // the next call.
                let nal = unsafe {
                    let length = usize::try_from(*layer.pNalLengthInByte.add(nal)).unwrap_or(0);
                    let bytes = std::slice::from_raw_parts(at, length);
                    at = at.add(length);
                    bytes
                };
                let start = nal.iter().position(|&byte| byte != 0).map_or(nal.len(), |one| one + 1);
                let unit = &nal[start..];
                if !unit.is_empty() {
                    data.put_u32(unit.len() as u32);
                    data.put_slice(unit);
                }
            }
        }
        data.freeze()
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed nowhere else; destroying uninitialises.
        unsafe { self.api.WelsDestroySVCEncoder(self.encoder) };
    }
}

fn function<F>(entry: Option<F>) -> Result<F, VideoError> {
    entry.ok_or_else(|| VideoError::Encoder("a function is missing in its table".into()))
}

fn check(call: &'static str, code: c_int) -> Result<(), VideoError> {
    if code == 0 { Ok(()) } else { Err(VideoError::Encoder(format!("cannot {call}: {code}"))) }
}

/// What makes it cheap and predictable: one reference, complexity Low (which loses nothing on camera pictures), no look at what the
/// content is, no picture skipped, key frames only when asked.
fn fill(params: &mut sys::SEncParamExt, settings: VideoSettings, size: (usize, usize)) {
    let bits = c_int::try_from(settings.bitrate).unwrap_or(c_int::MAX);
    params.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    (params.iPicWidth, params.iPicHeight) = (size.0 as c_int, size.1 as c_int);
    params.iTargetBitrate = bits;
    params.iRCMode = sys::RC_BITRATE_MODE;
    params.fMaxFrameRate = settings.fps;
    params.uiIntraPeriod = 0;
    params.iNumRefFrame = 1;
    params.iComplexityMode = sys::LOW_COMPLEXITY;
    params.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    params.iMultipleThreadIdc = 1;
    params.iEntropyCodingModeFlag = c_int::from(settings.profile != Profile::Baseline);
    params.bEnableFrameSkip = false;
    params.bEnableDenoise = false;
    params.bEnableSceneChangeDetect = false;
    params.bEnableBackgroundDetection = false;
    params.bEnableAdaptiveQuant = false;
    params.bEnableLongTermReference = false;
    let layer = &mut params.sSpatialLayers[0];
    (layer.iVideoWidth, layer.iVideoHeight) = (size.0 as c_int, size.1 as c_int);
    layer.fFrameRate = settings.fps;
    layer.iSpatialBitrate = bits;
    layer.uiProfileIdc = match settings.profile {
        Profile::Baseline => sys::PRO_BASELINE,
        Profile::Main => sys::PRO_MAIN,
        Profile::High => sys::PRO_HIGH,
    };
    layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
    layer.sSliceArgument.uiSliceNum = 1;
}
