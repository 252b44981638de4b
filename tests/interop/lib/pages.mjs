// The page server for the unmodified SDK and hls.js. As a program it tells its port on standard output and ends with its input.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const here = import.meta.dirname;
const FILES = {
  '/': ['text/html', path.join(here, '../pages/test.html')],
  '/test.js': ['text/javascript', path.join(here, '../pages/test.js')],
  '/sora.js': ['text/javascript', path.join(here, '../node_modules/sora-js-sdk/dist/sora.js')],
  '/players.html': ['text/html', path.join(here, '../pages/players.html')],
  '/players.js': ['text/javascript', path.join(here, '../pages/players.js')],
  '/dash.mjs': ['text/javascript', path.join(here, '../node_modules/dashjs/dist/modern/esm/dash.all.min.js')],
  '/shaka.js': ['text/javascript', path.join(here, '../node_modules/shaka-player/dist/shaka-player.compiled.js')],
  '/hls.mjs': ['text/javascript', path.join(here, '../node_modules/hls.js/dist/hls.mjs')],
};

/** Serves the pages on a free port of 127.0.0.1, which browsers take for a secure context. */
export async function servePages() {
  const server = http.createServer((request, response) => {
    const file = FILES[request.url.split('?')[0]];
    if (!file) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': file[0] }).end(readFileSync(file[1]));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

if (process.argv[1] === import.meta.filename) {
  const server = await servePages();
  console.log(server.address().port);
  process.stdin.on('end', () => process.exit(0)).resume();
}
