// The key server that an application has: it knows its viewers, and asks Minamo for the keys of those whom it lets in.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** `api`: the Minamo that has the keys. `url` is what a channel is created with; viewers show `?session=…` of their own. */
export class KeyServer {
  static async start(api) {
    const folder = mkdtempSync(path.join(tmpdir(), 'minamo-keys-'));
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
      '-days', '2', '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
    const server = Object.assign(new KeyServer(), { api, open: true, asked: [], given: [] });
    server.http = https.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => server.answer(request, response));
    rmSync(folder, { recursive: true, force: true });
    await new Promise((resolve) => server.http.listen(0, '127.0.0.1', resolve));
    server.url = `https://127.0.0.1:${server.http.address().port}/keys?room=summer`;
    return server;
  }

  async answer(request, response) {
    const query = new URL(request.url, this.url).searchParams;
    const kid = query.get('kid');
    this.asked.push({ kid, room: query.get('room') });
    response.setHeader('access-control-allow-origin', '*');
    if (!this.open) return response.writeHead(403).end();
    const { status, body } = await this.api.api('ImageFlux_20200707.GetEncryptKey', { kid });
    if (status !== 200) return response.writeHead(404).end();
    this.given.push(kid);
    return response.writeHead(200, { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' }).end(Buffer.from(body.encrypt_key, 'hex'));
  }

  close() {
    this.http.closeAllConnections();
    this.http.close();
  }
}
