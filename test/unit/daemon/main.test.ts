import pino from 'pino';
import { expect, onTestFinished, test, vi } from 'vitest';

import { runDaemon } from '../../../src/daemon/main.js';
import type { RegisteredDriver } from '../../../src/driver/registry.js';
import { fakeModule } from '../mapper/fake_engine.js';
import { temporaryDirectory } from '../temporary_directory.js';

test('a daemon that is told to end while a pool is being opened waits a few seconds for that, and ends', async () => {
  const opening = Promise.withResolvers<void>();
  const hanging: RegisteredDriver = {
    name: 'local',
    description: 'a mount whose server is gone',
    secrets: [],
    open: () => {
      opening.resolve();
      return new Promise(() => undefined);
    },
  };
  const exited = Promise.withResolvers<unknown>();
  const exit = vi.spyOn(process, 'exit').mockImplementation((code) => exited.resolve(code) as never);
  onTestFinished(() => exit.mockRestore());
  const before = process.listenerCount('SIGTERM');
  const parts = { module: fakeModule(), logger: pino({ level: 'silent' }), registry: [hanging] };
  const running = runDaemon({ dataDirectory: temporaryDirectory(), httpPort: 0, s3Listen: '127.0.0.1:0' }, parts);
  await opening.promise;
  process.emit('SIGTERM');
  expect(await running).toBe(0);
  expect(await exited.promise).toBe(0);
  expect(process.listenerCount('SIGTERM')).toBe(before);
});
