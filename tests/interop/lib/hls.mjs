// What the tests ask of a playlist, with fetch and ffmpeg's tools.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { until } from './server.mjs';

const run = promisify(execFile);

/** Waits until the multivariant playlist is there; answers its text. */
export const waitForPlaylist = (url, ms = 30_000) => until(`playlist ${url}`, ms, async () => {
  const response = await fetch(url);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} ${text}`);
  return text;
});

/** Codec names that ffprobe sees in a playlist. */
export async function probe(url) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name,profile,width,height,sample_rate', '-of', 'json', url], { timeout: 60_000 });
  return JSON.parse(stdout).streams;
}

/** A media playlist as a list of segments with their URIs, the init section, tags of interest. */
export async function media(url) {
  const text = await (await fetch(url)).text();
  const segments = [];
  let map, extinf;
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-MAP:')) map = new URL(/URI="([^"]+)"/.exec(line)[1], url).href;
    else if (line.startsWith('#EXTINF:')) extinf = Number(/#EXTINF:([\d.]+)/.exec(line)[1]);
    else if (line && !line.startsWith('#')) segments.push({ uri: new URL(line, url).href, duration: extinf, map });
  }
  const number = (tag) => Number(new RegExp(`#${tag}:(\\d+)`).exec(text)?.[1] ?? NaN);
  return { text, segments, msn: number('EXT-X-MEDIA-SEQUENCE'), discontinuity: number('EXT-X-DISCONTINUITY-SEQUENCE'), ended: text.includes('#EXT-X-ENDLIST') };
}

/** URIs of the renditions in a multivariant playlist: {video, audio}. */
export async function renditions(url) {
  const text = await (await fetch(url)).text();
  const audio = /#EXT-X-MEDIA:[^\n]*TYPE=AUDIO[^\n]*URI="([^"]+)"/.exec(text)?.[1];
  const lines = text.split('\n');
  const variant = lines.findIndex((line) => line.startsWith('#EXT-X-STREAM-INF'));
  return { text, video: new URL(lines[variant + 1], url).href, audio: audio && new URL(audio, url).href };
}

/** Plays `url` in a Chromium page for `seconds`; answers states at the start and the end. */
export async function playFor(page, url, seconds) {
  await page.waitForFunction(() => window.ready);
  await page.evaluate((playlist) => window.play(playlist), url);
  await until('playback begins', 30_000, async () => {
    const state = await page.evaluate(() => window.watchState());
    return state.currentTime > 0 && state.frames > 5;
  });
  const before = await page.evaluate(() => window.watchState());
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = await page.evaluate(() => window.watchState());
  return { before, after, advanced: after.currentTime - before.currentTime };
}
