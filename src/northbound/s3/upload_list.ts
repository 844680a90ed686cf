/** Lists of uploads that were begun in a bucket, and neither completed nor aborted. */
import type { Listed, UploadView } from '../../object/listing.js';
import { xmlAnswer } from './answer.js';
import { checksumTypeText } from './checksum_headers.js';
import type { Operation } from './exchange.js';
import { given, listParameters, nameForm, type NameForm } from './list_parameters.js';
import { ListedOwners } from './listed_owners.js';
import { encodingOf, groupsOf, listable, optional } from './object_lists.js';
import { documentTime } from './timestamp.js';
import { element, type XmlNode } from './xml_document.js';

export const listMultipartUploads: Operation = {
  name: 'ListMultipartUploads',
  async run(exchange) {
    const bucket = await listable(exchange, 's3:ListBucketMultipartUploads');
    const { query } = exchange.request;
    const parameters = listParameters(query, 'max-uploads');
    const { prefix, delimiter, entriesMax } = parameters;
    const keyMarker = query.get('key-marker') ?? '';
    // Without a key it says nothing.
    const uploadMarker = keyMarker === '' ? undefined : given(query, 'upload-id-marker');
    const after = { after: keyMarker, ...(uploadMarker === undefined ? {} : { afterUpload: uploadMarker }) };
    const page = await exchange.services.store.listing.uploads({ bucket, prefix, delimiter, entriesMax, ...after });
    const last = page.token === null ? undefined : page.entries.at(-1);
    const nextKey = last?.entry === 'group' ? last.prefix : last?.item.key;
    const form = nameForm(parameters, [prefix, delimiter, keyMarker, ...namesOf(page)]);
    const owners = new ListedOwners(exchange.services);
    const contents: XmlNode[] = [];
    for (const entry of page.entries) if (entry.entry === 'item') contents.push(await uploadNode(entry.item, form, owners));
    return xmlAnswer('ListMultipartUploadsResult', [
      element('Bucket', bucket),
      element('KeyMarker', form.of(keyMarker)),
      element('UploadIdMarker', uploadMarker ?? ''),
      ...optional('NextKeyMarker', nextKey, form),
      ...(last?.entry === 'item' ? [element('NextUploadIdMarker', last.item.uploadId)] : []),
      element('Prefix', form.of(prefix)),
      ...optional('Delimiter', delimiter, form),
      element('MaxUploads', entriesMax),
      ...encodingOf(form),
      element('IsTruncated', page.token !== null),
      ...contents,
      ...groupsOf(page.entries, form),
    ]);
  },
};

async function uploadNode({ key, uploadId, upload }: UploadView, form: NameForm, owners: ListedOwners): Promise<XmlNode> {
  const { attributes, checksum, startedAt } = upload;
  return element('Upload', [
    element('Key', form.of(key)),
    element('UploadId', uploadId),
    ...(await owners.of(attributes.owner, 'Initiator')),
    ...(await owners.of(attributes.owner)),
    element('StorageClass', attributes.storageClass),
    element('Initiated', documentTime(startedAt)),
    ...(checksum === null
      ? []
      : [element('ChecksumAlgorithm', checksum.algorithm), element('ChecksumType', checksumTypeText(checksum.type))]),
  ]);
}

function namesOf({ entries }: Listed<UploadView>): string[] {
  return entries.map((entry) => (entry.entry === 'group' ? entry.prefix : entry.item.key));
}
