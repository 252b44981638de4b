// What a viewer must not notice: a change of resolution, and a server that was killed.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { media, playFor, renditions, waitForPlaylist } from './lib/hls.mjs';
import { Server, until } from './lib/server.mjs';

let publisher, player;
before(async () => {
  publisher = await launch();
  player = await launch();
});
after(async () => {
  await publisher?.close();
  await player?.close();
});

test('the resolution changes in mid-stream and the player goes on without a reload', { timeout: 120_000 }, async () => {
  const server = await Server.start();
  try {
    const channel = await server.createChannel({ width: 1280, height: 720, fps: 30, bps: 2000000 });
    const page = await publisher.page();
    await page.waitForFunction(() => window.ready);
    const joined = await page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly', {}, { kind: 'canvas', width: 640, height: 360 }), [channel.sora_url, channel.channel_id]);
    assert.equal(joined.error, undefined, JSON.stringify(joined));
    await waitForPlaylist(channel.playlist_url);
    const watcher = await player.page();
    await playFor(watcher, channel.playlist_url, 3);
    const before = await watcher.evaluate(() => window.watchState());
    await page.evaluate(() => window.resizeCanvas(480, 480));
    await until('the player shows the new shape', 30_000, async () => {
      const state = await watcher.evaluate(() => window.watchState());
      return state.width === state.height && state.width > 0 && state.width !== before.width;
    });
    const mid = await watcher.evaluate(() => window.watchState());
    await new Promise((resolve) => setTimeout(resolve, 5000));
    const end = await watcher.evaluate(() => window.watchState());
    assert.ok(end.currentTime - mid.currentTime > 4, `it goes on: ${mid.currentTime} → ${end.currentTime}`);
    assert.deepEqual(end.errors.filter((error) => error.fatal), []);
    const { video, audio } = await renditions(channel.playlist_url);
    const [pictures, sound] = [await media(video), await media(audio)];
    const count = (playlist) => playlist.discontinuity + (playlist.text.match(/#EXT-X-DISCONTINUITY\n/g) ?? []).length;
    assert.equal(count(pictures), count(sound), 'the same discontinuities in both renditions');
    await page.close();
    await watcher.close();
  } finally {
    await server.stop();
  }
});

test('kill -9 and restart: channels are still there and a publisher gets its playlist going again', { timeout: 120_000 }, async () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'minamo-kill-'));
  let server = await Server.start({ dataDir });
  try {
    const channel = await server.createChannel();
    const page = await publisher.page();
    await page.waitForFunction(() => window.ready);
    const publish = () => page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly'), [channel.sora_url, channel.channel_id]);
    assert.equal((await publish()).error, undefined);
    await waitForPlaylist(channel.playlist_url);
    const first = await media((await renditions(channel.playlist_url)).video);
    const { body: before } = await server.api('ImageFlux_20200729.ListChannelIDs');
    await server.stop('SIGKILL');

    const { port } = server;
    server = await Server.start({ dataDir, port });
    const { body: after } = await server.api('ImageFlux_20200729.ListChannelIDs');
    assert.deepEqual(after.channel_ids, before.channel_ids);
    assert.ok(after.channel_ids.includes(channel.channel_id));
    assert.equal((await fetch(channel.playlist_url)).status, 404, 'nobody publishes yet');
    assert.equal((await publish()).error, undefined);
    await waitForPlaylist(channel.playlist_url);
    const second = await media((await renditions(channel.playlist_url)).video);
    assert.ok(second.msn > first.msn, `the media sequence never goes back: ${first.msn} → ${second.msn}`);
    const watcher = await player.page();
    const { advanced } = await playFor(watcher, channel.playlist_url, 5);
    assert.ok(advanced > 4);
    await page.close();
    await watcher.close();

    const { status } = await server.api('ImageFlux_20180501.DeleteChannel', { channel_id: channel.channel_id });
    assert.equal(status, 200);
    assert.equal((await fetch(channel.playlist_url)).status, 404);
    const again = await server.api('ImageFlux_20180501.DeleteChannel', { channel_id: channel.channel_id });
    assert.equal(again.status, 404, 'a deleted channel is gone');
  } finally {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test('a publisher that vanishes and returns goes on in the same playlist', { timeout: 120_000 }, async () => {
  const server = await Server.start();
  try {
    const channel = await server.createChannel();
    const publish = async () => {
      const page = await publisher.page();
      await page.waitForFunction(() => window.ready);
      const joined = await page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly'), [channel.sora_url, channel.channel_id]);
      assert.equal(joined.error, undefined, JSON.stringify(joined));
      return page;
    };
    const page = await publish();
    await waitForPlaylist(channel.playlist_url);
    const watcher = await player.page();
    await playFor(watcher, channel.playlist_url, 3);
    const { video } = await renditions(channel.playlist_url);
    const before = await media(video);
    await page.close();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const back = await publish();
    await until('the playlist grows behind a discontinuity', 20_000, async () => {
      const now = await media(video);
      return now.msn + now.segments.length > before.msn + before.segments.length + 2 && (now.text.includes('#EXT-X-DISCONTINUITY\n') || now.discontinuity > before.discontinuity);
    });
    const mid = await watcher.evaluate(() => window.watchState());
    await until('the player goes on', 20_000, async () => (await watcher.evaluate(() => window.watchState())).currentTime > mid.currentTime + 3);
    const end = await watcher.evaluate(() => window.watchState());
    assert.deepEqual(end.errors.filter((error) => error.fatal), []);
    await back.close();
    await watcher.close();
  } finally {
    await server.stop();
  }
});
