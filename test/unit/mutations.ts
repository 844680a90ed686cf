/** Bytes that were sound once: some changed, some cut out, some said twice, some put in. */
import fc from 'fast-check';

type Mutation = (data: Uint8Array) => Uint8Array;

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const at = (data: Uint8Array, where: number): number => Math.floor(where * data.length);
const without = (data: Uint8Array, from: number, bytes: number, instead: Uint8Array): Uint8Array =>
  Uint8Array.from([...data.subarray(0, from), ...instead, ...data.subarray(from + bytes)]);

const flip = fc.tuple(place, fc.integer({ min: 0, max: 7 })).map(
  ([where, bit]): Mutation =>
    (data) =>
      data.map((byte, index) => (index === at(data, where) ? byte ^ (1 << bit) : byte)),
);
const overwrite = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(
  ([where, bytes]): Mutation =>
    (data) =>
      without(data, at(data, where), bytes.length, bytes),
);
const insert = fc.tuple(place, fc.uint8Array({ minLength: 1, maxLength: 12 })).map(
  ([where, bytes]): Mutation =>
    (data) =>
      without(data, at(data, where), 0, bytes),
);
const remove = fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(
  ([where, bytes]): Mutation =>
    (data) =>
      without(data, at(data, where), bytes, new Uint8Array(0)),
);
const repeat = fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(
  ([where, bytes]): Mutation =>
    (data) => {
      const from = at(data, where);
      return without(data, from, 0, data.slice(from, from + bytes));
    },
);
/** The largest number that a varint says, in place of another. */
const widen = place.map(
  (where): Mutation =>
    (data) =>
      without(data, at(data, where), 1, Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 1)),
);
const cut = place.map(
  (where): Mutation =>
    (data) =>
      data.slice(0, at(data, where)),
);

const mutations = fc.array(fc.oneof(flip, overwrite, insert, remove, repeat, widen, cut), { minLength: 1, maxLength: 4 });

/** `sound`, one to four times changed. */
export function mutationsOf(sound: Uint8Array): fc.Arbitrary<Uint8Array> {
  return mutations.map((list) => list.reduce((data, mutate) => mutate(data), sound));
}
