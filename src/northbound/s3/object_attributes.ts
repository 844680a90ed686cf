/** GetObjectAttributes: what an object is, without its body. */
import type { Version } from '../../object/object_version.js';
import type { OpenObject } from '../../object/objects.js';
import { xmlAnswer } from './answer.js';
import { checksumElement, checksumNodes } from './checksum_headers.js';
import { objectKeyOf } from './encryption_headers.js';
import { S3Failure } from './errors.js';
import type { Exchange, Operation } from './exchange.js';
import { openReadable, requestedBucket, requestedVersion, versionHeader } from './object_access.js';
import { httpDate } from './timestamp.js';
import { element, type XmlNode } from './xml_document.js';

const parts_per_page_max = 1000;
const attributeNames = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] as const;
type AttributeName = (typeof attributeNames)[number];

export const getObjectAttributes: Operation = {
  name: 'GetObjectAttributes',
  async run(exchange) {
    const wanted = wantedAttributes(exchange);
    const page = {
      after: numberHeader(exchange, 'x-amz-part-number-marker', 0),
      max: numberHeader(exchange, 'x-amz-max-parts', parts_per_page_max),
    };
    const name = requestedVersion(exchange);
    const bucket = await requestedBucket(exchange);
    const more = name.versionId === undefined ? 's3:GetObjectAttributes' : 's3:GetObjectVersionAttributes';
    const object = await openReadable(exchange, bucket, name, [more]);
    try {
      const { version } = object;
      await objectKeyOf(exchange, bucket, version.attributes.seal);
      const nodes: XmlNode[] = [];
      for (const attribute of wanted) nodes.push(...(await nodesOf(attribute, object, page)));
      return xmlAnswer('GetObjectAttributesResponse', nodes, {
        'last-modified': httpDate(version.modifiedAt),
        ...versionHeader(bucket, version.versionId),
      });
    } finally {
      object.close();
    }
  },
};

interface Page {
  readonly after: number;
  readonly max: number;
}

async function nodesOf(name: AttributeName, object: OpenObject, page: Page): Promise<readonly XmlNode[]> {
  const { version } = object;
  switch (name) {
    case 'ETag':
      return [element('ETag', version.etag)];
    case 'Checksum':
      return version.checksum === null ? [] : [element('Checksum', checksumNodes(version.checksum, version.parts))];
    case 'ObjectParts':
      return version.parts === 0 ? [] : [element('ObjectParts', await partNodes(object, page))];
    case 'StorageClass':
      return [element('StorageClass', version.attributes.storageClass || 'STANDARD')];
    case 'ObjectSize':
      return [element('ObjectSize', version.bytes)];
  }
}

async function partNodes(object: OpenObject, { after, max }: Page): Promise<readonly XmlNode[]> {
  const { version } = object;
  const count = Math.min(max, parts_per_page_max);
  const parts = count === 0 ? [] : await object.parts(after, count);
  const last = after + parts.length;
  return [
    element('PartsCount', version.parts),
    element('PartNumberMarker', after),
    element('NextPartNumberMarker', last),
    element('MaxParts', count),
    element('IsTruncated', last < version.parts),
    ...parts.map(({ bytes, checksum }, index) =>
      element('Part', [element('PartNumber', after + index + 1), element('Size', bytes), ...partSum(version, checksum)]),
    ),
  ];
}

function partSum({ checksum }: Version, value: string): readonly XmlNode[] {
  return checksum === null || value === '' ? [] : [element(checksumElement(checksum.algorithm), value)];
}

/** @throws S3Failure InvalidRequest, InvalidArgument */
function wantedAttributes({ request }: Exchange): readonly AttributeName[] {
  const given = request.headers
    .all('x-amz-object-attributes')
    .flatMap((value) => value.split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '');
  if (given.length === 0)
    throw new S3Failure(
      'InvalidRequest',
      'The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty',
    );
  const unknown = given.find((name) => !attributeNames.some((each) => each === name));
  if (unknown !== undefined)
    throw new S3Failure('InvalidArgument', 'Invalid attribute name specified.', {
      details: { ArgumentName: 'x-amz-object-attributes', ArgumentValue: unknown },
    });
  return attributeNames.filter((name) => given.includes(name));
}

function numberHeader({ request }: Exchange, name: string, otherwise: number): number {
  const text = request.headers.get(name);
  if (text === undefined) return otherwise;
  if (!/^\d{1,9}$/.test(text))
    throw new S3Failure('InvalidArgument', `${name} is not a whole number`, {
      details: { ArgumentName: name, ArgumentValue: text },
    });
  return Number(text);
}
