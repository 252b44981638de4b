//! libvpx's decoders behind [`VideoDecoder`].

// libvpx is C. Invariants that every call below relies on: the context was initialised in `new` and is destroyed once, in `Drop`;
// it sits in a box, because libvpx keeps pointers into it; `&mut self` on every call; a frame that libvpx hands out lives until the
// next call that decodes.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint};
use std::ptr;

use minamo_media::{Codec, picture_size};
use vpx_sys as vpx;
use vpx_sys::vpx_codec_err_t::VPX_CODEC_OK;

use crate::picture::I420;
use crate::video::{DecodeError, PIXELS_MAX, VideoDecoder};

/// VP8 or VP9 (profile 0) by libvpx, on the caller's thread alone.
pub struct VpxDecoder {
    context: Box<vpx::vpx_codec_ctx_t>,
    codec: Codec,
}

// SAFETY: with one thread a libvpx decoder has no tie to the thread that made it, and instances share nothing that changes.
unsafe impl Send for VpxDecoder {}

impl VpxDecoder {
    /// A decoder of VP8 that waits for a key frame.
    pub fn vp8() -> Result<Self, DecodeError> {
        // SAFETY: gives a pointer to a static table.
        Self::new(Codec::Vp8, unsafe { vpx::vpx_codec_vp8_dx() })
    }

    /// A decoder of VP9 that waits for a key frame.
    pub fn vp9() -> Result<Self, DecodeError> {
        // SAFETY: gives a pointer to a static table.
        Self::new(Codec::Vp9, unsafe { vpx::vpx_codec_vp9_dx() })
    }

    fn new(codec: Codec, interface: *mut vpx::vpx_codec_iface_t) -> Result<Self, DecodeError> {
        // SAFETY: plain numbers and pointers, for which zero is a valid value (`err` 0 is VPX_CODEC_OK).
        let mut context: Box<vpx::vpx_codec_ctx_t> = Box::new(unsafe { std::mem::zeroed() });
        let config = vpx::vpx_codec_dec_cfg_t { threads: 1, w: 0, h: 0 };
        let version = vpx::VPX_DECODER_ABI_VERSION as c_int;
        // SAFETY: the context is zeroed memory in its final place; libvpx copies the configuration.
        let done = unsafe { vpx::vpx_codec_dec_init_ver(&raw mut *context, interface, &raw const config, 0, version) };
        if done != VPX_CODEC_OK {
            return Err(DecodeError::Unavailable("libvpx"));
        }
        Ok(Self { context, codec })
    }

    /// The frame that was decoded last, if it is one to show. Of several (VP9 spatial layers give one) the last.
    fn shown(&mut self) -> Option<vpx::vpx_image_t> {
        let mut iterator = ptr::null();
        let mut shown = None;
        loop {
            // SAFETY: the context is initialised; the iterator started as null and is only changed by libvpx.
            let frame = unsafe { vpx::vpx_codec_get_frame(&raw mut *self.context, &raw mut iterator) };
            if frame.is_null() {
                return shown;
            }
            // SAFETY: libvpx' frame is valid until the next call that decodes; this copies its description only.
            shown = Some(unsafe { *frame });
        }
    }
}

impl VideoDecoder for VpxDecoder {
    fn decode(&mut self, unit: &[u8], show: &mut dyn FnMut(I420<'_>)) -> Result<(), DecodeError> {
        if let Some(size) = picture_size(self.codec, unit).filter(|size| size.pixels() > PIXELS_MAX) {
            return Err(DecodeError::TooLarge(size));
        }
        // An empty unit means "flush" to libvpx.
        let length = c_uint::try_from(unit.len()).ok().filter(|length| *length > 0).ok_or(DecodeError::Damaged)?;
        // SAFETY: pointer and length are those of the slice.
        let done = unsafe { vpx::vpx_codec_decode(&raw mut *self.context, unit.as_ptr(), length, ptr::null_mut(), 0) };
        if done != VPX_CODEC_OK {
            return Err(DecodeError::Damaged);
        }
        let Some(frame) = self.shown() else { return Ok(()) };
        // SAFETY: the frame was just handed out, and nothing is decoded while it is looked at.
        show(unsafe { view(&frame) }.ok_or(DecodeError::Format)?);
        Ok(())
    }
}

impl Drop for VpxDecoder {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed nowhere else.
        unsafe { vpx::vpx_codec_destroy(&raw mut *self.context) };
    }
}

