// The testbed's routes on Node's http module, without packages.
//
//   node node-server.js --unix PATH | --tcp ADDR:PORT
'use strict';

const http = require('node:http');
const { once } = require('node:events');
const { setTimeout: sleep } = require('node:timers/promises');

const CHUNK = 16 * 1024;
const PIECE = 64 * 1024;
const PAUSE = 20;
const FILE = 1_000_000;
const TAG = '"x"';

const filler = (length) => Buffer.alloc(length, 'x');

// Waits until the response takes more, or never will.
async function room(response) {
  const decided = new AbortController();
  const waits = ['drain', 'close'].map((event) => once(response, event, decided));
  await Promise.race(waits);
  decided.abort();
  await Promise.allSettled(waits);
}

// Whether there was a client to the end.
async function pieces(response, length, size, pause) {
  for (let left = length; left > 0; left -= size) {
    if (pause && left < length) await sleep(pause);
    if (response.destroyed) return false;
    if (!response.write(filler(Math.min(size, left)))) await room(response);
  }
  return !response.destroyed;
}

function whole(response, status, body, headers) {
  response.writeHead(status, { 'Content-Length': body.length, ...headers });
  response.end(body);
}

const routes = {
  bytes(request, response, length) {
    whole(response, 200, filler(length));
  },
  async chunked(request, response, length) {
    response.writeHead(200);
    if (await pieces(response, length, CHUNK)) response.end();
  },
  async slow(request, response, length) {
    response.writeHead(200, { 'Content-Length': length });
    if (await pieces(response, length, PIECE, PAUSE)) response.end();
  },
  // Node closes nothing by itself when a handler ends early: it would take the next response for
  // the rest of this one. So the handler says that the connection ends here.
  async lie(request, response, promised, written) {
    if (written < promised) response.setHeader('Connection', 'close');
    response.writeHead(200, { 'Content-Length': promised });
    if (await pieces(response, written, PIECE)) response.end();
  },
  // Everything is handed to the socket; a timer of the socket's that sees no progress closes it.
  timer(request, response, length, ms) {
    response.socket.setTimeout(ms, () => response.socket.destroy());
    whole(response, 200, filler(length));
  },
  etag(request, response) {
    if (request.headers['if-none-match'] === TAG) {
      response.writeHead(304, { ETag: TAG });
      response.end();
    } else {
      whole(response, 200, filler(FILE), { ETag: TAG });
    }
  },
  file(request, response) {
    const part = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (!part) return whole(response, 200, filler(FILE));
    const [first, last] = part.slice(1).map(Number);
    if (first > last || last >= FILE) return whole(response, 416, filler(0));
    whole(response, 206, filler(last - first + 1), {
      'Content-Range': `bytes ${first}-${last}/${FILE}`,
    });
  },
  async upload(request, response) {
    let length = 0;
    for await (const piece of request) length += piece.length;
    whole(response, 200, Buffer.from(String(length)));
  },
};

const server = http.createServer((request, response) => {
  const [name, ...words] = request.url.slice(1).split('/');
  const numbers = words.map(Number);
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined;
  if (!route) return whole(response, 404, filler(0));
  if (numbers.length !== Math.max(0, route.length - 2) || numbers.some(Number.isNaN)) {
    return whole(response, 400, filler(0));
  }
  route(request, response, ...numbers);
});

const [flag, address] = process.argv.slice(2);
if (flag === '--unix') {
  server.listen(address, () => console.log(`listening ${address}`));
} else {
  const [host, port] = address.split(':');
  server.listen(Number(port), host, () => {
    console.log(`listening ${server.address().address}:${server.address().port}`);
  });
}
