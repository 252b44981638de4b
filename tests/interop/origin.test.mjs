// The origin itself: HTTP/2, requests that are given up, and readers that do not read.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { media, waitForPlaylist } from './lib/hls.mjs';
import { Server, until } from './lib/server.mjs';

const WAITING = 100;
let server, folder;

before(async () => {
  server = await Server.start({ command: 'demo' });
  const playlist = (await until('the demo prints its URLs', 10_000, () => /https?:\/\/\S+\/playlist\.m3u8/.exec(server.output)))[0];
  await waitForPlaylist(playlist);
  folder = new URL('.', playlist).pathname;
});
after(() => server?.stop());

/** Number of the segment that is being written, and the last complete one's name. */
async function edge() {
  const { segments, msn } = await media(`${server.base}${folder}video.m3u8`);
  return { open: msn + segments.length, segment: segments.at(-1).uri.split('/').at(-1) };
}

/** A GET on an HTTP/2 session: {stream, answer}. */
function ask(session, path) {
  const stream = session.request({ ':path': path });
  const answer = new Promise((resolve, reject) => {
    let status;
    const chunks = [];
    stream.on('response', (headers) => { status = headers[':status']; });
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => resolve({ status, body: Buffer.concat(chunks) }));
    stream.on('error', reject);
  });
  answer.catch(() => {});
  return { stream, answer };
}

/** HTTP/2 by prior knowledge; TLS offers it by ALPN. */
function connect() {
  const session = http2.connect(server.base);
  session.on('error', () => {});
  return session;
}

const waiting = async () => Number(/^minamo_hls_blocked_requests (\S+)/m.exec(await (await fetch(`${server.base}/metrics`)).text())?.[1] ?? 0);

test('HTTP/2: one connection waits a hundred times, and is answered meanwhile', { timeout: 60_000 }, async () => {
  const session = connect();
  try {
    const { open, segment } = await edge();
    const path = `${folder}video.m3u8?_HLS_msn=${open + 1}&_HLS_part=0`;
    const asked = Array.from({ length: WAITING }, () => ask(session, path).answer);
    const whole = await ask(session, folder + segment).answer;
    const same = Buffer.from(await (await fetch(`${server.base}${folder}${segment}`)).arrayBuffer());
    assert.ok(whole.status === 200 && whole.body.equals(same), 'a segment comes past those who wait');
    const answers = await Promise.all(asked);
    assert.ok(answers.every(({ status, body }) => status === 200 && body.equals(answers[0].body)));
    assert.match(answers[0].body.toString(), new RegExp(`v-${open + 1}\\.0\\.m4s`));
  } finally {
    session.close();
  }
});

/** Asks for what is not there yet, sees that it waits, gives up, and sees that nothing waits any more. */
async function givenUp(begin) {
  await until('nobody waits', 10_000, async () => (await waiting()) === 0);
  for (;;) {
    const { open } = await edge();
    const giveUp = begin(`${folder}video.m3u8?_HLS_msn=${open + 1}`);
    // A segment may have ended in between: then again.
    const seen = await until('all wait', 1500, async () => (await waiting()) >= WAITING).catch(() => false);
    giveUp();
    if (seen) break;
  }
  const { open } = await edge();
  await until('their places are free', 10_000, async () => (await waiting()) === 0);
  assert.ok((await edge()).open <= open + 1, 'freed before they would have been answered');
}

test('HTTP/2: a stream that is reset frees its place', { timeout: 60_000 }, async () => {
  const session = connect();
  try {
    await givenUp((path) => {
      const streams = Array.from({ length: WAITING }, () => ask(session, path).stream);
      return () => streams.forEach((stream) => stream.close(http2.constants.NGHTTP2_CANCEL));
    });
    assert.equal((await ask(session, `${folder}video.m3u8`).answer).status, 200, 'the connection lives on');
  } finally {
    session.close();
  }
});

test('HTTP/1.1: a connection that is closed frees its place', { timeout: 60_000 }, async () => {
  await givenUp((path) => {
    const requests = Array.from({ length: WAITING }, () => http.get(server.base + path, { agent: false }).on('error', () => {}));
    return () => requests.forEach((request) => request.destroy());
  });
});

const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))[1]);

test('readers that do not read cost bounded memory, and nobody else anything', { timeout: 60_000 }, async () => {
  const { segment } = await edge();
  const size = (await (await fetch(`${server.base}${folder}${segment}`)).arrayBuffer()).byteLength;
  const request = `GET ${folder}${segment} HTTP/1.1\r\nhost: x\r\n\r\n`.repeat(40);
  const before = resident();
  const sockets = Array.from({ length: 200 }, () => {
    const socket = net.connect(server.port, '127.0.0.1').on('error', () => {});
    socket.pause();
    socket.write(request);
    return socket;
  });
  try {
    await waitForPlaylist(`${server.base}${folder}playlist.m3u8`);
    // Their answers are 200 × 40 segments, of which each connection holds one at a time, and all the same.
    const { open } = await edge();
    await until('two segments are written meanwhile', 20_000, async () => (await edge()).open >= open + 2);
    const grown = resident() - before;
    assert.ok(grown < 48 * 1024, `${grown} KiB more for ${200 * 40 * size / 1024} KiB of answers`);
    // The negative control: who reads gets all of them.
    let taken = 0;
    await new Promise((resolve) => {
      sockets[0].on('data', (chunk) => { taken += chunk.length; if (taken > 40 * size) resolve(); }).on('close', resolve).resume();
    });
    assert.ok(taken > 40 * size);
  } finally {
    sockets.forEach((socket) => socket.destroy());
  }
});
