/**
 * Percent-encoding as S3 has it. Signatures are made of bytes, and a path may hold bytes that are no text. So bytes are strings here of one
 * character each (0 to 255), as node gives them, until somebody wants text.
 */

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encodings: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);

/** The bytes that `text` stands for, or null where a `%` is followed by no two hexadecimal digits. */
export function percentDecoded(text: string): string | null {
  if (!text.includes('%')) return text;
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return null;
  return text.replace(/%(..)/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** All but letters, digits and `-._~` encoded, in upper case; a slash stays where `slashes` says so. This is what is signed. */
export function percentEncoded(bytes: string, slashes: 'keep' | 'encode'): string {
  const others = slashes === 'keep' ? /[^A-Za-z0-9\-._~/]/g : /[^A-Za-z0-9\-._~]/g;
  return bytes.replace(others, (character) => encodings[character.charCodeAt(0)] ?? '');
}

/** The text that the bytes are in UTF-8, or null where they are none. */
export function textOfBytes(bytes: string): string | null {
  // oxlint-disable-next-line no-control-regex
  if (/^[\0-\x7f]*$/.test(bytes)) return bytes;
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return null;
  }
}

/** The UTF-8 of `text`, one character for each byte. */
export function bytesOfText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
