/** skerry user ... */
import type { Command } from 'commander';
import type { UserView } from '../api/shapes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { when } from './words.js';

export function addUser(program: Command, terminal: Terminal): void {
  const user = program.command('user').description('make, list and delete users of accounts');

  user
    .command('create')
    .description('create a user of an account')
    .argument('<account>')
    .argument('<name>')
    .addHelpText('after', examples('skerry user create acme ann', 'skerry key create acme --user ann'))
    .action(
      withDaemon(terminal, async (context, _options, account = '', name = '') => {
        const view = await context.client.identity.createUser(account, name);
        context.result(view, () => `created user ${name} of account ${account}`);
      }),
    );

  user
    .command('list')
    .description('list the users of an account')
    .argument('<account>')
    .addHelpText('after', examples('skerry user list acme'))
    .action(
      withDaemon(terminal, async (context, _options, account = '') => {
        const users = await context.client.identity.users(account);
        context.result(users, () => context.table(columns, users));
      }),
    );

  user
    .command('delete')
    .description('delete a user of an account, with its keys')
    .argument('<account>')
    .argument('<name>')
    .addHelpText('after', examples('skerry user delete acme ann'))
    .action(
      withDaemon(terminal, async (context, _options, account = '', name = '') => {
        const view = await context.client.identity.deleteUser(account, name);
        context.result(view, () => `deleted user ${name} of account ${account}`);
      }),
    );
}

const columns: readonly Column<UserView>[] = [
  { title: 'NAME', value: (user) => user.name },
  { title: 'ID', value: (user) => user.id },
  { title: 'CREATED', value: (user) => when(user.createdAt), leaveOut: 1 },
];
