/** Bodies in chunks as they come over a socket: in pieces that are stored as they are, and none before its chunks were found right. */
import { createHash, createHmac } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { setImmediate } from 'node:timers/promises';

import fc from 'fast-check';
import { expect, test } from 'vitest';

import { sha256OfRunsElsewhere } from '../../../../src/engine/body_sums.js';
import { piece_bytes, pieceBuffers } from '../../../../src/object/piece_buffers.js';
import { bodyDecoder } from '../../../../src/northbound/s3/body_decoder.js';
import { ChunkSignatures } from '../../../../src/northbound/s3/chunk_signatures.js';
import { sha256OfRunsHere } from '../../../../src/northbound/s3/sound_pieces.js';
import { pattern } from '../../../harness/object_world.ts';
import { emptySha256, failureOf } from './world.js';

const key = Buffer.from('a key that was derived');
const timestamp = '20130524T000000Z';
const scope = { date: '20130524', region: 'us-east-1', service: 's3', terminal: 'aws4_request' };
const seed = '5'.repeat(64);
const trailer = ['x-amz-checksum-crc32', 'AAAAAA=='] as const;
const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const sign = (...lines: string[]): string => createHmac('sha256', key).update(lines.join('\n')).digest('hex');

/** In chunks of these sizes, and the rest in one more; with a trailer. `sent`: where that is another than what is signed. */
function framed(body: Uint8Array, sizes: readonly number[], signed: boolean, sent = body): Buffer {
  const parts: (string | Uint8Array)[] = [];
  let last = seed;
  const header = (chunk: Uint8Array): string => {
    if (!signed) return `${chunk.length.toString(16)}\r\n`;
    const of = [timestamp, '20130524/us-east-1/s3/aws4_request', last, emptySha256, sha256(chunk)];
    last = sign('AWS4-HMAC-SHA256-PAYLOAD', ...of);
    return `${chunk.length.toString(16)};chunk-signature=${last}\r\n`;
  };
  let at = 0;
  for (const size of [...sizes, body.length]) {
    const chunk = body.subarray(at, at + size);
    if (chunk.length > 0) parts.push(header(chunk), sent.subarray(at, at + size), '\r\n');
    at += chunk.length;
  }
  parts.push(header(new Uint8Array()), `${trailer.join(':')}\r\n`);
  if (signed) {
    const sum = sha256(`${trailer.join(':')}\n`);
    const signature = sign('AWS4-HMAC-SHA256-TRAILER', timestamp, '20130524/us-east-1/s3/aws4_request', last, sum);
    parts.push(`x-amz-trailer-signature:${signature}\r\n`);
  }
  return Buffer.concat([...parts, '\r\n'].map((part) => Buffer.from(part as string)));
}

/** What is handed on of it, where it comes in chunks of a socket of that size, and who reads lets go of what was read. */
async function read(
  wire: Buffer,
  decodedBytes: number,
  signed: boolean,
  socketBytes: number,
  onPiece: (piece: Buffer) => void = () => undefined,
) {
  const signatures = signed ? new ChunkSignatures({ key, timestamp, scope, seed }) : null;
  const plan = { form: 'chunked', signed, trailers: [trailer[0]], decodedBytes, signatures } as const;
  const decoder = bodyDecoder(plan, { runSums: sha256OfRunsElsewhere });
  const incoming = new PassThrough();
  for (let at = 0; at < wire.length; at += socketBytes)
    incoming.write(Buffer.from(Uint8Array.prototype.slice.call(wire, at, at + socketBytes).buffer));
  incoming.end();
  const coming = { bytes: decodedBytes, pieces: 'let go', onReceived: () => undefined } as const;
  for await (const piece of decoder.pieces(incoming, coming)) {
    await setImmediate();
    onPiece(piece);
  }
  return decoder.trailers;
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 8192, max: 200_000 }), fc.integer({ min: 200_000, max: 3_000_000 })), {
  maxLength: 6,
});

