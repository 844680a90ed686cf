/** NBD over TLS as real clients speak it (libnbd with GnuTLS, QEMU), and who is let in to what. */
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, createReadStream, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Authority, type Certificate } from '../harness/certificates.ts';
import { must, type Outcome, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1024 * 1024;
let scratch: string;
let authority: Authority;
let stranger: Authority;
let server: Certificate;
/** Directories of clients: what each trusts and shows. */
let host1: string;
let host2: string;
let unknown: string;
let trusting: string;
let misled: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-tls-'));
  authority = await Authority.make(join(scratch, 'authority'), 'Skerry test authority');
  stranger = await Authority.make(join(scratch, 'stranger'), 'Another authority');
  server = await authority.issue('localhost', ['DNS:localhost', 'IP:127.0.0.1']);
  host1 = authority.clientDirectory(join(scratch, 'host1'), await authority.issue('host-1', ['DNS:host-1.example']));
  host2 = authority.clientDirectory(join(scratch, 'host2'), await authority.issue('host-2'));
  unknown = authority.clientDirectory(join(scratch, 'unknown'), await stranger.issue('host-1', ['DNS:host-1.example']));
  trusting = authority.clientDirectory(join(scratch, 'trusting'), null);
  misled = stranger.clientDirectory(join(scratch, 'misled'), null);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return hash.digest('hex');
}

function settings(more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
  return { nbdListen: '127.0.0.1:0', nbdTlsCertificate: server.certificate, nbdTlsKey: server.key, ...more };
}

function address(daemon: DaemonProcess): string {
  return daemon.ready?.listeners['nbdTcp'] ?? '';
}

/** A URI for libnbd, whose client shows and trusts what is in the directory. */
function secure(daemon: DaemonProcess, name: string, directory: string): string {
  return `nbds://${address(daemon)}/${name}?tls-certificates=${directory}`;
}

const plain = (daemon: DaemonProcess, name: string): string => `nbd://${address(daemon)}/${name}`;
const nbdinfo = (...words: readonly string[]): Promise<Outcome> => run('nbdinfo', words, { timeoutSeconds: 60 });

/** QEMU's way to name a server with TLS: credentials are an object, the disk refers to them. */
function qemuImage(daemon: DaemonProcess, name: string, directory: string): { object: string; image: string } {
  const [host, port] = address(daemon).split(':');
  return {
    object: `tls-creds-x509,id=tls0,endpoint=client,dir=${directory}`,
    image: `driver=raw,file.driver=nbd,file.server.type=inet,file.server.host=${host},file.server.port=${port},file.export=${name},file.tls-creds=tls0`,
  };
}

