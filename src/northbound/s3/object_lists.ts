/** Lists of what readers of a bucket find, in the two versions that S3 has of them. */
import type { ListEntry, Listed } from '../../object/listing.js';
import type { Version } from '../../object/object_version.js';
import { xmlAnswer } from './answer.js';
import { checksumTypeText } from './checksum_headers.js';
import { bucketName, type Exchange, type Operation } from './exchange.js';
import { given, listParameters, nameForm, type NameForm } from './list_parameters.js';
import { ListedOwners } from './listed_owners.js';
import { documentTime } from './timestamp.js';
import { element, xmlCarries, type XmlNode } from './xml_document.js';

export const listObjects: Operation = {
  name: 'ListObjects',
  async run(exchange) {
    const bucket = await listable(exchange, 's3:ListBucket');
    const { query } = exchange.request;
    const parameters = listParameters(query, 'max-keys');
    const { prefix, delimiter, entriesMax } = parameters;
    const marker = query.get('marker') ?? '';
    // An empty page is the last one to s3cmd, whatever else is said on it.
    const order = { bucket, prefix, delimiter, entriesMax, after: marker, untilFound: true } as const;
    const page = await exchange.services.store.listing.objects(order);
    const form = nameForm(parameters, [prefix, delimiter, marker, page.passed ?? '', ...namesOf(page)]);
    // Without a delimiter a client goes on after the last key, which it has; where more was passed over it is told where that ends.
    const next = page.token === null ? undefined : (page.passed ?? (delimiter === '' ? undefined : namesOf(page).at(-1)));
    return xmlAnswer('ListBucketResult', [
      element('Name', bucket),
      // Of this version clients decode all names but this one.
      element('Prefix', xmlCarries(prefix) ? prefix : form.of(prefix)),
      element('Marker', form.of(marker)),
      ...optional('NextMarker', next, form),
      element('MaxKeys', entriesMax),
      ...optional('Delimiter', delimiter, form),
      ...encodingOf(form),
      element('IsTruncated', page.token !== null),
      ...(await contentsOf(page, { exchange, form, owners: true })),
    ]);
  },
};

export const listObjectsV2: Operation = {
  name: 'ListObjectsV2',
  async run(exchange) {
    const bucket = await listable(exchange, 's3:ListBucket');
    const { query } = exchange.request;
    const parameters = listParameters(query, 'max-keys');
    const { prefix, delimiter, entriesMax } = parameters;
    const start = query.get('start-after');
    const token = query.get('continuation-token');
    const page = await exchange.services.store.listing.objects({
      bucket,
      prefix,
      delimiter,
      entriesMax,
      after: start ?? '',
      ...(token === undefined || token === '' ? {} : { token }),
    });
    const form = nameForm(parameters, [prefix, delimiter, start ?? '', ...namesOf(page)]);
    return xmlAnswer('ListBucketResult', [
      element('Name', bucket),
      element('Prefix', form.of(prefix)),
      ...(start === undefined ? [] : [element('StartAfter', form.of(start))]),
      ...(token === undefined ? [] : [element('ContinuationToken', token)]),
      ...(page.token === null ? [] : [element('NextContinuationToken', page.token)]),
      element('KeyCount', page.entries.length),
      element('MaxKeys', entriesMax),
      ...optional('Delimiter', delimiter, form),
      ...encodingOf(form),
      element('IsTruncated', page.token !== null),
      ...(await contentsOf(page, { exchange, form, owners: given(query, 'fetch-owner') === 'true' })),
    ]);
  },
};

/** The bucket's name, once it is known that the caller may list it. @throws S3Failure AccessDenied; SkerryError not-found */
export async function listable(exchange: Exchange, action: string): Promise<string> {
  const { store, access } = exchange.services;
  const name = bucketName(exchange);
  const { record: bucket } = await store.buckets.get(name);
  await access.require(exchange, { action, bucket, key: null, grant: { of: 'bucket', permission: 'READ' } });
  return name;
}

export function encodingOf({ encoded }: NameForm): XmlNode[] {
  return encoded ? [element('EncodingType', 'url')] : [];
}

/** Left out where there is nothing to be said. */
export function optional(name: string, value: string | undefined, form: NameForm): XmlNode[] {
  return value === undefined || value === '' ? [] : [element(name, form.of(value))];
}

/** Groups stand behind all else that is on a page. */
export function groupsOf<T>(entries: readonly ListEntry<T>[], form: NameForm): XmlNode[] {
  return entries.flatMap((entry) =>
    entry.entry === 'group' ? [element('CommonPrefixes', [element('Prefix', form.of(entry.prefix))])] : [],
  );
}

/** What is said of a version of an object wherever it is listed. */
export function factsOf({ modifiedAt, etag, checksum, bytes, attributes }: Version): XmlNode[] {
  return [
    element('LastModified', documentTime(modifiedAt)),
    element('ETag', `"${etag}"`),
    ...(checksum === null
      ? []
      : [element('ChecksumAlgorithm', checksum.algorithm), element('ChecksumType', checksumTypeText(checksum.type))]),
    element('Size', bytes),
    element('StorageClass', attributes.storageClass),
  ];
}

function namesOf({ entries }: Listed<Version>): string[] {
  return entries.map((entry) => (entry.entry === 'group' ? entry.prefix : entry.item.key));
}

async function contentsOf(
  { entries }: Listed<Version>,
  { exchange, form, owners }: { readonly exchange: Exchange; readonly form: NameForm; readonly owners: boolean },
): Promise<XmlNode[]> {
  const listed = new ListedOwners(exchange.services);
  const contents: XmlNode[] = [];
  for (const entry of entries) {
    if (entry.entry === 'group') continue;
    const { item } = entry;
    const owner = owners ? await listed.of(item.attributes.owner) : [];
    contents.push(element('Contents', [element('Key', form.of(item.key)), ...factsOf(item), ...owner]));
  }
  return [...contents, ...groupsOf(entries, form)];
}
