/** Whom a request comes from. It may be signed in a header or in the query, by version 4 or 2, or not at all; never twice. */
import type { Address } from './address.js';
import { ChunkSignatures } from './chunk_signatures.js';
import { isAccessKey, type Credentials, type CredentialSource } from './credentials.js';
import { S3Failure } from './errors.js';
import { payloadOf, type ChunkedPayload, type PlainPayload } from './payload.js';
import type { S3Request } from './request.js';
import { sameSecret } from './same_secret.js';
import { SigningKeys } from './signing_keys.js';
import { signV2, v2ClaimOfHeader, v2ClaimOfQuery, v2PresignedNames, type V2Claim } from './v2_signature.js';
import { claimOfHeader, claimOfQuery, presignedNames, type V4Claim } from './v4_claim.js';
import type { Credential } from './v4_scope.js';
import { canonicalRequest, signV4, stringToSign, v4_algorithm } from './v4_signature.js';

export type Scheme = 'v4-header' | 'v4-presigned' | 'v4-post' | 'v2-header' | 'v2-presigned' | 'v2-post';

export interface Caller<Principal> {
  readonly principal: Principal;
  readonly accessKey: string;
  readonly scheme: Scheme;
}

/** How the body is to be read; `body_decoder.ts` does. Signatures are there where its chunks are signed. */
export type BodyPlan = PlainPayload | (ChunkedPayload & { readonly signatures: ChunkSignatures | null });

export interface Authenticated<Principal> {
  /** null: nobody said who it is. */
  readonly caller: Caller<Principal> | null;
  readonly body: BodyPlan;
}

export interface AuthenticatorOptions<Principal> {
  readonly region: string;
  readonly credentials: CredentialSource<Principal>;
  /** Whether signatures of version 2, which are weaker, are taken. */
  readonly version2: boolean;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

const signing_keys_count_max = 1024;

export class Authenticator<Principal> {
  readonly region: string;
  readonly version2: boolean;
  readonly now: () => number;
  readonly #credentials: CredentialSource<Principal>;
  readonly #keys = new SigningKeys(signing_keys_count_max);

  constructor({ region, credentials, version2, now = Date.now }: AuthenticatorOptions<Principal>) {
    this.region = region;
    this.version2 = version2;
    this.now = now;
    this.#credentials = credentials;
  }

  /**
   * A form that a browser posts says who it is from in its fields: see `post_upload.ts`.
   * @throws S3Failure with the code that S3 has for what is wrong
   */
  async authenticate(request: S3Request, address: Address): Promise<Authenticated<Principal>> {
    const authorization = authorizationOf(request);
    const presigned = presignedNames.some((name) => request.query.has(name));
    const presignedV2 = v2PresignedNames.some((name) => request.query.has(name));
    if ([authorization !== null, presigned, presignedV2].filter(Boolean).length > 1)
      throw new S3Failure(
        'InvalidArgument',
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
      );
    if (presigned) return this.#v4(request, claimOfQuery(request, this.#claimOptions()));
    if (presignedV2) return this.#v2(request, () => v2ClaimOfQuery(request, address, this.now()));
    if (authorization === null) return { caller: null, body: unsignedBody(request) };
    if (authorization.startsWith('AWS '))
      return this.#v2(request, () => v2ClaimOfHeader(request, address, authorization, this.now()));
    if (authorization.startsWith(`${v4_algorithm} `))
      return this.#v4(request, claimOfHeader(request, authorization, this.#claimOptions()));
    throw unknownMechanism(authorization);
  }

  /**
   * Whose signature of version 4 over `text` this is. `more` is told of one that does not match.
   * @throws S3Failure InvalidAccessKeyId, SignatureDoesNotMatch
   */
  async verifyV4(
    credential: Credential,
    text: string,
    signature: string,
    more: () => Record<string, string> = () => ({}),
  ): Promise<{ readonly principal: Principal; readonly key: Buffer }> {
    const { secretKey, principal } = await this.#find(credential.accessKey);
    const key = this.#keys.keyFor(credential, secretKey);
    if (!sameSecret(signV4(key, text), signature)) throw mismatch(credential.accessKey, text, signature, more());
    this.#keys.remember(credential, secretKey, key);
    return { principal, key };
  }

  /**
   * Whose signature of version 2 over any of `texts`, a character for each byte, this is.
   * @throws S3Failure InvalidAccessKeyId, SignatureDoesNotMatch, InvalidRequest where version 2 is not taken
   */
  async verifyV2(accessKey: string, texts: readonly string[], signature: string): Promise<Principal> {
    this.#requireVersion2();
    const { secretKey, principal } = await this.#find(accessKey);
    if (!texts.some((text) => sameSecret(signV2(secretKey, text), signature)))
      throw mismatch(accessKey, texts[0] ?? '', signature);
    return principal;
  }

