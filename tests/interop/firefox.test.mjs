// Firefox beside Chromium and Python: ICE, DTLS, SDP and decoders that share no code with libwebrtc's users in the other suites.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { launchFirefox } from './lib/firefox.mjs';
import { PythonPeer } from './lib/python.mjs';
import { Server, freePort, until } from './lib/server.mjs';
import { decoded, post, report } from './lib/whip.mjs';

let server, chromium, firefox;
before(async () => {
  // On every address: Firefox pairs none of its candidates with one on the loopback interface.
  const port = await freePort();
  server = await Server.start({ port, env: { MINAMO_RTC__LISTEN: `0.0.0.0:${port}` } });
  [chromium, firefox] = await Promise.all([launch(), launchFirefox()]);
});
after(async () => {
  await chromium?.close();
  await firefox?.close();
  await server?.stop();
});

const createRoom = async () => (await server.api('ImageFlux_20200316.CreateMultistreamChannel')).body;
const remove = (session) => fetch(new URL(session.location, server.base), { method: 'DELETE', headers: { authorization: `Bearer ${server.token}` } });

for (const codec of ['VP8', 'VP9', 'AV1']) {
  test(`Firefox publishes ${codec} by WHIP, Firefox and Chromium watch it by WHEP`, { timeout: 60_000 }, async () => {
    const { channel_id: channel } = await createRoom();
    const pages = { publisher: await firefox.page(), firefox: await firefox.page(), chromium: await chromium.page() };
    const published = await post(pages.publisher, `${server.base}/whip/${channel}`, { send: true, codec, token: server.token });
    assert.equal(published.status, 201, published.sdp);
    const viewers = ['firefox', 'chromium'];
    for (const viewer of viewers) {
      const viewed = await until('the programme is live', 10_000, async () => {
        const said = await post(pages[viewer], `${server.base}/whep/${channel}`, { send: false, token: server.token });
        return said.status !== 409 && said;
      });
      assert.equal(viewed.status, 201, viewed.sdp);
    }
    for (const viewer of viewers) {
      const seen = await until(`${viewer} decodes`, 20_000, async () => {
        const state = await decoded(pages[viewer]);
        return state.frames > 30 && state;
      });
      assert.equal(seen.codec, `video/${codec}`);
      await until('sound arrives', 10_000, async () => (await report(pages[viewer], 'inbound-rtp', 'audio'))?.packetsReceived > 50);
    }
    assert.equal((await remove(published)).status, 200);
    for (const page of Object.values(pages)) await page.close();
  });
}

test('a room of Firefox, Chromium and Python: each decodes the others, through comings and goings', { timeout: 120_000 }, async () => {
  const { sora_url: url, channel_id: channel } = await createRoom();
  const pages = { firefox: await firefox.page(), chromium: await chromium.page() };
  const ids = {};
  const join = async (name) => {
    const page = pages[name];
    await page.waitForFunction(() => window.ready);
    const joined = await page.evaluate(([at, id]) => window.join('a', at, id, 'sendrecv', { videoCodecType: 'VP8' }), [url, channel]);
    assert.equal(joined.error, undefined, JSON.stringify(joined));
    ids[name] = joined.connectionId;
  };
  const state = (name) => pages[name].evaluate(() => window.state('a'));
  const sees = (name, other, frames = 20) => until(`${name} decodes ${other}`, 30_000, async () => (await state(name)).decoded[ids[other]]?.frames > frames);

  await join('firefox');
  await join('chromium');
  const python = new PythonPeer({ url, channel, role: 'sendrecv', codec: 'VP8' });
  ids.python = await python.find('connection_id');
  try {
    await python.find('connected');
    for (const [name, other] of [['firefox', 'chromium'], ['firefox', 'python'], ['chromium', 'firefox'], ['chromium', 'python']]) await sees(name, other);
    for (const other of ['firefox', 'chromium']) await python.find('frames', 30_000, (frames) => frames[ids[other]] > 20);

    // The sections that Chromium leaves are taken again when it comes back.
    const before = ids.chromium;
    await pages.chromium.evaluate(() => window.leave('a'));
    await until('Firefox hears that it left', 10_000, async () => (await state('firefox')).removed.some((track) => track.stream === before));
    await join('chromium');
    await sees('firefox', 'chromium');
    await sees('chromium', 'firefox');
    assert.equal((await state('firefox')).disconnected, null);
  } finally {
    assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
  }
  for (const page of Object.values(pages)) await page.close();
});

test('negative control: without H.264 Firefox cannot watch an H.264 programme, and is told so', { timeout: 30_000 }, async () => {
  const { channel_id: channel } = await createRoom();
  const publisher = await chromium.page();
  const published = await post(publisher, `${server.base}/whip/${channel}`, { send: true, codec: 'H264', token: server.token });
  assert.equal(published.status, 201, published.sdp);
  const viewer = await firefox.page();
  const refused = await until('the programme is live', 10_000, async () => {
    const said = await post(viewer, `${server.base}/whep/${channel}`, { send: false, token: server.token });
    return said.status !== 409 && said;
  });
  assert.deepEqual([refused.status, JSON.parse(refused.sdp).error_type], [406, 'NO_COMMON_CODEC']);
  await remove(published);
});
