//! From one picture size to another, plane by plane.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use crate::picture::{I420, Picture, Plane};
use crate::video::VideoError;

/// How a picture fills the size that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fit {
    /// As large as it may be within that size, in its own shape, never larger than it came.
    Inside,
    /// Exactly that size: in its own shape, with black bars.
    Pad,
}

impl Fit {
    /// The size that comes out, and how much of it is picture: width and height, all even and at least 2.
    #[must_use]
    pub fn sizes(self, source: (usize, usize), asked: (usize, usize)) -> ((usize, usize), (usize, usize)) {
        let inner = inside(source, asked, self == Self::Pad);
        match self {
            Self::Inside => (inner, inner),
            Self::Pad => {
                let outer = (asked.0.next_multiple_of(2).max(2), asked.1.next_multiple_of(2).max(2));
                // A bar of a few pixels is worse than a shape that is off by as much.
                let near = |inner: usize, outer: usize| if inner + outer / 64 >= outer { outer } else { inner };
                (outer, (near(inner.0, outer.0), near(inner.1, outer.1)))
            }
        }
    }
}

fn inside(source: (usize, usize), asked: (usize, usize), enlarge: bool) -> (usize, usize) {
    let (sw, sh) = (source.0.max(1), source.1.max(1));
    if !enlarge && sw <= asked.0 && sh <= asked.1 {
        return (even(sw), even(sh));
    }
    // The tighter side decides; the other one is rounded to even.
    if asked.0 * sh <= asked.1 * sw {
        (even(asked.0), nearest_even(sh * asked.0, sw).min(even(asked.1)))
    } else {
        (nearest_even(sw * asked.1, sh).min(even(asked.0)), even(asked.1))
    }
}

fn even(value: usize) -> usize {
    (value & !1).max(2)
}

fn nearest_even(dividend: usize, divisor: usize) -> usize {
    (((dividend + divisor) / (2 * divisor)) * 2).max(2)
}

/// Scales pictures of one source to one size; keeps its buffers between pictures.
pub struct Scaler {
    asked: (usize, usize),
    fit: Fit,
    resizer: Resizer,
    out: Picture,
    inner: Picture,
}

impl Scaler {
    /// To `asked` (width, height), filled as `fit` says.
    #[must_use]
    pub fn new(asked: (usize, usize), fit: Fit) -> Self {
        Self { asked, fit, resizer: Resizer::new(), out: Picture::default(), inner: Picture::default() }
    }

    /// The scaled picture; the source itself where nothing is to do.
    ///
    /// # Errors
    /// A source whose planes do not fit its size.
    pub fn scale<'a>(&'a mut self, source: I420<'a>) -> Result<I420<'a>, VideoError> {
        let source = source.checked()?;
        let (outer, inner) = self.fit.sizes((source.width, source.height), self.asked);
        if inner == (source.width, source.height) && inner == outer {
            return Ok(source);
        }
        ensure(&mut self.out, outer);
        if inner == outer {
            resize(&mut self.resizer, source, &mut self.out);
        } else {
            ensure(&mut self.inner, inner);
            resize(&mut self.resizer, source, &mut self.inner);
            place(self.inner.view(), &mut self.out);
        }
        Ok(self.out.view())
    }
}

/// A new size starts black: bars stay as they are from then on.
fn ensure(picture: &mut Picture, size: (usize, usize)) {
    if (picture.width(), picture.height()) != size {
        *picture = Picture::black(size.0, size.1);
    }
}

fn resize(resizer: &mut Resizer, source: I420<'_>, target: &mut Picture) {
    let (width, height) = (target.width(), target.height());
    let sizes = [(width, height), (width / 2, height / 2), (width / 2, height / 2)];
    for ((plane, target), size) in source.planes().into_iter().zip(target.planes_mut()).zip(sizes) {
        if (plane.width, plane.height) == (size.0 * 2, size.1 * 2) {
            halve(plane, target, size.0);
        } else {
            convolve(resizer, plane, target, size);
        }
    }
}

/// Exactly 2:1 each way: the mean of four.
fn halve(source: Plane<'_>, target: &mut [u8], width: usize) {
    for (row, out) in target.chunks_exact_mut(width).enumerate() {
        let (upper, lower) = (source.row(2 * row), source.row(2 * row + 1));
        for ((out, a), b) in out.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            *out = ((u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]) + 2) >> 2) as u8;
        }
    }
}

