/** Bodies in chunks, cut anywhere; and what is no such body. Signatures here are made by the rules once more, not by what is tested. */
import { createHash, createHmac } from 'node:crypto';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { BodyPlan } from '../../../../src/northbound/s3/authenticator.js';
import { bodyDecoder } from '../../../../src/northbound/s3/body_decoder.js';
import { ChunkDecoder, signed_chunk_bytes_max } from '../../../../src/northbound/s3/chunk_decoder.js';
import { ChunkSignatures } from '../../../../src/northbound/s3/chunk_signatures.js';
import type { S3ErrorCode } from '../../../../src/northbound/s3/error_codes.js';
import { HeldBytes } from '../../../../src/northbound/s3/held_bytes.js';
import { storedContentEncoding } from '../../../../src/northbound/s3/payload.js';
import { decode, emptySha256, failureOf } from './world.js';

const key = Buffer.from('a key that was derived');
const timestamp = '20130524T000000Z';
const scope = { date: '20130524', region: 'us-east-1', service: 's3', terminal: 'aws4_request' };
const seed = '5'.repeat(64);
const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');
const sign = (...lines: string[]): string => createHmac('sha256', key).update(lines.join('\n')).digest('hex');

/** The body's own bytes of what comes. */
function taken(decoder: ChunkDecoder, input: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  decoder.take(input, { bytes: (part) => void parts.push(part), claim: () => undefined });
  return parts;
}

type Form = 'signed' | 'signed with trailers' | 'unsigned with trailers';
type Trailers = readonly (readonly [name: string, value: string])[];

interface Body {
  readonly form: Form;
  readonly chunks: readonly Buffer[];
  readonly trailers?: Trailers;
  /** Of all chunks, where it is to be another than they have. */
  readonly decodedBytes?: number;
  /** That are announced, where others are than come. */
  readonly announced?: readonly string[];
}

function planOf({ form, chunks, trailers = [], decodedBytes, announced }: Body): BodyPlan {
  const signed = form !== 'unsigned with trailers';
  return {
    form: 'chunked',
    signed,
    trailers: form === 'signed' ? null : (announced ?? trailers.map(([name]) => name)),
    decodedBytes: decodedBytes ?? chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    signatures: signed ? new ChunkSignatures({ key, timestamp, scope, seed }) : null,
  };
}

