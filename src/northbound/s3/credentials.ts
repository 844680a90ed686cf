/** Who signs: what identity tells of an access key, and how long a request stays good. */

export interface Credentials<Principal> {
  readonly secretKey: string;
  readonly principal: Principal;
}

/** null where there is no such key, or none that may be used. Asked once for each request, and for nothing that can be no key. */
export type CredentialSource<Principal> = (accessKey: string) => Promise<Credentials<Principal> | null>;

const access_key_characters_max = 128;

/** Anybody may send anything for one: it ends here where no catalog could have it. */
export function isAccessKey(text: string): boolean {
  return text.length <= access_key_characters_max && /^[\x21-\x7e]+$/.test(text);
}

/** How far the clock of a client may be from ours, either way. */
export const clock_skew_milliseconds_max = 15 * 60_000;
/** Of a presigned request of version 4: a week. */
export const presigned_seconds_max = 604_800;
