// A real publisher, a real player: sora-js-sdk and Python sora_sdk publish, ffprobe and hls.js watch.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { media, playFor, probe, renditions, waitForPlaylist } from './lib/hls.mjs';
import { PythonPeer } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';

describe('publishing', { concurrency: 1 }, () => {
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

  async function assertPlays(playlist) {
    await waitForPlaylist(playlist);
    const codecs = (await probe(playlist)).map((stream) => stream.codec_name).sort();
    assert.deepEqual(codecs, ['aac', 'h264']);
    const page = await player.page();
    const { advanced, after: state } = await playFor(page, playlist, 10);
    assert.ok(advanced >= 8, `currentTime advanced ${advanced} s in 10 s: ${JSON.stringify(state)}`);
    assert.deepEqual(state.errors, []);
    await page.close();
  }

  test('Chromium with sora-js-sdk publishes H.264 and Opus; ffprobe and hls.js play it', { timeout: 120_000 }, async () => {
    const channel = await server.createChannel();
    const page = await publisher.page();
    await page.waitForFunction(() => window.ready);
    const joined = await page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly'), [channel.sora_url, channel.channel_id]);
    assert.equal(joined.error, undefined, JSON.stringify(joined));
    assert.match(joined.connectionId, /^[0-9A-HJKMNP-TV-Z]{26}$/);
    await assertPlays(channel.playlist_url);
    const state = await page.evaluate(() => window.state('a'));
    assert.ok(state.connectedFired, 'the SDK fired connected');
    const outbound = state.stats.find((report) => report.type === 'outbound-rtp' && report.kind === 'video');
    const pair = state.stats.find((report) => report.type === 'candidate-pair' && report.nominated);
    assert.ok(outbound.framesEncoded > 100);
    assert.ok(pair.availableOutgoingBitrate > 300_000, `transport-cc works: ${pair.availableOutgoingBitrate}`);

    await page.evaluate(() => window.leave('a'));
    const left = await until('the SDK saw the close', 5000, async () => (await page.evaluate(() => window.state('a'))).disconnected);
    assert.equal(left.type, 'normal');
    await until('ENDLIST', 10_000, async () => (await media((await renditions(channel.playlist_url)).video)).ended);
    await page.close();
  });

  test('Python sora_sdk publishes H.264; ffprobe and hls.js play it', { timeout: 120_000 }, async () => {
    const channel = await server.createChannel();
    const python = new PythonPeer({ url: channel.sora_url, channel: channel.channel_id });
    try {
      await python.find('connected', 30_000);
      await assertPlays(channel.playlist_url);
    } finally {
      assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
    }
  });

  test('a room with HLS has one programme per publishing connection, and metrics tell of it', { timeout: 120_000 }, async () => {
    const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannelWithHLS', { hls: [{ video: { width: 640, height: 480, fps: 30, bps: 800000 }, audio: { bps: 96000 } }] });
    assert.deepEqual(Object.keys(channel).sort(), ['channel_id', 'sora_url']);
    const page = await publisher.page();
    await page.waitForFunction(() => window.ready);
    const ids = [];
    for (const name of ['a', 'b']) {
      const joined = await page.evaluate(([who, url, id]) => window.join(who, url, id, 'sendrecv', {}, { kind: 'camera', width: 320, height: 240 }), [name, channel.sora_url, channel.channel_id]);
      assert.equal(joined.error, undefined, JSON.stringify(joined));
      ids.push(joined.connectionId);
    }
    const list = await until('both programmes are listed', 30_000, async () => {
      const { body } = await server.api('ImageFlux_20200207.ListPlaylistURLs', { channel_id: channel.channel_id });
      return body.hls.length === 2 && body.hls;
    });
    assert.deepEqual(list.map((entry) => entry.connection_id).sort(), ids.sort());
    for (const { playlist_url: url } of list) assert.deepEqual((await probe(url)).map((stream) => stream.codec_name).sort(), ['aac', 'h264']);
    for (const name of ['sfu_peers', 'sfu_uplinks', 'sfu_rtp_in_total', 'sfu_rtp_out_total', 'sfu_bytes_in_total', 'sfu_bytes_out_total', 'sfu_key_frames_asked_total',
      'hls_parts_total', 'hls_segments_total', 'hls_live_latency_seconds', 'signaling_connections']) {
      assert.ok(await server.metric(`minamo_${name}`) > 0, `minamo_${name} is there and not zero`);
    }
    await page.close();
  });

  test('negative control: a channel that nobody publishes has no playlist, and an unknown one is refused', { timeout: 60_000 }, async () => {
    const channel = await server.createChannel();
    await assert.rejects(waitForPlaylist(channel.playlist_url, 2000), /404/);
    const page = await publisher.page();
    await page.waitForFunction(() => window.ready);
    const url = channel.sora_url;
    const refused = await page.evaluate(([u]) => window.join('x', u, 'no-such-channel', 'sendonly'), [url]);
    assert.equal(refused.code, 4490, JSON.stringify(refused));
    assert.ok(refused.reason.length > 0);
    await page.close();
  });
});