/// # Safety
/// The frame's planes are alive for as long as the caller uses the view.
unsafe fn view<'a>(frame: &vpx::vpx_image_t) -> Option<I420<'a>> {
    let (width, height) = (frame.d_w as usize & !1, frame.d_h as usize & !1);
    if frame.fmt != vpx::vpx_img_fmt::VPX_IMG_FMT_I420 || width == 0 || height == 0 {
        return None;
    }
    let plane = |index: usize, width: usize, height: usize| {
        let stride = usize::try_from(frame.stride[index]).ok().filter(|stride| *stride >= width)?;
        let data = frame.planes[index].cast_const();
        // SAFETY: libvpx' planes have at least `height` rows, `stride` bytes apart, and a border of as many rows and more around.
        (!data.is_null()).then(|| (unsafe { std::slice::from_raw_parts(data, stride * height) }, stride))
    };
    let (y, stride) = plane(0, width, height)?;
    let (u, chroma_stride) = plane(1, width / 2, height / 2)?;
    let (v, red_stride) = plane(2, width / 2, height / 2)?;
    (chroma_stride == red_stride).then_some(I420 { width, height, y, u, v, stride, chroma_stride })
}

/// libvpx' encoders, so that tests decode what browsers would send.
#[cfg(test)]
pub(crate) mod encoder {
    use super::{Codec, VPX_CODEC_OK, c_int, ptr, vpx};
    use crate::picture::Picture;

    pub(crate) struct VpxEncoder {
        context: Box<vpx::vpx_codec_ctx_t>,
        count: i64,
    }

    impl VpxEncoder {
        /// Real-time settings for pictures of this size.
        pub(crate) fn new(codec: Codec, width: usize, height: usize) -> Self {
            // SAFETY: as for the decoder; the configuration is filled in by libvpx before it is used.
            unsafe {
                let interface = if codec == Codec::Vp8 { vpx::vpx_codec_vp8_cx() } else { vpx::vpx_codec_vp9_cx() };
                let mut config = std::mem::MaybeUninit::<vpx::vpx_codec_enc_cfg_t>::uninit();
                assert_eq!(vpx::vpx_codec_enc_config_default(interface, config.as_mut_ptr(), 0), VPX_CODEC_OK);
                let mut config = config.assume_init();
                (config.g_w, config.g_h) = (width as u32, height as u32);
                (config.g_timebase.num, config.g_timebase.den) = (1, 30);
                config.rc_target_bitrate = 500;
                config.g_lag_in_frames = 0;
                config.kf_max_dist = 1000;
                let mut context: Box<vpx::vpx_codec_ctx_t> = Box::new(std::mem::zeroed());
                let version = vpx::VPX_ENCODER_ABI_VERSION as c_int;
                let done = vpx::vpx_codec_enc_init_ver(&raw mut *context, interface, &raw const config, 0, version);
                assert_eq!(done, VPX_CODEC_OK);
                Self { context, count: 0 }
            }
        }

        /// One picture in, one frame out, and whether it is a key frame.
        pub(crate) fn encode(&mut self, picture: &Picture, key: bool) -> (Vec<u8>, bool) {
            let view = picture.view();
            // SAFETY: the planes outlive the call; the packet is copied before the next one.
            unsafe {
                let mut image: vpx::vpx_image_t = std::mem::zeroed();
                let data = view.y.as_ptr().cast_mut();
                let format = vpx::vpx_img_fmt::VPX_IMG_FMT_I420;
                let made = vpx::vpx_img_wrap(&raw mut image, format, view.width as u32, view.height as u32, 1, data);
                assert!(!made.is_null());
                let flags = if key { i64::from(vpx::VPX_EFLAG_FORCE_KF) } else { 0 };
                let done = vpx::vpx_codec_encode(&raw mut *self.context, &raw const image, self.count, 1, flags, 1);
                assert_eq!(done, VPX_CODEC_OK);
                self.count += 1;
                let mut iterator = ptr::null();
                let packet = vpx::vpx_codec_get_cx_data(&raw mut *self.context, &raw mut iterator);
                assert!(!packet.is_null());
                let frame = (*packet).data.frame;
                let data = std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz as usize).to_vec();
                (data, frame.flags & vpx::VPX_FRAME_IS_KEY != 0)
            }
        }
    }

    impl Drop for VpxEncoder {
        fn drop(&mut self) {
            // SAFETY: initialised in `new`, destroyed nowhere else.
            unsafe { vpx::vpx_codec_destroy(&raw mut *self.context) };
        }
    }
}
