// A real browser publishes over a bad link, and viewers watch its programme: the server in one network namespace, the publisher in
// another. What subscribers get over a bad link is congestion.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { waitForPlaylist } from './lib/hls.mjs';
import { Link, NEAR, enterNamespace } from './lib/link.mjs';
import { Programme } from './lib/programme.mjs';
import { Server, sleep, until } from './lib/server.mjs';

const BAD = { delay: 50, jitter: 10, loss: 5 };
const TERRIBLE = { ...BAD, loss: 60 };
const FREEZE_MAX = 500;

const place = await enterNamespace(import.meta.filename);
const skip = place === 'inside' ? false : `no bad network here, because namespaces cannot be had: ${place}`;
if (skip) console.log(`SKIPPED: ${skip}`);

/** What is wrong with a stretch of a programme; empty when a viewer noticed nothing. */
function complaints(verdict, seconds) {
  const found = [];
  if (verdict.seconds < seconds * 0.7) found.push(`only ${verdict.seconds} s of ${seconds}`);
  if (verdict.gaps) found.push(`${verdict.gaps} gaps`);
  if (verdict.discontinuities) found.push(`${verdict.discontinuities} discontinuities`);
  if (verdict.longestPicture * 1000 > FREEZE_MAX) found.push(`a picture stands for ${verdict.longestPicture} s`);
  if (verdict.longestSound > 0.03) found.push(`${verdict.longestSound} s without sound`);
  if (verdict.pictures < verdict.seconds * 20) found.push(`${verdict.pictures} pictures`);
  return found;
}

const report = (state, type, kind) => state.stats.find((entry) => entry.type === type && entry.kind === kind);
const roundTrip = (state) => state.stats.find((entry) => entry.type === 'candidate-pair' && entry.nominated).currentRoundTripTime;

