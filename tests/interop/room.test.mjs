// Three sendrecv peers in one room, two engines: everybody sees everybody, and is told when somebody leaves.
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

for (const codec of ['H264', 'VP8']) {
  test(`two Chromium and one Python talk in ${codec}`, { timeout: 120_000 }, async () => {
    const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
    const pages = [await browser.page(), await browser.page()];
    const ids = [];
    for (const page of pages) {
      await page.waitForFunction(() => window.ready);
      const joined = await page.evaluate(([url, id, type]) => window.join('me', url, id, 'sendrecv', { videoCodecType: type }, { kind: 'camera', width: 320, height: 240 }),
        [channel.sora_url, channel.channel_id, codec]);
      assert.equal(joined.error, undefined, JSON.stringify(joined));
      ids.push(joined.connectionId);
    }
    const python = new PythonPeer({ url: channel.sora_url, channel: channel.channel_id, role: 'sendrecv', codec });
    try {
      const pythonId = await python.find('connection_id');
      await python.find('connected');
      const everybody = [...ids, pythonId];
      for (const [index, page] of pages.entries()) {
        const others = everybody.filter((id) => id !== ids[index]);
        await until(`page ${index} decodes both others`, 30_000, async () => {
          const { decoded } = await page.evaluate(() => window.state('me'));
          return others.every((id) => decoded[id]?.frames > 30);
        });
      }
      for (const id of ids) await python.find('frames', 30_000, (frames) => frames[id] >= 30);

      await pages[0].evaluate(() => window.leave('me'));
      await until('the other page was told', 10_000, async () => {
        const { notifies, removed } = await pages[1].evaluate(() => window.state('me'));
        return notifies.some((n) => n.event_type === 'connection.destroyed' && n.connection_id === ids[0])
          && removed.some((r) => r.stream === ids[0]);
      });
      await until('Python was told', 10_000, () => python.notifies.some((n) => n.event_type === 'connection.destroyed' && n.connection_id === ids[0]));
      const created = python.notifies.find((n) => n.event_type === 'connection.created' && n.connection_id === pythonId);
      assert.deepEqual(created.data.map((peer) => peer.connection_id).sort(), [...ids].sort());
      assert.equal(created.channel_connections, 3);
    } finally {
      const ended = await python.stop();
      assert.deepEqual(ended, { code: 0, signal: null }, python.stderr);
      for (const page of pages) await page.close();
    }
  });
}

test('a recvonly peer that comes first gets the publisher by re-offer', { timeout: 90_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
  const [viewer, publisher] = [await browser.page(), await browser.page()];
  for (const page of [viewer, publisher]) await page.waitForFunction(() => window.ready);
  const joined = await viewer.evaluate(([url, id]) => window.join('viewer', url, id, 'recvonly'), [channel.sora_url, channel.channel_id]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  const { connectionId } = await publisher.evaluate(([url, id]) => window.join('publisher', url, id, 'sendonly'), [channel.sora_url, channel.channel_id]);
  await until('the viewer decodes', 20_000, async () => (await viewer.evaluate(() => window.state('viewer'))).decoded[connectionId]?.frames > 30);
  await publisher.close();
  await until('the viewer is told of a publisher that vanished', 40_000, async () => (await viewer.evaluate(() => window.state('viewer'))).notifies
    .some((n) => n.event_type === 'connection.destroyed' && n.connection_id === connectionId));
  await viewer.close();
});
