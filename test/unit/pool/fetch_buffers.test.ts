import { expect, test } from 'vitest';

import { FetchBuffers } from '../../../src/pool/fetch_buffers.js';

const MiB = 1 << 20;

test('a buffer is used again once the engine has read it, and not before', () => {
  const buffers = new FetchBuffers();
  const first = buffers.take(3 * MiB);
  expect(first.length).toBe(3 * MiB);
  buffers.lend(1, first);
  const second = buffers.take(3 * MiB);
  expect(second.buffer).not.toBe(first.buffer);
  buffers.returned(1);
  const third = buffers.take(4 * MiB);
  expect(third.buffer).toBe(first.buffer);
  expect(third.length).toBe(4 * MiB);
  expect(buffers.take(4 * MiB).buffer).not.toBe(first.buffer);
});

test('what was not lent, is told twice, or is too small to care about, is nobody’s', () => {
  const buffers = new FetchBuffers();
  const taken = buffers.take(MiB);
  buffers.returned(7);
  expect(buffers.take(MiB).buffer).not.toBe(taken.buffer);
  buffers.lend(8, taken);
  buffers.returned(8);
  buffers.returned(8);
  expect(buffers.take(MiB).buffer).toBe(taken.buffer);
  expect(buffers.take(MiB).buffer).not.toBe(taken.buffer);
  const small = buffers.take(100);
  buffers.lend(9, small);
  buffers.returned(9);
  expect(buffers.take(100).length).toBe(100);
});

test('of memory that nobody uses no more than 32 MiB are kept', () => {
  const buffers = new FetchBuffers();
  const taken = Array.from({ length: 12 }, () => buffers.take(4 * MiB));
  taken.forEach((buffer, errand) => buffers.lend(errand, buffer));
  taken.forEach((_, errand) => buffers.returned(errand));
  const kept = new Set(taken.map(({ buffer }) => buffer));
  const again = Array.from({ length: 12 }, () => buffers.take(4 * MiB)).filter(({ buffer }) => kept.has(buffer));
  expect(again.length).toBeGreaterThan(0);
  expect(again.length).toBeLessThanOrEqual(8);
});
