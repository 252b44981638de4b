// Firefox with fake devices, driven by WebDriver BiDi: a second engine that nobody here wrote.
import puppeteer from 'puppeteer-core';
import { servePages } from './pages.mjs';

const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  // Its H.264 is a download that a test must not make.
  'media.gmp-manager.updateEnabled': false,
  'app.update.enabled': false,
};

/** Firefox and the page server; `page()` opens a page with its helpers. */
export async function launchFirefox() {
  const pages = await servePages();
  const browser = await puppeteer.launch({
    browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true, extraPrefsFirefox: PREFERENCES,
  });
  return {
    browser,
    async page(url = `http://127.0.0.1:${pages.address().port}/`) {
      const page = await browser.newPage();
      await page.goto(url);
      return page;
    },
    async close() {
      await browser.close();
      pages.close();
    },
  };
}
