import fastify from 'fastify';
import { existsSync, readdirSync, statSync, writeFileSync, mkdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { listenPrivately } from '../../../src/daemon/private_socket.js';
import { temporaryDirectory } from '../temporary_directory.js';

const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('a socket that listens is never reachable for others, whatever the umask and the directory allow', async () => {
  const path = join(temporaryDirectory(), 'admin.sock');
  const umask = process.umask(0);
  onTestFinished(() => void process.umask(umask));
  const app = fastify();
  onTestFinished(() => app.close());
  let seen: string | null = null;
  // Runs once it listens, before listen() comes back: the moment at which others could have connected.
  app.addHook('onListen', async () => {
    const address = app.server.address();
    if (typeof address !== 'string') throw new Error('it listens on no path');
    seen = dirname(address);
    expect(modeOf(seen)).toBe(0o700);
    expect(existsSync(path)).toBe(false);
  });
  await listenPrivately(app, path);
  expect(seen).not.toBeNull();
  expect(modeOf(path)).toBe(0o600);
  expect(readdirSync(dirname(path))).toEqual(['admin.sock']);
});

test('what a killed daemon left, before and after its socket was in place, is replaced by one that answers', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'admin.sock');
  mkdirSync(join(directory, 'sock.new'));
  writeFileSync(join(directory, 'sock.new', 's'), '');
  writeFileSync(path, '');
  const app = fastify();
  onTestFinished(() => app.close());
  await listenPrivately(app, path);
  const connected = await new Promise<boolean>((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy();
      resolve(true);
    }).on('error', () => resolve(false));
  });
  expect(connected).toBe(true);
});
