// An application's server: answers auth webhooks as told, and keeps what it was asked.
import http from 'node:http';

export class Webhook {
  asked = [];
  answer = { allowed: true };

  static async start() {
    const webhook = new Webhook();
    webhook.server = http.createServer((request, response) => {
      let body = '';
      request.on('data', (data) => { body += data; });
      request.on('end', () => {
        webhook.asked.push({ headers: request.headers, body: JSON.parse(body) });
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(webhook.answer));
      });
    });
    await new Promise((resolve) => webhook.server.listen(0, '127.0.0.1', resolve));
    webhook.url = `http://127.0.0.1:${webhook.server.address().port}/auth`;
    return webhook;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
