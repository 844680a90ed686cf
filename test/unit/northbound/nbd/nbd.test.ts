import { expect, test } from 'vitest';

import { SkerryError } from '../../../../src/core/errors.js';
import type { HandshakeAnswer } from '../../../../src/engine/binding.js';
import type { Resource, ResourceKind } from '../../../../src/mapper/resources.js';
import { PrivateExports } from '../../../../src/mapper/private_exports.js';
import type { TlsMode } from '../../../../src/northbound/nbd/handshake.js';
import { NbdHandshakes, type NbdOccurrence } from '../../../../src/northbound/nbd/nbd.js';
import { option, reply } from '../../../../src/northbound/nbd/protocol.js';

const volume: Resource = {
  id: 7,
  kind: 'volume',
  name: 'vm1',
  pool: 'default',
  sizeBytes: 1 << 20,
  pending: false,
  unavailable: null,
  durability: 'local',
  cache: 'writeback',
  description: '',
  createdAt: 0,
  parent: null,
  rootId: '',
  appliedSequence: 0,
  attachedConnections: 0,
  labels: {},
  limit: { iops: 0, bandwidth: 0, burst: 0 },
  access: null,
  compression: 'inherit',
};
const snapshot: Resource = { ...volume, id: 8, kind: 'snapshot', name: 'vm1@a', parent: 'vm1' };

interface Answered {
  readonly connection: number;
  readonly answer: HandshakeAnswer;
}

function open(
  faults: {
    get?: (kind: ResourceKind, name: string) => Promise<Resource>;
    answer?: (answered: Answered) => void;
    privateExports?: PrivateExports;
    tls?: TlsMode;
    resources?: readonly Resource[];
  } = {},
) {
  const { resources = [volume, snapshot], tls: mode } = faults;
  const counted: NbdOccurrence[] = [];
  const refreshed: number[] = [];
  const answers: Answered[] = [];
  const logged: string[] = [];
  const get = async (kind: ResourceKind, name: string): Promise<Resource> => {
    const found = resources.find((resource) => resource.kind === kind && resource.name === name);
    if (found === undefined) throw new SkerryError('not-found', `there is no ${kind} ${name}`);
    return found;
  };
  const handshakes = new NbdHandshakes({
    engine: {
      answer: (connection, answer) => {
        faults.answer?.({ connection, answer });
        answers.push({ connection, answer });
      },
    },
    resources: { get: faults.get ?? get, list: async (kind) => resources.filter((resource) => resource.kind === kind) },
    ...(faults.privateExports === undefined ? {} : { privateExports: faults.privateExports }),
    ...(mode === undefined ? {} : { tls: { mode, refresh: async () => void refreshed.push(answers.length) } }),
    count: (occurrence) => counted.push(occurrence),
    log: (_level, message) => logged.push(message),
  });
  return { handshakes, answers, logged, counted, refreshed };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

async function connect(handshakes: NbdHandshakes, connection: number, listener = '/nbd.sock', user = 1000): Promise<void> {
  handshakes.handle({ type: 'connected', connection, listener, user: listener.startsWith('/') ? user : -1 });
  handshakes.handle({ type: 'message', connection, bytes: uint32(3) });
  await settle();
}

async function ask(
  handshakes: NbdHandshakes,
  connection: number,
  code: number,
  data: Uint8Array = new Uint8Array(0),
): Promise<void> {
  handshakes.handle({
    type: 'message',
    connection,
    bytes: Buffer.concat([Buffer.from('IHAVEOPT'), uint32(code), uint32(data.length)]),
  });
  if (data.length > 0) handshakes.handle({ type: 'message', connection, bytes: data });
  await settle();
}

test('a volume is found by name and the connection goes over to transmission', async () => {
  const { handshakes, answers } = open();
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(answers.map(({ answer }) => answer.next)).toEqual(['read', 'read', 'read', 'transmit']);
  expect(answers.at(-1)?.answer).toMatchObject({ resource: 7, structuredReplies: false, baseAllocation: false });
  expect(handshakes.size).toBe(0);
});

test('a snapshot is found under VOL@SNAP; an empty and an unknown name are not', async () => {
  const { handshakes, answers } = open();
  await connect(handshakes, 1);
  for (const name of ['', 'nowhere', 'vm1@b']) {
    await ask(handshakes, 1, option.go, go(name));
    expect(typeOf(answers.at(-1))).toBe(reply.unknown);
  }
  await ask(handshakes, 1, option.go, go('vm1@a'));
  expect(answers.at(-1)?.answer).toMatchObject({ next: 'transmit', resource: 8 });
});

test('a volume that is not served yet is not attached, and the client hears why', async () => {
  const unavailable = 'volume vm1 is not served yet: what was flushed to it is in pool far';
  const { handshakes, answers } = open({ get: async () => ({ ...volume, unavailable }) });
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(typeOf(answers.at(-1))).toBe(reply.unknown);
  expect(Buffer.from(answers.at(-1)?.answer.send ?? []).toString('latin1')).toContain(unavailable);
});

test('a private export is found on a Unix socket alone, for as long as it is needed, and is never listed', async () => {
  const privateExports = new PrivateExports('/run/skerry/nbd.sock');
  const { handshakes, answers } = open({ privateExports });
  await connect(handshakes, 1);
  await connect(handshakes, 2, '127.0.0.1:10809');
  let name = '';
  await privateExports.during({ resource: 9, sizeBytes: 4096, readOnly: true }, async (uri) => {
    name = /^nbd\+unix:\/\/\/(transfer\/[0-9a-f]{32})\?socket=\/run\/skerry\/nbd\.sock$/.exec(uri)?.[1] ?? '';
    await ask(handshakes, 2, option.go, go(name));
    expect(typeOf(answers.at(-1))).toBe(reply.unknown);
    await ask(handshakes, 1, option.list);
    expect(Buffer.from(answers.at(-1)?.answer.send ?? []).toString('latin1')).not.toContain('transfer');
    await ask(handshakes, 1, option.go, go(name));
    expect(answers.at(-1)?.answer).toMatchObject({ next: 'transmit', resource: 9 });
  });
  await connect(handshakes, 3);
  await ask(handshakes, 3, option.go, go(name));
  expect(typeOf(answers.at(-1))).toBe(reply.unknown);
});

test('volumes and snapshots are listed', async () => {
  const { handshakes, answers } = open();
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.list);
  const listed = Buffer.from(answers.at(-1)?.answer.send ?? []).toString('latin1');
  expect(listed).toContain('volume vm1');
  expect(listed).toContain('snapshot vm1@a of vm1');
});

