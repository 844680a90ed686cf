/** Who signs: what identity tells of an access key, and how long a request stays good. */

export interface Credentials<Principal> {
  readonly secretKey: string;
  readonly principal: Principal;
}

/** null where there is no such key, or none that may be used. Asked once for each request. */
export type CredentialSource<Principal> = (accessKey: string) => Promise<Credentials<Principal> | null>;

/** How far the clock of a client may be from ours, either way. */
export const clock_skew_milliseconds_max = 15 * 60_000;
/** Of a presigned request of version 4: a week. */
export const presigned_seconds_max = 604_800;
