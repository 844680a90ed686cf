import { describe, expect, test } from 'vitest';

import { ObjectWorld } from '../harness/object_world.ts';
import { objectLaws } from './object_laws.js';

describe('the object layer itself', () => {
  for (const law of objectLaws) {
    test(law.title, async () => {
      const world = await ObjectWorld.open();
      await world.layer.buckets.create({ name: 'bucket', account: 7, pool: 'default' });
      await law.check(world.layer, 'bucket');
      await world.layer.takeBack();
      expect(await world.audit()).toEqual([]);
    });
  }
});
