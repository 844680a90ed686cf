/** A large object sent in parts, several at once. It appears with the last request, whole, or not at all. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';

import { SkerryError } from '../../src/core/errors.js';
import { stride_bytes, type Connection } from './connection.js';

/** The smallest that S3 takes is 5 MiB, the most are 10,000. */
export const part_bytes = stride_bytes;
export const parts_in_flight_max = 3;

interface Upload {
  readonly connection: Connection;
  readonly object: { readonly Bucket: string; readonly Key: string; readonly UploadId: string };
  readonly doing: string;
}

/** `condition`: of the request that makes it appear. @throws SkerryError; what was sent is then thrown away, if the server hears of it */
export async function uploadInParts(
  connection: Connection,
  name: string,
  data: Uint8Array,
  { doing, condition }: { readonly doing: string; readonly condition: { readonly IfNoneMatch?: string } },
): Promise<void> {
  const target = { Bucket: connection.bucket, Key: name };
  const { UploadId } = await connection.ask({ doing }, (client, options) =>
    client.send(new CreateMultipartUploadCommand(target), options),
  );
  if (UploadId === undefined) throw new SkerryError('io', `${doing}: the server began an upload and gave it no name`);
  const upload: Upload = { connection, object: { ...target, UploadId }, doing };
  try {
    const Parts = await sendParts(upload, data);
    const command = new CompleteMultipartUploadCommand({ ...upload.object, ...condition, MultipartUpload: { Parts } });
    await connection.ask({ doing, bytes: data.length }, (client, options) => client.send(command, options));
  } catch (error) {
    // Where this fails as well, whoever opens the pool an hour later removes them.
    await abort(connection, upload.object).catch(() => undefined);
    throw error;
  }
}

/** Throws away what uploads begun before `before` have sent and never completed: of objects whose names begin with `prefix`. */
export async function removeStaleUploads(connection: Connection, prefix: string, before: Date): Promise<void> {
  const doing = 'uploads that never ended cannot be listed';
  const command = new ListMultipartUploadsCommand({ Bucket: connection.bucket, Prefix: prefix });
  const { Uploads = [] } = await connection.ask({ doing }, (client, options) => client.send(command, options));
  for (const { Key, UploadId, Initiated } of Uploads) {
    if (Key === undefined || UploadId === undefined || Initiated === undefined || Initiated >= before) continue;
    await abort(connection, { Bucket: connection.bucket, Key, UploadId });
  }
}

async function sendParts(upload: Upload, data: Uint8Array): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = Array.from({ length: Math.ceil(data.length / part_bytes) });
  const giveUp = new AbortController();
  let next = 0;
  const sendSome = async (): Promise<void> => {
    while (next < parts.length && !giveUp.signal.aborted) {
      const index = next;
      next += 1;
      parts[index] = await sendPart(upload, data, index, giveUp.signal);
    }
  };
  // `data` is the caller's again once this settled, so all are waited for; the first failure is the one that tells why.
  const failures: unknown[] = [];
  const senders = Array.from({ length: parts_in_flight_max }, () =>
    sendSome().catch((error: unknown) => {
      failures.push(error);
      giveUp.abort();
    }),
  );
  await Promise.all(senders);
  if (failures.length > 0) throw failures[0];
  return parts;
}

async function sendPart(upload: Upload, data: Uint8Array, index: number, giveUp: AbortSignal): Promise<CompletedPart> {
  const Body = data.subarray(index * part_bytes, (index + 1) * part_bytes);
  const PartNumber = index + 1;
  const command = new UploadPartCommand({ ...upload.object, PartNumber, Body });
  const { ETag } = await upload.connection.ask({ doing: upload.doing, bytes: Body.length, giveUp }, (client, options) =>
    client.send(command, options),
  );
  if (ETag === undefined) throw new SkerryError('io', `${upload.doing}: the server took part ${PartNumber} and gave no ETag`);
  return { PartNumber, ETag };
}

async function abort(connection: Connection, object: Upload['object']): Promise<void> {
  const doing = `the upload of ${object.Key} cannot be aborted`;
  await connection.ask({ doing }, (client, options) => client.send(new AbortMultipartUploadCommand(object), options));
}