/** The framed body, in the parts that it is made of: the tests of damage change one. */
function partsOf({ form, chunks, trailers = [] }: Body): Buffer[] {
  let last = seed;
  const header = (chunk: Buffer): string => {
    if (form === 'unsigned with trailers') return chunk.length.toString(16);
    last = sign('AWS4-HMAC-SHA256-PAYLOAD', timestamp, '20130524/us-east-1/s3/aws4_request', last, emptySha256, sha256(chunk));
    return `${chunk.length.toString(16)};chunk-signature=${last}`;
  };
  const data = chunks.flatMap((chunk) => [Buffer.from(`${header(chunk)}\r\n`), chunk, Buffer.from('\r\n')]);
  const end = [Buffer.from(`${header(Buffer.alloc(0))}\r\n`)];
  for (const [name, value] of form === 'signed' ? [] : trailers) end.push(Buffer.from(`${name}:${value}\r\n`));
  if (form === 'signed with trailers') {
    const lines = trailers.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, value]) => `${name}:${value}\n`);
    const signature = sign(
      'AWS4-HMAC-SHA256-TRAILER',
      timestamp,
      '20130524/us-east-1/s3/aws4_request',
      last,
      sha256(lines.join('')),
    );
    end.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`));
  }
  return [...data, ...end, Buffer.from('\r\n')];
}

const framed = (body: Body): Buffer => Buffer.concat(partsOf(body));
const crc: Trailers = [['x-amz-checksum-crc32', 'AAAAAA==']];
const forms: readonly Form[] = ['signed', 'signed with trailers', 'unsigned with trailers'];
const bytes = (size: number, fill = 'x'): Buffer => Buffer.alloc(size, fill);

/** `whole` in pieces that begin at these places. */
function cut(whole: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (whole.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => whole.subarray(start, at[index] ?? whole.length));
}

describe.each(forms)('a body of chunks, %s,', (form) => {
  const trailers = form === 'signed' ? [] : crc;

  test('is what was framed, at every single cut', async () => {
    const body = { form, chunks: [bytes(8192, 'a'), bytes(20, '\r\n0;')], trailers };
    const whole = framed(body);
    for (let at = 0; at <= whole.length; at += at > 200 && at < 8000 ? 97 : 1) {
      const decoded = await decode(planOf(body), [whole.subarray(0, at), whole.subarray(at)]);
      expect(decoded.body.equals(Buffer.concat(body.chunks))).toBe(true);
      expect([...decoded.trailers]).toEqual(trailers);
    }
  });

  test('is what was framed, byte by byte', async () => {
    const body = { form, chunks: [bytes(8192), bytes(1)], trailers };
    const decoded = await decode(
      planOf(body),
      [...framed(body)].map((byte) => Buffer.from([byte])),
    );
    expect(decoded.body.equals(Buffer.concat(body.chunks))).toBe(true);
    expect([...decoded.trailers]).toEqual(trailers);
  });

  test('is what was framed, whatever is in it and however it is cut', async () => {
    const size = fc.oneof(fc.integer({ min: 8192, max: 9000 }), fc.integer({ min: 60_000, max: 70_000 }));
    const chunk = fc
      .tuple(size, fc.uint8Array({ minLength: 1, maxLength: 8 }))
      .map(([length, fill]) => Buffer.alloc(length, fill));
    const chunks = fc.tuple(
      fc.array(chunk, { maxLength: 3 }),
      fc.uint8Array({ maxLength: 100 }).map((last) => Buffer.from(last)),
    );
    await fc.assert(
      fc.asyncProperty(chunks, fc.array(fc.nat(), { maxLength: 12 }), async ([large, last], places) => {
        const body = { form, chunks: last.length === 0 ? large : [...large, last], trailers };
        const decoded = await decode(planOf(body), cut(framed(body), places));
        expect(decoded.body.equals(Buffer.concat(body.chunks))).toBe(true);
        expect([...decoded.trailers]).toEqual(trailers);
      }),
      { numRuns: 30 },
    );
  });

  test('is never whole without its last bytes', async () => {
    const body = { form, chunks: [bytes(8192), bytes(10)], trailers };
    const whole = framed(body);
    for (let end = 0; end < whole.length; end += end > 200 && end < 8000 ? 97 : 1)
      await failureOf('IncompleteBody', () => decode(planOf(body), [whole.subarray(0, end)]));
  });

  test('may be empty', async () => {
    const body = { form, chunks: [], trailers };
    expect((await decode(planOf(body), [framed(body)])).body.length).toBe(0);
  });

  test('has nothing after its end', async () => {
    const body = { form, chunks: [bytes(10)], trailers };
    for (const more of ['\r\n', 'x', '0\r\n\r\n'])
      for (const pieces of [[Buffer.concat([framed(body), Buffer.from(more)])], [framed(body), Buffer.from(more)]])
        await failureOf('InvalidRequest', () => decode(planOf(body), pieces));
  });

  test('is as long as was announced', async () => {
    const body = { form, chunks: [bytes(8192), bytes(10)], trailers };
    for (const decodedBytes of [0, 8191, 8192, 8201, 8203, 1 << 30])
      await failureOf('IncompleteBody', () => decode(planOf({ ...body, decodedBytes }), [framed(body)]));
  });

  test.each([
    '',
    'g',
    '-1',
    '0x10',
    ' 10',
    '10 ',
    '1'.repeat(14),
    '10;chunk-signature=',
    `10;chunk-signature=${'g'.repeat(64)}`,
    '10;more',
  ])('has no chunk that begins with %j', async (begin) => {
    await failureOf('InvalidRequest', () =>
      decode(planOf({ form, chunks: [bytes(16)], trailers }), [Buffer.from(`${begin}\r\n`)]),
    );
  });

  test('has bounded lines', async () => {
    const plan = planOf({ form, chunks: [bytes(16)], trailers });
    await failureOf('InvalidRequest', () => decode(plan, [bytes(129, '0')]));
    await failureOf('InvalidRequest', () =>
      decode(
        planOf({ form, chunks: [bytes(16)], trailers }),
        [...bytes(500, '0')].map((byte) => Buffer.from([byte])),
      ),
    );
  });

  test.each(['x\r\n', 'x\n', '\n', '\r\r\n'])('whose chunk ends with %j is refused', async (end) => {
    const parts = partsOf({ form, chunks: [bytes(16)], trailers });
    parts[2] = Buffer.from(end);
    await failureOf('InvalidRequest', () => decode(planOf({ form, chunks: [bytes(16)], trailers }), parts));
  });

  test('takes nothing more once it failed', async () => {
    const body = { form, chunks: [bytes(16)], trailers };
    const plan = planOf(body);
    if (plan.form !== 'chunked') throw new Error('it is');
    const decoder = new ChunkDecoder(plan);
    await failureOf('InvalidRequest', () => taken(decoder, Buffer.from('x\r\n')));
    await failureOf('InvalidRequest', () => taken(decoder, framed(body)));
    await failureOf('IncompleteBody', () => decoder.end());
  });
});

describe.each(['signed', 'signed with trailers'] as const)('a body of chunks, %s,', (form) => {
  const trailers = form === 'signed' ? [] : crc;
  const body: Body = { form, chunks: [bytes(8192, 'a'), bytes(8192, 'b'), bytes(10, 'c')], trailers };

  test('hands on no byte of a chunk before its signature was found right', async () => {
    const [firstHeader, first, firstEnd, secondHeader, second] = partsOf(body) as [Buffer, Buffer, Buffer, Buffer, Buffer];
    const wrong = Buffer.from(second);
    wrong[0] = 0;
    let came = 0;
    async function* coming(): AsyncGenerator<Buffer> {
      for (const piece of [firstHeader, first.subarray(0, 8191), first.subarray(8191), firstEnd, secondHeader, wrong]) {
        came += 1;
        yield piece;
      }
    }
    const handedOn: Buffer[] = [];
    await failureOf('SignatureDoesNotMatch', async () => {
      for await (const piece of bodyDecoder(planOf(body)).through(coming())) {
        handedOn.push(piece);
        expect(came).toBe(3);
      }
    });
    expect(Buffer.concat(handedOn).equals(first)).toBe(true);
  });

  test.each([
    ['a byte of the first chunk', 1],
    ['a byte of the last chunk', 7],
  ])('is noticed to have changed in %s', async (_, part) => {
    const parts = partsOf(body);
    const changed = Buffer.from(parts[part] ?? '');
    changed[3] = 0;
    parts[part] = changed;
    await failureOf('SignatureDoesNotMatch', () => decode(planOf(body), parts));
  });

  test('is noticed to have chunks in another order, twice, or missing', async () => {
    const parts = partsOf(body);
    const [a, b, rest] = [parts.slice(0, 3), parts.slice(3, 6), parts.slice(6)];
    await failureOf('SignatureDoesNotMatch', () => decode(planOf(body), [...b, ...a, ...rest]));
    await failureOf('SignatureDoesNotMatch', () => decode(planOf(body), [...a, ...a, ...rest]));
    const decodedBytes = 8202;
    await failureOf('SignatureDoesNotMatch', () => decode(planOf({ ...body, decodedBytes }), [...a, ...rest]));
  });

  test('is noticed to end early, with the last chunk of another body', async () => {
    const parts = partsOf(body);
    const shorter = { ...body, chunks: body.chunks.slice(0, 1) };
    await failureOf('SignatureDoesNotMatch', () =>
      decode(planOf({ ...body, decodedBytes: 8192 }), [...parts.slice(0, 3), ...parts.slice(9)]),
    );
    expect((await decode(planOf(shorter), partsOf(shorter))).body.length).toBe(8192);
  });

  test('has chunks of 8 KiB or more, but for the last', async () => {
    const small = { ...body, chunks: [bytes(8191), bytes(1)] };
    const failure = await failureOf('InvalidChunkSizeError', () => decode(planOf(small), [framed(small)]));
    expect(failure.message).toBe('Only the last chunk is allowed to have a size less than 8192 bytes');
    const enough = { ...body, chunks: [bytes(8192), bytes(8191)] };
    expect((await decode(planOf(enough), [framed(enough)])).body.length).toBe(16_383);
  });

  test('has chunks that can be held in memory', async () => {
    const header = (size: number) => Buffer.from(`${size.toString(16)};chunk-signature=${'0'.repeat(64)}\r\n`);
    const decodedBytes = signed_chunk_bytes_max + 1;
    const plan = () => planOf({ ...body, decodedBytes });
    await failureOf('InvalidChunkSizeError', () => decode(plan(), [header(signed_chunk_bytes_max + 1)]));
    await failureOf('IncompleteBody', () => decode(plan(), [header(signed_chunk_bytes_max)]));
  });

  test('with a signature that is not its chunk’s is refused, whichever it is', async () => {
    const whole = framed(body).toString('latin1');
    for (const [found] of whole.matchAll(/(?:chunk-signature=|trailer-signature:)[0-9a-f]{64}/g)) {
      const changed = found.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
      await failureOf('SignatureDoesNotMatch', () =>
        decode(planOf(body), [Buffer.from(whole.replace(found, changed), 'latin1')]),
      );
    }
  });
});

describe('trailers', () => {
  const chunks = [bytes(10)];
  const two: Trailers = [
    ['x-amz-checksum-sha1', 'b'],
    ['x-amz-checksum-crc32', 'a'],
  ];

  test('are handed over whatever the case of their names and the space around them', async () => {
    const plan = planOf({ form: 'unsigned with trailers', chunks, announced: ['x-amz-checksum-crc32'] });
    const whole = Buffer.from(`a\r\n${'x'.repeat(10)}\r\n0\r\nX-Amz-Checksum-CRC32:  AAAA == \t\r\n\r\n`);
    expect([...(await decode(plan, [whole])).trailers]).toEqual([['x-amz-checksum-crc32', 'AAAA ==']]);
  });

  test('may be several, signed in the order of their names', async () => {
    for (const form of ['signed with trailers', 'unsigned with trailers'] as const) {
      const body = { form, chunks, trailers: two };
      expect([...(await decode(planOf(body), [framed(body)])).trailers]).toEqual(two);
    }
  });

  test('may be none where none are announced', async () => {
    for (const form of ['signed with trailers', 'unsigned with trailers'] as const) {
      const body = { form, chunks, trailers: [] };
      expect((await decode(planOf(body), [framed(body)])).body.length).toBe(10);
    }
  });

  const refusals: readonly [what: string, announced: string[], text: string, code: S3ErrorCode][] = [
    ['one that was not announced', [], 'x-a:1\r\n\r\n', 'MalformedTrailerError'],
    ['one of two missing', ['x-a', 'x-b'], 'x-a:1\r\n\r\n', 'MalformedTrailerError'],
    ['one twice', ['x-a'], 'x-a:1\r\nx-a:1\r\n\r\n', 'MalformedTrailerError'],
    ['no value', ['x-a'], 'x-a:\r\n\r\n', 'MalformedTrailerError'],
    ['no colon', ['x-a'], 'x-a\r\n\r\n', 'MalformedTrailerError'],
    ['no end of a line', ['x-a'], `x-a:${'1'.repeat(9000)}`, 'MalformedTrailerError'],
    ['long lines', ['x-a', 'x-b'], `x-a:${'1'.repeat(5000)}\r\nx-b:${'1'.repeat(5000)}\r\n\r\n`, 'MalformedTrailerError'],
    ['many lines', ['x-a'], 'x-a:1\r\n'.repeat(2000), 'MalformedTrailerError'],
    [
      'a signature where nothing is signed',
      ['x-a'],
      `x-a:1\r\nx-amz-trailer-signature:${'0'.repeat(64)}\r\n\r\n`,
      'MalformedTrailerError',
    ],
    ['a blank line that is none', ['x-a'], 'x-a:1\r\n\n', 'MalformedTrailerError'],
    ['bytes that no header has', ['x-a'], 'x-a:1\0\r\n\r\n', 'MalformedTrailerError'],
  ];
  test.each(refusals)('with %s are refused', async (_, announced, text, code) => {
    const plan = planOf({ form: 'unsigned with trailers', chunks, announced });
    await failureOf(code, () => decode(plan, [Buffer.from(`a\r\n${'x'.repeat(10)}\r\n0\r\n${text}`)]));
  });

  test('that are signed need their signature, last', async () => {
    const body: Body = { form: 'signed with trailers', chunks, trailers: crc };
    const parts = partsOf(body);
    const signature = parts.splice(-2, 1);
    await failureOf('IncompleteBody', () => decode(planOf(body), parts));
    await failureOf('MalformedTrailerError', () =>
      decode(planOf(body), [...parts.slice(0, -2), ...signature, ...parts.slice(-2)]),
    );
    await failureOf('MalformedTrailerError', () => decode(planOf(body), [...parts.slice(0, -2), Buffer.from('\r\n')]));
    const changed = partsOf(body).map((part) => Buffer.from(part.toString('latin1').replace('AAAAAA==', 'BAAAAA=='), 'latin1'));
    await failureOf('SignatureDoesNotMatch', () => decode(planOf(body), changed));
  });

  test('may not follow chunks that announce none', async () => {
    const parts = partsOf({ form: 'signed', chunks });
    parts.splice(-1, 0, Buffer.from('x-a:1\r\n'));
    await failureOf('MalformedTrailerError', () => decode(planOf({ form: 'signed', chunks }), parts));
  });
});

describe('chunks that are not signed', () => {
  test('may be of any size, and are handed on as they come', () => {
    const plan = planOf({ form: 'unsigned with trailers', chunks: [bytes(1 << 20)] });
    if (plan.form !== 'chunked') throw new Error('it is');
    const decoder = new ChunkDecoder(plan);
    expect(taken(decoder, Buffer.from('1\r\nx\r\n2\r\n'))).toEqual([Buffer.from('x')]);
    expect(taken(decoder, Buffer.from('y'))).toEqual([Buffer.from('y')]);
    expect(taken(decoder, Buffer.from('y\r\nffffd\r\n'))).toEqual([Buffer.from('y')]);
    expect(taken(decoder, bytes(1000))).toEqual([bytes(1000)]);
  });
});

test('trailers are signed by the order of their names, though one begins with another', async () => {
  const trailers: Trailers = [
    ['x-amz-checksum-a-b', '2'],
    ['x-amz-checksum-a', '1'],
  ];
  const body: Body = { form: 'signed with trailers', chunks: [bytes(10)], trailers };
  expect([...(await decode(planOf(body), [framed(body)])).trailers]).toEqual(trailers);
});

test('no input makes the decoder do anything but decode or refuse', async () => {
  const word = fc.constantFrom(
    '0',
    '5',
    '2000',
    '\r\n',
    '\n',
    '\r',
    ';',
    'chunk-signature=',
    '0'.repeat(64),
    'x-amz-checksum-crc32:',
    'AAAA',
    ':',
    ' ',
  );
  const noise = fc
    .array(fc.oneof(word, fc.string({ maxLength: 5 })), { maxLength: 20 })
    .map((words) => Buffer.from(words.join('')));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...forms), noise, fc.array(fc.nat(), { maxLength: 4 }), async (form, input, places) => {
      const whole = await outcome(planOf({ form, chunks: [bytes(5)], announced: ['x-amz-checksum-crc32'] }), [input]);
      const pieces = await outcome(planOf({ form, chunks: [bytes(5)], announced: ['x-amz-checksum-crc32'] }), cut(input, places));
      expect(pieces).toEqual(whole);
    }),
    { numRuns: 150 },
  );
});

async function outcome(plan: BodyPlan, pieces: readonly Buffer[]): Promise<string> {
  try {
    return `body ${(await decode(plan, pieces)).body.toString('hex')}`;
  } catch (error) {
    return String(error);
  }
}

describe('a plain body', () => {
  const body = Buffer.from('Welcome to Amazon S3.');

  test('with a SHA-256 is compared once it ended', async () => {
    const plan = { form: 'plain', sha256: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072' } as const;
    expect((await decode(plan, cut(body, [3, 9]))).body.equals(body)).toBe(true);
    const failure = await failureOf('XAmzContentSHA256Mismatch', () => decode({ form: 'plain', sha256: emptySha256 }, [body]));
    expect(failure.details).toEqual({
      ClientComputedContentSHA256: emptySha256,
      S3ComputedContentSHA256: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    });
    await failureOf('XAmzContentSHA256Mismatch', () => decode(plan, []));
    expect((await decode({ form: 'plain', sha256: emptySha256 }, [])).body.length).toBe(0);
  });

  test('without one is taken as it is', async () => {
    expect((await decode({ form: 'plain', sha256: null }, [body])).body.equals(body)).toBe(true);
  });
});

describe('bytes that are held', () => {
  test('are what was added, in order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(10), fc.integer({ min: 4000, max: 5000 }), fc.integer({ min: 60_000, max: 70_000 })), {
          maxLength: 40,
        }),
        (sizes) => {
          const held = new HeldBytes();
          const pieces = sizes.map((size, at) => bytes(size, String(at % 10)));
          for (const piece of pieces) held.add(piece);
          expect(Buffer.concat(held.take()).equals(Buffer.concat(pieces))).toBe(true);
          expect(held.take()).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('are few pieces however small they came', () => {
    const held = new HeldBytes();
    for (let at = 0; at < 200_000; at += 1) held.add(Buffer.from('x'));
    expect(held.take().length).toBe(4);
  });
});

test('a content encoding is kept without the framing', () => {
  expect(storedContentEncoding(undefined)).toBeUndefined();
  expect(storedContentEncoding('aws-chunked')).toBeUndefined();
  expect(storedContentEncoding('AWS-Chunked,')).toBeUndefined();
  expect(storedContentEncoding('gzip')).toBe('gzip');
  expect(storedContentEncoding('aws-chunked, gzip,br')).toBe('gzip, br');
});
