// Real players on real forms: hls.js, dash.js and Shaka, in Chromium and in Firefox. The page is pages/players.html.
import { until, sleep } from './server.mjs';

/** Opens the page of players in a browser of lib/browser.mjs or lib/firefox.mjs. */
export async function openPlayers(browser) {
  const page = await browser.page();
  await page.goto(new URL('/players.html', page.url()).href);
  await page.waitForFunction(() => window.ready && window.begin);
  return page;
}

/**
 * Plays `url` with `kind` ('hls', 'dash', 'shaka') for `seconds` of wall time once it moves: {advanced, stalls, stalledMs, fatal, latencies, last}.
 * Stalls in the first `settle` seconds are a player finding its place and do not count.
 */
export async function watch(page, kind, url, seconds, { settle = 3 } = {}) {
  await page.evaluate(([which, what]) => window.begin(which, what), [kind, url]);
  const state = () => page.evaluate(() => window.seen());
  const moving = async () => {
    const now = await state();
    return now.frames > 5 && now.currentTime > 0 && now;
  };
  await until(`${kind} plays ${url}`, 20_000, moving).catch(async (error) => {
    throw new Error(`${error.message}: ${JSON.stringify(await state())}`);
  });
  await sleep(settle * 1000);
  const before = await state();
  const latencies = [];
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    await sleep(500);
    latencies.push((await state()).latency);
  }
  const last = await state();
  return {
    advanced: last.currentTime - before.currentTime, frames: last.frames - before.frames, stalls: last.stalls - before.stalls,
    stalledMs: last.stalledMs - before.stalledMs, fatal: last.errors.filter((error) => error.fatal), latencies, last,
  };
}

/** Glass to glass by the clock in the demo's picture: {p50, p95} in ms over `samples` pictures. */
export async function pictureLatency(page, samples = 200) {
  const { found, unreadable } = await page.evaluate((count) => window.readClock(count), samples);
  if (found.length < samples / 2) throw new Error(`the picture's clock: ${found.length} read, ${unreadable} not`);
  const sorted = found.toSorted((a, b) => a - b);
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p95: at(0.95) };
}
