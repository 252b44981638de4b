// A server and a browser that have only IPv6 between them, and a server on [::] that both families reach.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { waitForPlaylist } from './lib/hls.mjs';
import { Link, NEAR, NEAR_IPV6, enterNamespace } from './lib/link.mjs';
import { Server, freePort, until } from './lib/server.mjs';

const place = await enterNamespace(import.meta.filename);
const skip = place === 'inside' ? false : `no network of IPv6 alone here, because namespaces cannot be had: ${place}`;
if (skip) console.log(`SKIPPED: ${skip}`);

/** The nominated pair's addresses, and whether pictures are decoded. */
async function reached(page) {
  const { stats } = await page.evaluate(() => window.state('a'));
  const pair = stats.find((entry) => entry.type === 'candidate-pair' && entry.nominated);
  const address = (id) => stats.find((entry) => entry.id === id)?.address;
  const video = stats.find((entry) => entry.type === 'inbound-rtp' && entry.kind === 'video');
  return { local: address(pair?.localCandidateId), remote: address(pair?.remoteCandidateId), frames: video?.framesDecoded ?? 0 };
}

async function join(browser, url, channel, role) {
  const page = await browser.page();
  await page.waitForFunction(() => window.ready);
  const joined = await page.evaluate(([to, id, how]) => window.join('a', to, id, how), [url, channel, role]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  return page;
}

describe('IPv6', { concurrency: 1, skip }, () => {
  let link, far, near;
  before(async () => {
    link = await Link.start();
    far = await launch([], { netns: link.netns });
    near = await launch();
  });
  after(async () => {
    await far?.close();
    await near?.close();
    link?.close();
  });

  test('alone: a room and HLS', { timeout: 90_000 }, async () => {
    const server = await Server.start({ host: NEAR_IPV6 });
    try {
      const programme = await server.createChannel();
      assert.equal(new URL(programme.sora_url).hostname, NEAR_IPV6);
      const publisher = await join(far, programme.sora_url, programme.channel_id, 'sendonly');
      await waitForPlaylist(programme.playlist_url);
      const { body: room } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
      const pages = [await join(far, room.sora_url, room.channel_id, 'sendrecv'), await join(far, room.sora_url, room.channel_id, 'sendrecv')];
      for (const page of pages) await until('pictures', 20_000, async () => (await reached(page)).frames > 30);
      for (const page of [publisher, ...pages]) {
        const { local, remote } = await reached(page);
        assert.deepEqual([local, remote], ['fd78::2', 'fd78::1']);
        await page.close();
      }
    } finally {
      await server.stop();
    }
  });

  test('and IPv4 on [::]: each comes by its own', { timeout: 90_000 }, async () => {
    const port = await freePort();
    const server = await Server.start({ host: NEAR, port, env: { MINAMO_HTTP__LISTEN: `[::]:${port}`, MINAMO_RTC__LISTEN: `[::]:${port}` } });
    try {
      const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
      const by4 = channel.sora_url;
      const by6 = by4.replace(NEAR, NEAR_IPV6);
      const [publisher, subscriber] = [await join(near, by4, channel.channel_id, 'sendonly'), await join(far, by6, channel.channel_id, 'recvonly')];
      await until('pictures', 20_000, async () => (await reached(subscriber)).frames > 30);
      const ends = [await reached(publisher), await reached(subscriber)];
      assert.ok(ends.every(({ local, remote }) => local.includes(':') === remote.includes(':')), JSON.stringify(ends));
      assert.ok(ends.every(({ remote }) => !remote.startsWith('::ffff:')), 'IPv4 is told as such');
      await publisher.close();
      await subscriber.close();
    } finally {
      await server.stop();
    }
  });
});