describe('where TLS and a certificate are required', () => {
  let daemon: DaemonProcess;
  beforeAll(async () => {
    daemon = new DaemonProcess({ config: settings({ nbdTlsClientCa: authority.certificate }) });
    await daemon.start();
    await daemon.ok('volume', 'create', 'vm1', '--size', '64M', '--description', 'a disk under TLS');
  });
  afterAll(() => daemon.destroy());

  it('nbdcopy writes over four connections and reads back the same bytes', async () => {
    const source = join(scratch, 'source.raw');
    writeFileSync(source, Buffer.concat([randomBytes(40 * MiB), Buffer.alloc(8 * MiB), randomBytes(16 * MiB)]));
    await must('nbdcopy', ['--connections=4', '--threads=4', '--flush', source, secure(daemon, 'vm1', host1)]);
    const back = join(scratch, 'back.raw');
    await must('nbdcopy', ['--connections=4', '--threads=4', secure(daemon, 'vm1', host1), back]);
    expect(await sha256(back)).toBe(await sha256(source));
    // What came in under TLS is what everybody reads.
    await must('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', source, await daemon.uri('vm1')]);
    expect(await daemon.metric('skerry_nbd_tls_connections_total')).toBeGreaterThanOrEqual(8);
  });

  it('nbdinfo tells of TLS, and lists exports with their descriptions', async () => {
    const info = JSON.parse(await must('nbdinfo', ['--json', secure(daemon, 'vm1', host1)])) as Record<string, unknown>;
    expect(info).toMatchObject({ TLS: true, structured: true });
    const list = await must('nbdinfo', ['--list', secure(daemon, '', host1)]);
    expect(list).toContain('export="vm1"');
    expect(list).toContain('description: a disk under TLS');
  });

  it('QEMU copies a disk in and compares it, with its own kind of credentials', async () => {
    await daemon.ok('volume', 'create', 'qemu', '--size', '16M');
    const source = join(scratch, 'qemu.raw');
    writeFileSync(source, randomBytes(16 * MiB));
    const { object, image } = qemuImage(daemon, 'qemu', host1);
    await must('qemu-img', ['convert', '-n', '--object', object, '--target-image-opts', '-f', 'raw', source, image]);
    await must('qemu-img', [
      'compare',
      '--object',
      object,
      '--image-opts',
      image,
      `driver=raw,file.driver=file,file.filename=${source}`,
    ]);
  });

  it('the URI that is printed says TLS', async () => {
    expect(await daemon.ok('volume', 'uri', 'vm1', '--tcp')).toBe(`nbds://${address(daemon)}/vm1`);
  });

  it('a client without TLS learns nothing but that it needs it', async () => {
    for (const words of [[plain(daemon, 'vm1')], ['--list', plain(daemon, '')]]) {
      const refused = await nbdinfo(...words);
      expect(refused.code).not.toBe(0);
      expect(refused.stdout + refused.stderr).not.toContain('a disk under TLS');
    }
    // QEMU shows what the server says.
    const refused = await run('qemu-img', ['info', plain(daemon, 'vm1')]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('this server wants TLS')]);
  });

  it('a client without a certificate, or with one of another authority, is turned away; the log says why', async () => {
    const before = await daemon.metric('skerry_nbd_tls_failures_total');
    expect((await nbdinfo(secure(daemon, 'vm1', trusting))).code).not.toBe(0);
    expect((await nbdinfo(secure(daemon, 'vm1', unknown))).code).not.toBe(0);
    // GnuTLS keeps a certificate to itself that the server does not ask for. Not everybody does.
    const [host = '', port = ''] = address(daemon).split(':');
    const show = `import socket, ssl, struct
raw = socket.create_connection(("${host}", ${port}))
raw.recv(18)
raw.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 5, 0))
raw.recv(20)
context = ssl.create_default_context(cafile="${authority.certificate}")
context.load_cert_chain("${unknown}/client-cert.pem", "${unknown}/client-key.pem")
try:
    tls = context.wrap_socket(raw, server_hostname="localhost")
    tls.sendall(b"IHAVEOPT" + struct.pack(">II", 3, 0))
    print(tls.recv(1))
except ssl.SSLError as error:
    print(error.reason)
`;
    expect((await must('/usr/bin/python3', ['-c', show])).trim()).toBe('TLSV1_ALERT_UNKNOWN_CA');
    await expect.poll(() => daemon.metric('skerry_nbd_tls_failures_total'), { timeout: 20_000 }).toBe(before + 3);
    expect(daemon.log).toContain('peer did not return a certificate');
    expect(daemon.log).toContain('certificate verify failed');
  });

  it('a client that trusts another authority does not talk to this server', async () => {
    const refused = await nbdinfo(secure(daemon, 'vm1', misled));
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toMatch(/certificate/i);
  });

  it('the Unix socket serves as before, and offers TLS to those who want it', async () => {
    await must('nbdinfo', [await daemon.uri('vm1')]);
    const socket = join(daemon.directory, 'nbd.sock');
    const uri = `nbds+unix://localhost/vm1?socket=${socket}&tls-certificates=${host1}`;
    expect(await must('nbdinfo', [uri])).toContain('with TLS');
  });

  it('clients that stop in the middle of the TLS handshake, or vanish, leave nothing behind', async () => {
    const [host = '', port = ''] = address(daemon).split(':');
    const open = await daemon.metric('skerry_nbd_connections');
    const sockets = Array.from({ length: 20 }, (_, index) => {
      const socket = connect(Number(port), host);
      socket.on('error', () => undefined);
      const startTls = Buffer.from('000000034948415645 4f505400000005 00000000'.replaceAll(' ', ''), 'hex');
      socket.once('data', () => {
        socket.write(startTls);
        socket.once('data', () => (index % 2 === 0 ? socket.destroy() : socket.write(Buffer.from('160301', 'hex'))));
      });
      return socket;
    });
    await expect.poll(() => sockets.filter(({ destroyed }) => destroyed).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(10);
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => daemon.metric('skerry_nbd_connections'), { timeout: 30_000 }).toBe(open);
    await must('nbdinfo', [secure(daemon, 'vm1', host1)]);
  });

  describe('a volume with a list', () => {
    beforeAll(async () => {
      await daemon.ok('volume', 'create', 'secret', '--size', '16M', '--description', 'nobody else sees this');
      await daemon.ok('snapshot', 'create', 'secret@a');
      await daemon.ok('volume', 'allow', 'secret', '--client', 'host-1.example');
    });

    it('is attached by who is on it, by a name of the certificate, and its snapshots too', async () => {
      await must('nbdinfo', [secure(daemon, 'secret', host1)]);
      await must('nbdinfo', [secure(daemon, 'secret@a', host1)]);
      expect(await must('nbdinfo', ['--list', secure(daemon, '', host1)])).toContain('nobody else sees this');
    });

    it('is refused to others with a sentence, counted and logged, and is not listed for them', async () => {
      const before = await daemon.metric('skerry_nbd_refused_total');
      for (const name of ['secret', 'secret@a']) {
        const refused = await nbdinfo(secure(daemon, name, host2));
        expect(refused.code).not.toBe(0);
        const { object, image } = qemuImage(daemon, name, host2);
        const shown = await run('qemu-img', ['info', '--object', object, '--image-opts', image]);
        expect([shown.code, shown.stderr]).toEqual([1, expect.stringContaining(`may not attach ${name}`)]);
      }
      // The user of the tests, over the Unix socket, is not on the list either.
      expect((await run('qemu-img', ['info', await daemon.uri('secret')])).stderr).toContain('may not attach secret');
      expect((await daemon.metric('skerry_nbd_refused_total')) - before).toBeGreaterThanOrEqual(3);
      expect(daemon.log).toContain('a client was refused an export');
      const list = await must('nbdinfo', ['--list', secure(daemon, '', host2)]);
      expect(list).toContain('export="vm1"');
      expect(list).not.toContain('secret');
      expect(list).not.toContain('nobody else');
    });

    it('survives a restart, shows its list, and a clone of it begins with the same', async () => {
      await daemon.kill();
      await daemon.start();
      expect((await nbdinfo(secure(daemon, 'secret', host2))).code).not.toBe(0);
      expect(await daemon.ok('volume', 'show', 'secret')).toMatch(/clients\s+host-1\.example/);
      for (const source of ['secret', 'secret@a']) {
        const name = `clone-of-${source.replace('@', '-')}`;
        await daemon.ok('clone', source, name);
        expect(await daemon.json('volume', 'show', name)).toMatchObject({
          access: { grants: [{ kind: 'certificate', client: 'host-1.example', readOnly: false }] },
        });
      }
    });

    it('lets a client in for reading alone: it sees a read-only export, and cannot write', async () => {
      await daemon.ok('volume', 'allow', 'secret', '--client', 'host-2', '--read-only');
      const info = JSON.parse(await must('nbdinfo', ['--json', secure(daemon, 'secret', host2)])) as {
        exports: Record<string, unknown>[];
      };
      expect(info.exports[0]).toMatchObject({ is_read_only: true });
      const write = `import nbd
h = nbd.NBD()
h.set_strict_mode(0)
h.set_uri_allow_local_file(True)
h.connect_uri("${secure(daemon, 'secret', host2)}")
assert h.is_read_only()
assert h.pread(4096, 0) == bytes(4096)
try:
    h.pwrite(b"x" * 4096, 0)
except nbd.Error as error:
    print(error.errno)
`;
      expect((await must('/usr/bin/python3', ['-c', write])).trim()).toBe('EPERM');
      await must('nbdcopy', ['--flush', '--', join(scratch, 'qemu.raw'), secure(daemon, 'secret', host1)]);
    });

    it('takes users of the Unix socket by their id', async () => {
      await daemon.ok('volume', 'allow', 'secret', '--uid', String(process.getuid?.() ?? 0));
      await must('nbdinfo', [await daemon.uri('secret')]);
    });

    it('takes clients off it again; nobody is left, until anyone may', async () => {
      const uid = String(process.getuid?.() ?? 0);
      await daemon.ok('volume', 'deny', 'secret', '--client', 'host-1.example', '--client', 'host-2', '--uid', uid);
      expect(await daemon.ok('volume', 'allow', 'secret')).toBe('volume secret: nobody');
      expect((await nbdinfo(secure(daemon, 'secret', host1))).code).not.toBe(0);
      const again = await daemon.cli('volume', 'deny', 'secret', '--client', 'host-2');
      expect([again.code, again.stderr]).toEqual([3, expect.stringContaining('client host-2 is not on the list')]);
      await daemon.ok('volume', 'allow', 'secret', '--anyone');
      await must('nbdinfo', [secure(daemon, 'secret', host2)]);
    });
  });
});

