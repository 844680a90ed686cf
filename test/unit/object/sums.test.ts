/** Sums of bodies on other threads are those that are taken here, whatever comes in whichever pieces. */
import { describe, expect, test } from 'vitest';

import { sumsElsewhere, type MakeSums, type SumName } from '../../../src/engine/body_sums.ts';
import { SmallContent } from '../../../src/object/small_content.ts';
import { PassingSums, sumsHere } from '../../../src/object/sums.ts';
import { gather, once, pattern } from '../../harness/object_world.ts';

const names: readonly SumName[] = ['MD5', 'SHA1', 'SHA256', 'CRC32', 'CRC32C', 'CRC64NVME'];

async function valuesOf(bytes: Uint8Array, piece: number, make: MakeSums): Promise<string[]> {
  const sums = new PassingSums(names, make);
  expect(Buffer.compare(await gather(sums.through(once(bytes, piece))), bytes)).toBe(0);
  return sums.values.map((value) => value.toString('hex'));
}

describe('sums of a body', () => {
  for (const bytes of [0, 1, 131_072, 131_073, 1 << 20, 5_000_001]) {
    test(`of ${bytes} bytes are the same on other threads`, async () => {
      const body = pattern(bytes, 3);
      const here = await valuesOf(body, 65_536, sumsHere);
      for (const piece of [65_536, 700_001, 3 << 20]) expect(await valuesOf(body, piece, sumsElsewhere)).toEqual(here);
    });
  }

  test('that is read as a whole are those of its pieces', async () => {
    for (const bytes of [0, 1, 4096, 65_536]) {
      const body = pattern(bytes, 3);
      const whole = new SmallContent(async () => body);
      const [passing, iterated] = [new PassingSums(names, sumsHere), new PassingSums(names, sumsHere)];
      const passed = passing.through(whole);
      expect(passed instanceof SmallContent && (await passed.whole()) === body).toBe(true);
      expect(Buffer.compare(await gather(iterated.through(whole)), body)).toBe(0);
      const expected = await valuesOf(body, 1000, sumsHere);
      for (const sums of [passing, iterated]) expect(sums.values.map((value) => value.toString('hex'))).toEqual(expected);
    }
  });

  test('are refused by a name that is none', () => {
    expect(() => sumsElsewhere(['MD4' as SumName])).toThrow('MD4 is no sum');
  });

  test('that fail fail the body, and not the process', async () => {
    const failing: MakeSums = () => ({ update: async () => Promise.reject(new Error('no sums')), finish: () => [] });
    await expect(gather(new PassingSums(names, failing).through(once(pattern(4 << 20, 1), 65_536)))).rejects.toThrow('no sums');
    // Who leaves early hears of nothing.
    for await (const _ of new PassingSums(names, failing).through(once(pattern(4 << 20, 1), 2 << 20))) break;
  });

  test('are not to be had of a body that was not read to its end', async () => {
    const sums = new PassingSums(names, sumsHere);
    for await (const _ of sums.through(once(pattern(200_000, 1)))) break;
    expect(() => sums.values).toThrow('not read to its end');
  });
});
