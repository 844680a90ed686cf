import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { checkKeySource, readKey, toldSource } from '../../../src/pool/key_source.js';

const digits = '00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF';
const bytes = Uint8Array.from(Buffer.from(digits, 'hex'));

function place(): (name: string, content: string | Uint8Array, mode?: number) => string {
  const directory = mkdtempSync(join(tmpdir(), 'skerry-key-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return (name, content, mode = 0o600) => {
    const path = join(directory, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
}

test('a key is 32 bytes, or 64 hexadecimal digits with an end of line or none', async () => {
  const put = place();
  for (const content of [bytes, digits, `${digits}\n`, `${digits}\r\n`])
    expect(await readKey({ kind: 'file', from: put('key', content) }, { strict: true })).toEqual(bytes);
  for (const content of ['', 'secret', digits.slice(1), `${digits}0`, `${digits}\n\n`, new Uint8Array(33), new Uint8Array(5000)])
    await expect(readKey({ kind: 'file', from: put('key', content) })).rejects.toMatchObject({
      code: 'denied',
      message: expect.stringMatching(/gives no key: a key is 32 bytes, or 64 hexadecimal digits/),
    });
});

test('a key file that is not there is refused with its path; one that everybody may read, when it is chosen', async () => {
  const put = place();
  const open = put('open', digits, 0o644);
  await expect(readKey({ kind: 'file', from: open }, { strict: true })).rejects.toThrow(/everybody on this host may read/);
  expect(await readKey({ kind: 'file', from: open })).toEqual(bytes);
  await expect(readKey({ kind: 'file', from: `${open}.gone` })).rejects.toMatchObject({
    code: 'denied',
    message: expect.stringContaining(`${open}.gone cannot be read`),
  });
});

test('a command is run without a shell; what it says is the key, and stands in no message', async () => {
  const put = place();
  const says = put('says', `#!/bin/sh\n[ "$1" = a ] && [ "$2" = b ] && echo ${digits}\n`, 0o700);
  expect(await readKey({ kind: 'command', from: `${says} a  b` })).toEqual(bytes);
  const fails = put('fails', `#!/bin/sh\necho ${digits}; echo secret >&2; exit 3\n`, 0o700);
  const failure: unknown = await readKey({ kind: 'command', from: fails }).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'denied', message: expect.stringMatching(/fails gives no key: it ended with 3/) });
  expect(JSON.stringify(failure, Object.getOwnPropertyNames(failure))).not.toMatch(/00112233|secret/);
  expect((failure as Error).cause).toBeUndefined();
  const talks = put('talks', '#!/bin/sh\nhead -c 100000 /dev/zero\n', 0o700);
  await expect(readKey({ kind: 'command', from: talks })).rejects.toMatchObject({ code: 'denied' });
  await expect(readKey({ kind: 'command', from: `${says}.gone` })).rejects.toMatchObject({ code: 'denied' });
});

test('a source begins with an absolute path, and is nothing that only a shell would understand', () => {
  expect(checkKeySource({ kind: 'command', from: '/usr/bin/vault kv get -field=key skerry' }).kind).toBe('command');
  expect(checkKeySource({ kind: 'file', from: "/etc/skerry/it's a key" }).kind).toBe('file');
  for (const from of ['key', './key', '/bin/sh -c "cat key"', '/bin/cat $HOME/key', '/bin/a | /bin/b', '/bin/a\n/bin/b'])
    expect(() => checkKeySource({ kind: 'command', from })).toThrow(expect.objectContaining({ code: 'invalid' }));
  expect(() => checkKeySource({ kind: 'file', from: 'key' })).toThrow(/absolute path/);
  expect(toldSource({ kind: 'command', from: '/usr/bin/vault --token=abc' })).toBe('the key command /usr/bin/vault');
});
