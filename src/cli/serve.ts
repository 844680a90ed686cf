/** skerry serve: the one command that is the daemon, and so the one that loads it. */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { SkerryError } from '../core/errors.js';
import { node_major_min } from '../core/limits.js';
import { dataDirectory } from './context.js';
import type { GlobalOptions } from './context.js';
import type { Terminal } from './terminal.js';

const disk_threads = 16;

interface ServeOptions {
  readonly config?: string;
  readonly nbdListen?: string;
  readonly nbdTlsCertificate?: string;
  readonly nbdTlsKey?: string;
  readonly nbdTlsClientCa?: string;
  readonly nbdTlsMode?: string;
  readonly httpPort?: number;
  readonly s3Listen?: string;
  readonly s3TlsCertificate?: string;
  readonly s3TlsKey?: string;
  readonly salvageJournal?: boolean;
}

export function addServe(program: Command, terminal: Terminal): void {
  program
    .command('serve')
    .description('run the daemon in the foreground; everything has a default')
    .option('--config <file>', 'settings, as JSON (docs/reference/cli.md lists them)')
    .option('--nbd-listen <host:port>', 'serve NBD over TCP as well as on DIR/nbd.sock; port 0 picks a free one')
    .option('--nbd-tls-certificate <file>', 'serve NBD with TLS: the certificate and those that lead to its root, in PEM')
    .option('--nbd-tls-key <file>', 'its key, in PEM; of mode 0600, or 0640')
    .option('--nbd-tls-client-ca <file>', 'clients must show a certificate that one of these authorities signed')
    .addOption(
      new Option(
        '--nbd-tls-mode <mode>',
        'on TCP: required (the default with a certificate: nothing without TLS), optional, or off',
      ).choices(['off', 'optional', 'required']),
    )
    .option('--http-port <port>', 'of health and metrics on 127.0.0.1, 7480 by default; 0 picks a free one', parsePort)
    .option('--s3-listen <host:port>', 'of S3, 127.0.0.1:9000 by default; port 0 picks a free one, none serves no S3')
    .option('--s3-tls-certificate <file>', 'serve S3 over TLS: the certificate and those that lead to its root, in PEM')
    .option('--s3-tls-key <file>', 'its key, in PEM; of mode 0600, or 0640')
    .option('--salvage-journal', 'go on past a damaged journal, losing what the damage held, instead of refusing to start')
    .addHelpText(
      'after',
      '\nOnce it serves it prints one line of JSON: {"ready":true,"listeners":{...}}. Logs go to standard error.\n\nExamples:\n  $ skerry serve\n  $ skerry serve --data /srv/skerry --nbd-listen 0.0.0.0:10809 \\\n      --nbd-tls-certificate server.pem --nbd-tls-key server.key --nbd-tls-client-ca clients.pem',
    )
    .action(async (_options: object, command: Command) => {
      checkNode();
      terminal.boundHeap();
      terminal.outliveReaders();
      // Of libuv, read when the first of them is wanted, which is later than here. With its four a verb that syncs the catalog
      // would stand in line behind what upkeep syncs.
      process.env['UV_THREADPOOL_SIZE'] ??= String(disk_threads);
      const { config, ...given } = command.opts<ServeOptions>();
      const { runDaemon } = await import('../daemon/main.js');
      await runDaemon({
        dataDirectory: dataDirectory(terminal, command.optsWithGlobals<GlobalOptions>()),
        ...(config === undefined ? {} : { configFile: config }),
        ...given,
      });
    });
}

/** Commands that only ask a daemon run on the Node of the machine; the daemon itself needs one that the package can vouch for. */
function checkNode(): void {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= node_major_min) return;
  throw new SkerryError(
    'unsupported',
    `the daemon needs Node.js ${node_major_min} or newer, and this is ${node}: npm start, in the package, runs it on one that fits`,
  );
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new InvalidArgumentError('a port is a number from 0 to 65535.');
  return port;
}
