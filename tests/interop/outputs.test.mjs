// One programme in every form that leaves the origin (LL-HLS, HLS with MPEG-TS, DASH), read by players and tools that nobody here wrote.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch } from './lib/browser.mjs';
import { launchFirefox } from './lib/firefox.mjs';
import { media, waitForPlaylist } from './lib/hls.mjs';
import { openPlayers, pictureLatency, watch } from './lib/players.mjs';
import { Server, sleep, until } from './lib/server.mjs';

const run = promisify(execFile);
/** How long each player plays; `make players` asks for a minute. */
const SECONDS = Number(process.env.PLAYER_SECONDS ?? 10);
let server, chromium, firefox, folder;

before(async () => {
  server = await Server.start({ command: 'demo' });
  const playlist = (await until('the demo prints its URLs', 10_000, () => /https?:\/\/\S+\/playlist\.m3u8/.exec(server.output)))[0];
  folder = playlist.replace(/playlist\.m3u8$/, '');
  [chromium, firefox] = await Promise.all([launch(), launchFirefox()]);
  await waitForPlaylist(playlist);
});
after(async () => {
  await chromium?.close();
  await firefox?.close();
  await server?.stop();
});

const NAMES = { fmp4: 'playlist.m3u8', ts: 'ts.m3u8', dash: 'manifest.mpd' };

/** Plays a form and judges it: it moved at the speed of time, and stood still for less than `still` ms. */
async function plays(t, browser, kind, form, { still = 500 } = {}) {
  const page = await openPlayers(browser);
  const seen = await watch(page, kind, folder + NAMES[form], SECONDS);
  const said = `${kind} ${form}: advanced ${seen.advanced.toFixed(1)} s, ${seen.stalls} stalls of ${seen.stalledMs} ms, latency ${seen.latencies.at(-1)?.toFixed(2)} s`;
  t.diagnostic(said);
  assert.deepEqual(seen.fatal, [], said);
  assert.ok(seen.advanced > SECONDS * 0.9 && seen.stalledMs < still, `${said} ${JSON.stringify(seen.last)}`);
  return page;
}

test('dash.js plays the MPD at low latency', { timeout: 200_000 }, async (t) => {
  const page = await plays(t, chromium, 'dash', 'dash');
  const { p50, p95 } = await pictureLatency(page);
  t.diagnostic(`live latency in dash.js, glass to glass by the picture's clock: p50 ${p50} ms, p95 ${p95} ms`);
  assert.ok(p50 > 200 && p50 < 6000, `a latency that can be true: ${p50} ms`);
  await page.close();
});

test('Shaka plays DASH and HLS', { timeout: 200_000 }, async (t) => {
  const pages = await Promise.all([plays(t, chromium, 'shaka', 'dash'), plays(t, chromium, 'shaka', 'fmp4')]);
  for (const page of pages) await page.close();
});

test('hls.js plays MPEG-TS in Chromium and Firefox, and fMP4 in Firefox', { timeout: 200_000 }, async (t) => {
  const wanted = [[chromium, 'ts'], [firefox, 'ts'], [firefox, 'fmp4']];
  const pages = await Promise.all(wanted.map(([browser, form]) => plays(t, browser, 'hls', form)));
  for (const page of pages) await page.close();
});

/** Everything that ffmpeg has to say about some seconds of a live form. */
async function ffmpeg(url, seconds) {
  const { stderr } = await run('ffmpeg', ['-hide_banner', '-nostats', '-v', 'warning', '-i', url, '-t', String(seconds), '-f', 'null', '-'], { timeout: 60_000 });
  return stderr;
}

for (const [form, name] of Object.entries(NAMES)) {
  test(`ffmpeg reads ${form} without a warning`, { timeout: 60_000 }, async () => {
    const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name', '-of', 'csv=p=0', folder + name], { timeout: 30_000 });
    assert.deepEqual([...new Set(stdout.trim().split(/[\n,]+/))].sort(), ['aac', 'h264']);
    assert.equal(await ffmpeg(folder + name, 5), '');
  });
}

test('MPEG-TS segments are joined without a seam', { timeout: 60_000 }, async () => {
  const { segments, text } = await media(`${folder}ts-0.m3u8`);
  assert.match(text, /#EXT-X-VERSION:3\n/);
  assert.doesNotMatch(text, /EXT-X-PART|EXT-X-MAP|SERVER-CONTROL/);
  const bodies = await Promise.all(segments.map(async ({ uri }) => Buffer.from(await (await fetch(uri)).arrayBuffer())));
  const child = run('ffmpeg', ['-hide_banner', '-nostats', '-v', 'warning', '-f', 'mpegts', '-i', 'pipe:0', '-f', 'null', '-'], { timeout: 60_000, maxBuffer: 1 << 26 });
  child.child.stdin.end(Buffer.concat(bodies));
  assert.equal((await child).stderr, '');
  // Negative control: with one segment left out ffmpeg has something to say about counters or times.
  const broken = run('ffprobe', ['-v', 'error', '-show_entries', 'packet=pts_time,stream_index', '-of', 'csv=p=0', '-f', 'mpegts', '-i', 'pipe:0'], { timeout: 60_000, maxBuffer: 1 << 26 });
  broken.child.stdin.end(Buffer.concat(bodies.toSpliced(2, 1)));
  const times = (await broken).stdout.trim().split('\n').map((line) => line.split(',')).filter(([stream]) => stream === '0').map(([, time]) => Number(time));
  assert.ok(times.some((time, index) => index > 0 && time - times[index - 1] > 1), 'the hole is there to be seen');
});

test('the segment that is being written comes in pieces under its name and is then the same', { timeout: 60_000 }, async () => {
  const mpd = await (await fetch(`${folder}manifest.mpd`)).text();
  const [, start] = /media="v-\$Number\$\.m4s" startNumber="(\d+)"/.exec(mpd);
  const count = (mpd.slice(mpd.indexOf('media="v-'), mpd.indexOf('media="a-')).match(/<S /g) ?? []).length;
  const url = `${folder}v-${Number(start) + count - 1}.m4s`;
  const response = await fetch(url);
  assert.equal(response.status, 200);
  const pieces = [];
  for await (const piece of response.body) pieces.push({ at: Date.now(), bytes: Buffer.from(piece) });
  const whole = Buffer.from(await (await fetch(url)).arrayBuffer());
  assert.ok(Buffer.concat(pieces.map(({ bytes }) => bytes)).equals(whole), 'what came in pieces is the segment');
  assert.equal((await fetch(`${folder}v-${Number(start) + count + 50}.m4s`)).status, 404);
});

test('negative control: a player that stands still is noticed', { timeout: 60_000 }, async () => {
  const page = await openPlayers(chromium);
  const watching = watch(page, 'dash', `${folder}manifest.mpd`, 8);
  await until('it plays', 20_000, () => page.evaluate(() => window.watching?.video.currentTime > 0 && window.seen().frames > 100));
  server.process.kill('SIGSTOP');
  await sleep(6000);
  server.process.kill('SIGCONT');
  const seen = await watching;
  assert.ok(seen.stalledMs > 1000, JSON.stringify(seen.last));
  await page.close();
});
