/** skerry volume allow and deny: which clients may attach a volume. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { ResourceView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { withDaemon } from './context.js';
import type { Terminal } from './terminal.js';
import { collect } from './volume_change.js';

interface Clients {
  readonly client?: readonly string[];
  readonly uid?: readonly string[];
}

interface AllowOptions extends Clients {
  readonly readOnly?: boolean;
  readonly anyone?: boolean;
}

export function addVolumeAccess(volume: Command, terminal: Terminal): void {
  volume
    .command('allow')
    .description('put clients on the list of those who may attach a volume and its snapshots; with no option show the list')
    .argument('<name>')
    .option('--client <name>', 'a TLS client: common name or DNS name of its certificate; may be given several times', collect)
    .option('--uid <number>', 'a user on the Unix socket; may be given several times', collectUser)
    .option('--read-only', 'for reading alone')
    .option('--anyone', 'take the list away: whoever can connect may attach it')
    .addHelpText(
      'after',
      '\nWithout a list whoever can connect may attach a volume; the first client begins one. It holds for new connections.\n\n' +
        'Examples:\n  $ skerry volume allow vm1 --client host-1.example --client host-2.example\n' +
        '  $ skerry volume allow vm1 --client backup.example --read-only\n  $ skerry volume allow vm1 --anyone',
    )
    .action(
      withDaemon(terminal, async (context, options: AllowOptions, name = '') => {
        const { readOnly = false, anyone = false } = options;
        const clients = clientsOf(options);
        if (anyone && (clients.length > 0 || readOnly)) throw new SkerryError('invalid', 'give clients, or --anyone, not both');
        if (readOnly && clients.length === 0)
          throw new SkerryError('invalid', 'read-only for whom? Give --client NAME or --uid NUMBER');
        const view =
          clients.length === 0 && !anyone
            ? await context.client.volume(name)
            : await context.client.setVolume(name, {
                access: anyone ? { anyone } : { allow: clients.map((client) => ({ ...client, readOnly })) },
              });
        context.result(view, () => `volume ${name}: ${accessText(view)}`);
      }),
    );

  volume
    .command('deny')
    .description('take clients off the list of those who may attach a volume; connections that are open go on')
    .argument('<name>')
    .option('--client <name>', 'a TLS client, as it stands on the list; may be given several times', collect)
    .option('--uid <number>', 'a user on the Unix socket; may be given several times', collectUser)
    .addHelpText(
      'after',
      '\nThe list stays when its last client leaves: then nobody may attach the volume.\n\nExamples:\n  $ skerry volume deny vm1 --client host-2.example',
    )
    .action(
      withDaemon(terminal, async (context, options: Clients, name = '') => {
        const deny = clientsOf(options);
        if (deny.length === 0) throw new SkerryError('invalid', 'deny whom? Give --client NAME or --uid NUMBER');
        const view = await context.client.setVolume(name, { access: { deny } });
        const open = view.attachedConnections === 0 ? '' : '; connections that are open go on';
        context.result(view, () => `volume ${name}: ${accessText(view)}${open}`);
      }),
    );
}

/** `anyone who can connect`, `host-1.example, user 0 (read-only)`. */
export function accessText({ access }: ResourceView): string {
  if (access === null) return 'anyone who can connect';
  if (access.grants.length === 0) return 'nobody';
  return access.grants
    .map(({ kind, client, readOnly }) => `${kind === 'user' ? `user ${client}` : client}${readOnly ? ' (read-only)' : ''}`)
    .join(', ');
}

function clientsOf({ client = [], uid = [] }: Clients) {
  return [
    ...client.map((name) => ({ kind: 'certificate' as const, client: name })),
    ...uid.map((id) => ({ kind: 'user' as const, client: id })),
  ];
}

function collectUser(text: string, before: readonly string[] = []): string[] {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('write a number, as id -u prints it.');
  return [...before, String(Number(text))];
}