/// A triangle filter as wide as the scale asks, so that nothing aliases.
fn convolve(resizer: &mut Resizer, source: Plane<'_>, target: &mut [u8], size: (usize, usize)) {
    // The view needs whole rows; a plane whose last one ends where its picture does is packed first. No decoder here gives such.
    let packed: Vec<u8>;
    let (pixels, stride) = match source.data.get(..source.stride * source.height) {
        Some(rows) => (rows, source.stride),
        None => {
            packed = (0..source.height).flat_map(|row| source.row(row)).copied().collect();
            (&packed[..], source.width)
        }
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        0.0,
        0.0,
        source.width as f64,
        source.height as f64,
    );
    let view = TypedImageRef::<U8>::from_buffer(stride as u32, source.height as u32, pixels);
    let out = TypedImage::<U8>::from_buffer(size.0 as u32, size.1 as u32, target);
    if let (Ok(view), Ok(mut out)) = (view, out) {
        // Sizes are above zero and the crop lies inside: it does not fail.
        let done = resizer.resize_typed(&view, &mut out, &options);
        debug_assert!(done.is_ok(), "{done:?}");
    }
}

/// Into the middle, at even places.
fn place(inner: I420<'_>, outer: &mut Picture) {
    let left = (outer.width() - inner.width) / 4 * 2;
    let top = (outer.height() - inner.height) / 4 * 2;
    let width = outer.width();
    let places = [(left, top, width), (left / 2, top / 2, width / 2), (left / 2, top / 2, width / 2)];
    for ((plane, target), (left, top, stride)) in inner.planes().into_iter().zip(outer.planes_mut()).zip(places) {
        for row in 0..plane.height {
            target[(top + row) * stride + left..][..plane.width].copy_from_slice(plane.row(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ramp to the right in luma, downwards in blue, flat in red.
    fn ramp(width: usize, height: usize) -> Picture {
        let mut picture = Picture::black(width, height);
        let [y, u, v] = picture.planes_mut();
        y.iter_mut().enumerate().for_each(|(n, out)| *out = (n % width * 200 / width) as u8);
        u.iter_mut().enumerate().for_each(|(n, out)| *out = (n / (width / 2) * 2 * 200 / height) as u8);
        v.fill(77);
        picture
    }

    #[test]
    fn shapes_are_kept_and_nothing_grows() {
        let inside = |source, asked| Fit::Inside.sizes(source, asked).0;
        assert_eq!(inside((1280, 720), (854, 480)), (854, 480));
        assert_eq!(inside((1280, 720), (640, 640)), (640, 360));
        assert_eq!(inside((720, 1280), (640, 360)), (202, 360));
        assert_eq!(inside((640, 480), (1280, 720)), (640, 480));
        assert_eq!(inside((4096, 36), (36, 36)), (36, 2));
        assert_eq!(Fit::Pad.sizes((640, 480), (1280, 720)), ((1280, 720), (960, 720)));
        assert_eq!(Fit::Pad.sizes((640, 360), (1280, 720)), ((1280, 720), (1280, 720)));
        // 852 would be a bar of one pixel each side.
        assert_eq!(Fit::Pad.sizes((1280, 722), (854, 480)), ((854, 480), (854, 480)));
    }

    #[test]
    fn every_pixel_comes_from_its_own_place() {
        let source = ramp(640, 360);
        for (width, height) in [(320, 180), (426, 240), (640, 360), (200, 100)] {
            let mut scaler = Scaler::new((width, height), Fit::Inside);
            let out = Picture::copy_of(scaler.scale(source.view()).unwrap());
            let expected = ramp(out.width(), out.height());
            for (got, wanted) in
                [(out.view().y, expected.view().y), (out.view().u, expected.view().u), (out.view().v, expected.view().v)]
            {
                let worst = got.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(worst <= 3, "{width}x{height}: {worst}");
            }
        }
    }

    #[test]
    fn padding_is_black_and_the_picture_is_in_the_middle() {
        let source = ramp(320, 240);
        let mut scaler = Scaler::new((640, 360), Fit::Pad);
        let out = Picture::copy_of(scaler.scale(source.view()).unwrap());
        assert_eq!((out.width(), out.height()), (640, 360));
        let row = &out.view().y[180 * 640..][..640];
        assert!(row[..80].iter().all(|pixel| *pixel == 16) && row[560..].iter().all(|pixel| *pixel == 16));
        assert!(row[559] > 190 && row[320].abs_diff(100) < 4, "{} {}", row[559], row[320]);
        assert_eq!((out.view().u[0], out.view().v[90 * 320 + 160]), (128, 77));
    }

    #[test]
    fn strides_are_not_pictures() {
        // The padding is white: any of it inside the result shows.
        let wide = Picture::black(64, 32);
        let mut padded = vec![255_u8; 80 * 32];
        for row in 0..32 {
            padded[row * 80..][..64].copy_from_slice(&wide.view().y[row * 64..][..64]);
        }
        let view = I420 { y: &padded[..80 * 31 + 64], stride: 80, ..wide.view() };
        for size in [(32, 16), (40, 20)] {
            let mut scaler = Scaler::new(size, Fit::Inside);
            assert!(scaler.scale(view).unwrap().y.iter().all(|pixel| *pixel == 16), "{size:?}");
        }
    }
}
