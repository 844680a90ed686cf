/** skerry key ... */
import type { Command } from 'commander';
import type { KeyView, NewKeyView } from '../api/shapes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { when } from './words.js';

export function addKey(program: Command, terminal: Terminal): void {
  const key = program.command('key').description('make, list, rotate and revoke the keys that requests are signed with');

  key
    .command('create')
    .description('create a key; its secret is shown now and never again')
    .argument('<account>')
    .option('--user <name>', 'of the account; else its root user')
    .addHelpText('after', examples('skerry key create acme', 'skerry key create acme --user ann --json'))
    .action(
      withDaemon(terminal, async (context, { user }: { readonly user?: string }, account = '') => {
        const made = await context.client.identity.createKey(account, user);
        context.result(made, () => told(made));
      }),
    );

  key
    .command('list')
    .description('list the keys of an account, without their secrets')
    .argument('<account>')
    .addHelpText('after', examples('skerry key list acme'))
    .action(
      withDaemon(terminal, async (context, _options, account = '') => {
        const keys = await context.client.identity.keys(account);
        context.result(keys, () => (keys.length === 0 ? `account ${account} has no keys` : context.table(columns, keys)));
      }),
    );

  for (const [verb, active, about] of [
    ['activate', true, 'let a key that was deactivated in again'],
    ['deactivate', false, 'let nobody in with this key, from now on'],
  ] as const)
    key
      .command(verb)
      .description(about)
      .argument('<access-key>')
      .addHelpText('after', examples(`skerry key ${verb} SK0123456789ABCDEFGH`))
      .action(
        withDaemon(terminal, async (context, _options, accessKey = '') => {
          const view = await context.client.identity.setKeyActive(accessKey, active);
          context.result(view, () => `key ${accessKey} is ${active ? 'active' : 'not active'}`);
        }),
      );

  key
    .command('rotate')
    .description('create a key for the same user and revoke this one, in one step; the new secret is shown now and never again')
    .argument('<access-key>')
    .addHelpText(
      'after',
      `\nWhere clients need time to change, create a second key instead, and revoke the first when key list shows no use of it.\n${examples('skerry key rotate SK0123456789ABCDEFGH')}`,
    )
    .action(
      withDaemon(terminal, async (context, _options, accessKey = '') => {
        const made = await context.client.identity.rotateKey(accessKey);
        context.result(made, () => told(made));
      }),
    );

  key
    .command('revoke')
    .description('revoke a key, at once and for ever')
    .argument('<access-key>')
    .addHelpText('after', examples('skerry key revoke SK0123456789ABCDEFGH'))
    .action(
      withDaemon(terminal, async (context, _options, accessKey = '') => {
        const view = await context.client.identity.revokeKey(accessKey);
        context.result(view, () => `revoked key ${accessKey}`);
      }),
    );
}

function told({ accessKey, secretKey }: NewKeyView): string {
  return `access key  ${accessKey}\nsecret key  ${secretKey}\nThe secret key is not shown again.`;
}

const columns: readonly Column<KeyView>[] = [
  { title: 'ACCESS KEY', value: (key) => key.accessKey },
  { title: 'USER', value: (key) => key.user, cutTo: 8 },
  { title: 'STATE', value: (key) => (key.active ? 'active' : 'not active'), paint: (key) => (key.active ? null : 'red') },
  { title: 'LAST USED', value: (key) => (key.lastUsedAt === null ? 'never' : when(key.lastUsedAt)) },
  { title: 'CREATED', value: (key) => when(key.createdAt), leaveOut: 1 },
];
