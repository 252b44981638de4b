// A programme as a viewer with patience sees it: every segment of both renditions, kept as it appears, and judged afterwards.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { renditions } from './hls.mjs';
import { sleep } from './server.mjs';

const run = promisify(execFile);
const bytes = async (url) => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} ${url}`);
  return Buffer.from(await response.arrayBuffer());
};

/** Adds the segments of a playlist that are not in `known` yet; answers the number of the next one. */
async function collect(url, known) {
  const text = await (await fetch(url)).text();
  let number = Number(/#EXT-X-MEDIA-SEQUENCE:(\d+)/.exec(text)?.[1] ?? NaN);
  let segment = {}, map;
  for (const line of text.split('\n')) {
    if (line.startsWith('#EXT-X-MAP:')) map = new URL(/URI="([^"]+)"/.exec(line)[1], url).href;
    else if (line === '#EXT-X-GAP') segment.gap = true;
    else if (line === '#EXT-X-DISCONTINUITY') segment.discontinuity = true;
    else if (line.startsWith('#EXTINF:')) segment.duration = Number(/:([\d.]+)/.exec(line)[1]);
    else if (line.startsWith('#EXT-X-PART:')) segment.gapParts = (segment.gapParts ?? 0) + (line.includes('GAP=YES') ? 1 : 0);
    else if (line && !line.startsWith('#')) {
      if (!known.has(number)) {
        const data = segment.gap ? undefined : bytes(new URL(line, url).href);
        data?.catch(() => {}); // told when it is judged
        known.set(number, { ...segment, map, data });
      }
      segment = {};
      number += 1;
    }
  }
  return number;
}

/** Start and length (s) of every sample, in order of the file. */
async function samples(list) {
  const folder = mkdtempSync(path.join(tmpdir(), 'minamo-programme-'));
  try {
    const file = path.join(folder, 'media.mp4');
    writeFileSync(file, Buffer.concat([await bytes(list[0].map), ...await Promise.all(list.map((segment) => segment.data))]));
    const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', file], { maxBuffer: 1 << 26 });
    return stdout.trim().split('\n').map((line) => Number(line.replace(',', '')));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export class Programme {
  #watching = true;
  #loop;
  next = {};
  kept = { video: new Map(), audio: new Map() };

  static async watch(playlist) {
    const programme = new Programme();
    programme.urls = await renditions(playlist);
    await programme.#collect();
    programme.#loop = programme.#run();
    return programme;
  }

  async #collect() {
    for (const kind of ['video', 'audio']) this.next[kind] = await collect(this.urls[kind], this.kept[kind]);
  }

  async #run() {
    while (this.#watching) {
      await sleep(700);
      await this.#collect().catch(() => {});
    }
  }

  async stop() {
    this.#watching = false;
    await this.#loop;
  }

  /**
   * The complete segments from the numbers in `from` (as `next` was then) up to now: {seconds, gaps, discontinuities, pictures,
   * longestPicture, longestSound}: gaps are segments or parts without pictures or sound; the longest are the largest distances of samples, in s.
   */
  async judge(from) {
    await this.#collect();
    const of = (kind) => [...this.kept[kind]].filter(([number]) => number >= from[kind]).sort(([a], [b]) => a - b).map(([, segment]) => segment);
    const [video, audio] = [of('video'), of('audio')];
    const both = [...video, ...audio];
    const verdict = {
      seconds: video.reduce((sum, segment) => sum + segment.duration, 0),
      gaps: both.filter((segment) => segment.gap || segment.gapParts).length,
      discontinuities: both.filter((segment) => segment.discontinuity).length,
    };
    for (const [kind, list] of [['Picture', video], ['Sound', audio]]) {
      const there = list.filter((segment) => !segment.gap);
      const times = there.length ? await samples(there) : [];
      const apart = times.slice(1).map((time, index) => time - times[index]);
      verdict[`longest${kind}`] = apart.length ? Math.max(...apart) : Infinity;
      if (kind === 'Picture') verdict.pictures = times.length;
    }
    return verdict;
  }
}
