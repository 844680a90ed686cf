/** Signature version 2 of S3, which the SDK no longer has: HMAC-SHA1 over the verb, some headers and the resource. */
import { createHmac } from 'node:crypto';

/** What of a request is signed. */
export interface SignableRequest {
  readonly method: string;
  /** As it goes over the wire, escaped. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Parts of the query that say what is asked for, and so belong to the resource. */
const subresources = new Set(
  ['acl', 'cors', 'delete', 'lifecycle', 'location', 'logging', 'notification', 'partNumber', 'policy', 'requestPayment']
    .concat(['torrent', 'uploadId', 'uploads', 'versionId', 'versioning', 'versions', 'website'])
    .concat(
      ['cache-control', 'content-disposition', 'content-encoding', 'content-language', 'content-type', 'expires'].map(
        (name) => `response-${name}`,
      ),
    ),
);

/** The value of Authorization. */
export function authorizationV2(request: SignableRequest, accessKey: string, secretKey: string): string {
  const sum = createHmac('sha1', secretKey).update(stringToSign(request)).digest('base64');
  return `AWS ${accessKey}:${sum}`;
}

/** A signer for the SDK, which calls it in place of its own. */
export function signerV2(accessKey: string, secretKey: string) {
  return {
    async sign<Request extends object>(
      request: Request,
      options?: { readonly signingDate?: Date | string | number },
    ): Promise<Request> {
      const { headers, ...rest } = request as unknown as SignableRequest;
      const date = new Date(options?.signingDate ?? Date.now()).toUTCString();
      const dated = { ...headers, date };
      const authorization = authorizationV2({ ...rest, headers: dated }, accessKey, secretKey);
      return Object.assign(request, { headers: { ...dated, authorization } });
    },
  };
}

function stringToSign({ method, path, query = {}, headers }: SignableRequest): string {
  const named = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value.trim()] as const);
  const valueOf = (name: string): string => named.find(([candidate]) => candidate === name)?.[1] ?? '';
  const amazon = named.filter(([name]) => name.startsWith('x-amz-')).map(([name, value]) => `${name}:${value}\n`);
  // One that is dated by x-amz-date is signed by that, and not by the date beside it.
  const date = valueOf('x-amz-date') === '' ? valueOf('date') : '';
  const head = [method, valueOf('content-md5'), valueOf('content-type'), date].map((line) => `${line}\n`);
  return head.join('') + amazon.sort().join('') + path + canonicalQuery(query);
}

function canonicalQuery(query: NonNullable<SignableRequest['query']>): string {
  const parts = Object.entries(query)
    .filter(([name]) => subresources.has(name))
    .map(([name, value]) => (value === null || value === '' ? name : `${name}=${String(value)}`));
  return parts.length === 0 ? '' : `?${parts.sort().join('&')}`;
}
