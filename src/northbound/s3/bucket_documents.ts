/** Settings of a bucket that the object layer keeps and does not read, as JSON (docs/formats/bucket_documents.md). */
import { z } from 'zod';

import { SkerryError } from '../../core/errors.js';
import type { Buckets } from '../../object/buckets.js';

export const document_version = 1;

/** A kind of setting: the name it is kept under, and its shape. */
export interface DocumentKind<T> {
  readonly kind: string;
  readonly schema: z.ZodType<T>;
}

export type BucketDocuments = Pick<Buckets, 'document' | 'setDocument'>;

/** What was read of a document: the catalog gives the same bytes until it changes. */
const known = new WeakMap<Uint8Array, unknown>();

const envelope = z.strictObject({ version: z.int(), document: z.unknown() });

export function encodeDocument(document: unknown): Uint8Array {
  return Buffer.from(JSON.stringify({ version: document_version, document }));
}

/** null where the bucket has none. @throws SkerryError not-found (no-such-bucket), corrupt, unsupported for a newer version */
export async function readDocument<T>(
  buckets: Pick<BucketDocuments, 'document'>,
  bucket: string,
  { kind, schema }: DocumentKind<T>,
): Promise<T | null> {
  const bytes = await buckets.document(bucket, kind);
  if (bytes === null) return null;
  // Each kind has bytes of its own, so what they were read as has its shape.
  if (known.has(bytes)) return known.get(bytes) as T;
  try {
    const { version, document } = envelope.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    if (version > document_version)
      throw new SkerryError('unsupported', `bucket ${bucket} has a ${kind} that a newer version of Skerry wrote`);
    const read = schema.parse(document);
    known.set(bytes, read);
    return read;
  } catch (cause) {
    if (cause instanceof SkerryError) throw cause;
    throw new SkerryError('corrupt', `what bucket ${bucket} has as its ${kind} is none`, { cause });
  }
}

/** null removes it. */
export function writeDocument<T>(
  buckets: BucketDocuments,
  bucket: string,
  { kind }: DocumentKind<T>,
  document: T | null,
): Promise<void> {
  return buckets.setDocument(bucket, kind, document === null ? null : encodeDocument(document));
}
