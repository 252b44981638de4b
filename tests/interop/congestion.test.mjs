// What a subscriber is sent follows what its link carries: a real Chromium, simulcast, over a link that is made bad.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { Link, NEAR, enterNamespace } from './lib/link.mjs';
import { Server, sleep, until } from './lib/server.mjs';

const BAD = { delay: 50, jitter: 10, loss: 5 };
const NARROW = { delay: 50, rate: 600, queue: 500 };
const FREEZE_MAX = 500;
/** Of what is heard, concealed: a packet here and there is not noticed. */
const CONCEALED_MAX = 0.05;

const place = await enterNamespace(import.meta.filename);
const skip = place === 'inside' ? false : `no bad network here, because namespaces cannot be had: ${place}`;
if (skip) console.log(`SKIPPED: ${skip}`);

const report = (state, kind) => state.stats.find((entry) => entry.type === 'inbound-rtp' && entry.kind === kind);

describe('a subscriber of a simulcast track', { concurrency: 1, skip }, () => {
  let link, server, far, near, publisher, page;
  const received = async (kind = 'video') => report(await page.evaluate(() => window.state('a')), kind);
  /** The size of what is decoded from now on: the statistics keep the last picture's. */
  const width = async () => (await received()).frameWidth;

  before(async () => {
    link = await Link.start();
    server = await Server.start({ host: NEAR });
    far = await launch([], { netns: link.netns });
    near = await launch();
    const { status, body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
    assert.equal(status, 200, JSON.stringify(channel));
    const join = async (browser, role, options) => {
      const joining = await browser.page();
      await joining.waitForFunction(() => window.ready);
      const source = { kind: 'camera', width: 1280, height: 720 };
      const words = [channel.sora_url, channel.channel_id, role, options, source];
      const joined = await joining.evaluate(([url, id, how, what, from]) => window.join('a', url, id, how, what, from), words);
      assert.equal(joined.error, undefined, JSON.stringify(joined));
      return joining;
    };
    publisher = await join(near, 'sendonly', { simulcast: true, videoCodecType: 'H264', videoBitRate: 2500 });
    page = await join(far, 'recvonly', { simulcast: true });
    await until('the best layer is there', 40_000, async () => (await width()) === 1280);
    await sleep(3000);
  });
  after(async () => {
    await page?.close();
    await publisher?.close();
    await far?.close();
    await near?.close();
    await server?.stop();
    link?.close();
  });

  /** What became of sound and pictures in so many seconds. */
  async function pass(seconds) {
    await page.evaluate(() => window.countFreezes('a'));
    const from = { video: await received('video'), audio: await received('audio') };
    await sleep(seconds * 1000);
    const { freezes } = await page.evaluate(() => window.state('a'));
    const to = { video: await received('video'), audio: await received('audio') };
    const since = (kind, name) => (to[kind][name] ?? 0) - (from[kind][name] ?? 0);
    return {
      freezes: freezes.map(Math.round),
      frames: since('video', 'framesDecoded'),
      kbps: Math.round(since('video', 'bytesReceived') * 8 / seconds / 1000),
      repaired: since('video', 'retransmittedPacketsReceived'),
      concealed: (since('audio', 'concealedSamples') - since('audio', 'silentConcealedSamples')) / since('audio', 'totalSamplesReceived'),
      packets: since('audio', 'packetsReceived'),
      lost: since('audio', 'packetsLost'),
      width: to.video.frameWidth,
    };
  }

  test('5 % loss and 50 ms each way: no freeze over 500 ms', { timeout: 90_000 }, async (t) => {
    await link.both(BAD);
    const verdict = await pass(20);
    t.diagnostic(JSON.stringify(verdict));
    assert.deepEqual(verdict.freezes.filter((ms) => ms > FREEZE_MAX), []);
    assert.ok(verdict.frames > 20 * 20, `${verdict.frames} frames in 20 s`);
    assert.ok(verdict.repaired > 10, `there was loss, and it was repaired: ${verdict.repaired}`);
  });

  test('600 kbit/s: a lower layer within 3 s, and sound stays whole', { timeout: 90_000 }, async (t) => {
    await link.both({ delay: 50 });
    await until('the best layer is there again', 30_000, async () => (await width()) === 1280);
    await sleep(2000);
    await link.set({ down: NARROW, up: { delay: 50 } });
    const begun = Date.now();
    const [, whole] = await Promise.all([
      until('a lower layer', 3000, async () => (await width()) < 1280).then(() => t.diagnostic(`lower after ${Date.now() - begun} ms`)),
      pass(15),
    ]);
    t.diagnostic(JSON.stringify(whole));
    assert.ok(whole.concealed < CONCEALED_MAX, `${whole.concealed} of the sound is made up`);
    assert.ok(whole.lost < 0.02 * whole.packets, `${whole.lost} of ${whole.packets} packets of sound are lost`);
    assert.ok(whole.width < 1280 && whole.kbps < 600, `${whole.kbps} kbit/s, ${whole.width} wide`);
    assert.ok(whole.frames > 15 * 15, `${whole.frames} frames in 15 s`);
  });

  test('the limit goes: the layer is back within 15 s', { timeout: 60_000 }, async (t) => {
    assert.ok((await width()) < 1280, 'it is lower now');
    await link.both({ delay: 50 });
    const begun = Date.now();
    await until('the best layer', 15_000, async () => (await width()) === 1280);
    t.diagnostic(`back after ${Date.now() - begun} ms`);
    assert.ok((await server.metric('minamo_sfu_paddings_out_total')) > 0, 'it was probed for');
  });

  test('negative control: 60 % loss is seen', { timeout: 60_000 }, async (t) => {
    await link.both({ delay: 50, loss: 60 });
    const verdict = await pass(8);
    t.diagnostic(JSON.stringify(verdict));
    assert.ok(verdict.freezes.some((ms) => ms > FREEZE_MAX) || verdict.frames < 8 * 20, 'pictures stand still');
    assert.ok(verdict.concealed > CONCEALED_MAX, `sound is made up: ${verdict.concealed}`);
  });
});
