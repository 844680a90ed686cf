import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { describe, expect, it, vi } from 'vitest';

import { deletedView, poolView, resourceView, statusView, uriView } from '../../../src/api/shapes.js';
import { argumentKinds, pathOf } from '../../../src/cli/completion.js';
import { outputs, topResult } from '../../../src/cli/outputs.js';
import { buildProgram, runCommand } from '../../../src/cli/program.js';
import { errorTable, SkerryError } from '../../../src/core/errors.js';
import type { ErrorCode } from '../../../src/core/errors.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { FakeDaemon, FakeTerminal } from './fake_terminal.js';

function commandsOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap((one) => commandsOf(one));
}

describe('each verb', () => {
  it('does what it says and reports it in one line', async () => {
    const daemon = await FakeDaemon.start();
    daemon.resources.put({ kind: 'image', name: 'debian-12.raw', sizeBytes: 3 * 2 ** 30 });
    const lines: [string, RegExp][] = [
      ['volume create data --size 20G', /^created volume data \(20G\)\n$/],
      ['volume create vm1 --from debian-12.raw', /^created volume vm1 \(3G\), a clone of debian-12.raw\n$/],
      ['clone vm1 vm2 --cache writethrough', /^created volume vm2 \(3G\), a clone of vm1\n$/],
      ['snapshot create vm1@monday', /^created snapshot vm1@monday \(3G\)\n$/],
      ['volume uri vm1', /^nbd\+unix:\/\/\/vm1\?socket=\S+\/nbd\.sock\n$/],
      ['volume uri vm1@monday', /^nbd\+unix:\/\/\/vm1@monday\?socket=\S+\/nbd\.sock\n$/],
      ['image import debian-13.raw debian-13', /^imported image debian-13 \(1G, 128M of it data\) in [\d.]+ s\n$/],
      ['image import d.raw unowned', /^imported image unowned .* s; it is no object of S3: there are several accounts\n$/],
      ['image import d.raw own --account acme --bucket b2', /^imported image own .* s; it is the object s3:\/\/b2\/own\n$/],
      [
        'image export vm1@monday monday.raw',
        /^exported vm1@monday to \/home\/me\/monday\.raw \(1G, 128M of it data\) in [\d.]+ s\n$/,
      ],
      ['snapshot delete vm1@monday', /^deleted snapshot vm1@monday\n$/],
      ['volume delete vm2', /^deleted volume vm2\n$/],
      ['image delete debian-12.raw', /^deleted image debian-12\.raw\n$/],
    ];
    for (const [line, expected] of lines) {
      const { code, output, errors } = await daemon.run(line);
      expect({ line, code, errors }).toEqual({ line, code: 0, errors: '' });
      expect(output).toMatch(expected);
    }
    expect(daemon.resources.calls).toContainEqual(['create', { name: 'data', sizeBytes: 20 * 2 ** 30 }]);
    expect(daemon.resources.calls).toContainEqual(['clone', 'vm1', 'vm2', { cache: 'writethrough' }]);
    expect(daemon.resources.calls).toContainEqual(['importImage', { name: 'debian-13', path: '/home/me/debian-13.raw' }]);
  });

  it('tells who holds how much, of all and of one', async () => {
    const daemon = await FakeDaemon.start();
    daemon.resources.put({ kind: 'volume', name: 'vm1', sizeBytes: 2 ** 30 });
    daemon.resources.put({ kind: 'image', name: 'debian', sizeBytes: 2 ** 30 });
    const all = await daemon.run('space');
    expect(all).toMatchObject({ code: 0, errors: '' });
    expect(all.output).toMatch(/^NAME +KIND +POOL +SIZE +ALLOCATED/);
    expect(all.output).toMatch(/^vm1 +volume +default +1G +512M +4K +128M +256M/m);
    expect(all.output).toMatch(/^saved by +deduplication 2x, compression 1x$/m);
    const one = await daemon.run('space vm1');
    expect(one.output).toMatch(/^shared with +debian \(64K\)$/m);
    expect(one.output).toMatch(/^deleting frees +64.5K/m);
    expect(await daemon.json('space vm1')).toMatchObject({ resource: { name: 'vm1', uniqueBytes: 2 ** 27 } });
    expect(await daemon.run('space vm2')).toMatchObject({ code: 3, output: '' });
  });

  it('asks for a list of any length page by page', async () => {
    const daemon = await FakeDaemon.start();
    for (let index = 0; index < 2101; index += 1) daemon.resources.put({ kind: 'volume', name: `vm${index}` });
    const { resources } = (await daemon.json('space')) as { resources: { name: string }[] };
    expect(new Set(resources.map(({ name }) => name)).size).toBe(2101);
    expect(resources).toHaveLength(2101);
  });

  it('tells what files would take before they are imported', async () => {
    const daemon = await FakeDaemon.start();
    const one = await daemon.run('pool estimate a.raw');
    expect(one).toMatchObject({ code: 0, errors: '' });
    expect(one.output).toMatch(/^zeroes +1M .*which are never stored$/m);
    expect(one.output).toMatch(/^saved by +deduplication 2x, compression 1x$/m);
    const two = await daemon.json('pool estimate a.raw /srv/b.raw --format raw');
    expect(two).toMatchObject({ fileBytes: 2 ** 22, dataBytes: 2 ** 21, newBytes: 2 ** 20, exact: true });
    expect(two).toMatchObject({ files: [{ path: '/home/me/a.raw' }, { path: '/srv/b.raw', dataBytes: 2 ** 20 }] });
    expect(daemon.estimates.asked.slice(3)).toEqual([
      [1, { path: '/home/me/a.raw', offset: 0, raw: true }],
      [1, { path: '/home/me/a.raw', offset: 2 ** 20, raw: true }],
      [1, { path: '/srv/b.raw', offset: 0, raw: true }],
      [1, { path: '/srv/b.raw', offset: 2 ** 20, raw: true }],
      [1, 'end'],
    ]);
    // What fails is ended all the same.
    expect(await daemon.run('pool estimate c.qcow2')).toMatchObject({ output: '' });
    expect(daemon.estimates.asked.at(-1)).toEqual([1, 'end']);
  });

  it('gives objects of the admin API’s shapes with --json, wherever that stands', async () => {
    const daemon = await FakeDaemon.start();
    resourceView.parse(await daemon.json('volume create vm1 --size 1T --description big'));
    resourceView
      .array()
      .length(1)
      .parse(await daemon.json('volume list'));
    expect(resourceView.parse(await daemon.json('volume show vm1'))).toMatchObject({ sizeBytes: 2 ** 40, description: 'big' });
    resourceView.parse(await daemon.json('snapshot create vm1@a'));
    resourceView
      .array()
      .length(1)
      .parse(await daemon.json('snapshot list vm1'));
    resourceView
      .array()
      .length(0)
      .parse(await daemon.json('snapshot list other'));
    resourceView.parse(await daemon.json('clone vm1@a vm2'));
    uriView.parse(await daemon.json('volume uri vm2'));
    resourceView.parse(await daemon.json('image import /srv/i.raw i'));
    resourceView
      .array()
      .length(1)
      .parse(await daemon.json('image list'));
    resourceView.parse(await daemon.json('image show i'));
    expect(await daemon.json('image export i /srv/out.raw')).toEqual({
      source: 'i',
      path: '/srv/out.raw',
      format: 'raw',
      totalBytes: 2 ** 30,
      dataBytes: 2 ** 27,
    });
    deletedView.parse(await daemon.json('volume delete vm2'));
    poolView.array().parse(await daemon.json('pool list'));
    poolView.parse(await daemon.json('pool show'));
    poolView.parse(await daemon.json('pool show default'));
    poolView.parse(await daemon.json('pool create brief --driver memory --set on-outage=error --set stall-seconds=5'));
    expect(daemon.poolVerbs.calls.at(-1)).toEqual([
      'create',
      { name: 'brief', driver: 'memory', settings: { 'on-outage': 'error', 'stall-seconds': '5' } },
    ]);
    deletedView.parse(await daemon.json('pool delete brief'));
    statusView.parse(await daemon.json('status'));
    expect(topResult.parse(await daemon.json('top --once --interval 0.1'))).toMatchObject({
      seconds: 1,
      resources: [{ name: 'vm1' }],
    });
    for (const line of ['--json volume list', 'volume --json list', 'volume list --json']) {
      expect(JSON.parse((await daemon.run(line)).output)).toHaveLength(1);
    }
  });

  it('warns aloud of a pool that forgets, and never repeats a setting that it cannot read', async () => {
    const daemon = await FakeDaemon.start();
    const made = await daemon.run('pool create brief --driver memory');
    expect(made).toMatchObject({ code: 0, output: 'created pool brief (memory)\n' });
    expect(made.errors).toMatch(/WARNING.*lost/);
    for (const bad of ['hunter2', 'SECRET=hunter2', 'a=hunter2 --set a=hunter2']) {
      const refused = await daemon.run(`pool create brief --driver memory --set ${bad}`);
      expect(refused.code).toBe(2);
      expect(refused.errors).not.toContain('hunter2');
    }
    expect((await daemon.run('pool create brief')).code).toBe(2);
  });

  it('says what to do where there is nothing to list', async () => {
    const daemon = await FakeDaemon.start();
    for (const what of ['volume', 'snapshot', 'image']) {
      const { code, output } = await daemon.run(`${what} list`);
      expect(code).toBe(0);
      expect(output).toContain(`skerry ${what} `);
      expect(await daemon.json(`${what} list`)).toEqual([]);
    }
  });

  it('finds the daemon by --data over SKERRY_DATA', async () => {
    const daemon = await FakeDaemon.start();
    const terminal = new FakeTerminal();
    terminal.environment['SKERRY_DATA'] = '/nowhere';
    expect(await runCommand(['volume', 'list', '--data', daemon.directory], terminal)).toBe(0);
  });
});