test('messages of one connection are handled one at a time; another connection does not wait', async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const { handshakes, answers } = open({
    get: async (_kind, name) => {
      if (name === 'slow') await held;
      return volume;
    },
  });
  await connect(handshakes, 1);
  await connect(handshakes, 2);
  await ask(handshakes, 1, option.info, go('slow'));
  const before = answers.filter(({ connection }) => connection === 1).length;
  await ask(handshakes, 2, option.go, go('vm1'));
  expect(answers.at(-1)).toMatchObject({ connection: 2, answer: { next: 'transmit' } });
  expect(answers.filter(({ connection }) => connection === 1)).toHaveLength(before);
  release();
  await settle();
  expect(answers.at(-1)).toMatchObject({ connection: 1, answer: { next: 'read' } });
});

test('a connection that closed during a look-up is not answered', async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const { handshakes, answers } = open({ get: () => held.then(() => volume) });
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.go, go('vm1'));
  const before = answers.length;
  handshakes.handle({ type: 'closed', connection: 1, why: 'gone' });
  release();
  await settle();
  expect(answers).toHaveLength(before);
  expect(handshakes.size).toBe(0);
});

test('an answer that the engine refuses ends that connection only', async () => {
  const { handshakes, answers, logged } = open({
    answer: ({ answer }) => {
      if (answer.next === 'transmit') throw new SkerryError('not-found', 'deleted meanwhile');
    },
  });
  await connect(handshakes, 1);
  await connect(handshakes, 2);
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(answers.at(-1)).toMatchObject({ connection: 1, answer: { next: 'close' } });
  expect(logged).toContain('an NBD handshake failed');
  await ask(handshakes, 2, option.list);
  expect(answers.at(-1)).toMatchObject({ connection: 2, answer: { next: 'read' } });
});

test('a bug in the look-up closes the connection and is logged', async () => {
  const { handshakes, answers, logged } = open({ get: () => Promise.reject(new TypeError('a bug')) });
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(answers.at(-1)?.answer.next).toBe('close');
  expect(logged).toContain('an NBD handshake failed');
});

test('while the server stops, options are answered with SHUTDOWN', async () => {
  const { handshakes, answers } = open();
  await connect(handshakes, 1);
  handshakes.stop();
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(typeOf(answers.at(-1))).toBe(reply.shutdown);
});

test('a client that aborts is let go', async () => {
  const { handshakes, answers } = open();
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.abort);
  expect(answers.at(-1)?.answer.next).toBe('close');
  expect(handshakes.size).toBe(0);
});

