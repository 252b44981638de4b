// Publishers whose pictures no player of HLS shows: Firefox sends VP8, Chromium's hls.js plays H.264. (With VP9 the programme began with sound
// alone in the one run there was: not understood yet, so it is not here.)
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { launchFirefox } from './lib/firefox.mjs';
import { media, playFor, probe, renditions, waitForPlaylist } from './lib/hls.mjs';
import { Server, freePort, until } from './lib/server.mjs';
import { post } from './lib/whip.mjs';

let chromium, firefox;
before(async () => {
  [chromium, firefox] = await Promise.all([launch(), launchFirefox()]);
});
after(async () => {
  await chromium?.close();
  await firefox?.close();
});

/** On every address: Firefox pairs none of its candidates with one on the loopback interface. */
const start = async (env = {}) => {
  const port = await freePort();
  return Server.start({ port, env: { MINAMO_RTC__LISTEN: `0.0.0.0:${port}`, ...env } });
};

const publish = async (server, codec) => {
  const channel = await server.createChannel();
  const page = await firefox.page();
  const published = await post(page, `${server.base}/whip/${channel.channel_id}`, { send: true, codec, token: server.token });
  assert.equal(published.status, 201, published.sdp);
  assert.match(published.sdp, new RegExp(`a=rtpmap:\\d+ ${codec}/90000`));
  return { channel, page, published };
};

const transcoding = async (server, { channel_id: id }) => {
  const answer = await fetch(`${server.base}/v1/channels/${id}`, { headers: { authorization: `Bearer ${server.token}` } });
  return (await answer.json()).transcoding;
};

const metric = async (server, name) => {
  const text = await (await fetch(`${server.base}/metrics`)).text();
  return Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1] ?? NaN);
};

for (const codec of ['VP8']) {
  test(`Firefox publishes ${codec} by WHIP, and Chromium's hls.js plays it as H.264`, { timeout: 120_000 }, async () => {
    const server = await start();
    try {
      const { channel, page, published } = await publish(server, codec);
      await waitForPlaylist(channel.playlist_url);
      const streams = await probe(channel.playlist_url);
      assert.deepEqual(streams.map((stream) => stream.codec_name).sort(), ['aac', 'h264']);
      assert.deepEqual(await transcoding(server, channel), { state: 'running' });

      const player = await chromium.page();
      const { before: early, after: late, advanced } = await playFor(player, channel.playlist_url, 6);
      assert.ok(advanced >= 5, `currentTime advanced ${advanced} s in 6 s`);
      assert.ok(late.frames - early.frames > 60, `${late.frames - early.frames} pictures in 6 s`);
      assert.deepEqual(late.errors, []);
      const { video } = await renditions(channel.playlist_url);
      const { text, segments } = await media(video);
      assert.ok(!text.includes('GAP'), text);
      assert.ok(segments.length > 2 && segments.slice(1).every(({ duration }) => duration < 3), text);
      assert.equal(await metric(server, 'minamo_transcode_pictures_total\\{became="dropped"\\}'), 0);

      await fetch(new URL(published.location, server.base), { method: 'DELETE', headers: { authorization: `Bearer ${server.token}` } });
      await until('ENDLIST', 10_000, async () => (await media(video)).ended);
      assert.equal(await transcoding(server, channel), undefined);
      await page.close();
      await player.close();
    } finally {
      await server.stop();
    }
  });
}

test('without room the channel goes on with its sound, and says so', { timeout: 60_000 }, async () => {
  const server = await start({ MINAMO_TRANSCODE__THREADS: '0' });
  try {
    const { channel, page } = await publish(server, 'VP8');
    await waitForPlaylist(channel.playlist_url);
    assert.deepEqual((await probe(channel.playlist_url)).map((stream) => stream.codec_name), ['aac']);
    assert.deepEqual(await transcoding(server, channel), { state: 'refused', reason: 'off', why: 'transcoding is off' });
    assert.equal(await metric(server, 'minamo_transcode_refused_total\\{reason="off"\\}'), 1);
    await page.close();
  } finally {
    await server.stop();
  }
});
