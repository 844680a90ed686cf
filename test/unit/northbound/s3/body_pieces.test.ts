/** Bodies in pieces: all bytes in their order, whatever chunks they come in, and an early end is told. */
import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { piece_bytes } from '../../../../src/object/piece_buffers.ts';
import { piecesOf } from '../../../../src/northbound/s3/body_pieces.ts';
import { pattern } from '../../../harness/object_world.ts';

/** Its own memory for each chunk, as a socket has it. */
function send(into: PassThrough, bytes: Uint8Array, chunkBytes: number): void {
  for (let at = 0; at < bytes.length; at += chunkBytes) into.write(Buffer.from(bytes.slice(at, at + chunkBytes).buffer));
  into.end();
}

for (const [bytes, chunk] of [
  [70_000, 65_536],
  [piece_bytes, 65_536],
  [3 * piece_bytes + 5, 50_001],
  [2 * piece_bytes, 3 * piece_bytes],
] as const)
  test(`${bytes} bytes in chunks of ${chunk} come whole`, async () => {
    const body = pattern(bytes, 7);
    const incoming = new PassThrough();
    send(incoming, body, chunk);
    let received = 0;
    const found: Buffer[] = [];
    const coming = { bytes, pieces: 'let go', onReceived: (more: number) => (received += more) } as const;
    for await (const piece of piecesOf(incoming, coming)) {
      await setImmediate();
      found.push(Buffer.from(piece));
    }
    expect(found.map(({ length }) => length)).toEqual(
      Array.from({ length: Math.ceil(bytes / piece_bytes) }, (_, at) => Math.min(piece_bytes, bytes - at * piece_bytes)),
    );
    expect(Buffer.concat(found).equals(body)).toBe(true);
    expect(received).toBe(bytes);
  });

test('more than was announced comes all the same', async () => {
  const incoming = new PassThrough();
  send(incoming, pattern(200_000, 1), 65_536);
  let bytes = 0;
  for await (const piece of piecesOf(incoming, { bytes: 100_000, pieces: 'kept', onReceived: () => undefined }))
    bytes += piece.length;
  expect(bytes).toBe(200_000);
});

test('pieces that are kept are nobody else’s', async () => {
  const body = pattern(3 * piece_bytes, 2);
  const incoming = new PassThrough();
  send(incoming, body, 65_536);
  const found: Buffer[] = [];
  for await (const piece of piecesOf(incoming, { bytes: body.length, pieces: 'kept', onReceived: () => undefined }))
    found.push(piece);
  expect(Buffer.concat(found).equals(body)).toBe(true);
});

test('who reads no more leaves the rest where it is, and who reads slowly has little ahead', async () => {
  const incoming = new PassThrough();
  let received = 0;
  send(incoming, pattern(8 * piece_bytes, 2), 65_536);
  const pieces = piecesOf(incoming, { bytes: 8 * piece_bytes, pieces: 'let go', onReceived: (more) => (received += more) });
  await pieces.next();
  for (let turn = 0; turn < 100; turn += 1) await setImmediate();
  expect(received).toBeLessThan(3 * piece_bytes);
  await pieces.return();
  expect(incoming.isPaused()).toBe(true);
  expect(incoming.listenerCount('data')).toBe(0);
});

test('a body that ends early is told, be it before or while it is read', async () => {
  const incoming = new PassThrough();
  incoming.write(Buffer.alloc(70_000));
  const pieces = piecesOf(incoming, { bytes: piece_bytes, pieces: 'kept', onReceived: () => undefined });
  const first = pieces.next();
  incoming.destroy(new Error('reset'));
  await expect(first).rejects.toThrow('reset');
  const gone = piecesOf(new PassThrough().destroy(), { bytes: 1, pieces: 'kept', onReceived: () => undefined });
  await expect(gone.next()).rejects.toThrow('the client is gone');
});
