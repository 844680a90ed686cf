/** What a webhook is told of a change: the message of S3's event notifications, version 2.1. */
import type { NoticeRecord } from '../../catalog/notice_record.js';
import { eventName } from './notification_document.js';
import { bytesOfText, percentEncoded } from './percent.js';

export interface EventPlace {
  readonly region: string;
  /** Canonical id of the account that the bucket belongs to; '' where it is no more. */
  readonly owner: string;
}

/** `id`: of the notice. Of two events of one key the later has the larger, as text too. */
export function eventMessage(id: string, notice: NoticeRecord, { region, owner }: EventPlace): string {
  const { kind, bucket, requestId } = notice;
  const time = new Date(notice.at).toISOString();
  if (kind === 'test')
    return JSON.stringify({
      Service: 'Amazon S3',
      Event: 's3:TestEvent',
      Time: time,
      Bucket: bucket,
      RequestId: requestId,
      HostId: requestId,
    });
  const expired = kind === 'expired' || kind === 'expired-marked';
  const gone = expired || kind === 'removed' || kind === 'marked';
  const said = kind === 'tagged' || kind === 'untagged' || kind === 'granted';
  const record = {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: region,
    eventTime: time,
    eventName: eventName(kind),
    userIdentity: { principalId: expired ? 's3.amazonaws.com' : notice.requester || 'Anonymous' },
    requestParameters: { sourceIPAddress: expired ? 's3.amazonaws.com' : notice.address },
    responseElements: { 'x-amz-request-id': requestId, 'x-amz-id-2': requestId },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: notice.rule,
      bucket: { name: bucket, ownerIdentity: { principalId: owner }, arn: `arn:aws:s3:::${bucket}` },
      object: {
        key: urlEncoded(notice.key),
        ...(gone || said ? {} : { size: notice.bytes }),
        ...(gone ? {} : { eTag: notice.etag }),
        ...(notice.versionId === '' ? {} : { versionId: notice.versionId }),
        sequencer: id.toUpperCase(),
      },
    },
  };
  return JSON.stringify({ Records: [record] });
}

/** As forms encode: receivers decode it so. */
function urlEncoded(key: string): string {
  return percentEncoded(bytesOfText(key), 'keep').replaceAll('%20', '+');
}
