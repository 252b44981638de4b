// The real nginx with deploy/nginx.conf as an edge, and a proxy behind it that counts what reaches the origin.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, ROOT, until } from './server.mjs';

/** Passes everything on to `origin` (a port) and counts GETs by URL: {port, counts, of, close}. */
export async function countingProxy(origin) {
  const counts = new Map();
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer((request, response) => {
    counts.set(request.url, (counts.get(request.url) ?? 0) + 1);
    const { method, url, headers } = request;
    const passed = http.request({ host: '127.0.0.1', port: origin, method, path: url, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    response.on('close', () => passed.destroy());
    request.pipe(passed);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    counts,
    /** Requests whose URL holds `text`. */
    of: (text) => [...counts].filter(([url]) => url.includes(text)).reduce((sum, [, count]) => sum + count, 0),
    close: () => { server.closeAllConnections(); server.close(); },
  };
}

/** Starts nginx before `origin` (a port): {base, stop}. `change` may alter the configuration. */
export async function startEdge(origin, change = (text) => text) {
  const folder = mkdtempSync(path.join(tmpdir(), 'minamo-edge-'));
  const port = await freePort();
  const cache = path.join(folder, 'cache');
  mkdirSync(cache, { mode: 0o777 });
  const edge = readFileSync(path.join(ROOT, 'deploy/nginx.conf'), 'utf8')
    .replace('server 127.0.0.1:8080;', `server 127.0.0.1:${origin};`)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('/var/cache/nginx/minamo', cache);
  const user = process.getuid() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
  writeFileSync(path.join(folder, 'nginx.conf'), `${user} worker_processes 2; pid ${folder}/pid; error_log ${folder}/error.log warn;
events { worker_connections 2048; } http { access_log off; ${temporary}
${change(edge)} }`);
  const nginx = spawn('nginx', ['-p', folder, '-c', path.join(folder, 'nginx.conf'), '-g', 'daemon off;'], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
  let complaint = '';
  nginx.stderr.on('data', (data) => { complaint += data; });
  nginx.on('error', (error) => { complaint += error.message; });
  const base = `http://127.0.0.1:${port}`;
  await until('nginx answers', 10_000, async () => {
    if (nginx.exitCode !== null) throw new Error(complaint);
    return (await fetch(`${base}/readyz`)).ok;
  });
  return {
    base,
    folder,
    errors: () => readFileSync(path.join(folder, 'error.log'), 'utf8'),
    async stop() {
      const gone = new Promise((resolve) => nginx.once('exit', resolve));
      nginx.kill('SIGTERM');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
