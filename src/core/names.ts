/**
 * What users may call things. A volume's name fits a DNS label and an NBD export; a snapshot's is VOL@SNAP. The rules are
 * those of docs/reference/cli.md, and each refusal says which one was broken.
 */
import { SkerryError } from './errors.js';
import {
  account_name_characters_max,
  description_characters_max,
  image_name_characters_max,
  label_key_characters_max,
  label_value_characters_max,
  labels_count_max,
  pool_name_characters_max,
  snapshot_name_characters_max,
  user_name_characters_max,
  volume_name_characters_max,
} from './limits.js';

export type NameKind = 'volume' | 'snapshot' | 'image' | 'pool' | 'account' | 'user';

export interface SnapshotName {
  readonly volume: string;
  /** The part after the @. */
  readonly snapshot: string;
}

interface NameRule {
  readonly charactersMax: number;
  readonly allowed: RegExp;
  readonly words: string;
}

const plain = /^[a-z0-9-]$/;
const dotted = /^[a-z0-9._-]$/;
/** Of people: often a mail address. */
const personal = /^[A-Za-z0-9._@+-]$/;
const rules: Readonly<Record<NameKind, NameRule>> = {
  volume: { charactersMax: volume_name_characters_max, allowed: plain, words: 'a-z, 0-9 and -' },
  snapshot: { charactersMax: snapshot_name_characters_max, allowed: dotted, words: 'a-z, 0-9, -, . and _' },
  image: { charactersMax: image_name_characters_max, allowed: dotted, words: 'a-z, 0-9, -, . and _' },
  pool: { charactersMax: pool_name_characters_max, allowed: plain, words: 'a-z, 0-9 and -' },
  account: { charactersMax: account_name_characters_max, allowed: dotted, words: 'a-z, 0-9, -, . and _' },
  user: { charactersMax: user_name_characters_max, allowed: personal, words: 'A-Z, a-z, 0-9 and . _ @ + -' },
};

/** @throws SkerryError invalid, saying which rule was broken. For a snapshot this is the part after the @. */
export function checkName(kind: NameKind, name: string): string {
  const rule = rules[kind];
  const refuse = (why: string): never => {
    throw new SkerryError('invalid', `${JSON.stringify(shorten(name))} is no ${kind} name: ${why}`);
  };
  if (name === '') refuse('it is empty');
  if (name.length > rule.charactersMax) refuse(`it has ${name.length} characters, at most ${rule.charactersMax} are allowed`);
  for (const character of name) {
    if (!rule.allowed.test(character)) refuse(`${JSON.stringify(character)} is not allowed, only ${rule.words}`);
  }
  if (!/^[a-z0-9]/i.test(name) || !/[a-z0-9]$/i.test(name)) refuse('it must begin and end with a letter or digit');
  return name;
}

export const checkVolumeName = (name: string): string => checkName('volume', name);
export const checkImageName = (name: string): string => checkName('image', name);
export const checkPoolName = (name: string): string => checkName('pool', name);
export const checkAccountName = (name: string): string => checkName('account', name);
export const checkUserName = (name: string): string => checkName('user', name);

/** @throws SkerryError invalid unless it is VOL@SNAP with a valid name on either side. */
export function parseSnapshotName(name: string): SnapshotName {
  const at = name.indexOf('@');
  if (at < 0) throw new SkerryError('invalid', `${JSON.stringify(shorten(name))} is no snapshot name: write VOLUME@SNAPSHOT`);
  const volume = checkName('volume', name.slice(0, at));
  const snapshot = checkName('snapshot', name.slice(at + 1));
  return { volume, snapshot };
}

export function isSnapshotName(name: string): boolean {
  return name.includes('@');
}

/** Checks a full name as the catalog keeps it: VOL, VOL@SNAP or an image's. */
export function checkResourceName(kind: 'volume' | 'snapshot' | 'image', name: string): string {
  if (kind === 'snapshot') parseSnapshotName(name);
  else checkName(kind, name);
  return name;
}

/** @throws SkerryError invalid for one that is too long or would break a line of a listing. */
export function checkDescription(text: string): string {
  if (text.length > description_characters_max) {
    throw new SkerryError(
      'invalid',
      `a description has at most ${description_characters_max} characters, this one ${text.length}`,
    );
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text))
    throw new SkerryError('invalid', 'a description is one line without control characters');
  return text;
}

/** Keys: `[a-z0-9]` and inside also `. _ - /`; values: one line. @throws SkerryError invalid, saying which rule was broken. */
export function checkLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(labels);
  const refuse = (why: string): never => {
    throw new SkerryError('invalid', why);
  };
  if (entries.length > labels_count_max) refuse(`a resource has at most ${labels_count_max} labels, not ${entries.length}`);
  for (const [key, value] of entries) {
    const shown = JSON.stringify(shorten(key));
    if (key.length > label_key_characters_max) refuse(`label ${shown} has over ${label_key_characters_max} characters`);
    if (!/^[a-z0-9](?:[a-z0-9._/-]*[a-z0-9])?$/.test(key))
      refuse(`${shown} is no label: write a-z, 0-9, and between them also . _ - /`);
    if (value.length > label_value_characters_max)
      refuse(`the value of label ${key} has over ${label_value_characters_max} characters`);
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    if (/[\u0000-\u001f\u007f]/.test(value)) refuse(`the value of label ${key} is not one line without control characters`);
  }
  return labels;
}

function shorten(name: string): string {
  return name.length <= 80 ? name : `${name.slice(0, 77)}...`;
}
