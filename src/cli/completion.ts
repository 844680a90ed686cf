/**
 * skerry completion: a script that teaches a shell to complete this command. The scripts know nothing: they ask the command itself
 * (`skerry __complete WORD... CURRENT`), which knows its verbs, and the daemon for names.
 */
import { Argument } from 'commander';
import type { Command, Option } from 'commander';
import { SkerryError } from '../core/errors.js';
import { Context } from './context.js';
import type { GlobalOptions } from './context.js';
import { examples } from './examples.js';
import type { ExitCode } from './program.js';
import { completionScripts } from './completion_scripts.js';
import type { Terminal } from './terminal.js';

/** What the scripts call. Its answer: a line for each candidate, `WORD<tab>DESCRIPTION`; or `:files` alone. */
export const complete_word = '__complete';

/** A shell that waits longer for a key looks dead. */
const names_milliseconds_max = 1500;

interface Candidate {
  readonly word: string;
  readonly about: string;
}

type Kind = 'volume' | 'snapshot' | 'image' | 'source' | 'export' | 'pool' | 'account' | 'file' | 'shell' | 'none';

/** What stands for each argument of each command. */
export const argumentKinds: Readonly<Record<string, readonly Kind[]>> = {
  serve: [],
  status: [],
  top: [],
  completion: ['shell'],
  'pool change-key': ['pool'],
  'pool check': ['none'],
  'pool create': ['none'],
  'pool delete': ['pool'],
  'pool estimate': ['file'],
  'pool gc': ['pool'],
  'pool list': [],
  'pool move': ['pool', 'pool'],
  'pool recover': ['none'],
  'pool scrub': ['pool'],
  'pool set': ['pool'],
  'pool show': ['pool'],
  'volume create': ['none'],
  'volume list': [],
  'volume show': ['volume'],
  'volume uri': ['export'],
  'volume resize': ['volume', 'none'],
  'volume rollback': ['snapshot'],
  'volume rename': ['volume', 'none'],
  'volume set': ['volume'],
  'volume limit': ['volume'],
  'volume allow': ['volume'],
  'volume deny': ['volume'],
  'volume apply': ['volume', 'file'],
  'volume move': ['volume'],
  'volume replicate': ['volume'],
  'volume delete': ['volume'],
  'snapshot create': ['volume'],
  'snapshot list': ['volume'],
  'snapshot diff': ['source', 'source'],
  'snapshot delete': ['snapshot'],
  clone: ['source', 'none'],
  space: ['source'],
  'image import': ['file', 'none'],
  'image export': ['source', 'file'],
  'image list': [],
  'image show': ['image'],
  'image move': ['image'],
  'image rename': ['image', 'none'],
  'image delete': ['image'],
  'account create': ['none'],
  'account list': [],
  'account show': ['account'],
  'account set': ['account'],
  'account rename': ['account', 'none'],
  'account suspend': ['account'],
  'account resume': ['account'],
  'account delete': ['account'],
  'user create': ['account', 'none'],
  'user list': ['account'],
  'user delete': ['account', 'none'],
  'key create': ['account'],
  'key list': ['account'],
  'key activate': ['none'],
  'key deactivate': ['none'],
  'key rotate': ['none'],
  'key revoke': ['none'],
  'publication create': [],
  'publication list': [],
  'publication delete': ['none'],
  quota: ['account'],
  usage: ['account'],
};

/** Of options whose value is something that is there; what has choices tells them itself. */
const optionKinds: Readonly<Record<string, Kind>> = {
  '--data': 'file',
  '--config': 'file',
  '--stream': 'file',
  '--key-file': 'file',
  '--key-command': 'file',
  '--nbd-tls-certificate': 'file',
  '--nbd-tls-key': 'file',
  '--nbd-tls-client-ca': 'file',
  '--pool': 'pool',
  '--from': 'source',
  '--account': 'account',
  '--volume': 'volume',
};

export function addCompletion(program: Command, terminal: Terminal): void {
  program
    .command('completion')
    .description('print a script that completes verbs, options and the names of what is there, for a shell')
    .addArgument(new Argument('<shell>').choices(Object.keys(completionScripts)))
    .addHelpText(
      'after',
      examples(
        'source <(skerry completion bash)                                      # this shell; ~/.bashrc: each',
        'skerry completion zsh > "${fpath[1]}/_skerry"                         # with compinit, from the next shell on',
        'skerry completion fish > ~/.config/fish/completions/skerry.fish',
      ),
    )
    .action((shell: keyof typeof completionScripts) => terminal.out(completionScripts[shell]));
}

/** Silent whatever happens: what is printed would stand in somebody's line. */
export async function completeWords(program: Command, terminal: Terminal, words: readonly string[]): Promise<ExitCode> {
  const current = words.at(-1) ?? '';
  try {
    // `--format=q` is completed as `--format q` is, and given back whole.
    const [, option, begun] = /^(--[a-z-]+=)(.*)$/s.exec(current) ?? [];
    const before = words.slice(0, -1);
    const answer =
      option === undefined
        ? await candidates(program, terminal, before, current)
        : behind(option, await candidates(program, terminal, [...before, option.slice(0, -1)], begun ?? ''));
    if (answer === 'files') terminal.out(':files\n');
    else {
      const fitting = answer.filter(({ word }) => word.startsWith(current));
      terminal.out(fitting.map(({ word, about }) => `${word}\t${about.replace(/[\t\n]/g, ' ')}\n`).join(''));
    }
  } catch {
    // No daemon, or not one that answers in time: then there are no names.
  }
  return 0;
}

