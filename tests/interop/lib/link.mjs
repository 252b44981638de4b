// A network namespace for this test file, and a bad link from it to another one.
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';

/** Longer than this (ms) a machine does not stand still while it measures half-second freezes. */
const STALL_MAX = 120;

export const NEAR = '10.78.0.1';
/** The same end by IPv6, as a host in a URL. */
export const NEAR_IPV6 = '[fd78::1]';

/** Why namespaces and TUN devices cannot be had here; undefined when they can. */
function hindrance() {
  const made = spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up && test -c /dev/net/tun && : <>/dev/net/tun'], { encoding: 'utf8' });
  if (made.error) return made.error.message;
  return made.status === 0 ? undefined : made.stderr.trim() || '/dev/net/tun is missing';
}

/**
 * Runs the calling test file again in a network namespace of its own. Answers 'inside' there; outside it answers why it cannot be
 * done, or ends the process as the inner one ended.
 */
export async function enterNamespace(file) {
  if (process.env.INTEROP_INSIDE) return 'inside';
  const why = hindrance();
  if (why) return why;
  const env = { ...process.env, INTEROP_INSIDE: '1' };
  const child = spawn('unshare', ['-n', '--', process.execPath, ...process.execArgv, file], { stdio: 'inherit', env });
  const stop = (signal) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop);
  process.exit(await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1))));
}

/** The link: near end here, far end in the namespace `netns`. Clean until told otherwise. */
export class Link {
  static async start() {
    const link = new Link();
    link.process = spawn('python3', [path.join(import.meta.dirname, 'link.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
    link.answers = readline.createInterface({ input: link.process.stdout })[Symbol.asyncIterator]();
    const { value } = await link.answers.next();
    if (!value) throw new Error('the link did not start');
    link.netns = `/proc/${JSON.parse(value).pid}/ns/net`;
    return link;
  }

  /** Sets conditions; answers the counts so far (packets, bytes, lost and overflowed, up and down) and how `late` (ms) the link itself was since the last call. */
  async set(conditions) {
    this.process.stdin.write(`${conditions ? JSON.stringify(conditions) : ''}\n`);
    return JSON.parse((await this.answers.next()).value);
  }

  /** The same conditions for both directions. */
  both(conditions) {
    return this.set({ up: conditions, down: conditions });
  }

  counts() {
    return this.set(null);
  }

  /** Whether the machine stood still in the meantime, so that what was measured says nothing of the product: done(): words or undefined. */
  async watchMachine() {
    await this.counts();
    let [last, slept] = [Date.now(), 0];
    const timer = setInterval(() => { slept = Math.max(slept, Date.now() - last - 20); last = Date.now(); }, 20);
    return {
      done: async () => {
        clearInterval(timer);
        const { late } = await this.counts();
        return Math.max(late, slept) > STALL_MAX ? `the machine stood still: the link for ${late} ms, the test for ${slept} ms` : undefined;
      },
    };
  }

  close() {
    this.process.stdin.end();
  }
}
