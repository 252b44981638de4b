// Bad input from outside: the one who sends it is told, nobody else notices, memory does not grow.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { launch } from './lib/browser.mjs';
import { BINARY, Server, sleep, until } from './lib/server.mjs';

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Opens signaling, sends `messages`, answers the close code and reason and what came. */
function talk(url, messages, { wait = 20_000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const received = [];
    const timer = setTimeout(() => { socket.terminate(); reject(new Error(`still open after ${wait} ms; got ${received}`)); }, wait);
    socket.on('open', () => { for (const message of messages) socket.send(message); });
    socket.on('message', (data) => received.push(String(data).slice(0, 200)));
    socket.on('close', (code, reason) => { clearTimeout(timer); resolve({ code, reason: String(reason), received }); });
    socket.on('error', () => {});
  });
}

test('the API says what is wrong, and where', { timeout: 30_000 }, async () => {
  const target = 'ImageFlux_20180905.CreateChannel';
  const hls = (video) => ({ hls: [{ video, audio: { bps: 64000 } }] });
  const good = { width: 640, height: 480, fps: 30, bps: 1000000 };
  assert.equal((await server.api(target, hls(good), { token: null })).status, 401);
  assert.equal((await server.api(target, hls(good), { token: 'wrong' })).status, 401);
  assert.equal((await server.api('ImageFlux_20180905.Nonsense', {})).status, 400);
  assert.equal((await server.api(target, '{"hls":[')).status, 400);
  for (const [body, field] of [
    [hls({ ...good, width: 0 }), /width/], [hls({ ...good, fps: 10000 }), /fps/], [{ hls: Array(100).fill(hls(good).hls[0]) }, /hls/],
  ]) {
    const { status, body: answer } = await server.api(target, body);
    assert.equal(status, 400);
    assert.match(answer.error, field);
    assert.equal(typeof answer.error_type, 'string');
  }
  assert.equal((await server.api(target, hls(good))).status, 200, 'control: a good request passes');
});

test('hostile signaling ends that connection alone, with a reason', { timeout: 120_000 }, async () => {
  const channel = await server.createChannel();
  const { body: room } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
  const page = await browser.page();
  await page.waitForFunction(() => window.ready);
  const joined = await page.evaluate(([url, id]) => window.join('good', url, id, 'sendonly'), [room.sora_url, room.channel_id]);
  assert.equal(joined.error, undefined);

  const connect = (extra = {}) => JSON.stringify({ type: 'connect', role: 'sendrecv', channel_id: room.channel_id, audio: true, video: true, ...extra });
  const cases = {
    'not JSON': ['hello'],
    'half a message': ['{"type":"conn'],
    'no type': ['{}'],
    'unknown channel': [connect({ channel_id: 'nope' })],
    'bad role': [connect({ role: 'admin' })],
    'answer before the offer': [JSON.stringify({ type: 'answer', sdp: 'v=0' })],
    'SDP that is not SDP': [connect(), JSON.stringify({ type: 'answer', sdp: 'garbage' })],
    'a second connect': [connect(), connect()],
    'binary frames': [randomBytes(100)],
    'a megabyte of SDP': [connect(), JSON.stringify({ type: 'answer', sdp: 'a'.repeat(1_000_000) })],
    'five megabytes': ['x'.repeat(5_000_000)],
  };
  for (const [name, messages] of Object.entries(cases)) {
    const { code, reason } = await talk(room.sora_url, messages);
    assert.ok(code === 4490 || (name === 'five megabytes' && code !== 1000), `${name}: ${code} ${reason}`);
    if (code === 4490) assert.ok(reason.length > 0, `${name} has a reason`);
  }
  const silent = await talk(channel.sora_url, [], { wait: 40_000 });
  assert.ok(silent.code >= 1000, `silence ends: ${silent.code} ${silent.reason}`);

  const before = (await page.evaluate(() => window.state('good'))).stats.find((r) => r.type === 'outbound-rtp' && r.kind === 'video').framesEncoded;
  await sleep(1500);
  const state = await page.evaluate(() => window.state('good'));
  assert.equal(state.disconnected, null, 'the good peer noticed nothing');
  assert.ok(state.stats.find((r) => r.type === 'outbound-rtp' && r.kind === 'video').framesEncoded > before + 15);
  await page.close();
});

test('garbage on the media port is dropped and counted, and memory does not grow', { timeout: 60_000 }, async () => {
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))[1]);
  const socket = dgram.createSocket('udp4');
  const send = (data) => new Promise((resolve) => socket.send(data, server.port, '127.0.0.1', resolve));
  const kinds = [
    () => randomBytes(1 + Math.floor(Math.random() * 1400)),
    () => Buffer.concat([Buffer.from([0x00, 0x01, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42]), randomBytes(20)]),
    () => Buffer.concat([Buffer.from([22, 0xfe, 0xfd]), randomBytes(60)]),
    () => Buffer.concat([Buffer.from([0x80, 111]), randomBytes(100)]),
    () => Buffer.concat([Buffer.from([0x80, 200]), randomBytes(30)]),
    () => Buffer.alloc(0),
  ];
  after(() => socket.close());
  const flood = async (count) => { for (let i = 0; i < count; i += 1) await send(kinds[i % kinds.length]()); };
  await flood(3000);
  const before = rss();
  await flood(20_000);
  await sleep(1500);
  assert.ok(rss() - before < 8_192, `grew by ${rss() - before} KiB`);
  assert.ok(await until('drops are counted', 5000, () => server.metric('minamo_sfu_dropped_total')) > 1000);
  assert.equal((await fetch(`${server.base}/healthz`)).status, 200);
});

test('a start that cannot work is one clear line and an exit code', { timeout: 30_000 }, async () => {
  const start = (env) => spawnSync(BINARY, ['serve'], { env: { ...process.env, MINAMO_DATA_DIR: server.dataDir + '-x', ...env }, timeout: 15_000, encoding: 'utf8' });
  const blocker = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => blocker.once('listening', resolve));
  const taken = start({ MINAMO_HTTP__LISTEN: `127.0.0.1:${blocker.address().port}` });
  blocker.close();
  assert.notEqual(taken.status, 0);
  assert.match(taken.stderr, /in use/i);
  const folder = start({ MINAMO_DATA_DIR: '/proc/minamo', MINAMO_HTTP__LISTEN: '127.0.0.1:0' });
  assert.notEqual(folder.status, 0);
  assert.match(folder.stderr, /\/proc\/minamo/);
  const key = start({ MINAMO_HTTP__LISTN: '127.0.0.1:0' });
  assert.notEqual(key.status, 0);
  assert.match(key.stderr, /listn/i);
  for (const result of [taken, folder, key]) assert.ok(result.stderr.trim().split('\n').length <= 2, result.stderr);
});
