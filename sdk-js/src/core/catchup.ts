/** So far from where it should be a player lets things be, in seconds. */
const NEAR_S = 0.03;
/** Nobody hears a change of pitch-corrected speed up to here. */
const FASTEST = 1.05;
const SLOWEST = 0.97;
/** Speed per second of distance. */
const GAIN = 0.2;
/** With less than this in front of it a player does not run faster, in seconds. */
const LEAST_AHEAD_S = 0.25;

/**
 * The speed that brings a live player to `target` seconds behind the live edge when it is `latency` behind it and has `ahead` seconds in
 * front of it. hls.js' own way speeds up only with a second in front, which is more than a player near the edge ever has.
 */
export function catchUpRate(latency: number, target: number, ahead: number): number {
  const late = latency - target;
  if (late > NEAR_S && ahead > LEAST_AHEAD_S) return rounded(Math.min(FASTEST, 1 + late * GAIN));
  if (late < -NEAR_S) return rounded(Math.max(SLOWEST, 1 + late * GAIN));
  return 1;
}

function rounded(rate: number): number {
  return Math.round(rate * 100) / 100;
}
