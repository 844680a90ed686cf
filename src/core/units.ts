/** Quantities that must not be mixed up. A brand costs nothing at run time; make one with the function of its name. */

declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

export type Bytes = Branded<number, 'bytes'>;
export type PageIndex = Branded<number, 'page index'>;
export type BlockIndex = Branded<number, 'block index'>;
export type BlockCount = Branded<number, 'block count'>;
export type Milliseconds = Branded<number, 'milliseconds'>;

/** A resource of the catalog; never reused. */
export type ResourceId = Branded<number, 'resource id'>;
/** Grows with each grant of a volume's lease; a higher one that has published ends all lower ones. */
export type Fence = Branded<number, 'fence'>;
/** Position in a volume's order of writes. */
export type Sequence = Branded<number, 'sequence'>;

/** A whole count of bytes. A fraction, a negative or an inexact number is a bug of the caller. */
export const bytes = (value: number): Bytes => whole(value, 'bytes') as Bytes;
export const pageIndex = (value: number): PageIndex => whole(value, 'page index') as PageIndex;
export const blockIndex = (value: number): BlockIndex => whole(value, 'block index') as BlockIndex;
export const blockCount = (value: number): BlockCount => whole(value, 'block count') as BlockCount;
export const milliseconds = (value: number): Milliseconds => whole(value, 'milliseconds') as Milliseconds;
export const resourceId = (value: number): ResourceId => whole(value, 'resource id') as ResourceId;
export const fence = (value: number): Fence => whole(value, 'fence') as Fence;
export const sequence = (value: number): Sequence => whole(value, 'sequence') as Sequence;

function whole(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${what} must be a safe integer of at least 0, not ${value}`);
  return value;
}
