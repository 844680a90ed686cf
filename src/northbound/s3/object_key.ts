/** Keys of objects: any text of a bounded length. Some of it no XML can carry. */
import { S3Failure } from './errors.js';
import { bytesOfText, percentEncoded } from './percent.js';
import { xmlCarries } from './xml_document.js';

/** Of its UTF-8. */
export const object_key_bytes_max = 1024;

/** @throws S3Failure KeyTooLongError; InvalidArgument where there is none */
export function checkObjectKey(key: string): void {
  if (key === '') throw new S3Failure('InvalidArgument', 'An object has a key of at least one byte');
  const bytes = Buffer.byteLength(key);
  if (bytes > object_key_bytes_max)
    throw new S3Failure('KeyTooLongError', undefined, {
      details: { Size: String(bytes), MaxSizeAllowed: String(object_key_bytes_max) },
    });
}

/**
 * As `encoding-type=url` has it. A list whose keys XML cannot carry (`xmlCarries`) is given in this form also where nobody asked for it, and says
 * so: a key that comes out as another key is worse. A space is `%20`, which all clients decode; not all decode `+`.
 */
export function urlEncodedKey(key: string): string {
  return percentEncoded(bytesOfText(key), 'keep');
}

/** As it stands in a document that has no word for its form: itself, or encoded where XML cannot carry it. */
export function documentKey(key: string): string {
  return xmlCarries(key) ? key : urlEncodedKey(key);
}
