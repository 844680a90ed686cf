/** What the catalog knows of resources that are on their way to another pool, so that a restarted daemon goes on (docs/formats/catalog.md). */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { decode, encode, exact, record_version, rootMessage, type Fields, type RootRecord } from './records.js';

export interface MoveRecord {
  /** Of the volume or image. */
  readonly id: number;
  readonly from: string;
  readonly to: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** It is in its new pool; what the old one knows of it is to go yet. */
  readonly switched: boolean;
}

/** How far one resource is: `target` is what `to` is up to block `next`, and past it what `from` is. */
export interface CarriedRecord {
  readonly move: number;
  readonly id: number;
  /** In the old pool. */
  readonly from: RootRecord;
  readonly to: RootRecord;
  /** In the new pool, durable there. */
  readonly target: RootRecord;
  readonly next: number;
  readonly done: boolean;
}

const schema = protobuf.Root.fromJSON({
  nested: {
    Root: rootMessage,
    Move: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        from: { type: 'string', id: 3 },
        to: { type: 'string', id: 4 },
        startedAt: { type: 'uint64', id: 5 },
        switched: { type: 'bool', id: 6 },
      },
    },
    Carried: {
      fields: {
        version: { type: 'uint32', id: 1 },
        move: { type: 'uint64', id: 2 },
        id: { type: 'uint64', id: 3 },
        from: { type: 'Root', id: 4 },
        to: { type: 'Root', id: 5 },
        target: { type: 'Root', id: 6 },
        next: { type: 'uint64', id: 7 },
        done: { type: 'bool', id: 8 },
      },
    },
  },
});

const moveType = schema.lookupType('Move');
const carriedType = schema.lookupType('Carried');

export function encodeMove(record: MoveRecord): Uint8Array {
  return encode(moveType, { ...record, version: record_version, startedAt: exact(record.startedAt, 'startedAt') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeMove(data: Uint8Array): MoveRecord {
  const fields = decode(moveType, data, 'move');
  return {
    id: fields.number('id'),
    from: fields.text('from'),
    to: fields.text('to'),
    startedAt: fields.number('startedAt'),
    switched: fields.flag('switched'),
  };
}

export function encodeCarried(record: CarriedRecord): Uint8Array {
  return encode(carriedType, { ...record, version: record_version, next: exact(record.next, 'next') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeCarried(data: Uint8Array): CarriedRecord {
  const fields = decode(carriedType, data, 'carried');
  return {
    move: fields.number('move'),
    id: fields.number('id'),
    from: rootOf(fields.message('from')),
    to: rootOf(fields.message('to')),
    target: rootOf(fields.message('target')),
    next: fields.number('next'),
    done: fields.flag('done'),
  };
}

function rootOf(root: Fields): RootRecord {
  const id = root.bytes('id');
  if (id.length !== 0 && id.length !== 32) throw new SkerryError('corrupt', `a root id of a move has ${id.length} bytes, not 32`);
  return {
    id,
    levels: root.number('levels'),
    pack: root.number('pack'),
    offset: root.number('offset'),
    storedBytes: root.number('storedBytes'),
  };
}
