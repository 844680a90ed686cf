/** The house keeps itself: what may import what, how files are called, and how long they get. DESIGN is this table. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const lines_max = 500;

/**
 * What the files of a layer may import besides their own and what that reaches in turn. A layer is a folder of src/, or one
 * of northbound/, or of drivers/. Everything may import core.
 */
const imports: Readonly<Record<string, readonly string[]>> = {
  core: [],
  driver: ['core'],
  engine: ['core'],
  catalog: ['core'],
  'drivers/*': ['driver'],
  'drivers/all': ['drivers/*'],
  pool: ['driver', 'engine'],
  mapper: ['engine', 'catalog', 'pool'],
  composer: ['mapper', 'pool', 'engine', 'catalog'],
  identity: ['catalog'],
  object: ['composer', 'mapper', 'identity', 'catalog'],
  upkeep: ['object', 'composer', 'mapper', 'pool', 'engine', 'catalog'],
  compute: ['identity', 'catalog'],
  api: ['core'],
  control: ['api'],
  cli: ['control'],
  northbound: ['object', 'composer', 'identity'],
  'northbound/admin': [
    'api',
    'control',
    'compute',
    'northbound',
    'upkeep',
    'object',
    'composer',
    'identity',
    'mapper',
    'pool',
    'engine',
    'catalog',
  ],
  'northbound/openstack': ['compute', 'object', 'identity'],
  'northbound/cloudstack': ['compute', 'object', 'identity'],
  integrations: ['control'],
  daemon: [
    'northbound',
    'northbound/admin',
    'northbound/openstack',
    'northbound/cloudstack',
    'upkeep',
    'compute',
    'api',
    'drivers/all',
  ],
};
/** With import() only, so that what does not need it does not pay for it: `skerry serve` is the daemon, `skerry status` is not. */
const lazyImports: Readonly<Record<string, readonly string[]>> = { cli: ['daemon'] };
/** Drivers are strangers, but for one whose backend speaks a dialect of another's. */
const driverImports: Readonly<Record<string, readonly string[]>> = { 'drivers/riakcs': ['drivers/s3'] };

const topLevel = new Set(
  [
    'package.json package-lock.json tsconfig.json tsconfig.build.json binding.gyp biome.json vitest.config.ts',
    'native src drivers bench test docs README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE',
    'node_modules build dist',
  ].flatMap((line) => line.split(' ')),
);
const forbiddenNames = new Set(['utils', 'util', 'helpers', 'helper', 'misc', 'common', 'stuff', 'tmp']);
const foldersOfOurs = ['.ci', 'native', 'src', 'drivers', 'bench', 'test'];
const sourceEndings = ['.ts', '.mjs', '.cc', '.h', '.py', '.sh'];

interface Import {
  readonly file: string;
  readonly target: string;
  readonly lazy: boolean;
}

