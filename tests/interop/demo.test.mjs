// `minamo demo`, the same as `make run`: watched by hls.js, measured for skew and latency, judged by the strict HLS client.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { playFor, probe, waitForPlaylist } from './lib/hls.mjs';
import { Server, ROOT, sleep, until } from './lib/server.mjs';
import { measureSkew, quantile } from './lib/skew.mjs';

const STRICT = process.env.MINAMO_LLHLS ?? path.join(ROOT, 'target/debug/minamo-llhls');
let server, player, playlist, watchUrl;

before(async () => {
  server = await Server.start({ command: 'demo' });
  playlist = (await until('the demo prints its URLs', 10_000, () => /https?:\/\/\S+\/playlist\.m3u8/.exec(server.output)))[0];
  watchUrl = (await until('the demo prints its watch page', 10_000, () => /https?:\/\/\S+\/watch\/\S+/.exec(server.output)))[0];
  player = await launch();
});
after(async () => {
  await player?.close();
  await server?.stop();
});

/** Runs the strict client; answers its exit code and what it printed. */
function strict(...args) {
  const child = spawn(STRICT, [...args, playlist], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (data) => { output += data; });
  return new Promise((resolve) => child.once('exit', (code) => resolve({ code, output })));
}

test('the demo plays, in sync, at low latency, and breaks no rule in two minutes', { timeout: 300_000 }, async (t) => {
  const started = Date.now();
  await waitForPlaylist(playlist);
  const judged = strict('--seconds', '120');
  const codecs = (await probe(playlist)).map((stream) => stream.codec_name).sort();
  assert.deepEqual(codecs, ['aac', 'h264']);

  const page = await player.page();
  const { advanced, after: state } = await playFor(page, playlist, 10);
  assert.ok(advanced >= 8, `advanced ${advanced} s: ${JSON.stringify(state)}`);
  assert.deepEqual(state.errors, []);

  await sleep(5000);
  const { found, unreadable } = await page.evaluate(() => window.readClock(600));
  assert.ok(found.length > 300, `the picture's clock can be read: ${found.length} read, ${unreadable} not`);
  const [p50, p95] = [quantile(found, 0.5), quantile(found, 0.95)];
  t.diagnostic(`live latency in hls.js, glass to glass by the picture's clock: p50 ${p50} ms, p95 ${p95} ms`);
  assert.ok(p50 > 200 && p50 < 6000, `a latency that can be true: ${p50} ms`);
  await page.close();

  await sleep(Math.max(0, started + 62_000 - Date.now()));
  const skews = await measureSkew(playlist);
  assert.ok(skews.length >= 4, `enough flashes with beeps: ${skews}`);
  const worst = Math.max(...skews.map(Math.abs));
  t.diagnostic(`audio/video skew after 60 s: median ${quantile(skews, 0.5).toFixed(1)} ms, worst ${worst.toFixed(1)} ms`);
  assert.ok(worst <= 40, `skew ${skews.map((skew) => skew.toFixed(1))} ms`);

  const verdict = await judged;
  t.diagnostic(verdict.output.trim().split('\n').at(-1));
  assert.equal(verdict.code, 0, verdict.output);
});

test('negative control: the strict client finds a fault when there is one', { timeout: 60_000 }, async () => {
  const verdict = await strict('--seconds', '8', '--sabotage');
  assert.equal(verdict.code, 1, verdict.output);
  assert.match(verdict.output, /violation/i);
});

test('the watch page says live and shows latency', { timeout: 60_000 }, async () => {
  const page = await player.page(watchUrl);
  await page.getByText(/^live$/i).first().waitFor({ timeout: 20_000 });
  await until('the watch page plays', 20_000, () => page.evaluate(() => document.querySelector('video').currentTime > 1));
  await page.close();
});

test('SIGTERM ends the programme: ENDLIST, exit code 0', { timeout: 60_000 }, async () => {
  const media = playlist.replace(/playlist\.m3u8$/, 'video.m3u8');
  let ended = false;
  const watching = (async () => {
    for (let i = 0; i < 200 && !ended; i += 1) {
      try { ended = (await (await fetch(media)).text()).includes('#EXT-X-ENDLIST'); } catch { break; }
      await sleep(20);
    }
  })();
  const { code } = await server.stop();
  await watching;
  assert.equal(code, 0, server.output.slice(-2000));
  assert.ok(ended, 'the playlist ended before the server went');
});
