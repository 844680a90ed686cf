/** Lists of all versions and delete markers that a bucket has. */
import type { Listed, ListedVersion } from '../../object/listing.js';
import { xmlAnswer } from './answer.js';
import type { Operation } from './exchange.js';
import { given, invalidArgument, listParameters, nameForm, type NameForm } from './list_parameters.js';
import { ListedOwners } from './listed_owners.js';
import { encodingOf, factsOf, groupsOf, listable, optional } from './object_lists.js';
import { documentTime } from './timestamp.js';
import { element, type XmlNode } from './xml_document.js';

export const listObjectVersions: Operation = {
  name: 'ListObjectVersions',
  async run(exchange) {
    const bucket = await listable(exchange, 's3:ListBucketVersions');
    const { query } = exchange.request;
    const parameters = listParameters(query, 'max-keys');
    const { prefix, delimiter, entriesMax } = parameters;
    const keyMarker = query.get('key-marker') ?? '';
    const versionMarker = given(query, 'version-id-marker');
    if (versionMarker !== undefined && keyMarker === '')
      throw invalidArgument('version-id-marker', versionMarker, 'A version-id marker cannot be specified without a key marker.');
    const after = { after: keyMarker, ...(versionMarker === undefined ? {} : { afterVersion: versionMarker }) };
    const page = await exchange.services.store.listing.versions({ bucket, prefix, delimiter, entriesMax, ...after });
    const last = page.token === null ? undefined : page.entries.at(-1);
    const nextKey = last?.entry === 'group' ? last.prefix : last?.item.version.key;
    const form = nameForm(parameters, [prefix, delimiter, keyMarker, ...namesOf(page)]);
    const owners = new ListedOwners(exchange.services);
    const contents: XmlNode[] = [];
    for (const entry of page.entries) if (entry.entry === 'item') contents.push(await versionNode(entry.item, form, owners));
    return xmlAnswer('ListVersionsResult', [
      element('Name', bucket),
      element('Prefix', form.of(prefix)),
      element('KeyMarker', form.of(keyMarker)),
      element('VersionIdMarker', versionMarker ?? ''),
      ...optional('NextKeyMarker', nextKey, form),
      ...(last?.entry === 'item' ? [element('NextVersionIdMarker', last.item.version.versionId)] : []),
      element('MaxKeys', entriesMax),
      ...optional('Delimiter', delimiter, form),
      ...encodingOf(form),
      element('IsTruncated', page.token !== null),
      ...contents,
      ...groupsOf(page.entries, form),
    ]);
  },
};

async function versionNode({ version, current }: ListedVersion, form: NameForm, owners: ListedOwners): Promise<XmlNode> {
  const { key, versionId, deleteMarker, modifiedAt, attributes } = version;
  return element(deleteMarker ? 'DeleteMarker' : 'Version', [
    element('Key', form.of(key)),
    element('VersionId', versionId),
    element('IsLatest', current),
    ...(deleteMarker ? [element('LastModified', documentTime(modifiedAt))] : factsOf(version)),
    ...(await owners.of(attributes.owner)),
  ]);
}

function namesOf({ entries }: Listed<ListedVersion>): string[] {
  return entries.map((entry) => (entry.entry === 'group' ? entry.prefix : entry.item.version.key));
}