describe('a failure', () => {
  it('exits by the one table, and its words go to standard error', async () => {
    const daemon = await FakeDaemon.start();
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      daemon.resources.failure = new SkerryError(code, `this is ${code}`);
      const ran = await daemon.run('volume show vm1');
      expect(ran).toEqual({ code: errorTable[code].exitCode, output: '', errors: `skerry: this is ${code}\n` });
    }
  });

  it('is 3 for what is not there and 4 for what is in the way', async () => {
    const daemon = await FakeDaemon.start();
    daemon.resources.put({ kind: 'volume', name: 'busy', attachedConnections: 1 });
    for (const line of [
      'volume show a',
      'volume uri a',
      'volume delete a',
      'snapshot create a@b',
      'snapshot delete a@b',
      'clone a b',
      'image show a',
      'image delete a',
      'pool show a',
    ])
      expect({ line, code: (await daemon.run(line)).code }).toEqual({ line, code: 3 });
    for (const line of ['volume create busy --size 1G', 'volume delete busy', 'clone busy busy'])
      expect({ line, code: (await daemon.run(line)).code }).toEqual({ line, code: 4 });
  });

  it('says where to look for what is not there', async () => {
    const daemon = await FakeDaemon.start();
    expect((await daemon.run('volume show a')).errors).toBe('skerry: there is no volume a; see: skerry volume list\n');
    expect((await daemon.run('image delete a')).errors).toBe('skerry: there is no image a; see: skerry image list\n');
  });

  it('is 1 with the way out where no daemon runs', async () => {
    const terminal = new FakeTerminal();
    const directory = temporaryDirectory();
    expect(await runCommand(['status', '--data', directory], terminal)).toBe(1);
    expect(terminal.errors).toBe(
      `skerry: no daemon answers at ${directory}/admin.sock; start one with: skerry serve --data ${directory}\n`,
    );
  });
});

