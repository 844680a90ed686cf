/** skerry account ... */
import type { Command } from 'commander';
import type { AccountView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import { limitText } from './quota.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize, when } from './words.js';

interface NameOptions {
  readonly displayName?: string;
}

export function addAccount(program: Command, terminal: Terminal): void {
  const account = program.command('account').description('make, list, show, suspend and delete accounts: who stores objects');

  account
    .command('create')
    .description('create an account, with a user called root')
    .argument('<name>')
    .option('--display-name <text>', 'what people see; else the name')
    .addHelpText('after', examples('skerry account create acme --display-name "Acme Ltd"', 'skerry key create acme'))
    .action(
      withDaemon(terminal, async (context, options: NameOptions, name = '') => {
        const view = await context.client.identity.createAccount({ name, ...options });
        context.result(view, () => `created account ${name}; a key for it: skerry key create ${name}`);
      }),
    );

  account
    .command('list')
    .description('list all accounts')
    .addHelpText('after', examples('skerry account list'))
    .action(
      withDaemon(terminal, async (context) => {
        const accounts = await context.client.identity.accounts();
        context.result(accounts, () => (accounts.length === 0 ? 'no accounts' : context.table(columns, accounts)));
      }),
    );

  account
    .command('show')
    .description('show an account: how protocols call it, what it holds and may hold')
    .argument('<name>')
    .addHelpText('after', examples('skerry account show acme', 'skerry account show acme --json'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.identity.account(name);
        context.result(view, () => context.facts(factsOf(view)));
      }),
    );

  account
    .command('set')
    .description('change what people see of an account')
    .argument('<name>')
    .option('--display-name <text>', 'what people see')
    .addHelpText('after', examples('skerry account set acme --display-name "Acme Ltd"'))
    .action(
      withDaemon(terminal, async (context, options: NameOptions, name = '') => {
        if (options.displayName === undefined) throw new SkerryError('invalid', 'there is nothing to set: give --display-name');
        const view = await context.client.identity.setAccount(name, options);
        context.result(view, () => `account ${name} is shown as ${view.displayName}`);
      }),
    );

  account
    .command('rename')
    .description('give an account another name; keys, objects and grants stay')
    .argument('<name>')
    .argument('<new-name>')
    .addHelpText('after', examples('skerry account rename acme acme-ltd'))
    .action(
      withDaemon(terminal, async (context, _options, name = '', to = '') => {
        const view = await context.client.identity.renameAccount(name, to);
        context.result(view, () => `account ${name} is called ${to}`);
      }),
    );

  account
    .command('suspend')
    .description('let nobody in with a key of this account, from now on; what it stores stays')
    .argument('<name>')
    .addHelpText('after', examples('skerry account suspend acme'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.identity.setAccount(name, { suspended: true });
        context.result(view, () => `account ${name} is suspended; to undo that: skerry account resume ${name}`);
      }),
    );

  account
    .command('resume')
    .description('let the keys of a suspended account in again')
    .argument('<name>')
    .addHelpText('after', examples('skerry account resume acme'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.identity.setAccount(name, { suspended: false });
        context.result(view, () => `account ${name} is active`);
      }),
    );

  account
    .command('delete')
    .description('delete an account that holds nothing, with its users and keys')
    .argument('<name>')
    .addHelpText('after', examples('skerry account delete acme'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.identity.deleteAccount(name);
        context.result(view, () => `deleted account ${name}`);
      }),
    );
}

const columns: readonly Column<AccountView>[] = [
  { title: 'NAME', value: (account) => account.name },
  { title: 'DISPLAYED AS', value: (account) => account.displayName, cutTo: 12 },
  { title: 'STATE', value: (account) => account.state, paint: (account) => (account.state === 'active' ? null : 'red') },
  { title: 'LOGICAL', value: (account) => formatSize(account.logicalBytes), align: 'right' },
  { title: 'OBJECTS', value: (account) => String(account.objects), align: 'right' },
  { title: 'QUOTA', value: (account) => limitText(account.quota), leaveOut: 2 },
  { title: 'NUMBER', value: (account) => account.accountNumber, leaveOut: 1 },
];

function factsOf(account: AccountView): readonly Fact[] {
  return [
    ['name', account.name],
    ['displayed as', account.displayName],
    ['state', account.state],
    ['number', `${account.accountNumber}, as in arn:aws:iam::${account.accountNumber}:root`],
    ['canonical id', account.canonicalId],
    ['created', when(account.createdAt)],
    ['holds', `${exactSize(account.logicalBytes)} in ${counted(account.objects, 'object')}`],
    ['quota', limitText(account.quota)],
  ];
}
