import { readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { AuditLog } from '../../../../src/northbound/s3/audit_log.js';
import type { RequestRecord } from '../../../../src/northbound/s3/request_record.js';
import { temporaryDirectory } from '../../temporary_directory.js';

const record: RequestRecord = {
  requestId: '0123456789ABCDEF',
  startedAt: Date.UTC(2026, 10, 23),
  milliseconds: 1.5,
  method: 'PUT',
  operation: 'PutObject',
  bucket: 'photos',
  key: 'a "quoted"\nkey',
  authenticated: true,
  principal: null,
  scheme: null,
  clientAddress: '127.0.0.1',
  status: 200,
  code: null,
  aborted: false,
  bytesIn: 5,
  bytesOut: 0,
};

function lines(path: string): Record<string, unknown>[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a request is a line, whatever its key holds', async () => {
  const path = join(temporaryDirectory(), 'audit.log');
  const log = await AuditLog.open({ path, log: () => undefined });
  log.add(record);
  await log.close();
  expect(lines(path)).toEqual([
    {
      time: '2026-11-23T00:00:00.000Z',
      requestId: '0123456789ABCDEF',
      account: null,
      user: null,
      accessKey: null,
      scheme: null,
      clientAddress: '127.0.0.1',
      method: 'PUT',
      operation: 'PutObject',
      bucket: 'photos',
      key: 'a "quoted"\nkey',
      status: 200,
      code: null,
      aborted: false,
      bytesIn: 5,
      bytesOut: 0,
      milliseconds: 1.5,
    },
  ]);
});

test('a file that was renamed or removed is made anew, and no line is lost', async () => {
  const path = join(temporaryDirectory(), 'audit.log');
  const log = await AuditLog.open({ path, log: () => undefined });
  log.add({ ...record, requestId: '1' });
  await log.flush();
  renameSync(path, `${path}.1`);
  log.add({ ...record, requestId: '2' });
  await log.flush();
  rmSync(path);
  log.add({ ...record, requestId: '3' });
  await log.close();
  expect([lines(`${path}.1`), lines(path)].map((all) => all.map(({ requestId }) => requestId))).toEqual([['1'], ['3']]);
});

test('a file that cannot be written is told of, and those who ask go on', async () => {
  const directory = temporaryDirectory();
  const path = join(directory, 'audit.log');
  const told: string[] = [];
  const log = await AuditLog.open({ path, log: (_level, message, fields) => told.push(`${message} ${String(fields['lines'])}`) });
  rmSync(directory, { recursive: true });
  log.add(record);
  await log.flush();
  await log.close();
  expect(told).toEqual(['the audit log cannot be written 1']);
  await expect(AuditLog.open({ path, log: () => undefined })).rejects.toMatchObject({ code: 'ENOENT' });
});
