// Chromium with fake devices, and the page server for it.
import { chromium } from 'playwright-core';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { servePages } from './pages.mjs';

const FLAGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream=fps=30', '--disable-features=WebRtcHideLocalIpsWithMdns',
];

/** The page server in another network namespace: {port, close}. */
async function pagesInside(netns) {
  const child = spawn('nsenter', [`--net=${netns}`, '--', process.execPath, path.join(import.meta.dirname, 'pages.mjs')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const port = await new Promise((resolve, reject) => {
    child.once('exit', () => reject(new Error('the page server ended')));
    child.stdout.once('data', (data) => resolve(Number(data)));
  });
  return { port, close: () => child.stdin.end() };
}

async function pagesHere() {
  const server = await servePages();
  return { port: server.address().port, close: () => server.close() };
}

/** Chromium and the page server, in the network namespace of the path `netns` if given; `page()` opens a page with its helpers. */
export async function launch(extraFlags = [], { netns } = {}) {
  const pages = netns ? await pagesInside(netns) : await pagesHere();
  const profile = mkdtempSync(path.join(tmpdir(), 'minamo-chromium-'));
  const executablePath = netns ? path.join(import.meta.dirname, 'in-namespace.sh') : process.env.CHROMIUM ?? '/usr/bin/chromium';
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, args: FLAGS.concat(extraFlags), viewport: { width: 1280, height: 800 },
    env: netns ? { ...process.env, INTEROP_NETNS: netns } : process.env,
  });
  const logs = [];
  return {
    context,
    logs,
    /** `init`: a function that runs with `argument` before anything else on the page. */
    async page(url = `http://127.0.0.1:${pages.port}/`, init, argument) {
      const page = await context.newPage();
      if (init) await page.addInitScript(init, argument);
      page.on('console', (message) => logs.push(message.text()));
      page.on('pageerror', (error) => logs.push(`pageerror ${error.message}`));
      await page.goto(url);
      return page;
    },
    async close() {
      await context.close();
      pages.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
