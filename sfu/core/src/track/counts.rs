//! What came of a layer, in plain numbers for reports.

/// Counts since the layer's beginning, whatever its source.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub packets: u64,
    /// Of payload.
    pub bytes: u64,
    pub key_frames: u64,
    /// The timestamp of the newest key frame: it counts once, however many packets say what they are.
    key_frame: Option<u32>,
}

impl Counts {
    pub(super) fn add(&mut self, timestamp: u32, key: bool, payload: usize) {
        self.packets += 1;
        self.bytes += payload as u64;
        if key && self.key_frame.is_none_or(|newest| timestamp.wrapping_sub(newest) as i32 > 0) {
            self.key_frame = Some(timestamp);
            self.key_frames += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_of_many_packets_is_one_also_when_another_comes_between() {
        let mut counts = Counts::default();
        for (timestamp, key) in
            [(u32::MAX - 5, true), (u32::MAX - 5, true), (2995, false), (5995, true), (u32::MAX - 5, true), (5995, true)]
        {
            counts.add(timestamp, key, 100);
        }
        assert_eq!((counts.packets, counts.bytes, counts.key_frames), (6, 600, 2));
    }
}