type Answer = readonly Candidate[] | 'files';

function behind(option: string, answer: Answer): Answer {
  return answer === 'files' ? answer : answer.map(({ word, about }) => ({ word: option + word, about }));
}

async function candidates(program: Command, terminal: Terminal, before: readonly string[], current: string): Promise<Answer> {
  const place = placeOf(program, before);
  const ask = (kind: Kind): Promise<Answer> => namesOf(kind, terminal, place.given, current);
  if (place.awaited !== null) return valuesOf(place.awaited, ask);
  const { command, index } = place;
  if (current.startsWith('-')) {
    const options = [...command.options, ...(command === program ? [] : program.options)];
    return [
      ...options
        .filter(({ hidden, long }) => !hidden && long !== undefined)
        .map((option) => ({ word: option.long ?? '', about: option.description })),
      { word: '--help', about: 'show what the command does, with examples' },
    ];
  }
  if (command.commands.length > 0)
    return command.commands.map((one) => ({ word: one.name(), about: firstClause(one.description()) }));
  const kinds = argumentKinds[pathOf(command)] ?? [];
  // Of several the last goes on.
  const at = command.registeredArguments.at(-1)?.variadic === true ? Math.min(index, kinds.length - 1) : index;
  return ask(kinds[at] ?? 'none');
}

interface Place {
  readonly command: Command;
  /** How many arguments of it were given. */
  readonly index: number;
  /** The option whose value comes next. */
  readonly awaited: Option | null;
  /** Options that say which daemon. */
  readonly given: GlobalOptions;
}

function placeOf(program: Command, words: readonly string[]): Place {
  let command = program;
  let index = 0;
  let awaited: Option | null = null;
  const given: Record<string, string> = {};
  for (const word of words) {
    if (awaited !== null) {
      given[awaited.attributeName()] = word;
      awaited = null;
    } else if (word.startsWith('-') && word !== '-') {
      const [name = '', value] = word.split(/=(.*)/s);
      const option: Option | undefined = [...command.options, ...program.options].find(
        ({ long, short }) => name === long || name === short,
      );
      if (option?.required === true && value === undefined) awaited = option;
      else if (option !== undefined && value !== undefined) given[option.attributeName()] = value;
    } else {
      const below = command.commands.find((one) => one.name() === word);
      if (below === undefined) index += 1;
      else command = below;
    }
  }
  const { data, url } = given;
  return { command, index, awaited, given: { ...(data === undefined ? {} : { data }), ...(url === undefined ? {} : { url }) } };
}

function valuesOf(option: Option, ask: (kind: Kind) => Promise<Answer>): readonly Candidate[] | Promise<Answer> {
  if (option.argChoices !== undefined) return option.argChoices.map((word) => ({ word, about: '' }));
  return ask(optionKinds[option.long ?? ''] ?? 'none');
}

async function namesOf(kind: Kind, terminal: Terminal, given: GlobalOptions, current: string): Promise<Answer> {
  if (kind === 'file') return 'files';
  if (kind === 'none') return [];
  if (kind === 'shell') return Object.keys(completionScripts).map((word) => ({ word, about: '' }));
  const { client } = new Context(terminal, given);
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new SkerryError('timeout', 'names took too long')), names_milliseconds_max).unref();
  });
  const [volume, at] = current.split('@');
  const volumes = async () => (await client.volumes()).map((one) => ({ word: one.name, about: one.description || 'volume' }));
  const images = async () => (await client.images()).map((one) => ({ word: one.name, about: one.description || 'image' }));
  // Those of one volume as soon as it is named, for there may be many.
  const snapshots = async () =>
    (await client.snapshots(at === undefined ? undefined : volume)).map((one) => ({
      word: one.name,
      about: one.description || 'snapshot',
    }));
  const lists: Readonly<Record<typeof kind, readonly (() => Promise<readonly Candidate[]>)[]>> = {
    volume: [volumes],
    snapshot: [snapshots],
    image: [images],
    export: at === undefined ? [volumes, snapshots] : [snapshots],
    source: at === undefined ? [volumes, images, snapshots] : [snapshots],
    pool: [async () => (await client.pools()).map((one) => ({ word: one.name, about: one.driver }))],
    account: [async () => (await client.identity.accounts()).map((one) => ({ word: one.name, about: one.displayName }))],
  };
  try {
    return (await Promise.race([late, Promise.all(lists[kind].map((list) => list()))])).flat();
  } finally {
    client.close();
  }
}

/** `volume create`; '' for the program itself. */
export function pathOf(command: Command): string {
  const above = command.parent;
  return above === null ? '' : `${pathOf(above)} ${command.name()}`.trim();
}

function firstClause(description: string): string {
  return description.split(/[;:]/)[0] ?? '';
}
