//! The test picture and its sound: a moving picture with a clock that people and machines can read, a flash and a beep
//! at the same instant at the start of every second.
//!
//! The machine-readable clock is a row of [`CLOCK_BITS`] square blocks along the bottom edge, each `width / CLOCK_BITS`
//! wide: the low 36 bits of Unix milliseconds, most significant first, then a 4-bit checksum (sum of the nine nibbles).
//! White is 1. It survives H.264 at any sane bitrate and any scaling.

/// Blocks in the clock row.
pub const CLOCK_BITS: usize = 40;
/// The flash and the beep last so long from the start of each second.
pub const FLASH_MS: u64 = 100;
/// The beep's frequency in hertz.
pub const BEEP_HZ: f64 = 1000.0;

/// The clock row's bits for a wall time in Unix milliseconds.
#[must_use]
pub fn clock_bits(unix_ms: u64) -> [bool; CLOCK_BITS] {
    let time = unix_ms & 0xF_FFFF_FFFF;
    let checksum = (0..9).map(|nibble| (time >> (4 * nibble)) & 0xF).sum::<u64>() & 0xF;
    let word = (time << 4) | checksum;
    std::array::from_fn(|bit| (word >> (CLOCK_BITS - 1 - bit)) & 1 == 1)
}

/// Draws frames in I420 (BT.601 limited range): one luma plane, then two chroma planes of a quarter the size.
pub struct Painter {
    width: usize,
    height: usize,
    background: Vec<u8>,
}

impl Painter {
    /// A painter of `width` × `height` pixels; both even, width at least 160.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, background: color_bars(width, height) }
    }

    /// Bytes of one frame.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        self.width * self.height * 3 / 2
    }

    /// Paints the picture of wall time `unix_ms` into `frame` ([`Self::frame_len`] bytes).
    pub fn paint(&self, unix_ms: u64, frame: &mut [u8]) {
        frame.copy_from_slice(&self.background);
        let phase = (unix_ms % 4000) as f64 / 4000.0 * std::f64::consts::TAU;
        let ball = self.height / 8;
        let x = (self.width as f64 / 2.0 + phase.cos() * (self.width as f64 / 2.0 - ball as f64)) as usize;
        let y = (self.height as f64 * 0.45 + phase.sin() * self.height as f64 * 0.25) as usize;
        self.fill(frame, x.saturating_sub(ball / 2), y.saturating_sub(ball / 2), ball, ball, 235);
        self.paint_clock_text(frame, unix_ms);
        if unix_ms % 1000 < FLASH_MS {
            self.fill(frame, 0, 0, self.width / 5, self.height / 4, 235);
        } else {
            self.fill(frame, 0, 0, self.width / 5, self.height / 4, 16);
        }
        self.paint_clock_row(frame, unix_ms);
    }

    fn paint_clock_row(&self, frame: &mut [u8], unix_ms: u64) {
        let block = self.width / CLOCK_BITS;
        for (index, bit) in clock_bits(unix_ms).into_iter().enumerate() {
            self.fill(frame, index * block, self.height - block, block, block, if bit { 235 } else { 16 });
        }
    }

    fn paint_clock_text(&self, frame: &mut [u8], unix_ms: u64) {
        let (seconds, millis) = (unix_ms / 1000 % 86_400, unix_ms % 1000);
        let text = format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, millis);
        let dot = (self.width / 100).max(1);
        let left = (self.width - text.len() * 6 * dot) / 2;
        let top = self.height * 2 / 3;
        self.fill(frame, left - 2 * dot, top - 2 * dot, text.len() * 6 * dot + 3 * dot, 11 * dot, 16);
        for (column, character) in text.chars().enumerate() {
            for (row, bits) in glyph(character).into_iter().enumerate() {
                for bit in (0..5).filter(|bit| (bits >> (4 - bit)) & 1 == 1) {
                    self.fill(frame, left + (column * 6 + bit) * dot, top + row * dot, dot, dot, 235);
                }
            }
        }
    }

    /// A grey rectangle, clipped to the picture.
    fn fill(&self, frame: &mut [u8], x: usize, y: usize, width: usize, height: usize, luma: u8) {
        let (right, bottom) = ((x + width).min(self.width), (y + height).min(self.height));
        for row in y..bottom {
            frame[row * self.width + x.min(right)..row * self.width + right].fill(luma);
        }
        let (chroma_width, chroma) = (self.width / 2, self.width * self.height);
        let plane = chroma / 4;
        for row in y / 2..bottom / 2 {
            let line = row * chroma_width;
            let range = line + (x / 2).min(right / 2)..line + right / 2;
            frame[chroma + range.start..chroma + range.end].fill(128);
            frame[chroma + plane + range.start..chroma + plane + range.end].fill(128);
        }
    }
}

