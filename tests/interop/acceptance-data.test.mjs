// The fourth of the Sora protocol's acceptance list: signaling over data channels with unmodified clients, both ways of `ignore_disconnect_websocket`,
// compressed and not.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { PythonPeer } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';
import { Webhook } from './lib/webhook.mjs';

const CHANNELS = [
  { label: '#plain', direction: 'sendrecv' },
  { label: '#small', direction: 'sendrecv', compress: true, header: [{ type: 'sender_connection_id' }] },
];
const NOTHING = { kind: 'none' };
let browser, webhook;
before(async () => {
  webhook = await Webhook.start();
  webhook.answer = { allowed: true, rpc_methods: ['2025.2.0/PutSignalingNotifyMetadata'] };
  browser = await launch();
});
after(async () => {
  await browser?.close();
  webhook?.close();
});

async function page() {
  const opened = await browser.page();
  await opened.waitForFunction(() => window.ready);
  return opened;
}
const join = (on, name, channel, role, options, source) => on.evaluate((all) => window.join(...all), [name, channel.sora_url, channel.channel_id, role, options, source]);
const told = (on, name) => on.evaluate((who) => window.told(who), name);

for (const compress of [true, false]) {
  describe(compress ? 'compressed' : 'not compressed', { concurrency: 1 }, () => {
    let server;
    before(async () => {
      server = await Server.start({ env: { MINAMO_WEBHOOK__ALLOW_PRIVATE_ADDRESSES: 'true', MINAMO_SIGNALING__DATA_CHANNEL_COMPRESS: String(compress) } });
    });
    after(async () => server?.stop());
    const room = async () => (await server.api('ImageFlux_20200316.CreateMultistreamChannel', { auth_webhook_url: webhook.url })).body;
    const connections = async (channel) => (await server.api('Sora_20201013.ListChannelConnections', { channel_id: channel.channel_id })).body.length;

    for (const ignore of [true, false]) {
      test(`sora-js-sdk, ignore_disconnect_websocket ${ignore}`, { timeout: 90_000 }, async () => {
        const channel = await room();
        const on = await page();
        const options = { dataChannelSignaling: true, ignoreDisconnectWebSocket: ignore, dataChannels: CHANNELS };
        const a = await join(on, 'a', channel, 'sendonly', { ...options, audio: false, video: false }, NOTHING);
        const b = await join(on, 'b', channel, 'recvonly', options, NOTHING);
        assert.ok(a.connectionId && b.connectionId, JSON.stringify([a, b]));
        for (const name of ['a', 'b']) await until(`${name} has switched`, 10_000, async () => (await told(on, name)).switched);
        assert.equal((await told(on, 'a')).sockets, ignore ? 0 : 1);

        await on.evaluate(() => window.send('a', '#plain', 'hello'));
        await on.evaluate(() => window.send('b', '#small', 'hello'.repeat(100)));
        const messages = async (name) => until(`${name} has a message`, 10_000, async () => { const all = (await told(on, name)).messages; return all.length > 0 && all; });
        assert.deepEqual(await messages('b'), [{ label: '#plain', text: 'hello' }]);
        assert.deepEqual(await messages('a'), [{ label: '#small', text: b.connectionId + 'hello'.repeat(100) }]);

        await server.api('Sora_20160711.PushChannel', { channel_id: channel.channel_id, data: { n: 1 } });
        for (const name of ['a', 'b']) assert.deepEqual(await until(`${name} is pushed to`, 10_000, async () => (await told(on, name)).pushes[0]), { n: 1 });
        const stats = await server.api('Sora_20211215.GetRtcStats', { channel_id: channel.channel_id, connection_id: a.connectionId });
        assert.ok(stats.body.rtc_stats?.some((one) => one.type === 'data-channel'), JSON.stringify(stats.body).slice(0, 300));

        assert.deepEqual((await told(on, 'a')).rpcMethods, webhook.answer.rpc_methods);
        const answered = await on.evaluate(() => window.rpc('a', '2025.2.0/PutSignalingNotifyMetadata', { metadata: { hand: 'up' }, push: true }));
        assert.equal(answered.error, undefined, JSON.stringify(answered));
        assert.ok((await on.evaluate(() => window.rpc('a', '2025.2.0/RequestSpotlightRid', {}))).error, 'it was not granted');

        const publisher = await join(on, 'c', channel, 'sendonly', options, { kind: 'camera', width: 320, height: 240 });
        await until('b decodes what came over the channel', 30_000, async () => (await on.evaluate(() => window.state('b'))).decoded[publisher.connectionId]?.frames > 15);
        const offers = (await told(on, 'b')).signaling.filter((one) => one.type.endsWith('re-offer'));
        assert.ok(offers.length && offers.every((one) => one.transport === 'datachannel'), JSON.stringify(offers));

        await on.evaluate(() => window.leave('c'));
        assert.equal((await told(on, 'c')).disconnected.type, 'normal', JSON.stringify((await told(on, 'c')).disconnected));
        assert.equal((await told(on, 'c')).disconnected.code, 1000);
        await until('c has left', 10_000, async () => await connections(channel) === 2);
        await server.api('Sora_20151104.DisconnectChannel', { channel_id: channel.channel_id });
        for (const name of ['a', 'b']) {
          const { code, reason } = await until(`${name} was disconnected`, 10_000, async () => (await told(on, name)).disconnected);
          assert.deepEqual([code, reason], [1000, 'DISCONNECTED-API']);
        }
        assert.equal(await connections(channel), 0);
        await on.close();
      });

      test(`Python sora_sdk, ignore_disconnect_websocket ${ignore}`, { timeout: 90_000 }, async () => {
        const channel = await room();
        const extra = { data_channel_signaling: true, ignore_disconnect_websocket: ignore, data_channels: CHANNELS };
        const peer = (more) => new PythonPeer({ url: channel.sora_url, channel: channel.channel_id, codec: 'VP8', extra, silent: true, ...more });
        const peers = [peer(), peer({ silent: false })];
        try {
          for (const python of peers) {
            assert.equal((await python.find('switched')).ignore_disconnect_websocket, ignore);
            await python.find('connected');
          }
          const [one, other] = peers;
          one.send('#plain', 'hello');
          assert.deepEqual(await other.find('message'), { label: '#plain', text: 'hello' });
          other.send('#small', 'good day');
          assert.deepEqual(await one.find('message'), { label: '#small', text: `${await other.find('connection_id')}good day` });
          if (ignore) for (const python of peers) await python.find('ws_close', 10_000).catch(() => {});
          assert.equal(await connections(channel), 2);
          await server.api('Sora_20160711.PushChannel', { channel_id: channel.channel_id, data: { n: 1 } });
          for (const python of peers) assert.deepEqual((await python.find('push')).data, { n: 1 });
        } finally {
          for (const python of peers) assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
        }
        await until('both have left', 10_000, async () => await connections(channel) === 0);
      });
    }
  });
}
