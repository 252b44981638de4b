//! Which of a channel's rungs is filled by what. A value: decided once per programme, before its first picture.

/// What one entry of the channel's `hls` asks of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
    /// Bits per second at most.
    pub bps: u32,
}

/// What fills one rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// A layer of the publisher's, as it comes.
    Layer(u8),
    /// What a transcoder makes of this layer.
    Transcode(u8),
}

/// A rung that no layer fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its place in the ladder, 0 is the highest.
    pub rung: u8,
    /// What was asked for.
    pub asked: Rung,
    /// The layer to make it from: the lowest that is not lower than it.
    pub from: u8,
}

/// The ladder of one programme. Rungs count from the highest, layers from the lowest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LadderPlan {
    rungs: Vec<(Option<Rung>, Filling)>,
}

impl LadderPlan {
    /// `layers`: how many the publisher sends of its picture, 0 for a track without simulcast; `None` without pictures.
    ///
    /// The highest layer is taken to be the highest rung, and so on downwards: that is what the publisher was asked for. Layers beyond the
    /// rungs are not shown.
    #[must_use]
    pub fn new(asked: &[Rung], layers: Option<usize>) -> Self {
        let Some(layers) = layers else { return Self::default() };
        let layers = u8::try_from(layers.max(1)).unwrap_or(u8::MAX);
        if asked.len() < 2 {
            return Self { rungs: vec![(asked.first().copied(), Filling::Layer(layers - 1))] };
        }
        let filling = |rung: usize| {
            let rung = u8::try_from(rung).unwrap_or(u8::MAX);
            match (layers - 1).checked_sub(rung) {
                Some(layer) => Filling::Layer(layer),
                None => Filling::Transcode(0),
            }
        };
        Self { rungs: asked.iter().enumerate().map(|(rung, asked)| (Some(*asked), filling(rung))).collect() }
    }

    /// The rendition that shows this layer.
    #[must_use]
    pub fn rung_of(&self, layer: u8) -> Option<u8> {
        let rung = self.rungs.iter().position(|(_, filling)| *filling == Filling::Layer(layer))?;
        u8::try_from(rung).ok()
    }

    /// What a transcoder would have to make.
    pub fn missing(&self) -> impl Iterator<Item = Missing> {
        let missing = |(rung, (asked, filling)): (usize, &(Option<Rung>, Filling))| match filling {
            Filling::Transcode(from) => Some(Missing { rung: u8::try_from(rung).ok()?, asked: (*asked)?, from: *from }),
            Filling::Layer(_) => None,
        };
        self.rungs.iter().enumerate().filter_map(missing)
    }

    /// The rungs that somebody fills, with what was asked of them, the highest first.
    pub fn flowing(&self) -> impl Iterator<Item = Option<Rung>> {
        self.rungs.iter().filter(|(_, filling)| matches!(filling, Filling::Layer(_))).map(|(asked, _)| *asked)
    }

    /// How many of them there are.
    #[must_use]
    pub fn rungs(&self) -> u8 {
        u8::try_from(self.flowing().count()).unwrap_or(u8::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ladder(heights: &[u32]) -> Vec<Rung> {
        heights.iter().map(|height| Rung { width: height * 16 / 9, height: *height, fps: 30, bps: height * 2_000 }).collect()
    }

    #[test]
    fn layers_fill_the_ladder_from_its_top() {
        let plan = LadderPlan::new(&ladder(&[720, 360, 180]), Some(3));
        assert_eq!([2, 1, 0].map(|layer| plan.rung_of(layer)), [Some(0), Some(1), Some(2)]);
        assert_eq!((plan.rungs(), plan.missing().count()), (3, 0));
        assert_eq!(plan.rung_of(3), None);
    }

    #[test]
    fn what_no_layer_fills_is_missing_with_what_it_can_be_made_from() {
        let asked = ladder(&[720, 360, 180]);
        let plan = LadderPlan::new(&asked, Some(0));
        assert_eq!((plan.rungs(), plan.rung_of(0)), (1, Some(0)));
        let missing: Vec<_> = plan.missing().map(|missing| (missing.rung, missing.asked, missing.from)).collect();
        assert_eq!(missing, [(1, asked[1], 0), (2, asked[2], 0)]);
    }

    #[test]
    fn one_rung_or_none_shows_the_best_of_what_comes() {
        for asked in [ladder(&[]), ladder(&[720])] {
            assert_eq!(LadderPlan::new(&asked, Some(0)).rung_of(0), Some(0));
        }
        assert_eq!(LadderPlan::new(&ladder(&[720]), None).rungs(), 0);
    }
}
