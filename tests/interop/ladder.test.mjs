// A ladder without transcoding: Chromium with the unmodified SDK is asked for the rungs of hls[], hls.js plays each and switches.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch } from './lib/browser.mjs';
import { waitForPlaylist } from './lib/hls.mjs';
import { ROOT, Server, until } from './lib/server.mjs';

const STRICT = process.env.MINAMO_LLHLS ?? path.join(ROOT, 'target/debug/minamo-llhls');
const rung = (width, height, bps, fps = 30) => ({ durationSeconds: 2, video: { width, height, fps, bps }, audio: { bps: 64_000 } });
const LADDER = [rung(1280, 720, 1_500_000), rung(640, 360, 500_000), rung(320, 180, 150_000)];

let server, publisher, player;
before(async () => {
  server = await Server.start();
  publisher = await launch();
  player = await launch();
});
after(async () => {
  await publisher?.close();
  await player?.close();
  await server?.stop();
});

/** Publishes with options that say nothing of simulcast. */
async function publish(hls) {
  const { status, body: channel } = await server.api('ImageFlux_20180905.CreateChannel', { hls });
  assert.equal(status, 200, JSON.stringify(channel));
  const page = await publisher.page();
  await page.waitForFunction(() => window.ready);
  const joined = await page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly', {}, { kind: 'camera', width: 1280, height: 720 }), [channel.sora_url, channel.channel_id]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  const layers = async () => (await page.evaluate(() => window.state('a'))).stats.filter((report) => report.type === 'outbound-rtp' && report.rid);
  return { channel, page, layers };
}

const variants = (text) => text.split('\n').filter((line) => line.startsWith('#EXT-X-STREAM-INF')).map((line) => ({
  size: /RESOLUTION=(\d+x\d+)/.exec(line)?.[1], codecs: /CODECS="([^"]+)"/.exec(line)?.[1], bandwidth: Number(/:BANDWIDTH=(\d+)/.exec(line)?.[1]),
}));

test('three entries of hls[] become three layers, three renditions and three levels that hls.js switches between', { timeout: 150_000 }, async () => {
  const { channel, page, layers } = await publish(LADDER);
  const text = await waitForPlaylist(channel.playlist_url);
  const found = variants(text);
  assert.deepEqual(found.map((variant) => variant.size), ['1280x720', '640x360', '320x180'], text);
  for (const { codecs } of found) assert.match(codecs, /^avc1\.[0-9a-f]{6},mp4a\.40\.2$/i);
  assert.deepEqual((await layers()).map((layer) => layer.rid).sort(), ['r0', 'r1', 'r2']);

  const watcher = await player.page();
  await watcher.waitForFunction(() => window.ready);
  await watcher.evaluate((url) => window.play(url), channel.playlist_url);
  await until('it plays', 30_000, async () => (await watcher.evaluate(() => window.watchState())).frames > 30);
  assert.equal(await watcher.evaluate(() => window.watching.hls.levels.length), 3);
  for (const [height, width] of [[180, 320], [720, 1280], [360, 640], [720, 1280]]) {
    const before = await watcher.evaluate((wanted) => {
      const { hls, gaps } = window.watching;
      hls.nextLevel = hls.levels.findIndex((level) => level.height === wanted);
      return gaps.length;
    }, height);
    await until(`the level with ${height} lines is shown`, 20_000, async () => (await watcher.evaluate(() => window.watchState())).width === width);
    const { gaps } = await watcher.evaluate(() => window.watchState());
    const longest = Math.max(...gaps.slice(before));
    assert.ok(longest < 1000, `switching to ${height} lines: ${longest} ms without a new picture`);
  }
  const state = await watcher.evaluate(() => window.watchState());
  assert.deepEqual(state.errors.filter((error) => error.fatal || error.details === 'bufferStalledError'), []);
  await watcher.close();

  const strict = await promisify(execFile)(STRICT, ['--seconds', '15', channel.playlist_url]).catch((error) => error);
  assert.equal(strict.code ?? 0, 0, `${strict.stdout}\n${strict.stderr}`);
  await page.close();
});

test('one entry asks for no layers', { timeout: 60_000 }, async () => {
  const { channel, page, layers } = await publish(LADDER.slice(1, 2));
  const found = variants(await waitForPlaylist(channel.playlist_url));
  assert.equal(found.length, 1);
  assert.deepEqual(await layers(), []);
  await page.close();
});
