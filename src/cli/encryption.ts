/** Options that say where the key of an encrypted pool comes from, and skerry pool change-key. */
import { resolve } from 'node:path';

import { Option } from 'commander';
import type { Command } from 'commander';
import type { KeySourceText } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Terminal } from './terminal.js';

export interface KeyOptions {
  readonly keyFile?: string;
  readonly keyCommand?: string;
}

export function addKeyOptions(command: Command): Command {
  return command
    .addOption(new Option('--key-file <file>', 'where the key is: 32 bytes, or 64 hexadecimal digits').conflicts('keyCommand'))
    .option('--key-command <command>', 'a program, with its arguments, that prints the key; run without a shell');
}

/** undefined where neither is given. */
export function keySourceOf({ keyFile, keyCommand }: KeyOptions): KeySourceText | undefined {
  if (keyFile !== undefined) return { kind: 'file', from: resolve(keyFile) };
  return keyCommand === undefined ? undefined : { kind: 'command', from: keyCommand };
}

/** @throws SkerryError invalid where one is given without --encrypt, or the other way round */
export function encryptionOf({ encrypt = false, ...options }: KeyOptions & { readonly encrypt?: boolean }): {
  readonly key?: KeySourceText;
} {
  const key = keySourceOf(options);
  if (encrypt !== (key !== undefined))
    throw new SkerryError(
      'invalid',
      encrypt
        ? '--encrypt needs --key-file or --key-command: where the key of the pool comes from, now and at each start'
        : '--key-file and --key-command are for encrypted pools: say --encrypt too',
    );
  return key === undefined ? {} : { key };
}

export function addChangeKey(pool: Command, terminal: Terminal): void {
  addKeyOptions(
    pool
      .command('change-key')
      .description('give an encrypted pool another key; no data is rewritten, and the old key opens it no more')
      .argument('<name>'),
  )
    .addHelpText(
      'after',
      `\nThe daemon asks for the new key from here on, at each start too. What the old key once opened, a copy of the catalog say, it still
opens: whoever has both has the data.\n${examples('openssl rand -hex 32 > /etc/skerry/new.key; chmod 600 /etc/skerry/new.key', 'skerry pool change-key vault --key-file /etc/skerry/new.key')}`,
    )
    .action(
      withDaemon(terminal, async (context, options: KeyOptions, name = '') => {
        const key = keySourceOf(options);
        if (key === undefined) throw new SkerryError('invalid', 'say where the new key comes from: --key-file or --key-command');
        const view = await context.client.changePoolKey(name, { key });
        context.result(view, () => `pool ${name}: its key comes from ${view.keyFrom ?? 'nowhere'} from now on`);
      }),
    );
}
