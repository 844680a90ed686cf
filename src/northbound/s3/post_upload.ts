/** An upload that a browser posts as a form: who signed its policy, whether it keeps to it, and the file. */
import type { Authenticator, Caller } from './authenticator.js';
import { S3Failure } from './errors.js';
import { FormParser, type FilePart } from './form_parser.js';
import { checkObjectKey } from './object_key.js';
import { bytesOfText } from './percent.js';
import { checkPolicy, parsePolicy, type SizeRange } from './post_policy.js';
import type { S3Request } from './request.js';
import { parseBasicTime } from './timestamp.js';
import { checkScope, parseCredential } from './v4_scope.js';
import { v4_algorithm } from './v4_signature.js';

export interface PostUpload<Principal> {
  /** null where the form is not signed. */
  readonly caller: Caller<Principal> | null;
  readonly key: string;
  /** By name in lower case, the name of the file put in. */
  readonly fields: ReadonlyMap<string, string>;
  readonly part: FilePart;
  /**
   * To be read once. Whatever was read counts for nothing until it ends: it fails with an S3Failure where the form is cut short, or
   * where the file is larger or smaller than the policy allows.
   */
  readonly file: AsyncIterable<Buffer>;
}

/**
 * Reads `source`, the body, up to the file; what follows is read with the file. `identify` is told who signed as soon as that is known.
 * @throws S3Failure with the code that S3 has for what is wrong
 */
export async function readPostUpload<Principal>(
  authenticator: Authenticator<Principal>,
  request: S3Request,
  bucket: string,
  source: AsyncIterable<Buffer>,
  identify: (caller: Caller<Principal> | null) => void = () => undefined,
): Promise<PostUpload<Principal>> {
  const parser = new FormParser(request.headers.get('content-type'));
  const pieces = source[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  while (parser.file === null) {
    const next = await pieces.next();
    if (next.done === true) {
      parser.end();
      break;
    }
    first.push(...parser.push(next.value));
  }
  const part = parser.file;
  if (part === null) throw new S3Failure('IncorrectNumberOfFilesInPostRequest');
  const fields = withFilename(parser.fields, part.filename);
  const { caller, size } = await admit(authenticator, fields, bucket, identify);
  const key = fields.get('key');
  if (key === undefined) throw missingField('key');
  checkObjectKey(key);
  return { caller, key, fields, part, file: fileOf(parser, first, pieces, size) };
}

interface Admission<Principal> {
  readonly caller: Caller<Principal> | null;
  readonly size: SizeRange | null;
}

async function admit<Principal>(
  authenticator: Authenticator<Principal>,
  fields: ReadonlyMap<string, string>,
  bucket: string,
  identify: (caller: Caller<Principal> | null) => void,
): Promise<Admission<Principal>> {
  if (!signingFields.some((name) => fields.has(name))) {
    identify(null);
    return { caller: null, size: null };
  }
  if (fields.has('x-amz-security-token')) throw new S3Failure('InvalidToken');
  const policy = fields.get('policy');
  if (policy === undefined) throw missingField('policy');
  const caller = fields.has('awsaccesskeyid')
    ? await callerV2(authenticator, fields, policy)
    : await callerV4(authenticator, fields, policy);
  identify(caller);
  const parsed = parsePolicy(policy);
  checkPolicy(parsed, new Map(fields).set('bucket', bucket), authenticator.now());
  return { caller, size: parsed.size };
}

/** Any of them, and the form is not anonymous: one that lost its policy is not let through as if nobody had signed it. */
const signingFields = ['policy', 'x-amz-signature', 'x-amz-credential', 'x-amz-algorithm', 'signature', 'awsaccesskeyid'];

async function callerV4<Principal>(
  authenticator: Authenticator<Principal>,
  fields: ReadonlyMap<string, string>,
  policy: string,
): Promise<Caller<Principal>> {
  const [algorithm, credentialText, date, signature] = [
    'x-amz-algorithm',
    'x-amz-credential',
    'x-amz-date',
    'x-amz-signature',
  ].map((name) => {
    const value = fields.get(name);
    if (value === undefined) throw missingField(name);
    return value;
  });
  if (algorithm !== v4_algorithm) throw badField('x-amz-algorithm', algorithm);
  const credential = parseCredential(credentialText ?? '');
  if (credential === null) throw badField('x-amz-credential', credentialText);
  if (date === undefined || parseBasicTime(date) === null) throw badField('x-amz-date', date);
  checkScope(credential.scope, authenticator.region, date, (message, details = {}) =>
    badField('x-amz-credential', credentialText, message, details),
  );
  const { principal } = await authenticator.verifyV4(credential, policy, signature ?? '');
  return { principal, accessKey: credential.accessKey, scheme: 'v4-post' };
}

async function callerV2<Principal>(
  authenticator: Authenticator<Principal>,
  fields: ReadonlyMap<string, string>,
  policy: string,
): Promise<Caller<Principal>> {
  const accessKey = fields.get('awsaccesskeyid') ?? '';
  const signature = fields.get('signature');
  if (signature === undefined) throw missingField('signature');
  const principal = await authenticator.verifyV2(accessKey, [bytesOfText(policy)], signature);
  return { principal, accessKey, scheme: 'v2-post' };
}

/** Puts the file's name where a field asks for it; of a whole path its last part. */
function withFilename(fields: ReadonlyMap<string, string>, filename: string): Map<string, string> {
  const name = filename.replace(/^.*[/\\]/s, '');
  return new Map([...fields].map(([field, value]) => [field, value.replaceAll('${filename}', () => name)]));
}

async function* fileOf(
  parser: FormParser,
  first: readonly Buffer[],
  rest: AsyncIterator<Buffer>,
  size: SizeRange | null,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  const counted = (piece: Buffer): Buffer => {
    bytes += piece.length;
    if (size !== null && bytes > size.bytesMax)
      throw new S3Failure('EntityTooLarge', undefined, {
        details: { ProposedSize: String(bytes), MaxSizeAllowed: String(size.bytesMax) },
      });
    return piece;
  };
  for (const piece of first) yield counted(piece);
  for (let next = await rest.next(); next.done !== true; next = await rest.next())
    for (const piece of parser.push(next.value)) yield counted(piece);
  parser.end();
  if (size !== null && bytes < size.bytesMin)
    throw new S3Failure('EntityTooSmall', undefined, {
      details: { ProposedSize: String(bytes), MinSizeAllowed: String(size.bytesMin) },
    });
}

function missingField(name: string): S3Failure {
  return new S3Failure(
    'InvalidArgument',
    `Bucket POST must contain a field named '${name}'.  If it is specified, please check the order of the fields.`,
    { details: { ArgumentName: name, ArgumentValue: '' } },
  );
}

function badField(name: string, value = '', reason = 'it is mal-formed', details: Record<string, string> = {}): S3Failure {
  return new S3Failure('InvalidArgument', `The field ${name} is not valid: ${reason}`, {
    details: { ArgumentName: name, ArgumentValue: value, ...details },
  });
}