describe('where TLS is optional', () => {
  let daemon: DaemonProcess;
  const own = (): Certificate => ({ certificate: join(scratch, 'own.pem'), key: join(scratch, 'own.key') });
  const install = (made: Certificate): void => {
    copyFileSync(made.certificate, own().certificate);
    copyFileSync(made.key, own().key);
    chmodSync(own().key, 0o600);
  };
  beforeAll(async () => {
    install(server);
    daemon = new DaemonProcess({
      config: settings({ nbdTlsMode: 'optional', nbdTlsCertificate: own().certificate, nbdTlsKey: own().key }),
    });
    await daemon.start();
    await daemon.ok('volume', 'create', 'vm1', '--size', '16M');
  });
  afterAll(() => daemon.destroy());

  it('a client is served with TLS and without, and needs no certificate', async () => {
    expect(await must('nbdinfo', [plain(daemon, 'vm1')])).toContain('without TLS');
    expect(await must('nbdinfo', [secure(daemon, 'vm1', trusting)])).toContain('with TLS');
  });

  it('a new certificate serves from the next connection on; a broken one is told of, and the one before goes on', async () => {
    const next = await stranger.issue('localhost', ['DNS:localhost', 'IP:127.0.0.1']);
    install(next);
    await must('nbdinfo', [secure(daemon, 'vm1', misled)]);
    expect((await nbdinfo(secure(daemon, 'vm1', trusting))).code).not.toBe(0);
    writeFileSync(own().certificate, 'no certificate');
    await must('nbdinfo', [secure(daemon, 'vm1', misled)]);
    expect(daemon.log).toContain('cannot be used: the one before goes on serving');
    install(server);
    await must('nbdinfo', [secure(daemon, 'vm1', trusting)]);
  });

  it('nbd-client lists the exports by the words of the protocol', async ({ skip }) => {
    const program = ['/usr/sbin/nbd-client', '/sbin/nbd-client'].find((path) => existsSync(path));
    if (program === undefined) return skip('nbd-client is not installed');
    const [host = '', port = ''] = address(daemon).split(':');
    const listed = await run(program, ['-l', host, port], { timeoutSeconds: 60 });
    expect(listed.stdout + listed.stderr).toContain('vm1');
  });

  it('nbd-client attaches a device', async ({ skip }) => {
    if (!existsSync('/dev/nbd0')) return skip('this kernel has no nbd module');
    const [host = '', port = ''] = address(daemon).split(':');
    await must('nbd-client', [host, port, '/dev/nbd0', '-N', 'vm1']);
    try {
      await must('dd', ['if=/dev/urandom', 'of=/dev/nbd0', 'bs=1M', 'count=4', 'oflag=direct']);
    } finally {
      await run('nbd-client', ['-d', '/dev/nbd0']);
    }
  });
});

