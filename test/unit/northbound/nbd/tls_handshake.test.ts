import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Handshake, type Export, type Step, type TlsMode } from '../../../../src/northbound/nbd/handshake.js';
import { option, reply } from '../../../../src/northbound/nbd/protocol.js';

const vm1: Export = { resource: 7, name: 'vm1', description: 'a disk', sizeBytes: 1 << 20, readOnly: false };
const none = new Uint8Array(0);

function begun(mode: TlsMode): Handshake {
  const handshake = new Handshake(mode);
  handshake.start();
  handshake.receive(uint32(3));
  return handshake;
}

/** One option, with what the machine asks for on the way answered. */
function ask(handshake: Handshake, code: number, data: Uint8Array = none): Step {
  let step = handshake.receive(Buffer.concat([Buffer.from('IHAVEOPT'), uint32(code), uint32(data.length)]));
  if (data.length > 0 && step.next === 'read') step = handshake.receive(data);
  if (step.next === 'look-up') step = handshake.found({ outcome: 'found', exported: vm1 });
  if (step.next === 'list') step = handshake.listed({ outcome: 'listed', exports: [vm1] });
  return step;
}

describe('where TLS is required', () => {
  const others = Object.entries(option).filter(([name]) => !['startTls', 'abort', 'exportName'].includes(name));
  test.each([...others, ['unknown', 77] as const])('%s before it is TLS_REQD, and nothing is told', (_name, code) => {
    const handshake = begun('required');
    const step = ask(handshake, code, code === option.go || code === option.info ? info('vm1') : none);
    expect(step).toMatchObject({ next: 'read', readBytes: 16 });
    expect(typesOf(step)).toEqual([reply.tlsRequired]);
    expect(Buffer.from(sent(step)).toString()).not.toContain('vm1');
    expect(ask(handshake, option.startTls).next).toBe('secure');
  });

  test('malformed options are TLS_REQD too: what they hold is not looked at', () => {
    expect(typesOf(ask(begun('required'), option.go, uint32(99)))).toEqual([reply.tlsRequired]);
  });

  test('EXPORT_NAME before it closes without a byte', () => {
    expect(ask(begun('required'), option.exportName, Buffer.from('vm1'))).toMatchObject({ next: 'close', send: none });
  });

  test('ABORT is heard', () => {
    const step = ask(begun('required'), option.abort);
    expect([step.next, typesOf(step)]).toEqual(['close', [reply.ack]]);
  });

  test('after it every option is served', () => {
    for (const [code, data] of [
      [option.list, none],
      [option.info, info('vm1')],
      [option.structuredReply, none],
    ] as const) {
      expect(typesOf(ask(secured(begun('required')), code, data)).at(-1)).toBe(reply.ack);
    }
    expect(ask(secured(begun('required')), option.go, info('vm1'))).toMatchObject({
      next: 'transmit',
      resource: 7,
      readOnly: false,
    });
    expect(ask(secured(begun('required')), option.exportName, Buffer.from('vm1')).next).toBe('transmit');
  });
});

describe('where TLS is optional', () => {
  test('a client that does not ask for it is served', () => {
    expect(ask(begun('optional'), option.go, info('vm1'))).toMatchObject({ next: 'transmit', resource: 7 });
  });

  test('what was negotiated before it is forgotten', () => {
    const handshake = begun('optional');
    ask(handshake, option.structuredReply);
    expect(typesOf(ask(handshake, option.setMetaContext, meta('vm1', ['base:allocation']))).at(-1)).toBe(reply.ack);
    secured(handshake);
    expect(typesOf(ask(handshake, option.setMetaContext, meta('vm1', ['base:allocation'])))).toEqual([reply.invalid]);
    expect(ask(handshake, option.go, info('vm1'))).toMatchObject({
      structuredReplies: false,
      baseAllocationId: null,
      changed: [],
    });
  });

  test('contexts of before it do not come back with structured replies', () => {
    const handshake = begun('optional');
    ask(handshake, option.structuredReply);
    ask(handshake, option.setMetaContext, meta('vm1', ['base:allocation']));
    secured(handshake);
    ask(handshake, option.structuredReply);
    expect(ask(handshake, option.go, info('vm1'))).toMatchObject({ structuredReplies: true, baseAllocationId: null });
  });
});