describe('a bad network', { concurrency: 1, skip }, () => {
  let link, server, far, near;
  before(async () => {
    link = await Link.start();
    server = await Server.start({ host: NEAR });
    far = await launch([], { netns: link.netns });
    near = await launch();
  });
  after(async () => {
    await far?.close();
    await near?.close();
    await server?.stop();
    link?.close();
  });

  describe('between a publisher and the server', { concurrency: 1 }, () => {
    let page, viewer, programme;
    const publisher = () => page.evaluate(() => window.state('a'));
    const player = () => viewer.evaluate(() => window.watchState());
    before(async () => {
      const channel = await server.createChannel();
      page = await far.page();
      await page.waitForFunction(() => window.ready);
      const joined = await page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly'), [channel.sora_url, channel.channel_id]);
      assert.equal(joined.error, undefined, JSON.stringify(joined));
      await page.evaluate(() => window.keepResolution('a'));
      await waitForPlaylist(channel.playlist_url);
      programme = await Programme.watch(channel.playlist_url);
      viewer = await near.page();
      await viewer.waitForFunction(() => window.ready);
      await viewer.evaluate((url) => window.play(url), channel.playlist_url);
      await until('playback begins', 30_000, async () => (await player()).frames > 30);
    });
    after(async () => {
      await link.both({});
      await programme?.stop();
      await page?.close();
      await viewer?.close();
    });

    /** `measure` once more, up to twice, if the machine stood still meanwhile. */
    async function steady(t, measure) {
      for (let round = 0; ; round += 1) {
        const [machine, begun] = [await link.watchMachine(), report(await publisher(), 'outbound-rtp', 'video')];
        const verdict = await measure();
        const end = report(await publisher(), 'outbound-rtp', 'video');
        const rate = (end.framesEncoded - begun.framesEncoded) * 1000 / (end.timestamp - begun.timestamp);
        const why = await machine.done() ?? (rate < 27 ? `the browser encoded only ${rate} pictures a second` : undefined);
        if (!why || round === 2) return verdict;
        t.diagnostic(`measured again: ${why}; ${JSON.stringify(verdict)}`);
        await link.both({});
        await sleep(4000);
      }
    }

    /** Lets `seconds` of the programme pass under these conditions; answers what became of them. */
    async function pass(conditions, seconds) {
      await link.set(conditions);
      const from = { ...programme.next };
      const before = await player();
      await sleep(seconds * 1000);
      const now = await player();
      const verdict = { ...await programme.judge(from), played: now.currentTime - before.currentTime, latency: now.latency };
      verdict.shownApart = Math.round(Math.max(...now.gaps.slice(before.gaps.length)));
      verdict.stalls = now.errors.slice(before.errors.length).filter((error) => error.fatal || error.details === 'bufferStalledError').length;
      return verdict;
    }

    test('of 5 % loss and 50 ± 10 ms is not seen by viewers', { timeout: 120_000 }, async (t) => {
      const verdict = await steady(t, () => pass({ up: BAD, down: BAD }, 15));
      t.diagnostic(JSON.stringify(verdict));
      assert.deepEqual(complaints(verdict, 15), []);
      assert.equal(verdict.stalls, 0, 'hls.js never stalls');
      assert.ok(verdict.played > 13, `it played ${verdict.played} s of 15`);
      const { retransmittedPacketsSent: repaired } = report(await publisher(), 'outbound-rtp', 'video');
      assert.ok(repaired > 10, `there was loss, and it was repaired: ${repaired}`);
    });

    test('of 600 kbit/s: the sender adapts, nothing queues, viewers stay as near', { timeout: 120_000 }, async (t) => {
      const begun = report(await publisher(), 'outbound-rtp', 'video');
      const verdict = await steady(t, () => pass({ up: { delay: 20, rate: 600, queue: 1000 }, down: { delay: 20 } }, 14));
      const end = await publisher();
      const [sent, way] = [report(end, 'outbound-rtp', 'video'), roundTrip(end)];
      const rate = (sent.bytesSent - begun.bytesSent) * 8 / (sent.timestamp - begun.timestamp);
      const edge = await server.metric('minamo_hls_live_latency_seconds');
      t.diagnostic(JSON.stringify({ ...verdict, kbps: Math.round(rate), roundTripMs: Math.round(way * 1000), edge }));
      assert.deepEqual(complaints(verdict, 14), []);
      assert.ok(rate > 100 && rate < 620, `video of ${rate} kbit/s`);
      assert.ok(way < 0.5, `round trip ${way} s: the queue of 1 s is not filled`);
      assert.ok(edge < 2, `the programme's edge is ${edge} s behind`);
      assert.ok(verdict.latency < 5, `hls.js is ${verdict.latency} s behind`);
    });

    test('that is down for 5 s: the session survives and the programme goes on', { timeout: 90_000 }, async (t) => {
      const from = { ...programme.next };
      await link.both({ delay: 20 });
      await sleep(1500);
      await link.both({ loss: 100 });
      await sleep(5000);
      await link.both({ delay: 20 });
      const frozen = (await player()).currentTime;
      await until('hls.js plays beyond the hole', 30_000, async () => (await player()).currentTime > frozen + 8);
      const hole = await programme.judge(from);
      const state = await publisher();
      assert.equal(state.disconnected, null, 'the publisher is still connected');
      assert.ok(hole.longestPicture > 4.5 && hole.longestPicture < 8, `pictures are back soon after 5 s: ${JSON.stringify(hole)}`);
      assert.ok(hole.longestSound < 0.03, 'silence stands for the sound');
      const verdict = await steady(t, () => pass({}, 8));
      t.diagnostic(JSON.stringify({ hole, verdict }));
      assert.deepEqual(complaints(verdict, 8), [], 'as if nothing had been');
    });

    test('negative control: 60 % loss does not pass', { timeout: 60_000 }, async (t) => {
      const verdict = await pass({ up: TERRIBLE, down: TERRIBLE }, 8);
      t.diagnostic(JSON.stringify({ verdict, complaints: complaints(verdict, 8) }));
      assert.notDeepEqual(complaints(verdict, 8), []);
    });
  });
});
