import { expect, test } from 'vitest';

import type { VolumeAccess } from '../../../../src/mapper/resources.js';
import { rightOf, type Peer } from '../../../../src/northbound/nbd/access.js';

const tls = (commonName: string, ...dnsNames: string[]): Peer => ({
  user: null,
  tls: { certified: true, commonName, dnsNames, protocol: 'TLSv1.3', cipher: 'c' },
});
const user = (id: number): Peer => ({ user: id, tls: null });
const nobody: Peer = { user: null, tls: null };
const list = (...grants: VolumeAccess['grants']): VolumeAccess => ({ grants });
const host = { kind: 'certificate', client: 'host-1.example', readOnly: false } as const;
const root = { kind: 'user', client: '0', readOnly: true } as const;

test('without a list everybody may write; with an empty one nobody may read', () => {
  for (const peer of [tls('a'), user(0), nobody]) {
    expect(rightOf(peer, null)).toBe('write');
    expect(rightOf(peer, list())).toBe('none');
  }
});

test('a certificate is known by its common name as it is written, and by its DNS names whatever their case', () => {
  expect(rightOf(tls('host-1.example'), list(host))).toBe('write');
  expect(rightOf(tls('', 'HOST-1.Example'), list(host))).toBe('write');
  expect(rightOf(tls('', 'host-1.example'), list({ ...host, client: 'Host-1.EXAMPLE' }))).toBe('write');
  expect(rightOf(tls('HOST-1.example'), list(host))).toBe('none');
  expect(rightOf(tls('host-2.example', 'x.host-1.example'), list(host))).toBe('none');
});

test('a pattern in a certificate, or on the list, matches nothing but itself', () => {
  expect(rightOf(tls('', '*.example'), list(host))).toBe('none');
  expect(rightOf(tls('host-1.example'), list({ ...host, client: '*.example' }))).toBe('none');
});

test('a name that no certificate vouches for, and an empty one, let nobody in', () => {
  const { tls: shown } = tls('host-1.example', 'host-1.example');
  if (shown === null) throw new Error('it has shown one');
  expect(rightOf({ user: null, tls: { ...shown, certified: false } }, list(host))).toBe('none');
  expect(rightOf(tls(''), list({ ...host, client: '' }))).toBe('none');
});

test('a user is known by its id on a Unix socket, and is no certificate of that name', () => {
  expect(rightOf(user(0), list(root))).toBe('read');
  expect(rightOf(user(1000), list(root))).toBe('none');
  expect(rightOf(tls('0', '0'), list(root))).toBe('none');
  expect(rightOf(user(0), list({ ...host, client: '0' }))).toBe('none');
  expect(rightOf(nobody, list(root))).toBe('none');
});

test('of several grants the widest holds', () => {
  const both = list({ ...host, readOnly: true }, { ...host, client: 'vm', readOnly: false });
  expect(rightOf(tls('host-1.example'), both)).toBe('read');
  expect(rightOf(tls('vm', 'host-1.example'), both)).toBe('write');
});
