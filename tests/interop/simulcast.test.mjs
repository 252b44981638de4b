// Simulcast with both SDKs: layers go up, one comes down, and requests, filters and caps change which.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { PythonPeer } from './lib/python.mjs';
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

const room = async () => (await server.api('ImageFlux_20200316.CreateMultistreamChannel', {})).body;

async function join(channel, role, options, source) {
  const page = await browser.page();
  await page.waitForFunction(() => window.ready);
  const joined = await page.evaluate(([url, id, r, o, s]) => window.join('me', url, id, r, o, s), [channel.sora_url, channel.channel_id, role, options, source]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  return { page, id: joined.connectionId, state: () => page.evaluate(() => window.state('me')) };
}

/** Until the receiver decodes pictures of `sender` that are between so and so wide. */
const decodes = (what, receiver, sender, from, to = from) => until(`${what}: ${from} to ${to} pixels`, 30_000, async () => {
  const { decoded } = await receiver.state();
  const width = decoded[sender]?.width ?? 0;
  return width >= from && width <= to && decoded[sender].frames > 10;
});

async function request(channel, receiver, sender, rid) {
  const body = { channel_id: channel.channel_id, receiver_connection_id: receiver.id, sender_connection_id: sender, rid };
  const answer = await server.api('Sora_20251217.RequestSimulcastRid', body);
  assert.deepEqual(answer, { status: 200, body: JSON.parse(JSON.stringify(body)) });
}

const switched = (receiver, current, asked) => until(`simulcast.switched to ${current}`, 20_000, async () => (await receiver.state()).notifies
  .find((n) => n.event_type === 'simulcast.switched' && n.current_rid === current && n.request_rid === asked));

for (const codec of ['H264', 'VP8']) {
  test(`Chromium sends three layers of ${codec}, a receiver gets the one it asks for`, { timeout: 120_000 }, async () => {
    const channel = await room();
    const sender = await join(channel, 'sendonly', { simulcast: true, videoCodecType: codec, videoBitRate: 2500 }, { kind: 'camera', width: 1280, height: 720 });
    const receiver = await join(channel, 'recvonly', { simulcastRequestRid: 'r0' });
    assert.ok((await sender.state()).connectedFired, 'the connected callback');
    await decodes('as asked in connect', receiver, sender.id, 320);
    await until('all three layers are sent', 30_000, async () => {
      const layers = (await sender.state()).stats.filter((s) => s.type === 'outbound-rtp' && s.rid && s.framesSent > 30);
      return layers.map((s) => s.rid).sort().join() === 'r0,r1,r2';
    });
    await request(channel, receiver, sender.id, 'r2');
    await decodes('the best', receiver, sender.id, 1280);
    const up = await switched(receiver, 'r2', 'r2');
    assert.equal(up.sender_connection_id, sender.id);
    assert.equal(up.priority, 'higher');
    assert.ok(up.timestamp && up.session_id && Array.isArray(up.rpc_rids) && Array.isArray(up.auto_rids), JSON.stringify(up));
    await request(channel, receiver, sender.id, 'r1');
    await decodes('the middle', receiver, sender.id, 640);
    assert.equal((await switched(receiver, 'r1', 'r1')).trigger, 'receiver');
    await request(channel, receiver, undefined, 'none');
    await switched(receiver, 'none', 'none');
    const frames = async () => (await receiver.state()).decoded[sender.id].frames;
    await until('nothing comes', 10_000, async () => {
      const first = await frames();
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return await frames() === first;
    });
    await sender.page.close();
    await receiver.page.close();
  });

  test(`Python sends layers of ${codec}`, { timeout: 120_000 }, async () => {
    const channel = await room();
    const python = new PythonPeer({ url: channel.sora_url, channel: channel.channel_id, codec, simulcast: true });
    try {
      const sender = await python.find('connection_id');
      await python.find('connected');
      const receiver = await join(channel, 'recvonly', {});
      await decodes('the best', receiver, sender, 900, 1280);
      await request(channel, receiver, sender, 'r0');
      await decodes('the lowest', receiver, sender, 200, 320);
      await switched(receiver, 'r0', 'r0');
      await receiver.page.close();
    } finally {
      assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
    }
  });
}

test('bit_rate caps the sender through b=TIAS', { timeout: 60_000 }, async () => {
  const channel = await room();
  const sender = await join(channel, 'sendonly', { videoBitRate: 150 }, { kind: 'camera', width: 640, height: 480 });
  const target = async () => (await sender.state()).stats.find((s) => s.type === 'outbound-rtp' && s.kind === 'video')?.targetBitrate;
  await until('an encoder has a target', 20_000, async () => (await target()) > 0);
  for (let look = 0; look < 10; look += 1) {
    assert.ok(await target() <= 150_000, `${await target()} bit/s`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  await sender.page.close();
});

test('nobody gets what a filter blocks, from the connect message on', { timeout: 90_000 }, async () => {
  const channel = await room();
  const source = { kind: 'camera', width: 320, height: 240 };
  const [one, other] = [await join(channel, 'sendonly', {}, source), await join(channel, 'sendonly', { videoCodecType: 'VP8' }, source)];
  const blocked = { name: 'no-one', rules: [[{ field: 'connection_id', operator: 'is_in', values: [one.id] }, { field: 'kind', operator: 'is_in', values: ['video'] }]] };
  const receiver = await join(channel, 'recvonly', { forwardingFilters: [blocked] });
  const seen = async () => Object.entries((await receiver.state()).decoded).filter(([, video]) => video.frames > 10).map(([id]) => id).sort();
  await until('the other one is seen', 20_000, async () => (await seen()).includes(other.id));
  assert.deepEqual(await seen(), [other.id]);
  const at = { channel_id: channel.channel_id, connection_id: receiver.id };
  const listed = await server.api('Sora_20230628.ListConnectionForwardingFilters', at);
  assert.deepEqual(listed.body.map((filter) => [filter.name, filter.action]), [['no-one', 'block']]);
  assert.equal((await server.api('Sora_20230628.DeleteConnectionForwardingFilter', { ...at, name: 'no-one' })).status, 200);
  await until('both are seen', 20_000, async () => (await seen()).length === 2);
  const everybody = { channel_id: channel.channel_id, name: 'silence', rules: [[{ field: 'connection_id', operator: 'is_in', values: [other.id] }]] };
  assert.equal((await server.api('Sora_20230628.CreateChannelForwardingFilter', everybody)).status, 200);
  await until('the track is taken away', 20_000, async () => (await receiver.state()).removed.some((r) => r.stream === other.id && r.kind === 'video'));
  assert.equal((await server.api('Sora_20230628.CreateChannelForwardingFilter', everybody)).body.error_type, 'DUPLICATE_FORWARDING_FILTER');
  for (const { page } of [one, other, receiver]) await page.close();
});

test('negative control: without layers a request changes nothing', { timeout: 60_000 }, async () => {
  const channel = await room();
  const sender = await join(channel, 'sendonly', {}, { kind: 'camera', width: 640, height: 480 });
  const receiver = await join(channel, 'recvonly', {});
  await decodes('what there is', receiver, sender.id, 480, 640);
  await request(channel, receiver, sender.id, 'r0');
  const before = (await receiver.state()).decoded[sender.id].frames;
  await until('pictures go on', 20_000, async () => (await receiver.state()).decoded[sender.id].frames > before + 60);
  const { decoded, notifies } = await receiver.state();
  assert.ok(decoded[sender.id].width >= 480, `${decoded[sender.id].width} pixels`);
  assert.ok(!notifies.some((n) => n.event_type === 'simulcast.switched'), 'there is nothing to switch to');
  for (const { page } of [sender, receiver]) await page.close();
});
