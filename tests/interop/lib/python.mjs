// Python clients as child processes; their JSON lines as a list.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { ROOT, until } from './server.mjs';

const cache = path.join(ROOT, '.cache');

/** OpenH264 2.6 as the setup unpacked it; later SDKs crash with Debian's 2.3. */
function openh264() {
  const name = readdirSync(path.join(cache, 'openh264')).find((file) => file.startsWith('libopenh264-') && file.endsWith('.so.2.6.0'));
  return path.join(cache, 'openh264', name);
}

class PythonProcess {
  constructor(script, args, python = path.join(cache, 'venv/bin/python')) {
    this.lines = [];
    this.stderr = '';
    const file = path.join(import.meta.dirname, '../python', script);
    this.process = spawn(python, [file, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.exited = new Promise((resolve) => this.process.once('exit', (code, signal) => resolve({ code, signal })));
    this.process.stderr.on('data', (data) => { this.stderr = (this.stderr + data).slice(-20_000); });
    readline.createInterface({ input: this.process.stdout }).on('line', (line) => {
      try { this.lines.push(JSON.parse(line)); } catch { this.stderr += `${line}\n`; }
    });
  }

  /** The value of the first line that has `key` and passes `test`. */
  async find(key, ms = 20_000, test = () => true) {
    const line = await until(`python says ${key}`, ms, () => {
      if (this.process.exitCode) throw new Error(`python exited with ${this.process.exitCode}: ${this.stderr.slice(-2000)}`);
      return this.lines.find((entry) => key in entry && test(entry[key]));
    });
    return line[key];
  }

  say(line) {
    this.process.stdin.write(`${line}\n`);
  }

  async stop() {
    if (this.process.exitCode === null) this.process.stdin.write('\n');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
    const result = await this.exited;
    clearTimeout(timer);
    return result;
  }
}

/** The Sora SDK's peer. */
export class PythonPeer extends PythonProcess {
  constructor({ url, channel, role = 'sendonly', codec = 'H264', seconds = 120, extra, silent, simulcast = false }) {
    const args = ['--url', url, '--channel', channel, '--role', role, '--codec', codec, '--seconds', String(seconds)];
    if (extra) args.push('--extra', JSON.stringify(extra));
    if (silent) args.push('--silent');
    if (codec === 'H264') args.push('--openh264', openh264());
    if (simulcast) args.push('--simulcast');
    super('peer.py', args);
  }

  send(label, text) {
    this.process.stdin.write(`send ${label} ${text}\n`);
  }

  get notifies() {
    return this.lines.filter((line) => line.notify).map((line) => line.notify);
  }
}

/** aioice's TURN client. */
export class PythonTurn extends PythonProcess {
  constructor({ server, transport, username, credential }) {
    super('turn.py', ['--server', server, '--transport', transport, '--username', username, '--credential', credential]);
  }
}

/** aiortc publishing by WHIP and watching itself by WHEP. */
export class PythonWhip extends PythonProcess {
  constructor({ whip, whep, token }) {
    super('whip.py', ['--whip', whip, '--whep', whep, '--token', token]);
  }
}

/** GStreamer publishing by WHIP; told to `watch`, it watches itself by WHEP. Its bindings belong to the system's Python. */
export class GStreamer extends PythonProcess {
  constructor({ whip, whep, token, codec }) {
    super('gst.py', ['--whip', whip, '--whep', whep, '--token', token, '--codec', codec], '/usr/bin/python3');
  }
}
