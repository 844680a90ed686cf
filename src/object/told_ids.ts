/**
 * Ids of versions and uploads as clients are told them. They begin with a letter: a client whose reader of XML takes for a number whatever looks
 * like one (that of minio-js makes 12 of 0000000000000012) would else ask for what is not there.
 */
import { idText } from '../catalog/keys.js';

const pattern = /^v[0-9a-f]{16}$/;

export function toldId(id: number): string {
  return `v${idText(id)}`;
}

/** null: no id is told so. */
export function idOfTold(text: string): number | null {
  const id = pattern.test(text) ? Number.parseInt(text.slice(1), 16) : 0;
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}
