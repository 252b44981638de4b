// What a subscriber is sent follows what its link carries: a real Chromium over a link that is made bad, of a track in three
// simulcast layers and of one in a single layer.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { Link, NEAR, enterNamespace } from './lib/link.mjs';
import { Server, sleep, until } from './lib/server.mjs';

const BAD = { delay: 50, jitter: 10, loss: 5 };
const NARROW = { delay: 50, rate: 600, queue: 500 };
/** Not even a single layer of 1.5 Mbit/s, nor half of it. */
const NARROWEST = { delay: 50, rate: 300, queue: 500 };
const FREEZE_MAX = 500;
/** Of what is heard, concealed: a packet here and there is not noticed. */
const CONCEALED_MAX = 0.05;

const place = await enterNamespace(import.meta.filename);
const skip = place === 'inside' ? false : `no bad network here, because namespaces cannot be had: ${place}`;
if (skip) console.log(`SKIPPED: ${skip}`);

const report = (state, kind) => state.stats.find((entry) => entry.type === 'inbound-rtp' && entry.kind === kind);

/** A publisher near by and a subscriber far away, in a channel of their own. */
class Pair {
  static async join({ server, near, far }, publishing, subscribing) {
    const pair = new Pair();
    const { status, body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
    assert.equal(status, 200, JSON.stringify(channel));
    const join = async (browser, role, options) => {
      const page = await browser.page();
      await page.waitForFunction(() => window.ready);
      const words = [channel.sora_url, channel.channel_id, role, options, { kind: 'camera', width: 1280, height: 720 }];
      const joined = await page.evaluate(([url, id, how, what, from]) => window.join('a', url, id, how, what, from), words);
      assert.equal(joined.error, undefined, JSON.stringify(joined));
      return page;
    };
    pair.publisher = await join(near, 'sendonly', { videoBitRate: 2500, ...publishing });
    pair.page = await join(far, 'recvonly', subscribing);
    return pair;
  }

  async close() {
    await this.page.close();
    await this.publisher.close();
  }

  state() {
    return this.page.evaluate(() => window.state('a'));
  }

  async received(kind = 'video') {
    return report(await this.state(), kind);
  }

  /** Of the last picture. */
  async width() {
    return (await this.received()).frameWidth;
  }

  /** Waits until the best layer has been there for two seconds. */
  async best(ms) {
    let since;
    await this.until('the best layer is there, and stays', ms, async () => {
      since = (await this.width()) === 1280 ? since ?? Date.now() : undefined;
      return since && Date.now() - since > 2000;
    });
  }

  /** As `until`; a failure says what the publisher sends, which may be less than all layers. */
  async until(what, ms, probe) {
    try {
      return await until(what, ms, probe);
    } catch (error) {
      throw new Error(`${error.message}; received ${await this.width()} wide of ${JSON.stringify(await this.sending())}`);
    }
  }

  /** The layers as the publisher's browser says it sends them, and what it thinks of its own link. */
  async sending() {
    const { stats } = await this.publisher.evaluate(() => window.state('a'));
    const layers = stats.filter((entry) => entry.type === 'outbound-rtp' && entry.kind === 'video');
    const names = ['rid', 'active', 'frameWidth', 'framesPerSecond', 'targetBitrate', 'qualityLimitationReason'];
    const available = stats.find((entry) => entry.availableOutgoingBitrate)?.availableOutgoingBitrate;
    return { available, layers: layers.map((layer) => Object.fromEntries(names.map((name) => [name, layer[name]]))) };
  }

  /** The levels that the server has told it: 3 is a picture that it goes without. */
  async levels() {
    return (await this.state()).notifies.filter((notify) => notify.event_type === 'network.status').map((notify) => notify.unstable_level);
  }

  /** What became of sound and pictures in so many seconds. */
  async pass(seconds) {
    await this.page.evaluate(() => window.countFreezes('a'));
    const from = await this.state();
    await sleep(seconds * 1000);
    const to = await this.state();
    const since = (kind, name) => (report(to, kind)[name] ?? 0) - (report(from, kind)?.[name] ?? 0);
    return {
      freezes: to.freezes.map(Math.round),
      frames: since('video', 'framesDecoded'),
      kbps: Math.round(since('video', 'bytesReceived') * 8 / seconds / 1000),
      repaired: since('video', 'retransmittedPacketsReceived'),
      concealed: (since('audio', 'concealedSamples') - since('audio', 'silentConcealedSamples')) / since('audio', 'totalSamplesReceived'),
      packets: since('audio', 'packetsReceived'),
      lost: since('audio', 'packetsLost'),
      width: report(to, 'video').frameWidth,
    };
  }
}

function assertNotFrozen(verdict, seconds) {
  assert.deepEqual(verdict.freezes.filter((ms) => ms > FREEZE_MAX), []);
  assert.ok(verdict.frames > seconds * 20, `${verdict.frames} frames in ${seconds} s`);
  assert.ok(verdict.repaired > 10, `there was loss, and it was repaired: ${verdict.repaired}`);
}

function assertSoundIsWhole({ concealed, lost, packets }) {
  assert.ok(concealed < CONCEALED_MAX, `${concealed} of the sound is made up`);
  assert.ok(lost < 0.02 * packets, `${lost} of ${packets} packets of sound are lost`);
}

describe('a subscriber over a bad link', { concurrency: 1, skip }, () => {
  const world = {};
  let link;
  before(async () => {
    link = await Link.start();
    world.server = await Server.start({ host: NEAR });
    world.far = await launch([], { netns: link.netns });
    world.near = await launch();
  });
  /** What became of `seconds`, once more, up to twice, if the machine stood still meanwhile. */
  async function steady(t, pair, seconds) {
    for (let round = 0; ; round += 1) {
      const machine = await link.watchMachine();
      const verdict = await pair.pass(seconds);
      const why = await machine.done();
      if (!why || round === 2) return verdict;
      t.diagnostic(`measured again: ${why}; ${JSON.stringify(verdict)}`);
    }
  }
  after(async () => {
    await world.far?.close();
    await world.near?.close();
    await world.server?.stop();
    link?.close();
  });

  describe('of a track in three layers', { concurrency: 1 }, () => {
    let pair;
    before(async () => {
      pair = await Pair.join(world, { simulcast: true, videoCodecType: 'H264' }, { simulcast: true });
      // A browser that is short of CPU makes its layers smaller, and then the best one is not there to come back.
      await pair.publisher.evaluate(() => window.keepResolution('a'));
      await pair.best(60_000);
    });
    after(async () => { await pair?.close(); });

    test('5 % loss and 50 ms each way: no freeze over 500 ms', { timeout: 90_000 }, async (t) => {
      await link.both(BAD);
      const verdict = await steady(t, pair, 12);
      t.diagnostic(JSON.stringify(verdict));
      assertNotFrozen(verdict, 12);
    });

    test('600 kbit/s: a lower layer within 3 s, and sound stays whole', { timeout: 90_000 }, async (t) => {
      await link.both({ delay: 50 });
      await pair.best(45_000);
      await link.set({ down: NARROW, up: { delay: 50 } });
      const begun = Date.now();
      const [, whole] = await Promise.all([
        pair.until('a lower layer', 3000, async () => (await pair.width()) < 1280).then(() => t.diagnostic(`lower after ${Date.now() - begun} ms`)),
        pair.pass(12),
      ]);
      t.diagnostic(JSON.stringify(whole));
      assertSoundIsWhole(whole);
      assert.ok(whole.width < 1280 && whole.kbps < 600, `${whole.kbps} kbit/s, ${whole.width} wide`);
      assert.ok(whole.frames > 12 * 15, `${whole.frames} frames in 12 s`);
    });

    test('the limit goes: the layer is back within 15 s', { timeout: 60_000 }, async (t) => {
      assert.ok((await pair.width()) < 1280, 'it is lower now');
      await link.both({ delay: 50 });
      const begun = Date.now();
      await pair.until('the best layer', 15_000, async () => (await pair.width()) === 1280);
      t.diagnostic(`back after ${Date.now() - begun} ms`);
      assert.ok((await world.server.metric('minamo_sfu_paddings_out_total')) > 0, 'it was probed for');
    });
  });

  describe('of a track in a single layer', { concurrency: 1 }, () => {
    let pair;
    before(async () => {
      await link.both({ delay: 50 });
      pair = await Pair.join(world, { videoCodecType: 'VP8', videoBitRate: 1500 }, {});
      await pair.publisher.evaluate(() => window.keepResolution('a'));
      const sent = async () => (await pair.pass(1)).kbps;
      await until('1 Mbit/s and more comes', 40_000, async () => (await sent()) > 1000);
    });
    after(async () => { await pair?.close(); });

    test('5 % loss and 50 ms each way: no freeze over 500 ms', { timeout: 90_000 }, async (t) => {
      await link.both(BAD);
      const verdict = await steady(t, pair, 12);
      t.diagnostic(JSON.stringify(verdict));
      assertNotFrozen(verdict, 12);
    });

    test('300 kbit/s: the picture is paused within 3 s, the subscriber is told, and sound is whole', { timeout: 60_000 }, async (t) => {
      await link.both({ delay: 50 });
      await sleep(3000);
      const told = (await pair.levels()).length;
      await link.set({ down: NARROWEST, up: { delay: 50 } });
      // Until that is noticed, five times as much is sent as fits, and sound is lost with it.
      const first = await pair.pass(3);
      const whole = await pair.pass(8);
      const levels = (await pair.levels()).slice(told);
      t.diagnostic(JSON.stringify({ first, whole, levels }));
      assert.ok(levels.includes(3), `it goes without a picture, and is told: ${levels}`);
      assertSoundIsWhole(whole);
      assert.ok(whole.kbps < 60, `${whole.kbps} kbit/s of pictures while they do not fit`);
    });

    test('the limit goes: the picture is back within 15 s', { timeout: 60_000 }, async (t) => {
      await link.both({ delay: 50 });
      const [begun, from] = [Date.now(), (await pair.received()).framesDecoded];
      await until('a picture', 15_000, async () => (await pair.received()).framesDecoded > from + 30);
      t.diagnostic(`back after ${Date.now() - begun} ms`);
      assert.ok((await pair.pass(3)).frames > 3 * 20, 'and it moves on');
    });

    test('negative control: 60 % loss is seen', { timeout: 60_000 }, async (t) => {
      await link.both({ delay: 50, loss: 60 });
      const verdict = await pair.pass(6);
      t.diagnostic(JSON.stringify(verdict));
      assert.throws(() => assertNotFrozen(verdict, 6), 'pictures stand still');
      assert.throws(() => assertSoundIsWhole(verdict), 'sound is made up');
    });
  });
});
