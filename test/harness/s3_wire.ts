/** A server that has nothing of S3 but its wire: who sent a request, what its body is, and the words of failures. Objects are in memory. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { addressOf, type Address } from '../../src/northbound/s3/address.js';
import { Authenticator } from '../../src/northbound/s3/authenticator.js';
import { bodyDecoder } from '../../src/northbound/s3/body_decoder.js';
import { errorAnswer } from '../../src/northbound/s3/error_document.js';
import { S3Failure } from '../../src/northbound/s3/errors.js';
import type { HeaderLine } from '../../src/northbound/s3/headers.js';
import { urlEncodedKey } from '../../src/northbound/s3/object_key.js';
import { readPostUpload } from '../../src/northbound/s3/post_upload.js';
import { readRequest, type S3Request } from '../../src/northbound/s3/request.js';
import { element, xmlDocument } from '../../src/northbound/s3/xml_document.js';
import { parseXml } from '../../src/northbound/s3/xml_tree.js';

export const wireKeys = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };

/** What the server saw of a request. */
export interface Seen {
  readonly operation: string;
  /** How it was signed, `anonymous` where nobody did, or the code of the failure. */
  readonly scheme: string;
  readonly style: Address['style'] | null;
  /** The form of the body: what `x-amz-content-sha256` said, a hash as `sha256`. */
  readonly body: string;
  readonly trailers: readonly string[];
}

export class S3Wire {
  readonly seen: Seen[] = [];
  /** By bucket and key. */
  readonly objects = new Map<string, Buffer>();
  readonly #server: Server;
  readonly #authenticator: Authenticator<string>;

  /** Its clock may be ahead of that of the clients. */
  constructor({ aheadMilliseconds = 0 } = {}) {
    this.#authenticator = new Authenticator<string>({
      region: 'us-east-1',
      version2: true,
      now: () => Date.now() + aheadMilliseconds,
      credentials: async (key) => (key === wireKeys.accessKey ? { secretKey: wireKeys.secretKey, principal: 'us' } : null),
    });
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /** Its port on 127.0.0.1. */
  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const note = {
      operation: incoming.method ?? '',
      scheme: 'anonymous',
      style: null as Address['style'] | null,
      body: '',
      trailers: [] as string[],
    };
    try {
      const lines = incoming.rawHeaders.flatMap((name, at, all): HeaderLine[] =>
        at % 2 === 0 ? [[name, all[at + 1] ?? '']] : [],
      );
      const request = readRequest({
        method: incoming.method ?? '',
        target: incoming.url ?? '',
        headers: lines,
        host: incoming.headers.host ?? '',
        secure: false,
      });
      const address = addressOf(request, { domains: ['s3.test'] });
      note.style = address.style;
      const said = request.headers.get('x-amz-content-sha256') ?? '';
      note.body = /^[0-9a-f]{64}$/.test(said) ? 'sha256' : said;
      if (request.method === 'POST' && address.key === null && !request.query.has('delete')) {
        note.operation = 'POST form';
        const upload = await readPostUpload(this.#authenticator, request, address.bucket ?? '', incoming);
        note.scheme = upload.caller?.scheme ?? 'anonymous';
        this.objects.set(`${address.bucket}/${upload.key}`, await gathered(upload.file));
        response.writeHead(204).end();
        return;
      }
      const { caller, body } = await this.#authenticator.authenticate(request, address);
      note.scheme = caller?.scheme ?? 'anonymous';
      const decoder = bodyDecoder(body);
      const bytes = await gathered(decoder.through(incoming));
      note.trailers.push(...decoder.trailers.keys());
      this.#serve(request, address, bytes, response);
    } catch (error) {
      const answer = errorAnswer(error, { resource: incoming.url ?? '', requestId: '1', hostId: '2' });
      if (!(error instanceof S3Failure)) console.error(error);
      note.scheme = answer.code;
      incoming.resume();
      response.writeHead(answer.status, { 'content-type': 'application/xml' }).end(incoming.method === 'HEAD' ? '' : answer.body);
    } finally {
      this.seen.push(note);
    }
  }

  #serve({ method, query }: S3Request, { bucket, key }: Address, bytes: Buffer, response: ServerResponse): void {
    const name = `${bucket}/${key}`;
    const xml = (text: string) => response.writeHead(200, { 'content-type': 'application/xml' }).end(text);
    if (key === null && query.has('delete')) {
      const keys = parseXml(bytes, 'Delete')
        .all('Object')
        .map((each) => each.required('Key').asText());
      for (const each of keys) this.objects.delete(`${bucket}/${each}`);
      xml(
        xmlDocument(
          'DeleteResult',
          keys.map((each) => element('Deleted', [element('Key', each)])),
        ),
      );
    } else if (key === null) {
      const prefix = `${bucket}/${query.get('prefix') ?? ''}`;
      const url = query.get('encoding-type') === 'url';
      const keys = [...this.objects.keys()]
        .filter((each) => each.startsWith(prefix))
        .map((each) => each.slice(`${bucket}/`.length));
      const list = keys.map((each) =>
        element('Contents', [element('Key', url ? urlEncodedKey(each) : each), element('Size', 1)]),
      );
      xml(
        xmlDocument('ListBucketResult', [
          element('Name', bucket ?? ''),
          ...(url ? [element('EncodingType', 'url')] : []),
          ...list,
        ]),
      );
    } else if (method === 'PUT') {
      this.objects.set(name, bytes);
      response.writeHead(200, { etag: '"x"' }).end();
    } else {
      const found = this.objects.get(name);
      if (found === undefined) throw new S3Failure('NoSuchKey', undefined, { details: { Key: key } });
      response.writeHead(200, { etag: '"x"', 'content-length': found.length }).end(method === 'HEAD' ? undefined : found);
    }
  }
}

async function gathered(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of source) pieces.push(piece);
  return Buffer.concat(pieces);
}
