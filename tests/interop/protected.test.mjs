// Who may watch: AES-128 with an application's key server, signed URLs; and what an application says to viewers: timed metadata, captions.
// npm hls-parser reads every form of playlist.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launch } from './lib/browser.mjs';
import { media, playFor, probe, renditions, waitForPlaylist } from './lib/hls.mjs';
import { KeyServer } from './lib/keys.mjs';
import { parseAll, parsed } from './lib/parser.mjs';
import { ROOT, Server, until } from './lib/server.mjs';

const STRICT = process.env.MINAMO_LLHLS ?? path.join(ROOT, 'target/debug/minamo-llhls');
const HLS = { hls: [{ durationSeconds: 1, startTimeOffset: -2, video: { width: 640, height: 480, fps: 30, bps: 800000 }, audio: { bps: 96000 } }] };
let server, browser, keys;
before(async () => {
  server = await Server.start({ env: { MINAMO_HLS__KEY_ROTATION_SEGMENTS: '4' } });
  keys = await KeyServer.start(server);
  browser = await launch(['--ignore-certificate-errors']);
});
after(async () => {
  await browser?.close();
  keys?.close();
  await server?.stop();
});

async function channel(settings) {
  const { status, body } = await server.api('ImageFlux_20180905.CreateChannel', { ...HLS, ...settings });
  assert.equal(status, 200, JSON.stringify(body));
  const page = await browser.page();
  await page.waitForFunction(() => window.ready);
  const joined = await page.evaluate(([url, id]) => window.join('a', url, id, 'sendonly', {}, { kind: 'camera', width: 640, height: 480 }), [body.sora_url, body.channel_id]);
  assert.equal(joined.error, undefined, JSON.stringify(joined));
  await page.evaluate(() => window.keepResolution('a'));
  return { ...body, end: () => page.close() };
}

