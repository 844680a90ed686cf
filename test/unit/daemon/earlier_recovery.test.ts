import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { earlierRecovery, refuseClashes } from '../../../src/daemon/earlier_recovery.js';
import { samplePool, sampleVolume } from '../catalog/samples.js';
import { temporaryDirectory } from '../temporary_directory.js';

const earlier = { pools: [samplePool], records: [sampleVolume], rootsDue: new Set<number>(), nextId: 9, uuid: 'u', problems: [] };
const other = { ...samplePool, name: 'other', domain: samplePool.domain + 1, poolUuid: new Uint8Array(16).fill(9) };

test('a directory that is not there, or empty, has nothing; one that was served, or was left half made, is refused', async () => {
  const directory = temporaryDirectory();
  expect(await earlierRecovery(join(directory, 'absent'))).toBeNull();
  expect(await earlierRecovery(directory)).toBeNull();
  mkdirSync(join(directory, 'catalog.before-20261123t010203z'));
  await expect(earlierRecovery(directory)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('interrupted'),
  });
  mkdirSync(join(directory, 'engine', 'journal'), { recursive: true });
  await expect(earlierRecovery(directory)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('never served'),
  });
});

test('what is of one catalog goes together, and what cannot be is refused', () => {
  const free = { ...sampleVolume, id: sampleVolume.id + 1, name: 'free' };
  refuseClashes(earlier, other, [free]);
  const refused = (pool: typeof samplePool, records: readonly (typeof sampleVolume)[]) => () =>
    refuseClashes(earlier, pool, records);
  expect(refused(samplePool, [])).toThrow(/recovered already/);
  expect(refused({ ...other, domain: samplePool.domain }, [])).toThrow(/not of one catalog/);
  expect(refused(other, [{ ...free, id: sampleVolume.id }])).toThrow(/another pool/);
  expect(refused(other, [{ ...free, name: sampleVolume.name }])).toThrow(/another pool/);
});