test('STARTTLS is ACK, and nothing else is sent or read until TLS is there', () => {
  const handshake = begun('optional');
  const step = ask(handshake, option.startTls);
  expect(step).toMatchObject({ next: 'secure' });
  expect(typesOf(step)).toEqual([reply.ack]);
  expect(handshake.receive(uint32(0)).next).toBe('close');
  expect(handshake.secured().next).toBe('close');
});

test('after TLS the client is not greeted again: its next message is an option', () => {
  const handshake = begun('optional');
  ask(handshake, option.startTls);
  expect(handshake.secured()).toEqual({ next: 'read', send: none, readBytes: 16 });
});

test.each(['optional', 'required'] as const)('%s: STARTTLS with data is INVALID, and a second one is', (mode) => {
  const handshake = begun(mode);
  expect(typesOf(ask(handshake, option.startTls, Buffer.from('x')))).toEqual([reply.invalid]);
  secured(handshake);
  expect(typesOf(ask(handshake, option.startTls))).toEqual([reply.invalid]);
});

test('off: STARTTLS is POLICY, and the client may go on without', () => {
  const handshake = begun('off');
  expect(typesOf(ask(handshake, option.startTls))).toEqual([reply.policy]);
  expect(ask(handshake, option.go, info('vm1')).next).toBe('transmit');
});

test('TLS that nobody asked for closes', () => {
  expect(begun('optional').secured().next).toBe('close');
});

test('an export that the client may not have is POLICY, with a sentence; EXPORT_NAME closes', () => {
  const refuse = (code: number, data: Uint8Array): Step => {
    const handshake = begun('off');
    handshake.receive(Buffer.concat([Buffer.from('IHAVEOPT'), uint32(code), uint32(data.length)]));
    expect(handshake.receive(data).next).toBe('look-up');
    return handshake.found({ outcome: 'refused', message: 'not for you' });
  };
  for (const code of [option.go, option.info]) {
    const step = refuse(code, info('vm1'));
    expect(typesOf(step)).toEqual([reply.policy]);
    expect(Buffer.from(sent(step)).toString()).toContain('not for you');
  }
  expect(refuse(option.exportName, Buffer.from('vm1'))).toMatchObject({ next: 'close', send: none });
});

test('before TLS no sequence of options yields an export, or goes by a name', () => {
  const codes = fc.constantFrom(...Object.values(option).filter((code) => code !== option.startTls), 0, 4, 77);
  const anOption = fc.record({ code: codes, data: fc.constantFrom(none, info('vm1'), meta('vm1', []), Buffer.from('vm1')) });
  fc.assert(
    fc.property(fc.array(anOption, { maxLength: 12 }), (asked) => {
      const handshake = begun('required');
      for (const { code, data } of asked) {
        const step = handshake.receive(Buffer.concat([Buffer.from('IHAVEOPT'), uint32(code), uint32(data.length)]));
        const next = step.next === 'read' && data.length > 0 ? handshake.receive(data) : step;
        expect(['read', 'close']).toContain(next.next);
        if (next.next === 'close') return;
      }
    }),
  );
});

function secured(handshake: Handshake): Handshake {
  expect(ask(handshake, option.startTls).next).toBe('secure');
  expect(handshake.secured().next).toBe('read');
  return handshake;
}

function sent(step: Step): Uint8Array {
  return 'send' in step ? step.send : none;
}

function typesOf(step: Step): number[] {
  const types: number[] = [];
  const bytes = Buffer.from(sent(step));
  for (let at = 0; at < bytes.length; at += 20 + bytes.readUInt32BE(at + 16)) types.push(bytes.readUInt32BE(at + 12));
  return types;
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function string(text: string): Uint8Array {
  return Buffer.concat([uint32(Buffer.byteLength(text)), Buffer.from(text)]);
}

function info(name: string): Uint8Array {
  return Buffer.concat([string(name), Buffer.alloc(2)]);
}

function meta(name: string, queries: readonly string[]): Uint8Array {
  return Buffer.concat([string(name), uint32(queries.length), ...queries.map(string)]);
}
