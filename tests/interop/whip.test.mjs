// WHIP and WHEP with nothing but a browser's RTCPeerConnection and fetch: what OBS and plain players do.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { media, playFor, probe, renditions, waitForPlaylist } from './lib/hls.mjs';
import { PythonWhip } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

const endpoint = (folder, channel) => `${server.base}/${folder}/${channel.channel_id}`;

/** Posts `page`'s offer; `send` publishes the fake camera, otherwise the page receives. Answers what the server said. */
function post(page, url, { send, token = server.token }) {
  return page.evaluate(async ([target, sends, bearer]) => {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const session = { pc, videos: [] };
    window.session = session;
    if (sends) {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, frameRate: 30 }, audio: true });
      for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    } else {
      for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
      pc.addEventListener('track', ({ track }) => {
        const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, srcObject: new MediaStream([track]) });
        document.body.append(video);
        session.videos.push(video);
      });
    }
    await pc.setLocalDescription();
    const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${bearer}` };
    const response = await fetch(target, { method: 'POST', headers, body: pc.localDescription.sdp });
    const sdp = await response.text();
    const exposed = Object.fromEntries(['location', 'etag', 'content-type'].map((name) => [name, response.headers.get(name)]));
    if (response.status === 201) await pc.setRemoteDescription({ type: 'answer', sdp });
    return { status: response.status, sdp, ...exposed };
  }, [url, send, token]);
}

const request = (path, method, { token = server.token, body, type } = {}) => fetch(new URL(path, server.base), {
  method, body, headers: { authorization: `Bearer ${token}`, ...(type && { 'content-type': type }) },
});

/** One report of the page's connection. */
const report = (page, type, kind) => page.evaluate(async ([wanted, of]) => {
  for (const found of (await window.session.pc.getStats()).values()) if (found.type === wanted && (!of || found.kind === of)) return found;
  return null;
}, [type, kind]);

test('Chromium publishes by WHIP: HLS plays, WHEP plays, DELETE ends all of it', { timeout: 120_000 }, async () => {
  const channel = await server.createChannel();
  const publisher = await browser.page();
  const early = await browser.page();
  assert.equal((await post(early, endpoint('whep', channel), { send: false })).status, 409, 'nobody publishes yet');

  const published = await post(publisher, endpoint('whip', channel), { send: true });
  assert.equal(published.status, 201, published.sdp);
  assert.match(published.location, new RegExp(`^/whip/${channel.channel_id}/[0-9A-Z]{26}$`), 'readable across origins');
  assert.match(published.etag, /^".+"$/);
  assert.equal(published['content-type'], 'application/sdp');
  await waitForPlaylist(channel.playlist_url);
  assert.deepEqual((await probe(channel.playlist_url)).map((stream) => stream.codec_name).sort(), ['aac', 'h264']);

  const second = await post(early, endpoint('whip', channel), { send: true });
  assert.equal(second.status, 409, 'a channel of one publisher');

  const viewer = await browser.page();
  const viewed = await post(viewer, endpoint('whep', channel), { send: false });
  assert.equal(viewed.status, 201, viewed.sdp);
  const inbound = await until('30 frames are decoded', 20_000, async () => {
    const video = await report(viewer, 'inbound-rtp', 'video');
    return video?.framesDecoded > 30 && video;
  });
  const codec = await viewer.evaluate(async (id) => (await window.session.pc.getStats()).get(id).mimeType, inbound.codecId);
  assert.equal(codec, 'video/H264');
  await until('sound arrives', 10_000, async () => (await report(viewer, 'inbound-rtp', 'audio'))?.packetsReceived > 50);

  const player = await browser.page();
  const { advanced, after: state } = await playFor(player, channel.playlist_url, 5);
  assert.ok(advanced >= 4, `currentTime advanced ${advanced} s in 5 s`);
  assert.deepEqual(state.errors, []);
  const pair = await report(publisher, 'candidate-pair');
  assert.ok(pair.availableOutgoingBitrate > 300_000, `transport-cc works: ${pair.availableOutgoingBitrate}`);

  const fragment = 'a=ice-ufrag:other\r\na=ice-pwd:0123456789abcdefghijklmn\r\n';
  const restart = await request(published.location, 'PATCH', { body: fragment, type: 'application/trickle-ice-sdpfrag' });
  assert.equal(restart.status, 422);
  const { video } = await renditions(channel.playlist_url);
  assert.equal((await request(viewed.location, 'DELETE', { token: 'wrong' })).status, 401);
  assert.equal((await request(published.location, 'DELETE')).status, 200);
  await until('ENDLIST', 10_000, async () => (await media(video)).ended);
  assert.equal((await request(published.location, 'DELETE')).status, 404, 'it is gone');
  await until('the viewer is let go with the publisher', 10_000, async () => (await request(viewed.location, 'DELETE')).status === 404);
  for (const page of [publisher, early, viewer, player]) await page.close();
});

test('a WHIP publisher is a member of the room for Sora clients', { timeout: 60_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  const sora = await browser.page();
  await sora.waitForFunction(() => window.ready);
  const joined = await sora.evaluate(([url, id]) => window.join('a', url, id, 'recvonly'), [channel.sora_url, channel.channel_id]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  const publisher = await browser.page();
  const published = await post(publisher, endpoint('whip', channel), { send: true });
  assert.equal(published.status, 201, published.sdp);
  const state = () => sora.evaluate(() => window.state('a'));
  const created = await until('connection.created', 10_000, async () => (await state()).notifies
    .find((notify) => notify.event_type === 'connection.created' && notify.connection_id !== joined.connectionId));
  await until('its pictures arrive by re-offer', 20_000, async () => (await state()).decoded[created.connection_id]?.frames > 30);
  assert.equal((await request(published.location, 'DELETE')).status, 200);
  await until('connection.destroyed', 10_000, async () => (await state()).notifies
    .some((notify) => notify.event_type === 'connection.destroyed' && notify.connection_id === created.connection_id));
  await publisher.close();
  await sora.close();
});

test('aiortc publishes by WHIP and watches by WHEP', { timeout: 90_000 }, async () => {
  const channel = await server.createChannel();
  const python = new PythonWhip({ whip: endpoint('whip', channel), whep: endpoint('whep', channel), token: server.token });
  try {
    await python.find('published', 30_000);
    await python.find('frames', 30_000, (frames) => frames > 30);
    await waitForPlaylist(channel.playlist_url);
    assert.deepEqual((await probe(channel.playlist_url)).map((stream) => stream.codec_name).sort(), ['aac', 'h264']);
  } finally {
    assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
  }
  assert.equal(await python.find('deleted'), 200);
});

test('whoever may not, or says nonsense, is told so', { timeout: 30_000 }, async () => {
  const channel = await server.createChannel();
  const page = await browser.page();
  assert.equal((await post(page, endpoint('whip', channel), { send: true, token: 'wrong' })).status, 401);
  assert.equal((await post(page, `${server.base}/whip/nobody`, { send: true })).status, 404);
  assert.equal((await post(page, endpoint('whip', channel), { send: false })).status, 400, 'an offer that sends nothing');
  const garbage = await request(endpoint('whip', channel), 'POST', { body: 'hello', type: 'application/sdp' });
  assert.equal(garbage.status, 400);
  assert.match((await garbage.json()).error, /session description/);
  assert.equal((await request(endpoint('whip', channel), 'POST', { body: '{}', type: 'application/json' })).status, 415);
  const control = await post(page, endpoint('whip', channel), { send: true });
  assert.equal(control.status, 201, 'negative control: the right offer is taken');
  assert.equal((await request(control.location, 'DELETE')).status, 200);
  await page.close();
});