describe('wrong usage exits with 2 and words', () => {
  it.each([
    ['', /Usage: skerry/],
    ['volume', /Usage: skerry volume/],
    ['volum list', /unknown command 'volum'/],
    ['volume create', /missing required argument 'name'/],
    ['volume create a', /--size 20G, or --from SOURCE/],
    ['volume create a --size', /argument missing/],
    ['volume create a --size 0', /must be more than 0/],
    ['volume create a --size -5G', /negative/],
    ['volume create a --size 20X', /is no size/],
    ['volume create a --size 9E', /over 8 EiB/],
    ['volume create a --size 4097', /multiple of 4096/],
    ['volume create Big --size 1G', /is no volume name/],
    ['volume create a --size 1G --durability host', /Allowed choices are local, pool/],
    ['volume create a --size 1G --cache none', /Allowed choices are writeback, writethrough/],
    ['volume create a --from s3://images', /names no object: its key is missing/],
    ['clone http://images/debian.raw a', /a volume is made from a volume, VOL@SNAP, an image or an object/],
    ['volume create a --from s3://images/debian.raw --size 1G', /leave --size and --pool out; skerry volume resize/],
    ['image export a b.vmdk --format vmdk', /Allowed choices are raw, qcow2/],
    ['image import a b --format iso', /Allowed choices are raw, qcow2/],
    ['image import https://example.org/a.raw a', /curl -L https:\/\/example.org\/a.raw \| skerry image import - NAME/],
    ['image import a b --size-max none', /is no size/],
    ['image export a -', /standard output is a terminal/],
    ['image import - a', /standard input/],
    ['volume list extra', /too many arguments/],
    ['volume list --nope', /unknown option '--nope'/],
    ['status --url nonsense', /http:\/\/HOST:PORT/],
    ['status --data /a --url http://b', /give one of them/],
    ['serve --http-port 70000', /0 to 65535/],
  ])('skerry %s', async (line, words) => {
    const daemon = await FakeDaemon.start();
    const { code, output, errors } = await daemon.run(line);
    expect(errors).toMatch(words);
    expect({ code, output }).toEqual({ code: 2, output: '' });
  });

  it('an object in a bucket that is not there', async () => {
    const daemon = await FakeDaemon.start();
    const { code, errors } = await daemon.run('volume create a --from s3://nowhere/key');
    expect(errors).toMatch(/there is no bucket nowhere/);
    expect(code).toBe(3);
  });

  it('where --size or --pool contradict the source of a clone', async () => {
    const daemon = await FakeDaemon.start();
    daemon.resources.put({ kind: 'image', name: 'i', sizeBytes: 2 ** 30 });
    expect(await daemon.run('volume create a --from i --size 2G')).toMatchObject({
      code: 2,
      errors: expect.stringContaining('leave --size out') as string,
    });
    expect(await daemon.run('volume create a --from i --pool other')).toMatchObject({ code: 2 });
    expect(await daemon.run('volume create a --from none --size 1G')).toMatchObject({ code: 3 });
    expect(await daemon.run('volume create a --from i --size 1G --pool default')).toMatchObject({ code: 0 });
    expect(await daemon.run('volume create b --from image/i --size 2G')).toMatchObject({ code: 2 });
  });
});

