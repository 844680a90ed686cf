/** What an answer of S3 says, with the reasons that the laws know. */
import { SkerryError } from '../../src/core/errors.js';

const reasons: Readonly<Record<string, string>> = {
  AccessDenied: 'object-locked',
  BadDigest: 'bad-digest',
  BucketAlreadyExists: 'bucket-already-exists',
  BucketAlreadyOwnedByYou: 'bucket-already-owned-by-you',
  BucketNotEmpty: 'bucket-not-empty',
  InvalidBucketName: 'invalid-bucket-name',
  InvalidBucketState: 'invalid-bucket-state',
  InvalidPart: 'invalid-part',
  InvalidPartOrder: 'invalid-part-order',
  InvalidRange: 'invalid-range',
  KeyTooLongError: 'key-too-long',
  NoSuchBucket: 'no-such-bucket',
  NoSuchKey: 'no-such-key',
  NoSuchUpload: 'no-such-upload',
  PreconditionFailed: 'precondition-failed',
};

export async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const { name, $response } = error as { name: string; $response?: { headers: Record<string, string> } };
    const marker = name === 'NoSuchKey' && $response?.headers['x-amz-delete-marker'] === 'true';
    throw new SkerryError('invalid', name, { reason: marker ? 'delete-marker' : (reasons[name] ?? name), cause: error });
  }
}
