/** An identity over a catalog of its own in a temporary directory, with a clock that the test turns. */
import { onTestFinished } from 'vitest';

import type { Catalog } from '../../../src/catalog/catalog.js';
import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { Identity, type IdentityOptions } from '../../../src/identity/identity.js';
import { temporaryDirectory } from '../temporary_directory.js';

export interface World {
  readonly directory: string;
  readonly clock: { now: number };
  readonly catalog: Catalog;
  readonly identity: Identity;
  /** What the log was told. */
  readonly logged: string[];
}

export async function openWorld(
  options: Partial<IdentityOptions> = {},
  before: { readonly directory?: string; readonly clock?: { now: number } } = {},
): Promise<World> {
  const directory = before.directory ?? temporaryDirectory();
  const clock = before.clock ?? { now: Date.UTC(2026, 10, 23, 10, 15) };
  const catalog = await openLmdbCatalog({ directory });
  onTestFinished(() => catalog.close());
  const logged: string[] = [];
  const identity = await Identity.open({
    catalog,
    dataDirectory: directory,
    now: () => clock.now,
    holds: async () => null,
    usageDays: 30,
    log: (_level, message) => logged.push(message),
    ...options,
  });
  return { directory, clock, catalog, identity, logged };
}

/** As the next start finds it. `killed`: nothing was flushed before. */
export async function reopen(world: World, killed = false): Promise<World> {
  if (!killed) await world.identity.stop();
  await world.catalog.close();
  return openWorld({}, world);
}
