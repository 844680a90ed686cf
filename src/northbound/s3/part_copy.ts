/** Parts of uploads that are copies of objects, or of ranges of them. */
import type { Version, VersionName } from '../../object/object_version.js';
import { put_bytes_max } from '../../object/uploads.js';
import { xmlAnswer } from './answer.js';
import { checksumElement } from './checksum_headers.js';
import { copyConditions, copySource, missingSource, requireSource, sourceVersionHeader } from './copy_source.js';
import { objectKeyOf, sealHeaders, uploadKey } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange, Operation } from './exchange.js';
import type { Headers } from './headers.js';
import { invalidArgument } from './list_parameters.js';
import { documentTime } from './timestamp.js';
import { broughtBy } from './put_object.js';
import { openUpload, partNumber, requireWrite, uploadName } from './upload_access.js';
import { element } from './xml_document.js';

export const uploadPartCopy: Operation = {
  name: 'UploadPartCopy',
  async run(exchange) {
    const bucket = await requireWrite(exchange);
    const { headers } = exchange.request;
    const number = partNumber(exchange);
    const from = copySource(headers);
    const range = copyRange(headers);
    const { source, sourceKey } = await readableSource(exchange, from);
    const bytes = range?.bytes ?? source.bytes;
    if (bytes > put_bytes_max)
      throw new S3Failure(
        'InvalidRequest',
        `The specified copy source is larger than the maximum allowable size for a copy source: ${put_bytes_max}`,
      );
    const fromConditions = copyConditions(headers);
    // The version that access was judged of, where versions have names of their own.
    const judged = source.versionId === 'null' ? from : { ...from, versionId: source.versionId };
    const order = { ...uploadName(exchange), number, from: judged, fromConditions, ...(range === undefined ? {} : { range }) };
    const upload = await openUpload(exchange);
    const keys = { ...(await uploadKey(exchange, bucket, upload)), ...(sourceKey === undefined ? {} : { sourceKey }) };
    const part = await exchange.services.store.partCopies.copyPart({ ...order, ...broughtBy(exchange), ...keys });
    const kind = part.checksum === '' ? null : (upload?.checksum ?? null);
    return xmlAnswer(
      'CopyPartResult',
      [
        element('LastModified', documentTime(part.modifiedAt)),
        element('ETag', `"${part.etag}"`),
        ...(kind === null ? [] : [element(checksumElement(kind.algorithm), part.checksum)]),
      ],
      { ...sourceVersionHeader(source), ...sealHeaders(exchange, upload?.attributes.seal) },
    );
  },
};

/** As it is while access to it is judged. @throws S3Failure AccessDenied, NoSuchKey, NoSuchVersion, InvalidRequest */
async function readableSource(
  exchange: Exchange,
  from: VersionName,
): Promise<{ readonly source: Version; readonly sourceKey: Uint8Array | undefined }> {
  const { store } = exchange.services;
  const { record: bucket } = await store.buckets.get(from.bucket);
  const source = await store.objects.head(from).catch(async (error: unknown) => {
    throw await missingSource(exchange, bucket, from, error);
  });
  await requireSource(exchange, bucket, source, from);
  return { source, sourceKey: await objectKeyOf(exchange, bucket, source.attributes.seal, 'source') };
}

/** Unlike a range of a read it has both ends. @throws S3Failure InvalidArgument */
function copyRange(headers: Headers): { readonly offset: number; readonly bytes: number } | undefined {
  const text = headers.get('x-amz-copy-source-range');
  if (text === undefined) return undefined;
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(text) ?? [];
  if (first === undefined || last === undefined || Number(first) > Number(last))
    throw invalidArgument(
      'x-amz-copy-source-range',
      text,
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    );
  return { offset: Number(first), bytes: Number(last) - Number(first) + 1 };
}