const files = foldersOfOurs.flatMap((folder) => filesUnder(folder));
const sources = files.filter((file) => sourceEndings.some((ending) => file.endsWith(ending)));
const layered = sources.filter((file) => file.endsWith('.ts') && /^(?:src|drivers)\//.test(file));

describe('imports', () => {
  test('point down only', () => {
    expect(
      layered
        .flatMap(importsOf)
        .map(judge)
        .filter((complaint) => complaint !== null),
    ).toEqual([]);
  });

  test('of an upper layer are noticed', () => {
    const upward = (file: string, target: string, lazy = false): string | null => judge({ file, target, lazy });
    expect(upward('src/core/a.ts', 'src/catalog/b.ts')).toMatch(/core may not import catalog/);
    expect(upward('src/pool/a.ts', 'drivers/local/driver.ts')).toMatch(/pool may not import/);
    expect(upward('drivers/local/a.ts', 'drivers/memory/driver.ts')).toMatch(/may not import/);
    expect(upward('drivers/s3/a.ts', 'drivers/riakcs/driver.ts')).toMatch(/may not import/);
    expect(upward('drivers/riakcs/a.ts', 'drivers/local/driver.ts')).toMatch(/may not import/);
    expect(upward('drivers/riakcs/a.ts', 'drivers/s3/b.ts')).toBeNull();
    expect(upward('src/northbound/nbd/a.ts', 'src/northbound/s3/b.ts')).toMatch(/may not import/);
    expect(upward('src/cli/a.ts', 'src/daemon/serve.ts')).toMatch(/cli may not import daemon/);
    expect(upward('src/core/a.ts', 'test/unit/b.ts')).toMatch(/may not import/);
    expect(upward('src/cli/a.ts', 'src/daemon/serve.ts', true)).toBeNull();
    expect(upward('src/composer/a.ts', 'src/core/b.ts')).toBeNull();
    expect(upward('drivers/all.ts', 'drivers/local/driver.ts')).toBeNull();
  });

  test('are read from the text in every form', () => {
    const text = [
      `import { a } from './a.js';`,
      `import type { b } from "../catalog/b.ts";`,
      `import './c.js';`,
      `export { d } from './d.js';`,
      `import {\n  e,\n} from './e.js';`,
      `const f = await import('../daemon/f.js');`,
      `// import { g } from './g.js';`,
    ].join('\n');
    expect(importsIn('src/mapper/x.ts', text).map(({ target, lazy }) => `${target}${lazy ? ' lazy' : ''}`)).toEqual([
      'src/mapper/a.ts',
      'src/catalog/b.ts',
      'src/mapper/c.ts',
      'src/mapper/d.ts',
      'src/mapper/e.ts',
      'src/daemon/f.ts lazy',
    ]);
  });

  test('every folder of src has its place in the table', () => {
    const folders = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const known = new Set(Object.keys(imports).concat('dashboard'));
    expect(folders.map((entry) => entry.name).filter((name) => !known.has(name))).toEqual([]);
  });

  test('node’s addon interface is included at the seam alone', () => {
    const including = files.filter((file) => /\.(?:cc|h)$/.test(file) && /#include <(?:napi|node_api)\.h>/.test(read(file)));
    expect(including.filter((file) => !/^(?:native\/addon|drivers\/[a-z]+\/native\/|drivers\/native\/)/.test(file))).toEqual([]);
  });

  test('the operating system is called by native/env, and by native/nbd for its sockets', () => {
    const callers = files.filter(
      (file) =>
        /^native\/.*\.(?:cc|h)$/.test(file) &&
        /#include <(?:fcntl|unistd|sys\/(?:mman|stat|uio|socket|epoll))\.?h?>/.test(read(file)),
    );
    expect(callers.filter((file) => !/^native\/(?:env|nbd|tests|simulation)\//.test(file))).toEqual([]);
  });
});

describe('names', () => {
  test('no file or folder is a drawer for what has no place', () => {
    const drawers = files.filter((file) => file.split('/').some((part) => forbiddenNames.has(part.replace(/\..*$/, ''))));
    expect(drawers).toEqual([]);
  });

  test('files are in snake_case', () => {
    const odd = sources.filter((file) => !/^(?:\.ci|[a-z0-9_]+)(?:\/[a-z0-9_]+)*\/[a-z0-9_]+(?:\.[a-z0-9_]+)*$/.test(file));
    expect(odd).toEqual([]);
  });

  test('at the top there is only what DESIGN allows', () => {
    const odd = readdirSync(root).filter((name) => !name.startsWith('.') && !topLevel.has(name));
    expect(odd).toEqual([]);
  });
});

describe('files', () => {
  test(`have at most ${lines_max} lines`, () => {
    const long = sources
      .map((file) => ({ file, lines: read(file).split('\n').length - 1 }))
      .filter(({ lines }) => lines > lines_max);
    expect(long).toEqual([]);
  });

  test('export by name', () => {
    const odd = files.filter((file) => /\.(?:ts|mjs)$/.test(file) && /^export default\b|\bas default\b/m.test(read(file)));
    expect(odd.filter((file) => file !== 'test/unit/tidy.test.ts')).toEqual([]);
  });

  test('leave nothing for later', () => {
    // Taken apart here, so that this file does not find itself.
    const words = ['TO.DO', 'FIX.ME', 'XX.X', 'HA.CK'].map((word) => word.replace('.', ''));
    const marks = new RegExp(`\\b(?:${words.join('|')})\\b`);
    expect(sources.filter((file) => marks.test(read(file)))).toEqual([]);
  });

  test('no test is skipped without a reason or run alone', () => {
    const tests = sources.filter((file) => file.endsWith('.test.ts') && file !== 'test/unit/tidy.test.ts');
    expect(tests.filter((file) => /\b(?:test|it|describe)\.(?:only|skip|todo)\(/.test(read(file)))).toEqual([]);
  });

  test('the lockfile names no registry', () => {
    const lockfile = read('package-lock.json');
    expect(lockfile).not.toMatch(/"resolved"/);
  });
});

/** Why the import may not be, or null where it may. */
function judge({ file, target, lazy }: Import): string | null {
  const from = layerOf(file);
  const to = layerOf(target);
  if (from === to && folderOf(file) === folderOf(target)) return null;
  if (driverImports[folderOf(file)]?.includes(folderOf(target)) === true) return null;
  const allowed = reachable(from ?? '');
  if (to !== null && (to === 'core' || allowed.has(to))) return null;
  if (to !== null && lazy && lazyImports[from ?? '']?.includes(to) === true) return null;
  return `${file}: ${from} may not import ${to ?? 'what is outside src and drivers'} (${target})`;
}

function layerOf(file: string): string | null {
  if (file === 'drivers/all.ts') return 'drivers/all';
  const [top, folder = '', next = ''] = file.split('/');
  if (top === 'drivers') return 'drivers/*';
  if (top !== 'src') return null;
  const nested = `${folder}/${next}`;
  return Object.hasOwn(imports, nested) ? nested : folder;
}

/** Two protocols, or two drivers, are of one layer and still strangers. */
function folderOf(file: string): string {
  const [top = '', folder = '', next = ''] = file.split('/');
  return folder === 'northbound' ? `${folder}/${next}` : `${top}/${folder}`;
}

function reachable(layer: string, seen = new Set<string>()): ReadonlySet<string> {
  for (const below of imports[layer] ?? []) {
    if (seen.has(below)) continue;
    seen.add(below);
    reachable(below, seen);
  }
  return seen;
}

function importsOf(file: string): readonly Import[] {
  return importsIn(file, read(file));
}

/** Relative imports only: what a package brings is the lockfile's affair. */
function importsIn(file: string, text: string): readonly Import[] {
  const code = text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, '');
  const pattern = /(?:\bfrom\s*|^\s*import\s*|\bimport\s*(\()\s*)['"](\.[^'"]+)['"]/gm;
  return [...code.matchAll(pattern)].map(([, lazy, path = '']) => ({
    file,
    target: normalize(join(dirname(file), path)).replace(/\.js$/, '.ts'),
    lazy: lazy !== undefined,
  }));
}

function filesUnder(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .map((path) => path.replace(/^\//, ''));
}

function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}