  async #v4(request: S3Request, claim: V4Claim): Promise<Authenticated<Principal>> {
    refuseToken(request);
    const { credential, timestamp, signature } = claim;
    const canonical = canonicalRequest(request, {
      ...claim,
      except: claim.form === 'presigned' ? 'X-Amz-Signature' : undefined,
    });
    const text = stringToSign(canonical, timestamp, credential.scope);
    const { principal, key } = await this.verifyV4(credential, text, signature, () => ({
      CanonicalRequest: shown(canonical),
      CanonicalRequestBytes: byteList(canonical),
    }));
    checkSignedHeaders(request, claim.signedHeaders);
    const payload = payloadOf(request, claim.contentSha256);
    if (payload.form === 'chunked' && payload.signed && claim.form === 'presigned')
      throw new S3Failure('InvalidRequest', 'Chunks are signed with a signature in the Authorization header only');
    const signaturesOf = (): ChunkSignatures => new ChunkSignatures({ key, timestamp, scope: credential.scope, seed: signature });
    return {
      caller: { principal, accessKey: credential.accessKey, scheme: `v4-${claim.form}` },
      body: payload.form === 'plain' ? payload : { ...payload, signatures: payload.signed ? signaturesOf() : null },
    };
  }

  async #v2(request: S3Request, claimOf: () => V2Claim): Promise<Authenticated<Principal>> {
    this.#requireVersion2();
    refuseToken(request);
    const claim = claimOf();
    const principal = await this.verifyV2(claim.accessKey, claim.stringsToSign, claim.signature);
    return {
      caller: { principal, accessKey: claim.accessKey, scheme: `v2-${claim.form}` },
      body: unsignedBody(request),
    };
  }

  async #find(accessKey: string): Promise<Credentials<Principal>> {
    const found = isAccessKey(accessKey) ? await this.#credentials(accessKey) : null;
    if (found === null) throw new S3Failure('InvalidAccessKeyId', undefined, { details: { AWSAccessKeyId: accessKey } });
    return found;
  }

  #requireVersion2(): void {
    if (!this.version2)
      throw new S3Failure(
        'InvalidRequest',
        `The authorization mechanism you have provided is not supported. Please use ${v4_algorithm}.`,
      );
  }

  #claimOptions(): { readonly region: string; readonly now: number } {
    return { region: this.region, now: this.now() };
  }
}

/** null where there is no such header. An empty one is somebody's try. */
function authorizationOf({ headers }: S3Request): string | null {
  const values = headers.all('authorization');
  if (values.length > 1) throw new S3Failure('InvalidArgument', 'Only one Authorization header is allowed');
  const value = headers.get('authorization');
  if (value === '') throw new S3Failure('AccessDenied');
  return value ?? null;
}

/** A body of which no signature says anything. It may still be framed, and bring sums of its own. */
function unsignedBody(request: S3Request): BodyPlan {
  const payload = payloadOf(request, request.headers.get('x-amz-content-sha256'));
  if (payload.form === 'plain') return payload;
  if (payload.signed) throw new S3Failure('AccessDenied', 'Chunks that are signed need a request that is signed by version 4');
  return { ...payload, signatures: null };
}

/**
 * Host and all that is for S3: what is not signed could have been added, or changed, by anybody on the way.
 * @throws S3Failure AccessDenied
 */
function checkSignedHeaders({ headers }: S3Request, signedHeaders: readonly string[]): void {
  const signed = new Set(signedHeaders);
  const missing = headers.names().filter((name) => name.startsWith('x-amz-') && !signed.has(name));
  if (!signed.has('host')) missing.unshift('host');
  if (missing.length > 0)
    throw new S3Failure('AccessDenied', 'There were headers present in the request which were not signed', {
      details: { HeadersNotSigned: missing.join(', ') },
    });
}

/** There are no temporary credentials here; a request that has some was meant for elsewhere. */
function refuseToken({ headers, query }: S3Request): void {
  if (headers.has('x-amz-security-token') || query.has('X-Amz-Security-Token') || query.has('x-amz-security-token'))
    throw new S3Failure('InvalidToken');
}

function unknownMechanism(authorization: string): S3Failure {
  if (authorization.startsWith('AWS4-'))
    return new S3Failure(
      'InvalidRequest',
      `The authorization mechanism you have provided is not supported. Please use ${v4_algorithm}.`,
    );
  return new S3Failure('InvalidArgument', 'Unsupported Authorization Type', {
    details: { ArgumentName: 'Authorization', ArgumentValue: authorization },
  });
}

/** S3 tells what it would have signed, so that a client's maker can find where they differ. No secret is in it. */
function mismatch(accessKey: string, text: string, signature: string, more: Record<string, string> = {}): S3Failure {
  return new S3Failure('SignatureDoesNotMatch', undefined, {
    details: {
      AWSAccessKeyId: accessKey,
      StringToSign: shown(text),
      SignatureProvided: signature,
      StringToSignBytes: byteList(text),
      ...more,
    },
  });
}

function shown(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** `47 45 54 0a`. */
function byteList(bytes: string): string {
  return Buffer.from(bytes, 'latin1')
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
}
