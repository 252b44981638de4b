//! openh264 behind [`VideoEncoder`](crate::VideoEncoder) and [`VideoDecoder`](crate::VideoDecoder).

mod decoder;
mod encoder;
mod raw;

pub use decoder::OpenH264Decoder;
pub use encoder::OpenH264Encoder;
