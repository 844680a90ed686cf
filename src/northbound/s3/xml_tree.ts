/** XML that clients send, as a plain tree. It is small, has no entities of its own, and ends soon; all else is refused. */
import { SaxesParser } from 'saxes';

import { S3Failure } from './errors.js';

export interface XmlLimits {
  readonly bytesMax: number;
  readonly depthMax: number;
  /** With their attributes. */
  readonly elementsMax: number;
}

/** Fits the largest request: 1,000 keys to delete, of 1,024 bytes each, that are escaped. A list of 10,000 parts is smaller. */
export const xmlLimits: XmlLimits = { bytesMax: 8 << 20, depthMax: 16, elementsMax: 100_000 };

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** An element by its local name: clients differ in prefixes and namespaces, and no two elements differ by theirs alone. */
export class XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: XmlElement[] = [];
  /** All text directly in it. */
  text = '';

  constructor(name: string, attributes: ReadonlyMap<string, string>) {
    this.name = name;
    this.attributes = attributes;
  }

  all(name: string): XmlElement[] {
    return this.children.filter((child) => child.name === name);
  }

  /** @throws S3Failure MalformedXML where there are several */
  optional(name: string): XmlElement | undefined {
    const [first, second] = this.all(name);
    if (second !== undefined) throw malformedXml(`${this.name} has more than one ${name}`);
    return first;
  }

  /** @throws S3Failure MalformedXML where there is none, or several */
  required(name: string): XmlElement {
    const child = this.optional(name);
    if (child === undefined) throw malformedXml(`${this.name} has no ${name}`);
    return child;
  }

  /** Its text, whitespace and all: it may be a key. @throws S3Failure MalformedXML where it holds elements */
  asText(): string {
    if (this.children.length > 0) throw malformedXml(`${this.name} may hold text only`);
    return this.text;
  }

  /** @throws S3Failure MalformedXML where it is no whole number from 0 to 2^53 */
  asInteger(): number {
    const text = this.asText().trim();
    const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(number)) throw malformedXml(`${this.name} is not a number`);
    return number;
  }

  /** @throws S3Failure MalformedXML where it is neither true nor false */
  asBoolean(): boolean {
    const text = this.asText().trim().toLowerCase();
    if (text !== 'true' && text !== 'false') throw malformedXml(`${this.name} is neither true nor false`);
    return text === 'true';
  }

  /** @throws S3Failure MalformedXML where it is none of `words` */
  asOneOf<Word extends string>(words: readonly Word[]): Word {
    const text = this.asText().trim();
    const word = words.find((each) => each === text);
    if (word === undefined) throw malformedXml(`${this.name} is none of ${words.join(', ')}`);
    return word;
  }
}

/**
 * The root element, which must be `rootName`. Takes bytes as they come and holds no more of them than the limit.
 * @throws S3Failure MalformedXML, MaxMessageLengthExceeded
 */
export async function readXml(
  source: AsyncIterable<Uint8Array>,
  rootName: string,
  limits: XmlLimits = xmlLimits,
): Promise<XmlElement> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    bytes += piece.length;
    if (bytes > limits.bytesMax) throw tooLong();
    pieces.push(piece);
  }
  return parseXml(Buffer.concat(pieces), rootName, limits);
}

/** @throws S3Failure MalformedXML, MaxMessageLengthExceeded */
export function parseXml(bytes: Uint8Array, rootName: string, limits: XmlLimits = xmlLimits): XmlElement {
  if (bytes.length > limits.bytesMax) throw tooLong();
  const root = treeOf(textOf(bytes), limits);
  if (root?.name !== rootName) throw malformedXml(`the root element must be ${rootName}`);
  return root;
}

export function malformedXml(reason: string, cause?: unknown): S3Failure {
  return new S3Failure(
    'MalformedXML',
    `The XML you provided was not well-formed or did not validate against our published schema: ${reason}`,
    cause === undefined ? {} : { cause },
  );
}

function tooLong(): S3Failure {
  return new S3Failure('MaxMessageLengthExceeded');
}

function textOf(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw malformedXml('it is not UTF-8', error);
  }
}

function treeOf(text: string, { depthMax, elementsMax }: XmlLimits): XmlElement | null {
  const parser = new SaxesParser({ xmlns: true });
  const open: XmlElement[] = [];
  let root: XmlElement | null = null;
  let elements = 0;
  const refuse = (reason: string): never => {
    throw malformedXml(reason);
  };
  parser.on('error', (error) => {
    throw malformedXml('it is not well-formed', error);
  });
  parser.on('doctype', () => refuse('it may have no DOCTYPE'));
  parser.on('processinginstruction', () => refuse('it may have no processing instructions'));
  parser.on('xmldecl', ({ encoding }) => {
    if (encoding !== undefined && encoding.toLowerCase() !== 'utf-8') refuse('it must be UTF-8');
  });
  parser.on('attribute', () => {
    if (++elements > elementsMax) refuse('it has too many attributes');
  });
  parser.on('opentag', (tag) => {
    if (++elements > elementsMax) refuse('it has too many elements');
    if (open.length >= depthMax) refuse('it is nested too deep');
    const attributes = Object.values(tag.attributes).map((each): [string, string] => [each.local, each.value]);
    const element = new XmlElement(tag.local, new Map(attributes));
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  const addText = (part: string): void => {
    const element = open.at(-1);
    if (element !== undefined) element.text += part;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', () => {
    open.pop();
  });
  parser.write(text).close();
  return root;
}