describe('where there is no TLS', () => {
  it('a client that insists on it is refused, and another is served', async () => {
    const daemon = new DaemonProcess({ config: { nbdListen: '127.0.0.1:0' } });
    try {
      await daemon.start();
      await daemon.ok('volume', 'create', 'vm1', '--size', '16M');
      expect((await nbdinfo(secure(daemon, 'vm1', trusting))).code).not.toBe(0);
      const { object, image } = qemuImage(daemon, 'vm1', trusting);
      const refused = await run('qemu-img', ['info', '--object', object, '--image-opts', image]);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('this server does not offer TLS')]);
      await must('nbdinfo', [plain(daemon, 'vm1')]);
      expect(await daemon.ok('volume', 'uri', 'vm1', '--tcp')).toBe(plain(daemon, 'vm1'));
    } finally {
      await daemon.destroy();
    }
  });
});

describe('a daemon does not start', () => {
  const start = async (config: Readonly<Record<string, unknown>>): Promise<string> => {
    const daemon = new DaemonProcess({ config: { nbdListen: '127.0.0.1:0', ...config } });
    try {
      await daemon.start();
      return 'it started';
    } catch (error) {
      return String(error);
    } finally {
      await daemon.destroy();
    }
  };

  it('without its key, or with one that others read, is of another certificate, or wants a passphrase', async () => {
    const { certificate } = server;
    const other = await authority.issue('other');
    expect(await start({ nbdTlsCertificate: certificate })).toContain('set nbdTlsKey too');
    expect(await start({ nbdTlsCertificate: certificate, nbdTlsKey: join(scratch, 'none.key') })).toContain(
      'none.key cannot be read',
    );
    expect(await start({ nbdTlsCertificate: certificate, nbdTlsKey: other.key })).toContain(
      'the key does not belong to the certificate',
    );
    const open = join(scratch, 'open.key');
    copyFileSync(server.key, open);
    chmodSync(open, 0o644);
    expect(await start({ nbdTlsCertificate: certificate, nbdTlsKey: open })).toContain('has mode 0644');
    const locked = join(scratch, 'locked.key');
    await must('openssl', ['rsa', '-aes128', '-passout', 'pass:secret', '-in', server.key, '-out', locked]);
    expect(await start({ nbdTlsCertificate: certificate, nbdTlsKey: locked })).toContain('passphrase');
  });
});
