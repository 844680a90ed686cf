/** What a protocol asks of the object layer. Its laws are in test/conformance/object_laws.ts. */
import type { Buckets } from './buckets.js';
import type { Copies } from './copies.js';
import type { Listing } from './listing.js';
import type { Objects } from './objects.js';
import type { PartCopies } from './part_copies.js';
import type { Uploads } from './uploads.js';

export interface ObjectStore {
  readonly buckets: Pick<Buckets, 'create' | 'get' | 'list' | 'set' | 'remove' | 'document' | 'setDocument'>;
  readonly objects: Pick<Objects, 'put' | 'open' | 'head' | 'remove' | 'setAttributes' | 'setRetention'>;
  readonly copies: Pick<Copies, 'copy'>;
  readonly listing: Pick<Listing, 'objects' | 'versions' | 'uploads'>;
  readonly uploads: Pick<Uploads, 'create' | 'putPart' | 'listParts' | 'abort' | 'complete'>;
  readonly partCopies: Pick<PartCopies, 'copyPart'>;
}
