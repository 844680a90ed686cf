import { chmodSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

import { Client, connect } from '../../../src/control/client.js';
import { defaultDataDirectory, howToStart, socketEndpoint } from '../../../src/control/endpoint.js';
import { Transport } from '../../../src/control/transport.js';
import { isSkerryError } from '../../../src/core/errors.js';
import type { SkerryError } from '../../../src/core/errors.js';
import { temporaryDirectory } from '../temporary_directory.js';

async function failureOf(work: Promise<unknown>): Promise<SkerryError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!isSkerryError(error)) throw new Error(`expected a SkerryError, got ${String(error)}`);
  return error;
}

/** A daemon of this test's own making, on the socket of the directory. */
async function answering(directory: string, listener: RequestListener): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(join(directory, 'admin.sock'), resolve));
  onTestFinished(() => void server.close());
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

function clientOf(directory: string): Client {
  const client = connect({ dataDirectory: directory });
  onTestFinished(() => client.close());
  return client;
}

it('a daemon that does not run is unavailable, with the words that start one', async () => {
  const directory = temporaryDirectory();
  const error = await failureOf(clientOf(directory).status());
  expect(error.code).toBe('unavailable');
  expect(error.message).toBe(`no daemon answers at ${directory}/admin.sock; start one with: skerry serve --data ${directory}`);
});

it('the words that start one are such as work on this Node.js', () => {
  expect(howToStart('/srv/skerry', '22.0.0')).toBe('skerry serve --data /srv/skerry');
  expect(howToStart('/srv/skerry', '20.20.2')).toMatch(/^npm start -- --data \/srv\/skerry .*needs Node.js 22 or newer/);
});

it('a socket that a killed daemon left is a daemon that does not run', async () => {
  const directory = temporaryDirectory();
  const server = createSocketServer();
  await new Promise<void>((resolve) => server.listen(join(directory, 'kept'), resolve));
  const { renameSync } = await import('node:fs');
  renameSync(join(directory, 'kept'), join(directory, 'admin.sock'));
  await new Promise((resolve) => server.close(resolve));
  expect((await failureOf(clientOf(directory).status())).message).toContain('start one with');
});

it('the directory is quoted where a shell would take it apart', async () => {
  const error = await failureOf(clientOf("/nowhere/it's here").status());
  expect(error.message).toContain(String.raw`skerry serve --data '/nowhere/it'\''s here'`);
});

it.skipIf(process.getuid?.() === 0)('a socket of another user is denied', async () => {
  const directory = temporaryDirectory();
  await answering(directory, (_request, response) => reply(response, 200, {}));
  chmodSync(join(directory, 'admin.sock'), 0);
  expect((await failureOf(clientOf(directory).status())).code).toBe('denied');
});

it('an http url leads to the same verbs', async () => {
  const server = createServer((request, response) => reply(response, 200, { volumes: [], asked: request.url }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const client = connect({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  onTestFinished(() => client.close());
  expect(await client.volumes()).toEqual([]);
});

it.each(['localhost:80', 'https://host', 'ftp://host', 'http://host/?x=1', 'http://me@host', ''])(
  '%j is no url of a daemon',
  (url) => {
    expect(() => connect({ url })).toThrow(/http:\/\/HOST:PORT/);
  },
);

it('the code of the daemon’s error is the code of the failure', async () => {
  const directory = temporaryDirectory();
  await answering(directory, (_request, response) =>
    reply(response, 409, { error: { code: 'conflict', message: 'it is attached' } }),
  );
  expect(await failureOf(clientOf(directory).deleteVolume('vm1'))).toMatchObject({ code: 'conflict', message: 'it is attached' });
});

it('a code of a newer daemon keeps its words', async () => {
  const directory = temporaryDirectory();
  await answering(directory, (_request, response) =>
    reply(response, 418, { error: { code: 'teapot', message: 'short and stout' } }),
  );
  expect(await failureOf(clientOf(directory).status())).toMatchObject({ code: 'internal', message: 'short and stout' });
});

it('what is no daemon is told apart from one', async () => {
  const directory = temporaryDirectory();
  await answering(directory, (request, response) => reply(response, 200, request.url === '/v1/status' ? '<html>' : '"text"'));
  expect(await failureOf(clientOf(directory).status())).toMatchObject({ code: 'unsupported' });
});

it('a daemon that goes away in the middle is unavailable, and a change may or may not have been made', async () => {
  const directory = temporaryDirectory();
  await answering(directory, (request) => request.socket.destroy());
  const client = clientOf(directory);
  expect((await failureOf(client.createVolume({ name: 'a', sizeBytes: 4096 }))).message).toContain('look before you repeat it');
  expect((await failureOf(client.status())).message).toMatch(/went away before it answered$/);
});

it('a daemon that dies in the middle of its answer is unavailable', async () => {
  const directory = temporaryDirectory();
  await answering(directory, (_request, response) => {
    response.writeHead(200, { 'content-length': 1000 });
    response.write('{"volumes":');
    setTimeout(() => response.destroy(), 20);
  });
  expect((await failureOf(clientOf(directory).volumes())).code).toBe('unavailable');
});

it('a daemon that is silent for too long is a timeout', async () => {
  const directory = temporaryDirectory();
  await answering(directory, () => {});
  const client = new Client(new Transport(socketEndpoint(directory), { silenceMilliseconds: 50 }));
  onTestFinished(() => client.close());
  expect((await failureOf(client.status())).code).toBe('timeout');
});

it('names and queries are percent-encoded', async () => {
  const directory = temporaryDirectory();
  const urls: (string | undefined)[] = [];
  await answering(directory, (request: IncomingMessage, response) => {
    urls.push(request.url);
    reply(response, 200, { snapshots: [] });
  });
  const client = clientOf(directory);
  await client.deleteSnapshot('vm1@a/b?c');
  await client.snapshots('x&y');
  await client.snapshots();
  expect(urls).toEqual(['/v1/snapshots/vm1%40a%2Fb%3Fc', '/v1/snapshots?volume=x%26y&limit=1000', '/v1/snapshots?limit=1000']);
});

it('a list is followed page by page to its end', async () => {
  const directory = temporaryDirectory();
  const urls: (string | undefined)[] = [];
  const pages = [
    { volumes: [{ name: 'a' }, { name: 'b' }], next: 'b' },
    { volumes: [{ name: 'c' }], next: null },
  ];
  await answering(directory, (request: IncomingMessage, response) => {
    reply(response, 200, pages[urls.length]);
    urls.push(request.url);
  });
  expect(await clientOf(directory).volumes()).toEqual([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
  expect(urls).toEqual(['/v1/volumes?limit=1000', '/v1/volumes?after=b&limit=1000']);
});

it('the default data directory is SKERRY_DATA, made absolute', () => {
  expect(defaultDataDirectory({ SKERRY_DATA: '/srv/x/' })).toBe('/srv/x');
  expect(defaultDataDirectory({ SKERRY_DATA: 'x' })).toBe(join(process.cwd(), 'x'));
  expect(defaultDataDirectory({})).toMatch(process.getuid?.() === 0 ? /^\/var\/lib\/skerry$/ : /\.local\/share\/skerry$/);
});