test('a body in chunks comes whole, in pieces as large as they are stored in', async () => {
  await fc.assert(
    fc.asyncProperty(
      sizes,
      fc.integer({ min: 1, max: 6_000_000 }),
      fc.constantFrom(50_001, 65_536),
      fc.boolean(),
      async (chunks, bytes, socketBytes, signed) => {
        const body = pattern(bytes, chunks.length);
        const found: Buffer[] = [];
        const keep = (piece: Buffer): void => void found.push(Buffer.from(piece));
        const trailers = await read(framed(body, chunks, signed), bytes, signed, socketBytes, keep);
        expect(Buffer.concat(found).equals(body)).toBe(true);
        const whole = Array.from({ length: Math.ceil(bytes / piece_bytes) }, (_, at) =>
          Math.min(piece_bytes, bytes - at * piece_bytes),
        );
        expect(found.map(({ length }) => length)).toEqual(whole);
        expect([...trailers]).toEqual([trailer]);
      },
    ),
    { numRuns: 40, interruptAfterTimeLimit: 10_000 },
  );
});

test('of a signed chunk in which a byte is another nothing is handed on, nor of what follows it', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1, max: 6_000_000 }), fc.nat(), async (chunks, bytes, place) => {
      const body = pattern(bytes, 3);
      const wrong = Uint8Array.from(body);
      const at = place % bytes;
      wrong[at] = 0;
      const wire = framed(body, chunks, true, wrong);
      let handedOn = 0;
      const count = (piece: Buffer): void => {
        expect(piece.equals(body.subarray(handedOn, handedOn + piece.length))).toBe(true);
        handedOn += piece.length;
      };
      await failureOf('SignatureDoesNotMatch', () => read(wire, bytes, true, 65_536, count));
      expect(handedOn).toBeLessThanOrEqual(at);
    }),
    { numRuns: 40, interruptAfterTimeLimit: 10_000 },
  );
});

test('a trailer that is another, and a body that ends before its end, are refused as what they are', async () => {
  const body = pattern(3_000_000, 4);
  const wire = framed(body, [1_000_000], true);
  const other = Buffer.from(wire);
  other[wire.indexOf('AAAAAA==')] = 0x42;
  await failureOf('SignatureDoesNotMatch', () => read(other, body.length, true, 65_536));
  await failureOf('IncompleteBody', () => read(wire.subarray(0, -2), body.length, true, 65_536));
  const unsigned = framed(body, [1_000_000], false);
  await failureOf('IncompleteBody', () => read(unsigned.subarray(0, 2_000_000), body.length, false, 65_536));
  await failureOf('InvalidRequest', () => read(Buffer.concat([unsigned, Buffer.from('x')]), body.length, false, 65_536));
});

test('pieces are used again, though they wait for a signature', async () => {
  const body = pattern(8 * piece_bytes, 5);
  const seen = new Set<ArrayBufferLike>();
  for (const signed of [true, false])
    for (let round = 0; round < 4; round += 1)
      await read(
        framed(
          body,
          Array.from({ length: 100 }, () => 65_536),
          signed,
        ),
        body.length,
        signed,
        65_536,
        (piece) => seen.add(piece.buffer),
      );
  expect(seen.size).toBeLessThan(16);
  // And they are nobody's afterwards.
  const spare = pieceBuffers.take(piece_bytes);
  expect(seen.has(spare.buffer)).toBe(true);
});

test('runs have the sums that they have by themselves, in this thread and in another', async () => {
  const body = pattern(100_000, 6);
  const pieces = [body.subarray(0, 10), body.subarray(10, 10), body.subarray(10, 70_000), body.subarray(70_000)];
  const lengths = [0, 5, 5, 60_000, 0, 39_990, 0];
  let at = 0;
  const wanted = lengths.map((length) => sha256(body.subarray(at, (at += length)))).join('');
  for (const sums of [sha256OfRunsHere, sha256OfRunsElsewhere])
    expect(Buffer.from(await sums(pieces, lengths)).toString('hex')).toBe(wanted);
  await expect(sha256OfRunsElsewhere(pieces, [...lengths, 1])).rejects.toMatchObject({ code: 'invalid' });
});
