// Audio/video skew of a programme whose source flashes (top left corner) and beeps at the same instants.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { media, renditions } from './hls.mjs';

const run = promisify(execFile);
const fetchBytes = async (url) => Buffer.from(await (await fetch(url)).arrayBuffer());

/** The segments of one rendition that are listed now, as one file that starts with their init section. */
async function download(url, folder, name) {
  const playlist = await media(url);
  const segments = playlist.segments.slice(-5);
  const parts = [await fetchBytes(segments.at(-1).map)];
  for (const segment of segments) parts.push(await fetchBytes(segment.uri));
  const file = path.join(folder, name);
  writeFileSync(file, Buffer.concat(parts));
  return file;
}

/** Presentation times (s) at which the top left corner turns bright. */
async function flashes(file) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-f', 'lavfi', '-i', `movie=${file}:dec_threads=1,crop=iw/8:ih/8:8:8,signalstats`,
    '-show_entries', 'frame=pts_time:frame_tags=lavfi.signalstats.YAVG', '-of', 'csv=p=0'], { maxBuffer: 1 << 24 });
  const frames = stdout.trim().split('\n').map((line) => line.split(',').map(Number)).map(([time, luma]) => ({ time, bright: luma > 120 }));
  return frames.filter((frame, index) => index > 0 && frame.bright && !frames[index - 1].bright).map((frame) => frame.time);
}

/** Presentation times (s) at which sound begins after silence. */
async function beeps(file) {
  const { stdout: first } = await run('ffprobe', ['-v', 'error', '-select_streams', 'a', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', '-read_intervals', '%+#1', file]);
  const start = Number(first.trim().split('\n')[0].replace(',', ''));
  const { stdout } = await run('ffmpeg', ['-v', 'error', '-i', file, '-f', 's16le', '-ac', '1', '-ar', '48000', '-'], { encoding: 'buffer', maxBuffer: 1 << 26 });
  const found = [];
  let quiet = 0;
  for (let index = 0; index * 2 + 1 < stdout.length; index += 1) {
    const loud = Math.abs(stdout.readInt16LE(index * 2)) > 2500;
    if (loud && quiet > 24_000) found.push(start + index / 48_000);
    quiet = loud ? 0 : quiet + 1;
  }
  return found;
}

/** Milliseconds by which sound is late (negative: early) for every flash that has a beep within half a second. */
export async function measureSkew(playlistUrl) {
  const folder = mkdtempSync(path.join(tmpdir(), 'minamo-skew-'));
  try {
    const { video, audio } = await renditions(playlistUrl);
    const [pictures, sound] = [await download(video, folder, 'video.mp4'), await download(audio, folder, 'audio.mp4')];
    const [bright, loud] = [await flashes(pictures), await beeps(sound)];
    const skews = [];
    for (const flash of bright) {
      const nearest = loud.map((beep) => (beep - flash) * 1000).sort((a, b) => Math.abs(a) - Math.abs(b))[0];
      if (nearest !== undefined && Math.abs(nearest) < 500) skews.push(nearest);
    }
    return skews;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The q-quantile of a list. */
export const quantile = (list, q) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * q))];
