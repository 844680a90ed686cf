/** Text that nobody can guess, of a cryptographic generator. */
import { randomInt } from 'node:crypto';

const digits = '0123456789';
const capitals = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** 20 of A-Z and 0-9, as tools of S3 expect an access key. */
export function newAccessKey(): string {
  return `SK${randomText(capitals + digits, 18)}`;
}

/** 40 letters and digits, 238 bits: nothing that a shell, an INI file or a URL would take for something else. */
export function newSecretKey(): string {
  return randomText(capitals + capitals.toLowerCase() + digits, 40);
}

export function newUserId(): string {
  return `SU${randomText(capitals + digits, 18)}`;
}

/** 12 digits, the first of them not 0, so that no tool loses it. */
export function newAccountNumber(): string {
  return randomText(digits.slice(1), 1) + randomText(digits, 11);
}

function randomText(alphabet: string, characters: number): string {
  return Array.from({ length: characters }, () => alphabet[randomInt(alphabet.length)]).join('');
}
