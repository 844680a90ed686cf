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
  await expect(shelves.make('far', () => [])).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('skerry pool create far'),
  });
});
