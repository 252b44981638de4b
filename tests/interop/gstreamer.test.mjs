// GStreamer's webrtcbin: a third stack, with x264's High profile as OBS sends it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { probe, waitForPlaylist } from './lib/hls.mjs';
import { GStreamer } from './lib/python.mjs';
import { Server, freePort } from './lib/server.mjs';

let server;
before(async () => {
  // On every address: libnice, too, has no candidate on the loopback interface.
  const port = await freePort();
  server = await Server.start({ port, env: { MINAMO_RTC__LISTEN: `0.0.0.0:${port}` } });
});
after(async () => { await server?.stop(); });

async function through(codec, channel, check = async () => {}) {
  const at = (folder) => `${server.base}/${folder}/${channel}`;
  const peer = new GStreamer({ whip: at('whip'), whep: at('whep'), token: server.token, codec });
  try {
    await peer.find('published', 20_000);
    await peer.find('state', 20_000, (state) => state === 'connected');
    await check();
    peer.say('watch');
    await peer.find('watched', 20_000);
    await peer.find('video_buffers', 30_000, (count) => count >= 40);
    await peer.find('audio_buffers', 20_000, (count) => count >= 40);
    assert.deepEqual(peer.lines.filter((line) => line.failed), []);
  } finally {
    assert.deepEqual(await peer.stop(), { code: 0, signal: null }, peer.stderr);
  }
  assert.deepEqual(await peer.find('deleted'), [200, 200]);
}

test('GStreamer publishes H.264 High by WHIP, it goes to HLS, and GStreamer watches it by WHEP', { timeout: 90_000 }, async () => {
  const channel = await server.createChannel();
  await through('H264', channel.channel_id, async () => {
    await waitForPlaylist(channel.playlist_url);
    const streams = await probe(channel.playlist_url);
    assert.deepEqual(streams.map((stream) => stream.codec_name).sort(), ['aac', 'h264']);
    assert.equal(streams.find((stream) => stream.codec_name === 'h264').profile, 'High');
  });
});

test('GStreamer publishes VP8 by WHIP and watches it by WHEP', { timeout: 60_000 }, async () => {
  const { body: { channel_id: channel } } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  await through('VP8', channel);
});

test('negative control: with a wrong token it is told so', { timeout: 30_000 }, async () => {
  const { body: { channel_id: channel } } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  const peer = new GStreamer({ whip: `${server.base}/whip/${channel}`, whep: `${server.base}/whep/${channel}`, token: 'wrong', codec: 'VP8' });
  assert.match(await peer.find('failed', 20_000), /^401 /);
  await peer.stop();
});
