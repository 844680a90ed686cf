/** PostObject: an object that a browser uploads as a form. Its fields are to it what headers are to PutObject. */
import type { Principal } from '../../identity/access_keys.js';
import type { BucketRecord } from '../../catalog/object_records.js';
import type { Version } from '../../object/object_version.js';
import { emptyAnswer, type Answer } from './answer.js';
import type { Exchange, Operation } from './exchange.js';
import { Headers, type HeaderLine } from './headers.js';
import { requestedBucket } from './object_access.js';
import { checkedTags } from './object_tags.js';
import { bytesOfText, percentEncoded } from './percent.js';
import { readPostUpload, type PostUpload } from './post_upload.js';
import { bounded, requirePut, store, storedHeaders } from './put_object.js';
import { refuseUnheededHeaders } from './unheeded.js';
import { plainXmlDocument, element } from './xml_document.js';
import { parseXml } from './xml_tree.js';

export const postObject: Operation = {
  name: 'PostObject',
  callerInBody: true,
  async run(exchange) {
    const { request, body, services, identify } = exchange;
    const bucket = await requestedBucket(exchange);
    const upload = await readPostUpload(services.authenticator, request, bucket.name, body.raw(), identify);
    const put = asPut(exchange, upload);
    await requirePut(put, bucket);
    const version = await store(put, bucket, { content: bounded(upload.file), bytes: null, kind: 'form' });
    return answerOf(put, bucket, version, upload.fields);
  },
};

/** The put that the form stands for. */
function asPut(exchange: Exchange, { caller, key, fields, part }: PostUpload<Principal>): Exchange {
  const lines = [...fields].flatMap(([name, value]): HeaderLine[] => {
    const header = headerOf(name);
    return header === null ? [] : [[header, bytesOfText(name === 'tagging' ? taggingHeader(value) : value)]];
  });
  if (!fields.has('content-type') && part.contentType !== null) lines.push(['content-type', bytesOfText(part.contentType)]);
  const headers = new Headers(lines);
  refuseUnheededHeaders(headers);
  return { ...exchange, caller, address: { ...exchange.address, key }, request: { ...exchange.request, headers } };
}

const headerFields = new Set([
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-md5',
  'content-type',
  'expires',
]);
/** Those that say who signed the form. */
const signingFields = new Set(['x-amz-algorithm', 'x-amz-credential', 'x-amz-date', 'x-amz-signature', 'x-amz-security-token']);

/** The header that a field stands for; null where it is none. */
function headerOf(field: string): string | null {
  if (field === 'acl') return 'x-amz-acl';
  if (field === 'tagging') return 'x-amz-tagging';
  if (headerFields.has(field)) return field;
  return field.startsWith('x-amz-') && !signingFields.has(field) ? field : null;
}

/** A form has a document where a header has a query. @throws S3Failure MalformedXML, InvalidTag */
function taggingHeader(xml: string): string {
  const tags = parseXml(Buffer.from(xml), 'Tagging').required('TagSet').all('Tag');
  const checked = checkedTags(tags.map((tag) => [tag.required('Key').asText(), tag.required('Value').asText()]));
  const encoded = (text: string): string => percentEncoded(bytesOfText(text), 'encode');
  return Object.entries(checked)
    .map(([key, value]) => `${encoded(key)}=${encoded(value)}`)
    .join('&');
}

function answerOf(put: Exchange, bucket: BucketRecord, version: Version, fields: ReadonlyMap<string, string>): Answer {
  const key = put.address.key ?? '';
  const location = locationOf(put, bucket.name, key);
  const headers = { ...storedHeaders(put, bucket, version), location };
  const redirect = redirectOf(fields.get('success_action_redirect') ?? fields.get('redirect'));
  if (redirect !== null) {
    for (const [name, value] of [
      ['bucket', bucket.name],
      ['key', key],
      ['etag', `"${version.etag}"`],
    ] as const)
      redirect.searchParams.append(name, value);
    return emptyAnswer(303, { ...headers, location: redirect.href });
  }
  const status = fields.get('success_action_status');
  if (status !== '201') return emptyAnswer(status === '200' ? 200 : 204, headers);
  const body = created(bucket.name, key, location, version);
  return { status: 201, headers: { ...headers, 'content-type': 'application/xml' }, body };
}

function created(bucket: string, key: string, location: string, { etag }: Version): string {
  return plainXmlDocument('PostResponse', [
    element('Location', location),
    element('Bucket', bucket),
    element('Key', key),
    element('ETag', `"${etag}"`),
  ]);
}

function locationOf({ request, address }: Exchange, bucket: string, key: string): string {
  const path = percentEncoded(bytesOfText(key), 'keep');
  const base = `${request.secure ? 'https' : 'http'}://${request.host}`;
  return address.style === 'path' ? `${base}/${bucket}/${path}` : `${base}/${path}`;
}

/** null: nowhere. One that is no address is passed over, as S3 does. */
function redirectOf(text: string | undefined): URL | null {
  const url = text === undefined || !URL.canParse(text) ? null : new URL(text);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') ? url : null;
}
