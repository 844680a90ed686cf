import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.js';
import type { TlsMaterial } from '../../../src/engine/binding.js';
import { TlsFiles } from '../../../src/daemon/tls_files.js';
import { temporaryDirectory } from '../temporary_directory.js';

function open(withCa = false) {
  const directory = temporaryDirectory();
  const paths = {
    certificate: join(directory, 'server.pem'),
    key: join(directory, 'server.key'),
    clientCa: withCa ? join(directory, 'ca.pem') : null,
  };
  const write = (certificate: string, key: string): void => {
    writeFileSync(paths.certificate, certificate);
    writeFileSync(paths.key, key, { mode: 0o600 });
  };
  write('certificate 1', 'key 1');
  if (paths.clientCa !== null) writeFileSync(paths.clientCa, 'authorities');
  const used: TlsMaterial[] = [];
  const logged: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const files = new TlsFiles({
    service: 'NBD',
    paths,
    use: (material) => {
      if (material.key.slice(4) !== material.certificate.slice(12)) throw new SkerryError('invalid', 'the key does not belong');
      used.push(material);
    },
    log: (level, message, fields) => logged.push({ level, message, fields }),
  });
  return { paths, write, used, logged, files };
}

test('what the files hold is given to the engine, once', async () => {
  const { files, used, logged } = open(true);
  await files.load();
  expect(used).toEqual([{ certificate: 'certificate 1', key: 'key 1', clientCa: 'authorities' }]);
  await files.refresh();
  await files.refresh();
  expect([used.length, logged]).toEqual([1, []]);
});

test('without authorities clients are asked for nothing', async () => {
  const { files, used } = open();
  await files.load();
  expect(used[0]?.clientCa).toBe('');
});

test('files that changed are used from the next connection on, also by a rename', async () => {
  const { files, used, logged, write, paths } = open();
  await files.load();
  write('certificate 2', 'key 2');
  await files.refresh();
  writeFileSync(`${paths.certificate}.new`, 'certificate 33');
  writeFileSync(`${paths.key}.new`, 'key 33', { mode: 0o600 });
  renameSync(`${paths.certificate}.new`, paths.certificate);
  renameSync(`${paths.key}.new`, paths.key);
  await Promise.all([files.refresh(), files.refresh()]);
  expect(used.map(({ key }) => key)).toEqual(['key 1', 'key 2', 'key 33']);
  expect(logged.map(({ level }) => level)).toEqual(['info', 'info']);
});

test('a change that cannot serve is told of once, the one before stays, and its repair is taken', async () => {
  const { files, used, logged, write } = open();
  await files.load();
  write('certificate 22', 'key 1');
  await files.refresh();
  await files.refresh();
  expect(used).toHaveLength(1);
  expect(logged).toHaveLength(1);
  expect(logged[0]).toMatchObject({ level: 'warn', fields: { error: expect.stringContaining('the key does not belong') } });
  write('certificate 22', 'key 22');
  await files.refresh();
  expect(used.map(({ key }) => key)).toEqual(['key 1', 'key 22']);
});

test('a file that goes missing is told of once, and found again', async () => {
  const { files, used, logged, write, paths } = open();
  await files.load();
  rmSync(paths.key);
  await files.refresh();
  await files.refresh();
  expect(logged.map(({ level }) => level)).toEqual(['warn']);
  expect(String(logged[0]?.fields['error'])).toContain(paths.key);
  write('certificate 1', 'key 1');
  await files.refresh();
  expect(used.map(({ key }) => key)).toEqual(['key 1', 'key 1']);
});

test.each([
  [0o644, false],
  [0o604, false],
  [0o660, false],
  [0o640, true],
  [0o600, true],
  [0o400, true],
])('a key of mode %o: %s', async (mode, good) => {
  const { files, paths } = open();
  chmodSync(paths.key, mode);
  if (good) await files.load();
  else await expect(files.load()).rejects.toThrow(/has mode 0\d{3}, so that others may get at it: do chmod 0600/);
});

test('a start with a file that is missing, too long or no certificate ends with its name', async () => {
  const missing = open();
  rmSync(missing.paths.certificate);
  await expect(missing.files.load()).rejects.toThrow(`NBD's TLS certificate ${missing.paths.certificate} cannot be read`);
  const long = open();
  writeFileSync(long.paths.certificate, Buffer.alloc((1 << 20) + 1));
  await expect(long.files.load()).rejects.toMatchObject({ code: 'invalid' });
  const wrong = open();
  wrong.write('certificate 1', 'key 2');
  await expect(wrong.files.load()).rejects.toThrow(`the key does not belong (certificate ${wrong.paths.certificate}`);
  const folder = open();
  rmSync(folder.paths.key);
  await expect(folder.files.load()).rejects.toMatchObject({ code: 'not-found' });
});
