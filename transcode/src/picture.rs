//! Pictures between decoder, scaler and encoder.

use crate::video::VideoError;

/// A view of a picture: planar 4:2:0, 8 bit, width and height even.
#[derive(Clone, Copy, Debug)]
pub struct I420<'a> {
    /// Pixels per row; even.
    pub width: usize,
    /// Rows; even.
    pub height: usize,
    /// Luma: rows of `stride` bytes, the last one at least `width`.
    pub y: &'a [u8],
    /// Blue difference: half the rows, of `chroma_stride` bytes.
    pub u: &'a [u8],
    /// Red difference, as blue.
    pub v: &'a [u8],
    /// Bytes from one row of luma to the next.
    pub stride: usize,
    /// Bytes from one row of either chroma plane to the next.
    pub chroma_stride: usize,
}

impl<'a> I420<'a> {
    /// A picture in one slice of width × height × 3 ⁄ 2 bytes, Y then U then V.
    pub fn from_packed(data: &'a [u8], width: usize, height: usize) -> Result<Self, VideoError> {
        let luma = width * height;
        if data.len() != luma * 3 / 2 {
            return Err(VideoError::Shape { width, height, bytes: data.len() });
        }
        let (y, chroma) = data.split_at(luma);
        let (u, v) = chroma.split_at(luma / 4);
        Self { width, height, y, u, v, stride: width, chroma_stride: width / 2 }.checked()
    }

    /// The picture, if its planes have the size that it says.
    pub fn checked(self) -> Result<Self, VideoError> {
        let Self { width, height, y, u, v, stride, chroma_stride } = self;
        let even = width > 0 && height > 0 && width.is_multiple_of(2) && height.is_multiple_of(2);
        let holds = |plane: &[u8], stride: usize, width: usize, height: usize| {
            stride >= width && plane.len() >= stride * (height - 1) + width
        };
        let fits = even
            && holds(y, stride, width, height)
            && holds(u, chroma_stride, width / 2, height / 2)
            && holds(v, chroma_stride, width / 2, height / 2);
        if fits { Ok(self) } else { Err(VideoError::Shape { width, height, bytes: y.len() + u.len() + v.len() }) }
    }

    /// Luma, blue and red difference, each with its stride, width and height.
    pub(crate) fn planes(&self) -> [Plane<'a>; 3] {
        let (width, height, stride) = (self.width / 2, self.height / 2, self.chroma_stride);
        [
            Plane { data: self.y, stride: self.stride, width: self.width, height: self.height },
            Plane { data: self.u, stride, width, height },
            Plane { data: self.v, stride, width, height },
        ]
    }
}

/// One plane of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl<'a> Plane<'a> {
    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..self.width]
    }
}

/// A picture of its own, without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Picture {
    /// A black one (limited range); odd sides are rounded up.
    #[must_use]
    pub fn black(width: usize, height: usize) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let mut data = vec![16; width * height];
        data.resize(width * height * 3 / 2, 128);
        Self { width, height, data }
    }

    /// Copies what is seen through the view.
    #[must_use]
    pub fn copy_of(view: I420<'_>) -> Self {
        let mut data = Vec::with_capacity(view.width * view.height * 3 / 2);
        for plane in view.planes() {
            (0..plane.height).for_each(|row| data.extend_from_slice(plane.row(row)));
        }
        Self { width: view.width, height: view.height, data }
    }

    /// Pixels per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// To look at.
    #[must_use]
    pub fn view(&self) -> I420<'_> {
        let (width, height) = (self.width, self.height);
        let (y, chroma) = self.data.split_at(width * height);
        let (u, v) = chroma.split_at(width * height / 4);
        I420 { width, height, y, u, v, stride: width, chroma_stride: width / 2 }
    }

    /// Luma, blue and red difference, without padding.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let luma = self.width * self.height;
        let (y, chroma) = self.data.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        [y, u, v]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_that_are_too_short_are_refused() {
        assert!(I420::from_packed(&[0; 10], 2, 2).is_err());
        assert!(I420::from_packed(&[], 0, 0).is_err());
        assert!(I420::from_packed(&[0; 13], 3, 3).is_err());
        let padded = I420 { width: 4, height: 4, y: &[0; 28], u: &[0; 10], v: &[0; 10], stride: 8, chroma_stride: 8 };
        assert!(padded.checked().is_ok());
        assert!(I420 { y: &[0; 27], ..padded }.checked().is_err());
        assert!(I420 { v: &[0; 9], ..padded }.checked().is_err());
        assert!(I420 { stride: 3, ..padded }.checked().is_err());
    }

    #[test]
    fn a_copy_leaves_the_padding() {
        let y: Vec<u8> = (0..32).collect();
        let view = I420 { width: 4, height: 4, y: &y, u: &y[..12], v: &y[1..13], stride: 8, chroma_stride: 8 };
        let copy = Picture::copy_of(view);
        assert_eq!(copy.view().y, [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]);
        assert_eq!(copy.view().u, [0, 1, 8, 9]);
        assert_eq!(copy.view().v, [1, 2, 9, 10]);
    }
}
