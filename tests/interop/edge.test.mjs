// deploy/nginx.conf in the real nginx: a stampede costs the origin one request per object, errors are soon forgotten, ranges work.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { media, waitForPlaylist } from './lib/hls.mjs';
import { countingProxy, startEdge } from './lib/nginx.mjs';
import { Server, until } from './lib/server.mjs';

const CROWD = 200;
let server, origin, edge, folder;

before(async () => {
  server = await Server.start({ command: 'demo' });
  const playlist = (await until('the demo prints its URLs', 10_000, () => /https?:\/\/\S+\/playlist\.m3u8/.exec(server.output)))[0];
  await waitForPlaylist(playlist);
  origin = await countingProxy(server.port);
  edge = await startEdge(origin.port);
  folder = new URL('.', playlist).pathname;
});
after(async () => {
  await edge?.stop();
  origin?.close();
  await server?.stop();
});

/** One GET on a connection of its own: {status, headers, body}. */
const get = (base, path, headers = {}) => new Promise((resolve, reject) => {
  http.get(base + path, { agent: false, headers }, (answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }));
    answer.on('error', reject);
  }).on('error', reject);
});

/** Many at once; all must get the same whole answer. `path` may depend on the number. */
async function stampede(base, path, headers) {
  const paths = Array.from({ length: CROWD }, (_, index) => (typeof path === 'function' ? path(index) : path));
  const answers = await Promise.all(paths.map((one) => get(base, one, headers)));
  for (const answer of answers) {
    assert.equal(answer.status, 200);
    assert.ok(answer.body.equals(answers[0].body), 'everybody gets the same');
  }
  return answers[0];
}

/** Where the live edge is: {open, parts, last, hint}. */
async function liveEdge() {
  const { text, segments, msn } = await media(`${server.base}${folder}video.m3u8`);
  const open = msn + segments.length;
  const parts = text.split(`v-${open}.`).length - 1;
  return { open, parts, last: /URI="(v-\d+\.\d+\.m4s)"[^\n]*\n#EXT-X-PRELOAD/.exec(text)?.[1], hint: /PRELOAD-HINT:TYPE=PART,URI="([^"]+)"/.exec(text)[1], segment: segments.at(-1).uri };
}

test('a stampede for a playlist that is waited for is one request, whatever the order of its parameters', { timeout: 60_000 }, async () => {
  const { open } = await liveEdge();
  const [msn, part] = [`_HLS_msn=${open + 1}`, '_HLS_part=1'];
  const answer = await stampede(edge.base, (index) => `${folder}video.m3u8?${[`${msn}&${part}`, `${part}&${msn}`, `utm=x&${msn}&${part}&_HLS_other=${index}`][index % 3]}`);
  assert.match(answer.body.toString(), new RegExp(`v-${open + 1}\\.1\\.m4s`));
  assert.equal(origin.of(`_HLS_msn=${open + 1}`), 1);
  assert.match(answer.headers['cache-control'], /max-age=24/);
});

test('a stampede for a hinted part, a part and a segment is one request each', { timeout: 60_000 }, async () => {
  const { hint } = await liveEdge();
  const hinted = await stampede(edge.base, folder + hint);
  assert.equal(origin.of(hint), 1);
  assert.ok(hinted.body.equals((await get(server.base, folder + hint)).body));
  const { segment } = await liveEdge();
  const name = segment.split('/').at(-1);
  const whole = await stampede(edge.base, folder + name);
  assert.equal(origin.of(name), 1);
  assert.equal(whole.headers['access-control-allow-origin'], '*');
  const range = await get(edge.base, folder + name, { range: 'bytes=100-299' });
  assert.equal(range.status, 206);
  assert.ok(range.body.equals(whole.body.subarray(100, 300)));
  assert.equal(origin.of(name), 1, 'a range comes from the cache');
});

test('the plain live playlist is one request per second at most, and goes on', { timeout: 60_000 }, async () => {
  const path = `${folder}audio.m3u8`;
  const before = (await stampede(edge.base, path)).body.toString();
  assert.ok(origin.of('audio.m3u8') <= 2, 'a second may end while they come');
  await until('the playlist goes on', 10_000, async () => (await get(edge.base, path)).body.toString() !== before);
});

test('compressed and plain answers do not mix', { timeout: 60_000 }, async () => {
  const { open } = await liveEdge();
  const path = `${folder}video.m3u8?_HLS_msn=${open}`;
  const packed = await stampede(edge.base, path, { 'accept-encoding': 'gzip, deflate, br' });
  assert.equal(packed.headers['content-encoding'], 'gzip');
  const plain = await get(edge.base, path);
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.match(plain.body.toString(), /^#EXTM3U/);
});

test('an error is one request, and forgotten after a second', { timeout: 60_000 }, async () => {
  const path = `${folder}v-1.m4s`;
  const answers = await Promise.all(Array.from({ length: CROWD }, () => get(edge.base, path)));
  assert.ok(answers.every((answer) => answer.status === 404));
  const first = origin.of('v-1.m4s');
  assert.ok(first <= 2, `${first} requests for one error`);
  await until('it is asked for again', 5000, async () => {
    await get(edge.base, path);
    return origin.of('v-1.m4s') > first;
  });
});

test('the rest of the product passes', { timeout: 30_000 }, async () => {
  assert.equal((await get(edge.base, '/healthz')).status, 200);
  assert.equal((await get(edge.base, '/v1/channels/none')).status, 401);
});

test('negative control: without collapsing the origin hears the whole crowd', { timeout: 60_000 }, async () => {
  const bad = await startEdge(origin.port, (text) => text.replace('proxy_cache_lock on;', 'proxy_cache_lock off;'));
  try {
    const { open } = await liveEdge();
    await stampede(bad.base, `${folder}video.m3u8?_HLS_msn=${open + 1}&_HLS_part=0`);
    assert.ok(origin.of(`_HLS_msn=${open + 1}&_HLS_part=0`) > CROWD / 2);
  } finally {
    await bad.stop();
  }
});
