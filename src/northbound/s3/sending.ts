/** Writes an answer, and sees to what nobody read of the request: the next request on the connection begins behind it. */
import type { IncomingMessage, ServerResponse } from 'node:http';

import { pieceBuffers } from '../../object/piece_buffers.js';
import type { Answer, StreamedBody } from './answer.js';
import { ClientGone } from './client_gone.js';
import type { UnderWay } from './under_way.js';

/** So much of a body is read for nothing rather than a connection made anew. */
const unread_bytes_max = 65_536;
/**
 * A client may only read its answer once it has sent its body, and a connection that ends with something unread takes the answer with it, of
 * TLS above all: so some is read all the same, as much as parts of uploads mostly have. Of those too who said that they would wait for leave: some
 * say it and send (urllib3 1, what goes in chunks).
 */
const lingering_bytes_max = 16 << 20;
const lingering_milliseconds = 10_000;
/** Without a byte of it. */
const quiet_milliseconds = 1000;
/** A body up to here is read before anything is sent: streams would cost more than it, and where it cannot be read there is still an answer for that. */
const whole_bytes_max = 65_536;
/** Of a body that is sent: pieces that are read ahead, and the one that a socket takes. */
const download_bytes_held = 4 << 20;

/** Resolves when all is written; fails where the client is gone, or where the body cannot be read. */
export async function sendAnswer(request: UnderWay, { status, headers, body }: Answer): Promise<void> {
  const { incoming, response } = request;
  const bodiless = status === 204 || status === 304;
  const bytes = body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.bytes;
  const streamed = body !== null && typeof body !== 'string' && incoming.method !== 'HEAD' && !bodiless ? body : null;
  if (streamed !== null) await request.takeMemory(Math.min(bytes, download_bytes_held));
  const whole = streamed !== null && bytes <= whole_bytes_max ? await read(streamed) : null;
  const begun = streamed !== null && whole === null ? await begin(streamed) : null;
  const rest = unreadBytes(request);
  const closes = rest > unread_bytes_max || (rest > 0 && request.awaitsLeave);
  request.status = status;
  response.writeHead(
    status,
    flat({
      'x-amz-request-id': request.requestId,
      'x-amz-id-2': request.requestId,
      server: 'Skerry',
      ...request.corsHeaders,
      ...(bodiless ? {} : { 'content-length': String(bytes) }),
      ...headers,
      ...(closes ? { connection: 'close' } : {}),
    }),
  );
  if (begun !== null) return stream(request, begun);
  const content = whole ?? (typeof body === 'string' && incoming.method !== 'HEAD' && !bodiless ? body : '');
  request.bytesOut += Buffer.byteLength(content);
  if (closes) {
    response.flushHeaders();
    if (content.length > 0) response.write(content);
    await linger(incoming);
    response.end();
  } else {
    passOver(incoming);
    response.end(content);
  }
  await ended(response);
}

/** As node takes headers without looking at each: names and values in turn. */
function flat(headers: Readonly<Record<string, string>>): string[] {
  const all: string[] = [];
  for (const name in headers) all.push(name, headers[name] ?? '');
  return all;
}

/** Resolves when all that was written is taken; fails where the client is gone before. */
function ended(response: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const tell = (error?: Error): void => {
      if (response.writableFinished) resolve();
      else reject(error ?? new ClientGone());
    };
    if (response.destroyed) return tell();
    response.once('close', tell);
    response.once('error', tell);
  });
}

async function read({ bytes, content }: StreamedBody): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  const [first] = pieces;
  const whole = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
  if (whole.length !== bytes) throw new Error(`a body of ${bytes} bytes was read as ${whole.length}`);
  return whole;
}

/** A long body whose first piece was read. */
interface Begun {
  readonly first: IteratorResult<Uint8Array, unknown>;
  readonly more: AsyncIterator<Uint8Array, unknown>;
}

/** Where already its first piece cannot be read there is still an answer for that. */
async function begin({ content }: StreamedBody): Promise<Begun> {
  const more = content[Symbol.asyncIterator]();
  return { first: await more.next(), more };
}

async function stream(request: UnderWay, { first, more }: Begun): Promise<void> {
  const { incoming, response } = request;
  passOver(incoming);
  try {
    let before: Promise<void> | undefined;
    for (let next = first; next.done !== true; next = await more.next()) {
      const piece = next.value;
      request.bytesOut += piece.length;
      const written = write(response, piece);
      // Told when its turn comes.
      written.catch(() => undefined);
      // One piece is with the socket while the next one is brought.
      await before;
      before = written;
    }
    await before;
  } catch (error) {
    response.destroy();
    await more.return?.();
    throw error;
  }
  response.end();
  await ended(response);
}

/** Resolves when the socket has taken all of it; fails where the client is gone before. */
function write(response: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const onLeft = (): void => reject(new ClientGone());
    response.once('close', onLeft);
    response.write(piece, (error) => {
      response.off('close', onLeft);
      if (error) return onLeft();
      pieceBuffers.letGo(piece);
      resolve();
    });
  });
}

/** Of the request's body; Infinity where nobody said how long it is. */
function unreadBytes({ incoming, bytesIn }: UnderWay): number {
  if (incoming.complete) return 0;
  const { 'content-length': length, 'transfer-encoding': encoding } = incoming.headers;
  if (encoding !== undefined) return Number.POSITIVE_INFINITY;
  return Math.max(Number(length ?? 0) - bytesIn, 0);
}

function passOver(incoming: IncomingMessage): void {
  if (incoming.complete) return;
  incoming.unpipe();
  incoming.resume();
}

/** Until enough was read, or the client is gone or slow. */
async function linger(incoming: IncomingMessage): Promise<void> {
  const enough = Promise.withResolvers<void>();
  const patience = setTimeout(enough.resolve, lingering_milliseconds);
  let bytes = 0;
  const quiet = setTimeout(() => {
    const before = bytes;
    // Where we were late ourselves, what came meanwhile is handed over first.
    setImmediate(() => (bytes === before ? enough.resolve() : quiet.refresh()));
  }, quiet_milliseconds);
  incoming.on('data', (piece: Buffer) => {
    bytes += piece.length;
    quiet.refresh();
    if (bytes > lingering_bytes_max) enough.resolve();
  });
  for (const ended of ['end', 'close', 'error'] as const) incoming.once(ended, () => enough.resolve());
  passOver(incoming);
  await enough.promise;
  clearTimeout(patience);
  clearTimeout(quiet);
}
