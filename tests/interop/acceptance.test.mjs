// The Sora protocol's acceptance list with unmodified clients, but for data channels: acceptance-data.test.mjs. Offers' members are checked by
// the unit tests of signaling (offer_schema.rs).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { PythonPeer } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';
import { Webhook } from './lib/webhook.mjs';

const SMALL = { kind: 'camera', width: 320, height: 240 };
let server, browser, webhook;
before(async () => {
  webhook = await Webhook.start();
  server = await Server.start({ env: { MINAMO_WEBHOOK__ALLOW_PRIVATE_ADDRESSES: 'true' } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
  webhook?.close();
});

const room = async (at = server, settings = {}) => (await at.api('ImageFlux_20200316.CreateMultistreamChannel', settings)).body;
async function page() {
  const opened = await browser.page();
  await opened.waitForFunction(() => window.ready);
  return opened;
}
const join = (on, name, channel, role, options = {}, source = SMALL) => on.evaluate((all) => window.join(...all), [name, channel.sora_url, channel.channel_id, role, options, source]);
const told = (on, name) => on.evaluate((who) => window.told(who), name);
const decodes = (on, name, ids, frames = 15) => until(`${name} decodes ${ids.length}`, 30_000, async () => {
  const { decoded } = await on.evaluate((who) => window.state(who), name);
  return ids.every((id) => decoded[id]?.frames > frames);
});

test('1, 2, 9: publishers of both SDKs come to who was there first, and go with 1000 TYPE-DISCONNECT', { timeout: 120_000 }, async () => {
  const channel = await room();
  const on = await page();
  assert.ok((await join(on, 'viewer', channel, 'recvonly')).connectionId);
  for (const codec of ['VP8', 'H264']) {
    const python = new PythonPeer({ url: channel.sora_url, channel: channel.channel_id, codec });
    const { connectionId } = await join(on, codec, channel, 'sendonly', { videoCodecType: codec });
    const pythonId = await python.find('connection_id');
    await decodes(on, 'viewer', [connectionId, pythonId]);
    await on.evaluate((name) => window.leave(name), codec);
    const { disconnected, connectedFired } = await told(on, codec);
    assert.equal(connectedFired, true);
    assert.deepEqual([disconnected.type, disconnected.code, disconnected.reason], ['normal', 1000, 'TYPE-DISCONNECT']);
    assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
    assert.deepEqual(python.lines.find((line) => line.ws_close)?.ws_close, { code: 1000, reason: 'TYPE-DISCONNECT' });
    await until('the viewer was told', 10_000, async () => {
      const { removed, notifies } = await on.evaluate(() => window.state('viewer'));
      return [connectionId, pythonId].every((id) => removed.some((one) => one.stream === id)
        && notifies.some((one) => one.event_type === 'connection.destroyed' && one.connection_id === id));
    });
  }
  await on.close();
});

test('3: three publishers at once: one re-offer at a time, all of them arrive', { timeout: 90_000 }, async () => {
  const channel = await room();
  const [viewer, publishers] = [await page(), await page()];
  assert.ok((await join(viewer, 'viewer', channel, 'recvonly')).connectionId);
  const joined = await publishers.evaluate(([url, id, source]) => Promise.all(['a', 'b', 'c'].map((name) => window.join(name, url, id, 'sendonly', {}, source))), [channel.sora_url, channel.channel_id, SMALL]);
  await decodes(viewer, 'viewer', joined.map((one) => one.connectionId));
  const { signaling } = await told(viewer, 'viewer');
  const order = signaling.map((one) => one.type.replace(/^(onmessage|send)-/, '')).filter((type) => type === 're-offer' || type === 're-answer');
  assert.ok(order.length >= 2 && order.length % 2 === 0, order.join());
  order.forEach((type, index) => assert.equal(type, index % 2 ? 're-answer' : 're-offer', order.join()));
  await Promise.all([viewer.close(), publishers.close()]);
});

test('5: the auth webhook decides, and its words reach the application', { timeout: 60_000 }, async () => {
  const channel = await room(server, { auth_webhook_url: webhook.url });
  const on = await page();
  webhook.answer = { allowed: false, reason: 'no seat left' };
  const refused = await join(on, 'refused', channel, 'sendonly', { metadata: { ticket: 7 } });
  assert.deepEqual([refused.code, refused.reason], [4490, 'no seat left'], JSON.stringify(refused));
  const { headers, body } = webhook.asked.at(-1);
  assert.equal(headers['sora-connection-id'], body.connection_id);
  assert.deepEqual([body.role, body.channel_id, body.metadata, body.audio, body.video], ['sendonly', channel.channel_id, { ticket: 7 }, true, true]);

  webhook.answer = { allowed: true, client_id: 'chosen', metadata: { seat: 3 }, video: false, connection_lifetime: 4 };
  const { connectionId, clientId } = await join(on, 'let in', channel, 'sendonly');
  assert.equal(clientId, 'chosen');
  assert.deepEqual((await told(on, 'let in')).metadata, { seat: 3 });
  const listed = await server.api('Sora_20201013.ListChannelConnections', { channel_id: channel.channel_id });
  assert.deepEqual(listed.body.map((one) => [one.connection_id, one.client_id, one.audio, one.video]), [[connectionId, 'chosen', true, false]]);
  const left = await until('its time is over', 10_000, async () => (await told(on, 'let in')).disconnected);
  assert.deepEqual([left.code, left.reason], [1000, 'LIFETIME-EXPIRED']);

  webhook.answer = 'yes';
  const broken = await join(on, 'broken', channel, 'sendonly');
  assert.deepEqual([broken.code, broken.reason], [4490, 'AUTH-WEBHOOK-ERROR']);
  await on.close();
});

test('6: a node that is emptied sends clients elsewhere, once', { timeout: 90_000 }, async () => {
  const draining = await Server.start({ env: { MINAMO_SIGNALING__REDIRECT_URL: `ws://127.0.0.1:${server.port}/signaling` } });
  try {
    const channel = await room();
    const there = { ...channel, sora_url: `ws://127.0.0.1:${draining.port}/signaling` };
    const on = await page();
    const { connectionId } = await join(on, 'viewer', there, 'recvonly');
    const python = new PythonPeer({ url: there.sora_url, channel: channel.channel_id, codec: 'VP8' });
    const pythonId = await python.find('connection_id');
    await decodes(on, 'viewer', [pythonId]);
    const { body } = await server.api('Sora_20201013.ListChannelConnections', { channel_id: channel.channel_id });
    assert.deepEqual(body.map((one) => one.connection_id).sort(), [connectionId, pythonId].sort());
    await python.stop();
    await on.close();
  } finally {
    await draining.stop();
  }
});

test('8: a bit rate is a limit', { timeout: 90_000 }, async () => {
  const channel = await room();
  const on = await page();
  const rate = async (name, options) => {
    await join(on, name, channel, 'sendonly', options, { kind: 'camera', width: 640, height: 480 });
    const sent = async () => (await on.evaluate((who) => window.state(who), name)).stats.find((one) => one.type === 'outbound-rtp' && one.kind === 'video');
    await until('it sends', 20_000, async () => (await sent()).framesEncoded > 60);
    const before = await sent();
    const after = await until('five seconds later', 20_000, async () => {
      const now = await sent();
      return now.timestamp - before.timestamp > 5000 && now;
    });
    await on.evaluate((who) => window.leave(who), name);
    return (after.bytesSent - before.bytesSent) * 8 / (after.timestamp - before.timestamp);
  };
  const limited = await rate('limited', { videoCodecType: 'VP8', videoBitRate: 100 });
  const free = await rate('free', { videoCodecType: 'VP8' });
  assert.ok(limited < 130 && free > 1.5 * limited, `${limited} and ${free} kbit/s`);
  await on.close();
});

test('a push reaches whom it is for, and the API ends connections', { timeout: 60_000 }, async () => {
  const channel = await room();
  const on = await page();
  const python = new PythonPeer({ url: channel.sora_url, channel: channel.channel_id, codec: 'VP8' });
  const { connectionId, clientId } = await join(on, 'viewer', channel, 'recvonly', { clientId: 'anna' });
  assert.equal(clientId, 'anna');
  const pythonId = await python.find('connection_id');
  await python.find('connected');
  const push = (operation, target, n) => server.api(operation, { channel_id: channel.channel_id, ...target, data: { n } });
  assert.equal((await push('Sora_20160711.PushChannel', {}, 1)).status, 200);
  await push('Sora_20160711.PushConnection', { connection_id: pythonId }, 2);
  await push('Sora_20160711.PushClient', { client_id: 'anna' }, 3);
  await push('Sora_20201120.PushChannelByRole', { role: 'sendonly' }, 4);
  await push('Sora_20201120.PushChannelByRole', { role: 'recvonly' }, 5);
  await until('the page has its pushes', 10_000, async () => (await told(on, 'viewer')).pushes.length === 3);
  assert.deepEqual((await told(on, 'viewer')).pushes.map((one) => one.n), [1, 3, 5]);
  await python.find('push', 10_000, (message) => message.data.n === 4);
  assert.deepEqual(python.lines.filter((line) => line.push).map((line) => line.push.data.n), [1, 2, 4]);
  const nobody = await push('Sora_20160711.PushConnection', { connection_id: 'nobody' }, 6);
  assert.deepEqual([nobody.status, nobody.body.error_type], [404, 'UNKNOWN_CONNECTION']);

  const ended = await server.api('Sora_20151104.DisconnectConnection', { channel_id: channel.channel_id, connection_id: connectionId, reason: { why: 'test' } });
  assert.deepEqual(ended.body, { channel_id: channel.channel_id, connection_id: connectionId });
  const left = await until('the page was disconnected', 10_000, async () => (await told(on, 'viewer')).disconnected);
  assert.deepEqual([left.code, left.reason], [1000, 'DISCONNECTED-API']);
  await server.api('Sora_20151104.DisconnectChannel', { channel_id: channel.channel_id });
  await python.find('ws_close', 10_000, (close) => close.code === 1000 && close.reason === 'DISCONNECTED-API');
  await python.stop();
  await on.close();
});
