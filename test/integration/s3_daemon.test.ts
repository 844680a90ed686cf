/** A real daemon that serves S3, over HTTP and TLS: the everyday work of clients that others wrote, and what the daemon tells of it. */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CreateBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { QuotaView, UsageView } from '../../src/api/shapes.js';
import { awsProgram } from '../harness/aws_command.ts';
import { Authority } from '../harness/certificates.ts';
import { must, run, type Outcome } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { presignedTarget } from '../harness/raw_connection.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

let scratch: string;
/** A tree of small files, and a file of 100 MiB beside it. */
let tree: string;
let large: string;
let authority: Authority;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-s3-'));
  tree = join(scratch, 'tree');
  large = join(scratch, 'large');
  for (let folder = 0; folder < 4; folder += 1) {
    const path = join(tree, `folder ${folder}`, 'ünter');
    mkdirSync(path, { recursive: true });
    for (let file = 0; file < 5; file += 1) writeFileSync(join(path, `file+${file}`), randomBytes(100 * file));
  }
  writeFileSync(large, Buffer.concat(Array.from({ length: 100 }, () => randomBytes(1 << 20))));
  authority = await Authority.make(join(scratch, 'ca'), 'Skerry');
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each(['http', 'https'])('over %s', (scheme) => {
  let world: Serving;
  let env: NodeJS.ProcessEnv;
  const secure = scheme === 'https';

  beforeAll(async () => {
    const issued = secure ? await authority.issue('s3', ['DNS:localhost', 'IP:127.0.0.1']) : null;
    world = await serving(issued === null ? {} : { s3TlsCertificate: issued.certificate, s3TlsKey: issued.key });
    env = {
      HOME: scratch,
      AWS_ACCESS_KEY_ID: world.key.accessKey,
      AWS_SECRET_ACCESS_KEY: world.key.secretKey,
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
      // Of the machine's own, which some clients do not bear.
      AWS_CA_BUNDLE: undefined,
      SSL_CERT_FILE: undefined,
      REQUESTS_CA_BUNDLE: undefined,
    };
  });
  afterAll(async () => {
    // Nothing that clients did was a failure of the daemon.
    expect(world.daemon.log.split('\n').filter((line) => /"level":[56]0/.test(line))).toEqual([]);
    await world.daemon.destroy();
  });

  const trusting = (): NodeJS.ProcessEnv =>
    secure ? { ...env, AWS_CA_BUNDLE: authority.certificate, SSL_CERT_FILE: authority.certificate } : env;

  test('the command of AWS copies, syncs, presigns, lists and removes', async () => {
    const program = await awsProgram();
    const aws = (...words: readonly string[]): Promise<string> =>
      must(program, ['--endpoint-url', world.endpoint, 's3', ...words], { env: trusting() });
    await aws('mb', 's3://aws');
    await aws('cp', '--no-progress', large, 's3://aws/large');
    await aws('cp', '--no-progress', 's3://aws/large', join(scratch, 'aws-large'));
    await must('cmp', [large, join(scratch, 'aws-large')]);
    await aws('sync', '--no-progress', tree, 's3://aws/tree');
    expect(await aws('sync', '--no-progress', tree, 's3://aws/tree')).toBe('');
    await aws('cp', '--no-progress', 's3://aws/large', 's3://aws/copy');
    await aws('sync', '--no-progress', 's3://aws/tree', join(scratch, `aws-${scheme}`));
    await must('diff', ['--recursive', tree, join(scratch, `aws-${scheme}`)]);
    expect((await aws('ls', '--recursive', 's3://aws')).trim().split('\n')).toHaveLength(22);
    const url = (await aws('presign', 's3://aws/tree/folder 1/ünter/file+2')).trim();
    const trust = secure ? ['--cacert', authority.certificate] : [];
    await must('curl', ['--silent', '--fail', ...trust, '--output', join(scratch, 'presigned'), url]);
    await must('cmp', [join(scratch, 'presigned'), join(tree, 'folder 1', 'ünter', 'file+2')]);
    await aws('rm', '--recursive', 's3://aws/tree');
    const left = await run(program, ['--endpoint-url', world.endpoint, 's3', 'rb', 's3://aws'], { env: trusting() });
    expect([left.code, left.stderr]).toEqual([1, expect.stringContaining('BucketNotEmpty')]);
    await aws('rb', '--force', 's3://aws');
    expect(await aws('ls')).toBe('');
  });

  test('boto3 uploads in parts, copies, pages, presigns and removes many', async () => {
    await must('/usr/bin/python3', ['-I', join(import.meta.dirname, '../harness/s3_boto3.py'), world.endpoint, scratch], {
      env: trusting(),
    });
  });

  test('s3cmd puts, gets, lists and removes', async () => {
    const host = new URL(world.endpoint).host;
    const options = [
      '--config',
      '/dev/null',
      '--access_key',
      world.key.accessKey,
      '--secret_key',
      world.key.secretKey,
      '--no-progress',
    ];
    const how = secure ? ['--ssl', '--ca-certs', authority.certificate] : ['--no-ssl'];
    const s3cmd = (...words: readonly string[]): Promise<string> =>
      must('s3cmd', [...options, '--host', host, '--host-bucket', host, ...how, ...words], { env });
    await s3cmd('mb', 's3://s3cmd');
    await s3cmd('put', large, 's3://s3cmd/large');
    await s3cmd('get', '--force', 's3://s3cmd/large', join(scratch, 's3cmd-large'));
    await must('cmp', [large, join(scratch, 's3cmd-large')]);
    await s3cmd('sync', `${tree}/`, 's3://s3cmd/tree/');
    expect((await s3cmd('ls', '--recursive', 's3://s3cmd')).trim().split('\n')).toHaveLength(21);
    await s3cmd('mv', 's3://s3cmd/large', 's3://s3cmd/moved');
    expect(await s3cmd('info', 's3://s3cmd/moved')).toMatch(/File size: 104857600/);
    await s3cmd('del', '--recursive', '--force', 's3://s3cmd');
    await s3cmd('rb', 's3://s3cmd');
  });

  test('rclone syncs, checks and purges', async () => {
    const settings = join(scratch, `rclone-${scheme}.conf`);
    const lines = ['[it]', 'type = s3', 'provider = Other', 'env_auth = true', `endpoint = ${world.endpoint}`, ''];
    writeFileSync(settings, lines.join('\n'));
    const trust = secure ? ['--ca-cert', authority.certificate] : [];
    const rclone = (...words: readonly string[]): Promise<string> =>
      must('rclone', ['--config', settings, '--retries', '1', '--low-level-retries', '1', ...trust, ...words], { env });
    await rclone('mkdir', 'it:rclone');
    await rclone('sync', tree, 'it:rclone/tree');
    await rclone('copy', large, 'it:rclone/', '--s3-chunk-size', '8M');
    await rclone('check', tree, 'it:rclone/tree');
    await rclone('check', '--download', scratch, 'it:rclone', '--include', '/large');
    rmSync(join(tree, 'folder 0', 'ünter', 'file+0'), { force: true });
    await rclone('sync', tree, 'it:rclone/tree');
    await rclone('check', tree, 'it:rclone/tree');
    expect(await rclone('lsl', 'it:rclone/large')).toMatch(/104857600 .* large/);
    await rclone('copy', 'it:rclone/tree', join(scratch, `rclone-${scheme}`));
    await must('diff', ['--recursive', tree, join(scratch, `rclone-${scheme}`)]);
    await rclone('purge', 'it:rclone');
    writeFileSync(join(tree, 'folder 0', 'ünter', 'file+0'), '');
  });

  test('restic backs up, checks, restores and prunes', async () => {
    const trust = secure ? ['--cacert', authority.certificate] : [];
    const own = { ...env, RESTIC_PASSWORD: 'restic', RESTIC_REPOSITORY: `s3:${world.endpoint}/restic/repository` };
    const restic = (...words: readonly string[]): Promise<string> =>
      must('restic', [...trust, '--no-cache', ...words], { env: own });
    await restic('init');
    await restic('backup', tree, large);
    await restic('check', '--read-data');
    await restic('restore', 'latest', '--target', join(scratch, `restic-${scheme}`));
    await must('diff', ['--recursive', tree, join(scratch, `restic-${scheme}`, tree)]);
    await must('cmp', [large, join(scratch, `restic-${scheme}`, large)]);
    writeFileSync(join(tree, 'folder 1', 'ünter', 'file+1'), `${scheme} ${Date.now()}`);
    await restic('backup', tree);
    await restic('forget', '--keep-last', '1', '--prune');
    await restic('check', '--read-data');
  });
});

