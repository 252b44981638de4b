// Rooms of the codecs that HLS does not take, by the unmodified SDKs: the JavaScript one in Chromium and the Python one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { PythonPeer } from './lib/python.mjs';
import { Server, until } from './lib/server.mjs';

let server, browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const codec of ['VP9', 'AV1']) {
  test(`a room in ${codec}: JavaScript and Python decode each other`, { timeout: 60_000 }, async () => {
    const { body: { sora_url: url, channel_id: channel } } = await server.api('ImageFlux_20200316.CreateMultistreamChannel');
    const page = await browser.page();
    await page.waitForFunction(() => window.ready);
    const joined = await page.evaluate(([at, id, wanted]) => window.join('a', at, id, 'sendrecv', { videoCodecType: wanted }), [url, channel, codec]);
    assert.equal(joined.error, undefined, JSON.stringify(joined));
    const python = new PythonPeer({ url, channel, role: 'sendrecv', codec });
    try {
      const id = await python.find('connection_id');
      const state = () => page.evaluate(() => window.state('a'));
      await until('JavaScript decodes Python', 30_000, async () => (await state()).decoded[id]?.frames > 20);
      await python.find('frames', 30_000, (frames) => frames[joined.connectionId] > 20);
      assert.deepEqual(await page.evaluate(() => window.codecs('a')), ['audio/opus', `video/${codec}`]);
    } finally {
      assert.deepEqual(await python.stop(), { code: 0, signal: null }, python.stderr);
    }
    await page.close();
  });
}
