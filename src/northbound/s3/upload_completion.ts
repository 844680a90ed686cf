/** An upload is completed: one transaction whatever its parts hold, so that the answer comes at once and needs no signs of life before it. */
import { checksumAlgorithms, type ChecksumAlgorithm } from '../../catalog/object_records.js';
import { parts_max, type CompleteOrder } from '../../object/uploads.js';
import { xmlAnswer } from './answer.js';
import { checksumElement, checksumHeader, checksumNodes, checksumTypeText } from './checksum_headers.js';
import { writeConditions } from './condition_headers.js';
import { sealHeaders, uploadKey } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import { causeOf, type Exchange, type Operation } from './exchange.js';
import { documentKey, urlEncodedKey } from './object_key.js';
import { openUpload, requireWrite, uploadName } from './upload_access.js';
import { element } from './xml_document.js';
import { malformedXml, readXml, type XmlElement } from './xml_tree.js';

export const completeMultipartUpload: Operation = {
  name: 'CompleteMultipartUpload',
  async run(exchange) {
    const bucket = await requireWrite(exchange);
    const conditions = writeConditions(exchange.request.headers);
    const bytes = objectBytes(exchange);
    // The sums that its headers tell are those of the object, and not of this document.
    const document = await readXml(exchange.body.stream(), 'CompleteMultipartUpload');
    const parts = lastOfEach(document.all('Part').map(partOf));
    if (parts.length === 0) throw malformedXml('an upload is completed with one part at least');
    if (parts.length > parts_max) throw malformedXml(`an upload has at most ${parts_max} parts`);
    const checksum = await wholeChecksum(exchange, parts.length);
    // Whoever completes what a client's key seals has that key.
    await uploadKey(exchange, bucket, await openUpload(exchange));
    const name = uploadName(exchange);
    const version = await exchange.services.store.uploads.complete({
      ...name,
      parts,
      conditions,
      cause: causeOf(exchange),
      ...(bytes === undefined ? {} : { bytes }),
      ...(checksum === undefined ? {} : { checksum }),
    });
    const headers = {
      ...(version.versionId === 'null' ? {} : { 'x-amz-version-id': version.versionId }),
      ...sealHeaders(exchange, version.attributes.seal),
    };
    return xmlAnswer(
      'CompleteMultipartUploadResult',
      [
        element('Location', locationOf(exchange, name)),
        element('Bucket', name.bucket),
        element('Key', documentKey(name.key)),
        element('ETag', `"${version.etag}"`),
        ...checksumNodes(version.checksum, version.parts),
      ],
      headers,
    );
  },
};

/** @throws S3Failure MalformedXML */
function partOf(part: XmlElement): CompleteOrder['parts'][number] {
  const number = part.required('PartNumber').asInteger();
  const etag = part
    .required('ETag')
    .asText()
    .trim()
    .replace(/^"(.*)"$/, '$1')
    .toLowerCase();
  const [checksum] = checksumAlgorithms.flatMap((algorithm) => part.optional(checksumElement(algorithm))?.asText().trim() ?? []);
  return { number, etag, ...(checksum === undefined ? {} : { checksum }) };
}

/** Who brought a part again while it was on its way already may list both: the later one counts. */
function lastOfEach(parts: CompleteOrder['parts']): CompleteOrder['parts'] {
  return parts.filter(({ number }, at) => parts[at + 1]?.number !== number);
}

/** What the length of all has to be. @throws S3Failure InvalidRequest */
function objectBytes({ request }: Exchange): number | undefined {
  const text = request.headers.get('x-amz-mp-object-size');
  if (text === undefined) return undefined;
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new S3Failure('InvalidRequest', 'Value for x-amz-mp-object-size header is invalid.');
}

/**
 * What the checksum of all has to be, where the request says so: without the number of parts, which must be theirs.
 * @throws S3Failure BadDigest; InvalidRequest where the upload has another checksum, or none
 */
async function wholeChecksum(exchange: Exchange, parts: number): Promise<string | undefined> {
  const { headers } = exchange.request;
  const typed = headers.get('x-amz-checksum-type')?.toUpperCase();
  const [algorithm, more] = checksumAlgorithms.filter((each) => headers.has(checksumHeader(each)));
  if (more !== undefined)
    throw new S3Failure('InvalidRequest', 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');
  if (typed === undefined && algorithm === undefined) return undefined;
  // Of one that was completed already nothing is left to be compared with but what it became.
  const upload = await openUpload(exchange);
  if (upload !== null) checkKind(upload.checksum, { algorithm, typed });
  if (algorithm === undefined) return undefined;
  const [, value = '', count] = /^([^-]*)(?:-(\d{1,5}))?$/.exec(headers.get(checksumHeader(algorithm)) ?? '') ?? [];
  if (count !== undefined && Number(count) !== parts) throw new S3Failure('BadDigest');
  return value;
}

function checkKind(
  kind: { readonly algorithm: ChecksumAlgorithm; readonly type: 'composite' | 'full-object' } | null,
  { algorithm, typed }: { readonly algorithm: ChecksumAlgorithm | undefined; readonly typed: string | undefined },
): void {
  const type = kind === null ? undefined : checksumTypeText(kind.type);
  if (typed !== undefined && typed !== type)
    throw new S3Failure(
      'InvalidRequest',
      `The upload was created using the ${type ?? 'null'} checksum mode. The complete request must use the same checksum mode.`,
    );
  if (algorithm !== undefined && algorithm !== kind?.algorithm)
    throw new S3Failure(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${kind?.algorithm.toLowerCase() ?? 'null'}, actual checksum Type: ${algorithm.toLowerCase()}`,
    );
}

/** Where the object is, by the host that the client knows. */
function locationOf({ request, address }: Exchange, { bucket, key }: { readonly bucket: string; readonly key: string }): string {
  const place = address.style === 'path' ? `${bucket}/${urlEncodedKey(key)}` : urlEncodedKey(key);
  return `${request.secure ? 'https' : 'http'}://${request.host}/${place}`;
}
