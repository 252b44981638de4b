// `make latency`: how long ago a shown picture was made, by the clock in the picture, and where that time goes. One machine, one clock.
//
// A row each for WHEP, hls.js with default settings, and our player (the watch page), with parts of 333 and of 200 ms.
import os from 'node:os';
import { launch } from './lib/browser.mjs';
import { readClock } from './lib/clock.mjs';
import { renditions, waitForPlaylist } from './lib/hls.mjs';
import { Server, sleep, until } from './lib/server.mjs';
import { quantile } from './lib/skew.mjs';
import { post } from './lib/whip.mjs';

/** Playing for so long before it is measured, and pictures that are measured. */
const SETTLE_MS = Number(process.env.SETTLE_MS ?? 20_000);
const PICTURES = Number(process.env.PICTURES ?? 900);

const row = (name, values, more = '') => console.log(`  ${name.padEnd(34)} ${values.map((value) => String(Math.round(value)).padStart(6)).join('')}   ${more}`);
const spread = (list) => [quantile(list, 0.5), quantile(list, 0.95)];

/** Follows the live edge with blocking requests: how long ago the end of each new part was, when its playlist came, and when the part came. */
async function edge(url, parts) {
  const told = [], here = [];
  let query = '';
  for (let count = 0; count < parts; count += 1) {
    const text = await (await fetch(url + query)).text();
    const at = Date.now();
    const lines = text.split('\n');
    let date = 0, open = 0, last;
    for (const line of lines) {
      if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) { date = Date.parse(line.slice(25)); open = 0; }
      if (line.startsWith('#EXT-X-PART:')) { open += Number(/DURATION=([\d.]+)/.exec(line)[1]) * 1000; last = /URI="([^"]+)"/.exec(line)[1]; }
    }
    const hint = /PRELOAD-HINT:TYPE=PART,URI="[va]-(\d+)\.(\d+)\.m4s"/.exec(text);
    if (query) {
      told.push(at - date - open);
      await (await fetch(new URL(last, url))).arrayBuffer();
      here.push(Date.now() - date - open);
    }
    query = `?_HLS_msn=${hint[1]}&_HLS_part=${hint[2]}`;
  }
  return { told, here };
}

async function shown(page, label, holdBack) {
  await sleep(SETTLE_MS);
  const { found, unreadable } = await readClock(page, PICTURES);
  const stalls = await page.evaluate(() => window.watching?.errors.filter((error) => /stall/i.test(error.details)).length ?? '-');
  row(label, spread(found), `${holdBack ? `hold-back ${holdBack} ms; ` : ''}stalls ${stalls}, unreadable ${unreadable}`);
  return quantile(found, 0.5);
}

async function run(part, browser) {
  const server = await Server.start({ command: 'demo', env: { MINAMO_HLS__PART_TARGET_MS: String(part) } });
  try {
    const find = (pattern) => until('the demo prints its URLs', 10_000, () => pattern.exec(server.output)?.[0]);
    const [playlist, watch] = [await find(/https?:\/\/\S+\/playlist\.m3u8/), await find(/https?:\/\/\S+\/watch\/\S+/)];
    await waitForPlaylist(playlist);
    const holdBack = part * 3;
    console.log(`parts of ${part} ms ${' '.repeat(24)} p50   p95`);
    const { video, audio } = await renditions(playlist);
    const [pictures, sounds] = await Promise.all([edge(video, 60), edge(audio, 60)]);
    row('end of a part to its playlist', spread(pictures.told), 'video: encoder, network, reordering, next picture');
    row('end of a part to its bytes', spread(pictures.here), 'video');
    row('end of a part to its bytes', spread(sounds.here), 'audio: Opus to AAC');
    const channel = new URL(playlist).pathname.split('/')[2];
    let page = await browser.page();
    await page.waitForFunction(() => window.ready);
    await post(page, `${server.base}/whep/${channel}`, { send: false, token: server.token });
    await until('WHEP shows pictures', 20_000, () => page.evaluate(() => [...document.querySelectorAll('video')].some((one) => one.videoWidth > 0)));
    const seen = await page.evaluate(() => [...document.querySelectorAll('video')].findIndex((one) => one.videoWidth > 0));
    await sleep(SETTLE_MS / 4);
    const { found } = await readClock(page, PICTURES / 3, seen);
    row('WHEP', spread(found));
    await page.close();
    page = await browser.page();
    await page.waitForFunction(() => window.ready);
    await page.evaluate((url) => window.play(url), playlist);
    await shown(page, 'hls.js, default settings', holdBack);
    await page.close();
    page = await browser.page(watch);
    await until('the watch page plays', 30_000, () => page.evaluate(() => document.querySelector('video')?.currentTime > 1));
    const ours = await shown(page, 'our player', holdBack);
    await page.close();
    const [made, whep] = [quantile(pictures.told, 0.5), quantile(found, 0.5)];
    const percent = (share) => `${Math.round(share)} ms (${Math.round(share * 100 / ours)} %)`;
    console.log(`  of our player's p50: hold-back ${percent(holdBack)}, until the playlist has the part ${percent(made)}, player, decoder and display ${percent(ours - holdBack - made)}; WHEP in all ${Math.round(whep)} ms\n`);
  } finally {
    await server.stop();
  }
}

console.log(`${os.cpus()[0].model}, ${os.cpus().length} cores, load ${os.loadavg()[0].toFixed(1)}; ms from a picture's making to its showing, 1280x720@30`);
const browser = await launch();
try {
  for (const part of (process.env.PARTS ?? '333,200').split(',').map(Number)) await run(part, browser);
} finally {
  await browser.close();
}