async function rest(at, body) {
  const headers = { authorization: `Bearer ${server.token}`, 'content-type': 'application/json' };
  const response = await fetch(`${server.base}/v1/channels/${at}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() };
}

async function strict(...more) {
  const done = await promisify(execFile)(STRICT, more, { timeout: 60_000 }).catch((error) => error);
  return { code: done.code ?? 0, output: `${done.stdout}${done.stderr}` };
}

const errorType = async (url) => {
  const response = await fetch(url);
  return [response.status, response.ok ? null : (await response.json()).error_type];
};

test('an encrypted channel plays with the keys of its application, and not without them', { timeout: 120_000 }, async () => {
  const made = await channel({ encrypt_key_uri: keys.url });
  await waitForPlaylist(made.playlist_url);
  const { video, audio } = await renditions(made.playlist_url);
  const { text } = await until('a first key', 20_000, async () => {
    const playlist = await media(video);
    return playlist.text.includes('#EXT-X-KEY') && playlist;
  });
  assert.match(text, /^#EXT-X-KEY:METHOD=AES-128,URI="https:\/\/127\.0\.0\.1:\d+\/keys\?room=summer&kid=[0-9a-f]{40}",IV=0x[0-9A-F]{32}$/m);
  assert.ok(text.indexOf('#EXT-X-KEY') < text.indexOf('#EXT-X-MAP'), 'the key holds for the init section');
  assert.match(text, /^#EXT-X-START:TIME-OFFSET=-2$/m);

  const read = await parseAll(made.playlist_url);
  assert.equal(read['video.m3u8'].segments.find((segment) => segment.key).key.method, 'AES-128');

  const viewer = await browser.page();
  const { advanced, after: state } = await playFor(viewer, made.playlist_url, 8);
  assert.ok(advanced > 6.5, `${advanced} s in 8 s: ${JSON.stringify(state)}`);
  assert.deepEqual(state.errors, []);
  assert.ok(state.frames > 100 && state.latency < 4, JSON.stringify(state));
  assert.ok(new Set(keys.given).size >= 2, `keys rotate: ${keys.given}`);
  assert.ok(keys.asked.every((one) => one.room === 'summer' && one.kid));
  await viewer.close();

  assert.deepEqual((await probe(made.playlist_url)).map((stream) => stream.codec_name).sort(), ['aac', 'h264']);
  const judged = await strict('--seconds', '8', '--api-token', server.token, made.playlist_url);
  assert.deepEqual([judged.code, /(\d+) violations/.exec(judged.output)?.[1]], [0, '0'], judged.output);
  const doubted = await strict('--seconds', '8', '--api-token', server.token, '--sabotage', made.playlist_url);
  assert.equal(doubted.code, 1, doubted.output);

  // Without keys: the player says so and shows nothing; what is fetched is no media.
  keys.open = false;
  const outsider = await browser.page();
  await outsider.waitForFunction(() => window.ready);
  await outsider.evaluate((playlist) => window.play(playlist), made.playlist_url);
  const refused = await until('the player is refused', 20_000, async () => {
    const now = await outsider.evaluate(() => window.watchState());
    return now.errors.some((error) => error.details === 'keyLoadError') && now;
  });
  assert.equal(refused.frames, 0);
  await outsider.close();
  await assert.rejects(probe(made.playlist_url), 'ffprobe without keys');
  const { segments } = await media(audio);
  const bytes = Buffer.from(await (await fetch(segments.at(-1).uri)).arrayBuffer());
  assert.equal(bytes.length % 16, 0);
  assert.ok(!bytes.includes('moof') && !bytes.includes('mdat'));
  keys.open = true;

  // Keys outlive the process; they end with their channel.
  const kid = keys.given.at(-1);
  const before = (await server.api('ImageFlux_20200707.GetEncryptKey', { kid })).body.encrypt_key;
  assert.match(before, /^[0-9a-f]{32}$/);
  await server.api('ImageFlux_20180501.DeleteChannel', { channel_id: made.channel_id });
  const gone = await server.api('ImageFlux_20200707.GetEncryptKey', { kid });
  assert.deepEqual([gone.status, gone.body.error_type], [404, 'UNKNOWN_KEY']);
  await made.end();
});

test('signed URLs open in time, go on, and open nothing after', { timeout: 120_000 }, async () => {
  const made = await channel({ signed_urls: true });
  const sign = async (seconds) => (await rest(`${made.channel_id}/playlist-url`, { expires_in: seconds })).body;
  const { playlist_url: long, expires_at } = await sign(600);
  assert.ok(Math.abs(Date.parse(expires_at) - Date.now() - 600_000) < 10_000);
  await waitForPlaylist(long);
  assert.deepEqual(await errorType(made.playlist_url), [403, 'SIGNATURE_MISSING']);
  assert.deepEqual(await errorType(long.replace(/signature=./, 'signature=x')), [403, 'SIGNATURE_WRONG']);
  const { video } = await renditions(long);
  assert.equal((await fetch(video)).status, 200);
  assert.deepEqual(await errorType(video.split('?')[0]), [403, 'SIGNATURE_MISSING']);
  const { segments } = await media(video);
  assert.equal((await fetch(segments.at(-1).uri)).status, 200);
  assert.deepEqual(await errorType(segments.at(-1).uri.split('?')[0]), [403, 'SIGNATURE_WRONG']);

  const { playlist_url: short } = await sign(8);
  const viewer = await browser.page();
  const { advanced, after: state } = await playFor(viewer, short, 10);
  assert.deepEqual(await errorType(short), [403, 'URL_EXPIRED']);
  assert.ok(advanced > 8, `who has begun goes on: ${advanced} s in 10 s ${JSON.stringify(state)}`);
  assert.deepEqual(state.errors, []);
  await viewer.close();
  const judged = await strict('--seconds', '6', long);
  assert.deepEqual([judged.code, /(\d+) violations/.exec(judged.output)?.[1]], [0, '0'], judged.output);
  await made.end();
});

test('timed metadata reaches the player once, in every rendition', { timeout: 60_000 }, async () => {
  const made = await channel({});
  await waitForPlaylist(made.playlist_url);
  const viewer = await browser.page();
  await viewer.waitForFunction(() => window.ready);
  await viewer.evaluate((playlist) => {
    window.play(playlist);
    window.ranges = {};
    window.watching.hls.on('hlsLevelUpdated', (_, { details }) => {
      for (const [id, range] of Object.entries(details.dateRanges)) window.ranges[id] = { ...range.attr, start: range.startTime };
    });
  }, made.playlist_url);
  const told = await rest(`${made.channel_id}/metadata`, { id: 'goal-1', class: 'com.example.goal', attributes: { 'X-SCORE': '1:0' } });
  assert.deepEqual([told.status, told.body.id], [200, 'goal-1'], JSON.stringify(told.body));
  const range = await until('hls.js has it', 10_000, () => viewer.evaluate(() => window.ranges['goal-1']));
  assert.deepEqual([range.CLASS, range['X-SCORE'], range.DURATION], ['com.example.goal', '1:0', '0.000']);
  const { video, audio } = await renditions(made.playlist_url);
  for (const url of [video, audio]) assert.match((await media(url)).text, /^#EXT-X-DATERANGE:ID="goal-1",/m);
  const changed = await rest(`${made.channel_id}/metadata`, { id: 'goal-1', start_date: told.body.start_date, attributes: { 'X-SCORE': '2:0' } });
  assert.deepEqual([changed.status, changed.body.error_type], [409, 'ID_USED']);
  const silent = await rest('nobody/metadata', {});
  assert.deepEqual([silent.status, silent.body.error_type], [404, 'UNKNOWN_CHANNEL']);
  await viewer.close();
  await made.end();
});

test('every playlist is read by others, captions too', { timeout: 60_000 }, async () => {
  const made = await channel({ captions: [{ language: 'en', name: 'English' }, { language: 'ja', name: '日本語' }] });
  await waitForPlaylist(made.playlist_url);
  const foreign = await rest(`${made.channel_id}/captions`, { language: 'fr', cues: [{ start: 1, end: 2, text: 'x' }] });
  assert.deepEqual([foreign.status, foreign.body.error_type], [404, 'NO_CAPTIONS']);

  const read = await parseAll(made.playlist_url);
  assert.deepEqual(Object.keys(read).sort(), ['audio.m3u8', 'captions-1.m3u8', 'captions.m3u8', 'iframes.m3u8', 'multivariant', 'video.m3u8']);
  assert.ok(read['iframes.m3u8'].isIFrame && read['video.m3u8'].lowLatencyCompatibility.canBlockReload);
  // Negative control: what is wrong is found.
  const { video } = await renditions(made.playlist_url);
  const { text } = await media(video);
  assert.throws(() => parsed(text.replace(/TARGETDURATION:\d+/, 'TARGETDURATION:0')));
  assert.throws(() => parsed(text.replace(/#EXT-X-PART-INF[^\n]*\n/, '')));
  await made.end();
});
