//! The layers of a simulcast publisher (RFC 8853), as its offer names them.

/// Layers of one section that are kept; of more, the highest.
const LAYERS_MAX: usize = 4;
/// `a=rid` and `a=simulcast` entries that are read; the rest is skipped.
const LINES_MAX: usize = 16;
/// The rid extension's one-byte form carries no more (RFC 8285 §4.2).
const RID_BYTES_MAX: usize = 16;
/// Names that say which layer is larger, smallest first. Those of one row are the same size.
const NAMES: [&[&str]; 3] =
    [&["q", "l", "low", "r0"], &["h", "m", "mid", "medium", "half", "r1"], &["f", "high", "hi", "full", "r2"]];

/// The simulcast lines of one section.
#[derive(Default)]
pub(super) struct Layers {
    /// Of `a=rid:… send`: the name and, where it is bounded, how large its pictures may be.
    sizes: Vec<(String, Option<u64>)>,
    /// Of `a=simulcast:send`, in the order of writing.
    listed: Vec<String>,
}

impl Layers {
    /// Takes in `a=rid:<value>`.
    pub(super) fn rid(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let (Some(rid), Some("send")) = (words.next(), words.next()) else { return };
        if is_rid(rid) && self.sizes.len() < LINES_MAX && self.sizes.iter().all(|(known, _)| known != rid) {
            self.sizes.push((rid.to_owned(), words.next().and_then(size)));
        }
    }

    /// Takes in `a=simulcast:<value>`: `send` or `recv` and a list, once or twice.
    pub(super) fn simulcast(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        while let (Some(direction), Some(list)) = (words.next(), words.next()) {
            if direction == "send" && self.listed.is_empty() {
                // Of alternatives the first; a paused one (~) may be resumed.
                let rids = list.split(';').filter_map(|entry| entry.split(',').next());
                let rids = rids.map(|rid| rid.trim_start_matches('~')).filter(|rid| is_rid(rid)).take(LINES_MAX);
                rids.for_each(|rid| {
                    if self.listed.iter().all(|known| known != rid) {
                        self.listed.push(rid.to_owned());
                    }
                });
            }
        }
    }

    /// The layers that the client would send, lowest first; empty where there are not at least two.
    ///
    /// Which is lower is said, in this order of trust, by sizes in all of `a=rid`; by names that everybody uses (`q`, `h`, `f`;
    /// `l`, `m`, `h`; `r0`, `r1`, `r2`; …); for names that are plain numbers by their order of preference, best first (RFC 8853
    /// §5.2: so do OBS and others that follow the letter); for all else by the order of writing, lowest first, as browsers scale
    /// encodings that say nothing of their size.
    pub(super) fn lowest_first(self) -> Vec<String> {
        let Self { sizes, listed } = self;
        let size_of = |rid: &str| sizes.iter().find(|(known, _)| known == rid).map(|(_, size)| *size);
        let mut rids: Vec<String> = listed.into_iter().filter(|rid| size_of(rid).is_some()).collect();
        if rids.len() < 2 {
            return Vec::new();
        }
        let in_row = |names: &[&str], rid: &String| names.iter().any(|name| rid.eq_ignore_ascii_case(name));
        // "h" is half beside "q" and "f", high beside "l" and "m".
        let high = rids.iter().any(|rid| in_row(&["l", "m"], rid));
        let rank = |rid: &String| match rid.as_str() {
            "h" | "H" if high => Some(2),
            _ => NAMES.iter().position(|names| in_row(names, rid)),
        };
        if rids.iter().all(|rid| size_of(rid).flatten().is_some()) {
            rids.sort_by_key(|rid| size_of(rid).flatten());
        } else if rids.iter().all(|rid| rank(rid).is_some()) {
            rids.sort_by_key(rank);
        } else if rids.iter().all(|rid| rid.bytes().all(|byte| byte.is_ascii_digit())) {
            rids.reverse();
        }
        rids.split_off(rids.len().saturating_sub(LAYERS_MAX))
    }
}

/// RFC 8852 §3.
fn is_rid(rid: &str) -> bool {
    (1..=RID_BYTES_MAX).contains(&rid.len())
        && rid.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// How large the restrictions of an `a=rid` (RFC 8851 §5) let pictures be: in pixels, or in bits per second where only that is said.
fn size(restrictions: &str) -> Option<u64> {
    let value = |name: &str| {
        let mut pairs = restrictions.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).and_then(|(_, value)| value.parse::<u32>().ok()).map(u64::from)
    };
    match (value("max-width"), value("max-height")) {
        (Some(width), Some(height)) => Some(width * height),
        (Some(side), None) | (None, Some(side)) => Some(side * side),
        (None, None) => value("max-fs").or_else(|| value("max-br")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(simulcast: &str, rids: &[&str]) -> String {
        let mut layers = Layers::default();
        rids.iter().for_each(|rid| layers.rid(rid));
        layers.simulcast(simulcast);
        layers.lowest_first().join(" ")
    }

    fn named(list: &str) -> String {
        let rids: Vec<_> = list.split(';').map(|rid| format!("{} send", rid.trim_start_matches('~'))).collect();
        ordered(&format!("send {list}"), &rids.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn names_that_everybody_uses_say_their_size() {
        assert_eq!(named("q;h;f"), "q h f");
        assert_eq!(named("f;h;q"), "q h f");
        assert_eq!(named("h;m;l"), "l m h");
        assert_eq!(named("h;l"), "l h");
        assert_eq!(named("high;mid;low"), "low mid high");
        assert_eq!(named("r0;r1;~r2"), "r0 r1 r2");
    }

    #[test]
    fn sizes_are_trusted_more_than_names() {
        let rids = ["q send max-width=1280;max-height=720", "f send pt=96;max-width=320;max-height=180"];
        assert_eq!(ordered("send q;f", &rids), "f q");
        assert_eq!(ordered("send a;b", &["a send max-br=1500000", "b send max-br=200000"]), "b a");
        assert_eq!(ordered("send q;f", &["q send max-width=1280", "f send"]), "q f", "not all of them say it");
    }

    #[test]
    fn what_says_nothing_goes_by_its_place() {
        assert_eq!(named("0;1;2"), "2 1 0", "best first, as OBS writes it");
        assert_eq!(named("x;y"), "x y", "lowest first, as browsers scale");
        assert_eq!(named("4;3;2;1;0"), "1 2 3 4", "the best four");
    }

    #[test]
    fn what_is_no_simulcast_is_none() {
        assert_eq!(named("q"), "");
        assert_eq!(ordered("recv q;f", &["q send", "f send"]), "");
        assert_eq!(ordered("send q;f", &["q send", "f recv"]), "", "f is not described");
        assert_eq!(ordered("recv a;b send q;f", &["q send", "f send", "a recv", "b recv"]), "q f");
        assert_eq!(ordered("send q;f;q;f", &["q send", "f send", "f send max-br=1"]), "q f");
        assert_eq!(named("a b;c"), "");
        assert_eq!(ordered("send \u{e9};f;12345678901234567", &["\u{e9} send", "f send", "12345678901234567 send"]), "");
    }
}
