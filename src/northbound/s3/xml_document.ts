/** XML that is answered. */

export const s3_namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

export type XmlContent = string | number | boolean | readonly XmlNode[];

export interface XmlNode {
  readonly name: string;
  readonly content: XmlContent;
  readonly attributes: Readonly<Record<string, string>>;
}

/** `name` and the names of attributes are ours: they are not escaped. */
export function element(name: string, content: XmlContent, attributes: Readonly<Record<string, string>> = {}): XmlNode {
  return { name, content, attributes };
}

/** A whole document, in the namespace of S3. */
export function xmlDocument(name: string, content: XmlContent): string {
  return declaration + rendered(element(name, content, { xmlns: s3_namespace }));
}

/** A whole document of no namespace: an error. */
export function plainXmlDocument(name: string, content: XmlContent): string {
  return declaration + rendered(element(name, content));
}

/** Whether XML 1.0 has all characters of `text`, escaped or not. */
export function xmlCarries(text: string): boolean {
  return !strangers.test(text);
}

const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';
// Control characters, halves of surrogate pairs, and two code points that are none.
// oxlint-disable-next-line no-control-regex
const strangers = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Cs}/u;
// oxlint-disable-next-line no-control-regex
const allStrangers = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Cs}/gu;

function rendered({ name, content, attributes }: XmlNode): string {
  const words = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(value)}"`);
  const inside = typeof content === 'object' ? content.map(rendered).join('') : escaped(String(content));
  return inside === '' ? `<${name}${words.join('')}/>` : `<${name}${words.join('')}>${inside}</${name}>`;
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  // A parser would make a line feed of the first, and spaces of all in an attribute.
  '\r': '&#13;',
  '\n': '&#10;',
  '\t': '&#9;',
};

/** What XML cannot carry becomes U+FFFD, so that one name never makes a list unreadable. */
function escaped(text: string): string {
  return text.replace(/[&<>"'\r\n\t]/g, (character) => escapes[character] ?? '').replace(allStrangers, '\ufffd');
}
