/**
 * Writes messages as protobufjs does, byte for byte, into memory that the next one uses as well. protobufjs makes an object of each message, of each
 * number of 64 bits and of each field first, which costs several times what the bytes do.
 */
import protobuf from 'protobufjs';

const memory_bytes = 4096;
/** Of a number that is safe, seven bits a byte. */
const number_bytes_max = 8;
/** Up to here a text is written character by character, as long as each is one byte. */
const short_text_characters_max = 64;

const number_wire = 0;
const bytes_wire = 2;

type WriteValue = (value: unknown) => void;

/** Of one field, with its tag. */
interface FieldWriter {
  readonly name: string;
  readonly write: WriteValue;
}

let memory = Buffer.allocUnsafeSlow(memory_bytes);
let used = 0;

const writers = new WeakMap<protobuf.Type, readonly FieldWriter[]>();

/** In memory of its own. @throws RangeError, TypeError for a value that its field cannot have */
export function written(type: protobuf.Type, fields: Readonly<Record<string, unknown>>): Uint8Array {
  used = 0;
  writeFields(writersOf(type), fields);
  const bytes = new Uint8Array(used);
  bytes.set(memory.subarray(0, used));
  return bytes;
}

function writeFields(fieldWriters: readonly FieldWriter[], fields: Readonly<Record<string, unknown>>): void {
  for (const { name, write } of fieldWriters) {
    const value = fields[name];
    // What a reader takes for granted is left out.
    const isDefault = value === undefined || value === null || value === 0 || value === '' || value === false;
    if (!isDefault) write(value);
  }
}

function writersOf(type: protobuf.Type): readonly FieldWriter[] {
  let found = writers.get(type);
  if (found === undefined) {
    const fields = [...type.fieldsArray].sort((a, b) => a.id - b.id);
    found = fields.map((field) => ({ name: field.name, write: writerOf(field.resolve()) }));
    writers.set(type, found);
  }
  return found;
}

function writerOf(field: protobuf.Field): WriteValue {
  if (field instanceof protobuf.MapField) return mapWriter(field);
  const one = valueWriter(field);
  if (!field.repeated) return one;
  if (field.packed && field.type in protobuf.types.packed)
    throw new TypeError(`${field.fullName} is packed, which no record has yet`);
  return (values) => {
    if (!Array.isArray(values)) throw new TypeError(`${field.fullName} is a list`);
    for (const value of values as readonly unknown[]) one(value);
  };
}

function valueWriter(field: protobuf.Field): WriteValue {
  const { id, type, resolvedType, repeated, fullName } = field;
  if (resolvedType instanceof protobuf.Type) {
    return (value) => {
      writeTag(id, bytes_wire);
      const start = beginBytes();
      writeFields(writersOf(resolvedType), value as Readonly<Record<string, unknown>>);
      endBytes(start);
    };
  }
  switch (type) {
    case 'uint32':
    case 'uint64':
      return (value) => {
        writeTag(id, number_wire);
        writeNumber(value as number);
      };
    case 'bool':
      return (value) => {
        writeTag(id, number_wire);
        writeNumber(value === true ? 1 : 0);
      };
    case 'string':
      return (value) => {
        writeTag(id, bytes_wire);
        writeText(value as string);
      };
    case 'bytes':
      return (value) => {
        const bytes = value as Uint8Array;
        if (bytes.length === 0 && !repeated) return;
        writeTag(id, bytes_wire);
        writeBytes(bytes);
      };
    default:
      throw new TypeError(`${fullName} is of type ${type}, which no record has yet`);
  }
}

/** Of texts by texts: there are no others. */
function mapWriter({ id }: protobuf.Field): WriteValue {
  return (values) => {
    for (const [key, value] of Object.entries(values as Readonly<Record<string, string>>)) {
      writeTag(id, bytes_wire);
      const start = beginBytes();
      writeTag(1, bytes_wire);
      writeText(key);
      writeTag(2, bytes_wire);
      writeText(value);
      endBytes(start);
    }
  };
}

function writeTag(id: number, wire: number): void {
  writeNumber(id * 8 + wire);
}

function writeNumber(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${String(value)} cannot stand in a record`);
  makeRoom(number_bytes_max);
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 0x80)) memory[used++] = (left % 0x80) | 0x80;
  memory[used++] = left;
}

function writeBytes(value: Uint8Array): void {
  writeNumber(value.length);
  makeRoom(value.length);
  memory.set(value, used);
  used += value.length;
}

function writeText(value: string): void {
  if (typeof value !== 'string') throw new TypeError(`${typeof value} cannot stand in a record for a text`);
  if (value.length <= short_text_characters_max && writeShortText(value)) return;
  const bytes = Buffer.byteLength(value);
  writeNumber(bytes);
  makeRoom(bytes);
  used += memory.write(value, used);
}

/** @returns false where a character takes more than one byte: nothing is written then */
function writeShortText(value: string): boolean {
  makeRoom(1 + value.length);
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code > 0x7f) return false;
    memory[used + 1 + at] = code;
  }
  memory[used] = value.length;
  used += 1 + value.length;
  return true;
}

/** What is written from here on has its length before it, of one byte mostly. @returns where it begins, for endBytes() */
function beginBytes(): number {
  makeRoom(1);
  used += 1;
  return used;
}

function endBytes(start: number): void {
  const bytes = used - start;
  const more = (bytes > 0x7f ? 1 : 0) + (bytes > 0x3fff ? 1 : 0) + (bytes > 0x1fffff ? 1 : 0);
  makeRoom(more);
  if (more > 0) memory.copyWithin(start + more, start, used);
  used = start - 1;
  writeNumber(bytes);
  used += bytes;
}

function makeRoom(bytes: number): void {
  if (used + bytes <= memory.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(memory.length * 2, used + bytes));
  memory.copy(larger, 0, 0, used);
  memory = larger;
}
