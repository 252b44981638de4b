// One real Minamo process on free ports with a data folder of its own; stopped by its process id.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import net from 'node:net';
import dgram from 'node:dgram';

export const ROOT = path.resolve(import.meta.dirname, '../../..');
export const BINARY = process.env.MINAMO_BIN ?? path.join(ROOT, 'target/debug/minamo');
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A port that is free for TCP and UDP right now. */
export async function freePort() {
  for (;;) {
    const tcp = net.createServer();
    await new Promise((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const { port } = tcp.address();
    const udp = dgram.createSocket('udp4');
    const free = await new Promise((resolve) => {
      udp.once('error', () => resolve(false));
      udp.bind(port, '127.0.0.1', () => resolve(true));
    });
    udp.close();
    await new Promise((resolve) => tcp.close(resolve));
    if (free) return port;
  }
}

/** Waits until `probe` answers something truthy; fails with `what` after `ms`. */
export async function until(what, ms, probe) {
  const end = Date.now() + ms;
  let last;
  while (Date.now() < end) {
    try {
      const value = await probe();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(150);
  }
  throw new Error(`timed out after ${ms} ms: ${what}${last ? ` (${last.message})` : ''}`);
}

export class Server {
  constructor({ command = 'serve', host = '127.0.0.1', port, env = {}, dataDir } = {}) {
    this.command = command;
    this.host = host;
    this.port = port;
    this.env = env;
    this.token = 'interop-token-0123456789abcdef';
    this.ownsData = !dataDir;
    this.dataDir = dataDir ?? mkdtempSync(path.join(tmpdir(), 'minamo-'));
    this.output = '';
  }

  static async start(options = {}) {
    const server = new Server(options);
    server.port ??= await freePort();
    await server.spawn();
    return server;
  }

  get base() {
    return `http://${this.host}:${this.port}`;
  }

  async spawn() {
    const { MINAMO_BIN: _, ...inherited } = process.env;
    const env = {
      ...inherited,
      MINAMO_HTTP__LISTEN: `${this.host}:${this.port}`,
      MINAMO_RTC__LISTEN: `${this.host}:${this.port}`,
      MINAMO_API__TOKEN: this.token,
      MINAMO_DATA_DIR: this.dataDir,
      RUST_LOG: process.env.RUST_LOG ?? 'info',
      ...this.env,
    };
    this.process = spawn(BINARY, [this.command], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.exited = new Promise((resolve) => this.process.once('exit', (code, signal) => resolve({ code, signal })));
    const keep = (data) => { this.output = (this.output + data).slice(-200_000); if (process.env.SHOW_LOG) process.stderr.write(data); };
    this.process.stdout.on('data', keep);
    this.process.stderr.on('data', keep);
    await until('the server is ready', 30_000, async () => {
      if (this.process.exitCode !== null) throw new Error(`server exited: ${this.output}`);
      return (await fetch(`${this.base}/readyz`)).ok;
    });
  }

  /** Ends the process: SIGTERM (graceful) unless told otherwise. */
  async stop(signal = 'SIGTERM') {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 20_000);
    const result = await this.exited;
    clearTimeout(timer);
    if (this.ownsData && !this.keepData) rmSync(this.dataDir, { recursive: true, force: true });
    return result;
  }

  async api(target, body = {}, { token = this.token } = {}) {
    const headers = { 'content-type': 'application/json', 'x-sora-target': target };
    if (token) headers.authorization = `Bearer ${token}`;
    const response = await fetch(`${this.base}/`, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
    return { status: response.status, body: await response.json() };
  }

  /** CreateChannel with the issue's body. */
  async createChannel(video = { width: 640, height: 480, fps: 30, bps: 1000000 }) {
    const { status, body } = await this.api('ImageFlux_20180905.CreateChannel', { hls: [{ video, audio: { bps: 64000 } }] });
    if (status !== 200) throw new Error(`CreateChannel: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Sum of a Prometheus metric over its labels. */
  async metric(name) {
    const text = await (await fetch(`${this.base}/metrics`)).text();
    return text.split('\n').filter((line) => line.startsWith(name) && /[{ ]/.test(line[name.length] ?? ''))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }
}