describe('what was asked for', () => {
  test('is in the audit log, in usage, in metrics and beside the key; quotas hold; an account with a bucket stays', async () => {
    const path = join(scratch, 'audit.log');
    const world = await serving({ s3AuditLog: path });
    const { daemon, key } = world;
    const s3 = sdkClient(world);
    await s3.send(new CreateBucketCommand({ Bucket: 'photos' }));
    await s3.send(new PutObjectCommand({ Bucket: 'photos', Key: 'a', Body: Buffer.alloc(5000, 'a') }));
    await expect.poll(() => readFileSync(path, 'utf8')).toContain('PutObject');
    renameSync(path, `${path}.1`);
    await s3.send(new GetObjectCommand({ Bucket: 'photos', Key: 'a' })).then(({ Body }) => Body?.transformToByteArray());
    await expect(s3.send(new GetObjectCommand({ Bucket: 'photos', Key: 'b' }))).rejects.toMatchObject({ name: 'NoSuchKey' });
    await daemon.ok('quota', 'alice', '--size', '6000');
    await expect(
      s3.send(new PutObjectCommand({ Bucket: 'photos', Key: 'c', Body: Buffer.alloc(5000, 'c') })),
    ).rejects.toMatchObject({
      name: 'QuotaExceeded',
    });
    expect(await daemon.json<QuotaView>('quota', 'alice')).toMatchObject({ logicalBytes: 5000, objects: 1 });
    const usage = await daemon.json<UsageView>('usage', 'alice', '--by', 'all');
    expect(JSON.stringify(usage)).toContain('photos');
    const refused: Outcome = await daemon.cli('account', 'delete', 'alice');
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('alice')]);
    const metrics = await (await fetch(`http://${daemon.ready?.listeners['http']}/metrics`)).text();
    expect(metrics).toContain('skerry_s3_requests_total{operation="GetObject",status="404"} 1');
    await daemon.kill('SIGTERM');
    const lines = [`${path}.1`, path].map((file) =>
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    );
    const told = lines.map((of) => of.map(({ operation, status, code }) => [operation, status, code].join(' ')));
    expect(told).toEqual([
      ['CreateBucket 200 ', 'PutObject 200 '],
      ['GetObject 200 ', 'GetObject 404 NoSuchKey', 'PutObject 403 QuotaExceeded'],
    ]);
    expect(lines[1]?.[0]).toMatchObject({
      account: 'alice',
      user: 'root',
      accessKey: key.accessKey,
      bytesOut: 5000,
      bucket: 'photos',
      key: 'a',
    });
    await daemon.start();
    const [used] = await daemon.json<{ lastUsedAt: string | null }[]>('key', 'list', 'alice');
    expect(used?.lastUsedAt).not.toBeNull();
    await daemon.destroy();
  });

  test('is refused by a signature of version 2 where the operator refuses those', async () => {
    for (const [setting, status] of [
      ['accepted', 200],
      ['refused', 400],
    ] as const) {
      const { daemon, endpoint, key } = await serving({ s3SignatureVersion2: setting });
      const answer = await fetch(`${endpoint}${presignedTarget(key, 'GET', '/')}`);
      expect([setting, answer.status]).toEqual([setting, status]);
      if (status === 400) expect(await answer.text()).toContain('Please use AWS4-HMAC-SHA256');
      await daemon.destroy();
    }
  });

  test('is not answered where no S3 is served, and a port that is taken is told of with the way out', async () => {
    const one = new DaemonProcess();
    await one.start();
    const taken = one.ready?.listeners['s3'] ?? '';
    const two = new DaemonProcess();
    await expect(two.start(['--s3-listen', taken])).rejects.toThrow(
      /in use by another program: choose another address with --s3-listen/,
    );
    await two.start(['--s3-listen', 'none']);
    expect(two.ready?.listeners).not.toHaveProperty('s3');
    await one.destroy();
    await two.destroy();
  });

  test('goes on over another certificate without a restart', async () => {
    const files = await authority.issue('old', ['DNS:localhost', 'IP:127.0.0.1']);
    const world = await serving({ s3TlsCertificate: files.certificate, s3TlsKey: files.key });
    const served = async (): Promise<string> => {
      const { stderr } = await run('curl', ['--verbose', '--silent', '--cacert', authority.certificate, world.endpoint]);
      return /subject: CN\s?=\s?(\S+)/.exec(stderr)?.[1] ?? stderr;
    };
    expect(await served()).toBe('old');
    const renewed = await authority.issue('renewed', ['DNS:localhost', 'IP:127.0.0.1']);
    renameSync(renewed.key, files.key);
    renameSync(renewed.certificate, files.certificate);
    await expect.poll(served, { interval: 500 }).toBe('renewed');
    await world.daemon.destroy();
  });
});
