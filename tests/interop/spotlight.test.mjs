// Two who speak in turn, one place in the spotlight, and somebody who watches: layers and notifications follow the voice.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch } from './lib/browser.mjs';
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

test('the focus follows the voice, and orders go before it', { timeout: 150_000 }, async () => {
  const { body: channel } = await server.api('ImageFlux_20200316.CreateMultistreamChannel', {});
  const wishes = { spotlight: true, spotlightNumber: 1, spotlightFocusRid: 'r1', spotlightUnfocusRid: 'r0' };
  const join = async (role, options) => {
    const page = await browser.page();
    await page.waitForFunction(() => window.ready);
    const joined = await page.evaluate(([url, id, r, o]) => window.join('me', url, id, r, o, { kind: 'voice', width: 960, height: 540 }), [channel.sora_url, channel.channel_id, role, options]);
    assert.equal(joined.error, undefined, JSON.stringify(joined));
    return { page, id: joined.connectionId, state: () => page.evaluate(() => window.state('me')), speak: (on) => page.evaluate((value) => window.speak(value), on) };
  };
  const sends = { ...wishes, simulcast: true, videoCodecType: 'VP8', videoBitRate: 1500 };
  const [anna, bert] = [await join('sendonly', sends), await join('sendonly', sends)];
  const viewer = await join('recvonly', wishes);
  const width = async (who) => (await viewer.state()).decoded[who.id]?.width;
  const events = async () => (await viewer.state()).notifies.filter((n) => n.event_type.startsWith('spotlight.'))
    .map((n) => `${n.event_type === 'spotlight.focused' ? '+' : '-'}${n.connection_id === anna.id ? 'anna' : 'bert'}${n.fixed ? '!' : ''}`).join(' ');
  const told = (expected) => until(expected, 20_000, async () => (await events()) === expected);
  const seen = (what, annas, berts) => until(what, 40_000, async () => await width(anna) === annas && await width(bert) === berts);

  await seen('nobody is in focus', 240, 240);
  assert.equal(await events(), '');
  await anna.speak(true);
  await told('+anna');
  await seen('anna is in focus', 480, 240);
  await anna.speak(false);
  await bert.speak(true);
  await told('+anna -anna +bert');
  await seen('bert is in focus', 240, 480);
  const notify = (await viewer.state()).notifies.find((n) => n.event_type === 'spotlight.focused');
  for (const name of ['client_id', 'connection_id', 'bundle_id', 'audio', 'video', 'fixed', 'timestamp']) assert.notEqual(notify[name], undefined, name);

  const order = (operation, who) => server.api(`Sora_20200807.${operation}`, { channel_id: channel.channel_id, connection_id: who.id });
  assert.equal((await order('FocusSpotlightFixed', anna)).status, 200);
  await told('+anna -anna +bert -bert +anna!');
  await bert.speak(true);
  await seen('anna stays in focus by order', 480, 240);
  const rids = { channel_id: channel.channel_id, recv_connection_id: viewer.id, spotlight_focus_rid: 'r0', spotlight_unfocus_rid: 'r1' };
  assert.equal((await server.api('Sora_20211215.RequestSpotlightRid', rids)).status, 200);
  await seen('the viewer has turned it round', 240, 480);
  assert.equal((await order('FocusSpotlight', viewer)).body.error_type, 'NO_SPOTLIGHT', 'who is not heard has no focus');
  assert.equal(await events(), '+anna -anna +bert -bert +anna!', 'nothing flapped');
  for (const { page } of [anna, bert, viewer]) await page.close();
});
