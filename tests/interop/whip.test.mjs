// WHIP and WHEP with nothing but a browser's RTCPeerConnection and fetch: what OBS and plain players do.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { media, playFor, probe, renditions, waitForPlaylist } from './lib/hls.mjs';
import { PythonWhip } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';
import { decoded, post, report, reports } from './lib/whip.mjs';

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

const FRAGMENT = 'application/trickle-ice-sdpfrag';
const request = (path, method, { token = server.token, body, type, tag } = {}) => fetch(new URL(path, server.base), {
  method, body, headers: { authorization: `Bearer ${token}`, ...(type && { 'content-type': type }), ...(tag && { 'if-match': tag }) },
});

/** POSTs a viewer's offer, again as long as nobody is there to be watched. */
const watch = (page, channel, options = {}) => until('the programme is live', 10_000, async () => {
  const said = await post(page, endpoint('whep', channel), { send: false, token: server.token, ...options });
  return said.status !== 409 && said;
});

test('Chromium publishes by WHIP: HLS plays, WHEP plays, DELETE ends all of it', { timeout: 120_000 }, async () => {
  const channel = await server.createChannel();
  const publisher = await browser.page();
  const early = await browser.page();
  assert.equal((await post(early, endpoint('whep', channel), { send: false, token: server.token })).status, 409, 'nobody publishes yet');

  const published = await post(publisher, endpoint('whip', channel), { send: true, token: server.token });
  assert.equal(published.status, 201, published.sdp);
  assert.match(published.location, new RegExp(`^/whip/${channel.channel_id}/[0-9A-Z]{26}$`), 'readable across origins');
  assert.match(published.etag, /^".+"$/);
  assert.equal(published['content-type'], 'application/sdp');
  await waitForPlaylist(channel.playlist_url);
  assert.deepEqual((await probe(channel.playlist_url)).map((stream) => stream.codec_name).sort(), ['aac', 'h264']);

  const second = await post(early, endpoint('whip', channel), { send: true, token: server.token });
  assert.equal(second.status, 409, 'a channel of one publisher');

  const viewer = await browser.page();
  const viewed = await post(viewer, endpoint('whep', channel), { send: false, token: server.token });
  assert.equal(viewed.status, 201, viewed.sdp);
  const inbound = await until('30 frames are decoded', 20_000, async () => {
    const state = await decoded(viewer);
    return state.frames > 30 && state;
  });
  assert.equal(inbound.codec, 'video/H264');
  await until('sound arrives', 10_000, async () => (await report(viewer, 'inbound-rtp', 'audio'))?.packetsReceived > 50);

  const player = await browser.page();
  const { advanced, after: state } = await playFor(player, channel.playlist_url, 5);
  assert.ok(advanced >= 4, `currentTime advanced ${advanced} s in 5 s`);
  assert.deepEqual(state.errors, []);
  const pair = await report(publisher, 'candidate-pair');
  assert.ok(pair.availableOutgoingBitrate > 300_000, `transport-cc works: ${pair.availableOutgoingBitrate}`);

  const { video } = await renditions(channel.playlist_url);
  assert.equal((await request(viewed.location, 'DELETE', { token: 'wrong' })).status, 401);
  assert.equal((await request(published.location, 'DELETE')).status, 200);
  await until('ENDLIST', 10_000, async () => (await media(video)).ended);
  assert.equal((await request(published.location, 'DELETE')).status, 404, 'it is gone');
  assert.equal((await request(viewed.location, 'DELETE')).status, 200, 'the viewer waits for somebody to come back');
  for (const page of [publisher, early, viewer, player]) await page.close();
});

/** Restarts ICE in the page: new credentials go out in a PATCH, ours come back and are put into the answer of before. */
const restartIce = (page, { location, sdp }) => page.evaluate(async ([target, answer, bearer, type]) => {
  const { pc } = window.sessions.a;
  pc.restartIce();
  await pc.setLocalDescription(await pc.createOffer());
  const lines = pc.localDescription.sdp.split('\r\n');
  const first = (text, name) => text.find((line) => line.startsWith(`a=${name}:`));
  const fragment = [first(lines, 'ice-ufrag'), first(lines, 'ice-pwd'), 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'a=mid:0', ''].join('\r\n');
  const headers = { 'content-type': type, authorization: `Bearer ${bearer}`, 'if-match': '*' };
  const response = await fetch(target, { method: 'PATCH', headers, body: fragment });
  const body = await response.text();
  const said = { status: response.status, body, etag: response.headers.get('etag') };
  if (response.status !== 200) return said;
  const ours = body.split('\r\n');
  const next = answer.replaceAll(/a=ice-ufrag:.*/g, first(ours, 'ice-ufrag')).replaceAll(/a=ice-pwd:.*/g, first(ours, 'ice-pwd'));
  await pc.setRemoteDescription({ type: 'answer', sdp: next });
  return said;
}, [new URL(location, server.base).href, sdp, server.token, FRAGMENT]);

