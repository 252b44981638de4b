//! The negative control: playlists that were right are made wrong before the checker sees them.

/// Alters `body` in a way that `round` picks: a strict client must find a violation in one of a few rounds.
#[must_use]
pub fn sabotage(round: u64, body: &str) -> String {
    match round % 4 {
        0 => drop_part(body),
        1 => edit_last_part(body, |duration| duration * 1.5),
        2 => edit_last_part(body, |duration| duration * 0.5),
        _ => body.replacen("#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-PROGRAM-DATE-GONE", usize::MAX),
    }
}

/// Takes out the last but one EXT-X-PART.
fn drop_part(body: &str) -> String {
    let parts: Vec<usize> =
        body.lines().enumerate().filter(|(_, line)| line.starts_with("#EXT-X-PART:")).map(|(at, _)| at).collect();
    let victim = parts.len().checked_sub(2).map(|index| parts[index]);
    let kept = body.lines().enumerate().filter(|(at, _)| Some(*at) != victim).map(|(_, line)| line);
    kept.flat_map(|line| [line, "\n"]).collect()
}

fn edit_last_part(body: &str, edit: impl Fn(f64) -> f64) -> String {
    let victim = body.lines().filter(|line| line.starts_with("#EXT-X-PART:")).count();
    let mut count = 0;
    let mut out = String::with_capacity(body.len() + 8);
    for line in body.lines() {
        count += usize::from(line.starts_with("#EXT-X-PART:"));
        let edited = if count == victim { edit_duration(line, &edit) } else { None };
        out.push_str(edited.as_deref().unwrap_or(line));
        out.push('\n');
    }
    out
}

fn edit_duration(line: &str, edit: impl Fn(f64) -> f64) -> Option<String> {
    let (before, rest) = line.strip_prefix("#EXT-X-PART:")?.split_once("DURATION=")?;
    let (duration, after) = rest.split_once(',').unwrap_or((rest, ""));
    let edited = edit(duration.parse().ok()?);
    Some(format!("#EXT-X-PART:{before}DURATION={edited:.5},{after}"))
}
