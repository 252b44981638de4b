// The pages as a streamer and a viewer use them: token in the address, go live, copy the link, watch, stop.
// With SCREENSHOTS=folder every state is pictured at desktop and phone width, light and dark.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
import { Server, until } from './lib/server.mjs';

const folder = process.env.SCREENSHOTS;
let server, browser;
before(async () => {
  server = await Server.start();
  browser = await launch();
  if (folder) mkdirSync(folder, { recursive: true });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

async function picture(page, name) {
  if (!folder) return;
  for (const [width, height, size] of [[1280, 800, 'desktop'], [390, 844, 'phone']]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.waitForTimeout(250);
      await page.screenshot({ path: path.join(folder, `${name}-${size}-${colorScheme}.png`), fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
}

/** The studio asks for the devices by itself once the browser has granted them before, as here. */
async function preview(studio) {
  await studio.waitForFunction(() => {
    const ask = document.querySelector('#open-devices');
    if (!ask.hidden && ask.offsetParent) ask.click();
    return document.querySelector('#preview').videoWidth > 0;
  }, null, { polling: 500, timeout: 15_000 });
}

/** A page must fit its width and obey the content security policy. */
async function assertSound(page) {
  for (const width of [1280, 360]) {
    await page.setViewportSize({ width, height: 800 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(overflow <= 0, `${page.url()} is ${overflow} px too wide at ${width} px`);
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  const refused = browser.logs.filter((line) => /Content Security Policy|pageerror/i.test(line));
  assert.deepEqual(refused, []);
}

test('from the token to a live programme, watched, and ended', { timeout: 120_000 }, async () => {
  const index = await browser.page(`${server.base}/`);
  await picture(index, 'index');
  await assertSound(index);
  await index.close();

  const studio = await browser.page(`${server.base}/studio#token=${server.token}`);
  assert.ok(!studio.url().includes(server.token), 'the token leaves the address bar');
  await preview(studio);
  await picture(studio, 'studio-ready');
  await studio.locator('#go-live').click();
  await studio.waitForFunction(() => window.__minamo.state === 'live', null, { timeout: 20_000 });
  const watchUrl = await studio.locator('#watch-url').inputValue();
  const hlsUrl = await studio.locator('#hls-url').inputValue();
  assert.ok(watchUrl.startsWith(`${server.base}/watch/`) && hlsUrl.endsWith('/playlist.m3u8'), `${watchUrl} ${hlsUrl}`);

  const watch = await browser.page(watchUrl);
  await watch.waitForFunction(() => window.__minamo.state === 'live', null, { timeout: 30_000 });
  await until('the picture moves', 20_000, () => watch.evaluate(() => document.querySelector('#video').currentTime > 2));
  const latency = await watch.evaluate(() => window.__minamo.latency);
  assert.ok(latency > 0.2 && latency < 8, `a latency that can be true: ${latency}`);
  await until('the studio shows figures', 20_000, async () => /\d/.test(await studio.locator('#stat-bitrate').textContent())
    && /\d/.test(await studio.locator('#stat-loss').textContent()) && /\d/.test(await studio.locator('#stat-round-trip').textContent()));
  await picture(studio, 'studio-live');
  await picture(watch, 'watch-live');
  await assertSound(studio);
  await assertSound(watch);

  await studio.locator('#stop').click();
  await watch.waitForFunction(() => window.__minamo.state === 'ended', null, { timeout: 30_000 });
  await watch.getByText(/ended/i).first().waitFor();
  await picture(watch, 'watch-ended');
  assert.equal(await watch.evaluate(() => window.__minamo.errors), 0, 'no hls.js error event');
  await studio.close();
  await watch.close();
});

test('a viewer who is early sees that it is not live yet, and then sees it live', { timeout: 90_000 }, async () => {
  const channel = await server.createChannel();
  const watch = await browser.page(`${server.base}/watch/${channel.channel_id}`);
  await watch.waitForFunction(() => window.__minamo.state === 'offline', null, { timeout: 10_000 });
  await watch.getByText(/not live yet/i).first().waitFor();
  await picture(watch, 'watch-offline');
  const studio = await browser.page(`${server.base}/studio?channel_id=${channel.channel_id}`);
  await preview(studio);
  await studio.locator('#go-live').click();
  await watch.waitForFunction(() => window.__minamo.state === 'live', null, { timeout: 40_000 });
  await studio.locator('#stop').click();
  await studio.waitForFunction(() => window.__minamo.state === 'stopped', null, { timeout: 10_000 });
  await studio.close();
  await watch.close();
});

test('wrong token and unknown channel are said in words', { timeout: 60_000 }, async () => {
  const studio = await browser.page(`${server.base}/studio#token=wrong`);
  await preview(studio);
  await studio.locator('#go-live').click();
  await studio.getByText(/token/i).first().waitFor({ timeout: 10_000 });
  assert.notEqual(await studio.evaluate(() => window.__minamo.state), 'live');
  await picture(studio, 'studio-wrong-token');
  await studio.close();
  const watch = await browser.page(`${server.base}/watch/no-such-channel`);
  await watch.waitForFunction(() => window.__minamo.state === 'unknown', null, { timeout: 10_000 });
  await picture(watch, 'watch-unknown');
  await watch.close();
});