test('ICE restarts by PATCH on both sides while pictures go on', { timeout: 60_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  const [publisher, viewer] = [await browser.page(), await browser.page()];
  const published = await post(publisher, endpoint('whip', channel), { send: true, token: server.token });
  const viewed = await watch(viewer, channel);
  await until('pictures', 20_000, async () => (await decoded(viewer)).frames > 30);
  const trickle = 'm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n';
  const patch = async (tag) => (await request(published.location, 'PATCH', { body: trickle, type: FRAGMENT, tag })).status;
  assert.deepEqual([await patch(published.etag), await patch(undefined), await patch('"other"')], [204, 428, 412]);

  for (const [page, session] of [[publisher, published], [viewer, viewed]]) {
    const before = await report(page, 'transport');
    const restarted = await restartIce(page, session);
    assert.equal(restarted.status, 200, restarted.body);
    assert.notEqual(restarted.etag, session.etag);
    await until('the new pair is in use', 10_000, async () => {
      const now = await report(page, 'transport');
      return now.iceLocalUsernameFragment !== before.iceLocalUsernameFragment && now.iceState === 'connected'
        && now.selectedCandidatePairId !== before.selectedCandidatePairId;
    });
    const { frames } = await decoded(viewer);
    await until('pictures go on', 10_000, async () => (await decoded(viewer)).frames > frames + 30);
  }
  assert.equal(await patch(published.etag), 412, 'the tag of before');
  await publisher.close();
  await viewer.close();
});

test('a viewer stays while publishers come and go, whatever they send', { timeout: 90_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  const [publisher, viewer] = [await browser.page(), await browser.page()];
  let frames = 0;
  for (const codec of ['VP8', 'H264', 'VP9', 'VP8']) {
    const published = await post(publisher, endpoint('whip', channel), { send: true, codec, token: server.token });
    assert.equal(published.status, 201, published.sdp);
    if (frames === 0) assert.equal((await watch(viewer, channel)).status, 201);
    const seen = await until(`${codec} is decoded`, 15_000, async () => {
      const state = await decoded(viewer);
      return state.frames > frames + 40 && state.codec === `video/${codec}` && state;
    });
    ({ frames } = seen);
    assert.equal((await request(published.location, 'DELETE')).status, 200);
    await publisher.evaluate(() => window.sessions.a.pc.close());
  }
  const lost = (await report(viewer, 'inbound-rtp', 'video')).packetsLost;
  assert.ok(lost < 20, `one stream without gaps, but ${lost} packets are lost`);
  assert.equal(await viewer.evaluate(() => window.sessions.a.pc.connectionState), 'connected');
  await publisher.close();
  await viewer.close();
});

test('a viewer gets the best layer of a simulcast publisher', { timeout: 60_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  const [publisher, viewer] = [await browser.page(), await browser.page()];
  const encodings = [{ rid: 'q', scaleResolutionDownBy: 4 }, { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }];
  const published = await post(publisher, endpoint('whip', channel), { send: true, codec: 'VP8', encodings, size: [1280, 720], token: server.token });
  assert.equal(published.status, 201, published.sdp);
  assert.match(published.sdp, /a=simulcast:recv q;h;f/);
  assert.equal((await watch(viewer, channel)).status, 201);
  const widths = async () => {
    const layers = (await reports(publisher, 'outbound-rtp', 'video')).filter((layer) => layer.framesPerSecond > 0);
    return layers.map((layer) => layer.frameWidth).sort((a, b) => a - b);
  };
  await until('the best of several layers is decoded', 40_000, async () => {
    const [sent, seen] = [await widths(), await decoded(viewer)];
    return sent.length >= 2 && seen.width === sent.at(-1) && seen.frames > 30;
  });
  assert.equal((await request(published.location, 'DELETE')).status, 200);
  await publisher.close();
  await viewer.close();
});

test('a WHIP publisher is a member of the room for Sora clients', { timeout: 60_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
  const sora = await browser.page();
  await sora.waitForFunction(() => window.ready);
  const joined = await sora.evaluate(([url, id]) => window.join('a', url, id, 'recvonly'), [channel.sora_url, channel.channel_id]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  const publisher = await browser.page();
  const published = await post(publisher, endpoint('whip', channel), { send: true, token: server.token });
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
  assert.equal((await post(page, `${server.base}/whip/nobody`, { send: true, token: server.token })).status, 404);
  assert.equal((await post(page, endpoint('whip', channel), { send: false, token: server.token })).status, 400, 'an offer that sends nothing');
  const garbage = await request(endpoint('whip', channel), 'POST', { body: 'hello', type: 'application/sdp' });
  assert.equal(garbage.status, 400);
  assert.match((await garbage.json()).error, /session description/);
  assert.equal((await request(endpoint('whip', channel), 'POST', { body: '{}', type: 'application/json' })).status, 415);
  const control = await post(page, endpoint('whip', channel), { send: true, token: server.token });
  assert.equal(control.status, 201, 'negative control: the right offer is taken');
  assert.equal((await request(control.location, 'DELETE')).status, 200);
  await page.close();
});
