import { expect, it } from 'vitest';

import { Shelves } from '../../../src/mapper/shelves.ts';
import { SkerryError } from '../../../src/core/errors.ts';
import { openWorld } from './world.ts';

it('a shelf in a pool that is not there is no thing that somebody asked for: nothing can be stored right now, and the words say why', async () => {
  const using = async (): Promise<never> => {
    throw new SkerryError('not-found', 'there is no pool far');
  };
  const world = await openWorld();
  const shelves = new Shelves({ ...world, engine: { add: () => undefined }, pools: { using } });
  await expect(shelves.make({ pool: 'far', domain: null }, () => [])).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('skerry pool create far'),
  });
});

it('a shelf of an account is one whose blocks are of that domain: catalog and engine hear of it', async () => {
  const heard: unknown[] = [];
  const world = await openWorld();
  const engine = { add: (spec: unknown) => void heard.push(spec) };
  const shelves = new Shelves({ ...world, engine, pools: { using: (_pool, work) => work() } });
  for (const domain of [null, 2 ** 20 + 3]) {
    const id = await shelves.make({ pool: 'default', domain }, () => []);
    expect(heard.at(-1)).toMatchObject({ id, domain: domain ?? 0 });
    expect((await world.ledger.get(id))?.record).toMatchObject({ shelf: true, ...(domain === null ? {} : { domain }) });
  }
});
