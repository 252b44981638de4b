// Clients whose network lets no UDP through, or that may only relay: TURN over UDP and TCP, ICE-TCP, IPv6; unmodified sora-js-sdk.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { launch } from './lib/browser.mjs';
import { PythonTurn } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';

let server, browser;
before(async () => {
  server = await Server.start({ env: { MINAMO_RTC__TURN: 'always' } });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/**
 * Runs in the page before the SDK: every RTCPeerConnection is made with `policy` and only those TURN URLs that contain `urls`, with
 * `credential` if given; of what the server offers only candidates that contain `candidates` are seen.
 */
function network({ policy, urls, credential, candidates }) {
  const Native = window.RTCPeerConnection;
  window.pcs = [];
  window.RTCPeerConnection = class extends Native {
    constructor(config = {}) {
      const iceServers = (config.iceServers ?? []).map((server) => ({ ...server, credential: credential ?? server.credential, urls: server.urls.filter((url) => urls && url.includes(urls)) }));
      super({ ...config, iceServers: iceServers.filter((server) => server.urls.length), iceTransportPolicy: policy });
      window.pcs.push(this);
    }

    setRemoteDescription({ type, sdp }) {
      const lines = sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate:') || !candidates || line.includes(candidates));
      return super.setRemoteDescription({ type, sdp: lines.join('\r\n') });
    }
  };
  /** The local candidate of the pair in use. */
  window.path = async () => {
    const stats = await window.pcs.at(-1).getStats();
    const pair = [...stats.values()].find((report) => report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded');
    return pair && { local: stats.get(pair.localCandidateId), remote: stats.get(pair.remoteCandidateId) };
  };
}

/** Joins; `how` is what its network lets through. */
async function join(channel, how, role = 'sendrecv') {
  const page = await browser.page(undefined, network, how);
  await page.waitForFunction(() => window.ready);
  const joined = await page.evaluate(([url, id, as]) => window.join('me', url, id, as, { videoCodecType: 'VP8' }, { kind: 'camera', width: 320, height: 240 }),
    [channel.sora_url, channel.channel_id, role]);
  return { page, ...joined };
}

async function assertMedia(how, check) {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
  const peers = [await join(channel, how), await join(channel, how)];
  for (const peer of peers) assert.equal(peer.error, undefined, JSON.stringify(peer));
  for (const [index, { page }] of peers.entries()) {
    const other = peers[1 - index].connectionId;
    await until(`peer ${index} decodes the other`, 30_000, async () => (await page.evaluate(() => window.state('me'))).decoded[other]?.frames > 60);
    check(await page.evaluate(() => window.path()));
    const { notifies } = await page.evaluate(() => window.state('me'));
    const created = notifies.filter((notify) => notify.event_type === 'connection.created');
    const transport = how.urls === 'transport=udp' ? 'udp' : 'tcp';
    assert.ok(created.length > 0 && created.every((notify) => notify.turn_transport_type === transport), JSON.stringify(created));
  }
  for (const { page } of peers) await page.close();
}

for (const transport of ['udp', 'tcp']) {
  test(`Chromium publishes and watches through TURN over ${transport}`, { timeout: 120_000 }, async () => {
    await assertMedia({ policy: 'relay', urls: `transport=${transport}` }, ({ local }) => {
      assert.deepEqual([local.candidateType, local.relayProtocol], ['relay', transport]);
    });
    assert.equal(await server.metric('minamo_sfu_turn_unauthorized_total'), 0);
  });
}

test('Chromium publishes and watches over ICE-TCP where no UDP gets through', { timeout: 120_000 }, async () => {
  await assertMedia({ policy: 'all', candidates: ' tcptype passive' }, ({ local, remote }) => {
    assert.deepEqual([local.protocol, remote.protocol, remote.port], ['tcp', 'tcp', server.port]);
    assert.notEqual(local.candidateType, 'relay');
  });
  assert.ok((await fetch(`${server.base}/readyz`)).ok, 'HTTP lives on the same port');
});

test('with several media threads: TURN over UDP and TCP, ICE-TCP and plain UDP in one room', { timeout: 120_000 }, async () => {
  const threaded = await Server.start({ env: { MINAMO_RTC__TURN: 'always', MINAMO_RTC__THREADS: '3' } });
  try {
    const { body: channel } = await threaded.api('ImageFlux_20200316.CreateMultistreamChannel', {});
    const relayed = (transport) => [{ policy: 'relay', urls: `transport=${transport}` }, 'relay', transport];
    const ways = [relayed('udp'), relayed('tcp'), [{ policy: 'all', candidates: ' tcptype passive' }, undefined, 'tcp'], [{ policy: 'all', candidates: ' udp ' }, undefined, 'udp']];
    const peers = [];
    for (const [how] of ways) peers.push(await join(channel, how));
    for (const peer of peers) assert.equal(peer.error, undefined, JSON.stringify(peer));
    for (const [index, { page }] of peers.entries()) {
      const others = peers.filter((_, at) => at !== index).map((peer) => peer.connectionId);
      await until(`peer ${index} decodes all others`, 40_000, async () => {
        const { decoded } = await page.evaluate(() => window.state('me'));
        return others.every((other) => decoded[other]?.frames > 40);
      });
      const { local } = await page.evaluate(() => window.path());
      const [, type, transport] = ways[index];
      assert.equal(type ? local.relayProtocol : local.protocol, transport);
      assert.equal(local.candidateType === 'relay', type === 'relay');
    }
    for (const { page } of peers) await page.close();
  } finally {
    await threaded.stop();
  }
});

test('negative control: a wrong TURN credential carries nothing', { timeout: 120_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
  const page = await browser.page(undefined, network, { policy: 'relay', urls: 'transport=udp', credential: 'wrong' });
  await page.waitForFunction(() => window.ready);
  const before = await server.metric('minamo_sfu_turn_relayed_in_total');
  page.evaluate(([url, id]) => window.join('me', url, id, 'sendonly'), [channel.sora_url, channel.channel_id]).catch(() => {});
  await until('the password is refused', 20_000, async () => await server.metric('minamo_sfu_turn_unauthorized_total') > 0);
  assert.equal(await server.metric('minamo_sfu_turn_relayed_in_total'), before);
  const gathered = await page.evaluate(() => window.pcs.at(-1).localDescription?.sdp ?? '');
  assert.ok(!gathered.includes('typ relay'), gathered);
  await page.close();
});

/** What the server offers to a client of that name. */
async function offered(to, client) {
  const { body: channel } = await to.api('ImageFlux_20200316.CreateMultistreamChannel', {});
  const socket = new WebSocket(channel.sora_url);
  try {
    await new Promise((resolve, reject) => { socket.once('open', resolve); socket.once('error', reject); });
    const answer = new Promise((resolve, reject) => { socket.once('message', (text) => resolve(JSON.parse(text))); socket.once('close', (code, why) => reject(new Error(`${code} ${why}`))); });
    socket.send(JSON.stringify({ type: 'connect', role: 'sendrecv', channel_id: channel.channel_id, sora_client: client, audio: true, video: true }));
    return await answer;
  } finally {
    socket.terminate();
  }
}

test('the Sora iOS SDK is offered what it can decode, others what they need', { timeout: 60_000 }, async () => {
  const usual = await Server.start();
  try {
    const ios = await offered(usual, 'Sora iOS SDK 2025.2.0');
    assert.equal(ios.config.iceTransportPolicy, 'relay');
    assert.equal(ios.config.iceServers.length, 1);
    const [{ urls, username, credential }] = ios.config.iceServers;
    assert.deepEqual(urls, ['udp', 'tcp'].map((transport) => `turn:127.0.0.1:${usual.port}?transport=${transport}`));
    assert.match(username, new RegExp(`^\\d+:${ios.connection_id}$`));
    assert.match(credential, /^[0-9a-f]{64}$/);
    const js = await offered(usual, 'Sora JavaScript SDK 2026.1.0');
    assert.deepEqual(js.config, { iceServers: [], iceTransportPolicy: 'all' });
    assert.match(js.sdp, new RegExp(`a=candidate:1 1 udp \\d+ 127.0.0.1 ${usual.port} typ host\r\na=candidate:2 1 tcp \\d+ 127.0.0.1 ${usual.port} typ host tcptype passive\r\n`));
  } finally {
    await usual.stop();
  }
});

test('aioice allocates over UDP and TCP, reaches our candidate and nobody else', { timeout: 60_000 }, async () => {
  const { config: { iceServers: [login] } } = await offered(server, 'aioice');
  for (const transport of ['udp', 'tcp']) {
    const python = new PythonTurn({ server: `127.0.0.1:${server.port}`, transport, ...login });
    const said = await python.find('result', 20_000);
    assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
    assert.deepEqual(said, { wrong: 401, allocated: true, other_address: 403, other_port: 403, ours: 'bound' }, transport);
  }
});
