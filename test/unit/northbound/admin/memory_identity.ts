/** Identity over a catalog in memory, for the admin API's and the command's tests. */
import { Identity } from '../../../../src/identity/identity.js';
import { MemoryCatalog } from '../../identity/memory_catalog.js';
import { temporaryDirectory } from '../../temporary_directory.js';

export function memoryIdentity(): Promise<Identity> {
  return Identity.open({
    catalog: new MemoryCatalog(),
    dataDirectory: temporaryDirectory(),
    now: Date.now,
    holds: async () => null,
    usageDays: 30,
    log: () => {},
  });
}