it('wrong usage is one line, with what was meant', async () => {
  const daemon = await FakeDaemon.start();
  for (const [line, words] of [
    ['volume creat', "skerry: unknown command 'creat' (did you mean create?); see skerry volume --help\n"],
    ['volume create', "skerry: missing required argument 'name'; see skerry volume create --help\n"],
    [
      'volume list extra',
      "skerry: too many arguments for 'list'. Expected 0 arguments but got 1: extra; see skerry volume list --help\n",
    ],
    [
      'top --interval x',
      "skerry: option '--interval <seconds>' argument 'x' is invalid. write seconds from 0.1 to 3600; see skerry top --help\n",
    ],
  ])
    expect((await daemon.run(line ?? '')).errors).toBe(words);
});

it('help is asked for on standard output, with examples, for every command', async () => {
  const leaves = commandsOf(buildProgram(new FakeTerminal()));
  expect(leaves).toHaveLength(Object.keys(argumentKinds).length);
  for (const command of ['', ...leaves.map(pathOf)]) {
    const terminal = new FakeTerminal();
    expect(await runCommand([...command.split(' ').filter(Boolean), '--help'], terminal)).toBe(0);
    const [, examples = ''] = terminal.output.split(/Examples:\n(?= {2}\$ )/);
    expect(examples).toContain(`skerry ${command}`.trim());
    expect(terminal.output).toContain('--json');
    expect(terminal.errors).toBe('');
  }
});

