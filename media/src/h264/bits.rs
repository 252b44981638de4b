/// Reads a raw byte sequence payload bit by bit (ITU-T H.264 §7.2, §9.1), passing over emulation prevention bytes (§7.3.1).
/// `None` at the end of the data.
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    byte: u8,
    bits_left: u8,
    zeros: u8,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload, byte: 0, bits_left: 0, zeros: 0 }
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (&first, after) = self.rest.split_first()?;
        let (byte, rest) = match (self.zeros, first) {
            (2.., 3) => {
                self.zeros = 0;
                let (&second, after) = after.split_first()?;
                (second, after)
            }
            _ => (first, after),
        };
        self.rest = rest;
        self.zeros = if byte == 0 { (self.zeros + 1).min(2) } else { 0 };
        Some(byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        if self.bits_left == 0 {
            self.byte = self.next_byte()?;
            self.bits_left = 8;
        }
        self.bits_left -= 1;
        Some((self.byte >> self.bits_left) & 1 == 1)
    }

    /// u(n), n ≤ 32.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value: u32, _| Some((value << 1) | u32::from(self.flag()?)))
    }

    /// ue(v).
    pub(super) fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        Some(((1u64 << zeros) as u32 - 1) + rest)
    }

    /// se(v).
    pub(super) fn signed(&mut self) -> Option<i32> {
        let code = i64::from(self.unsigned()?);
        let magnitude = (code + 1) / 2;
        i32::try_from(if code % 2 == 1 { magnitude } else { -magnitude }).ok()
    }
}
