/** Which names a bucket may have: those that are one or more labels of DNS, for they stand in hosts. */

export const bucket_name_characters_min = 3;
export const bucket_name_characters_max = 63;

/** S3 keeps these for features of its own; a client may treat such a bucket as something else. */
const reservedPrefixes = ['xn--', 'sthree-', 'amzn-s3-demo-'];
const reservedSuffixes = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3'];

export function isBucketName(name: string): boolean {
  if (name.length < bucket_name_characters_min || name.length > bucket_name_characters_max) return false;
  if (!/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/.test(name)) return false;
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return false;
  return !reservedPrefixes.some((prefix) => name.startsWith(prefix)) && !reservedSuffixes.some((suffix) => name.endsWith(suffix));
}