/// Eight vertical bars in I420.
fn color_bars(width: usize, height: usize) -> Vec<u8> {
    const BARS: [(u8, u8, u8); 8] = [
        (180, 128, 128),
        (162, 44, 142),
        (131, 156, 44),
        (112, 72, 58),
        (84, 184, 198),
        (65, 100, 212),
        (35, 212, 114),
        (60, 128, 128),
    ];
    let mut frame = vec![0; width * height * 3 / 2];
    let (luma, chroma) = frame.split_at_mut(width * height);
    let (blue, red) = chroma.split_at_mut(width * height / 4);
    for (index, pixel) in luma.iter_mut().enumerate() {
        *pixel = BARS[index % width * 8 / width].0;
    }
    for (index, (u, v)) in blue.iter_mut().zip(red).enumerate() {
        let bar = BARS[index % (width / 2) * 8 / (width / 2)];
        (*u, *v) = (bar.1, bar.2);
    }
    frame
}

/// A 5×7 glyph, one row per byte, the leftmost pixel in bit 4.
fn glyph(character: char) -> [u8; 7] {
    match character {
        '0' => [0x0E, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0E],
        '1' => [0x04, 0x0C, 0x04, 0x04, 0x04, 0x04, 0x0E],
        '2' => [0x0E, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1F],
        '3' => [0x1F, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0E],
        '4' => [0x02, 0x06, 0x0A, 0x12, 0x1F, 0x02, 0x02],
        '5' => [0x1F, 0x10, 0x1E, 0x01, 0x01, 0x11, 0x0E],
        '6' => [0x06, 0x08, 0x10, 0x1E, 0x11, 0x11, 0x0E],
        '7' => [0x1F, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
        '8' => [0x0E, 0x11, 0x11, 0x0E, 0x11, 0x11, 0x0E],
        '9' => [0x0E, 0x11, 0x11, 0x0F, 0x01, 0x02, 0x0C],
        ':' => [0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00],
        _ => [0x00, 0x00, 0x00, 0x00, 0x00, 0x0C, 0x0C],
    }
}

/// One mono sample of the beep track, −1 to 1, for sample number `index` at 48 kHz counted from Unix time zero.
#[must_use]
pub fn beep_sample(index: u64) -> f32 {
    let into_second = index % 48_000;
    if into_second >= FLASH_MS * 48 {
        return 0.0;
    }
    (0.5 * (std::f64::consts::TAU * BEEP_HZ * into_second as f64 / 48_000.0).sin()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_clock(painter: &Painter, frame: &[u8]) -> Option<u64> {
        let block = painter.width / CLOCK_BITS;
        let row = (painter.height - block / 2) * painter.width;
        let word = (0..CLOCK_BITS).fold(0_u64, |word, bit| (word << 1) | u64::from(frame[row + bit * block + block / 2] > 128));
        let (time, checksum) = (word >> 4, word & 0xF);
        let sum = (0..9).map(|nibble| (time >> (4 * nibble)) & 0xF).sum::<u64>() & 0xF;
        (sum == checksum).then_some(time)
    }

    #[test]
    fn the_clock_row_can_be_read_back() {
        let painter = Painter::new(640, 360);
        let mut frame = vec![0; painter.frame_len()];
        for time in [0, 1, 1_795_000_000_123, u64::MAX] {
            painter.paint(time, &mut frame);
            assert_eq!(read_clock(&painter, &frame), Some(time & 0xF_FFFF_FFFF));
        }
    }

    #[test]
    fn a_damaged_clock_row_is_noticed() {
        let painter = Painter::new(640, 360);
        let mut frame = vec![0; painter.frame_len()];
        painter.paint(1_795_000_000_123, &mut frame);
        painter.fill(&mut frame, 600, 344, 16, 16, 16);
        painter.fill(&mut frame, 616, 344, 24, 16, 235);
        assert_eq!(read_clock(&painter, &frame), None);
    }

    #[test]
    fn flash_and_beep_share_their_instant() {
        let painter = Painter::new(640, 360);
        let mut frame = vec![0; painter.frame_len()];
        for ms in [0, 50, 99, 100, 500, 999] {
            painter.paint(ms, &mut frame);
            let loud = (0..48).any(|sample| beep_sample(ms * 48 + sample).abs() > 0.1);
            assert_eq!(frame[10 * 640 + 10] > 128, loud, "at {ms} ms");
        }
    }
}
