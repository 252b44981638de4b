// Chromium with fake devices, and a page server for the unmodified SDK and hls.js.
import { chromium } from 'playwright-core';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream=fps=30', '--disable-features=WebRtcHideLocalIpsWithMdns',
];
const here = import.meta.dirname;
const FILES = {
  '/': ['text/html', path.join(here, '../pages/test.html')],
  '/test.js': ['text/javascript', path.join(here, '../pages/test.js')],
  '/sora.js': ['text/javascript', path.join(here, '../node_modules/sora-js-sdk/dist/sora.js')],
  '/hls.mjs': ['text/javascript', path.join(here, '../node_modules/hls.js/dist/hls.mjs')],
};

/** Chromium and the page server; `page()` opens a page with `window.sora` and `window.watch` helpers. */
export async function launch(extraFlags = []) {
  const server = http.createServer((request, response) => {
    const file = FILES[request.url.split('?')[0]];
    if (!file) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': file[0] }).end(readFileSync(file[1]));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const profile = mkdtempSync(path.join(tmpdir(), 'minamo-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: FLAGS.concat(extraFlags),
    viewport: { width: 1280, height: 800 },
  });
  const logs = [];
  return {
    context,
    logs,
    async page(url = `http://127.0.0.1:${server.address().port}/`) {
      const page = await context.newPage();
      page.on('console', (message) => logs.push(message.text()));
      page.on('pageerror', (error) => logs.push(`pageerror ${error.message}`));
      await page.goto(url);
      return page;
    },
    async close() {
      await context.close();
      server.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