test('STARTTLS looks at the certificate files, then hands over to the engine; after it the client is known', async () => {
  const closed = { ...volume, access: { grants: [{ kind: 'certificate', client: 'host-1', readOnly: true }] } } as const;
  const { handshakes, answers, counted, refreshed } = open({ tls: 'required', resources: [closed] });
  await connect(handshakes, 1, '127.0.0.1:10809');
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(typeOf(answers.at(-1))).toBe(reply.tlsRequired);
  await ask(handshakes, 1, option.startTls);
  expect(answers.at(-1)?.answer.next).toBe('secure');
  expect(refreshed).toEqual([answers.length - 1]);
  handshakes.handle(secured(1, 'host-1'));
  await settle();
  expect(answers.at(-1)?.answer).toMatchObject({ next: 'read', readBytes: 16 });
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(answers.at(-1)?.answer).toMatchObject({ next: 'transmit', resource: 7, readOnly: true });
  expect(counted).toEqual(['tls']);
});

test('a TLS handshake that fails is logged and counted; a client that leaves later is not', async () => {
  const { handshakes, logged, counted } = open({ tls: 'optional' });
  await connect(handshakes, 1, '127.0.0.1:10809');
  await ask(handshakes, 1, option.startTls);
  handshakes.handle({ type: 'closed', connection: 1, why: 'TLS: no shared cipher' });
  expect([logged, counted]).toEqual([['a TLS handshake failed'], ['tls-failed']]);
  await connect(handshakes, 2, '127.0.0.1:10809');
  await ask(handshakes, 2, option.startTls);
  handshakes.handle(secured(2, ''));
  await settle();
  handshakes.handle({ type: 'closed', connection: 2, why: 'gone' });
  expect(counted).toEqual(['tls-failed', 'tls']);
  expect(handshakes.size).toBe(0);
});

test('what TCP must have, a Unix socket may', async () => {
  const { handshakes, answers } = open({ tls: 'required' });
  await connect(handshakes, 1);
  await ask(handshakes, 1, option.go, go('vm1'));
  expect(answers.at(-1)?.answer.next).toBe('transmit');
  await connect(handshakes, 2);
  await ask(handshakes, 2, option.startTls);
  expect(answers.at(-1)?.answer.next).toBe('secure');
});

test('a volume with a list, and its snapshots, are refused and not shown to others, contexts of it included', async () => {
  const closed = { ...volume, access: { grants: [{ kind: 'user', client: '7', readOnly: false }] } } as const;
  const other: Resource = { ...volume, id: 9, name: 'vm2' };
  const { handshakes, answers, logged, counted } = open({ resources: [closed, snapshot, other] });
  await connect(handshakes, 1, '/nbd.sock', 8);
  for (const name of ['vm1', 'vm1@a']) {
    await ask(handshakes, 1, option.go, go(name));
    expect(typeOf(answers.at(-1))).toBe(reply.policy);
    expect(Buffer.from(answers.at(-1)?.answer.send ?? []).toString()).toContain(`may not attach ${name}`);
  }
  await ask(handshakes, 1, option.structuredReply);
  await ask(handshakes, 1, option.listMetaContext, Buffer.concat([uint32(3), Buffer.from('vm1'), uint32(0)]));
  expect(typeOf(answers.at(-1))).toBe(reply.policy);
  await ask(handshakes, 1, option.list);
  const listed = Buffer.from(answers.at(-1)?.answer.send ?? []).toString('latin1');
  expect([listed.includes('vm1'), listed.includes('vm2')]).toEqual([false, true]);
  expect([counted, new Set(logged)]).toEqual([['refused', 'refused', 'refused'], new Set(['a client was refused an export'])]);
  await ask(handshakes, 1, option.exportName, Buffer.from('vm1'));
  expect(answers.at(-1)?.answer).toMatchObject({ next: 'close', send: new Uint8Array(0) });
  await connect(handshakes, 2, '/nbd.sock', 7);
  await ask(handshakes, 2, option.go, go('vm1@a'));
  expect(answers.at(-1)?.answer).toMatchObject({ next: 'transmit', resource: 8, readOnly: true });
});

function secured(connection: number, commonName: string): Parameters<NbdHandshakes['handle']>[0] {
  const certified = commonName !== '';
  return { type: 'secured', connection, certified, commonName, dnsNames: [], protocol: 'TLSv1.3', cipher: 'c' };
}

function typeOf(answered: Answered | undefined): number {
  return Buffer.from(answered?.answer.send ?? Buffer.alloc(20)).readUInt32BE(12);
}

function go(name: string): Uint8Array {
  return Buffer.concat([uint32(name.length), Buffer.from(name), Uint8Array.of(0, 0)]);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