it('what is printed with --json has a published schema, for every command that prints any', () => {
  const commands = commandsOf(buildProgram(new FakeTerminal())).map(pathOf);
  const published = Object.keys(outputs).filter((command) => !/--|NAME/.test(command));
  expect(published.sort()).toEqual(commands.filter((command) => command !== 'completion').sort());
});

describe('status', () => {
  it('is 0 while all is well', async () => {
    const daemon = await FakeDaemon.start();
    const { code, output } = await daemon.run('status');
    expect(code).toBe(0);
    expect(output).toMatch(/^health +ok\n/);
  });

  it('is 1 with what is wrong before all else, and nothing but the object with --json', async () => {
    const daemon = await FakeDaemon.start();
    const problems = ['READ-ONLY: a sync failed', 'ROTTEN: 3 pages'];
    daemon.statusFields = { healthy: false, problems };
    const { code, output, errors } = await daemon.run('status');
    expect({ code, errors }).toEqual({ code: 1, errors: '' });
    expect(output).toMatch(/^DEGRADED {2}READ-ONLY: a sync failed\nDEGRADED {2}ROTTEN: 3 pages\nhealth +degraded, see above\n/);
    const inJson = await daemon.run('status --json');
    expect(inJson.code).toBe(1);
    expect(statusView.parse(JSON.parse(inJson.output)).problems).toEqual(problems);
  });

  it('breaks long sentences for a terminal', async () => {
    const daemon = await FakeDaemon.start();
    daemon.statusFields = { healthy: false, problems: [`FULL: ${'room is wanted '.repeat(20).trim()}`] };
    const terminal = new FakeTerminal();
    terminal.outColumns = 80;
    const lines = (await daemon.run('status --no-color', terminal)).output.split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(lines[1]).toMatch(/^ {10}\S/);
  });
});

it('the version is the package’s', async () => {
  const terminal = new FakeTerminal();
  expect(await runCommand(['--version'], terminal)).toBe(0);
  expect(terminal.output).toMatch(/^\d+\.\d+\.\d+\n$/);
});

const entry = join(import.meta.dirname, '../../../dist/src/cli/main.js');
describe.skipIf(!existsSync(entry))('the process', () => {
  it('exits with the code, and loads neither zod nor the daemon on the way', () => {
    const watch =
      'import { registerHooks } from "node:module"; registerHooks({ load: (url, context, next) => (console.log(url), next(url, context)) });';
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', `data:text/javascript,${encodeURIComponent(watch)}`, entry, 'status', '--data', '/nowhere'],
      { encoding: 'utf8' },
    );
    expect(status).toBe(1);
    expect(stderr).toContain('no daemon answers at /nowhere/admin.sock');
    expect(stdout).toContain('/commander/');
    expect(stdout).not.toMatch(/\/zod\/|\/fastify\/|\/dist\/src\/daemon\//);
  });

  it('takes SIGINT during an import as the wish to cancel it', async () => {
    const daemon = await FakeDaemon.start();
    daemon.resources.finishTransfers = false;
    const child = spawn(process.execPath, [entry, 'image', 'import', '/srv/i.raw', 'i', '--data', daemon.directory], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    await vi.waitFor(() => expect(daemon.resources.transfers).toHaveLength(1), { timeout: 10_000 });
    child.kill('SIGINT');
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect({ code, errors }).toEqual({ code: 1, errors: expect.stringContaining('nothing of it was kept') as string });
  });

  it('is quiet when nobody reads on', async () => {
    const child = spawn('sh', ['-c', `"${process.execPath}" "${entry}" --help | true`], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
    await new Promise((resolve) => child.once('close', resolve));
    expect(errors).toBe('');
  });
});
